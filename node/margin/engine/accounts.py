"""Linear accounts as structure of arrays, and how books become them.

Owns what a leg costs: 10 bytes, 8 more for a perpetual, 4 more where amounts of its kind exceed 2^63 units, and nothing
for what an account does not hold. Cash is a leg of
dollars, whose price is one: collateral that counts in full, or a debt; funding is a perpetual of them that was
entered at nothing. What its instrument's scale does not hold stays beside the arrays, exactly as it was, and
its account is evaluated by the rules. Must not know prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from chains.errors import InputError
from node.margin.engine.columns import WAD_DIGITS, BoolArray, Instrument, Instruments, wrapped
from node.margin.engine.composition import Linear
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.book import Balance, Book, Future, Perpetual
from node.margin.models.cross import mark, positions
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import ONE, Wad
from node.margin.models.market import Basis
from node.margin.models.profile import Parameters, Threshold

StartArray: TypeAlias = NDArray[np.uint32]
PlaceArray: TypeAlias = NDArray[np.uint16]
HighArray: TypeAlias = NDArray[np.int32]

LARGEST_AMOUNT = 1 << 94
LARGEST_ENTRY = 1 << 62
MONEY_DECIMALS = 12
ENTRY_DECIMALS = 8
_MONEY = 10 ** (WAD_DIGITS - MONEY_DECIMALS)


@dataclass(frozen=True, slots=True)
class Legs:
    """Legs of one kind: account i has those of `starts[i]` to `starts[i + 1]`. Only perpetuals have entry prices.

    An amount is amounts + high·2^64; without `high` there is none that needs it.
    """

    starts: StartArray
    instruments: PlaceArray
    amounts: IntArray
    entries: IntArray | None = None
    high: HighArray | None = None
    longest: int = field(init=False)
    """Most legs of one account."""
    complete: bool = field(init=False)
    """Whether every account has one."""

    def __post_init__(self) -> None:
        counts = np.diff(self.starts)
        object.__setattr__(self, "longest", int(counts.max(initial=0)))
        object.__setattr__(self, "complete", bool(counts.all()))

    @classmethod
    def of(
        cls, counts: Sequence[int], places: Sequence[int], amounts: Sequence[int], entries: Sequence[int] | None = None
    ) -> Legs:
        """From how many legs each account has, and the legs one after another."""
        starts = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=starts[1:])
        low = np.array([wrapped(amount) for amount in amounts], np.int64)
        above = [(amount - wrapped(amount)) >> 64 for amount in amounts]
        high = np.array(above, np.int32) if any(above) else None
        held = None if entries is None else np.array(entries, np.int64)
        return cls(starts, np.array(places, np.uint16), low, held, high)

    def __len__(self) -> int:
        return len(self.amounts)

    def span(self, row: int) -> range:
        """The places of an account's legs."""
        return range(int(self.starts[row]), int(self.starts[row + 1]))

    def places(self, rows: IntArray) -> tuple[StartArray, IntArray]:
        """Of some accounts: where each one's legs start in what follows, and the places of all their legs."""
        first = self.starts[rows].astype(np.int64)
        counts = self.starts[rows + 1].astype(np.int64) - first
        starts = np.zeros(len(rows) + 1, np.uint32)
        np.cumsum(counts, out=starts[1:])
        places = np.repeat(first - starts[:-1], counts)
        places += np.arange(len(places))
        return starts, places

    def take(self, rows: IntArray) -> Legs:
        """The legs of some accounts."""
        starts, places = self.places(rows)
        entries = None if self.entries is None else self.entries[places]
        high = None if self.high is None else self.high[places]
        return Legs(starts, self.instruments[places], self.amounts[places], entries, high)

    def amount(self, place: int) -> int:
        """A leg's amount, in its instrument's unit."""
        low = int(self.amounts[place])
        return low if self.high is None else low + (int(self.high[place]) << 64)

    def about(self, own: slice = slice(None)) -> FloatArray:
        """The floats of the amounts."""
        found = self.amounts[own].astype(np.float64)
        if self.high is not None:
            found += self.high[own] * 2.0**64
        return found

    def holders(self, wrong: BoolArray) -> IntArray:
        """The account of each leg that is wrong."""
        return np.searchsorted(self.starts, np.flatnonzero(wrong), side="right") - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self.starts, self.instruments, self.amounts, self.entries, self.high)
        return sum(each.nbytes for each in arrays if each is not None)


Exact: TypeAlias = tuple[tuple[int, Wad, Wad], ...]
"""(instrument, amount, entry price) of legs."""


