"""The options of many accounts under every scenario: sparse rows times the table of marks, by expiry, exactly.

The value of an expiry decides by its sign what of it counts, so that products are by expiry. Arrays are [scenarios,
accounts]. Must not know what is required.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.margin.engine.derive.options import OPTION_DECIMALS, OPTION_UNIT, ExpiryTable, OptionFrame
from node.margin.engine.portfolio import floored
from node.margin.math.amounts import BASE, Amounts, BoolArray
from node.margin.math.products import DenseRows, IntArray, Rows, Table, products
from node.margin.models.fixed import Wad


@dataclass(frozen=True, slots=True)
class Outcome:
    """By account: what its options are worth, their basis contingency, and what each scenario does to the account."""

    value: Amounts
    basis: Amounts
    scenarios: Amounts


def evaluate_rows(frame: OptionFrame, rows: Rows, exposure: Amounts) -> Outcome:
    """The options of all accounts; `exposure` is what of each account moves with the spot."""
    count, tables = len(rows), frame.priced
    spot_moves = Amounts.stack([exposure.down(move) for move in frame.spot_moves])
    value, losses = Amounts.zeros(count), Amounts.zeros(len(tables), count)
    scenarios = Amounts.zeros(len(frame.scenarios), count)
    held = held_by(frame, rows)
    decimals, dense, split = kernel(frame, rows)
    for first, last, sums in products(dense, split):
        which = slice(first, last)
        moves = spot_moves[:, which][frame.spot_move_of]
        for place, (table, found) in enumerate(zip(tables, sums, strict=True)):
            holders = np.flatnonzero(held[table.place, which])
            if not len(holders):
                continue
            at = slice(None) if len(holders) == last - first else holders
            values = floored(found[:, at], decimals)
            current, at_up, at_down = (values[move] for move in frame.places)
            value.add(holders + first, current)
            losses.put((place, holders + first), (at_up - current).whole().least((at_down - current).whole()))
            moves.add((slice(None), at), _moves(frame, table, values, current))
        scenarios.put((slice(None), which), moves.whole().down_by(frame.dampening).whole())
    basis = losses.at_most_zero().whole().down_by(frame.basis_factors).whole().total()
    return Outcome(value.whole(), basis, scenarios)


def kernel(frame: OptionFrame, rows: Rows) -> tuple[int, DenseRows, list[Table]]:
    """Rows and the tables of the expiries that have one, ready for products; sums are of 10^-decimals of a contract.

    Fewer digits need fewer limbs, so the amounts' unit is the largest that holds all of them.
    """
    step = int(np.gcd.reduce(rows.amounts, initial=10**OPTION_DECIMALS))
    decimals = next(each for each in range(OPTION_DECIMALS + 1) if step % 10 ** (OPTION_DECIMALS - each) == 0)
    lots = Rows(rows.starts, rows.columns, rows.amounts // 10 ** (OPTION_DECIMALS - decimals))
    dense = DenseRows.of(lots, frame.columns)
    return decimals, dense, [Table.of(each.marks, dense.row_bits, each.first) for each in frame.priced]


def held_by(frame: OptionFrame, rows: Rows) -> BoolArray:
    """[expiries, accounts]: who has options of which."""
    held = np.zeros((len(frame.tables), len(rows)), dtype=np.bool_)
    held[frame.expiry_of[rows.columns], owners(rows)] = True
    return held


def owners(rows: Rows) -> IntArray:
    """The row of each entry."""
    return np.repeat(np.arange(len(rows)), np.diff(rows.starts))


def part_of(rows: Rows, which: slice) -> Rows:
    """Some rows that follow each other."""
    starts = rows.starts[which.start : which.stop + 1]
    entries = slice(starts[0], starts[-1])
    return Rows(starts - starts[0], rows.columns[entries], rows.amounts[entries])


def naked_shorts(frame: OptionFrame, rows: Rows) -> Amounts:
    """Σ over strikes of max(0, short − long): the options of a strike are beside each other in a row."""
    if not len(rows.columns):
        return Amounts.zeros(len(rows))
    strikes, places = frame.strikes[rows.columns], owners(rows)
    changes = (np.diff(strikes) != 0) | (np.diff(places) != 0)
    first = np.concatenate([[0], np.flatnonzero(changes) + 1])
    net = np.add.reduceat(rows.amounts, first)
    return _option_amounts(places[first], np.maximum(-net, 0), len(rows))


def _option_amounts(places: IntArray, amounts: IntArray, count: int) -> Amounts:
    """By place the sum of amounts in millionths, in 1e-18; below 2^53, and so exact in floats."""
    total = np.bincount(places, weights=amounts.astype(np.float64), minlength=count).astype(np.int64)
    return Amounts(total * (OPTION_UNIT // BASE), np.zeros_like(total))


def on_confidence(frame: OptionFrame, rows: Rows, beside: BoolArray, spot: Wad) -> Amounts:
    """What low confidence costs of the notional of each expiry's options; `beside` whom there is a perpetual."""
    total, count = Amounts.zeros(len(rows)), len(rows)
    if not any(any(table.charges) for table in frame.priced):
        return total
    places = frame.expiry_of[rows.columns] * count + owners(rows)
    gross = _option_amounts(places, np.abs(rows.amounts), len(frame.tables) * count)
    size = gross.reshape(len(frame.tables), count).cost(spot)
    for table in frame.priced:
        for which, charge in zip((~beside, beside), table.charges, strict=True):
            if charge:
                total.add(which, size[table.place, which].up(charge))
    return total


def _moves(frame: OptionFrame, table: ExpiryTable, values: Amounts, current: Amounts) -> Amounts:
    """What each scenario does to an expiry: its discounted value less its current one. Not whole."""
    shocked = values[: len(frame.scenarios)]
    below = shocked.high >> np.int64(63)  # all bits where it is negative, none elsewhere
    gain = [long ^ ((long ^ short) & below) for long, short in zip(table.long_gain, table.short_gain, strict=True)]
    moves = shocked.down_by(gain) + shocked - current
    if len(frame.skews):
        moves.put(frame.skews, moves[frame.skews].whole().losses())
    return moves
