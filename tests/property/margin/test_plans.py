"""What holds of every plan, of every part of it that may be carried out, and of every withdrawal that is granted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import chain, combinations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chains.types import Address, Amount, ChainId
from node.margin import MAX_ITEMS, MarginContext, SeizureLeg, evaluate, plan_liquidation, spec, withdrawal_refusal
from node.margin.policy import Policy
from node.model.digests import ReleaseKind
from node.model.health import HealthStatus
from node.model.ledger import AccountView
from tests.property.margin.books import (
    NO_DUST,
    PLACES,
    Prices,
    accounts,
    any_prices,
    contexts,
    fresh_prices,
    holdings,
    liquidations,
    live,
)
from tests.unit.margin.books import (
    DECIMALS,
    DEFAULT_POLICY,
    USD,
    VAULTS,
    A,
    B,
    account,
    authorization,
    executed,
    owes,
    reservation,
    with_terms,
)

GRANTS = [authorization(venue, 10**9) for venue in ("alpha", "beta")]


def subsets(legs: tuple[SeizureLeg, ...]) -> list[tuple[SeizureLeg, ...]]:
    return list(chain.from_iterable(combinations(legs, count) for count in range(1, len(legs) + 1)))


def worth(leg: SeizureLeg, context: MarginContext, *, more: int = 0) -> Fraction:
    """What a leg's items are worth at the low prices, each amount taken `more` base units higher."""
    total = Fraction(0)
    for token, amount, _ in leg.items:
        asset = context.policy.token_by_place[leg.chain_id, token].asset
        total += Fraction(amount + more, 10 ** DECIMALS[leg.chain_id, token]) * context.prices[asset].low
    return total


@settings(max_examples=200)
@given(liquidations(), st.one_of(st.none(), contexts(any_prices(), DEFAULT_POLICY)))
def test_a_plan_takes_what_is_there_for_what_is_owed(
    book: tuple[AccountView, Prices], other: MarginContext | None
) -> None:
    view, context = book[0], other or live(book[1])
    legs, health = plan_liquidation(view, context), evaluate(view, context)
    assert not legs or health.status in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT)
    assert view.record is not None
    allowed = {item.venue: item for item in view.record.authorizations}
    assert [leg.chain_id for leg in legs] == sorted({leg.chain_id for leg in legs})
    credited: Counter[str] = Counter()
    for leg in legs:
        leaf = view.holdings[leg.chain_id]
        tokens = [item.token for item in leg.items]
        assert tokens == sorted(set(tokens))
        assert 1 <= len(tokens) <= MAX_ITEMS
        assert all(0 < item.minimum == item.amount <= dict(leaf.balances)[item.token] for item in leg.items)
        assert (leg.vault, leg.nonce) == (VAULTS[leg.chain_id], leaf.nonce + 1)
        assert (leg.chain_id, leg.payee) in allowed[leg.venue].payees
        lines = {line.token: line for line in health.holdings if line.chain_id == leg.chain_id}
        assert all(lines[token].reasons == () for token in tokens)
        assert 0 < leg.credit <= worth(leg, context)
        bonus = Fraction(10_000 + context.policy.liquidation.bonus_bps, 10_000)
        assert worth(leg, context, more=-1) <= leg.credit * bonus + len(tokens)
        credited[leg.venue] += leg.credit
    for venue, credit in credited.items():
        assert allowed[venue].seized + credit <= allowed[venue].limit


@settings(max_examples=200)
@given(liquidations(), st.data())
def test_any_part_of_a_plan_is_safe_without_the_rest(book: tuple[AccountView, Prices], data: st.DataObject) -> None:
    """At the prices that a seizure is made at, no shortfall grows but by the rounding of the amounts."""
    view, context = book[0], live(book[1])
    legs, before = plan_liquidation(view, context), evaluate(view, context)
    assume(legs)
    part = data.draw(st.sampled_from(subsets(legs)))
    after = evaluate(executed(view, part), context)
    rounding = sum(worth(leg, context, more=1) - worth(leg, context) + 5 * len(leg.items) for leg in part)
    assert after.maintenance_excess.low >= before.maintenance_excess.low - rounding
    assert after.initial_excess.low >= before.initial_excess.low - rounding
    claims = {line.venue: line.claim.high for line in before.venues}
    for line in after.venues:
        assert line.claim.high <= claims[line.venue]
        assert line.claim.high >= claims[line.venue] - sum(leg.credit for leg in part if leg.venue == line.venue)


