"""One account as the profile sees it: what it holds and owes by itself, at each venue, and in isolated sub-accounts.

Everything comes with its feed, so that no rule reads the market. What has no amount is not there, and reads no feed.
Must not know the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from node.margin.models.book import ACCOUNT_NAMES, Balance, Book, Future, Option, Perpetual, isolated_name, read_book
from node.margin.models.errors import DuplicateInstrument, MissingField
from node.margin.models.fields import Fields, Names, by_name, joined, leaves
from node.margin.models.fixed import Money, Wad
from node.margin.models.hypothec.counted import CHAIN_REASONS, Quality
from node.margin.models.hypothec.feeds import Feed, FeedStatus, read_feed, redeeming
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.market import Quotes
from node.margin.spec import cap, receivable

Position: TypeAlias = Perpetual | Future | Option
POSITIONS = ("perpetuals", "futures", "options")
OWN = ""
"""The venue of positions that are the account's own: what they are worth counts whatever its sign."""
MOST_VENUES = 64
MOST_ISOLATED = 64
_BEYOND: Names = {
    "collateral": [leaves("assurance", "finality")],
    "venues": by_name(leaves("limit", "cash", "seized", "acknowledged")),
}
NAMES: Names = {**_BEYOND, "isolated": [{"name": None, **joined(ACCOUNT_NAMES, _BEYOND)}]}
"""What is read of an account beside what a book has."""
_BEYOND_A_BOOK = frozenset({"collateral", "venues", "isolated", *POSITIONS})


@dataclass(frozen=True, slots=True)
class Holding:
    """Collateral: how much, at which price, how it is known."""

    amount: Wad
    feed: Feed
    quality: Quality


@dataclass(frozen=True, slots=True)
class Debt:
    """What is owed outright."""

    amount: Wad
    feed: Feed


@dataclass(frozen=True, slots=True)
class Held:
    """A position and the feed of its underlying."""

    position: Position
    feed: Feed


@dataclass(frozen=True, slots=True)
class Venue:
    """Positions at one venue with the account's cash there, and the most that it may claim (None: no such limit).

    `cash` includes what was seized for the venue and is not in its reports yet; the limit is what seizures left of it.
    """

    name: str
    limit: Money | None
    cash: Money
    positions: tuple[Held, ...]

    @property
    def is_obligation(self) -> bool:
        """Whether the account can owe it anything."""
        return bool(self.positions) or self.cash < 0


@dataclass(frozen=True, slots=True)
class Risk:
    """What the market says of an underlying beside its price."""

    vol: Wad
    depth: Money
    interest: Money


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One account, or one isolated part of it. `venues` has the account's own positions as the venue OWN."""

    account: str
    cash: Money
    holdings: tuple[Holding, ...]
    debts: tuple[Debt, ...]
    venues: tuple[Venue, ...]
    risks: Mapping[str, Risk]
    isolated: Mapping[str, Portfolio] = field(default_factory=dict)


class Market:
    """A file's market under one set of parameters: its quotes, feeds and risks, each read once."""

    def __init__(self, fields: Fields, parameters: Parameters) -> None:
        self.fields, self.parameters = fields, parameters
        self.missing = {
            name: content
            for name, content in fields.content.items()
            if isinstance(content, dict) and content.get("status") == FeedStatus.MISSING.value
        }
        self.quotes = Quotes(fields)
        self.feeds: dict[tuple[str, bool | None], Feed] = {}
        self.risks: dict[str, Risk] = {}


def read_portfolio(content: object, name: str, market: Fields | Market, parameters: Parameters) -> Portfolio:
    """One account of a file. Raises PortfolioError, which names account, instrument and field.

    For many accounts of one market give a Market, which reads it once.
    """
    shared = market if isinstance(market, Market) else Market(market, parameters)
    content, isolated = apart(content, name)
    main = _read(Fields.of(content, name), shared)
    found = {title: _read(Fields.of(each, isolated_name(name, title)), shared) for title, each in isolated.items()}
    return replace(main, isolated=found)


