"""What `hypothec` evaluates many accounts by: units as columns of integers, and accounts as sparse rows of them.

A unit (of an instrument, of collateral of one quality in one step of its depth) is made once a frame, by the rules
themselves; its figures are a column each of two tables: of signed amounts, and of those that are owed. Figures that are
equal for all units are one column. Must not know what the sums are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from node.margin.engine.portfolio import in_units
from node.margin.math.products import LARGEST_BITS, DenseRows, IntArray, Rows, Table
from node.margin.math.ratios import LARGEST_TERM, Numbers, Ratio, ratio
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import ONE, WAD, Money, Wad
from node.margin.models.hypothec.counted import Unit
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import Draft, Entry, Units, drafts, room
from node.margin.models.hypothec.portfolio import Portfolio, Risk
from node.margin.models.hypothec.shortfall import multiple
from node.model.health import ZERO, Interval

MOST_ROWS = 15
CHUNK = 8_192
"""Accounts that go through together: a few megabytes."""
PRICED_TOGETHER = 256
"""Accounts whose options are: enough for a call to cost little, whatever they have in common."""
LARGEST_FIXED = 1 << 60
"""Accounts whose constants and limits, in 1e-12 USD, add up to as much are apart from others, in Python's integers."""


@dataclass(slots=True)
class Columns:
    """Units by column, in the order in which accounts have brought them."""

    units: list[Unit] = field(default_factory=list)
    places: dict[tuple[int, bool], int | None] = field(default_factory=dict)
    kept: list[Unit] = field(default_factory=list)

    def place(self, entry: Entry) -> int | None:
        """The column of an entry's unit; None where its figures do not fit.

        Apart from the others it has no worth here: what it counts is a constant.
        """
        key = id(entry.unit), entry.apart
        if key not in self.places:
            unit = entry.unit
            self.kept.append(unit)  # so that its id stays its own
            self.places[key] = len(self.units) if usable(unit) else None
            if usable(unit):
                apart = replace(unit, initial=ZERO, maintenance=ZERO, market=ZERO)
                self.units.append(apart if entry.apart else unit)
        return self.places[key]


