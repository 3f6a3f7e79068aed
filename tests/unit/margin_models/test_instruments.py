"""What an account file can hold: futures, options on SVI and grids, debts with interest, assets with two values."""

from __future__ import annotations

from math import exp
from typing import Any

import pytest

from node.margin.models.errors import (
    DuplicateInstrument,
    ExpiredInstrument,
    MissingField,
    OutOfRange,
    PortfolioError,
    UnknownAsset,
    UnsupportedInstrument,
)
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD
from node.margin.models.market import read_held
from node.margin.models.profile import Level
from node.margin.models.profiles import PROFILES, evaluate_file
from tests.unit.margin_models.test_lending import only

DAY = 86_400
YEAR = 365 * DAY
SCANS = ("span", "deribit-like", "paradex-like")


def lines(level: Level) -> dict[str, float]:
    return {f"{line.component} {line.instrument}": line.amount / PICO for line in level.lines}


def refused(content: dict[str, Any], profile: str) -> PortfolioError:
    with pytest.raises(PortfolioError) as caught:
        only({"account": "alice", **content}, profile)
    assert caught.value.account == "alice"
    return caught.value


# === What a model has no rule for ===

HELD: dict[str, dict[str, Any]] = {
    "collateral": {"asset": "ETH", "amount": 1},
    "debts": {"asset": "ETH", "amount": 1},
    "perpetuals": {"asset": "ETH", "amount": 1},
    "futures": {"asset": "ETH", "seconds": DAY, "amount": 1},
    "options": {"asset": "ETH", "seconds": DAY, "amount": 1, "strike": 2_000, "call": True},
}
MARKET: dict[str, Any] = {
    "ETH": {"price": 2_000, "expiries": [{"seconds": DAY, "forward": 2_010, "vol": 0.6}]},
}
SUPPORTED = {
    "ltv": "collateral debts",
    "compound": "collateral debts",
    "cross": "collateral debts perpetuals futures",
    "dydx": "perpetuals",
    "drift": "collateral debts perpetuals",
    "mango": "collateral debts perpetuals",
    "derive-sm": "collateral debts perpetuals options",
}


@pytest.mark.parametrize("section", HELD)
@pytest.mark.parametrize("profile", SUPPORTED)
def test_an_instrument_without_a_rule_is_refused_and_never_left_out(profile: str, section: str) -> None:
    content = {"market": MARKET, section: [HELD[section]]}
    if section in SUPPORTED[profile].split():
        if section != "debts":
            assert isinstance(refused(content, profile), UnknownAsset)  # it asks for the asset's parameters
        return
    error = refused(content, profile)
    assert (type(error), error.field) == (UnsupportedInstrument, section)
    assert error.instrument.startswith("ETH")
    nothing = {**content, section: [{**HELD[section], "amount": 0}]}
    assert only(nothing, profile).status == "healthy"


@pytest.mark.parametrize("section", HELD)
def test_an_instrument_is_held_once(section: str) -> None:
    content = {"market": MARKET, section: [HELD[section], HELD[section]]}
    error = refused(content, "deribit-like")
    assert (type(error), error.field) == (DuplicateInstrument, section)
    content[section] = [HELD[section], {**HELD[section], "amount": 0}]
    only(content, "deribit-like")
    others: dict[str, dict[str, Any]] = {"futures": {"seconds": 2 * DAY}, "options": {"call": False}}
    different = others.get(section, {"asset": "BTC"})
    market = {name: {**MARKET["ETH"]} for name in ("ETH", "BTC")}
    market["ETH"]["expiries"] = [{**row, "seconds": days * DAY} for days in (1, 2) for row in MARKET["ETH"]["expiries"]]
    only({"market": market, section: [HELD[section], {**HELD[section], **different}]}, "deribit-like")


# === Dated futures ===


def futures(
    *held: dict[str, Any], profile_parameters: dict[str, Any] | None = None, **account: object
) -> dict[str, Any]:
    market = {
        "ETH": {
            "price": 2_000,
            "expiries": [{"seconds": 30 * DAY, "forward": 2_100}, {"seconds": 90 * DAY, "forward": 2_200, "vol": "x"}],
        }
    }
    ranges = {"assets": {"ETH": {"price_range": 0.1, "vol_range": 0.05}}}
    return {"market": market, "parameters": profile_parameters or ranges, "futures": list(held), **account}


