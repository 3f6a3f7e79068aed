"""Every rule of the network holds for accounts that the profile `hypothec` judges, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from chains.types import Amount, Assurance, Control, RateRecipe, TokenFact
from node.margin import MarginContext, Refusal, evaluate, plan_liquidation, withdrawal_refusal
from node.margin.models.fixed import ONE, WAD
from node.margin.models.hypothec.feeds import FeedStatus
from node.margin.portfolio.market import Market
from node.margin.portfolio.rules import PortfolioRules
from node.model.frame import PriceStatus
from node.model.header import ChainStatus
from node.model.health import ZERO, Health, HealthStatus, HoldingLine, Interval, Reason
from node.model.ledger import AccountView, VenueObligation
from tests.unit.margin.books import (
    DEFAULT_PROFILE,
    ETH_A,
    NOW,
    OLD_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    authorization,
    executed,
    holding,
    market,
    owes,
    position,
    price,
    profile_policy,
    reservation,
)

TEN_ETH = holding(A, ETH_A, 10)
MISSING = price(0, status=PriceStatus.MISSING)
CALL, PUT, FUTURE = "ETH-31DEC27-2500-C", "ETH-31DEC27-1500-P", "ETH-31DEC27"
GONE = "ETH-25DEC26-2000-C"


def profiled(**given: object) -> MarginContext:
    return market(rules=DEFAULT_PROFILE, **given)  # type: ignore[arg-type]


USUAL = profiled()


def one_line(view: AccountView, context: MarginContext = USUAL) -> HoldingLine:
    [line] = evaluate(view, context).holdings
    return line


# === Holdings ===


@pytest.mark.parametrize(
    ("view", "context", "reason"),
    [
        (account([TEN_ETH], control=Control.FREE), USUAL, Reason.NOT_ENFORCEABLE),
        (account([TEN_ETH], collateral=("BTC",)), USUAL, Reason.NOT_OPTED_IN),
        (account([holding(A, ETH_A, "0.004")]), USUAL, Reason.DUST),
        (account([holding(A, OLD_A, 10)]), profiled(prices={"OLD": MISSING}), Reason.MISSING_PRICE),
        (
            account([TEN_ETH]),
            profiled(prices={"ETH": price(2_000 * USD, status=PriceStatus.STALE, age=86_401)}),
            Reason.MISSING_PRICE,
        ),
    ],
)  # fmt: skip
def test_what_does_not_count_is_at_nothing_and_says_why(
    view: AccountView, context: MarginContext, reason: Reason
) -> None:
    line = one_line(view, context)
    assert (line.value, line.initial, line.maintenance) == (ZERO, ZERO, ZERO)
    assert line.reasons == (reason,)
    assert evaluate(view, context).status is HealthStatus.HEALTHY


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (profiled(chains={A: ChainStatus.HALTED}), Reason.CHAIN_HALTED),
        (profiled(chains={A: ChainStatus.DISPUTED}), Reason.CHAIN_DISPUTED),
        (profiled(cut_age=601), Reason.STALE_CUT),
        (profiled(tokens={(A, ETH_A): None}), Reason.UNPROVEN),
        (profiled(tokens={(A, ETH_A): TokenFact(Amount(1), Amount(1), disputed=True)}), Reason.DISPUTED),
        (profiled(prices={"ETH": price(2_000 * USD, status=PriceStatus.STALE, age=61)}), Reason.STALE_PRICE),
        (profiled(prices={"ETH": price(2_000 * USD, status=PriceStatus.DISPUTED)}), Reason.DISPUTED_PRICE),
    ],
)
def test_what_is_uncertain_counts_from_nothing_and_makes_the_status_unknown(
    context: MarginContext, reason: Reason
) -> None:
    view = account([TEN_ETH], [owes(cash=-10_000)])
    health = evaluate(view, context)
    [line] = health.holdings
    assert (line.value.low, line.maintenance.low) == (0, 0)
    assert line.value.high >= 20_000 * USD
    assert line.reasons == (reason,)
    assert (health.status, health.reasons) == (HealthStatus.UNKNOWN, (reason,))
    assert plan_liquidation(view, context) == ()


def test_a_shortfall_counts_pro_rata_and_is_seized_from() -> None:
    half = profiled(tokens={(A, ETH_A): TokenFact(Amount(100 * 10**18), Amount(50 * 10**18))})
    view = account([TEN_ETH], [owes(cash=-20_000)])
    line = one_line(view, half)
    assert line.value == Interval(10_000 * USD, 10_000 * USD)
    assert line.reasons == (Reason.SHORTFALL,)
    [leg] = plan_liquidation(view, half)
    assert leg.items[0].amount <= 10 * 10**18


def test_a_reservation_counts_as_executed() -> None:
    view = account([TEN_ETH], reservations=(reservation(A, [(ETH_A, Amount(4 * 10**18))]),))
    assert one_line(view).value == Interval(12_000 * USD, 12_000 * USD)


def test_a_zero_balance_reads_no_price() -> None:
    view = account([TEN_ETH], reservations=(reservation(A, [(ETH_A, Amount(10 * 10**18))]),))
    line = one_line(view, profiled(prices={"ETH": MISSING}))
    assert (line.value, line.reasons) == (ZERO, ())


def test_assurance_and_size_are_haircuts() -> None:
    usual = one_line(account([TEN_ETH]))
    proven = {chain_id: replace(state, assurance=Assurance.PROVEN) for chain_id, state in USUAL.chains.items()}
    assert one_line(account([TEN_ETH]), replace(USUAL, chains=proven)).maintenance.low - usual.maintenance.low == (
        200 * USD
    ), "one per cent of 20,000"
    shallow = market(rules=profile_policy("[margin.parameters.assets.ETH]\ndepth = 10000\n"))
    assert one_line(account([TEN_ETH]), shallow).maintenance.low < usual.maintenance.low


# === Venues ===


@pytest.mark.parametrize(
    ("held", "context", "reason"),
    [
        (position("NONE-PERP", 1, 2_000), USUAL, Reason.UNKNOWN_INSTRUMENT),
        (position("ETH-31DEC27-2500", 1, 2_000), USUAL, Reason.UNKNOWN_INSTRUMENT),
        (position("BTC-31DEC27", 1, 2_000), USUAL, Reason.UNKNOWN_INSTRUMENT),
        (position("ETH-25DEC26", -1, 2_000), USUAL, Reason.EXPIRED),
        (position(GONE, -1, 0), USUAL, Reason.EXPIRED),
        (position("OLD-PERP", -1, 30), profiled(prices={"OLD": MISSING}), Reason.MISSING_PRICE),
    ],
)  # fmt: skip
def test_what_cannot_be_priced_is_owed_up_to_the_limit_and_seizes_nothing(
    held: object, context: MarginContext, reason: Reason
) -> None:
    view = account([TEN_ETH], [owes(held)], [authorization(limit=50_000)])  # type: ignore[arg-type]
    health = evaluate(view, context)
    [line] = health.venues
    assert line.claim == Interval(0, 50_000 * USD)
    assert line.reasons == (reason,)
    assert (health.status, health.reasons) == (HealthStatus.UNKNOWN, (reason,))
    assert plan_liquidation(view, context) == ()
    small = account([TEN_ETH], [owes(held)], [authorization(limit=500)])  # type: ignore[arg-type]
    assert evaluate(small, context).status is HealthStatus.HEALTHY, "the owner's limit bounds it"


def test_what_has_expired_and_was_held_may_have_paid_nothing() -> None:
    [line] = evaluate(account([TEN_ETH], [owes(position(GONE, 1, 0), cash=-100)]), USUAL).venues
    assert (line.claim, line.reasons) == (Interval(100 * USD, 100 * USD), (Reason.EXPIRED,))
    settled = evaluate(account([TEN_ETH], [owes(cash=100)]), USUAL)
    assert settled.venues[0].reasons == ()


def test_an_instrument_expires_at_eight_and_not_before() -> None:
    seconds = 1_798_185_600 - NOW  # ETH-25DEC26
    before, at = (replace(USUAL, time_ms=(NOW + seconds) * 1000 + shift) for shift in (-1, 0))
    view = account([TEN_ETH], [owes(position("ETH-25DEC26", 1, 2_000))])
    assert evaluate(view, before).venues[0].reasons == ()
    assert evaluate(view, at).venues[0].reasons == (Reason.EXPIRED,)


def test_a_position_of_no_size_reads_no_price() -> None:
    gone = profiled(prices={"ETH": MISSING})
    [line] = evaluate(account((), [owes(position("ETH-PERP", 0, 0), position("X", 0, 0))]), gone).venues
    assert (line.claim, line.reasons) == (ZERO, ())


def test_options_are_worth_what_they_are_whatever_was_paid_for_them() -> None:
    def claim(size: int, entry: int) -> Health:
        return evaluate(account([TEN_ETH], [owes(position(CALL, size, entry))]), USUAL)

    assert claim(-5, 0) == claim(-5, 9_999)
    assert claim(-5, 0).venues[0].claim.low > 0
    assert claim(5, 0).venues[0].profit.low > 0


def test_an_option_that_hedges_a_perpetual_lowers_its_margin() -> None:
    naked = evaluate(account([TEN_ETH], [owes(position("ETH-PERP", 10, 2_000))]), USUAL)
    hedged = evaluate(account([TEN_ETH], [owes(position(PUT, 10, 0), position("ETH-PERP", 10, 2_000))]), USUAL)
    assert hedged.venues[0].maintenance.high < naked.venues[0].maintenance.high


@pytest.mark.parametrize(
    ("index", "widest"),
    [
        (price(6 * USD // 10, 66 * USD // 100, PriceStatus.DISPUTED), False),
        (price(6 * USD // 10, status=PriceStatus.STALE, age=7_200), False),
        (price(6 * USD // 10, status=PriceStatus.STALE, age=86_401), True),
        (MISSING, True),
        (price(101 * USD), True),
    ],
)
def test_options_count_over_all_that_an_uncertain_volatility_may_be(
    index: tuple[int, int, PriceStatus, int], *, widest: bool
) -> None:
    view = account([TEN_ETH], [owes(position(CALL, -5, 0))])
    context = profiled(prices={"ETH-VOL": index})
    usual, wide = evaluate(view, USUAL).venues[0], evaluate(view, context).venues[0]
    assert usual.claim.low == usual.claim.high
    assert wide.claim.low < usual.claim.low <= usual.claim.high < wide.claim.high
    assert wide.reasons == (Reason.UNCERTAIN_VOLATILITY,)
    spread = context.market.volatility("ETH")
    assert (spread.spread == ONE) is widest
    assert spread.vol == (context.policy.parameters.assets["ETH"].vol if widest else spread.vol)
    linear = account([TEN_ETH], [owes(position("ETH-PERP", -5, 2_000))])
    assert evaluate(linear, context).venues[0].reasons == (), "only options read it"


def test_the_index_is_the_volatility_of_the_haircut_and_of_the_shortfall() -> None:
    calm, wild = (
        evaluate(account([TEN_ETH]), profiled(prices={"ETH-VOL": price(bps * USD // 10_000)}))
        for bps in (3_000, 12_000)
    )
    assert calm.holdings[0].maintenance.low > wild.holdings[0].maintenance.low  # fmt: skip


def test_a_future_is_marked_at_its_forward() -> None:
    rules = profile_policy(carry_bps=1_000)
    view = account([TEN_ETH], [owes(position(FUTURE, 10, 2_000))])
    [line] = evaluate(view, market(rules=rules)).venues
    seconds = 1_830_240_000 - NOW
    forward = 2_000 * USD + 2_000 * USD * seconds // (10 * 365 * 86_400)
    assert abs(line.profit.low - 10 * (forward - 2_000 * USD)) < 10
    assert evaluate(view, USUAL).venues[0].profit == ZERO


def test_only_what_the_owner_authorised_counts() -> None:
    view = account([TEN_ETH], [owes(cash=-1_000), owes(cash=-9_000, venue="beta")], [authorization("beta", 400)])
    [line] = evaluate(view, USUAL).venues
    assert (line.venue, line.claim) == ("beta", Interval(400 * USD, 400 * USD))


def test_a_venues_profit_is_set_against_its_own_claim_alone() -> None:
    rich = owes(cash=1_000_000)
    poor = owes(cash=-15_000, venue="beta")
    with_profit, without = (evaluate(account([TEN_ETH], each), USUAL) for each in ([rich, poor], [poor]))
    assert with_profit.maintenance_excess == without.maintenance_excess
    assert with_profit.venues[0].profit == Interval(1_000_000 * USD, 1_000_000 * USD)


def test_a_receivable_counts_until_it_is_acknowledged() -> None:
    view = account([TEN_ETH], [owes(cash=-5_000)], [authorization(limit=20_000, seized=2_000)])
    [line] = evaluate(view, USUAL).venues
    assert (line.claim.high, line.receivable) == (3_000 * USD, 2_000 * USD)


def test_a_venue_with_which_nothing_is_open_has_a_line() -> None:
    [line] = evaluate(account([TEN_ETH], [owes()]), USUAL).venues
    assert (line.venue, line.claim, line.maintenance) == ("alpha", ZERO, ZERO)


def test_the_row_that_decides_is_named_at_both_ends() -> None:
    health = evaluate(account([TEN_ETH], [owes(position("ETH-PERP", 20, 2_000))]), USUAL)
    assert health.rules == "hypothec"
    assert health.maintenance_rows == ("market -18% vol up", "market -18% vol up")
    short = evaluate(account([holding(A, USDX_A, 50_000)], [owes(position("ETH-PERP", -100, 2_000))]), USUAL)
    assert short.maintenance_rows is not None
    assert short.maintenance_rows[0] != health.maintenance_rows[0]


# === Withdrawals and plans ===


def refusal(view: AccountView, dollars: int, context: MarginContext = USUAL) -> Refusal | None:
    return withdrawal_refusal(view, context, A, USDX_A, Amount(dollars * 10**6))


CASH = holding(A, USDX_A, 100_000)


STABLE = market(rules=profile_policy('[margin.parameters.assets]\nUSDX = { kind = "stable" }\n'))


def most_withdrawn(view: AccountView) -> int:
    """How many of its USDX may leave, in steps of 250 dollars."""
    return max((usd for usd in range(250, 100_001, 250) if refusal(view, usd, STABLE) is None), default=0)


@pytest.mark.parametrize(
    "gift",
    [owes(cash=1_000_000), owes(position(PUT, 50, 0)), owes(position("ETH-PERP", -10, 9_000))],
)
def test_nothing_that_one_venue_owes_supports_a_withdrawal_against_another(gift: VenueObligation) -> None:
    owing = owes(cash=-40_000, venue="beta")
    bare = most_withdrawn(account([CASH], [owing]))
    assert 0 < bare < 60_000
    assert most_withdrawn(account([CASH], [gift, owing])) <= bare


def test_a_profit_does_not_pay_the_margin_of_a_withdrawal() -> None:
    positions = position("ETH-PERP", 20, 2_000)
    rich, poor = (account([CASH], [owes(positions, cash=cash)]) for cash in (100_000, 0))
    assert evaluate(rich, STABLE).initial_margin.high < evaluate(poor, STABLE).initial_margin.high
    assert most_withdrawn(rich) == most_withdrawn(poor) < 100_000


def test_a_hedge_that_a_venue_reports_supports_no_withdrawal() -> None:
    """Ten short against ten held: in a fall the venue's claim would be less, by its own word."""
    hedged, apart = (
        account([holding(A, ETH_A, 10), CASH], [owes(*positions, cash=-90_000)])
        for positions in ((position("ETH-PERP", -10, 2_000),), ())
    )
    assert evaluate(hedged, STABLE).maintenance_excess.low > evaluate(apart, STABLE).maintenance_excess.low
    assert most_withdrawn(hedged) <= most_withdrawn(apart)