SPANS = ("initial low", "initial high", "maintenance low", "maintenance high", "market high")


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of all units: a column each of `entries` [units, columns], and which one is which.

    `figures` are by name; `changes` are by row, `deltas` and what `errors` of them come to, less than zero, by
    underlying.
    """

    entries: IntArray
    figures: dict[str, int]
    changes: IntArray
    deltas: IntArray
    errors: IntArray

    @classmethod
    def of(
        cls,
        named: Iterable[tuple[str, list[int]]],
        changes: Iterable[list[int]],
        deltas: Iterable[list[int]],
        errors: Iterable[list[int]],
    ) -> Figures:
        """Of lists by figure, each with a number for every unit; equal lists are one column."""
        columns: dict[tuple[int, ...], int] = {}

        def place(numbers: list[int]) -> int:
            return columns.setdefault(tuple(numbers), len(columns))

        several = [np.array([place(each) for each in lists], dtype=np.int64) for lists in (changes, deltas, errors)]
        figures = {name: place(numbers) for name, numbers in named}
        entries = np.array(list(columns), dtype=np.int64).T
        return cls(np.ascontiguousarray(entries), figures, *several)


def signed(units: Sequence[Unit], roots: Sequence[str], rows: int) -> Figures:
    """What is multiplied by signed amounts."""
    spans = [
        (unit.initial.low, unit.initial.high, unit.maintenance.low, unit.maintenance.high, unit.market.high)
        for unit in units
    ]
    named = [
        *((name, [span[place] for span in spans]) for place, name in enumerate(SPANS)),
        ("less cost low", [-unit.cost.low for unit in units]),
        ("less cost high", [-unit.cost.high for unit in units]),
        ("relief low", [unit.relief.low for unit in units]),
        ("relief high", [unit.relief.high for unit in units]),
    ]
    changes = [[int(unit.changes[row]) for unit in units] for row in range(rows)]
    deltas = [[int(unit.delta) if unit.factor == root else 0 for unit in units] for root in roots]
    return Figures.of(named, changes, deltas, _errors(units, roots))


def owed(units: Sequence[Unit], roots: Sequence[str]) -> Figures:
    """What is multiplied by the amounts that are owed."""
    initial, maintenance, market = (
        [getattr(unit, name).high - getattr(unit, name).low for unit in units]
        for name in ("initial", "maintenance", "market")
    )
    named = [
        ("initial width", initial),
        ("less initial width", [-each for each in initial]),
        ("maintenance width", maintenance),
        ("less maintenance width", [-each for each in maintenance]),
        ("market width", market),
        ("less cost low", [-(2 * unit.cost.low + unit.short_cost.low) for unit in units]),
        ("less cost high", [-(2 * unit.cost.high + unit.short_cost.high) for unit in units]),
    ]
    return Figures.of(named, [], [], _errors(units, roots))


def _errors(units: Sequence[Unit], roots: Sequence[str]) -> list[list[int]]:
    return [[-unit.error if unit.factor == root else 0 for unit in units] for root in roots]


def usable(unit: Unit) -> bool:
    """Whether every figure of the unit fits."""
    figures = (*unit.changes, unit.delta, unit.error, unit.relief.high, 2 * unit.cost.high + unit.short_cost.high)
    spans = (unit.initial, unit.maintenance, unit.market)
    widths = (span.high - span.low for span in spans)
    ends = (end for span in spans for end in (span.low, span.high))
    return all(abs(each) >> LARGEST_BITS == 0 for each in (*figures, *ends, *widths))


@dataclass(frozen=True, slots=True)
class Tables:
    """Both tables, split for the rows that they are multiplied with."""

    signed: Table
    owed: Table


@dataclass(frozen=True)
class Frame:
    """What accounts of one market have in common, made once.

    `roots` are underlyings in order, `rooms` what of a delta is not charged. `ratios` are those of initial and
    maintenance margin. `exact_only`: a ratio has too many digits for 64 bits.
    """

    parameters: Parameters
    units: Units
    signed: Figures
    owed: Figures
    roots: tuple[str, ...]
    rooms: tuple[int, ...]
    vols: Mapping[str, Wad]
    groups: Mapping[str, str]
    multiple: float
    ratios: tuple[Ratio, Ratio]
    concentration: Ratio
    exact_only: bool
    _split: dict[tuple[int, int], Tables] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Columns, units: Units, risks: Mapping[str, Risk]) -> Frame:
        """Of all units that accounts have brought, and the risks of their underlyings."""
        parameters = units.parameters
        roots = tuple(sorted({unit.factor for unit in columns.units}))
        charges = parameters.charges
        ratios = ratio(ONE, WAD), ratio(parameters.maintenance, WAD)
        rate = ratio(charges.concentration_rate, WAD)
        return cls(
            parameters=parameters,
            units=units,
            signed=signed(columns.units, roots, len(parameters.rows)),
            owed=owed(columns.units, roots),
            roots=roots,
            rooms=tuple(room(risks[root], charges) for root in roots),
            vols={root: risks[root].vol for root in roots},
            groups={root: parameters.assets[root].group for root in roots},
            multiple=multiple(parameters.shortfall),
            ratios=ratios,
            concentration=rate,
            exact_only=any(term >= LARGEST_TERM for each in (*ratios, rate) for term in each),
        )

    def tables(self, chunk: Chunk) -> Tables:
        """The tables for a chunk's rows."""
        bits = chunk.signed.row_bits, chunk.owed.row_bits
        if bits not in self._split:
            self._split[bits] = Tables(Table.of(self.signed.entries, bits[0]), Table.of(self.owed.entries, bits[1]))
        return self._split[bits]


# === Accounts ===


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part as a row: amounts by column, and constants, whose ends differ by what counts apart."""

    held: dict[int, Wad]
    limit: Money | None
    low: int
    high: int
    is_charged: bool
    floor: Interval | None

    def floor_at(self, end: int) -> int:
        """At one end, beyond its constants where those are the account's; nothing where there is none."""
        if self.floor is None:
            return 0
        floor, constant = ((self.floor.low, self.low), (self.floor.high, self.high))[end]
        return floor - constant if self.limit is None else floor


