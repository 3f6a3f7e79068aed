"""Accounts of one market under the moves of a scanning model: worst losses and deltas, equal to the rules bit for bit.

    found = scanned(positions, market, …)        by underlying, account by account
    evaluated(books, …)                          → Margins of every account, by arrays or by the rules

Per underlying, an account's gains row by row are its sparse amounts times the table of changes, exactly; the worst of
them follow as integers, rounded where the rules round. What that arithmetic does not hold is left to the rules. Must
not know what is required, or prices: they are in the market, and in the books that positions were made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from node.margin.engine.portfolio import divided, floored, least, of_integers
from node.margin.engine.scanning.accounts import Market, Positions, Underlying
from node.margin.engine.table import BoolArray
from node.margin.math.amounts import BASE, Amounts
from node.margin.math.products import ExactSums, IntArray, Rows, Table, products
from node.margin.models.book import Book
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import ONE
from node.margin.models.profile import Composed

DELTA_CHUNK = 512
"""Accounts whose deltas are added up at a time, so that what belongs to their options stays in cache."""
_LARGEST_FAST = 2.0**28
"""What amounts add up to whose products with the digits of a delta add up to less than 2^62."""
_LARGEST_RESULT = (1 << 62) * BASE

Parameters = TypeVar("Parameters")
Required: TypeAlias = tuple[Amounts, Amounts, Amounts]
"""Equity, and the requirement at the initial and the maintenance threshold, account by account."""


@dataclass(frozen=True, slots=True)
class Margins:
    """Accounts' margins at both thresholds, by place, in money; `errors` says which cannot be evaluated, and why.

    `by_rules` are those that were left to the rules. What has an error is zero.
    """

    equity: Amounts
    initial: Amounts
    maintenance: Amounts
    errors: Mapping[int, PortfolioError]
    by_rules: tuple[int, ...]


def evaluated(
    books: Sequence[Book],
    found: Iterable[tuple[IntArray, Required]],
    left: tuple[int, ...],
    profile: Composed[Parameters],
    parameters: Parameters,
) -> Margins:
    """Every account: those of some places with what was found, those left by the rules. No account stops another."""
    count = len(books)
    margins = Margins(Amounts.zeros(count), Amounts.zeros(count), Amounts.zeros(count), {}, left)
    for places, required in found:
        _put(margins, places, required)
    errors = dict[int, PortfolioError]()
    for place in left:
        try:
            numbers = _by_rules(books[place], profile, parameters)
        except PortfolioError as error:
            errors[place] = error
        else:
            _put(margins, np.array([place]), numbers)
    return Margins(margins.equity, margins.initial, margins.maintenance, errors, left)


def _by_rules(book: Book, profile: Composed[Parameters], parameters: Parameters) -> Required:
    """Raises PortfolioError, of an account that is absurdly large too."""
    profile.refuse_unknown(book)
    strict, last = profile.levels(book, parameters)
    found = (last.equity, strict.requirement, last.requirement)
    for field, number in zip(("equity", "initial requirement", "maintenance requirement"), found, strict=True):
        if abs(number) >= _LARGEST_RESULT:
            raise OutOfRange("it is absurdly large: check the amounts", account=book.account, field=field, value=number)
    equity, initial, maintenance = (of_integers(np.array([number], dtype=object)) for number in found)
    return equity, initial, maintenance


def _put(margins: Margins, places: IntArray, required: Required) -> None:
    for into, numbers in zip((margins.equity, margins.initial, margins.maintenance), required, strict=True):
        into.put(places, numbers)


# === A batch ===


@dataclass(frozen=True, slots=True)
class Found:
    """What the rules go on with, account by account, of one underlying: money, and deltas in 1e-18."""

    option_value: Amounts
    scan: Amounts
    price_risk: Amounts
    net: Amounts
    gross: Amounts

    @classmethod
    def empty(cls, count: int) -> Found:
        """Zeros, to be filled."""
        return cls(*(Amounts.zeros(count) for _ in range(5)))


@dataclass(frozen=True, slots=True)
class PriceRisk:
    """What a model makes of the gains under its first moves and the scan risk, of the accounts that need it.

    `needed` says by underlying who they are in a block, once there are deltas.
    """

    moves: int
    of: Callable[[Amounts, Amounts], Amounts]
    needed: Callable[[Sequence[Found], slice], Sequence[BoolArray]]


def scanned(held: Positions, market: Market, *, with_deltas: bool, price_risk: PriceRisk | None = None) -> list[Found]:
    """What the accounts of a batch have on each underlying of the market, in order; without deltas these are zero."""
    tables = [Table.of(each.entries, held.dense.row_bits, each.options.start) for each in market.underlyings]
    found = [Found.empty(len(held.batch)) for _ in market.underlyings]
    if with_deltas:
        for first in range(0, len(held.batch), DELTA_CHUNK):
            _put_deltas(found, held, market, slice(first, min(first + DELTA_CHUNK, len(held.batch))))
    for first, last, sums in products(held.dense, tables):
        block = slice(first, last)
        needed = (
            price_risk.needed(found, block) if price_risk else [np.zeros(last - first, dtype=np.bool_)] * len(found)
        )
        for place, each in enumerate(market.underlyings):
            _put_scan(found[place], each, sums[place], held, block, needed[place], price_risk)
    return found


def _put_scan(
    numbers: Found,
    each: Underlying,
    sums: ExactSums,
    held: Positions,
    block: slice,
    needed: BoolArray,
    price_risk: PriceRisk | None,
) -> None:
    """What the options are worth, the scan risk, and the price risk of those for whom it is `needed`.

    Rounding down keeps order, so the worst move of options alone is found before anything is rounded. Whose gains are
    needed one by one, or have linear ones in them, are looked at move by move.
    """
    decimals = held.batch.decimals
    numbers.option_value.put(block, floored(sums[0], decimals))
    closely = np.full(len(needed), not held.dense.are_comparable)
    if each.asset in held.linear:
        linear = held.linear[each.asset]
        closely[linear.rows[linear.within(block)] - block.start] = True
    if not closely.all():
        worst = Amounts.zeros(len(needed))
        for weight, moves in each.by_weight:
            gain = floored(sums.least(moves), decimals)
            worst = worst.least(gain if weight == ONE else gain.down(weight))
        numbers.scan.put(block, -worst)
    rows = np.flatnonzero(closely)
    if len(rows):
        gains = _gains(each, floored(sums[1:, rows], decimals), held, block, rows)
        numbers.scan.put(block.start + rows, -least(gains).at_most_zero())
        if price_risk:
            at = block.start + rows
            numbers.price_risk.put(at, price_risk.of(gains[: price_risk.moves], numbers.scan[at]))
    rows = np.flatnonzero(needed & ~closely)
    if len(rows) and price_risk:
        gains = floored(sums[1 : 1 + price_risk.moves, rows], decimals)
        numbers.price_risk.put(block.start + rows, price_risk.of(gains, numbers.scan[block.start + rows]))


def _gains(each: Underlying, gains: Amounts, held: Positions, block: slice, rows: IntArray) -> Amounts:
    """⌊weight·(Δ linear + Δ options)⌋ of each move, [moves, accounts], whole, of some rows of a block."""
    if each.asset in held.linear:
        linear = held.linear[each.asset]
        within = linear.within(block)
        places = np.searchsorted(rows, linear.rows[within] - block.start)
        for row, move in enumerate(each.moves):
            gains[row].add(places, linear.value[within].down(move.spot))
        gains = gains.whole()
    for weight, moves in each.by_weight:
        if weight != ONE:
            moved = slice(moves.start - 1, moves.stop - 1) if isinstance(moves, slice) else moves - 1
            gains.put(moved, gains[moved].down(weight))
    return gains


def larger(first: Amounts, second: Amounts) -> Amounts:
    """The larger of two arrays of amounts."""
    return (-(-first).whole().least((-second).whole())).whole()


def half(numbers: Amounts) -> Amounts:
    """⌊numbers / 2⌋; they need not be whole."""
    high = numbers.high >> 1
    return Amounts(high, ((numbers.high & 1) * BASE + numbers.low) >> 1)


def hedged(numbers: Found) -> Amounts:
    """⌊(gross − |net|)/2⌋: how much delta offsets other delta."""
    return half(numbers.gross + numbers.net.losses()).whole()


# === Deltas ===


def _put_deltas(found: Sequence[Found], held: Positions, market: Market, block: slice) -> None:
    """Net and gross delta of each underlying: of options, and of what is linear."""
    net, gross = _option_deltas(held, market, block)
    for each, place, numbers in zip(market.underlyings, market.places, found, strict=True):
        if place is not None:
            numbers.net.put(block, Amounts(net.high[:, place], net.low[:, place]))
            numbers.gross.put(block, Amounts(gross.high[:, place], gross.low[:, place]))
        if each.asset in held.linear:
            linear = held.linear[each.asset]
            within = linear.within(block)
            numbers.net.add(linear.rows[within], linear.net[within])
            numbers.gross.add(linear.rows[within], linear.gross[within])
            numbers.net.put(block, numbers.net[block].whole())


def _option_deltas(held: Positions, market: Market, block: slice) -> tuple[Amounts, Amounts]:
    """Σ ⌊amount·delta⌋ and Σ |⌊amount·delta⌋|, [accounts, underlyings of the table], in 1e-18, as the rules round."""
    count, decimals = len(market.table.underlyings), held.batch.decimals
    starts = held.parts.starts[block.start * count : block.stop * count + 1]
    entries = slice(starts[0], starts[-1])
    amounts, columns = held.batch.rows.amounts[entries], held.batch.rows.columns[entries]
    rows = Rows(starts - starts[0], columns, amounts)
    if held.largest[block].max(initial=0.0) > _LARGEST_FAST or decimals > 9:
        parts = amounts.astype(object) * market.table.deltas[columns] // 10**decimals
        net, gross = of_integers(rows.sums(parts)), of_integers(rows.sums(np.abs(parts)))
    else:
        # amount·delta = high·10^9 + low, both of its sign; so is what is left of each when it is rounded down.
        high = amounts * market.deltas.high[columns]
        low = amounts * market.deltas.low[columns]
        if decimals:
            low //= 10**decimals
        net = _joined(rows.sums(high), rows.sums(low), decimals)
        gross = _joined(rows.sums(np.abs(high)), rows.sums(np.abs(low)), decimals)
    return net.reshape(block.stop - block.start, count), gross.reshape(block.stop - block.start, count)


def _joined(high: IntArray, low: IntArray, decimals: int) -> Amounts:
    """(high·10^9)/10^decimals + low, whole."""
    return divided(Amounts(high, low * 10**decimals), decimals)
