"""Exact products of sparse integer rows with a table of integers, at the speed of a floating-point matrix product.

An account is a sparse row of amounts over instruments; the table has each instrument's change under each scenario. Both
are split into limbs so small that no sum of products reaches 2^53: then every partial sum is an integer that a float
holds exactly, and the result does not depend on order, lanes, threads or fused operations.

Must not know what is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from chains.errors import InputError, LimitError

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

EXACT_BITS = 53
"""Sums of integers below 2^53 in absolute value are exact in float64."""
LARGEST_BITS = 62
"""Amounts and entries are below 2^62 in absolute value."""
BLOCK_CELLS = 1 << 18
"""Cells of a dense block of rows: 2 MiB, so that it stays in cache."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows: row i has `amounts[starts[i]:starts[i + 1]]` in the columns of the same places, which ascend."""

    starts: IntArray
    columns: IntArray
    amounts: IntArray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def longest(self) -> int:
        """Entries of the longest row."""
        return int(np.diff(self.starts).max(initial=0))


@dataclass(frozen=True, slots=True)
class ExactSums:
    """Exact integers as limbs: Σ limbs[k]·2^(bits·k); each limb is an integer below 2^62 in absolute value."""

    limbs: IntArray
    bits: int

    def integers(self) -> list[list[int]]:
        """As Python integers, row by row."""
        return [
            [sum(int(limb) << (self.bits * k) for k, limb in enumerate(cell)) for cell in row]
            for row in np.moveaxis(self.limbs, 0, -1)
        ]


def limb_bits(longest: int) -> int:
    """The widest limbs with longest·2^bits·2^bits ≤ 2^53. Raises LimitError when a row is too long for any."""
    bits = (EXACT_BITS - max(longest - 1, 0).bit_length()) // 2
    if bits < 8:
        raise LimitError("split the row: its sums would not be exact", entries=longest, bound=1 << (EXACT_BITS - 16))
    return bits


def split(numbers: IntArray, bits: int) -> list[FloatArray]:
    """Σ limbs[k]·2^(bits·k) = numbers, with −2^bits < limb < 2^bits, as few limbs as the largest number needs."""
    largest = max(int(numbers.max(initial=0)), -int(numbers.min(initial=0)))
    if largest.bit_length() > LARGEST_BITS:
        raise LimitError("scale the numbers down", bits=LARGEST_BITS + 1, bound=LARGEST_BITS)
    count = max(1, -(-largest.bit_length() // bits))
    magnitude, sign = np.abs(numbers), np.sign(numbers)
    mask = np.int64((1 << bits) - 1)
    return [(sign * ((magnitude >> np.int64(bits * k)) & mask)).astype(np.float64) for k in range(count)]


def _check(rows: Rows, columns: int) -> None:
    ascends = np.diff(rows.columns) > 0
    within = rows.starts[1:-1]
    ascends[within[(within > 0) & (within <= len(ascends))] - 1] = True  # from one row to the next
    if not ascends.all() or rows.columns.min(initial=0) < 0 or rows.columns.max(initial=-1) >= columns:
        raise InputError("each row's columns are to ascend, and to be in the table", columns=columns)


def exact_products(rows: Rows, table: IntArray) -> ExactSums:
    """Rows @ table, exactly. `table` is [columns, scenarios]; the limbs are [limb, rows, scenarios].

    Raises LimitError for numbers over 2^62 and rows over the bound of limb_bits, InputError for columns that do not
    ascend within a row or are not in the table. Nothing is ever rounded.
    """
    _check(rows, len(table))
    bits = limb_bits(rows.longest)
    of_rows, of_table = split(rows.amounts, bits), split(table, bits)
    wide = np.concatenate(of_table, axis=1)
    columns, scenarios = table.shape
    limbs = np.zeros((len(of_rows) + len(of_table) - 1, len(rows), scenarios), dtype=np.int64)
    step = max(1, BLOCK_CELLS // max(columns, 1))
    block = np.zeros((min(step, len(rows)), columns))
    for first in range(0, len(rows), step):
        last = min(first + step, len(rows))
        start, end = rows.starts[first], rows.starts[last]
        place = np.repeat(np.arange(last - first), np.diff(rows.starts[first : last + 1]))
        where = place, rows.columns[start:end]
        for i, amounts in enumerate(of_rows):
            block[where] = amounts[start:end]
            found = (block[: last - first] @ wide).astype(np.int64)
            for j in range(len(of_table)):
                limbs[i + j, first:last] += found[:, j * scenarios : (j + 1) * scenarios]
        block[where] = 0.0
    return ExactSums(limbs, bits)
