"""Both ends of the interval are bounds: hedged accounts where charges decide, at every corner of what is possible."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.fixed import as_wad
from node.margin.models.hypothec.profile import result_of
from node.margin.models.hypothec.shortfall import shortfall
from node.model.health import HealthStatus
from tests.unit.margin_models.hypothec.accounts import (
    NO_CHARGES,
    NO_SHORTFALL,
    STILL,
    collateral,
    market,
    option,
    parameters,
    perpetual,
    portfolio,
    result,
    somewhere,
)

WIDE = market(
    BTC={"price": 60_000, "low": 57_000, "high": 63_000, "vol": 0.8, "vol_spread": 0.1},
    ETH={"price": 3_000, "low": 2_800, "high": 3_300, "vol": 1.2, "vol_spread": 0.1},
    SOL={"price": 150, "status": "STALE", "age": 900, "vol": 1.5},
)
HEDGED: dict[str, dict[str, Any]] = {
    "collateral by a perpetual": {"collateral": [collateral("ETH", 10)], "perpetuals": [perpetual(amount=-10)]},
    "collateral that may have moved": {"collateral": [collateral("SOL", 100)], "perpetuals": [perpetual(amount=-4)]},
    "what is on a halted chain": {
        "collateral": [collateral("ETH", 5, chain="HALTED")],
        "perpetuals": [perpetual(amount=-20)],
    },
    "nothing: a debt": {"debts": [{"asset": "ETH", "amount": 4}]},
    "nothing: a venue that is ahead": {
        "venues": {"dex": {"limit": 9_000}},
        "perpetuals": [perpetual(amount=6, entry_price=1_000, venue="dex")],
    },
    "a debt by a perpetual": {"debts": [{"asset": "ETH", "amount": 5}], "perpetuals": [perpetual(amount=5)]},
    "one underlying by another": {"perpetuals": [perpetual(amount=10), perpetual("BTC", -0.4)]},
    "calls by their underlying": {"perpetuals": [perpetual(amount=5)], "options": [option(amount=-10)]},
    "puts by calls": {"options": [option(amount=10), option(amount=10, call=False)]},
    "written deep in the money": {"options": [option(amount=-3, strike=1_000), option(amount=-3, strike=6_000)]},
    "at two venues": {
        "collateral": [collateral("ETH", 3)],
        "venues": {"dex": {"limit": 9_000}, "ftx": {"limit": 4_000}},
        "perpetuals": [perpetual(amount=-6, venue="dex"), perpetual(amount=5, venue="ftx")],
    },
}
CHARGED: list[dict[str, Any]] = [
    NO_CHARGES,
    NO_SHORTFALL,
    {"charges": {"linear": 0.05, "short_option": 0.05, "concentration_share": 0, "concentration_rate": 0.4}},
]


@pytest.mark.parametrize("of", CHARGED, ids=["shortfall", "charges", "both"])
@pytest.mark.parametrize("name", HEDGED)
def test_no_price_or_volatility_in_its_range_leaves_less_than_low_or_more_than_high(
    name: str, of: dict[str, Any]
) -> None:
    rules = parameters(**STILL, **of)
    within = portfolio({"cash": 20_000, **HEDGED[name]}, WIDE, rules)
    found = result_of(within, rules).maintenance_excess
    ends = [(place, error) for place in (0, 1) for error in (-1, 1)]
    inside = [
        result_of(somewhere(within, {"ETH": eth, "BTC": btc, "SOL": sol}), rules).maintenance_excess
        for eth in ends for btc in ends for sol in ends
    ]  # fmt: skip
    assert found.low - 100 <= min(each.low for each in inside)
    assert max(each.high for each in inside) <= found.high + 100


def ends(account: dict[str, Any], of: dict[str, Any]) -> list[int]:
    rules = parameters(**STILL)
    found = result_of(portfolio(account, of, rules), rules)
    return [getattr(each, end) for end in ("low", "high") for each in (found.initial_excess, found.maintenance_excess)]


@pytest.mark.parametrize("short", [-2, -20])
def test_collateral_that_may_be_there_counts_at_the_high_end_with_all_that_it_hedges(short: float) -> None:
    known = market(ETH={"price": 3_000, "vol": 1.2})
    owing = {"cash": 20_000, "perpetuals": [perpetual(amount=short)]}
    without, there, doubtful = (
        ends({**owing, "collateral": held}, known)
        for held in ([], [collateral("ETH", 5)], [collateral("ETH", 5, chain="HALTED")])
    )
    assert doubtful[:2] == pytest.approx(without[:2], abs=10)
    assert all(-10 <= high - most < 10**9 for high, most in zip(doubtful[2:], there[2:], strict=True))


def test_collateral_on_a_stale_price_costs_nothing_at_the_low_end() -> None:
    owing = {"cash": 20_000, "perpetuals": [perpetual(amount=3)]}
    assert ends({**owing, "collateral": [collateral("SOL", 5)]}, WIDE)[:2] == pytest.approx(
        ends(owing, WIDE)[:2], abs=10
    )


@pytest.mark.parametrize("vol", [0.1, 12])
def test_what_follows_a_wilder_or_calmer_coin_costs_no_more_than_it_counts_and_relieves_no_other(vol: float) -> None:
    """What a haircut has held back is of the shortfall of the coin, at the coin's volatility and not at its own."""
    of = market(ETH={"price": 3_000, "vol": vol}, WSTETH={"price": 3_600, "vol": 0.75})
    owing = {"cash": 50_000, "perpetuals": [perpetual(amount=2), perpetual("BTC", 0.3), perpetual("SOL", -0.1)]}
    without, there = (ends({**owing, "collateral": held}, of) for held in ([], [collateral("WSTETH", 1)]))
    rules = parameters(**STILL)
    [own, *_] = result_of(portfolio({"collateral": [collateral("WSTETH", 1)]}, of, rules), rules).parts
    alone = shortfall(own.deltas, {"ETH": as_wad(vol)}, {"ETH": "majors"}, rules.shortfall)
    assert all(before <= after + 10 for before, after in zip(without, there, strict=True))
    assert own.relief.high <= alone


