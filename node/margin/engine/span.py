"""`span` for many accounts of one market, equal to the rules bit for bit at both thresholds.

    frame = Frame.of(books, parameters)                  the marks, once
    margins(positions(books, frame), frame)              → Margins of every account

Per underlying, an account's gains row by row are its sparse amounts times the table of changes, exactly; the worst of
them, charges, credits and minimum follow as integers, rounded where the rules round. What that arithmetic does not hold
is left to the rules. Must not know prices: they are in the frame, and in the books that positions were made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from node.margin.engine.portfolio import ObjectArray, divided, floored, in_wads, integers, least, of_integers
from node.margin.engine.span_accounts import Frame, Positions, Underlying, positions
from node.margin.engine.table import BoolArray
from node.margin.math.amounts import BASE, Amounts
from node.margin.math.products import ExactSums, IntArray, Rows, Table, products
from node.margin.models import span
from node.margin.models.book import Book
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import ONE, WAD, Wad
from node.margin.models.profile import Side, Threshold
from node.margin.models.span import SpanParameters

PAIRED = 14
"""The rows that come in pairs of volatilities; those after them are extremes."""
DELTA_CHUNK = 512
"""Accounts whose deltas are added up at a time, so that what belongs to their options stays in cache."""
_LARGEST_FAST = 2.0**28
"""What amounts add up to whose products with the digits of a delta add up to less than 2^62."""
_LARGEST_RESULT = (1 << 62) * BASE
INITIAL, MAINTENANCE = Threshold("initial", "margin_call"), Threshold("maintenance", "liquidatable")
RULES = (span.cash_and_futures, span.net_option_value, span.scan)


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


def evaluate(books: Sequence[Book], parameters: SpanParameters) -> Margins:
    """Every account of one market. No account stops another."""
    frame = Frame.of(books, parameters)
    batches, left = positions(books, frame)
    count = len(books)
    found = Margins(Amounts.zeros(count), Amounts.zeros(count), Amounts.zeros(count), {}, left)
    for batch in batches:
        _put(found, batch.batch.accounts, *margins(batch, frame))
    errors = dict[int, PortfolioError]()
    for place in left:
        try:
            numbers = _by_rules(books[place], parameters)
        except PortfolioError as error:
            errors[place] = error
        else:
            _put(found, np.array([place]), *numbers)
    return Margins(found.equity, found.initial, found.maintenance, errors, left)


def _by_rules(book: Book, parameters: SpanParameters) -> tuple[Amounts, Amounts, Amounts]:
    """Equity and both requirements. Raises PortfolioError, of an account that is absurdly large too."""
    lines = {at: [line for rule in RULES for line in rule(book, parameters, at)] for at in (INITIAL, MAINTENANCE)}
    found = [sum(line.amount for line in lines[MAINTENANCE] if line.side is Side.EQUITY)]
    found += [sum(line.amount for line in lines[at] if line.side is Side.REQUIREMENT) for at in (INITIAL, MAINTENANCE)]
    for field, number in zip(("equity", "initial requirement", "maintenance requirement"), found, strict=True):
        if abs(number) >= _LARGEST_RESULT:
            raise OutOfRange("it is absurdly large: check the amounts", account=book.account, field=field, value=number)
    equity, initial, maintenance = (of_integers(np.array([number], dtype=object)) for number in found)
    return equity, initial, maintenance


def _put(margins: Margins, places: IntArray, equity: Amounts, initial: Amounts, maintenance: Amounts) -> None:
    margins.equity.put(places, equity)
    margins.initial.put(places, initial)
    margins.maintenance.put(places, maintenance)


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


def margins(held: Positions, frame: Frame) -> tuple[Amounts, Amounts, Amounts]:
    """Equity, and the requirement at the initial and the maintenance threshold, of the accounts of a batch in order."""
    tables = [Table.of(each.entries, held.dense.row_bits, each.options.start) for each in frame.underlyings]
    found = [Found.empty(len(held.batch)) for _ in frame.underlyings]
    if frame.needs_deltas:
        for first in range(0, len(held.batch), DELTA_CHUNK):
            _put_deltas(found, held, frame, slice(first, min(first + DELTA_CHUNK, len(held.batch))))
    for first, last, sums in products(held.dense, tables):
        block = slice(first, last)
        offset = _offset(found, frame, block)
        for place, each in enumerate(frame.underlyings):
            _put_scan(found[place], each, sums[place], held, block, offset[place])
    credited = _credits(found, frame)
    equity, initial, maintenance = held.equity, Amounts.zeros(len(held.batch)), Amounts.zeros(len(held.batch))
    for each, numbers, credit in zip(frame.underlyings, found, credited, strict=True):
        required = (numbers.scan + _intra(each, numbers) - credit).whole()
        if each.rules.short_option_minimum and each.asset in frame.table.underlyings:
            short = in_wads(held.short[:, frame.place(each)], held.batch.decimals)
            required = _larger(required, _cost(short, each.rules.short_option_minimum))
        equity += numbers.option_value
        initial += required.up(frame.parameters.initial_multiple)
        maintenance += required
    return equity.whole(), initial.whole(), maintenance.whole()


def _put_scan(
    numbers: Found, each: Underlying, sums: ExactSums, held: Positions, block: slice, offset: BoolArray
) -> None:
    """What the options are worth, the scan risk, and the price risk of those that are `offset`.

    Rounding down keeps order, so the worst move of options alone is found before anything is rounded. Whose gains are
    needed one by one, or have linear ones in them, are looked at move by move.
    """
    decimals = held.batch.decimals
    numbers.option_value.put(block, floored(sums[0], decimals))
    closely = np.full(len(offset), not held.dense.are_comparable)
    if each.asset in held.linear:
        linear = held.linear[each.asset]
        closely[linear.rows[linear.within(block)] - block.start] = True
    if not closely.all():
        worst = Amounts.zeros(len(offset))
        for weight, moves in each.by_weight:
            gain = floored(sums.least(moves), decimals)
            worst = worst.least(gain if weight == ONE else gain.down(weight))
        numbers.scan.put(block, -worst)
    if closely.any():
        rows = np.flatnonzero(closely)
        gains = _gains(each, floored(sums[1:, rows], decimals), held, block, rows)
        numbers.scan.put(block.start + rows, -least(gains).at_most_zero())
        numbers.price_risk.put(block.start + rows, price_risk(gains[:PAIRED], numbers.scan[block.start + rows]))
    rows = np.flatnonzero(offset & ~closely)
    if len(rows):
        gains = floored(sums[1 : 1 + PAIRED, rows], decimals)
        numbers.price_risk.put(block.start + rows, price_risk(gains, numbers.scan[block.start + rows]))


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


def price_risk(paired: Amounts, scan: Amounts) -> Amounts:
    """Scan risk less volatility and time risk, not below zero; of the moves in pairs, [moves, accounts]."""
    high = paired.high.min(axis=0)
    worst = np.where(paired.high == high, paired.low, BASE).argmin(axis=0)
    pair, accounts = worst - worst % 2, np.arange(len(worst))
    apart = _at(paired, pair, accounts) - _at(paired, pair + 1, accounts)
    volatility = half(-apart.whole().losses())
    time = -half(paired[0] + paired[1])
    return -(volatility + time - scan).whole().at_most_zero()


def _at(gains: Amounts, rows: IntArray, accounts: IntArray) -> Amounts:
    return Amounts(gains.high[rows, accounts], gains.low[rows, accounts])


def half(numbers: Amounts) -> Amounts:
    """⌊numbers / 2⌋; they need not be whole."""
    high = numbers.high >> 1
    return Amounts(high, ((numbers.high & 1) * BASE + numbers.low) >> 1)


def _larger(first: Amounts, second: Amounts) -> Amounts:
    return -(-first).whole().least((-second).whole())


def _cost(units: Amounts, rate: Wad) -> Amounts:
    """⌈units·rate⌉."""
    return -(-units).whole().worth(rate)


def _intra(each: Underlying, numbers: Found) -> Amounts:
    """⌈⌊(gross − |net|)/2⌋·charge⌉."""
    if not each.rules.intra_spread:
        return Amounts.zeros(len(numbers.net))
    return _cost(half(numbers.gross + numbers.net.losses()).whole(), each.rules.intra_spread)


# === Deltas and credits ===


def _put_deltas(found: Sequence[Found], held: Positions, frame: Frame, block: slice) -> None:
    """Net and gross delta of each underlying: of options, and of what is linear."""
    net, gross = _option_deltas(held, frame, block)
    for each, numbers in zip(frame.underlyings, found, strict=True):
        if each.asset in frame.table.underlyings:
            place = frame.place(each)
            numbers.net.put(block, Amounts(net.high[:, place], net.low[:, place]))
            numbers.gross.put(block, Amounts(gross.high[:, place], gross.low[:, place]))
        if each.asset in held.linear:
            linear = held.linear[each.asset]
            within = linear.within(block)
            numbers.net.add(linear.rows[within], linear.net[within])
            numbers.gross.add(linear.rows[within], linear.gross[within])
            numbers.net.put(block, numbers.net[block].whole())


def _option_deltas(held: Positions, frame: Frame, block: slice) -> tuple[Amounts, Amounts]:
    """Σ ⌊amount·delta⌋ and Σ |⌊amount·delta⌋|, [accounts, underlyings of the table], in 1e-18, as the rules round."""
    count, decimals = len(frame.table.underlyings), held.batch.decimals
    starts = held.parts.starts[block.start * count : block.stop * count + 1]
    entries = slice(starts[0], starts[-1])
    amounts, columns = held.batch.rows.amounts[entries], held.batch.rows.columns[entries]
    rows = Rows(starts - starts[0], columns, amounts)
    if held.largest[block].max(initial=0.0) > _LARGEST_FAST or decimals > 9:
        parts = amounts.astype(object) * frame.table.deltas[columns] // 10**decimals
        net, gross = of_integers(rows.sums(parts)), of_integers(rows.sums(np.abs(parts)))
    else:
        # amount·delta = high·10^9 + low, both of its sign; so is what is left of each when it is rounded down.
        high = amounts * frame.deltas.high[columns]
        low = amounts * frame.deltas.low[columns]
        if decimals:
            low //= 10**decimals
        net = _joined(rows.sums(high), rows.sums(low), decimals)
        gross = _joined(rows.sums(np.abs(high)), rows.sums(np.abs(low)), decimals)
    return net.reshape(block.stop - block.start, count), gross.reshape(block.stop - block.start, count)


def _joined(high: IntArray, low: IntArray, decimals: int) -> Amounts:
    """(high·10^9)/10^decimals + low, whole."""
    return divided(Amounts(high, low * 10**decimals), decimals)


def _offset(found: Sequence[Found], frame: Frame, block: slice) -> list[BoolArray]:
    """By underlying: whose delta some spread sets against another's."""
    offset = [np.zeros(block.stop - block.start, dtype=np.bool_) for _ in found]
    for spread in frame.spreads:
        opposite = _opposite(found[spread.first].net[block], found[spread.second].net[block])
        offset[spread.first] |= opposite
        offset[spread.second] |= opposite
    return offset


