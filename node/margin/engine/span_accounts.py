"""What `span` evaluates accounts by: a frame of one market, and accounts of it as arrays.

A frame is made once, for instruments and not for accounts; positions once an account, for as long as it does not
trade. What the arithmetic does not hold is left to the rules. Must not know what is required.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np

from node.margin.engine.portfolio import MOST_UNITS, Batch, batched, of_integers
from node.margin.engine.table import InstrumentTable
from node.margin.math.amounts import BASE, Amounts
from node.margin.math.products import DenseRows, FloatArray, IntArray, Rows
from node.margin.models import span
from node.margin.models.book import Book, gain
from node.margin.models.fixed import WAD, Money, Wad, value
from node.margin.models.shocks import Move, futures_on, linear_deltas, on, underlyings
from node.margin.models.span import SpanAsset, SpanParameters

LARGEST_MONEY = Money(10**24)
"""1e12 USD: whose cash, gains or linear positions are not below it is evaluated by the rules."""
_LARGEST_CHARGE = 10**6 * WAD

Sizes: TypeAlias = tuple[int, int, int]
"""Of linear positions on an underlying: their value in money, net and gross delta in 1e-18."""


@dataclass(frozen=True, slots=True)
class Underlying:
    """An underlying in a frame: its rules and moves, where its options are in the table, and their entries.

    `entries` are [columns, 1 + moves]: the mark of a unit as it is, and by how much each move changes it. `by_weight`
    has the moves by the part of their result that counts, as they are counted there.
    """

    asset: str
    rules: SpanAsset
    moves: tuple[Move, ...]
    options: slice
    entries: IntArray
    by_weight: tuple[tuple[Wad, slice | IntArray], ...]

    @classmethod
    def of(cls, asset: str, rules: SpanAsset, moves: Sequence[Move], options: slice, entries: IntArray) -> Underlying:
        """With the moves by weight."""
        rows: defaultdict[Wad, list[int]] = defaultdict(list)
        for row, move in enumerate(moves, start=1):
            rows[move.weight].append(row)
        by_weight = tuple((weight, _selected(each)) for weight, each in rows.items())
        return cls(asset, rules, tuple(moves), options, entries, by_weight)


def _selected(rows: list[int]) -> slice | IntArray:
    """A slice where it can be one, as that copies nothing."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else np.array(rows)


@dataclass(frozen=True, slots=True)
class Offset:
    """A spread whose legs are both in the frame, by their places there."""

    first: int
    second: int
    first_ratio: Wad
    second_ratio: Wad
    rate: Wad


@dataclass(frozen=True, slots=True)
class Frame:
    """What accounts of one market have in common, made once: underlyings in order, and the table of their options.

    `spreads` are in the order of their priority; `deltas` are those of the table, as digits of base 10^9 that both have
    the sign.
    """

    parameters: SpanParameters
    table: InstrumentTable
    underlyings: tuple[Underlying, ...]
    spreads: tuple[Offset, ...]
    deltas: Amounts

    @classmethod
    def of(
        cls,
        books: Sequence[Book],
        parameters: SpanParameters,
        moves: Callable[[SpanAsset], Sequence[Move]] = span.moves,
    ) -> Frame:
        """Of all that books of one market hold. `moves` are the rows: seven pairs that count in full, then extremes."""
        held = {asset for book in books for asset in underlyings(book)}
        known = sorted(asset for asset in held & {*parameters.assets} if _is_held(parameters.assets[asset]))
        rows = {asset: tuple(moves(parameters.assets[asset])) for asset in known}
        options = chain.from_iterable(book.options for book in books)
        table = InstrumentTable.of((each for each in options if each.quote.asset in rows), rows)
        entries = np.concatenate([table.marks[:, :1], table.changes], axis=1)
        parts = {asset: table.underlyings.get(asset, slice(0, 0)) for asset in rows}
        return cls(
            parameters,
            table,
            tuple(
                Underlying.of(asset, parameters.assets[asset], each, parts[asset], entries[parts[asset]])
                for asset, each in rows.items()
            ),
            tuple(_offsets(parameters, list(rows))),
            _signed_digits(table.deltas),
        )

    @property
    def needs_deltas(self) -> bool:
        """Whether any rule looks at them."""
        return bool(self.spreads) or any(each.rules.intra_spread for each in self.underlyings)

    def place(self, underlying: Underlying) -> int:
        """The place of an underlying among those of the table."""
        return list(self.table.underlyings).index(underlying.asset)


