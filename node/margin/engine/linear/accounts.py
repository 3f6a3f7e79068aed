"""Accounts of balances and perpetuals as structure of arrays.

Owns what a leg costs: 10 bytes, 8 more for a perpetual, 8 more for one with funding of its own, 4 more where amounts of
its kind exceed 2^63 units, and nothing for what an account does not hold. What its instrument's scale does not hold
stays beside the arrays, exactly as it was, and its account is evaluated by the rules. Must not know prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from chains.errors import InputError
from node.margin.engine.linear.columns import BoolArray, Instruments, wrapped
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import Money, Wad

StartArray: TypeAlias = NDArray[np.uint32]
PlaceArray: TypeAlias = NDArray[np.uint16]
HighArray: TypeAlias = NDArray[np.int32]

LARGEST_AMOUNT = 1 << 94
LARGEST_ENTRY = 1 << 62
LARGEST_MONEY = 1 << 62
_NO_PRICE, _NOTHING = Wad(0), Money(0)


@dataclass(frozen=True, slots=True)
class Legs:
    """Legs of one kind: account i has those of `starts[i]` to `starts[i + 1]`. Only perpetuals have entry prices.

    An amount is amounts + high·2^64; without `high` there is none that needs it. `funding` is what perpetuals still
    receive, in 1e-12 USD; None where it is nothing, or a leg of its own.
    """

    starts: StartArray
    instruments: PlaceArray
    amounts: IntArray
    entries: IntArray | None = None
    high: HighArray | None = None
    funding: IntArray | None = None
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
        cls,
        counts: Sequence[int],
        places: Sequence[int],
        amounts: Sequence[int],
        entries: Sequence[int] | None = None,
        funding: Sequence[int] | None = None,
    ) -> Legs:
        """From how many legs each account has, and the legs one after another."""
        starts = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=starts[1:])
        low = np.array([wrapped(amount) for amount in amounts], np.int64)
        above = [(amount - wrapped(amount)) >> 64 for amount in amounts]
        high = np.array(above, np.int32) if any(above) else None
        entered, received = (None if each is None else np.array(each, np.int64) for each in (entries, funding))
        return cls(starts, np.array(places, np.uint16), low, entered, high, received)

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
        funding = None if self.funding is None else self.funding[places]
        return Legs(starts, self.instruments[places], self.amounts[places], entries, high, funding)

    @classmethod
    def joined(cls, parts: Sequence[Legs]) -> Legs:
        """The legs of some accounts, then those of others, and so on."""
        firsts = np.cumsum([0, *(len(each) for each in parts)])
        starts = [each.starts[:-1] + np.uint32(first) for each, first in zip(parts, firsts, strict=False)]
        return cls(
            np.concatenate([*starts, firsts[-1:].astype(np.uint32)]),
            np.concatenate([each.instruments for each in parts]),
            np.concatenate([each.amounts for each in parts]),
            _joined([each.entries for each in parts], parts),
            _joined([each.high for each in parts], parts),
            _joined([each.funding for each in parts], parts),
        )

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
        arrays = (self.starts, self.instruments, self.amounts, self.entries, self.high, self.funding)
        return sum(each.nbytes for each in arrays if each is not None)


_Column = TypeVar("_Column", bound=np.generic)


def _joined(columns: Sequence[NDArray[_Column] | None], parts: Sequence[Legs]) -> NDArray[_Column] | None:
    """One column of several; where a part has none it is zero. None if no part has one."""
    kept = [each for each in columns if each is not None]
    if not kept:
        return None
    pairs = zip(columns, parts, strict=True)
    return np.concatenate([np.zeros(len(legs), kept[0].dtype) if each is None else each for each, legs in pairs])


@dataclass(frozen=True, slots=True)
class ExactLeg:
    """A leg as the rules take it; its instrument by place."""

    instrument: int
    amount: Wad
    entry: Wad = _NO_PRICE
    funding: Money = _NOTHING


@dataclass(frozen=True, slots=True)
class ExactLegs:
    """An account's legs as the rules take them; amounts of collateral and debts are not negative."""

    collateral: tuple[ExactLeg, ...]
    debts: tuple[ExactLeg, ...]
    perpetuals: tuple[ExactLeg, ...]
    cash: Money = _NOTHING


