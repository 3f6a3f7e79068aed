"""What scanning models evaluate accounts by: a frame of one market under their moves, and accounts of it as arrays.

A frame is made once, for instruments and not for accounts; positions once an account, for as long as it does not
trade. What the arithmetic does not hold is left to the rules. Must not know what is required.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from node.margin.engine.portfolio import MOST_UNITS, Batch, batched, of_integers
from node.margin.engine.table import InstrumentTable
from node.margin.math.amounts import BASE, Amounts
from node.margin.math.products import DenseRows, FloatArray, IntArray, Rows
from node.margin.models.book import SECTIONS, Book, gain
from node.margin.models.fixed import WAD, Money, Wad, value
from node.margin.models.shocks import Move, linear_amounts, linear_deltas, on, underlyings

LARGEST_MONEY = Money(10**24)
"""1e12 USD: whose cash, gains or linear positions are not below it is evaluated by the rules."""
LARGEST_CHARGE = Wad(10**6 * WAD)
"""What a unit may be charged, in USD, or cost where it is charged by its price."""


class Sizes(NamedTuple):
    """Of what is linear in an underlying: its value in money, net and gross delta and absolute amount in 1e-18."""

    value: int
    net: int
    gross: int
    amount: int


class Held(NamedTuple):
    """What an account has besides options: money that no move changes, what it owes, what is linear by underlying."""

    equity: int
    owed: int
    linear: Mapping[str, Sizes]


@dataclass(frozen=True, slots=True)
class Underlying:
    """An underlying in a frame: its moves, where its options are in the table, and their entries.

    `entries` are [columns, 1 + moves]: the mark of a unit as it is, and by how much each move changes it. `by_weight`
    has the moves by the part of their result that counts, as they are counted there.
    """

    asset: str
    moves: tuple[Move, ...]
    options: slice
    entries: IntArray
    by_weight: tuple[tuple[Wad, slice | IntArray], ...]

    @classmethod
    def of(cls, asset: str, moves: Sequence[Move], options: slice, entries: IntArray) -> Underlying:
        """With the moves by weight."""
        rows: defaultdict[Wad, list[int]] = defaultdict(list)
        for row, move in enumerate(moves, start=1):
            rows[move.weight].append(row)
        by_weight = tuple((weight, _selected(each)) for weight, each in rows.items())
        return cls(asset, tuple(moves), options, entries, by_weight)


def _selected(rows: list[int]) -> slice | IntArray:
    """A slice where it can be one, as that copies nothing."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else np.array(rows)


@dataclass(frozen=True, slots=True)
class Market:
    """What accounts of one market have in common, made once: underlyings in order, and the table of their options.

    `deltas` are those of the table, as digits of base 10^9 that both have the sign; `places` says of each underlying
    which of those of the table it is, None for one without options.
    """

    table: InstrumentTable
    underlyings: tuple[Underlying, ...]
    places: tuple[int | None, ...]
    deltas: Amounts

    @classmethod
    def of(cls, books: Sequence[Book], moves: Mapping[str, Sequence[Move]]) -> Market:
        """Of all that books hold on the underlyings that have moves."""
        options = chain.from_iterable(book.options for book in books)
        table = InstrumentTable.of((each for each in options if each.quote.asset in moves), moves)
        entries = np.concatenate([table.marks[:, :1], table.changes], axis=1)
        parts = {asset: table.underlyings.get(asset, slice(0, 0)) for asset in moves}
        listed = list(table.underlyings)
        return cls(
            table,
            tuple(Underlying.of(asset, each, parts[asset], entries[parts[asset]]) for asset, each in moves.items()),
            tuple(listed.index(asset) if asset in table.underlyings else None for asset in moves),
            _signed_digits(table.deltas),
        )


