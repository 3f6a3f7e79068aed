"""What holds of every account: intervals contain what they are about, and more is never worse than less."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models.fixed import PICO
from node.margin.models.hypothec.margin import Result
from node.margin.models.hypothec.parts import UNBOUNDED
from node.margin.models.hypothec.profile import result_of
from node.model.health import HealthStatus
from tests.property.margin_models.hypothec.books import ASSETS, STATUSES, accounts, markets
from tests.unit.margin_models.hypothec.accounts import evaluation, parameters, portfolio, result, somewhere

FEW: dict[str, Any] = {
    "rows": [
        {"market": -0.15, "vol": 0.5},
        {"market": 0.15, "vol": 0.5},
        {"market": -0.6, "vol": 0.5, "weight": 0.3},
        {"market": 2, "weight": 0.1},
        {"groups": {"majors": 0.1}, "others": -0.1, "vol": -0.3},
        {"issuers": {"circle": -0.12}, "kinds": {"lst": -0.1}},
    ]
}
CALM: dict[str, Any] = {"rows": [{"market": -0.01}]}
CHARGED: dict[str, Any] = {
    "charges": {"short_option": 0.05, "linear": 0.03, "concentration_share": 0.01, "concentration_rate": 0.5},
    "haircuts": {"impact": 0.3},
    **CALM,
}
JUMPY: dict[str, Any] = {**CALM, "shortfall": {"deviations": 3, "horizon": 20 * 86_400, "correlation": 0.2}}
PRICED = tuple(status for status in STATUSES if status != "MISSING")
PLACES, ERRORS = st.sampled_from((0, 0.3, 1)), st.sampled_from((-1, 0.2, 1))
ROUNDED = 1_000
"""What each unit of up to a hundred may have lost to rounding, in 1e-12 USD."""


@settings(max_examples=12, deadline=None)
@given(accounts(), markets())
def test_low_is_below_high_and_the_status_follows(account: dict[str, Any], of: dict[str, Any]) -> None:
    found = result(account, of, **FEW)
    for interval in (found.initial_excess, found.maintenance_excess):
        assert interval.low <= interval.high
    assert found.maintenance_excess.low >= found.initial_excess.low
    if found.status in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT):
        assert found.maintenance_excess.high < 0
    if found.status is HealthStatus.UNKNOWN:
        assert found.maintenance_excess.low < 0 <= found.maintenance_excess.high
        assert found.reasons


@settings(max_examples=60, deadline=None)
@given(st.data(), accounts(2), markets(PRICED), st.sampled_from([{}, CALM, CHARGED, JUMPY]))
def test_whatever_prices_are_within_their_ranges_is_within_the_interval(
    data: st.DataObject, account: dict[str, Any], of: dict[str, Any], charges: dict[str, Any]
) -> None:
    """Initial margin of what is not fresh counts nothing by rule, so the range is that of maintenance margin."""
    of = {name: {**quote, "age": min(quote["age"], 4_000)} for name, quote in of.items()}
    rules = parameters(**{**FEW, **charges})
    places = {asset: (data.draw(PLACES), data.draw(ERRORS)) for asset in ASSETS}
    within = portfolio(account, of, rules)
    around, point = result_of(within, rules), result_of(somewhere(within, places), rules)
    assert around.maintenance_excess.low <= point.maintenance_excess.low + ROUNDED
    assert point.maintenance_excess.high <= around.maintenance_excess.high + ROUNDED
    assert around.initial_excess.low <= point.initial_excess.low + ROUNDED
    if all(each.feed.is_fresh for each in within.holdings):
        assert point.initial_excess.high <= around.initial_excess.high + ROUNDED


def ends(found: Result) -> list[int]:
    return [
        found.initial_excess.low,
        found.initial_excess.high,
        found.maintenance_excess.low,
        found.maintenance_excess.high,
    ]


@settings(max_examples=12, deadline=None)
@given(accounts(), markets())
def test_more_cash_is_worth_exactly_that_where_there_is_a_bound(account: dict[str, Any], of: dict[str, Any]) -> None:
    cash = int(account["cash"])
    before, after = (ends(result({**account, "cash": each}, of, **FEW)) for each in (cash, cash + 512))
    for one, other in zip(after, before, strict=True):
        assert one - other == 512 * PICO or (one == other and other < -UNBOUNDED // 2)


@settings(max_examples=10, deadline=None)
@given(accounts(), markets(("FRESH",)))
def test_what_is_known_worse_is_never_worth_more_at_the_low_end(account: dict[str, Any], of: dict[str, Any]) -> None:
    """But for the rounding of the sums that a price no longer enters: one unit each."""
    good, held = result(account, of, **FEW), {**account, "perpetuals": [], "futures": [], "options": []}
    least = result(held, of, **FEW).maintenance_excess.low
    for status in ("STALE", "FROZEN"):
        worse = {**of, "ETH": {**of["ETH"], "status": status}}
        assert result(held, worse, **FEW).maintenance_excess.low <= least + 4
        assert result(account, worse, **FEW).maintenance_excess.high >= good.maintenance_excess.low


@settings(max_examples=10, deadline=None)
@given(accounts(), markets())
def test_lines_add_up(account: dict[str, Any], of: dict[str, Any]) -> None:
    found, shown = result(account, of, **FEW), evaluation(account, of, **FEW)
    assert [level.excess for level in shown.levels] == [found.initial_excess.low, found.maintenance_excess.low]


@settings(max_examples=10, deadline=None)
@given(accounts(), markets())
def test_no_venue_can_cost_more_than_its_limit(account: dict[str, Any], of: dict[str, Any]) -> None:
    found = result(account, of, **FEW)
    own = {
        **{key: each for key, each in account.items() if key not in ("venues", "perpetuals", "futures", "options")},
        **{key: [each for each in account[key] if not each["venue"]] for key in ("perpetuals", "futures", "options")},
    }
    without = result(own, of, **FEW)
    most = sum(max(0, venue["limit"] - venue["seized"]) for venue in account["venues"].values())
    if [part.entries for part in found.parts if part.limit is None] != [part.entries for part in without.parts]:
        return  # what it issued is counted differently with the venue
    assert found.maintenance_excess.low >= without.maintenance_excess.low - (most + 1) * PICO