def apart(content: object, name: str) -> tuple[object, dict[str, object]]:
    """An account without its isolated accounts, and those by their names. Raises PortfolioError."""
    fields = Fields.of(content, name)
    isolated: dict[str, object] = {}
    fields.entries("isolated", most=MOST_ISOLATED)
    for each in fields.items("isolated"):
        title = each.text("name")
        alone = Fields({key: part for key, part in each.content.items() if key != "name"}, isolated_name(name, title))
        if title in isolated:
            raise DuplicateInstrument("two isolated accounts have one name", account=name, field="isolated", name=title)
        if alone.has("isolated"):
            raise alone.wrong("an isolated account has no isolated accounts", "isolated")
        isolated[title] = alone.content
    return {key: part for key, part in fields.content.items() if key != "isolated"}, isolated


def _read(fields: Fields, market: Market) -> Portfolio:
    parameters, readable = market.parameters, _with_placeholders(market, fields)
    feeds = _Feeds(readable, market.fields.said_of(fields.account), market)
    plain = {key: part for key, part in fields.content.items() if key not in _BEYOND_A_BOOK}
    book = feeds.book(plain)
    holdings = tuple(_holdings(fields, feeds))
    venues = tuple(_venues(fields, feeds))
    debts = tuple(Debt(each.amount, feeds.balance(each, owed=True)) for each in book.debts)
    used = {each.feed.asset for each in holdings} | {each.feed.asset for each in debts}
    used |= {each.feed.asset for venue in venues for each in venue.positions}
    roots = {parameters.assets[asset].root for asset in used}
    return Portfolio(
        account=fields.account,
        cash=book.cash,
        holdings=holdings,
        debts=debts,
        venues=venues,
        risks={root: feeds.risk(root) for root in sorted(roots)},
    )


def _with_placeholders(market: Market, account: Fields) -> Quotes:
    """The market with prices for what is said to be missing, so that positions on it can be read; no rule uses them."""
    if not market.missing:
        return market.quotes.of(account.account)
    given = (each.content.get("seconds") for key in ("options", "futures") for each in account.items(key))
    seconds = {each for each in given if isinstance(each, int | float | str)}
    expiries = [{"seconds": each, "forward": 1, "vol": 1} for each in seconds]
    readable = {name: {"price": 1, **content, "expiries": expiries} for name, content in market.missing.items()}
    return Quotes(replace(market.fields, content={**market.fields.content, **readable}, account=account.account))


@dataclass(frozen=True, slots=True)
class _Feeds:
    """The feeds of one account's market, whose errors name it. `readable` is the market with placeholders."""

    readable: Quotes
    market: Fields
    shared: Market

    def book(self, content: object) -> Book:
        """A part of the account as a book."""
        return read_book(content, self.market.account, self.readable)

    def balance(self, balance: Balance, *, owed: bool) -> Feed:
        """The feed of collateral or of a debt, whichever of two values counts."""
        return self._redeemable(balance.quote.asset, owed=owed)

    def traded(self, asset: str) -> Feed:
        """The feed of a position's underlying: its market price."""
        found, rules = self.shared.feeds, self.shared.parameters
        if (asset, None) not in found:
            found[asset, None] = read_feed(self.market, asset, rules.assets[asset], rules.feeds)
        return found[asset, None]

    def _redeemable(self, asset: str, *, owed: bool) -> Feed:
        """The book has been read with it, so what it redeems for is named, rated, and not itself."""
        found = self.shared.feeds
        if (asset, owed) not in found:
            feed, section = self.traded(asset), self.market.section(asset)
            if section.has("redemption"):
                redeems = section.section("redemption")
                underlying = self._redeemable(redeems.text("asset"), owed=owed)
                feed = redeeming(feed, underlying, redeems.positive("rate"), owed=owed)
            found[asset, owed] = feed
        return found[asset, owed]

    def risk(self, root: str) -> Risk:
        """What the market says of an underlying beside its price, or else the parameters."""
        found = self.shared.risks
        if root not in found:
            asset, fields = self.shared.parameters.assets[root], self.market.section(root)
            found[root] = Risk(
                fields.number("vol", low=0, high=100) if fields.has("vol") else asset.vol,
                fields.money("depth", low=0) if fields.has("depth") else asset.depth,
                fields.money("open_interest", low=0, default=0),
            )
        return found[root]