def test_who_owes_nothing_may_take_everything_whatever_the_prices() -> None:
    gone = profiled(prices={"USDX": MISSING})
    assert refusal(account([CASH]), 100_000, gone) is None
    assert refusal(account([CASH], [owes()]), 100_000, gone) is None
    assert refusal(account([CASH], [owes(cash=-1)]), 100_000, gone) is Refusal.BELOW_INITIAL_MARGIN


def test_who_owes_nothing_is_healthy_however_wild_the_market() -> None:
    wild = profiled(prices={"ETH-VOL": price(90 * USD)})
    for view in (account([TEN_ETH]), account([TEN_ETH], [owes()]), account([(A, ETH_A, Amount(1))])):
        health = evaluate(view, wild)
        assert (health.status, health.maintenance_excess.low >= 0) == (HealthStatus.HEALTHY, True)


def test_a_plan_pays_the_claim_and_the_fees_for_closing() -> None:
    view = account([CASH], [owes(position("ETH-PERP", 100, 2_900))])
    assert evaluate(view, USUAL).status is HealthStatus.LIQUIDATABLE
    [leg] = plan_liquidation(view, USUAL)
    fees = 100 * 2_000 * 50 // 10_000
    assert leg.credit == (90_000 + fees) * USD
    taken = leg.items[0].amount * USD // 10**6
    assert leg.credit < taken <= leg.credit * 105 // 100 + USD
    after = executed(view, [leg])
    assert evaluate(after, USUAL).venues[0].claim == ZERO


