"""How books become arrays.

    pack(profile, parameters, books)     books of a linear profile: cash and funding are legs of dollars
    pack_quoted(profile, books)          books of a profile whose rules ask the market for more than prices

Owns what an account's book says in legs. Dollars are worth one: as a leg they are collateral that counts in full, or a
debt; funding is a perpetual of them that was entered at nothing. Must not know how legs are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from node.margin.engine.linear.accounts import (
    LARGEST_AMOUNT,
    LARGEST_ENTRY,
    LARGEST_MONEY,
    ExactLeg,
    ExactLegs,
    Legs,
    LinearAccounts,
)
from node.margin.engine.linear.columns import WAD_DIGITS, Instrument, Instruments
from node.margin.engine.linear.composition import Linear
from node.margin.models.book import Balance, Book, Future, Perpetual
from node.margin.models.cross import mark, positions
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import ONE, Wad
from node.margin.models.market import Basis, Quote
from node.margin.models.profile import Composed, Parameters, Threshold

MONEY_DECIMALS = 12
ENTRY_DECIMALS = 8
_MONEY = 10 ** (WAD_DIGITS - MONEY_DECIMALS)
_Seen = TypeVar("_Seen", Wad, Quote)


@dataclass(frozen=True, slots=True)
class Packed(Generic[_Seen]):
    """Books as arrays, the market that they were read with, and the errors of those that are not there."""

    accounts: LinearAccounts
    market: Mapping[str, _Seen]
    refused: tuple[PortfolioError, ...]


def pack(profile: Linear[Parameters], parameters: Parameters, books: Iterable[Book]) -> Packed[Wad]:
    """Books of one market as arrays, in their order, without those that the parameters do not cover.

    An asset's amounts are held in its quote's `decimals`, in 1e-18 where those are too few; entry prices in 1e-8 USD,
    money exactly. An asset that has two values has two prices, `{asset} held` and `{asset} owed`.
    """
    table = _Table[Wad](profile.spec.thresholds)

    def legs(book: Book) -> ExactLegs:
        profile.spec.refuse_unknown(book)
        return _linear_legs(profile, parameters, book, table)

    return _packed(books, legs, table, quoted=False)


def pack_quoted(profile: Composed[Any], books: Iterable[Book]) -> Packed[Quote]:
    """The same with quotes by name in place of prices, cash by account and funding by leg.

    Whom the parameters do not cover is there: its evaluation says so.
    """
    table = _Table[Quote](profile.thresholds)

    def legs(book: Book) -> ExactLegs:
        profile.refuse_unknown(book)
        return _quoted_legs(book, table)

    return _packed(books, legs, table, quoted=True)


@dataclass(slots=True)
class _Kind:
    """Legs of one kind, as they come."""

    counts: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    funding: list[int] = field(default_factory=list)

    def add(self, legs: tuple[ExactLeg, ...], instruments: Sequence[Instrument]) -> bool:
        """Take an account's legs; whether the instruments' scales hold them."""
        held = True
        self.counts.append(len(legs))
        for leg in legs:
            units, odd = divmod(leg.amount, instruments[leg.instrument].unit)
            price, odd_price = divmod(leg.entry, instruments[leg.instrument].entry_unit)
            fits = not odd and not odd_price and abs(units) < LARGEST_AMOUNT and price < LARGEST_ENTRY
            fits &= abs(leg.funding) < LARGEST_MONEY
            self.places.append(leg.instrument)
            self.amounts.append(units if fits else 0)
            self.entries.append(price if fits else 0)
            self.funding.append(leg.funding if fits else 0)
            held &= fits
        return held

    def legs(self, *, entered: bool = False) -> Legs:
        """All of them."""
        entries, funding = (self.entries, self.funding) if entered else (None, None)
        return Legs.of(self.counts, self.places, self.amounts, entries, funding if funding and any(funding) else None)


@dataclass(slots=True)
class _Table(Generic[_Seen]):
    """Instruments, and what the market says of them, as they come."""

    thresholds: tuple[Threshold, ...]
    instruments: list[Instrument] = field(default_factory=list)
    places: dict[Instrument, int] = field(default_factory=dict)
    market: dict[str, _Seen] = field(default_factory=dict)

    def place(self, instrument: Instrument, seen: _Seen) -> int:
        if instrument.price is not None:
            self.market[instrument.price] = seen
        if instrument not in self.places:
            self.places[instrument] = len(self.instruments)
            self.instruments.append(instrument)
        return self.places[instrument]


def _packed(
    books: Iterable[Book], legs_of: Callable[[Book], ExactLegs], table: _Table[_Seen], *, quoted: bool
) -> Packed[_Seen]:
    kinds = _Kind(), _Kind(), _Kind()
    beside: dict[int, ExactLegs] = {}
    names, cash, refused = list[str](), list[int](), list[PortfolioError]()
    for book in books:
        try:
            legs = legs_of(book)
        except PortfolioError as error:
            refused.append(error)
            continue
        each = (legs.collateral, legs.debts, legs.perpetuals)
        held = [kind.add(own, table.instruments) for kind, own in zip(kinds, each, strict=True)]
        held.append(abs(legs.cash) < LARGEST_MONEY)
        if not all(held):
            beside[len(names)] = legs
        cash.append(legs.cash if held[-1] else 0)
        names.append(book.account)
    collateral, debts, perpetuals = kinds[0].legs(), kinds[1].legs(), kinds[2].legs(entered=True)
    accounts = LinearAccounts(
        Instruments(table.instruments, table.thresholds),
        collateral,
        debts,
        perpetuals,
        names,
        beside,
        np.array(cash, np.int64) if quoted else None,
    )
    return Packed(accounts, table.market, tuple(refused))


def _linear_legs(profile: Linear[Parameters], parameters: Parameters, book: Book, table: _Table[Wad]) -> ExactLegs:
    def weights(asset: str, of: Callable[[str, Book, Parameters, Threshold], Wad]) -> tuple[Wad, ...]:
        return tuple(of(asset, book, parameters, threshold) for threshold in profile.spec.thresholds)

    def dollars(money: int, weight: Wad | None = None, *, entered: bool = False) -> ExactLeg:
        each = () if weight is None else (weight,) * len(profile.spec.thresholds)
        instrument = Instrument(None, MONEY_DECIMALS, each, 0 if entered else None)
        return ExactLeg(table.place(instrument, ONE), Wad(money * _MONEY))

    collateral, debts, perpetuals = [], [], []
    for each in book.collateral:
        instrument = Instrument(_price(each, "held"), _decimals(each), weights(each.quote.asset, profile.factor))
        collateral.append(ExactLeg(table.place(instrument, each.quote.price), each.amount))
    for each in book.debts:
        instrument = Instrument(_price(each, "owed"), _decimals(each))
        debts.append(ExactLeg(table.place(instrument, each.quote.price), each.amount))
    if book.cash > 0:
        collateral.append(dollars(book.cash, ONE))
    if book.cash < 0:
        debts.append(dollars(-book.cash))
    if profile.rate is None:
        return ExactLegs(tuple(collateral), tuple(debts), ())
    for held in positions(book):
        instrument = Instrument(_marked(held), _decimals(held), weights(held.quote.asset, profile.rate), ENTRY_DECIMALS)
        perpetuals.append(ExactLeg(table.place(instrument, mark(held)), held.amount, held.entry))
        if isinstance(held, Perpetual) and held.funding:
            perpetuals.append(dollars(held.funding, Wad(0), entered=True))
    return ExactLegs(tuple(collateral), tuple(debts), tuple(perpetuals))


def _quoted_legs(book: Book, table: _Table[Quote]) -> ExactLegs:
    def balances(held: Iterable[Balance], side: str) -> tuple[ExactLeg, ...]:
        return tuple(
            ExactLeg(table.place(Instrument(_price(each, side), _decimals(each)), each.quote), each.amount)
            for each in held
        )

    perpetuals = tuple(
        ExactLeg(
            table.place(Instrument(each.quote.asset, _decimals(each), (), ENTRY_DECIMALS), each.quote),
            each.amount,
            each.entry,
            each.funding,
        )
        for each in book.perpetuals
    )
    return ExactLegs(balances(book.collateral, "held"), balances(book.debts, "owed"), perpetuals, book.cash)


def _decimals(held: Balance | Perpetual | Future) -> int:
    decimals = held.quote.decimals
    return decimals if held.amount % 10 ** (WAD_DIGITS - decimals) == 0 else WAD_DIGITS


def _price(balance: Balance, side: str) -> str:
    quote = balance.quote
    return quote.asset if quote.basis is Basis.PRICE else f"{quote.asset} {side}"


def _marked(position: Perpetual | Future) -> str:
    if isinstance(position, Future):
        return position.name
    return position.quote.asset if position.mark is None else f"{position.quote.asset} perpetual"