VARIANTS = [
    with_terms(NO_DUST, **terms)
    for terms in (
        {"order": "volatile"},
        {"close_factor_bps": 3_000},
        {"target_bps": 10_000},
        {"order": "volatile", "close_factor_bps": 5_000, "target_bps": 10_500},
    )
]


@settings(max_examples=200)
@given(liquidations(), st.sampled_from(VARIANTS), st.data())
def test_any_part_of_a_plan_is_safe_by_whatever_terms(
    book: tuple[AccountView, Prices], rules: Policy, data: st.DataObject
) -> None:
    """Of what is later by the order nothing is taken before all of what is earlier is gone.

    A single venue never gets more than without them; of several another may have its turn at a vault.
    """
    view, context = book[0], live(book[1], rules)
    legs, whole = plan_liquidation(view, context), plan_liquidation(view, live(book[1]))
    before = evaluate(view, context)
    assert not legs or whole
    assert view.record is not None
    if len(view.record.authorizations) == 1:
        assert sum(leg.credit for leg in legs) <= sum(leg.credit for leg in whole)
    assume(legs)
    part = data.draw(st.sampled_from(subsets(legs)))
    after = evaluate(executed(view, part), context)
    rounding = sum(worth(leg, context, more=1) - worth(leg, context) + 5 * len(leg.items) for leg in part)
    assert after.maintenance_excess.low >= before.maintenance_excess.low - rounding
    assert after.initial_excess.low >= before.initial_excess.low - rounding
    for leg in legs:
        assert 0 < leg.credit <= worth(leg, context)
    if rules.liquidation.order == "volatile":
        for venue in {leg.venue for leg in legs}:
            assert_by_turns([leg for leg in legs if leg.venue == venue], view, context)


def assert_by_turns(legs: list[SeizureLeg], view: AccountView, context: MarginContext) -> None:
    """Of what one venue is paid with, all but the last to be touched is gone but for roundings."""
    left: dict[int, Fraction] = {}
    for leg in legs:
        taken = {item.token: item.amount for item in leg.items}
        for token, held in view.holdings[leg.chain_id].balances:
            asset = context.policy.asset_by_id[context.policy.token_by_place[leg.chain_id, token].asset]
            if token in taken:
                rest = Fraction(held - taken[token], 10 ** DECIMALS[leg.chain_id, token])
                turn = -asset.maintenance_haircut_bps
                left[turn] = left.get(turn, Fraction(0)) + rest * context.prices[asset.id].low
    for turn in sorted(left)[:-1]:
        assert left[turn] <= 100  # 1e-12 USD


@settings(max_examples=60)
@given(liquidations(), st.sampled_from([v for v in VARIANTS if v.liquidation.target_bps]))
def test_a_target_is_reached_by_no_more_than_it_takes(book: tuple[AccountView, Prices], rules: Policy) -> None:
    view, context = book[0], live(book[1], rules)
    free = live(book[1], with_terms(NO_DUST, **rules.liquidation.model_dump(include={"order", "close_factor_bps"})))
    legs, all_of_it = plan_liquidation(view, context), plan_liquidation(view, free)
    target = rules.liquidation.target_bps
    assert target is not None

    def is_there(part: tuple[SeizureLeg, ...]) -> bool:
        after = evaluate(executed(view, part), context)
        return spec.is_at_target(after.maintenance_excess, after.maintenance_margin, target)

    if not all_of_it or not is_there(all_of_it) or evaluate(view, context).status is HealthStatus.INSOLVENT:
        assert legs == all_of_it
        return
    assert is_there(legs)
    assert view.record is not None
    if len(view.record.authorizations) == 1:
        assert sum(leg.credit for leg in legs) <= sum(leg.credit for leg in all_of_it)


@settings(max_examples=60)
@given(liquidations(), st.sampled_from(VARIANTS))
def test_plans_by_whatever_terms_come_to_an_end(book: tuple[AccountView, Prices], rules: Policy) -> None:
    """A close factor leaves a part of a part: what is left of a debt is soon dust, and is paid whole."""
    terms = rules.liquidation.model_dump(include={"order", "close_factor_bps", "target_bps"}, exclude_none=True)
    view, context = book[0], live(book[1], with_terms(DEFAULT_POLICY, **terms))
    after, plans = carried_out(view, context, 80)
    assert plans < 80
    assert plan_liquidation(after, context) == ()