def _holdings(fields: Fields, feeds: _Feeds) -> Iterator[Holding]:
    """One by one, as an asset may be held several times, on chains that are known differently well."""
    seen: set[tuple[str, Quality]] = set()
    rules = feeds.shared.parameters.haircuts
    for each in fields.items("collateral"):
        for balance in feeds.book({"collateral": [each.content]}).collateral:
            named = each.named(balance.quote.asset)
            quality = Quality(
                _one_of(named, "assurance", rules.by_assurance, "PROVEN"),
                _one_of(named, "finality", rules.by_finality, "FINAL"),
                _one_of(named, "chain", CHAIN_REASONS, "LIVE"),
            )
            if (named.instrument, quality) in seen:
                raise DuplicateInstrument(
                    "the account holds it twice, known equally well: sum it up",
                    account=fields.account,
                    instrument=named.instrument,
                    field="collateral",
                )
            seen.add((named.instrument, quality))
            yield Holding(balance.amount, feeds.balance(balance, owed=False), quality)


def _one_of(fields: Fields, name: str, known: Mapping[str, object], default: str) -> str:
    given = fields.text(name, default)
    if given not in known:
        raise fields.wrong(f"give one of {', '.join(known)}", name)
    return given


def _venues(fields: Fields, feeds: _Feeds) -> Iterator[Venue]:
    """The account's own positions, then each venue that it has authorised. What is at no such venue is an error."""
    terms = fields.section("venues")
    if len(terms.content) > MOST_VENUES or OWN in terms.content:
        raise terms.wrong(f"give at most {MOST_VENUES} venues, each with a name", "venues")
    by_venue: dict[str, dict[str, list[object]]] = {OWN: {}, **{name: {} for name in sorted(terms.content)}}
    for key in POSITIONS:
        for each in fields.items(key):
            name = each.text("venue", OWN) if "venue" in each.content else OWN
            if name not in by_venue:
                raise MissingField(
                    "the account has not authorised the venue",
                    account=fields.account,
                    instrument=each.text("asset", key),
                    field="venues",
                    venue=name,
                )
            by_venue[name].setdefault(key, []).append(each.content)
    for name, content in by_venue.items():
        positions = tuple(_positions(content, feeds))
        if name == OWN:
            yield Venue(OWN, None, Money(0), positions)
            continue
        term = terms.section(name)
        seized, acknowledged = (term.money(each, low=0, default=0) for each in ("seized", "acknowledged"))
        yield Venue(
            name,
            Money(cap(term.money("limit", low=0), seized)),
            Money(term.money("cash", default=0) + receivable(seized, acknowledged)),
            positions,
        )


def _positions(content: Mapping[str, list[object]], feeds: _Feeds) -> Iterator[Held]:
    book = feeds.book(content)
    positions: list[Position] = [*book.perpetuals, *book.futures, *book.options]
    held = [Held(each, feeds.traded(each.quote.asset)) for each in positions]
    for key in ("perpetuals", "futures"):
        for raw in content.get(key, []):
            fields = Fields.of(raw, feeds.market.account)
            if fields.has("entry_price") or not fields.number("amount"):
                continue
            if not feeds.market.section(fields.text("asset")).has("price"):
                raise MissingField(
                    "without a price there is no default for it",
                    account=fields.account,
                    instrument=fields.text("asset"),
                    field="entry_price",
                )
    yield from held