def _signed_digits(numbers: IntArray) -> Amounts:
    """The digits of base 10^9, both of the number's sign."""
    high = np.sign(numbers) * (np.abs(numbers) // BASE)
    return Amounts(high, numbers - high * BASE)


@dataclass(frozen=True, slots=True)
class Linear:
    """What is linear: for each account (by row) that has some in an underlying, the Sizes of it."""

    rows: IntArray
    value: Amounts
    net: Amounts
    gross: Amounts
    amount: Amounts

    def within(self, block: slice) -> slice:
        """Which of them are of the accounts of a block."""
        first, last = np.searchsorted(self.rows, (block.start, block.stop))
        return slice(int(first), int(last))


@dataclass(frozen=True, slots=True)
class Positions:
    """A batch of accounts with all that they have besides options.

    `equity`, `owed` and `linear` are as in Held; `dense` and `parts` are the batch's rows, as they are multiplied and
    by underlying; `short` is [accounts, underlyings of the table], the units of options that are owed; `largest` bounds
    what an account's absolute amounts add up to.
    """

    batch: Batch
    equity: Amounts
    owed: Amounts
    linear: Mapping[str, Linear]
    dense: DenseRows
    parts: Rows
    short: IntArray
    largest: FloatArray

    @classmethod
    def of(
        cls, batch: Batch, equity: Amounts, owed: Amounts, linear: Mapping[str, Linear], table: InstrumentTable
    ) -> Positions:
        """With what follows from the batch alone."""
        parts = batch.by_part(table.underlyings.values())
        short = -parts.sums(np.minimum(batch.rows.amounts, 0)).reshape(len(batch), len(table.underlyings))
        largest = batch.rows.sums(np.abs(batch.rows.amounts.astype(np.float64)))
        return cls(batch, equity, owed, linear, batch.dense(table), parts, short, largest)


def positions(
    books: Sequence[Book], market: Market, held: Callable[[Book], Held], sections: Sequence[str] = SECTIONS
) -> tuple[list[Positions], tuple[int, ...]]:
    """Books of the market as arrays, by what a model makes of them, and the places of those left to the rules.

    A model knows some `sections` of a book.
    """
    known = {each.asset for each in market.underlyings}
    unknown = [section for section in SECTIONS if section not in sections]
    found = dict[int, Held]()
    for place, book in enumerate(books):
        if any(getattr(book, section) for section in unknown) or not known.issuperset(underlyings(book)):
            continue
        each = held(book)
        if known.issuperset(each.linear) and _fits(each):
            found[place] = each
    batches, unheld = batched(((place, books[place].options) for place in found), market.table)
    left = tuple(sorted({*range(len(books))} - {*found} | {*unheld}))
    return [_positions(batch, found, market.table) for batch in batches], left


def _fits(held: Held) -> bool:
    sizes = held.linear.values()
    return (
        abs(held.equity) < LARGEST_MONEY
        and held.owed < LARGEST_MONEY
        and sum(abs(each.value) for each in sizes) < LARGEST_MONEY
        and sum(max(each.gross, each.amount) for each in sizes) <= MOST_UNITS
    )


def positions_held(book: Book, coins: Mapping[str, int] | None = None) -> Held:
    """Cash and what perpetuals and futures have gained; their sizes, and what else is linear: coins, in 1e-36 USD."""
    found, coins = dict[str, Sizes](), coins or {}
    for asset in sorted({*underlyings(book), *coins}):
        worth = sum(each.amount * each.quote.price for each in on(book, asset).perpetuals) + coins.get(asset, 0)
        worth += sum(each.amount * each.forward for each in on(book, asset).futures)
        deltas = linear_deltas(book, asset)
        if deltas or asset in coins:
            amount = sum(map(abs, linear_amounts(book, asset)))
            found[asset] = Sizes(value(1, Wad(worth)), sum(deltas), sum(map(abs, deltas)), amount)
    return Held(book.cash + sum(map(gain, book.perpetuals)) + sum(map(gain, book.futures)), 0, found)


def _positions(batch: Batch, held: Mapping[int, Held], table: InstrumentTable) -> Positions:
    by_asset: defaultdict[str, list[tuple[int, Sizes]]] = defaultdict(list)
    accounts = [held[place] for place in batch.accounts.tolist()]
    for row, each in enumerate(accounts):
        for asset, sizes in each.linear.items():
            by_asset[asset].append((row, sizes))
    equity, owed = (
        of_integers(np.array(numbers, dtype=object))
        for numbers in ([each.equity for each in accounts], [each.owed for each in accounts])
    )
    return Positions.of(batch, equity, owed, {asset: _linear_of(rows) for asset, rows in by_asset.items()}, table)


def _linear_of(rows: Sequence[tuple[int, Sizes]]) -> Linear:
    columns = (
        of_integers(np.array(column, dtype=object)) for column in zip(*(sizes for _, sizes in rows), strict=True)
    )
    return Linear(np.array([row for row, _ in rows], dtype=np.int64), *columns)
