"""Health of single accounts, worked out by hand: how holdings count, how claims count, which status follows."""

from __future__ import annotations

import pytest

from chains.types import Address, Amount, Control
from node.margin import MarginContext, evaluate
from node.model.digests import ReleaseKind
from node.model.frame import PriceStatus
from node.model.header import ChainStatus
from node.model.health import ZERO, HealthStatus, HoldingLine, Interval, Reason, VenueLine
from node.model.ledger import AccountView, VenueObligation
from node.model.reports import Position
from tests.unit.margin.books import (
    BTC_B,
    ETH_A,
    ETH_B,
    OLD_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    authorization,
    holding,
    market,
    owes,
    policy,
    position,
    price,
    reservation,
    units,
)

STALE, DISPUTED, MISSING = PriceStatus.STALE, PriceStatus.DISPUTED, PriceStatus.MISSING
HOUR, DAY = 3_600, 86_400


def dollars(low: int, high: int | None = None) -> Interval:
    return Interval(low * USD, (low if high is None else high) * USD)


def only_holding(view: AccountView, context: MarginContext | None = None) -> HoldingLine:
    (line,) = evaluate(view, context or market()).holdings
    return line


def only_venue(view: AccountView, context: MarginContext | None = None) -> VenueLine:
    (line,) = evaluate(view, context or market()).venues
    return line


# === Collateral ===


def test_a_holding_counts_at_its_price_after_each_haircut() -> None:
    line = only_holding(account([holding(A, ETH_A, "1.5")]))
    assert line.value == dollars(3_000)
    assert line.initial == dollars(2_400)  # less 20 %
    assert line.maintenance == dollars(2_700)  # less 10 %
    assert line.reasons == ()


def test_tokens_have_their_own_decimals() -> None:
    lines = evaluate(
        account([holding(A, USDX_A, 7), holding(B, BTC_B, "0.5")]), market(rules=policy(dust_usd=0))
    ).holdings
    assert [line.value for line in lines] == [dollars(7), dollars(25_000)]


def test_sources_that_differ_make_an_interval() -> None:
    line = only_holding(account([holding(A, ETH_A, 1)]), market({"ETH": price(1_990 * USD, 2_010 * USD)}))
    assert line.value == dollars(1_990, 2_010)
    assert line.reasons == ()


def test_a_disputed_price_counts_over_its_span_and_says_so() -> None:
    line = only_holding(account([holding(A, ETH_A, 1)]), market({"ETH": price(1_000 * USD, 2_000 * USD, DISPUTED)}))
    assert line.value == dollars(1_000, 2_000)
    assert line.reasons == (Reason.DISPUTED_PRICE,)


def test_a_stale_price_counts_from_nothing_to_its_bound() -> None:
    # two hours: 1 % + 2 · 2 % = 5 %
    line = only_holding(
        account([holding(A, ETH_A, 1)]), market({"ETH": price(2_000 * USD, status=STALE, age=2 * HOUR)})
    )
    assert line.value == dollars(0, 2_100)
    assert line.maintenance == dollars(0, 1_890)
    assert line.reasons == (Reason.STALE_PRICE,)


def test_a_stale_price_is_written_off_after_its_time_and_not_before() -> None:
    view = account([holding(A, ETH_A, 1)])
    at = only_holding(view, market({"ETH": price(2_000 * USD, status=STALE, age=DAY)}))
    assert at.value == dollars(0, 2_980)  # 1 % + 24 · 2 % = 49 %
    after = only_holding(view, market({"ETH": price(2_000 * USD, status=STALE, age=DAY + 1)}))
    assert after.value == ZERO
    assert after.reasons == (Reason.STALE_PRICE,)


@pytest.mark.parametrize("prices", [{}, {"OLD": price(0, status=MISSING)}])
def test_what_never_had_a_price_counts_nothing(prices: dict[str, tuple[int, int, PriceStatus, int]]) -> None:
    line = only_holding(account([holding(A, OLD_A, 1_000)]), market(prices))
    assert (line.value, line.reasons) == (ZERO, (Reason.MISSING_PRICE,))


@pytest.mark.parametrize(
    ("status", "cut_age", "reason"),
    [
        (ChainStatus.HALTED, 0, Reason.CHAIN_HALTED),
        (ChainStatus.DISPUTED, 0, Reason.CHAIN_DISPUTED),
        (ChainStatus.LIVE, 601, Reason.STALE_CUT),
        (ChainStatus.LIVE, -601, Reason.STALE_CUT),
    ],
)
def test_holdings_on_an_uncertain_chain_keep_only_their_high_end(
    status: ChainStatus, cut_age: int, reason: Reason
) -> None:
    line = only_holding(account([holding(A, ETH_A, 1)]), market(chains={A: status}, cut_age=cut_age))
    assert (line.value, line.reasons) == (dollars(0, 2_000), (reason,))


