"""Exact products of sparse integer rows with a table of integers, at the speed of a floating-point matrix product.

An account is a sparse row of amounts over instruments; the table has each instrument's change under each scenario. The
table's entries, and where needed the amounts, are split into limbs so small that no sum of products passes
2^53: then every partial sum is an integer that a float holds exactly, and the result does not depend on order, lanes,
threads or fused operations.

Must not know what is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from chains.errors import InputError, LimitError

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.float64)

EXACT_BITS = 53
"""Sums of integers whose absolute values add up to at most 2^53 are exact in float64."""
LARGEST_BITS = 62
"""Amounts and entries are below 2^62 in absolute value."""
ROW_BITS = 43
"""A row's absolute amounts add up to less than 2^43, or are split into limbs of 26 bits that do."""
AMOUNT_BITS = 26
IMAGE_BITS = 15
"""Amounts below 2^15 in absolute value may be kept in 16 bits each, in a dense row."""
IMAGE_CELLS = 8
"""Cells of a dense row that may be kept for each entry: the memory that the entry and its place take."""
CARRY_BITS = 27
"""Sums of rows that add up to less than 2^27 leave room for a carry from the limb below: they can be compared."""
LANES = 16
"""Both sides of a product of dense matrices are filled up to a multiple of it, which is fastest."""
BLOCK_CELLS = 3 << 16
"""Cells of a dense block of rows: 1.5 MiB, so that it stays in cache."""
GROUP = 4
"""Blocks whose sums are handed on together: fewer calls for who goes on with them."""
GROUP_CELLS = 1 << 18
"""Cells of all sums that are handed on together, where that is more than one block: they stay in cache too."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows: row i has `amounts[starts[i]:starts[i + 1]]` in the columns of the same places, which ascend."""

    starts: IntArray
    columns: IntArray
    amounts: IntArray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def sums(self, numbers: NDArray[Number]) -> NDArray[Number]:
        """The sum over each row of one number an entry."""
        if not len(self):
            return np.zeros(0, dtype=numbers.dtype)
        if self.starts[-2] == len(numbers):  # an empty last row starts nowhere
            numbers = np.append(numbers, numbers.dtype.type(0))
        found = np.add.reduceat(numbers, self.starts[:-1])
        found[self.starts[1:] == self.starts[:-1]] = 0
        return found


@dataclass(frozen=True, slots=True)
class ExactSums:
    """Exact integers as limbs: Σ limbs[k]·2^shifts[k]; each limb is [scenarios, rows] integers of at most 2^53."""

    limbs: tuple[FloatArray, ...]
    shifts: tuple[int, ...]

    def integers(self) -> list[list[int]]:
        """As Python integers, row by row."""
        total = sum(
            limb.astype(np.int64).astype(object) << shift for limb, shift in zip(self.limbs, self.shifts, strict=True)
        )
        return [[int(cell) for cell in row] for row in np.asarray(total).T]

    def __getitem__(self, index: slice | IntArray | int | tuple[slice, slice | IntArray]) -> ExactSums:
        """Some of the scenarios, or of the scenarios and rows."""
        return ExactSums(tuple(limb[index] for limb in self.limbs), self.shifts)

    def least(self, scenarios: slice | IntArray) -> ExactSums:
        """The least of some scenarios, by row, of rows that `are_comparable`."""
        carried, found, at_least = self._carried(scenarios), list[FloatArray](), None
        for limb in reversed(carried):
            among = limb if at_least is None else np.where(at_least, limb, np.inf)
            found.append(among.min(axis=0))
            at_least = among == found[-1]
        return ExactSums(tuple(reversed(found)), self.shifts)

    def _carried(self, scenarios: slice | IntArray) -> list[FloatArray]:
        """Limbs that compare one after another: all but the highest are from 0 to below 2^(the next one's shift)."""
        carried, carry = list[FloatArray](), np.zeros(1)
        for limb, shift, above in zip(self.limbs, self.shifts, [*self.shifts[1:], None], strict=True):
            number = limb[scenarios] + carry if carried else limb[scenarios]
            if above is not None:
                carry = np.floor(number * 2.0 ** (shift - above))
                number = number - carry * 2.0 ** (above - shift)
            carried.append(number)
        return carried