def test_a_fee_for_an_option_is_no_more_than_the_option_is_worth() -> None:
    far = position("ETH-25MAR27-9000-C", -50, 0)
    worth = evaluate(account([CASH], [owes(far)]), STABLE).venues[0].claim.high
    assert worth < 100 * USD
    view = account([CASH], [owes(far, cash=-99_000)])
    assert evaluate(view, STABLE).status is HealthStatus.LIQUIDATABLE
    assert PortfolioRules().owed(view, STABLE) == {"alpha": 99_000 * USD + 2 * worth}


def test_what_is_uncertain_is_not_collected() -> None:
    """At a disputed price the best case is liquidatable: what even that leaves of the loss is owed, and no fee."""
    disputed = profiled(prices={"ETH": price(2_000 * USD, 2_100 * USD, PriceStatus.DISPUTED)})
    view = account([CASH], [owes(position("ETH-PERP", 100, 3_100))])
    assert evaluate(view, disputed).status in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT)
    owed = PortfolioRules().owed(view, disputed)["alpha"]
    assert 90_000 * USD < owed <= 100 * (3_100 - 2_100) * USD


# === Prices ===


def test_a_share_counts_the_lower_of_redemption_and_market() -> None:
    recipe = DEFAULT_PROFILE.token_by_place[A, ETH_A]
    share = replace(recipe, rate=RateRecipe("ETH", 18, 13_000, None, None, None, 0, 0))
    whole = Amount(1 << 100)

    def feed(rate: tuple[int, int] | None) -> tuple[FeedStatus, int, int]:
        facts = {(A, ETH_A): TokenFact(whole, whole, rate)}
        made = Market(DEFAULT_PROFILE, USUAL.prices, facts, USUAL.time_ms).held((A, ETH_A), share)
        return made.status, made.low // WAD, made.high // WAD

    assert feed((11, 10)) == (FeedStatus.FRESH, 2_200, 2_200)
    assert feed((20, 10)) == (FeedStatus.FRESH, 2_600, 2_600), "the recipe's bound"
    assert feed(None) == (FeedStatus.FRESH, 0, 2_600), "no proven rate"