@dataclass(frozen=True, slots=True)
class AccountRows:
    """An account: constants of its own, and a row for each part that has units or a limit.

    `amounts` are the rows' by column, in 10^-decimals units; `constant` is what constants and limits add up to.
    """

    low: int
    high: int
    constant: int
    rows: tuple[PartRow, ...]
    amounts: tuple[dict[int, int], ...]
    decimals: int


def account_rows(portfolio: Portfolio, units: Units, columns: Columns) -> AccountRows | None:
    """An account as rows; None where the rules are to evaluate it. Raises PortfolioError.

    What has no bound or does not fit is the rules'.
    """
    low = high = constant = 0
    rows: list[PartRow] = []
    for draft in drafts(portfolio, units):
        row = None if any(entry.open_ended for entry in draft.entries) else _part_row(draft, columns)
        if row is None:
            return None
        ends = (row.low, row.high) if row.floor is None else (row.low, row.high, row.floor.low, row.floor.high)
        constant += max(map(abs, ends)) + (row.limit or 0)
        if row.limit is None:
            low, high = low + row.low, high + row.high
        if row.held or row.limit is not None:
            rows.append(row)
    union = {(place, column): amount for place, row in enumerate(rows) for column, amount in row.held.items()}
    found = in_units(dict(enumerate(union.values())))
    if found is None or len(rows) > MOST_ROWS:
        return None
    decimals, in_unit = found
    amounts: tuple[dict[int, int], ...] = tuple({} for _ in rows)
    for (place, column), amount in zip(union, in_unit.values(), strict=True):
        amounts[place][column] = amount
    ordered = tuple({column: held[column] for column in sorted(held)} for held in amounts)
    return AccountRows(low, high, constant, tuple(rows), ordered, decimals)


def _part_row(draft: Draft, columns: Columns) -> PartRow | None:
    held: dict[int, Wad] = {}
    low = high = int(draft.cash)
    for entry in draft.entries:
        column = columns.place(entry)
        if column is None:
            return None
        held[column] = Wad(held.get(column, 0) + entry.amount)
        alone = entry.counted(entry.unit.maintenance) if entry.apart else Interval(entry.fixed, entry.fixed)
        low, high = low + alone.low, high + alone.high
    return PartRow(held, draft.limit, low, high, draft.is_charged, draft.floor)


@dataclass(frozen=True, slots=True)
class PartArrays:
    """Parts by row: the account's place in the chunk, the part's in the account, and constants.

    `limit` is −1 for none; `constant` [2, rows] is that of parts with a limit, at either end. What `is_bounded` is
    worth, beyond constants that are the account's, no less than its `floor` [2, rows].
    """

    account: IntArray
    slot: IntArray
    limit: Numbers
    constant: Numbers
    is_charged: IntArray
    is_bounded: IntArray
    floor: Numbers


@dataclass(frozen=True, slots=True)
class Chunk:
    """Accounts in order, as arrays.

    `places` among all; `fixed` [2, accounts]: constants at either end, in integers of 64 bits where those and limits
    add up to less than LARGEST_FIXED, or Python's. `signed` and `owed` are the parts' amounts, and those of them that
    are owed, ready to be multiplied.
    """

    places: IntArray
    fixed: Numbers
    parts: PartArrays
    rows: Rows
    owed_rows: Rows
    signed: DenseRows
    owed: DenseRows
    decimals: int

    @classmethod
    def of(
        cls,
        places: IntArray,
        fixed: Numbers,
        parts: PartArrays,
        rows: Rows,
        columns: int,
        decimals: int,
    ) -> Chunk:
        """With what follows from the rows: amounts in 10^-decimals units of `columns` units."""
        short = Rows(rows.starts, rows.columns, np.maximum(-rows.amounts, 0))
        dense = DenseRows.of(rows, columns), DenseRows.of(short, columns)
        return cls(places, fixed, parts, rows, short, *dense, decimals)

    @property
    def is_wide(self) -> bool:
        """Whether its constants are Python's integers."""
        return self.fixed.dtype == np.dtype(object)


