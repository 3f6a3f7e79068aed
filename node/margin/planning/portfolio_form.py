"""Accounts in the format of node/margin/models/book.py; what they hold may say its `chain` and `venue`.

What has no usable price is left as it is: whether the account can be judged with it is the profile's to say. Must not
know what a change is for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from node.margin.models.book import Balance, Book, Future, Option, Perpetual, read_book
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.fixed import Money, Wad
from node.margin.models.market import Quotes
from node.margin.models.shocks import NO_MOVE, marks
from node.margin.planning.account import WADS_OF_MONEY, Account, Change, Holding, Kind, Parts, Venue, money_text, text

_FRESH = "FRESH"
_NOT_LIVE = frozenset({"STALE", "DISPUTED", "HALTED"})
_Instrument = Balance | Perpetual | Future | Option


class PortfolioForm:
    """The portfolio format."""

    def read(self, fields: Fields, market: Quotes) -> Parts:
        """What the account holds. Raises PortfolioError."""
        cash = fields.money("cash", default=0)
        held: dict[str, Holding] = {}
        alike = Counter[str]()
        unread: list[tuple[Kind, Mapping[str, object]]] = []
        for kind in Kind:
            for item in _ordered(fields, kind):
                try:
                    book = read_book({kind.value: [item]}, fields.account, market)
                except PortfolioError:
                    unread.append((kind, item))
                    continue
                for each in _instruments(book):
                    holding = _holding(each, kind, Fields.of(item, fields.account), alike, market)
                    held[holding.name] = holding
                    alike[holding.name.split(" #")[0]] += 1
        return cash, held, tuple(unread), _venues(fields)

    def written(self, account: Account, change: Change) -> dict[str, object]:
        """The account's part of the file after a change."""
        content = {**account.content, "cash": money_text(account.cash + change.cash)}
        sections: dict[str, list[Mapping[str, object]]] = {kind.value: [] for kind in Kind}
        for kind, item in account.unread:
            sections[kind].append(item)
        for each in account.holdings.values():
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
        if account.venues:
            terms = Fields.of(account.content, account.name).section("venues")
            content["venues"] = {
                name: _venue_after(venue, terms.section(name), change.venues.get(name, 0), change.seized.get(name, 0))
                for name, venue in account.venues.items()
            }
        return {**content, **sections}

    def added(self, content: Mapping[str, object], kind: Kind, item: Fields) -> dict[str, object]:
        """The account's part of the file with one thing more, in the words of a proposal."""
        section = content[kind]
        return {**content, kind.value: [*(section if isinstance(section, list) else ()), item.content]}


def _venue_after(venue: Venue, terms: Fields, cash: int, seized: int) -> Mapping[str, object]:
    return {**terms.content, "cash": money_text(venue.cash + cash), "seized": money_text(venue.seized + seized)}


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


def _ordered(fields: Fields, kind: Kind) -> list[Mapping[str, object]]:
    """The items of a section in an order of their own."""
    return sorted(
        (each.content for each in fields.items(kind.value)), key=lambda item: json.dumps(item, sort_keys=True)
    )


def _instruments(book: Book) -> tuple[_Instrument, ...]:
    return (*book.collateral, *book.debts, *book.perpetuals, *book.futures, *book.options)


def _holding(each: _Instrument, kind: Kind, item: Fields, alike: Mapping[str, int], market: Quotes) -> Holding:
    chain, venue = item.text("chain", ""), item.text("venue", "")
    what = each.name if isinstance(each, Option | Future) else each.quote.asset
    name = " ".join(part for part in (_SINGULAR[kind], what, chain and f"on {chain}", venue and f"at {venue}") if part)
    return Holding(
        name=f"{name} #{alike[name] + 1}" if alike[name] else name,
        kind=kind,
        asset=each.quote.asset,
        amount=each.amount,
        price=_price(item.account, each),
        entry=each.entry if isinstance(each, Perpetual | Future) else Wad(0),
        funding=each.funding if isinstance(each, Perpetual) else Money(0),
        spot=each.quote.price,
        chain=chain,
        venue=venue,
        is_available=chain not in _NOT_LIVE
        and market.market.section(each.quote.asset).text("status", _FRESH) == _FRESH,
        item=item.content,
    )


def _price(account: str, held: _Instrument) -> Wad:
    """At the market; of a perpetual that its venue marks by itself, the worse of that and its asset's price."""
    if isinstance(held, Option):
        return Wad(marks(account, held, [NO_MOVE])[0] * WADS_OF_MONEY)
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