@dataclass(frozen=True, slots=True)
class ExactLegs:
    """An account's legs as the rules take them; amounts of collateral and debts are not negative."""

    collateral: Exact
    debts: Exact
    perpetuals: Exact


@dataclass(frozen=True, slots=True)
class LinearAccounts:
    """Accounts under one profile. `names` may be empty: an account is then called by its row.

    `beside` has accounts whose amounts the arrays do not hold. `refused` has those that cannot be evaluated: with
    amounts or entry prices that are negative where they may not be, or entry prices of 2^62 units and more. Raises
    InputError when the arrays do not belong together.
    """

    instruments: Instruments
    collateral: Legs
    debts: Legs
    perpetuals: Legs
    names: Sequence[str] = ()
    beside: Mapping[int, ExactLegs] = field(default_factory=dict)
    refused: Mapping[int, PortfolioError] = field(init=False)

    def __post_init__(self) -> None:
        for legs in self.kinds:
            if len(legs.starts) != len(self.collateral.starts) or legs.starts[-1] != len(legs):
                raise InputError("each kind of legs is to be of the same accounts", accounts=len(self))
            if legs is self.perpetuals and legs.entries is None and len(legs):
                raise InputError("perpetuals have entry prices", accounts=len(self))
            if len(legs) and int(legs.instruments.max()) >= len(self.instruments):
                raise InputError("a leg is of no instrument", instruments=len(self.instruments))
        object.__setattr__(self, "refused", self._refused())

    def _refused(self) -> dict[int, PortfolioError]:
        found: dict[int, PortfolioError] = {}
        for kind, legs in zip(("collateral", "debts", "perpetuals"), self.kinds, strict=True):
            if kind != "perpetuals":
                wrong = legs.amounts < 0 if legs.high is None else legs.about() < 0
                self._refuse(found, legs, wrong, f"{kind}.amount", "it may not be negative")
            if legs.entries is not None:
                wrong = (legs.entries < 0) | (legs.entries >= LARGEST_ENTRY)
                self._refuse(found, legs, wrong, f"{kind}.entry_price", "it is to be at least 0 and below 2^62")
        return found

    def _refuse(
        self, found: dict[int, PortfolioError], legs: Legs, wrong: BoolArray, field_name: str, message: str
    ) -> None:
        for row, place in zip(legs.holders(wrong).tolist(), np.flatnonzero(wrong).tolist(), strict=True):
            instrument = self.instruments[legs.instruments[place]].name
            error = OutOfRange(
                message, account=self.name(row), instrument=instrument, field=field_name, value=legs.amount(place)
            )
            found.setdefault(row, error)

    def __len__(self) -> int:
        return len(self.collateral.starts) - 1

    def take(self, rows: IntArray) -> LinearAccounts:
        """Some accounts, by row."""
        chosen = rows.tolist()
        return LinearAccounts(
            self.instruments,
            self.collateral.take(rows),
            self.debts.take(rows),
            self.perpetuals.take(rows),
            [self.name(row) for row in chosen],
            {place: self.beside[row] for place, row in enumerate(chosen) if row in self.beside},
        )

    @property
    def kinds(self) -> tuple[Legs, Legs, Legs]:
        """Collateral, debts, perpetuals."""
        return self.collateral, self.debts, self.perpetuals

    def name(self, row: int) -> str:
        """What an account is called."""
        return self.names[row] if self.names else f"account {row}"

    def exact(self, row: int) -> ExactLegs:
        """An account's legs as the rules take them."""
        if row in self.beside:
            return self.beside[row]
        return ExactLegs(*(self._exact(legs, row) for legs in self.kinds))

    def _exact(self, legs: Legs, row: int) -> Exact:
        found = []
        for place in legs.span(row):
            instrument = self.instruments[legs.instruments[place]]
            entry = 0 if legs.entries is None else int(legs.entries[place]) * instrument.entry_unit
            amount = legs.amount(place) * instrument.unit
            found.append((int(legs.instruments[place]), Wad(amount), Wad(entry)))
        return tuple(found)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(legs.nbytes for legs in self.kinds)


# === From books ===


@dataclass(slots=True)
class _Kind:
    """Legs of one kind, as they come."""

    counts: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)

    def add(self, legs: Exact, instruments: Sequence[Instrument]) -> bool:
        """Take an account's legs; whether the instruments' scales hold them."""
        held = True
        self.counts.append(len(legs))
        for place, amount, entry in legs:
            units, odd = divmod(amount, instruments[place].unit)
            price, odd_price = divmod(entry, instruments[place].entry_unit)
            fits = not odd and not odd_price and abs(units) < LARGEST_AMOUNT and price < LARGEST_ENTRY
            self.places.append(place)
            self.amounts.append(units if fits else 0)
            self.entries.append(price if fits else 0)
            held &= fits
        return held

    def legs(self, *, entered: bool = False) -> Legs:
        """All of them."""
        return Legs.of(self.counts, self.places, self.amounts, self.entries if entered else None)


