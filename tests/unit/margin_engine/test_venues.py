"""Accounts under the venues' rules by hand: what arrays give, what goes to the rules, what is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chains.errors import InputError
from node.margin.engine.linear import dydx
from node.margin.engine.linear.accounts import Legs, LinearAccounts
from node.margin.engine.linear.columns import Instrument, Instruments
from node.margin.engine.linear.levels import Levels
from node.margin.engine.linear.venue import Frame, evaluate
from node.margin.models.dydx import DydxParameters, Tier
from node.margin.models.errors import OutOfRange, PortfolioError, UnknownAsset, UnsupportedInstrument
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad
from node.margin.models.market import Quote
from tests.property.margin_engine.test_venues import assert_as_by_the_rules, evaluated
from tests.unit.margin_models import test_dydx, test_synthetix, test_weighted


def file(content: dict[str, Any]) -> dict[str, Any]:
    """A file of one account, as one of a list of accounts."""
    shared = {"market", "parameters"}
    account = {name: each for name, each in content.items() if name not in shared}
    return {**{name: content[name] for name in shared}, "accounts": [{"account": "alice", **account}]}


def dollars(levels: Levels) -> list[tuple[float, float]]:
    each = range(len(levels.thresholds))
    return [(levels.sums(0, at).equity / PICO, levels.sums(0, at).requirement / PICO) for at in each]


# === By hand ===


def test_dydx_scales_by_open_interest() -> None:
    found = assert_as_by_the_rules("dydx", file(test_dydx.file(900, 0.1, open_interest=1_500_000)))
    assert dollars(found) == [(1_100, 3_000), (1_100, 500)]
    assert not found.beyond


def test_dydx_liquidates_nobody_who_is_required_nothing() -> None:
    content = test_dydx.file(-5, 0)
    content["accounts"] = [{"account": "a", "cash": -5}, {"account": "b", "cash": -(10**14)}]
    found = assert_as_by_the_rules("dydx", content)
    assert found.beyond.keys() == {1}
    assert [found.status(code) for code in found.statuses()] == ["margin_call", "margin_call"]


def test_drift_weighs_by_size() -> None:
    content = test_weighted.drift(collateral=[{"asset": "SOL", "amount": 10_000}])
    content["parameters"]["spots"]["SOL"] = {**test_weighted.SPOT, "imf": "0.03"}
    found = assert_as_by_the_rules("drift", file(content))
    assert dollars(found) == [(247_500, 0), (275_000, 0), (275_000, 0)]
    assert not found.beyond


def test_mango_takes_the_worse_price_and_scales() -> None:
    content = test_weighted.mango(collateral=[{"asset": "SOL", "amount": 10}], cash=-7)
    content["market"]["SOL"]["deposits"] = 1_000
    content["parameters"]["tokens"]["SOL"] = {**test_weighted.TOKEN, "deposit_scale_start": 50_000}
    found = assert_as_by_the_rules("mango", file(content))
    assert dollars(found) == [(360, 7), (800, 7), (900, 7)]
    assert not found.beyond


def test_mango_holds_large_weights() -> None:
    content = test_weighted.mango(debts=[{"asset": "SOL", "amount": 10}])
    content["parameters"]["tokens"]["SOL"] = {**test_weighted.TOKEN, "initial_liability": 99}
    found = assert_as_by_the_rules("mango", file(content))
    assert dollars(found) == [(0, 99_000), (0, 99_000), (0, 1_100)]
    assert not found.beyond


def test_synthetix_margins_and_discounts_by_size() -> None:
    held = [{"asset": "ARB", "amount": 1_000}]
    content = test_synthetix.file(collateral=held, perpetuals=test_synthetix.perpetual(-10))
    found = assert_as_by_the_rules("synthetix", file(content))
    assert dollars(found) == [(950, 600), (950, 300)]
    assert not found.beyond


def test_synthetix_rounds_discounts_up() -> None:
    content = test_synthetix.file(collateral=[{"asset": "ARB", "amount": 1}])
    content["market"]["ARB"]["price"] = 4_000_000
    content["parameters"]["collaterals"]["ARB"] = {"skew_scale": 3, "scalar": 1}
    found = assert_as_by_the_rules("synthetix", file(content))
    assert found.sums(0, 0).equity == 4 * 666_666_666_666_666_666
    assert not found.beyond


def test_skew_scales_without_a_common_divisor_are_held() -> None:
    names = {f"P{n}": 10**9 + 7 + 2 * n for n in range(60)}
    content = {
        "market": {name: {"price": 7} for name in names},
        "parameters": {
            "markets": {name: {**test_synthetix.MARKET, "skew_scale": scale} for name, scale in names.items()},
            "collaterals": {name: {**test_synthetix.COLLATERAL, "skew_scale": scale} for name, scale in names.items()},
        },
        "accounts": [
            {
                "account": name,
                "perpetuals": [{"asset": name, "amount": 3}],
                "collateral": [{"asset": name, "amount": 5}],
            }
            for name in names
        ],
    }
    assert not assert_as_by_the_rules("synthetix", content).beyond


# === What the arrays do not hold ===


def test_a_ratio_beyond_the_integers_is_left_to_the_rules() -> None:
    content = test_synthetix.file(perpetuals=test_synthetix.perpetual(6_000))
    content["market"]["ETH"]["price"] = 1
    found = assert_as_by_the_rules("synthetix", file(content))
    assert found.beyond.keys() == {0}
    assert dollars(found)[0] == (0, 6_000 * 12.01)
    content = test_synthetix.file(perpetuals=test_synthetix.perpetual(1_600, entry_price=0))
    content["market"]["ETH"]["price"] = 2_500
    found = assert_as_by_the_rules("synthetix", file(content))
    assert found.beyond.keys() == {0}
    assert dollars(found)[0] == (4_000_000, 4_000_000 * 3.21)


def test_a_deposit_that_dwarfs_its_market_has_the_largest_discount() -> None:
    content = test_synthetix.file(collateral=[{"asset": "ARB", "amount": 10**6}])
    content["parameters"]["collaterals"]["ARB"]["skew_scale"] = "0.0000000001"
    found = assert_as_by_the_rules("synthetix", file(content))
    assert dollars(found)[0] == (800_000, 0)
    assert not found.beyond


def test_what_only_a_weight_makes_too_large_is_left_to_the_rules() -> None:
    position = {"asset": "SOL", "amount": 5_000}
    content = test_weighted.drift(perpetuals=[position])
    content["parameters"]["perpetuals"]["SOL"]["initial"] = 100
    found = assert_as_by_the_rules("drift", file(content))
    assert found.beyond.keys() == {0}
    assert dollars(found)[0] == (0, 50_000_000)
    content = test_weighted.mango(perpetuals=[{**position, "entry_price": 1}])
    content["parameters"]["perpetuals"]["SOL"]["maintenance_overall"] = 100
    found = assert_as_by_the_rules("mango", file(content))
    assert found.beyond.keys() == {0}
    assert dollars(found)[2] == (44_500_000, 0)


def test_margins_that_only_together_are_too_large_are_left_to_the_rules() -> None:
    content = test_synthetix.file(perpetuals=[{"asset": f"P{n}", "amount": 1} for n in range(3)])
    content["market"] = {f"P{n}": {"price": 1} for n in range(3)}
    content["parameters"]["markets"] = {
        f"P{n}": {**test_synthetix.MARKET, "initial_fraction": 0, "least_margin": 4_000_000} for n in range(3)
    }
    found = assert_as_by_the_rules("synthetix", file(content))
    assert found.beyond.keys() == {0}
    assert dollars(found)[0] == (0, 12_000_000.03)


@pytest.mark.parametrize("section", ["collateral", "debts", "perpetuals"])
def test_sizes_without_value_are_left_to_the_rules(section: str) -> None:
    dust = {"price": "0.00000001", "decimals": 6}
    content = test_weighted.drift(**{section: [{"asset": "DUST", "amount": 5 * 10**12}]})
    content["market"]["DUST"] = dust
    content["parameters"]["spots"]["DUST"] = {**test_weighted.SPOT, "imf": "0.000001"}
    content["parameters"]["perpetuals"]["DUST"] = {**test_weighted.PERP, "imf": "0.000001"}
    assert assert_as_by_the_rules("drift", file(content)).beyond.keys() == {0}


def test_drift_weighs_large_profits_less_but_for_maintenance() -> None:
    content = test_weighted.drift(perpetuals=[{"asset": "SOL", "amount": 1_000, "entry_price": 1}])
    content["parameters"]["perpetuals"]["SOL"]["pnl_imf"] = "0.01"
    found = assert_as_by_the_rules("drift", file(content))
    assert [each[0] for each in dollars(found)] == [99_000 * 0.2652, 99_000 * 0.2652, 99_000]


def test_amounts_finer_than_the_protocols_are_left_to_the_rules() -> None:
    content = test_dydx.file(0, "0.100000000000000001")
    content["market"]["BTC"]["price"] = "50000.00000001"
    found = assert_as_by_the_rules("dydx", file(content))
    assert found.beyond.keys() == {0}


# === What is refused ===


def test_instruments_without_a_rule_or_a_market_refuse_their_account_alone() -> None:
    content = test_dydx.file(1, 1)
    content["market"]["ETH"] = {"price": 1}
    content["accounts"] = [
        {"account": "a", "perpetuals": [{"asset": "ETH", "amount": 1}]},
        {"account": "b", "collateral": [{"asset": "ETH", "amount": 1}]},
        {"account": "c", "perpetuals": [{"asset": "BTC", "amount": 1}]},
    ]
    made, levels = evaluated("dydx", content)
    (unsupported,), (unknown,) = made.refused, levels.refused.values()
    assert (type(unsupported), unsupported.account, unsupported.field) == (UnsupportedInstrument, "b", "collateral")
    assert (type(unknown), unknown.account, unknown.instrument) == (UnknownAsset, "a", "ETH")
    assert [levels.status(code) for code in levels.statuses()] == ["refused", "liquidatable"]


INSTRUMENTS = Instruments([Instrument("BTC", 9, (), 8)], dydx.ENGINE.profile.thresholds)
BTC = Quote("BTC", Wad(50_000 * WAD), ONE, ONE, ONE, Money(0), Wad(0), Wad(0), 9)
TIERS = DydxParameters({"BTC": Tier(50_000, 600_000)})


def accounts(
    amount: int = 10**8, entry: int = 0, funding: int = 0, cash: int = 0, kind: str = "perpetuals"
) -> LinearAccounts:
    """One account, and a good one after it."""
    none, some = Legs.of([0, 0], [], []), Legs.of([1, 1], [0, 0], [amount, 1], [entry, 0], [funding, 0])
    collateral, debts, perpetuals = (some if each == kind else none for each in ("collateral", "debts", "perpetuals"))
    cashes = np.array([cash, 5 * PICO])
    return LinearAccounts(INSTRUMENTS, collateral, debts, perpetuals, ["alice", "bob"], cash=cashes)


def frame(**quotes: Quote) -> Frame[Any, Any]:
    return dydx.ENGINE.frame(INSTRUMENTS, quotes, TIERS)


@pytest.mark.parametrize(
    ("given", "instrument", "field"),
    [
        ({"entry": -1}, "BTC", "perpetuals.entry_price"),
        ({"entry": 1 << 62}, "BTC", "perpetuals.entry_price"),
        ({"funding": 1 << 62}, "BTC", "perpetuals.funding"),
        ({"funding": -(1 << 63)}, "BTC", "perpetuals.funding"),
        ({"cash": -(1 << 62)}, "USD", "cash"),
        ({"cash": (1 << 63) - 1}, "USD", "cash"),
        ({"amount": -1, "kind": "collateral"}, "BTC", "collateral.amount"),
        ({"amount": -1, "kind": "debts"}, "BTC", "debts.amount"),
    ],
)
def test_numbers_out_of_range_refuse_their_account_by_name(given: dict[str, Any], instrument: str, field: str) -> None:
    levels = evaluate(accounts(**given), frame(BTC=BTC))
    error = levels.refused[0]
    assert (type(error), error.account, error.instrument, error.field) == (OutOfRange, "alice", instrument, field)
    assert levels.statuses()[0] == -1


def test_an_account_without_a_quote_is_refused_alone_and_nothing_of_it_needs_none() -> None:
    levels = evaluate(accounts(amount=0), frame())
    assert [(error.account, error.field) for error in levels.refused.values()] == [("bob", "market")]
    assert isinstance(levels.refused[1], UnknownAsset)
    assert levels.sums(0, 0).excess == 0


def test_nothing_receives_no_funding() -> None:
    levels = evaluate(accounts(amount=0, funding=7 * PICO), frame(BTC=BTC))
    assert (levels.beyond, levels.sums(0, 0).equity) == ({}, 0)
    assert evaluate(accounts(amount=1, funding=7 * PICO), frame(BTC=BTC)).sums(0, 0).equity > 7 * PICO


def test_rules_that_an_instruments_kind_does_not_have_are_an_error_of_its_holder() -> None:
    levels = evaluate(accounts(kind="collateral"), frame(BTC=BTC))
    assert {type(error) for error in levels.refused.values()} == {UnsupportedInstrument}
    assert all(isinstance(error, PortfolioError) for error in levels.refused.values())


def test_accounts_and_frame_belong_together() -> None:
    good = accounts()
    without = LinearAccounts(INSTRUMENTS, *good.kinds)
    other = dydx.ENGINE.frame(Instruments(INSTRUMENTS.each, ()), {}, TIERS)
    for wrong, market in ((without, frame(BTC=BTC)), (good, other)):
        with pytest.raises(InputError, match="frame"):
            evaluate(wrong, market)
    with pytest.raises(InputError, match="cash"):
        LinearAccounts(INSTRUMENTS, *good.kinds, cash=np.zeros(3, np.int64))