def test_a_cut_may_be_as_old_as_the_policy_says() -> None:
    assert only_holding(account([holding(A, ETH_A, 1)]), market(cut_age=600)).value == dollars(2_000)


@pytest.mark.parametrize("control", [Control.FREE, Control.ENCUMBERED])
def test_what_the_network_cannot_enforce_secures_nothing(control: Control) -> None:
    line = only_holding(account([holding(A, ETH_A, 1)], control=control))
    assert (line.value, line.reasons) == (ZERO, (Reason.NOT_ENFORCEABLE,))


def test_what_the_owner_did_not_opt_in_counts_nothing() -> None:
    line = only_holding(account([holding(A, ETH_A, 1)], collateral=("BTC",)))
    assert (line.value, line.reasons) == (ZERO, (Reason.NOT_OPTED_IN,))


def test_a_token_that_the_policy_does_not_admit_counts_nothing() -> None:
    stranger = Address(b"\x77" * 20)
    line = only_holding(account([(A, stranger, units(5, 18))]))
    assert (line.asset, line.value, line.reasons) == ("", ZERO, (Reason.NOT_ADMITTED,))


def test_dust_counts_nothing_and_the_minimum_itself_counts() -> None:
    assert only_holding(account([holding(A, USDX_A, "9.999999")])).reasons == (Reason.DUST,)
    assert only_holding(account([holding(A, USDX_A, "9.999999")])).value == ZERO
    assert only_holding(account([holding(A, USDX_A, 10)])).value == dollars(10)


