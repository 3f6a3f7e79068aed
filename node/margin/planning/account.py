"""An account as plans and questions change it: what it holds by name, and what a change would make of it.

An account is the same whatever the order of its lists. Every judgement of it is its profile's: here nothing is known of
margins, only what things are worth at the market. Must not know plans.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from node.margin.models.book import Balance, Book, Future, Option, Perpetual, read_book
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad, value
from node.margin.models.profile import Evaluation, Profile
from node.margin.models.shocks import NO_MOVE, marks
from node.margin.spec import cap, claim, receivable

CASH = "cash"
"""What cash is called where holdings are."""
USD = "USD"
_WADS_OF_MONEY = WAD // PICO
MOST_HOLDINGS = 1_000


class Kind(StrEnum):
    """What a holding is: the section of the file that it stands in."""

    COLLATERAL = "collateral"
    DEBT = "debts"
    PERPETUAL = "perpetuals"
    FUTURE = "futures"
    OPTION = "options"

    @property
    def is_position(self) -> bool:
        """Whether it is closed, not sold or repaid."""
        return self in {Kind.PERPETUAL, Kind.FUTURE, Kind.OPTION}


@dataclass(frozen=True, slots=True)
class Holding:
    """A balance, a debt or a position. `amount` is signed for positions; `price` is the market's, an option's its mark.

    A unit closed gives `price` − `entry`; `funding` is what the position still receives. `spot` is its underlying's
    price, which sizes are judged by. `chain` and `venue` are where it is, as the file says. Plans leave it alone unless
    it `is_available`: where the file says that its price is not fresh or its chain not live, it is not.
    """

    name: str
    kind: Kind
    asset: str
    amount: Wad
    price: Wad
    entry: Wad
    funding: Money
    spot: Wad
    chain: str
    venue: str
    is_available: bool
    item: Mapping[str, object] = field(compare=False)

    @property
    def size(self) -> Wad:
        """The absolute amount."""
        return Wad(abs(self.amount))

    @property
    def worth(self) -> Money:
        """What it adds to the account at the market; negative for debts and losses."""
        if self.kind is Kind.DEBT:
            return value(-self.amount, self.price)
        return Money(value(self.amount, Wad(self.price - self.entry)) + self.funding)

    def notional(self, amount: int) -> Money:
        """What an absolute amount of it is at the price of its underlying, rounded up."""
        return Money(-value(-amount, self.spot))


@dataclass(frozen=True, slots=True)
class Venue:
    """What the owner authorised a venue to claim at most, its cash there, what was seized for it and what it shows."""

    limit: Money
    cash: Money
    seized: Money
    acknowledged: Money

    @property
    def most(self) -> Money:
        """What it may still claim."""
        return Money(cap(self.limit, self.seized))

    @property
    def balance(self) -> Money:
        """Its cash with what was seized for it and is not in its reports yet."""
        return Money(self.cash + receivable(self.seized, self.acknowledged))


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an account's cash, of the amounts and fundings of holdings by name; all signed.

    And of its cash at venues, and of what was seized for them.
    """

    cash: int = 0
    amounts: Mapping[str, int] = field(default_factory=dict)
    funding: Mapping[str, int] = field(default_factory=dict)
    venues: Mapping[str, int] = field(default_factory=dict)
    seized: Mapping[str, int] = field(default_factory=dict)

    def __hash__(self) -> int:
        parts = (self.amounts, self.funding, self.venues, self.seized)
        return hash((self.cash, *(tuple(sorted(each.items())) for each in parts)))

    @classmethod
    def total(cls, changes: Iterable[Change]) -> Change:
        """All of them together."""
        cash, sums = 0, tuple(Counter[str]() for _ in range(4))
        for each in changes:
            cash += each.cash
            for total, part in zip(sums, (each.amounts, each.funding, each.venues, each.seized), strict=True):
                for name, amount in part.items():
                    total[name] += amount
        return cls(cash, *sums)