def _credits(found: Sequence[Found], frame: Frame) -> list[Amounts]:
    """What offsetting deltas of two underlyings are credited, spread by spread in order of priority, by underlying."""
    credited = [Amounts.zeros(len(each.net)) for each in found]
    offset = [_opposite(found[spread.first].net, found[spread.second].net) for spread in frame.spreads]
    rows = np.flatnonzero(np.logical_or.reduce(offset)) if offset else np.zeros(0, np.int64)
    if not len(rows):
        return credited
    legs = sorted({place for spread in frame.spreads for place in (spread.first, spread.second)})
    net = {place: np.abs(integers(found[place].net[rows])) for place in legs}
    left = {place: numbers.copy() for place, numbers in net.items()}
    risk = {place: integers(found[place].price_risk[rows]) for place in legs}
    credit = {place: np.zeros(len(rows), dtype=object) for place in legs}
    for spread, opposite in zip(frame.spreads, offset, strict=True):
        active = np.flatnonzero(opposite[rows])
        ratios = ((spread.first, spread.first_ratio), (spread.second, spread.second_ratio))
        rate = Fraction(spread.rate, WAD)
        spreads = np.minimum(*(_scaled(left[place][active], Fraction(WAD, ratio)) for place, ratio in ratios))
        for place, ratio in ratios:
            used = _scaled(spreads, Fraction(ratio, WAD))
            weighted = risk[place][active] * used * rate.numerator
            credit[place][active] += weighted // (net[place][active] * rate.denominator)
            left[place][active] -= used
    for place in legs:
        credited[place].put(rows, of_integers(credit[place]))
    return credited


def _scaled(numbers: ObjectArray, ratio: Fraction) -> ObjectArray:
    """⌊numbers·ratio⌋."""
    return numbers if ratio == 1 else np.asarray(numbers * ratio.numerator // ratio.denominator)


def _opposite(first: Amounts, second: Amounts) -> BoolArray:
    """Where one is above and the other below zero."""
    some = ((first.high | first.low) != 0) & ((second.high | second.low) != 0)
    return np.asarray(some & ((first.high < 0) != (second.high < 0)))