def test_dust_is_judged_at_the_high_price() -> None:
    line = only_holding(account([holding(A, USDX_A, 10)]), market({"USDX": price(USD // 2, USD)}))
    assert line.value == dollars(5, 10)


def test_a_zero_balance_reads_no_price() -> None:
    view = account([holding(A, OLD_A, 5)], reservations=(reservation(A, [(OLD_A, units(5, 18))]),))
    line = only_holding(view)
    assert (line.amount, line.value, line.reasons) == (0, ZERO, ())


# === Reservations ===


def test_an_open_release_counts_as_executed() -> None:
    view = account([holding(A, ETH_A, 3)], reservations=(reservation(A, [(ETH_A, units(1, 18))]),))
    assert only_holding(view).value == dollars(4_000)


def test_a_release_that_the_cut_already_shows_is_not_subtracted_twice() -> None:
    view = account([holding(A, ETH_A, 2)], reservations=(reservation(A, [(ETH_A, units(1, 18))]),), nonces={A: 1})
    assert only_holding(view).value == dollars(4_000)


def test_a_release_on_one_chain_takes_nothing_on_another() -> None:
    view = account(
        [holding(A, ETH_A, 2), holding(B, ETH_B, 2)], reservations=(reservation(B, [(ETH_B, units(2, 18))]),)
    )
    assert [line.value for line in evaluate(view, market()).holdings] == [dollars(4_000), ZERO]


def test_a_release_of_more_than_is_left_leaves_nothing() -> None:
    view = account([holding(A, ETH_A, 1)], reservations=(reservation(A, [(ETH_A, units(2, 18))]),))
    assert only_holding(view).amount == 0


# === Claims ===


def test_a_claim_is_loss_less_cash() -> None:
    line = only_venue(account(obligations=[owes(position("ETH-PERP", 10, 2_500), cash=100)]))
    assert line.claim == dollars(4_900)  # 10 · (2,000 - 2,500) + 100
    assert line.initial == dollars(2_000)  # 10 % of 20,000
    assert line.maintenance == dollars(1_000)
    assert line.profit == ZERO


def test_a_short_gains_when_the_price_falls() -> None:
    line = only_venue(account(obligations=[owes(position("ETH-PERP", -10, 2_050))]))
    assert (line.claim, line.profit) == (ZERO, dollars(500))
    assert line.maintenance == dollars(500)  # 1,000 less the profit


@pytest.mark.parametrize(("size", "value_low", "value_high"), [("10", -5_100, -4_900), ("-10", 4_900, 5_100)])
def test_a_position_is_worst_at_the_end_that_hurts_it(size: str, value_low: int, value_high: int) -> None:
    context = market({"ETH": price(1_990 * USD, 2_010 * USD)})
    line = only_venue(account(obligations=[owes(position("ETH-PERP", size, 2_500))]), context)
    if value_high < 0:
        assert line.claim == dollars(-value_high, -value_low)
    else:
        assert line.profit == dollars(value_low, value_high)


def test_a_stale_price_hurts_an_obligation_both_ways_round() -> None:
    # an hour: 1 % + 2 % = 3 %, so 1,940 to 2,060
    context = market({"ETH": price(2_000 * USD, status=STALE, age=HOUR)})
    long = only_venue(account(obligations=[owes(position("ETH-PERP", 10, 2_500))]), context)
    assert long.claim == dollars(4_400, 5_600)
    assert long.maintenance == dollars(970, 1_030)
    short = only_venue(account(obligations=[owes(position("ETH-PERP", -10, 1_500))]), context)
    assert short.claim == dollars(4_400, 5_600)
    assert short.reasons == (Reason.STALE_PRICE,)


def test_a_profit_at_a_stale_price_is_nothing_at_the_low_end() -> None:
    context = market({"ETH": price(2_000 * USD, status=STALE, age=HOUR)})
    line = only_venue(account(obligations=[owes(position("ETH-PERP", 10, 1_500))]), context)
    assert line.profit == dollars(0, 5_600)  # and not from 4,400


def test_without_a_price_a_long_loses_at_most_what_it_paid() -> None:
    line = only_venue(account(obligations=[owes(position("OLD-PERP", 10, 30), cash=-5)]))
    assert line.claim == dollars(5, 305)
    assert line.profit == ZERO
    assert line.reasons == (Reason.MISSING_PRICE,)


def test_without_a_price_a_short_has_no_bound_but_the_limit() -> None:
    line = only_venue(
        account(obligations=[owes(position("OLD-PERP", -10, 30))], authorizations=[authorization(limit=777)])
    )
    assert line.claim == dollars(0, 777)
    assert line.profit == ZERO  # 300 if the price is zero, but that is a guess


def test_a_written_off_price_is_as_if_there_was_none() -> None:
    context = market({"OLD": price(20 * USD, status=STALE, age=DAY + 1)})
    line = only_venue(account(obligations=[owes(position("OLD-PERP", 10, 30))]), context)
    assert line.claim == dollars(0, 300)
    assert line.reasons == (Reason.STALE_PRICE,)


def test_an_instrument_that_the_policy_does_not_name_has_no_bound_but_the_limit() -> None:
    view = account(obligations=[owes(position("DOGE-PERP", 1, 1), cash=-50)], authorizations=[authorization(limit=777)])
    line = only_venue(view)
    assert (line.claim, line.reasons) == (dollars(50, 777), (Reason.UNKNOWN_INSTRUMENT,))


def test_a_position_of_no_size_reads_no_price() -> None:
    line = only_venue(account(obligations=[owes(position("OLD-PERP", 0, 30), position("NONE", 0, 1))]))
    assert (line.claim, line.reasons) == (ZERO, ())


def test_the_limit_clamps_claim_and_margin_at_every_mark() -> None:
    view = account(obligations=[owes(position("ETH-PERP", 10, 2_500))], authorizations=[authorization(limit=5_300)])
    line = only_venue(view)
    assert line.claim + line.maintenance == dollars(5_300)  # of 5,000 + 1,000
    line = only_venue(view, market({"ETH": price(1_900 * USD)}))
    assert (line.claim, line.maintenance) == (dollars(5_300), ZERO)  # of 6,000 + 950


def test_the_limit_covers_all_that_was_ever_seized() -> None:
    obligation = owes(cash=-5_000, acknowledged=1_000)
    line = only_venue(account(obligations=[obligation], authorizations=[authorization(limit=3_000, seized=1_000)]))
    assert line.claim == dollars(2_000)


def test_what_was_seized_is_a_receivable_until_it_is_acknowledged() -> None:
    allowed = [authorization(seized=1_000)]
    before = only_venue(account(obligations=[owes(cash=-1_500)], authorizations=allowed))
    assert (before.claim, before.receivable) == (dollars(500), 1_000 * USD)
    after = only_venue(account(obligations=[owes(cash=-500, acknowledged=1_000)], authorizations=allowed))
    assert (after.claim, after.receivable) == (dollars(500), 0)
    beyond = only_venue(account(obligations=[owes(cash=-500, acknowledged=9_000)], authorizations=allowed))
    assert (beyond.claim, beyond.receivable) == (dollars(500), 0)


def test_a_seizure_under_way_counts_on_both_sides() -> None:
    leg = reservation(A, [(USDX_A, units(1_000, 6))], kind=ReleaseKind.SEIZURE, venue="alpha", credit=990 * USD)
    view = account([holding(A, USDX_A, 3_000)], [owes(cash=-1_500)], [authorization(seized=990)], reservations=(leg,))
    health = evaluate(view, market())
    assert health.holdings[0].value == dollars(2_000)
    assert health.venues[0].claim == dollars(510)


def test_a_venue_that_is_not_authorised_counts_nothing() -> None:
    health = evaluate(account([holding(A, ETH_A, 1)], [owes(cash=-(10**9))], authorizations=[]), market())
    assert (health.status, health.venues) == (HealthStatus.HEALTHY, ())


def test_profits_never_cross_venues() -> None:
    owing = owes(cash=-4_000, venue="beta")
    winning = owes(position("ETH-PERP", -1, 100_000), cash=10**9, venue="alpha")
    alone = evaluate(account([holding(A, ETH_A, 1)], [owing]), market())
    both = evaluate(account([holding(A, ETH_A, 1)], [winning, owing]), market())
    assert both.venues[0].profit == dollars(10**9 + 98_000)
    assert (both.maintenance_excess, both.initial_excess, both.status) == (
        alone.maintenance_excess,
        alone.initial_excess,
        HealthStatus.INSOLVENT,
    )


# === Status ===


@pytest.mark.parametrize(
    ("cash", "status"),
    [
        (-1_600, HealthStatus.HEALTHY),  # 2,000 less 20 %
        (-1_601, HealthStatus.MARGIN_CALL),
        (-1_800, HealthStatus.MARGIN_CALL),  # 2,000 less 10 %
        (-1_801, HealthStatus.LIQUIDATABLE),
        (-2_000, HealthStatus.LIQUIDATABLE),
        (-2_001, HealthStatus.INSOLVENT),
    ],
)
def test_the_status_turns_exactly_at_its_threshold(cash: int, status: HealthStatus) -> None:
    assert evaluate(account([holding(A, ETH_A, 1)], [owes(cash=cash)]), market()).status is status


def test_the_breakdown_adds_up() -> None:
    view = account([holding(A, ETH_A, 5), holding(B, BTC_B, "0.1")], [owes(position("ETH-PERP", 10, 2_500), cash=100)])
    health = evaluate(view, market())
    assert health.initial_equity == dollars(8_000 + 4_250 - 4_900)
    assert health.initial_margin == dollars(2_000)
    assert health.initial_excess == dollars(5_350)
    assert health.maintenance_equity == dollars(9_000 + 4_500 - 4_900)
    assert health.maintenance_margin == dollars(1_000)
    assert health.maintenance_excess == dollars(7_600)
    assert health.status is HealthStatus.HEALTHY


@pytest.mark.parametrize(
    ("cash", "status"),
    [
        (-5_000, HealthStatus.UNKNOWN),  # between nothing and 5 · 2,060 less 10 % = 9,270
        (-9_270, HealthStatus.UNKNOWN),
        (-9_271, HealthStatus.LIQUIDATABLE),
        (-10_301, HealthStatus.INSOLVENT),
    ],
)
def test_an_account_that_straddles_is_unknown_and_says_why(cash: int, status: HealthStatus) -> None:
    context = market({"ETH": price(2_000 * USD, status=STALE, age=HOUR)})
    health = evaluate(account([holding(A, ETH_A, 5)], [owes(cash=cash)]), context)
    assert health.status is status
    assert health.reasons == (Reason.STALE_PRICE,)


def test_every_cause_of_an_interval_is_named_once_in_the_order_of_the_breakdown() -> None:
    context = market(
        {"ETH": price(2_000 * USD, status=STALE, age=HOUR), "BTC": price(USD, 60_000 * USD, DISPUTED)},
        chains={A: ChainStatus.HALTED},
    )
    view = account(
        [holding(A, ETH_A, 5), holding(B, ETH_B, 5), holding(B, BTC_B, 1)],
        [owes(position("OLD-PERP", 10, 30), cash=-5_000)],
    )
    health = evaluate(view, context)
    assert health.status is HealthStatus.UNKNOWN
    assert health.reasons == (
        Reason.STALE_PRICE,
        Reason.CHAIN_HALTED,
        Reason.DISPUTED_PRICE,
        Reason.MISSING_PRICE,
    )


def test_an_uncertain_price_that_changes_nothing_is_not_a_reason() -> None:
    # the loss is beyond the limit at either end of the stale price
    context = market({"ETH": price(2_000 * USD, status=STALE, age=HOUR)})
    owing = owes(position("ETH-PERP", 10, 2_500))
    health = evaluate(account([holding(A, USDX_A, 99)], [owing], [authorization(limit=100)]), context)
    assert (health.status, health.reasons) == (HealthStatus.INSOLVENT, ())
    assert health.venues[0].reasons == (Reason.STALE_PRICE,)


def test_a_spread_of_the_sources_alone_is_named_as_such() -> None:
    context = market({"ETH": price(1_990 * USD, 2_010 * USD)})
    health = evaluate(account([holding(A, ETH_A, 1)], [owes(cash=-1_800)]), context)
    assert health.status is HealthStatus.UNKNOWN
    assert health.reasons == (Reason.PRICE_SPREAD,)


@pytest.mark.parametrize("cash", [-4_000, -5_000, -5_900, -5_950, -7_000])
def test_a_dust_deposit_of_a_token_without_a_price_changes_nothing(cash: int) -> None:
    owing = [owes(cash=cash)]
    before = evaluate(account([holding(A, USDX_A, 6_000)], owing), market())
    after = evaluate(account([holding(A, USDX_A, 6_000), holding(A, OLD_A, "0.001")], owing), market())
    assert after.status is before.status is not HealthStatus.UNKNOWN
    assert (after.maintenance_excess, after.initial_excess) == (before.maintenance_excess, before.initial_excess)
    assert after.reasons == before.reasons == ()
    assert after.holdings[-1].reasons == (Reason.MISSING_PRICE,)


@pytest.mark.parametrize("cash", [-5_000, -5_950])
def test_a_dust_deposit_at_a_stale_price_changes_nothing(cash: int) -> None:
    context = market({"OLD": price(100 * USD, status=STALE, age=HOUR)})
    view = account([holding(A, USDX_A, 6_000), holding(A, OLD_A, "0.09")], [owes(cash=cash)])
    health = evaluate(view, context)
    assert health.holdings[-1].reasons == (Reason.DUST,)
    assert health.status is evaluate(account([holding(A, USDX_A, 6_000)], [owes(cash=cash)]), context).status


def test_a_dust_position_without_a_price_buys_no_immunity() -> None:
    owing = owes(position("ETH-PERP", 10, 2_500))
    dodging = owes(position("ETH-PERP", 10, 2_500), position("OLD-PERP", "-0.000001", 1))
    assert evaluate(account([holding(A, USDX_A, 5_500)], [owing]), market()).status is HealthStatus.LIQUIDATABLE
    assert evaluate(account([holding(A, USDX_A, 5_500)], [dodging]), market()).status is HealthStatus.LIQUIDATABLE


def test_an_invented_position_at_one_venue_liquidates_nothing() -> None:
    view = account([holding(A, USDX_A, 5_500)], [owes(position("NONE", "-1000000", 1))])
    assert evaluate(view, market()).status is HealthStatus.UNKNOWN


def test_without_obligations_an_account_is_healthy_whatever_the_prices() -> None:
    context = market({"ETH": price(0, status=MISSING)}, chains={A: ChainStatus.HALTED, B: ChainStatus.DISPUTED})
    assert evaluate(account([holding(A, ETH_A, 1), holding(B, ETH_B, 1)]), context).status is HealthStatus.HEALTHY


def test_an_account_that_nobody_opened_has_holdings_that_count_nothing() -> None:
    view = account([holding(A, ETH_A, 1)])
    health = evaluate(AccountView(view.account, None, view.obligations, view.holdings), market())
    assert (health.status, health.initial_equity) == (HealthStatus.HEALTHY, ZERO)
    assert health.holdings[0].reasons == (Reason.NOT_OPTED_IN,)


def test_huge_figures_are_answered_like_others() -> None:
    most = 2**255 - 1
    positions = tuple(Position(instrument, -most, most) for instrument in ("ETH-PERP", "OLD-PERP"))
    wild = VenueObligation("alpha", 1, positions, -most, 2**256 - 1)
    tame = owes(cash=-100, venue="beta")
    view = account([(A, ETH_A, Amount(2**256 - 1))], [wild, tame])
    health = evaluate(view, market({"ETH": price(2**255, 2**256 - 1)}))
    assert health.status is HealthStatus.HEALTHY
    assert health.venues[0].claim.high == 1_000_000 * USD
