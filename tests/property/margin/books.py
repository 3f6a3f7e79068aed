"""Generated accounts and markets: two chains, two venues, every status of prices and chains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from chains.types import Address, Amount, ChainId
from node.margin import MarginContext
from node.margin.policy import Policy
from node.model.frame import PriceStatus
from node.model.header import ChainStatus
from node.model.ledger import AccountView, Authorization, VenueObligation
from node.model.reports import Position
from tests.unit.margin.books import (
    BTC_B,
    DECIMALS,
    ETH_A,
    ETH_B,
    OLD_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    market,
    payee,
    policy,
    price,
)

NO_DUST = policy(dust_usd=0)
"""The minimum is a step by nature: what is said of growth and of intervals is said without it."""

Price = tuple[int, int, PriceStatus, int]
Prices = dict[str, Price]

ASSETS = {ETH_A: "ETH", USDX_A: "USDX", OLD_A: "OLD", ETH_B: "ETH", BTC_B: "BTC"}
PLACES = ((A, ETH_A), (A, USDX_A), (A, OLD_A), (B, ETH_B), (B, BTC_B))
INSTRUMENTS = ("BTC-PERP", "ETH-PERP", "NONE-PERP", "OLD-PERP")
USUAL = {"BTC": 50_000, "ETH": 2_000, "OLD": 30, "USDX": 1}

millions = st.integers(0, 3 * 10**6 * USD)


@st.composite
def spans(draw: st.DrawFn, asset: str, *, status: PriceStatus = PriceStatus.FRESH) -> Price:
    """A price around the usual one, from a point to a wide span."""
    low = draw(st.integers(USUAL[asset] * USD // 4, USUAL[asset] * USD * 2))
    width = draw(st.sampled_from((0, 1, low // 200, low // 10)))
    return price(low, low + width, status)


@st.composite
def any_prices(draw: st.DrawFn) -> Prices:
    """For each asset any status; stale ones on both sides of the write-off."""
    found: Prices = {}
    for asset in USUAL:
        status = draw(st.sampled_from(tuple(PriceStatus)))
        if status is PriceStatus.STALE:
            low = draw(spans(asset))[0]
            found[asset] = price(low, status=status, age=draw(st.sampled_from((0, 61, 3_601, 86_400, 86_401))))
        elif status is PriceStatus.MISSING:
            found[asset] = price(0, status=status)
        else:
            found[asset] = draw(spans(asset, status=status))
    return found


@st.composite
def fresh_prices(draw: st.DrawFn, *, points: bool = False) -> Prices:
    found = {asset: draw(spans(asset)) for asset in USUAL}
    return {asset: price(span[0]) for asset, span in found.items()} if points else found


def contexts(prices: st.SearchStrategy[Prices], rules: Policy = NO_DUST) -> st.SearchStrategy[MarginContext]:
    """Markets with these prices, every chain in any status."""
    chains = st.fixed_dictionaries(dict.fromkeys((A, B), st.sampled_from(tuple(ChainStatus))))
    return st.builds(lambda given, states: market(given, chains=states, rules=rules), prices, chains)


def live(prices: Mapping[str, Price], rules: Policy = NO_DUST) -> MarginContext:
    return market(prices, rules=rules)


@st.composite
def holdings(draw: st.DrawFn) -> list[tuple[ChainId, Address, Amount]]:
    """Some of the places, each worth nothing to millions of dollars."""
    found = []
    for place in draw(st.lists(st.sampled_from(PLACES), unique=True, max_size=len(PLACES))):
        asset = ASSETS[place[1]]
        worth = draw(millions)
        amount = worth * 10 ** DECIMALS[place] // (USUAL[asset] * USD)
        if amount > 0:
            found.append((*place, Amount(amount)))
    return found


@st.composite
def obligations(draw: st.DrawFn, venue: str, instruments: tuple[str, ...] = INSTRUMENTS) -> VenueObligation:
    names = sorted(draw(st.lists(st.sampled_from(instruments), unique=True, max_size=3)))
    positions = []
    for name in names:
        usual = USUAL.get(name.removesuffix("-PERP"), 100)
        notional, sign = draw(millions), draw(st.sampled_from((1, -1)))
        entry = draw(st.integers(0, 3 * usual * USD))
        positions.append(Position(name, sign * (notional * 10**18 // (usual * USD)), entry))
    cash = draw(st.integers(-2 * 10**6 * USD, 10**6 * USD))
    return VenueObligation(venue, 1, tuple(positions), cash, draw(st.sampled_from((0, 10**5 * USD, 10**9 * USD))))


@st.composite
def authorizations(draw: st.DrawFn, venue: str) -> Authorization:
    limit = draw(st.one_of(millions, st.just(10**9 * USD)))
    seized = draw(st.one_of(st.just(0), st.integers(0, 10**6 * USD)))
    chains = draw(st.sampled_from(((A, B), (A, B), (A,), (B,))))
    return Authorization(venue, limit, tuple((chain, payee(venue, chain)) for chain in chains), seized, revoked=False)


@st.composite
def accounts(draw: st.DrawFn, instruments: tuple[str, ...] = INSTRUMENTS) -> AccountView:
    """Up to five holdings and two venues, authorised up to any limit."""
    venues = draw(st.sampled_from((("alpha",), ("alpha", "beta"))))
    return account(
        draw(holdings()),
        [draw(obligations(venue, instruments)) for venue in venues],
        [draw(authorizations(venue)) for venue in venues],
    )


@st.composite
def liquidations(draw: st.DrawFn, *, owed_pct: tuple[int, int] = (80, 160)) -> tuple[AccountView, Prices]:
    """Accounts whose venues claim this much of the collateral's value at these prices, whatever their positions.

    No venue acknowledges what was not seized yet: that would be a claim once more, and only the limit's to stop.
    """
    prices = draw(fresh_prices())
    held = draw(holdings().filter(bool))
    worth = sum(
        amount * prices[ASSETS[token]][0] // 10 ** DECIMALS[chain_id, token] for chain_id, token, amount in held
    )
    venues = draw(st.sampled_from((("alpha",), ("alpha", "beta"))))
    reported, allowed = [], []
    for venue in venues:
        said = draw(obligations(venue, ("BTC-PERP", "ETH-PERP", "OLD-PERP")))
        share = draw(st.integers(*owed_pct)) * worth // 100 // len(venues)
        seized = draw(st.sampled_from((0, 10**5 * USD)))
        acknowledged = draw(st.integers(0, seized))
        cash = -share - _pnl(said, prices) - (seized - acknowledged)
        reported.append(replace(said, cash=cash, acknowledged=acknowledged))
        named = draw(st.sampled_from(((A, B), (A, B), (A,), (B,))))
        payees = tuple((chain_id, payee(venue, chain_id)) for chain_id in named)
        limit = seized + draw(st.sampled_from((share, 10**9 * USD)))
        allowed.append(Authorization(venue, limit, payees, seized, revoked=False))
    return account(held, reported, allowed), prices


def _pnl(said: VenueObligation, prices: Prices) -> int:
    """What the positions are worth at the worse end of each price."""
    total = 0
    for held in said.positions:
        low, high, *_ = prices[held.instrument.removesuffix("-PERP")]
        total += held.size * ((low if held.size > 0 else high) - held.entry_price) // 10**18
    return total
