"""What holds of every account's health, whatever was deposited and reported."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from chains.types import Amount
from node.margin import MarginContext, evaluate
from node.model.frame import PriceStatus
from node.model.health import Health, HealthStatus, HoldingLine, Interval, VenueLine
from node.model.ledger import AccountView, Authorization, Obligations, VenueObligation
from node.model.reports import Position
from tests.property.margin.books import NO_DUST, Price, Prices, accounts, any_prices, contexts, fresh_prices, live
from tests.unit.margin.books import DECIMALS, DEFAULT_POLICY, ETH_A, A, account, market, price

PRICED = ("BTC-PERP", "ETH-PERP", "OLD-PERP")
FIGURES = (
    "initial_equity",
    "initial_margin",
    "initial_excess",
    "maintenance_equity",
    "maintenance_margin",
    "maintenance_excess",
)


def intervals(health: Health) -> list[Interval]:
    """Every interval of an answer, in one order."""
    parts: tuple[Health | HoldingLine | VenueLine, ...] = (health, *health.holdings, *health.venues)
    values = (getattr(part, field.name) for part in parts for field in fields(part))
    return [value for value in values if isinstance(value, Interval)]


def contains(outer: Interval, inner: Interval) -> bool:
    return outer.low <= inner.low and inner.high <= outer.high


@settings(max_examples=150)
@given(accounts(), contexts(any_prices(), DEFAULT_POLICY))
def test_every_answer_is_well_formed(view: AccountView, context: MarginContext) -> None:
    health = evaluate(view, context)
    assert all(interval.low <= interval.high for interval in intervals(health))
    assert contains(health.initial_equity - health.initial_margin, health.initial_excess)
    assert contains(health.maintenance_equity - health.maintenance_margin, health.maintenance_excess)
    assert health.initial_excess.low <= health.maintenance_excess.low
    assert len(set(health.reasons)) == len(health.reasons)
    doomed = health.status in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT)
    assert doomed == (health.maintenance_excess.high < 0)
    straddles = health.maintenance_excess.low < 0 <= health.maintenance_excess.high
    assert (health.status is HealthStatus.UNKNOWN) == straddles
    assert health.reasons or not straddles
    assert (health.status is HealthStatus.HEALTHY) == (health.initial_excess.low >= 0)
    assert evaluate(view, context) == health


@settings(max_examples=100)
@given(accounts(), contexts(any_prices()))
def test_the_limit_holds_at_every_mark(view: AccountView, context: MarginContext) -> None:
    assert view.record is not None
    allowed = {item.venue: max(0, item.limit - item.seized) for item in view.record.authorizations}
    for line in evaluate(view, context).venues:
        assert max(line.claim.high, line.initial.high, line.maintenance.high) <= allowed[line.venue]
        assert line.claim.high == 0 or line.profit.low == 0


@st.composite
def inside(draw: st.DrawFn, span: Price) -> Price:
    low, high = sorted((draw(st.integers(span[0], span[1])), draw(st.integers(span[0], span[1]))))
    return price(low, high)


@settings(max_examples=150)
@given(accounts(), fresh_prices(), st.data())
def test_what_is_known_better_lies_within_what_was_known(view: AccountView, wide: Prices, data: st.DataObject) -> None:
    narrow = {asset: data.draw(inside(span)) for asset, span in wide.items()}
    outer, inner = evaluate(view, live(wide)), evaluate(view, live(narrow))
    assert all(contains(*pair) for pair in zip(intervals(outer), intervals(inner), strict=True))


@settings(max_examples=100)
@given(accounts(PRICED), fresh_prices(points=True), st.sampled_from((0, 3_601, 80_000)), st.data())
def test_a_stale_price_leaves_open_all_that_its_bound_allows(
    view: AccountView, last: Prices, age: int, data: st.DataObject
) -> None:
    bound = NO_DUST.stale.bps(age)
    moved = {
        asset: price(data.draw(st.integers(span[0] - span[0] * bound // 10_000, span[0] + span[0] * bound // 10_000)))
        for asset, span in last.items()
    }
    stale = {asset: price(span[0], status=PriceStatus.STALE, age=age) for asset, span in last.items()}
    wide, true = evaluate(view, live(stale)), evaluate(view, live(moved))
    assert contains(wide.initial_excess, true.initial_excess)
    assert contains(wide.maintenance_excess, true.maintenance_excess)


@settings(max_examples=100)
@given(accounts(), contexts(any_prices()), st.integers(1, 10**30), st.data())
def test_more_collateral_is_never_worse(
    view: AccountView, context: MarginContext, more: int, data: st.DataObject
) -> None:
    before = evaluate(view, context)
    for chain_id, leaf in view.holdings.items():
        token = data.draw(st.sampled_from([token for token, _ in leaf.balances]))
        grown = tuple((each, Amount(held + more if each == token else held)) for each, held in leaf.balances)
        after = evaluate(
            replace(view, holdings=dict(view.holdings) | {chain_id: replace(leaf, balances=grown)}), context
        )
        assert after.status <= before.status
        assert after.initial_excess.low >= before.initial_excess.low
        assert after.maintenance_excess.high >= before.maintenance_excess.high


@settings(max_examples=100)
@given(accounts(), contexts(any_prices()), st.integers(1, 10**19))
def test_more_debt_is_never_better(view: AccountView, context: MarginContext, more: int) -> None:
    assert view.obligations is not None
    deeper = tuple(replace(item, cash=item.cash - more) for item in view.obligations.venues)
    before, after = evaluate(view, context), evaluate(replace(view, obligations=Obligations(deeper)), context)
    assert after.status >= before.status
    assert after.initial_excess.low <= before.initial_excess.low
    assert after.maintenance_excess.high <= before.maintenance_excess.high


@settings(max_examples=100)
@given(accounts(), contexts(any_prices()), st.integers(0, 10**20))
def test_what_a_venue_owes_helps_against_no_other(view: AccountView, context: MarginContext, gift: int) -> None:
    """Even the greatest profit at one venue is worth no more than not being a customer there."""
    assert view.obligations is not None
    first, *others = view.obligations.venues
    generous = replace(first, cash=first.cash + gift)
    gifted = evaluate(replace(view, obligations=Obligations((generous, *others))), context)
    alone = evaluate(replace(view, obligations=Obligations(tuple(others))), context)
    assert gifted.maintenance_excess.low <= alone.maintenance_excess.low
    assert gifted.maintenance_excess.high <= alone.maintenance_excess.high
    assert gifted.status >= alone.status


def exactly(view: AccountView, context: MarginContext) -> tuple[Fraction, Fraction]:
    """Maintenance collateral and requirement at point prices, in fractions, said once more in another way."""
    assert view.record is not None
    assert view.obligations is not None
    rules = context.policy
    collateral = Fraction(0)
    for chain_id, leaf in view.holdings.items():
        for token, amount in leaf.balances:
            asset = rules.asset_by_id[rules.token_by_place[chain_id, token].asset]
            counts = Fraction(10_000 - asset.maintenance_haircut_bps, 10_000)
            collateral += Fraction(amount, 10 ** DECIMALS[chain_id, token]) * context.prices[asset.id].price * counts
    required = Fraction(0)
    allowed = {item.venue: item for item in view.record.authorizations}
    for item in view.obligations.venues:
        grant = allowed[item.venue]
        value = Fraction(item.cash + max(0, grant.seized - item.acknowledged))
        margin = Fraction(0)
        for held in item.positions:
            instrument = rules.perpetual_by_id[held.instrument]
            now, size = context.prices[instrument.underlying].price, Fraction(held.size, 10**18)
            value += size * (now - held.entry_price)
            margin += abs(size) * now * Fraction(instrument.maintenance_bps, 10_000)
        owed, room = max(-value, Fraction(0)), Fraction(max(0, grant.limit - grant.seized))
        required += min(room, owed + max(margin - max(value, Fraction(0)), Fraction(0)))
    return collateral, required


@settings(max_examples=150)
@given(accounts(PRICED), fresh_prices(points=True))
def test_integers_differ_from_fractions_by_rounding_against_the_account(view: AccountView, prices: Prices) -> None:
    context = live(prices)
    health = evaluate(view, context)
    collateral, required = exactly(view, context)
    assert health.maintenance_excess.low == health.maintenance_excess.high
    gap = collateral - required - health.maintenance_excess.low
    assert 0 <= gap <= 30  # a few units of 1e-12 USD for each product


words = st.integers(0, 2**256 - 1)
signed = st.integers(-(2**255), 2**255 - 1)


@settings(max_examples=100)
@given(words, signed, words, signed, words, words, words, st.sampled_from(("ETH-PERP", "OLD-PERP", "X")), words)
def test_no_figure_that_can_be_written_down_is_too_large(  # noqa: PLR0917 - every field takes its extremes
    amount: int,
    size: int,
    entry: int,
    cash: int,
    acknowledged: int,
    limit: int,
    seized: int,
    instrument: str,
    quoted: int,
) -> None:
    obligation = VenueObligation("alpha", 1, (Position(instrument, size, entry),), cash, acknowledged)
    grant = Authorization("alpha", limit, (), seized, revoked=False)
    health = evaluate(account([(A, ETH_A, Amount(amount))], [obligation], [grant]), market({"ETH": price(quoted)}))
    assert all(interval.low <= interval.high for interval in intervals(health))
    assert health.venues[0].claim.high <= limit


def test_every_figure_of_an_answer_is_looked_at() -> None:
    health = evaluate(account(), market())
    assert {field.name for field in fields(health) if isinstance(getattr(health, field.name), Interval)} == set(FIGURES)
