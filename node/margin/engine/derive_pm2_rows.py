"""The options of many accounts under every scenario: sparse rows times the table of marks, by expiry, exactly.

Amounts and marks are integers, split into digits so short that every sum of products stays below 2^53: a float then
holds it exactly, in whatever order it is summed. The value of an expiry decides by its sign what of it counts, so that
products are by expiry. Arrays are [scenarios, accounts]. Must not know contingencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from node.margin.engine.derive_pm2_frame import MARK_BASE, ExpiryTable, Frame
from node.margin.math.amounts import Amounts
from node.margin.math.products import FloatArray, IntArray, Rows

BLOCK = 256
"""Accounts whose products are made at a time, so that all of one expiry stays in cache."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """By account: what its options are worth, their basis contingency, and what each scenario does to the account."""

    value: Amounts
    basis: Amounts
    scenarios: Amounts


def evaluate_rows(frame: Frame, rows: Rows, exposure: Amounts) -> Outcome:
    """The options of all accounts; `exposure` is what of each account moves with the spot."""
    count, tables = len(rows), [table for table in frame.tables if table is not None]
    spot_moves = Amounts.stack([exposure.down(move) for move in frame.spot_moves])
    value, losses = Amounts.zeros(count), Amounts.zeros(len(tables), count)
    scenarios = Amounts.zeros(len(frame.parameters.scenarios), count)
    blocks = np.zeros((2, min(BLOCK, count), frame.columns))
    for first in range(0, count, BLOCK):
        which = slice(first, min(first + BLOCK, count))
        part = _Part(frame, part_of(rows, which), blocks[:, : which.stop - first])
        moves = spot_moves[:, which][frame.spot_move_of]
        for place, table in enumerate(tables):
            held = part.holders(table)
            if not len(held):
                continue
            at = slice(None) if len(held) == which.stop - first else held
            values = part.values(table, at)
            current, at_up, at_down = (values[move] for move in frame.places)
            value.add(held + first, current)
            losses.put((place, held + first), (at_up - current).whole().least((at_down - current).whole()))
            moves.add((slice(None), at), _moves(frame, table, values, current))
        scenarios.put((slice(None), which), moves.whole().down_by(frame.dampening).whole())
        part.clear()
    basis = losses.at_most_zero().whole().down_by(frame.basis_factors).whole().total()
    return Outcome(value.whole(), basis, scenarios)


def owners(rows: Rows) -> IntArray:
    """The row of each entry."""
    return np.repeat(np.arange(len(rows)), np.diff(rows.starts))


def part_of(rows: Rows, which: slice) -> Rows:
    """Some rows that follow each other."""
    starts = rows.starts[which.start : which.stop + 1]
    entries = slice(starts[0], starts[-1])
    return Rows(starts - starts[0], rows.columns[entries], rows.amounts[entries])


class _Part:
    """Some accounts' rows, dense, in buffers that are all zero before and after."""

    def __init__(self, frame: Frame, rows: Rows, blocks: FloatArray) -> None:
        self._cells = owners(rows), rows.columns
        digits = _digits(rows)
        self._blocks = blocks[: len(digits)]
        for block, amounts in zip(self._blocks, digits, strict=True):
            block[self._cells] = amounts
        self._held = np.zeros((len(frame.tables), len(rows)), dtype=np.bool_)
        self._held[frame.expiry_of[rows.columns], self._cells[0]] = True

    def holders(self, table: ExpiryTable) -> IntArray:
        """Which accounts have options of an expiry."""
        return np.flatnonzero(self._held[table.place])

    def values(self, table: ExpiryTable, which: slice | IntArray) -> Amounts:
        """⌊Σ amount·mark / 10^6⌋ under each move, of accounts that hold the expiry."""
        sums: list[IntArray] = []
        for i, block in enumerate(self._blocks):
            found = (table.marks @ block[which, table.first : table.last].T).astype(np.int64)
            moves = len(found) // table.digits
            for j in range(table.digits):
                digit = found[j * moves : (j + 1) * moves]
                if i + j < len(sums):
                    sums[i + j] += digit
                else:
                    sums.append(digit)
        return _over_unit(sums)

    def clear(self) -> None:
        """Make the buffers zero again."""
        for block in self._blocks:
            block[self._cells] = 0.0


def _digits(rows: Rows) -> list[IntArray]:
    """The amounts, or where their sums with a mark's digit could pass 2^53, their two digits; the last has the sign."""
    gross = np.bincount(owners(rows), weights=np.abs(rows.amounts.astype(np.float64)), minlength=1)
    if gross.max() < 2**52 / MARK_BASE:
        return [rows.amounts]
    upper = rows.amounts // MARK_BASE
    return [rows.amounts - upper * MARK_BASE, upper]


def _over_unit(digits: Sequence[IntArray]) -> Amounts:
    """⌊Σ digits[k]·10^6k / 10^6⌋, whole. There are three digits or more, of any size that floats hold."""
    lowest, units, thousands, *above = digits
    high = thousands // 1_000
    low = lowest // MARK_BASE + units + (thousands - high * 1_000) * MARK_BASE
    for place, digit in enumerate(above):
        high += digit * (1_000 * MARK_BASE**place)
    return Amounts(high, low).whole()


def _moves(frame: Frame, table: ExpiryTable, values: Amounts, current: Amounts) -> Amounts:
    """What each scenario does to an expiry: its discounted value less its current one. Not whole."""
    shocked = values[: len(frame.parameters.scenarios)]
    below = shocked.high >> np.int64(63)  # all bits where it is negative, none elsewhere
    gain = [long ^ ((long ^ short) & below) for long, short in zip(table.long_gain, table.short_gain, strict=True)]
    moves = shocked.down_by(gain) + shocked - current
    if len(frame.skews):
        moves.put(frame.skews, moves[frame.skews].whole().losses())
    return moves