NO_CHANGE = Change()


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a file under a profile, its market and its parameters."""

    profile: Profile
    name: str
    content: Mapping[str, object]
    market: Fields
    parameters: Fields
    cash: Money
    holdings: Mapping[str, Holding]
    unread: tuple[tuple[Kind, Mapping[str, object]], ...]
    venues: Mapping[str, Venue]

    @classmethod
    def read(cls, profile: Profile, content: object, name: str, market: Fields, parameters: Fields) -> Account:
        """An account in the format of node/margin/models/book.py; what it holds may say its `chain` and `venue`.

        What has no usable price is left as it is, in `unread`: whether the account can be judged with it is the
        profile's to say. Raises PortfolioError, which names account, instrument and field.
        """
        fields = Fields.of(content, name)
        cash = fields.money("cash", default=0)
        held: dict[str, Holding] = {}
        unread: list[tuple[Kind, Mapping[str, object]]] = []
        for kind in Kind:
            for item in _ordered(fields, kind):
                try:
                    book = read_book({kind.value: [item]}, name, market)
                except PortfolioError:
                    unread.append((kind, item))
                    continue
                for each in _instruments(book):
                    holding = _holding(each, kind, Fields.of(item, name), held, market)
                    held[holding.name] = holding
        if len(held) > MOST_HOLDINGS:
            raise PortfolioError("split the account", account=name, length=len(held), bound=MOST_HOLDINGS)
        return cls(profile, name, fields.content, market, parameters, cash, held, tuple(unread), _venues(fields))

    def after(self, change: Change) -> dict[str, object]:
        """The account's part of a file after a change. What nothing is left of is gone."""
        content = {**self.content, "cash": money_text(self.cash + change.cash)}
        sections: dict[str, list[Mapping[str, object]]] = {kind.value: [] for kind in Kind}
        for kind, item in self.unread:
            sections[kind].append(item)
        for each in self.holdings.values():
            amount = each.amount + change.amounts.get(each.name, 0)
            if amount and not change.amounts.get(each.name) and not change.funding.get(each.name):
                sections[each.kind].append(each.item)
            elif amount:
                # What a debt has become by now is written: without its index it is that.
                changed = {name: had for name, had in each.item.items() if name != "index"}
                changed["amount"] = text(amount)
                if each.kind is Kind.PERPETUAL:
                    changed["funding"] = money_text(each.funding + change.funding.get(each.name, 0))
                sections[each.kind].append(changed)
        if self.venues:
            terms = Fields.of(self.content, self.name).section("venues")
            content["venues"] = {name: self._venue_after(name, terms.section(name), change) for name in self.venues}
        return {**content, **sections}

    def _venue_after(self, name: str, terms: Fields, change: Change) -> Mapping[str, object]:
        venue = self.venues[name]
        return {
            **terms.content,
            "cash": money_text(venue.cash + change.venues.get(name, 0)),
            "seized": money_text(venue.seized + change.seized.get(name, 0)),
        }

    def evaluate(self, change: Change = NO_CHANGE) -> Evaluation:
        """What the profile says of the account after a change. Raises PortfolioError."""
        return self.profile.evaluate(self.after(change), self.name, self.market, self.parameters)

    def changed(self, change: Change) -> Account:
        """The account after a change, as an account."""
        return Account.read(self.profile, self.after(change), self.name, self.market, self.parameters)

    @property
    def net_value(self) -> Money:
        """What is left for the owner at market prices if nothing costs anything; negative: what is owed beyond.

        A venue with terms claims what it is owed within its limit, and what it owes counts nowhere else.
        """
        own = sum(
            each.worth for each in self.holdings.values() if not (each.kind.is_position and each.venue in self.venues)
        )
        return Money(self.cash + own - sum(self.claim(name) for name in self.venues))

    def claim(self, name: str) -> Money:
        """What a venue with terms is owed at market prices, within its limit."""
        worth = sum(each.worth for each in self.holdings.values() if each.venue == name and each.kind.is_position)
        return Money(claim(self.venues[name].balance + worth, self.venues[name].most))

    def settled(self, venue: str, cash: int) -> Change:
        """Cash that comes or goes where a position is: at its venue, where that has terms, or in the account."""
        return Change(venues={venue: cash}) if venue in self.venues else Change(cash)