@dataclass(frozen=True, slots=True)
class Limb:
    """One limb of a table: it counts 2^shift, and its sums are those from `first` to `last`.

    Each of them has `packed` scenarios, the k-th times 2^(apart·k): so far apart that their sums do not touch.
    """

    shift: int
    first: int
    last: int
    packed: int
    apart: int

    def sums(self, found: FloatArray, scenarios: int) -> FloatArray:
        """The products with this limb, scenario by scenario."""
        left = found[self.first : self.last]
        if self.packed == 1:
            return left
        sums = np.empty((len(left), self.packed, found.shape[1]))
        for place in range(self.packed - 1):
            above = np.rint(left * 2.0**-self.apart)
            sums[:, place] = left - above * 2.0**self.apart
            left = above
        sums[:, -1] = left
        return sums.reshape(len(sums) * self.packed, found.shape[1])[:scenarios]


@dataclass(frozen=True, slots=True)
class Table:
    """Entries [columns, scenarios] as limbs one below the other, for rows whose amounts add up to less than 2^row_bits.

    Its first row is the rows' column `first`.
    """

    cells: FloatArray
    limbs: tuple[Limb, ...]
    scenarios: int
    first: int
    row_bits: int

    @classmethod
    def of(cls, entries: IntArray, row_bits: int, first: int = 0) -> Table:
        """Raises LimitError where the entries or the rows are too large.

        The highest limb is as wide as is exact. What is left below it is often so narrow that the sums of several
        scenarios fit into one float.
        """
        if row_bits > ROW_BITS:
            raise LimitError("split the row: its sums would not be exact", bits=row_bits, bound=ROW_BITS)
        room = EXACT_BITS - row_bits + 1
        bits = largest_bits(entries) + 1
        below = max(0, bits - room)
        widths = [min(room, below - cut) for cut in range(0, below, room)]
        lines, limbs, shift, place = list[FloatArray](), list[Limb](), 0, 0
        for width, numbers in zip([*widths, bits - below], cut(entries.T, widths), strict=True):
            apart = width + row_bits
            packed = max(1, EXACT_BITS // apart)
            lines.append(_packed(numbers, packed, apart))
            limbs.append(Limb(shift, place, place + len(lines[-1]), packed, apart))
            shift, place = shift + width, limbs[-1].last
        lines.append(np.zeros((-place % LANES, len(entries))))
        return cls(np.concatenate(lines), tuple(limbs), entries.shape[1], first, row_bits)

    @property
    def columns(self) -> int:
        """Of the rows that it is multiplied with."""
        return int(self.cells.shape[1])


def largest_bits(numbers: IntArray) -> int:
    """Bits of the largest absolute value. Raises LimitError for more than 62."""
    bits = max(int(numbers.max(initial=0)), -int(numbers.min(initial=0))).bit_length()
    if bits > LARGEST_BITS:
        raise LimitError("scale the numbers down", bits=bits, bound=LARGEST_BITS)
    return bits


def cut(numbers: IntArray, widths: Sequence[int]) -> list[FloatArray]:
    """Limbs from the lowest, each of its width with |limb| ≤ 2^(width−1), and what is left above them."""
    limbs = list[FloatArray]()
    for width in widths:
        above = (numbers + np.int64(1 << (width - 1))) >> np.int64(width)
        limbs.append((numbers - (above << np.int64(width))).astype(np.float64))
        numbers = above
    return [*limbs, numbers.astype(np.float64)]


def _packed(numbers: FloatArray, packed: int, apart: int) -> FloatArray:
    scenarios, columns = numbers.shape
    groups = -(-scenarios // packed)
    padded = np.zeros((groups * packed, columns))
    padded[:scenarios] = numbers
    padded = padded.reshape(groups, packed, columns)
    return np.asarray(sum(padded[:, place] * 2.0 ** (apart * place) for place in range(packed)))


@dataclass(frozen=True, slots=True)
class DenseRows:
    """Rows ready to be multiplied, as often as wanted: amounts as floats, and each one's place in its dense block.

    The absolute amounts of a row, of one limb of them where there are several, add up to less than 2^row_bits. Rows of
    small amounts that are not very sparse are kept dense instead, as `image`: that takes no more memory.
    """

    starts: IntArray
    places: IntArray
    limbs: tuple[FloatArray, ...]
    image: NDArray[np.int16] | None
    columns: int
    height: int
    row_bits: int

    @classmethod
    def of(cls, rows: Rows, columns: int) -> DenseRows:
        """Raises LimitError for amounts of 2^62 and more, InputError for columns that do not ascend or exist."""
        _check(rows, columns)
        height = max(1, BLOCK_CELLS // max(columns, LANES) // LANES * LANES)
        row = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
        limbs: tuple[FloatArray, ...] = (rows.amounts.astype(np.float64),)
        row_bits = _row_bits(rows, limbs)
        is_small = np.abs(limbs[0]).max(initial=0.0) < 2.0**IMAGE_BITS
        if is_small and len(rows) * columns <= len(rows.amounts) * IMAGE_CELLS:
            image = np.zeros((len(rows), columns), dtype=np.int16)
            image[row, rows.columns] = rows.amounts
            nothing = np.zeros(0, np.int64)
            return cls(rows.starts, nothing, (), image, columns, height, row_bits)
        if row_bits > ROW_BITS:
            bits = largest_bits(rows.amounts) + 1
            limbs = tuple(cut(rows.amounts, [AMOUNT_BITS] * ((bits - 1) // AMOUNT_BITS)))
        places = row % height * columns + rows.columns
        return cls(rows.starts, places, limbs, None, columns, height, _row_bits(rows, limbs))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def are_comparable(self) -> bool:
        """Whether ExactSums.least may be asked of their sums."""
        return self.parts == 1 and self.row_bits <= CARRY_BITS

    @property
    def parts(self) -> int:
        """Limbs of an amount."""
        return len(self.limbs) if self.image is None else 1

    def fill(self, block: FloatArray, part: int, first: int) -> None:
        """Write the rows from `first` on into a block, a limb of the amounts."""
        if self.image is not None:
            np.copyto(block, self.image[first : first + len(block)])
            return
        entries = slice(self.starts[first], self.starts[first + len(block)])
        block.fill(0.0)
        block.reshape(-1)[self.places[entries]] = self.limbs[part][entries]


def _row_bits(rows: Rows, limbs: Sequence[FloatArray]) -> int:
    """Sums up to 2^53 are exact; those beyond are beyond."""
    return max(int(rows.sums(np.abs(limb)).max(initial=0.0)) for limb in limbs).bit_length()


def _check(rows: Rows, columns: int) -> None:
    ascends = np.diff(rows.columns) > 0
    within = rows.starts[1:-1]
    ascends[within[(within > 0) & (within <= len(ascends))] - 1] = True  # from one row to the next
    if not ascends.all() or rows.columns.min(initial=0) < 0 or rows.columns.max(initial=-1) >= columns:
        raise InputError("each row's columns are to ascend, and to be in the table", columns=columns)


def products(rows: DenseRows, tables: Sequence[Table]) -> Iterator[tuple[int, int, list[ExactSums]]]:
    """Rows @ each table, exactly, some at a time: the first row, the last (exclusive), and their sums table by table.

    Nothing is ever rounded. Raises LimitError where a table was split for smaller rows.
    """
    for table in tables:
        if rows.row_bits > table.row_bits:
            raise LimitError("split the table for these rows", bits=rows.row_bits, bound=table.row_bits)
    space = np.zeros((min(rows.height, len(rows)), rows.columns))
    cells = rows.height * rows.parts * sum(len(table.cells) for table in tables)
    step = rows.height * max(1, min(GROUP, GROUP_CELLS // max(cells, 1)))
    for first in range(0, len(rows), step):
        last = min(first + step, len(rows))
        found = [[np.empty((len(table.cells), last - first)) for _ in range(rows.parts)] for table in tables]
        for start in range(first, last, rows.height):
            block = space[: last - start]
            for part in range(rows.parts):
                rows.fill(block, part, start)
                for table, sums in zip(tables, found, strict=True):
                    held = block[:, table.first : table.first + table.columns]
                    np.matmul(table.cells, held.T, out=sums[part][:, start - first : start - first + len(block)])
        yield first, last, [_sums(table, sums) for table, sums in zip(tables, found, strict=True)]


def _sums(table: Table, found: Sequence[FloatArray]) -> ExactSums:
    limbs = tuple(limb.sums(part, table.scenarios) for part in found for limb in table.limbs)
    shifts = tuple(AMOUNT_BITS * i + limb.shift for i in range(len(found)) for limb in table.limbs)
    return ExactSums(limbs, shifts)


def exact_products(rows: Rows, entries: IntArray) -> ExactSums:
    """Rows @ entries, exactly, all at once; entries are [columns, scenarios].

    Raises LimitError for numbers of 2^62 and more and for rows of more than 2^17 such, InputError for columns that do
    not ascend within a row or are not in the table.
    """
    dense = DenseRows.of(rows, len(entries))
    table = Table.of(entries, dense.row_bits)
    blocks = [sums for _, _, [sums] in products(dense, [table])]
    blocks.append(_sums(table, [np.zeros((len(table.cells), 0))] * dense.parts))
    limbs = zip(*(sums.limbs for sums in blocks), strict=True)
    return ExactSums(tuple(np.concatenate(limb, axis=1) for limb in limbs), blocks[-1].shifts)