def chunks(accounts: Iterable[tuple[int, AccountRows]], columns: int) -> list[Chunk]:
    """Accounts of one unit and one kind of integers together, up to CHUNK."""
    alike: dict[tuple[int, bool], list[tuple[int, AccountRows]]] = {}
    for place, account in accounts:
        alike.setdefault((account.decimals, account.constant >= LARGEST_FIXED), []).append((place, account))
    return [
        _chunk(ordered[first : first + CHUNK], columns, decimals, is_wide=is_wide)
        for (decimals, is_wide), ordered in sorted(alike.items(), key=lambda each: each[0])
        for first in range(0, len(ordered), CHUNK)
    ]


def _chunk(accounts: Sequence[tuple[int, AccountRows]], columns: int, decimals: int, *, is_wide: bool) -> Chunk:
    rows = [
        (place, slot, row, amounts)
        for place, (_, account) in enumerate(accounts)
        for slot, (row, amounts) in enumerate(zip(account.rows, account.amounts, strict=True))
    ]
    lengths = [len(amounts) for *_, amounts in rows]
    starts = np.cumsum([0, *lengths], dtype=np.int64)
    column = np.array([each for *_, amounts in rows for each in amounts], dtype=np.int64)
    amount = np.array([each for *_, amounts in rows for each in amounts.values()], dtype=np.int64)

    def array(numbers: Iterable[int]) -> IntArray:
        return np.array(list(numbers), dtype=np.int64)

    def money(numbers: Iterable[int]) -> Numbers:
        return np.array(list(numbers), dtype=object if is_wide else np.int64)

    return Chunk.of(
        places=array(place for place, _ in accounts),
        fixed=np.stack([money(each.low for _, each in accounts), money(each.high for _, each in accounts)]),
        parts=PartArrays(
            account=array(place for place, *_ in rows),
            slot=array(slot for _, slot, *_ in rows),
            limit=money(-1 if row.limit is None else row.limit for _, _, row, _ in rows),
            constant=np.stack(
                [
                    money(0 if row.limit is None else row.low for _, _, row, _ in rows),
                    money(0 if row.limit is None else row.high for _, _, row, _ in rows),
                ]
            ),
            is_charged=array(row.is_charged for _, _, row, _ in rows),
            is_bounded=array(row.floor is not None for _, _, row, _ in rows),
            floor=np.stack([money(row.floor_at(end) for _, _, row, _ in rows) for end in (0, 1)]),
        ),
        rows=Rows(starts, column, amount),
        columns=columns,
        decimals=decimals,
    )


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts by place: in chunks, `left` to the rules, or with an error."""

    count: int
    chunks: tuple[Chunk, ...]
    left: Mapping[int, Portfolio]
    errors: Mapping[int, PortfolioError]


def prepared(portfolios: Sequence[Portfolio], parameters: Parameters) -> tuple[Frame, Accounts]:
    """Portfolios of one market under one set of parameters. No account stops another."""
    units, columns = Units(parameters), Columns()
    rows: dict[int, AccountRows] = {}
    left: dict[int, Portfolio] = {}
    errors: dict[int, PortfolioError] = {}
    risks: dict[str, Risk] = {}
    for place, portfolio in enumerate(portfolios):
        if place % PRICED_TOGETHER == 0:
            some = portfolios[place : place + PRICED_TOGETHER]
            units.options(each for other in some for venue in other.venues for each in venue.positions)
        risks |= portfolio.risks
        try:
            found = account_rows(portfolio, units, columns)
        except PortfolioError as error:
            errors[place] = error
            continue
        if found is None:
            left[place] = portfolio
        else:
            rows[place] = found
    frame = Frame.of(columns, units, risks)
    return frame, Accounts(len(portfolios), tuple(chunks(rows.items(), len(columns.units))), left, errors)
