"""Rule 5: what missing, stale, frozen and disputed inputs do, at both ends, to assets and to obligations."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.hypothec.feeds import FeedStatus
from node.model.health import HealthStatus, Reason
from tests.unit.margin_models.hypothec.accounts import (
    collateral,
    market,
    option,
    parameters,
    perpetual,
    portfolio,
    result,
    usd,
)

PLAIN = {"floor": 0, "cap": 0, "impact": 0, "age_per_hour": 0, "spread_multiple": 0, "size_steps": [1000]}
"""Haircuts that hold nothing back."""
STILL = {"rows": [{"name": "still"}], "haircuts": PLAIN, "charges": {"linear": 0, "short_option": 0}}
STILL_AND_UNCORRELATED = {**STILL, "shortfall": {"deviations": 2, "horizon": 1, "correlation": 0}}


def ends(account: dict[str, Any], level: str = "maintenance", **changes: dict[str, Any]) -> tuple[float, float]:
    found = result(account, market(**changes), **STILL_AND_UNCORRELATED)
    interval = getattr(found, f"{level}_excess")
    return usd(interval.low), usd(interval.high)


def test_a_fresh_price_counts_over_its_range() -> None:
    account = {"collateral": [collateral("USDC", 1_000)]}
    assert ends(account) == pytest.approx((1_000, 1_000), abs=1)
    assert ends(account, USDC={"low": 0.99, "high": 1.01}) == pytest.approx((990, 1_010), abs=1)
    assert ends(account, USDC={"confidence": 0.98}) == pytest.approx((980, 1_020), abs=1)


@pytest.mark.parametrize("status", ["STALE", "FROZEN", "DISPUTED"])
def test_an_asset_of_which_little_is_known_counts_from_nothing_to_the_bound_of_its_age(status: str) -> None:
    account = {"collateral": [collateral("ETH", 1)]}
    low, high = ends(account, ETH={"status": status, "age": 3_600})
    assert low == 0
    assert high == pytest.approx(3_000 * 1.12, rel=1e-3)
    assert ends(account, ETH={"status": status, "age": 36_000})[1] == pytest.approx(6_000, rel=1e-3)
    assert ends(account, ETH={"status": status, "age": 90_000}) == (0, 0)
    assert ends(account, "initial", ETH={"status": status}) == (0, 0)


def test_age_alone_makes_a_price_stale() -> None:
    account = {"collateral": [collateral("ETH", 1)]}
    assert ends(account, ETH={"age": 300})[0] > 2_900
    assert ends(account, ETH={"age": 301})[0] == 0


@pytest.mark.parametrize("chain", ["HALTED", "DISPUTED", "STALE"])
def test_a_chain_that_is_not_live_makes_its_holdings_uncertain(chain: str) -> None:
    low, high = ends({"collateral": [collateral("ETH", 1, chain=chain)]})
    assert low == 0
    assert high == pytest.approx(3_000, rel=1e-3)


def test_a_debt_is_counted_the_other_way_round() -> None:
    account = {"cash": 10_000, "debts": [collateral("ETH", 1)]}
    assert ends(account) == pytest.approx((7_000, 7_000), rel=1e-2)
    assert ends(account, ETH={"status": "STALE", "age": 3_600}) == pytest.approx((10_000 - 3_360, 10_000), rel=1e-2)
    low, high = ends(account, ETH={"status": "MISSING"})
    assert low < -1e14
    assert high == pytest.approx(10_000, rel=1e-2)


def test_no_profit_of_a_stale_price_counts_at_the_low_end() -> None:
    account = {"cash": 100, "perpetuals": [perpetual(amount=1, entry_price=2_000)]}
    assert ends(account)[0] == pytest.approx(1_100, rel=1e-2)
    low, high = ends(account, ETH={"status": "STALE", "age": 0})
    assert low == pytest.approx(100, rel=1e-2)
    assert high == pytest.approx(1_160, rel=1e-2)
    loses = {"cash": 100, "perpetuals": [perpetual(amount=-1, entry_price=2_000)]}
    assert ends(loses, ETH={"status": "STALE", "age": 0})[0] == pytest.approx(-960, rel=1e-2)


def test_without_a_price_a_long_loses_what_it_paid_and_a_short_has_no_bound() -> None:
    gone = {"status": "MISSING"}
    assert ends({"cash": 9_000, "perpetuals": [perpetual("GHOST", 2, entry_price=30)]}, GHOST=gone) == (8_940, 9_000)
    assert ends({"cash": 9_000, "perpetuals": [perpetual("GHOST", -2, entry_price=30)]}, GHOST=gone)[0] < -1e14
    at_venue = {
        "cash": 9_000,
        "venues": {"dex": {"limit": 700}},
        "perpetuals": [perpetual("GHOST", -2, entry_price=30, venue="dex")],
    }
    assert ends(at_venue, GHOST=gone) == (8_300, 9_000)


def test_options_without_a_price_are_bounded_by_their_strike() -> None:
    gone = {"status": "MISSING"}
    held = {"cash": 100, "options": [option("GHOST", 1, 50), option("GHOST", 1, 60, call=False)]}
    assert ends(held, GHOST=gone) == (100, 100)
    put = {"cash": 100, "options": [option("GHOST", -1, 60, call=False)]}
    assert ends(put, GHOST=gone) == (40, 100)
    call = {"cash": 100, "options": [option("GHOST", -1, 60)]}
    assert ends(call, GHOST=gone)[0] < -1e14


def test_an_option_on_a_stale_price_is_worth_nothing_at_the_low_end() -> None:
    low, high = ends({"cash": 100, "options": [option(amount=1)]}, ETH={"status": "STALE", "age": 0})
    assert low == pytest.approx(100, abs=1)
    assert high > 300


def test_a_zero_balance_reads_no_feed() -> None:
    nothing = {
        "cash": 5,
        "collateral": [collateral("NOWHERE", 0)],
        "debts": [collateral("NOWHERE", 0)],
        "perpetuals": [perpetual("NOWHERE", 0)],
        "options": [option("NOWHERE", 0)],
    }
    assert ends(nothing) == (5, 5)
    assert not portfolio(nothing).risks


def test_a_bad_feed_on_one_asset_changes_nothing_about_another() -> None:
    good = {"cash": 2_000, "perpetuals": [perpetual("BTC", 0.1)]}
    mixed = {**good, "perpetuals": [*good["perpetuals"], perpetual("GHOST", 1, entry_price=10)]}  # type: ignore[misc]
    alone, beside = result(good), result(mixed, market(GHOST={"status": "MISSING"}))
    assert beside.maintenance_excess.high == alone.maintenance_excess.high
    assert beside.maintenance_excess.low == alone.maintenance_excess.low - 10 * 10**12
    reduced = {**mixed, "perpetuals": [perpetual("BTC", 0.05), perpetual("GHOST", 1, entry_price=10)]}
    after = result(reduced, market(GHOST={"status": "MISSING"}))
    assert after.maintenance_excess.low > beside.maintenance_excess.low


def test_the_status_says_which_end_decided() -> None:
    owes = {"cash": -2_700, "collateral": [collateral("ETH", 1)]}
    shaky = {"status": "STALE", "age": 60}
    assert (result({"cash": 1}).status, result({"cash": 1}).decided_by) == (HealthStatus.HEALTHY, "low")
    unknown = result(owes, market(ETH=shaky))
    assert (unknown.status, unknown.decided_by) == (HealthStatus.UNKNOWN, "both")
    assert unknown.reasons == (Reason.STALE_PRICE,)
    lost = result({"cash": -2_990, "collateral": [collateral("ETH", 1)]})
    assert (lost.status, lost.decided_by) == (HealthStatus.LIQUIDATABLE, "high")
    gone = result({"cash": -3_001, "collateral": [collateral("ETH", 1)]})
    assert (gone.status, gone.decided_by) == (HealthStatus.INSOLVENT, "high")
    near = result({"cash": -2_380, "collateral": [collateral("ETH", 1)]})
    assert (near.status, near.decided_by) == (HealthStatus.MARGIN_CALL, "low")


def test_a_wide_spread_alone_is_a_reason() -> None:
    found = result(
        {"cash": -2_400, "collateral": [collateral("ETH", 1)]}, market(ETH={"low": 2_500, "high": 3_600}), **STILL
    )
    assert (found.status, found.reasons) == (HealthStatus.UNKNOWN, (Reason.PRICE_SPREAD,))


def test_of_two_values_the_lower_counts_and_the_higher_is_owed() -> None:
    held = {"collateral": [collateral("WSTETH", 1)]}
    owed = {"cash": 9_000, "debts": [collateral("WSTETH", 1)]}
    for price, lower, higher in ((3_400, 3_400, 3_600), (3_800, 3_600, 3_800)):
        assert ends(held, WSTETH={"price": price})[0] == pytest.approx(lower, rel=1e-3)
        assert 9_000 - ends(owed, WSTETH={"price": price})[0] == pytest.approx(higher, rel=1e-2)
    assert ends(held, ETH={"status": "STALE"})[0] == 0
    assert ends(held, ETH={"status": "MISSING"}) == (0, 0)


def test_statuses_have_a_worst_of_two() -> None:
    held = portfolio(
        {"collateral": [collateral("WSTETH", 1)]},
        market(ETH={"status": "FROZEN"}, WSTETH={"status": "DISPUTED"}),
        parameters(),
    )
    assert held.holdings[0].feed.status is FeedStatus.FROZEN


def test_a_range_grows_with_the_row_that_moves_the_price() -> None:
    """A short at a price that may be a tenth higher loses half of that more when the price rises by half."""
    rules: dict[str, Any] = {**STILL_AND_UNCORRELATED, "rows": [{"together": 0.5}]}
    account = {"cash": 9_000, "perpetuals": [perpetual(amount=-1, entry_price=3_000)]}
    around = result(account, market(ETH={"high": 3_300}), **rules).initial_excess
    highest = result(account, market(ETH={"price": 3_300}), **rules).initial_excess
    assert usd(highest.low) == pytest.approx(9_000 - (3_300 * 1.5 - 3_000), rel=1e-3)
    assert usd(around.low) == pytest.approx(usd(highest.low), rel=1e-3)