@pytest.mark.parametrize("chain", ["HALTED", "DISPUTED", "STALE"])
def test_collateral_that_may_not_be_there_leaves_the_depth_to_what_is(chain: str) -> None:
    of = market(ETH={"price": 3_000, "depth": 100_000})
    without, beside = (
        ends({"collateral": [collateral("ETH", 20), *more]}, of) for more in ([], [collateral("ETH", 20, chain=chain)])
    )
    assert beside[:2] == without[:2]
    assert beside[2:] > without[2:]


@pytest.mark.parametrize("status", ["STALE", "FROZEN", "DISPUTED"])
@pytest.mark.parametrize("owed", ["call", "put", "debt"])
def test_what_is_owed_on_a_price_that_is_not_known_makes_nobody_richer_at_the_high_end(owed: str, status: str) -> None:
    """An account that is lost is not saved by what it owes besides, however a row would change that."""
    of = market(BTC={"price": 60_000, "status": status, "age": 600})
    lost = {
        "collateral": [collateral("USDC", 1_000)],
        "venues": {"dex": {"limit": 1_000_000}},
        "perpetuals": [perpetual(amount=10, entry_price=3_200, venue="dex")],
    }
    more: dict[str, Any] = {"debts": [{"asset": "BTC", "amount": 5}]}
    if owed != "debt":
        more = {"options": [option("BTC", -5, 60_000, call=owed == "call", venue="dex")]}
    before, after = (result(each, of) for each in (lost, {**lost, **more}))
    assert before.status is HealthStatus.INSOLVENT
    assert after.status in (HealthStatus.INSOLVENT, HealthStatus.LIQUIDATABLE)
    assert after.maintenance_excess.high <= before.maintenance_excess.high + 10
    assert after.maintenance_excess.low < before.maintenance_excess.low
