"""Many accounts' options as sparse integer rows over one instrument table, and their sums, exactly.

    batches, left = batched(accounts, table)                  once an account
    for first, last, [sums] in products(dense, [entries]):    each frame
        floored(sums, batch.decimals)                         ⌊Σ amount·entry⌋ as money

An account's amounts are integers of the largest unit 10^-decimals that holds them all, and accounts with one unit are a
batch: the fewer digits there are, the fewer limbs the exact product needs. Must not know what a model requires.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.margin.engine.table import Instrument, InstrumentTable
from node.margin.math.amounts import BASE, Amounts
from node.margin.math.products import LARGEST_BITS, DenseRows, ExactSums, FloatArray, IntArray, Rows
from node.margin.models.book import Option
from node.margin.models.fixed import WAD, Wad

ObjectArray: TypeAlias = NDArray[np.object_]
"""Of Python integers."""
DECIMALS = (0, 1, 2, 3, 4, 6, 8, 9, 12, 15, 18)
"""Units that batches have: finer steps would only make more of them."""
MOST_UNITS = 2 * 10**7 * WAD
"""What an account's absolute amounts add up to at most: then no sum passes 10^26 of money, whatever the marks."""
_DIGITS = 9
_WAD_DIGITS = 18
_STEP = 24
"""Bits that a digit of base 10^9 is shifted by at once: nine such still add up to less than 2^58."""
_BITS = 64
_NEAR = 2.0**110
"""A sum below it, in floats, is off by less than 2^62 (eighteen roundings), its quotient by that much and a unit."""
_FAST = 2.0**90
"""Integers below it have a high part below 2^61."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts by their places among all, and row by row their amounts of its columns, in 10^-decimals units."""

    accounts: IntArray
    rows: Rows
    decimals: int

    def __len__(self) -> int:
        return len(self.accounts)

    def dense(self, table: InstrumentTable) -> DenseRows:
        """The rows, ready to be multiplied."""
        return DenseRows.of(self.rows, len(table.options))

    def by_part(self, parts: Collection[slice]) -> Rows:
        """The same entries as a row for each account and, within it, each part of the columns in order."""
        count = len(parts)
        of_column = np.repeat(np.arange(count), [part.stop - part.start for part in parts])
        account = np.repeat(np.arange(len(self)), np.diff(self.rows.starts))
        lengths = np.bincount(account * count + of_column[self.rows.columns], minlength=len(self) * count)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return Rows(starts, self.rows.columns, self.rows.amounts)


def batched(
    accounts: Iterable[tuple[int, Sequence[Option]]], table: InstrumentTable
) -> tuple[list[Batch], tuple[int, ...]]:
    """Accounts, each by its place and with options of the table's market, as batches; and the places of those left.

    Left to the rules are accounts that hold what is not in the table or not usable there, the same twice, more than
    MOST_UNITS, or amounts that 62 bits do not hold.
    """
    by_unit: defaultdict[int, list[tuple[int, Mapping[int, int]]]] = defaultdict(list)
    left: list[int] = []
    for place, options in accounts:
        held = {table.columns.get(Instrument.of(option), -1): option.amount for option in options}
        usable = len(held) == len(options) and all(column >= 0 and table.usable[column] for column in held)
        unit = in_units(held) if usable else None
        if unit is None:
            left.append(place)
        else:
            by_unit[unit[0]].append((place, unit[1]))
    return [_batch(decimals, by_unit[decimals]) for decimals in sorted(by_unit)], tuple(left)


