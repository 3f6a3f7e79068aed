"""Under the profile `hypothec` the network says, bit for bit, what the profile says of the same account in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chains.types import Address, Amount, ChainId, TokenFact
from node.margin import MarginContext, evaluate, plan_liquidation, spec, withdrawal_refusal
from node.margin.models.fields import Fields
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.margin import Result
from node.margin.models.hypothec.parameters import read_parameters
from node.margin.models.hypothec.portfolio import read_portfolio
from node.margin.models.hypothec.profile import result_of
from node.margin.models.profile import merged
from node.margin.policy import PICO_PER_MICRO
from node.model.frame import FramePrice, PriceStatus
from node.model.header import ChainStatus
from node.model.health import HealthStatus, Reason
from node.model.ledger import AccountView, Obligations, VenueObligation
from node.model.reports import Position
from tests.property.margin.books import (
    ASSETS,
    PLACES,
    USUAL,
    Prices,
    accounts,
    any_prices,
    fresh_prices,
    liquidations,
)
from tests.unit.margin.books import (
    DECIMALS,
    NOW,
    USD,
    A,
    B,
    executed,
    market,
    price,
    profile_policy,
    reservation,
)

PROFILE = profile_policy(dust_usd=0, carry_bps=500)
WITH_DUST = profile_policy("[margin.parameters]\nmaintenance = 0.75\n[margin.parameters.assets.ETH]\ndepth = 1000000\n")
DATED = (
    "ETH-3JAN27",
    "ETH-31DEC27",
    "ETH-31DEC27-2000-C",
    "ETH-31DEC27-2500d5-P",
    "ETH-25MAR27-1500-P",
    "BTC-31DEC27-60000-C",
    "BTC-31DEC27",
    "ETH-25DEC26-2000-P",
    "ETH-25DEC26",
    "ETH-31DEC27-2000-c",
)
"""Some have expired, some are of no series or no name."""

volatilities = st.one_of(
    st.builds(
        lambda low, width, status: price(low, low + width, status),
        st.integers(USD // 20, 3 * USD),
        st.sampled_from((0, USD // 100)),
        st.sampled_from((PriceStatus.FRESH, PriceStatus.DISPUTED)),
    ),
    st.builds(
        lambda low, age: price(low, status=PriceStatus.STALE, age=age), st.integers(1, USD), st.integers(0, 10**5)
    ),
    st.just(price(0, status=PriceStatus.MISSING)),
)


@st.composite
def positions(draw: st.DrawFn) -> tuple[Position, ...]:
    names = sorted(draw(st.lists(st.sampled_from(DATED), unique=True, max_size=4)))
    sizes = st.integers(-100 * 10**18, 100 * 10**18)
    return tuple(Position(name, draw(sizes), draw(st.integers(0, 5000 * USD))) for name in names)


@st.composite
def books(draw: st.DrawFn, of: st.SearchStrategy[AccountView] | None = None) -> AccountView:
    """Accounts with dated positions beside perpetuals."""
    view = draw(of if of is not None else accounts())
    if view.obligations is None:
        return view
    venues = tuple(_with(each, draw(positions())) for each in view.obligations.venues)
    return replace(view, obligations=Obligations(venues))


def _with(obligation: VenueObligation, more: Iterable[Position]) -> VenueObligation:
    ordered = sorted((*obligation.positions, *more), key=lambda each: each.instrument)
    return replace(obligation, positions=tuple(ordered))


@st.composite
def contexts(draw: st.DrawFn, *, of: st.SearchStrategy[Prices] | None = None, live: bool = False) -> MarginContext:
    prices = draw(of if of is not None else any_prices()) | {"ETH-VOL": draw(volatilities)}
    kinds = st.just(ChainStatus.LIVE) if live else st.sampled_from(tuple(ChainStatus))
    facts = st.sampled_from((None, TokenFact(Amount(3), Amount(2)), TokenFact(Amount(3), Amount(0), disputed=True)))
    tokens = {} if live else draw(st.dictionaries(st.sampled_from(PLACES), facts, max_size=2))
    rules = draw(st.sampled_from((PROFILE, WITH_DUST)))
    return market(prices, chains={A: draw(kinds), B: draw(kinds)}, tokens=tokens, rules=rules)


# === The same account as a file ===

NOT_COUNTED = {Reason.NOT_ENFORCEABLE, Reason.NOT_ADMITTED, Reason.NOT_OPTED_IN, Reason.MISSING_PRICE, Reason.DUST}


def text(number: int, digits: int) -> str:
    return f"{Decimal(number).scaleb(-digits):f}"


def quoted(found: FramePrice, context: MarginContext) -> dict[str, Any]:
    if found.status is PriceStatus.MISSING:
        return {"status": "MISSING"}
    is_disputed = found.status is PriceStatus.DISPUTED
    middle = min(max(found.price, found.low), found.high)
    ends = {"price": text(middle, 12), "low": text(found.low, 12), "high": text(found.high, 12)}
    age = 0 if is_disputed else NOW - found.published_at
    return {**ends, "status": found.status.name, "age": age}


def volatility(asset: str, context: MarginContext) -> tuple[Decimal, Decimal]:
    """A year's, and by how much it may be wrong."""
    usual = Decimal(context.policy.parameters.assets[asset].vol).scaleb(-18)
    index = context.policy.asset_by_id[asset].volatility
    if index is None:
        return usual, Decimal(0)
    found = context.prices[index]
    age = NOW - found.published_at
    if found.status is PriceStatus.MISSING or (found.status is PriceStatus.STALE and age > 86_400):
        return usual, Decimal(1)
    low, high, middle = found.low, found.high, min(max(found.price, found.low), found.high)
    wrong = max(high - middle, middle - low) * 10**6
    if found.status is not PriceStatus.FRESH:
        rules, aged = context.policy.parameters.feeds, age if found.status is PriceStatus.STALE else 0
        bound = min(rules.bound_cap, rules.bound_base + spec.ceil_div(rules.bound_per_hour * aged, 3600))
        wide = middle * 10**6 * bound
        wrong = max(wrong, spec.ceil_div(wide, 10**18), middle * 10**6 - (middle * 10**6 * (10**18 - bound)) // 10**18)
    spread = min(10**18, spec.ceil_div(wrong * 10**18, middle * 10**6))
    return Decimal(middle).scaleb(-12), Decimal(spread).scaleb(-18)


def written(view: AccountView, context: MarginContext) -> tuple[dict[str, Any], dict[str, Any]]:
    """The account and its market as a portfolio file has them, by the network's own rules."""
    policy = context.policy
    quotes: dict[str, Any] = {}
    for asset in policy.asset_by_id:
        vol, spread = volatility(asset, context)
        entry = {**quoted(context.prices[asset], context), "vol": str(vol), "vol_spread": str(spread), "expiries": []}
        quotes[asset] = entry if entry["status"] != "MISSING" else {k: v for k, v in entry.items() if k != "expiries"}
    content: dict[str, Any] = {"collateral": [], "perpetuals": [], "futures": [], "options": [], "venues": {}}
    held: Counter[tuple[str, str]] = Counter()
    for line in evaluate(view, context).holdings:  # which ones count is not the profile's to say
        if line.amount and not set(line.reasons) & NOT_COUNTED:
            fact, reason = context.tokens.get((line.chain_id, line.token)), context.chain_reasons[line.chain_id]
            there = line.amount if fact is None or fact.disputed else spec.pro_rata(line.amount, fact.held, fact.booked)
            known = {Reason.CHAIN_HALTED: "HALTED", Reason.CHAIN_DISPUTED: "DISPUTED"}.get(reason, "LIVE")  # type: ignore[arg-type]
            if known == "LIVE" and (fact is None or fact.disputed):
                known = "DISPUTED"
            held[line.asset, known] += there * 10 ** (18 - DECIMALS[line.chain_id, line.token])
    for (asset, known), amount in held.items():
        quality = {"chain": known, "assurance": "ATTESTED", "finality": "FINAL"}
        content["collateral"].append({"asset": asset, "amount": text(amount, 18), **quality})
    assert view.record is not None
    allowed = {item.venue: item for item in view.record.authorizations}
    for obligation in view.obligations.venues if view.obligations else ():
        granted = allowed[obligation.venue]
        terms = {"limit": granted.limit, "seized": granted.seized, "acknowledged": obligation.acknowledged}
        terms["cash"] = obligation.cash
        content["venues"][obligation.venue] = {name: text(amount, 12) for name, amount in terms.items()}
        for position in obligation.positions:
            _write(position, obligation.venue, content, quotes, context)
    return content, quotes


def _write(
    position: Position, venue: str, content: dict[str, Any], quotes: dict[str, Any], context: MarginContext
) -> None:
    contract = context.policy.contract(position.instrument)
    amount, entry = text(position.size, 18), text(position.entry_price, 12)
    if position.size == 0:
        return
    if contract is None:
        quotes[position.instrument] = {"status": "MISSING"}
        content["perpetuals"].append({"asset": position.instrument, "amount": -1, "entry_price": 0, "venue": venue})
        return
    asset = contract.underlying
    if contract.expiry is None:
        content["perpetuals"].append({"asset": asset, "amount": amount, "entry_price": entry, "venue": venue})
        return
    seconds = contract.expiry - NOW
    if seconds <= 0:
        asset, seconds = f"expired {position.instrument}", 0
        quotes[asset] = {"status": "MISSING"}
    elif "price" in quotes[asset] and all(each["seconds"] != seconds for each in quotes[asset]["expiries"]):
        exact = int(Decimal(quotes[asset]["price"]).scaleb(18))
        carry = context.policy.asset_by_id[asset].carry_bps
        forward = exact + exact * carry * seconds // (10_000 * 365 * 86_400)
        made = {"seconds": seconds, "forward": text(forward, 18), "vol": quotes[asset]["vol"]}
        quotes[asset]["expiries"].append(made)
    written = {"asset": asset, "seconds": seconds, "amount": amount, "venue": venue}
    if contract.strike is None:
        content["futures"].append({**written, "entry_price": entry})
    else:
        content["options"].append({**written, "strike": text(contract.strike, 18), "call": contract.is_call})


def by_profile(view: AccountView, context: MarginContext) -> Result:
    content, quotes = written(view, context)
    own: dict[str, Any] = {"feeds": {"stale_after": 61, "write_off_after": 86_400, "bound_base": 0.01}}
    own["feeds"] |= {"bound_per_hour": 0.02, "bound_cap": 0.5}
    if context.policy is WITH_DUST:
        own |= {"maintenance": 0.75, "assets": {"ETH": {"depth": 1_000_000}}}
    parameters = read_parameters(Fields(merged(DEFAULTS, own), ""))
    return result_of(read_portfolio(content, "account", Fields(quotes, "account"), parameters), parameters)


@settings(max_examples=60, deadline=None)
@given(books(), contexts())
def test_the_network_says_what_the_profile_says_of_the_account_in_a_file(
    view: AccountView, context: MarginContext
) -> None:
    health, result = evaluate(view, context), by_profile(view, context)
    if all(part.limit is None for part in result.parts):
        assert health.status is HealthStatus.HEALTHY, "who owes nothing needs nothing"
        assert health.maintenance_excess.low >= max(0, result.maintenance_excess.low)
        return
    assert health.initial_excess == result.initial_excess
    assert health.maintenance_excess == result.maintenance_excess
    assert health.status is result.status


@settings(max_examples=40, deadline=None)
@given(books(), contexts())
def test_lines_explain_the_excess(view: AccountView, context: MarginContext) -> None:
    health = evaluate(view, context)
    for equity, margin, excess in (
        (health.initial_equity, health.initial_margin, health.initial_excess),
        (health.maintenance_equity, health.maintenance_margin, health.maintenance_excess),
    ):
        assert equity.low <= equity.high
        assert 0 <= margin.low <= margin.high
        assert excess.low <= excess.high
        assert equity.low - margin.high <= excess.low
        assert excess.high <= equity.high - margin.low
    for line in health.holdings:
        assert 0 <= line.initial.low <= line.initial.high
        assert line.initial.high <= line.maintenance.high <= line.value.high or line.reasons
        assert line.maintenance.low <= line.value.low
    assert view.record is not None
    limits = {item.venue: spec.cap(item.limit, item.seized) for item in view.record.authorizations}
    for venue in health.venues:
        for each in (venue.claim, venue.initial, venue.maintenance):
            assert 0 <= each.low <= each.high <= limits[venue.venue]


@settings(max_examples=60, deadline=None)
@given(books(), contexts(), st.sampled_from(sorted(USUAL)))
def test_what_is_known_worse_is_never_certain_of_more(view: AccountView, context: MarginContext, asset: str) -> None:
    """A disputed price in place of a fresh one widens what is possible."""
    found = context.prices[asset]
    assume(found.status is PriceStatus.FRESH)
    worse = replace(found, status=PriceStatus.DISPUTED)
    wider = replace(context, prices={**context.prices, asset: worse})
    before, after = evaluate(view, context), evaluate(view, wider)
    assert after.maintenance_excess.low <= before.maintenance_excess.low
    assert after.initial_excess.low <= before.initial_excess.low


# === Plans and withdrawals ===


def unmoved(view: AccountView, context: MarginContext) -> int:
    """Haircut collateral as the market is, less what each venue requires by itself, at the low end.

    A fee that is paid for closing ends as profit until the venue has closed: it is set against its own margin alone.
    """
    health = evaluate(view, context)
    return health.maintenance_equity.low - sum(line.maintenance.high for line in health.venues)


@settings(max_examples=60, deadline=None)
@given(liquidations(), contexts(of=fresh_prices(), live=True), st.data())
def test_any_part_of_a_plan_leaves_no_less_as_the_market_is(
    book: tuple[AccountView, Prices], context: MarginContext, data: st.DataObject
) -> None:
    view = book[0]
    context = market({**book[1], "ETH-VOL": price(USD)}, rules=context.policy)
    legs, before = plan_liquidation(view, context), evaluate(view, context)
    assume(legs)
    assert before.status in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT)
    part = data.draw(st.lists(st.sampled_from(legs), min_size=1, unique_by=lambda leg: leg.chain_id))
    after = executed(view, part)
    assert unmoved(after, context) >= unmoved(view, context) - _rounding(part, context)
    claims = {line.venue: line.claim.high for line in before.venues}
    for line in evaluate(after, context).venues:
        assert line.claim.high <= claims[line.venue]