@pytest.mark.parametrize("usd", [10**10 + 1, 10**40])
def test_an_absurd_price_is_none(usd: int) -> None:
    view = account([TEN_ETH], [owes(position(CALL, -1, 0))])
    health = evaluate(view, profiled(prices={"ETH": price(usd * USD)}))
    assert health.holdings[0].reasons == (Reason.MISSING_PRICE,)
    assert health.venues[0].reasons == (Reason.MISSING_PRICE,)


def test_the_largest_sizes_have_an_answer() -> None:
    most = (1 << 255) - 1
    for name, size in product((CALL, PUT, FUTURE, "ETH-PERP"), (-most, most)):
        each = replace(position(name, 1, 0), size=size, entry_price=(1 << 256) - 1)
        view = account([(A, ETH_A, Amount((1 << 256) - 1)), TEN_ETH], [owes(each, cash=-(10**50))])
        health = evaluate(view, profiled(prices={"ETH": price(10**10 * USD), "ETH-VOL": price(100 * USD)}))
        assert health.maintenance_excess.low <= health.maintenance_excess.high


def test_an_old_chain_of_b_says_nothing_of_a() -> None:
    halted = profiled(chains={B: ChainStatus.HALTED})
    assert one_line(account([TEN_ETH]), halted).reasons == ()


def test_a_venue_with_nothing_but_options_that_are_held_claims_nothing_however_little_is_known_of_volatility() -> None:
    rules = profile_policy(dust_usd=0)
    unknown = market({"ETH": price(500 * USD), "ETH-VOL": price(0, None, PriceStatus.MISSING)}, rules=rules)
    held = evaluate(account([], [owes(position("ETH-31DEC27-2000-C", 10, 0))]), unknown)
    [line] = held.venues
    assert (line.claim.low, line.claim.high) == (0, 0)
    assert held.maintenance_margin.low >= 0
    owed = evaluate(account([], [owes(position("ETH-31DEC27-2000-C", -10, 0))]), unknown)
    assert owed.venues[0].claim.high > 0