def in_units(held: Mapping[int, Wad]) -> tuple[int, Mapping[int, int]] | None:
    """The first of DECIMALS that holds every amount, and the amounts in that unit by ascending column; None if none."""
    if sum(map(abs, held.values())) > MOST_UNITS:
        return None
    for decimals in DECIMALS:
        unit = 10 ** (_WAD_DIGITS - decimals)
        if all(amount % unit == 0 for amount in held.values()):
            amounts = {column: held[column] // unit for column in sorted(held)}
            return (decimals, amounts) if all(abs(each) >> LARGEST_BITS == 0 for each in amounts.values()) else None
    return None


def _batch(decimals: int, accounts: Sequence[tuple[int, Mapping[int, int]]]) -> Batch:
    starts = np.cumsum([0, *(len(held) for _, held in accounts)], dtype=np.int64)
    columns = np.array([column for _, held in accounts for column in held], dtype=np.int64)
    amounts = np.array([amount for _, held in accounts for amount in held.values()], dtype=np.int64)
    return Batch(np.array([place for place, _ in accounts], dtype=np.int64), Rows(starts, columns, amounts), decimals)


def floored(sums: ExactSums, decimals: int) -> Amounts:
    """⌊the integers / 10^decimals⌋, [scenarios, rows], whole."""
    size = sum(
        max(float(limb.max(initial=0.0)), -float(limb.min(initial=0.0))) * 2.0**shift
        for limb, shift in zip(sums.limbs, sums.shifts, strict=True)
    )
    unit = 10 ** (_DIGITS + decimals)
    if decimals <= _DIGITS and size < min(_NEAR, unit * 2.0**61):
        return _by_quotient(sums, decimals, unit)
    if size > _FAST:
        return of_integers(reduce(add, map(_shifted, sums.limbs, sums.shifts)) // 10**decimals)
    high, low = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for limb, shift in zip(sums.limbs, sums.shifts, strict=True):
        digit = limb.astype(np.int64)
        above = np.zeros_like(digit[:1])
        for done in range(0, shift, _STEP):
            carry = digit // BASE
            step = min(_STEP, shift - done)
            above, digit = (above + carry) << step, (digit - carry * BASE) << step
        high, low = high + above, low + digit
    return divided(Amounts(high, low), decimals)


def _by_quotient(sums: ExactSums, decimals: int, unit: int) -> Amounts:
    """The same where floats give the quotient by the unit so well that the rest, known modulo 2^64, is below 2^63."""
    near: FloatArray | float = 0.0
    wrapped: IntArray | int = 0
    for limb, shift in zip(sums.limbs, sums.shifts, strict=True):
        near = near + limb * 2.0**shift
        if shift < _BITS:
            wrapped = wrapped + (limb.astype(np.int64) << np.int64(shift))
    high = np.floor(near / unit).astype(np.int64)
    rest = wrapped - high * unit
    return Amounts(high, rest // 10**decimals if decimals else rest).whole()


def _shifted(limb: FloatArray, shift: int) -> ObjectArray:
    return np.asarray(limb.astype(np.int64).astype(object) << shift)


def divided(numbers: Amounts, decimals: int) -> Amounts:
    """⌊numbers / 10^decimals⌋, whole; the numbers need not be."""
    while decimals > _DIGITS:
        numbers, decimals = divided(numbers, _DIGITS), decimals - _DIGITS
    if decimals == 0:
        return numbers.whole()
    above = numbers.high // 10**decimals
    rest = (numbers.high - above * 10**decimals) * 10 ** (_DIGITS - decimals)
    return Amounts(above, rest + numbers.low // 10**decimals).whole()


def raised(numbers: Amounts, decimals: int) -> Amounts:
    """numbers·10^decimals, whole, of whole numbers."""
    while decimals > _DIGITS:
        numbers, decimals = raised(numbers, _DIGITS), decimals - _DIGITS
    if decimals == _DIGITS:
        return Amounts(numbers.high * BASE + numbers.low, np.zeros_like(numbers.low))
    return Amounts(numbers.high * 10**decimals, numbers.low * 10**decimals).whole()


def in_wads(amounts: IntArray, decimals: int) -> Amounts:
    """Amounts in 10^-decimals units, or sums of them up to MOST_UNITS, in units of 1e-18; whole."""
    if decimals < _DIGITS:
        return Amounts(amounts * 10 ** (_DIGITS - decimals), np.zeros_like(amounts))
    unit = 10 ** (decimals - _DIGITS)
    high = amounts // unit
    return Amounts(high, (amounts - high * unit) * 10 ** (_WAD_DIGITS - decimals))


def of_integers(numbers: ObjectArray) -> Amounts:
    """Amounts of Python integers below 2^62·10^9, in an array of any shape; whole."""
    if np.abs(numbers).max(initial=0) >> LARGEST_BITS == 0:  # faster than Python's division
        return Amounts.small(numbers.astype(np.int64))
    high = numbers // BASE
    return Amounts(high.astype(np.int64), (numbers - high * BASE).astype(np.int64))


def integers(amounts: Amounts) -> ObjectArray:
    """Python integers, in an array of the same shape."""
    return np.asarray(amounts.high.astype(object) * BASE + amounts.low)


def least(amounts: Amounts) -> Amounts:
    """The least over the scenarios, the first axis, of whole amounts."""
    high = amounts.high.min(axis=0)
    return Amounts(high, np.where(amounts.high == high, amounts.low, BASE).min(axis=0))
