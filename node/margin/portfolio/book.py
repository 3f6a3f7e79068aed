"""An account of the ledger as a portfolio of the profile.

The network's own rules are applied on the way: what secures the account and what its owner let venues claim. What no
instrument of the policy is, what has expired and what cannot be marked is owed without a bound, as a short on a price
that nobody knows is: within the owner's limit, and seizing nothing. Must not know the profile's rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from node.margin import spec
from node.margin.collateral import Standing, standings
from node.margin.context import MarginContext
from node.margin.contracts import Contract
from node.margin.models.book import Future, Option, Perpetual
from node.margin.models.fixed import ONE, WAD, Money, Wad
from node.margin.models.hypothec.counted import Quality, Unit
from node.margin.models.hypothec.feeds import Feed
from node.margin.models.hypothec.portfolio import OWN, Held, Holding, Portfolio, Venue
from node.margin.portfolio.market import WAD_PER_PICO, Market
from node.model.header import ChainState
from node.model.health import HoldingLine, Reason
from node.model.ledger import AccountView, Authorization, VenueObligation
from node.model.reports import Position

_CHAIN = {Reason.CHAIN_HALTED: "HALTED", Reason.CHAIN_DISPUTED: "DISPUTED", Reason.STALE_CUT: "STALE"}
_LIVE, _UNKNOWN = "LIVE", "DISPUTED"
NO_ASSET = ""
"""What an instrument that the policy does not name is on."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A holding that counts, and why it is uncertain."""

    standing: Standing
    holding: Holding
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Reported:
    """A position as the profile takes it, what it is in by the policy, and why it is uncertain."""

    held: Held
    contract: Contract | None
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Owing:
    """A venue that has reported the account: `receivable` and `limit` in 1e-12 USD."""

    authorization: Authorization
    limit: int
    receivable: int
    positions: tuple[Reported, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Those of its positions, each once."""
        return tuple(dict.fromkeys(each.reason for each in self.positions if each.reason is not None))


@dataclass(frozen=True, slots=True)
class AccountBook:
    """An account as the profile takes it, and the network's own view of each part.

    `holdings` by chain and token: what counts, or the line of what does not. `venues` has what each name reported.
    """

    portfolio: Portfolio
    holdings: tuple[Kept | HoldingLine, ...]
    venues: dict[str, Owing]


def account_book(view: AccountView, context: MarginContext) -> AccountBook:
    """The account under a policy that names the profile."""
    [found] = account_books([view], context)
    return found


def account_books(views: Sequence[AccountView], context: MarginContext) -> list[AccountBook]:
    """The same of several, whose options are priced together."""
    reported = [
        [
            # A position of no size reads no price.
            [_reported(each, context) for each in obligation.positions if each.size != 0]
            for obligation, _ in _authorized(view)
        ]
        for view in views
    ]
    units = iter(context.market.units.options(each.held for of in reported for some in of for each in some))
    return [
        _account_book(view, [tuple(_marked(each, units, context.market) for each in some) for some in of], context)
        for view, of in zip(views, reported, strict=True)
    ]


def _marked(each: Reported, units: Iterator[Unit | None], market: Market) -> Reported:
    """An option without a finite mark is owed without a bound: a row moves the price, or the volatility, too far."""
    if not isinstance(each.held.position, Option) or next(units) is not None:
        return each
    return Reported(_unbounded(each.held.feed.asset, market), each.contract, Reason.UNKNOWN_INSTRUMENT)


def _account_book(view: AccountView, reported: list[tuple[Reported, ...]], context: MarginContext) -> AccountBook:
    market, name = context.market, view.account.hex()
    holdings = tuple(_kept(each, context) if isinstance(each, Standing) else each for each in standings(view, context))
    owing: dict[str, Owing] = {}
    venues = [Venue(OWN, None, Money(0), ())]
    for (obligation, authorization), some in zip(_authorized(view), reported, strict=True):
        venue, found = _venue(obligation, authorization, some)
        owing[venue.name] = found
        venues.append(venue)
    held = tuple(each.holding for each in holdings if isinstance(each, Kept))
    feeds = [*(each.feed for each in held), *(each.feed for venue in venues for each in venue.positions)]
    roots = sorted({market.parameters.assets[feed.asset].root for feed in feeds})
    risks = {root: market.risk(root) for root in roots}
    return AccountBook(Portfolio(name, Money(0), held, (), tuple(venues), risks), holdings, owing)


# === Holdings ===


def _kept(held: Standing, context: MarginContext) -> Kept | HoldingLine:
    feed = context.market.held(held.place, context.policy.token_by_place[held.place])
    if feed.reason is Reason.MISSING_PRICE:
        return held.nothing(feed.reason)
    amount = Wad(held.there * WAD // 10**held.decimals)
    if held.is_dust(amount * feed.high // (WAD * WAD_PER_PICO), context.policy):
        return held.nothing(Reason.DUST)
    quality = _quality(held, context.chains[held.chain_id])
    reasons = (feed.reason, held.chain, held.fact)
    return Kept(held, Holding(amount, feed, quality), tuple(each for each in reasons if each is not None))


def _quality(held: Standing, chain: ChainState) -> Quality:
    """A certified cut is final. A token that is not known to be there is as one on a chain that is disputed."""
    known = _LIVE if held.chain is None else _CHAIN[held.chain]
    return Quality(chain.assurance.name, "FINAL", _UNKNOWN if known == _LIVE and held.is_uncertain else known)


# === Venues ===


def _authorized(view: AccountView) -> Iterator[tuple[VenueObligation, Authorization]]:
    """Each venue that has reported the account and is authorised by its owner, by name; others count nothing."""
    if view.record is None or view.obligations is None:
        return
    authorized = {item.venue: item for item in view.record.authorizations}
    for obligation in view.obligations.venues:
        if obligation.venue in authorized:
            yield obligation, authorized[obligation.venue]


def _venue(
    obligation: VenueObligation, authorization: Authorization, reported: tuple[Reported, ...]
) -> tuple[Venue, Owing]:
    receivable = spec.receivable(authorization.seized, obligation.acknowledged)
    limit = spec.cap(authorization.limit, authorization.seized)
    held = tuple(each.held for each in reported)
    venue = Venue(authorization.venue, Money(limit), Money(obligation.cash + receivable), held)
    return venue, Owing(authorization, limit, receivable, reported)


def _reported(position: Position, context: MarginContext) -> Reported:
    contract, market = context.policy.contract(position.instrument), context.market
    if contract is None:
        # SECURITY: not on what the venue calls it: that may be an asset of an issuer of what the account holds.
        return Reported(_unbounded(NO_ASSET, market), None, Reason.UNKNOWN_INSTRUMENT)
    feed = market.feed(contract.underlying)
    seconds = market.seconds_to(contract.expiry) if contract.expiry is not None else 0
    if contract.expiry is not None and seconds <= 0:
        nothing = market.missing(contract.underlying)
        return Reported(_held(position, contract, nothing, 0, market), contract, Reason.EXPIRED)
    held = _held(position, contract, feed, seconds, market)
    if not isinstance(held.position, Option):
        return Reported(held, contract, feed.reason)
    certain = market.volatility(contract.underlying).is_certain
    return Reported(held, contract, feed.reason or (None if certain else Reason.UNCERTAIN_VOLATILITY))


def _held(position: Position, contract: Contract, feed: Feed, seconds: int, market: Market) -> Held:
    """An option's entry price does not matter: what was paid for it is in the venue's cash."""
    amount, quote, expiry = Wad(position.size), market.quote(feed), market.expiry(feed, seconds)
    if contract.strike is not None:
        return Held(Option(contract.strike, contract.is_call, amount, expiry, quote), feed)
    entry = Wad(position.entry_price * WAD_PER_PICO)
    if contract.expiry is not None:
        return Held(Future(amount, entry, seconds, expiry.forward, quote), feed)
    return Held(Perpetual(amount, entry, Money(0), quote), feed)


def _unbounded(name: str, market: Market) -> Held:
    feed = market.missing(name)
    return Held(Perpetual(Wad(-ONE), Wad(0), Money(0), market.quote(feed)), feed)