@dataclass(frozen=True, slots=True)
class Packed:
    """Books as arrays, the prices that they were read with, and the errors of those that are not there."""

    accounts: LinearAccounts
    prices: Mapping[str, Wad]
    refused: tuple[PortfolioError, ...]


def pack(profile: Linear[Parameters], parameters: Parameters, books: Iterable[Book]) -> Packed:
    """Books of one market as arrays, in their order, without those that the parameters do not cover.

    An asset's amounts are held in its quote's `decimals`, in 1e-18 where those are too few; entry prices in 1e-8 USD,
    money exactly. An asset that has two values has two prices, `{asset} held` and `{asset} owed`.
    """
    table = _Table(profile.spec.thresholds)
    kinds = _Kind(), _Kind(), _Kind()
    beside: dict[int, ExactLegs] = {}
    names: list[str] = []
    refused: list[PortfolioError] = []
    for book in books:
        try:
            legs = _legs(profile, parameters, book, table)
        except PortfolioError as error:
            refused.append(error)
            continue
        each = (legs.collateral, legs.debts, legs.perpetuals)
        held = [kind.add(own, table.instruments) for kind, own in zip(kinds, each, strict=True)]
        if not all(held):
            beside[len(names)] = legs
        names.append(book.account)
    collateral, debts, perpetuals = kinds[0].legs(), kinds[1].legs(), kinds[2].legs(entered=True)
    accounts = LinearAccounts(
        Instruments(table.instruments, profile.spec.thresholds), collateral, debts, perpetuals, names, beside
    )
    return Packed(accounts, table.prices, tuple(refused))


@dataclass(slots=True)
class _Table:
    """Instruments and prices, as they come."""

    thresholds: tuple[Threshold, ...]
    instruments: list[Instrument] = field(default_factory=list)
    places: dict[Instrument, int] = field(default_factory=dict)
    prices: dict[str, Wad] = field(default_factory=dict)

    def place(self, instrument: Instrument, price: Wad = ONE) -> int:
        if instrument not in self.places:
            self.places[instrument] = len(self.instruments)
            self.instruments.append(instrument)
        if instrument.price is not None:
            self.prices[instrument.price] = price
        return self.places[instrument]

    def cash(self, weight: Wad | None = None, *, entered: bool = False) -> int:
        weights = () if weight is None else (weight,) * len(self.thresholds)
        return self.place(Instrument(None, MONEY_DECIMALS, weights, 0 if entered else None))


def _legs(profile: Linear[Parameters], parameters: Parameters, book: Book, table: _Table) -> ExactLegs:
    def weights(asset: str, of: Callable[[str, Book, Parameters, Threshold], Wad]) -> tuple[Wad, ...]:
        return tuple(of(asset, book, parameters, threshold) for threshold in profile.spec.thresholds)

    profile.spec.refuse_unknown(book)
    collateral, debts, perpetuals = [], [], []
    for each in book.collateral:
        instrument = Instrument(_price(each, "held"), _decimals(each), weights(each.quote.asset, profile.factor))
        collateral.append((table.place(instrument, each.quote.price), each.amount, Wad(0)))
    for each in book.debts:
        instrument = Instrument(_price(each, "owed"), _decimals(each))
        debts.append((table.place(instrument, each.quote.price), each.amount, Wad(0)))
    if book.cash > 0:
        collateral.append((table.cash(ONE), Wad(book.cash * _MONEY), Wad(0)))
    if book.cash < 0:
        debts.append((table.cash(), Wad(-book.cash * _MONEY), Wad(0)))
    if profile.rate is None:
        return ExactLegs(tuple(collateral), tuple(debts), ())
    for held in positions(book):
        instrument = Instrument(_marked(held), _decimals(held), weights(held.quote.asset, profile.rate), ENTRY_DECIMALS)
        perpetuals.append((table.place(instrument, mark(held)), held.amount, held.entry))
        if isinstance(held, Perpetual) and held.funding:
            perpetuals.append((table.cash(Wad(0), entered=True), Wad(held.funding * _MONEY), Wad(0)))
    return ExactLegs(tuple(collateral), tuple(debts), tuple(perpetuals))


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