@settings(max_examples=60, deadline=None)
@given(liquidations(), st.data())
def test_no_part_of_a_plan_lowers_the_margin_where_no_row_takes_back_what_it_pays(
    book: tuple[AccountView, Prices], data: st.DataObject
) -> None:
    """One venue, owed in cash alone: its claim is the same in every row."""
    view, context = book[0], market(book[1], rules=PROFILE)
    assert view.obligations is not None
    first = replace(view.obligations.venues[0], positions=())
    view = replace(view, obligations=Obligations((first,)))
    legs = plan_liquidation(view, context)
    assume(legs)
    part = data.draw(st.lists(st.sampled_from(legs), min_size=1, unique_by=lambda leg: leg.chain_id))
    before, after = evaluate(view, context), evaluate(executed(view, part), context)
    assert after.maintenance_excess.low >= before.maintenance_excess.low - _rounding(part, context)


def _rounding(legs: Iterable[Any], context: MarginContext) -> int:
    """A base unit of each item, the units of what it counts at, and what is left of it where that is dust."""
    total = 0
    for leg in legs:
        for item in leg.items:
            asset = ASSETS[item.token]
            total += context.policy.asset_by_id[asset].min_value_micro_usd * PICO_PER_MICRO
            total += context.prices[asset].high // 10 ** DECIMALS[leg.chain_id, item.token] + 10**6
            total += 16 * context.prices[asset].high // 10**9  # steps of the depth end at whole 1e-9 units
            total += (item.amount // 10 ** DECIMALS[leg.chain_id, item.token] + 1) * 64
    return total


@settings(max_examples=40, deadline=None)
@given(books(), contexts(), st.sampled_from(PLACES), st.integers(1, 10_000), st.data())
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