def _offsets(parameters: SpanParameters, assets: Sequence[str]) -> Iterator[Offset]:
    for each in parameters.spreads:
        if {each.first, each.second} <= set(assets) and each.first_ratio and each.second_ratio:
            places = assets.index(each.first), assets.index(each.second)
            yield Offset(*places, each.first_ratio, each.second_ratio, each.rate)


def _signed_digits(numbers: IntArray) -> Amounts:
    """The digits of base 10^9, both of the number's sign."""
    high = np.sign(numbers) * (np.abs(numbers) // BASE)
    return Amounts(high, numbers - high * BASE)


def _is_held(rules: SpanAsset) -> bool:
    """Whether the arithmetic holds the charges: others than absurd ones."""
    return max(rules.short_option_minimum, rules.intra_spread) <= _LARGEST_CHARGE


@dataclass(frozen=True, slots=True)
class Linear:
    """Perpetuals and futures: for each account (by row) that has some on an underlying, their value and deltas."""

    rows: IntArray
    value: Amounts
    net: Amounts
    gross: Amounts

    def within(self, block: slice) -> slice:
        """Which of them are of the accounts of a block."""
        first, last = np.searchsorted(self.rows, (block.start, block.stop))
        return slice(int(first), int(last))


@dataclass(frozen=True, slots=True)
class Positions:
    """A batch of accounts with all that they have besides options.

    `equity` is cash and what linear positions have gained; `linear` is by underlying; `dense` and `parts` are the
    batch's rows, as they are multiplied and by underlying; `short` is [accounts, underlyings of the table], the units
    of options that are owed; `largest` bounds what an account's absolute amounts add up to.
    """

    batch: Batch
    equity: Amounts
    linear: Mapping[str, Linear]
    dense: DenseRows
    parts: Rows
    short: IntArray
    largest: FloatArray

    @classmethod
    def of(cls, batch: Batch, equity: Amounts, linear: Mapping[str, Linear], table: InstrumentTable) -> Positions:
        """With what follows from the batch alone."""
        parts = batch.by_underlying(table)
        short = -parts.sums(np.minimum(batch.rows.amounts, 0)).reshape(len(batch), len(table.underlyings))
        largest = batch.rows.sums(np.abs(batch.rows.amounts.astype(np.float64)))
        return cls(batch, equity, linear, batch.dense(table), parts, short, largest)


def positions(books: Sequence[Book], frame: Frame) -> tuple[list[Positions], tuple[int, ...]]:
    """Books of the frame's market as arrays, and the places of those that are left to the rules."""
    linear = {place: found for place, book in enumerate(books) if (found := _linear(book, frame)) is not None}
    batches, unheld = batched(((place, books[place].options) for place in linear), frame.table)
    left = tuple(sorted({*range(len(books))} - {*linear} | {*unheld}))
    return [_positions(batch, books, linear, frame.table) for batch in batches], left


def _linear(book: Book, frame: Frame) -> dict[str, Sizes] | None:
    """Value and deltas of linear positions by underlying; None where the arithmetic does not hold them."""
    known = {each.asset for each in frame.underlyings}
    found = dict[str, Sizes]()
    for asset in underlyings(book):
        if asset not in known:
            return None
        if sizes := linear_deltas(book, asset):
            worth = sum(each.amount * each.quote.price for each in on(book, asset)[0])
            worth += sum(each.amount * each.forward for each in futures_on(book, asset))
            found[asset] = value(1, Wad(worth)), sum(sizes), sum(map(abs, sizes))
    fits = (
        abs(_equity(book)) < LARGEST_MONEY
        and sum(abs(worth) for worth, _, _ in found.values()) < LARGEST_MONEY
        and sum(gross for _, _, gross in found.values()) <= MOST_UNITS
    )
    return found if fits else None


def _equity(book: Book) -> int:
    return book.cash + sum(map(gain, book.perpetuals)) + sum(map(gain, book.futures))


def _positions(
    batch: Batch,
    books: Sequence[Book],
    linear: Mapping[int, Mapping[str, Sizes]],
    table: InstrumentTable,
) -> Positions:
    by_asset: defaultdict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for row, place in enumerate(batch.accounts.tolist()):
        for asset, numbers in linear[place].items():
            by_asset[asset].append((row, *numbers))
    equity = of_integers(np.array([_equity(books[place]) for place in batch.accounts.tolist()], dtype=object))
    return Positions.of(batch, equity, {asset: _linear_of(rows) for asset, rows in by_asset.items()}, table)


def _linear_of(rows: Sequence[tuple[int, int, int, int]]) -> Linear:
    places, worth, net, gross = (np.array(column, dtype=object) for column in zip(*rows, strict=True))
    return Linear(places.astype(np.int64), of_integers(worth), of_integers(net), of_integers(gross))