def future(**changes: object) -> dict[str, Any]:
    return {"asset": "ETH", "seconds": 30 * DAY, "amount": 2, "entry_price": 2_050, **changes}


def test_a_future_gains_by_its_own_forward_and_moves_with_the_spot() -> None:
    level = only(futures(future(), future(seconds=90 * DAY, amount=-1, entry_price=2_000)), "span").levels[1]
    found = lines(level)
    assert found["futures pnl ETH-2592000"] == 100
    assert found["futures pnl ETH-7776000"] == -200
    assert found["scan ETH"] == pytest.approx((2 * 2_100 - 2_200) * 0.1)
    assert lines(only(futures(future(entry_price=None)), "span").levels[1])["futures pnl ETH-2592000"] == 0


def test_a_grid_charges_futures_by_size_at_the_spot() -> None:
    found = lines(only(futures(future(), profile_parameters={}), "deribit-like").levels[0])
    assert found["future pnl ETH-2592000"] == 100
    assert found["scan ETH"] == pytest.approx(4_200 * 0.16)
    assert found["future contingency ETH"] == pytest.approx(4_000 * 0.006)


def test_the_delta_of_a_future_is_forward_over_spot() -> None:
    content = futures(
        future(), profile_parameters={"net_delta_floor": 1}, perpetuals=[{"asset": "ETH", "amount": -2}]
    )  # 2·2,100/2,000 − 2 = 0.1 net, 4.1 gross
    found = lines(only(content, "paradex-like").levels[0])
    assert found["delta floor ETH"] == pytest.approx(0.1 * 2_000 + 0.01 * 2.0 * 2_000)


@pytest.mark.parametrize("profile", SCANS)
@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"seconds": -1}, ExpiredInstrument, "seconds"),
        ({"seconds": None}, MissingField, "seconds"),
        ({"seconds": 1.5}, PortfolioError, "seconds"),
        ({"seconds": 7}, MissingField, "expiries"),
        ({"asset": "DOGE"}, UnknownAsset, "market"),
        ({"amount": float("inf")}, OutOfRange, "amount"),
        ({"entry_price": -1}, OutOfRange, "entry_price"),
    ],
)
def test_a_bad_future_is_named(
    profile: str, changes: dict[str, object], error: type[PortfolioError], field: str
) -> None:
    found = refused(futures(future(**changes), profile_parameters={} if profile != "span" else None), profile)
    assert (type(found), found.field) == (error, field)
    assert str(changes.get("asset", "ETH")) in found.instrument


def test_a_future_needs_no_volatility_and_an_expired_one_of_nothing_no_care() -> None:
    only(futures(future(seconds=90 * DAY)), "span")
    assert only(futures(future(seconds=-5, amount=0)), "span").status == "healthy"


# === Assets that redeem for others ===


def redeemable(market_price: object, rate: object, **account: object) -> dict[str, Any]:
    factors = {"borrow": 0.5, "liquidation": 0.5}
    return {
        "market": {
            "ETH": {"price": 2_000, "confidence": 0.9},
            "WSTETH": {"price": market_price, "redemption": {"asset": "ETH", "rate": rate}},
            "VAULT": {"price": 3_000, "redemption": {"asset": "WSTETH", "rate": 1.1}},
        },
        "parameters": {"assets": {"WSTETH": factors, "VAULT": factors}},
        "collateral": [{"asset": "WSTETH", "amount": 10}],
        **account,
    }


def test_collateral_counts_at_the_lower_of_its_values_and_says_so() -> None:
    depegged = lines(only(redeemable(2_200, 1.17), "ltv").levels[0])
    assert depegged == {"collateral at market value WSTETH": 11_000}
    rich = lines(only(redeemable(2_400, 1.17), "ltv").levels[0])
    assert rich == {"collateral at redemption value WSTETH": 11_700}


def test_a_debt_counts_at_the_higher() -> None:
    owed = [{"asset": "WSTETH", "amount": 1}]
    for price, line, amount in ((2_200, "redemption", 2_340), (2_400, "market", 2_400)):
        found = lines(only(redeemable(price, 1.17, collateral=[], debts=owed), "ltv").levels[0])
        assert found == {f"debt at {line} value WSTETH": amount}