@dataclass(frozen=True, slots=True)
class LinearAccounts:
    """Accounts under one profile. `names` may be empty: an account is then called by its row.

    `cash` is in 1e-12 USD, by account; None where dollars are legs like others. `beside` has accounts whose amounts the
    arrays do not hold. `refused` has those that cannot be evaluated: with amounts or entry prices that are negative
    where they may not be, or entry prices, funding or cash of 2^62 units and more. Raises InputError when the arrays do
    not belong together.
    """

    instruments: Instruments
    collateral: Legs
    debts: Legs
    perpetuals: Legs
    names: Sequence[str] = ()
    beside: Mapping[int, ExactLegs] = field(default_factory=dict)
    cash: IntArray | None = None
    refused: Mapping[int, PortfolioError] = field(init=False)

    def __post_init__(self) -> None:
        for legs in self.kinds:
            if len(legs.starts) != len(self.collateral.starts) or legs.starts[-1] != len(legs):
                raise InputError("each kind of legs is to be of the same accounts", accounts=len(self))
            if legs is self.perpetuals and legs.entries is None and len(legs):
                raise InputError("perpetuals have entry prices", accounts=len(self))
            if len(legs) and int(legs.instruments.max()) >= len(self.instruments):
                raise InputError("a leg is of no instrument", instruments=len(self.instruments))
        if self.cash is not None and len(self.cash) != len(self):
            raise InputError("give every account's cash", accounts=len(self))
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
            if legs.funding is not None:
                wrong = ~_is_money(legs.funding)
                self._refuse(found, legs, wrong, f"{kind}.funding", "it is to be below 2^62")
        for row in [] if self.cash is None else np.flatnonzero(~_is_money(self.cash)).tolist():
            error = OutOfRange("it is to be below 2^62", account=self.name(row), instrument="USD", field="cash")
            found.setdefault(row, error)
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

    @classmethod
    def joined(cls, parts: Sequence[LinearAccounts]) -> LinearAccounts:
        """Some accounts, then others, and so on, of the same instruments; called by their rows."""
        beside: dict[int, ExactLegs] = {}
        first = 0
        for each in parts:
            beside.update({first + row: legs for row, legs in each.beside.items()})
            first += len(each)
        collateral, debts, perpetuals = (
            Legs.joined(kind) for kind in zip(*(each.kinds for each in parts), strict=True)
        )
        cash = [each.cash for each in parts if each.cash is not None]
        together = np.concatenate(cash) if cash else None
        return cls(parts[0].instruments, collateral, debts, perpetuals, (), beside, together)

    def take(self, rows: IntArray, *, named: bool = True) -> LinearAccounts:
        """Some accounts, by row; unless `named`, called by their new rows."""
        chosen = rows.tolist()
        return LinearAccounts(
            self.instruments,
            self.collateral.take(rows),
            self.debts.take(rows),
            self.perpetuals.take(rows),
            [self.name(row) for row in chosen] if named else (),
            {place: self.beside[row] for place, row in enumerate(chosen) if row in self.beside},
            None if self.cash is None else self.cash[rows],
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
        cash = Money(0 if self.cash is None else int(self.cash[row]))
        collateral, debts, perpetuals = (self._exact(legs, row) for legs in self.kinds)
        return ExactLegs(collateral, debts, perpetuals, cash)

    def _exact(self, legs: Legs, row: int) -> tuple[ExactLeg, ...]:
        found = []
        for place in legs.span(row):
            instrument = self.instruments[legs.instruments[place]]
            entry = 0 if legs.entries is None else int(legs.entries[place]) * instrument.entry_unit
            amount = legs.amount(place) * instrument.unit
            funding = 0 if legs.funding is None else int(legs.funding[place])
            found.append(ExactLeg(int(legs.instruments[place]), Wad(amount), Wad(entry), Money(funding)))
        return tuple(found)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(legs.nbytes for legs in self.kinds) + (0 if self.cash is None else self.cash.nbytes)


def _is_money(numbers: IntArray) -> BoolArray:
    return (numbers > -LARGEST_MONEY) & (numbers < LARGEST_MONEY)