def _venues(fields: Fields) -> dict[str, Venue]:
    terms = fields.section("venues")
    found = {}
    for name in sorted(terms.content):
        each = terms.section(name)
        found[name] = Venue(
            each.money("limit", low=0),
            each.money("cash", default=0),
            each.money("seized", low=0, default=0),
            each.money("acknowledged", low=0, default=0),
        )
    return found


def text(amount: int) -> str:
    """A Wad as decimal text, exactly."""
    return f"{'-' if amount < 0 else ''}{abs(amount) // WAD}.{abs(amount) % WAD:018d}"


def money_text(amount: int) -> str:
    """Money as decimal text, exactly."""
    return text(amount * _WADS_OF_MONEY)


_FRESH = "FRESH"
_NOT_LIVE = frozenset({"STALE", "DISPUTED", "HALTED"})
_Instrument = Balance | Perpetual | Future | Option


def _ordered(fields: Fields, kind: Kind) -> list[Mapping[str, object]]:
    """The items of a section in an order of their own."""
    return sorted(
        (each.content for each in fields.items(kind.value)), key=lambda item: json.dumps(item, sort_keys=True)
    )


def _instruments(book: Book) -> tuple[_Instrument, ...]:
    return (*book.collateral, *book.debts, *book.perpetuals, *book.futures, *book.options)


def _holding(each: _Instrument, kind: Kind, item: Fields, others: Mapping[str, Holding], market: Fields) -> Holding:
    chain, venue = item.text("chain", ""), item.text("venue", "")
    what = each.name if isinstance(each, Option | Future) else each.quote.asset
    name = " ".join(part for part in (_SINGULAR[kind], what, chain and f"on {chain}", venue and f"at {venue}") if part)
    alike = sum(other.split(" #")[0] == name for other in others)
    return Holding(
        name=f"{name} #{alike + 1}" if alike else name,
        kind=kind,
        asset=each.quote.asset,
        amount=each.amount,
        price=_price(item.account, each),
        entry=each.entry if isinstance(each, Perpetual | Future) else Wad(0),
        funding=each.funding if isinstance(each, Perpetual) else Money(0),
        spot=each.quote.price,
        chain=chain,
        venue=venue,
        is_available=chain not in _NOT_LIVE and market.section(each.quote.asset).text("status", _FRESH) == _FRESH,
        item=item.content,
    )


def _price(account: str, held: _Instrument) -> Wad:
    """At the market; of a perpetual that its venue marks by itself, the worse of that and its asset's price."""
    if isinstance(held, Option):
        return Wad(marks(account, held, [NO_MOVE])[0] * _WADS_OF_MONEY)
    if isinstance(held, Perpetual):
        return min(held.price, held.quote.price) if held.amount > 0 else max(held.price, held.quote.price)
    return held.forward if isinstance(held, Future) else held.quote.price


_SINGULAR = {
    Kind.COLLATERAL: "collateral",
    Kind.DEBT: "debt",
    Kind.PERPETUAL: "perpetual",
    Kind.FUTURE: "future",
    Kind.OPTION: "option",
}


def cash_holding(cash: Money) -> Holding:
    """Cash as a holding: its amount in USD, at one."""
    amount = Wad(cash * _WADS_OF_MONEY)
    return Holding(
        name=CASH,
        kind=Kind.COLLATERAL,
        asset=USD,
        amount=amount,
        price=ONE,
        entry=Wad(0),
        funding=Money(0),
        spot=ONE,
        chain="",
        venue="",
        is_available=True,
        item={},
    )