def test_a_share_of_a_share_is_looked_through() -> None:
    vault = [{"asset": "VAULT", "amount": 10}]
    found = lines(only(redeemable(2_200, 1.17, collateral=vault), "ltv").levels[0])
    assert found == {"collateral at redemption value VAULT": 2_200 * 1.1 * 10 / 2}


def test_redemption_rounds_against_the_account() -> None:
    content = redeemable(2_000, "0.333333333333333333", collateral=[])
    content["market"]["ETH"]["price"] = "0.000000000000000005"  # one and two thirds of a unit
    held = [{"asset": "WSTETH", "amount": "1e9"}]
    assert lines(only({**content, "collateral": held}, "ltv").levels[0])[
        "collateral at redemption value WSTETH"
    ] == pytest.approx(0.5e-9, rel=1e-3)
    content["market"]["WSTETH"]["price"] = "1e-18"
    found = lines(only({**content, "debts": [{"asset": "WSTETH", "amount": "1e9"}]}, "ltv").levels[0])
    assert found == {"debt at redemption value WSTETH": pytest.approx(2e-9)}


def test_what_is_said_of_the_asset_alone_gives_way_to_what_it_redeems_for() -> None:
    content = redeemable(2_200, 1.05)
    market = Fields(content["market"], "alice")
    quote = read_held(market, "WSTETH")
    assert quote.confidence == 9 * WAD // 10
    assert quote.price == quote.stable == quote.twap == quote.redemption == 2_100 * WAD
    assert quote.market == 2_200 * WAD
    content["market"]["WSTETH"].update(stable_price=2_150, twap=2_160, confidence=0.5)
    quote = read_held(market, "WSTETH")
    assert (quote.stable, quote.twap, quote.confidence) == (2_150 * WAD, 2_160 * WAD, WAD // 2)


PARAMETERS: dict[str, Any] = {
    "derive-sm": {"assets": {"WSTETH": {
        "perpetual_initial": 1, "perpetual_maintenance": 1, "base_initial": 0.5, "base_maintenance": 0.5}}},
    "drift": {"spots": {"WSTETH": {
        "asset_initial": 0.5, "asset_maintenance": 0.5, "liability_initial": 2, "liability_maintenance": 2}}},
    "mango": {"tokens": {"WSTETH": {
        "initial_asset": 0.5, "initial_liability": 2, "maintenance_asset": 0.5, "maintenance_liability": 2}}},
}  # fmt: skip


@pytest.mark.parametrize("profile", ["ltv", "compound", "derive-sm", "drift", "mango", "deribit-like"])
def test_every_model_that_takes_collateral_takes_the_lower(profile: str) -> None:
    content = redeemable(2_200, 1.17)
    content["parameters"] = PARAMETERS.get(profile, content["parameters"] if profile in {"ltv", "compound"} else {})
    level = only(content, profile).levels[-1]
    assert level.equity == (22_000 if profile == "deribit-like" else 11_000) * PICO
    assert any(line.component.endswith(" at market value") for line in level.lines)


@pytest.mark.parametrize(
    ("asset", "changes", "instrument", "field", "error"),
    [
        ("WSTETH", {"price": None}, "WSTETH", "price", MissingField),
        ("WSTETH", {"price": "NaN"}, "WSTETH", "price", OutOfRange),
        ("WSTETH", {"redemption": {"asset": "ETH"}}, "WSTETH.redemption", "rate", MissingField),
        ("WSTETH", {"redemption": {"asset": "ETH", "rate": 0}}, "WSTETH.redemption", "rate", OutOfRange),
        ("WSTETH", {"redemption": {"rate": 1}}, "WSTETH.redemption", "asset", MissingField),
        ("WSTETH", {"redemption": 5}, "WSTETH.redemption", "", PortfolioError),
        ("WSTETH", {"redemption": {"asset": "ETH", "rate": 1e14}}, "WSTETH", "redemption.rate", OutOfRange),
        ("WSTETH", {"redemption": {"asset": "WSTETH", "rate": 1}}, "WSTETH", "redemption", PortfolioError),
        ("WSTETH", {"redemption": {"asset": "DOGE", "rate": 1}}, "DOGE", "market", UnknownAsset),
        ("ETH", {"price": None}, "ETH", "price", MissingField),
    ],
)
def test_one_value_without_the_other_is_refused(
    asset: str, changes: dict[str, Any], instrument: str, field: str, error: type[PortfolioError]
) -> None:
    content = redeemable(2_200, 1.17)
    content["market"][asset].update(changes)
    found = refused(content, "ltv")
    assert (type(found), found.instrument, found.field) == (error, instrument, field)


# === Debts with interest ===


def borrowed(market: dict[str, Any], **debt: object) -> dict[str, Any]:
    return {
        "market": {"USDC": {"price": 1, **market}},
        "parameters": {},
        "debts": [{"asset": "USDC", "amount": 1_000, **debt}],
    }


def owed(market: dict[str, Any], **debt: object) -> int:
    return only(borrowed(market, **debt), "ltv").levels[0].requirement


CURVE = {"least": 0.02, "slope": 0.1, "optimal": 0.8, "steep": 2}


def test_a_debt_grows_with_its_index_and_rounds_up() -> None:
    assert owed({"borrow_index": 1.5}, index=1.2) == 1_250 * PICO
    assert owed({"borrow_index": 1}, index=3 / 4) == 1_333_333_333_333_334  # 1,333.33… USD, up
    assert owed({"borrow_index": 1.5}) == 1_000 * PICO
    assert owed({}, amount=7) == 7 * PICO


@pytest.mark.parametrize(("borrows", "rate"), [(0, 0.02), (400, 0.06), (800, 0.1), (900, 0.3), (2_000, 0.5)])
def test_an_old_index_has_grown_at_the_rate_of_its_utilisation(borrows: float, rate: float) -> None:
    market = {"borrow_index": 1.2, "index_age": YEAR // 2, "borrow_curve": CURVE, "deposits": 1_000, "borrows": borrows}
    assert owed(market, index=1.2) / PICO == pytest.approx(1_000 * exp(rate / 2), rel=1e-14)


@pytest.mark.parametrize(
    ("market", "debt", "field", "error"),
    [
        ({}, {"index": 1}, "borrow_index", MissingField),
        ({"borrow_index": 0}, {"index": 1}, "borrow_index", OutOfRange),
        ({"borrow_index": 1}, {"index": 0}, "index", OutOfRange),
        ({"borrow_index": 1}, {"index": 1.0001}, "index", PortfolioError),
        ({"borrow_index": 1e14}, {"index": 1}, "index", OutOfRange),
        ({"borrow_index": 1, "index_age": 1}, {"index": 1}, "least", MissingField),
        ({"borrow_index": 1, "index_age": 1, "borrow_curve": CURVE}, {"index": 1}, "borrows", MissingField),
        ({"borrow_index": 1, "index_age": -1}, {"index": 1}, "index_age", OutOfRange),
        (
            {"borrow_index": 1, "index_age": 99 * YEAR, "borrow_curve": CURVE, "borrows": 1, "deposits": 1},
            {"index": 1}, "index_age", OutOfRange,
        ),
        ({"borrow_index": 1}, {"index": 1, "amount": -1}, "amount", OutOfRange),
    ],
)  # fmt: skip
def test_a_bad_index_is_named(
    market: dict[str, Any], debt: dict[str, object], field: str, error: type[PortfolioError]
) -> None:
    found = refused(borrowed(market, **debt), "ltv")
    assert (type(found), found.field) == (error, field)
    assert found.instrument.startswith("USDC")


def test_no_debt_reads_no_index() -> None:
    assert owed({"price": "NaN", "borrow_index": "NaN"}, index=1, amount=0) == 0


@pytest.mark.parametrize("name", [5, "", "x" * 201, [], True])
def test_an_account_that_cannot_be_named_is_refused_by_its_place(name: object) -> None:
    content = {"accounts": [{"account": name}, {"account": "bob", "cash": 1}]}
    wrong, bob = evaluate_file(PROFILES["ltv"], content, "file")
    if name == "":
        assert not isinstance(wrong, PortfolioError)
        return
    assert isinstance(wrong, PortfolioError)
    assert (wrong.account, wrong.field) == ("account 0", "account")
    assert not isinstance(bob, PortfolioError)


def test_every_model_is_tried_here() -> None:
    assert {*SUPPORTED, *SCANS} <= set(PROFILES)