@settings(max_examples=100)
@given(liquidations())
def test_a_seizure_counts_as_executed_from_the_moment_it_is_reserved(book: tuple[AccountView, Prices]) -> None:
    view, context = book[0], live(book[1])
    legs = plan_liquidation(view, context)
    assume(legs)
    done = executed(view, legs)
    assert view.record is not None
    assert done.record is not None
    waiting = tuple(
        reservation(
            leg.chain_id,
            [item[:2] for item in leg.items],
            nonce=leg.nonce,
            kind=ReleaseKind.SEIZURE,
            venue=leg.venue,
            credit=leg.credit,
        )
        for leg in legs
    )
    reserved = replace(view, record=replace(done.record, reservations=waiting))
    pending, proven = evaluate(reserved, context), evaluate(done, context)
    assert (pending.status, pending.maintenance_excess, pending.venues) == (
        proven.status,
        proven.maintenance_excess,
        proven.venues,
    )
    assert plan_liquidation(reserved, context) == ()


def carried_out(view: AccountView, context: MarginContext, most: int) -> tuple[AccountView, int]:
    """The account after plan upon plan, and how many there were."""
    for count in range(most):
        legs = plan_liquidation(view, context)
        if not legs:
            return view, count
        view = executed(view, legs)
    return view, most


@settings(max_examples=100)
@given(holdings(), st.integers(1, 10**7), st.integers(1, 10**7), fresh_prices(points=True))
def test_plans_that_follow_each_other_pay_claims_pro_rata(
    held: list[tuple[ChainId, Address, Amount]], first: int, second: int, prices: Prices
) -> None:
    view = account(held, [owes(cash=-first), owes(cash=-second, venue="beta")], GRANTS)
    if evaluate(view, live(prices)).status is not HealthStatus.INSOLVENT:
        return
    after, _ = carried_out(view, live(prices), 8)
    assert after.record is not None
    alpha, beta = (item.seized for item in after.record.authorizations)
    assert abs(alpha * second - beta * first) <= (first + second) * USD // 100  # base units of BTC, rounded


@settings(max_examples=100)
@given(liquidations())
def test_plans_come_to_an_end_and_leave_nothing_to_take_or_nothing_owed(book: tuple[AccountView, Prices]) -> None:
    view, context = book[0], live(book[1], DEFAULT_POLICY)
    before = evaluate(view, context)
    after, plans = carried_out(view, context, 8)
    assert plans < 8
    assert plan_liquidation(after, context) == ()
    health = evaluate(after, context)
    swept = 10 * USD * len(before.holdings)  # what a seizure leaves of a holding may be dust
    assert health.maintenance_excess.low >= before.maintenance_excess.low - swept


@settings(max_examples=100)
@given(liquidations(owed_pct=(90, 94)))
def test_one_venue_is_paid_in_full_by_one_plan_if_the_collateral_allows(book: tuple[AccountView, Prices]) -> None:
    view, context = book[0], live(book[1])
    legs = plan_liquidation(view, context)
    assert view.record is not None
    owner = view.record.authorizations[0]
    if not legs or len(view.record.authorizations) > 1 or {c for c, _ in owner.payees} != {A, B}:
        return
    after = evaluate(executed(view, legs), context).venues[0]
    assert after.claim.high == 0 or sum(leg.credit for leg in legs) >= capacity(view, context) - USD


def capacity(view: AccountView, context: MarginContext) -> int:
    """The credit that all holdings together can pay for, at their premiums."""
    total = 0
    for line in evaluate(view, context).holdings:
        haircut = context.policy.asset_by_id[line.asset].maintenance_haircut_bps
        total += int(line.value.low * max(Fraction(10_000, 10_500), Fraction(10_000 - haircut, 10_000)))
    return total


@settings(max_examples=150)
@given(accounts(), contexts(any_prices()), st.sampled_from(PLACES), st.integers(1, 10_000), st.data())
def test_a_granted_withdrawal_leaves_the_initial_margin_covered(
    view: AccountView, context: MarginContext, place: tuple[ChainId, Address], share: int, data: st.DataObject
) -> None:
    chain_id, token = place
    leaf = view.holdings.get(chain_id)
    held = dict(leaf.balances).get(token, 0) if leaf is not None else 0
    amount = Amount(max(1, held * share // 10_000))
    if withdrawal_refusal(view, context, chain_id, token, amount) is not None:
        return
    assert view.record is not None
    gone = reservation(chain_id, [(token, amount)])
    after = evaluate(replace(view, record=replace(view.record, reservations=(gone,))), context)
    assert after.status is HealthStatus.HEALTHY
    less = Amount(data.draw(st.integers(1, amount)))
    assert withdrawal_refusal(view, context, chain_id, token, less) is None


def test_the_margin_of_generated_books_has_no_minimum() -> None:
    assert all(asset.min_value_micro_usd == 0 for asset in NO_DUST.assets)
