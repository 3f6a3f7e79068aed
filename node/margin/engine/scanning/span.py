"""`span` for many accounts of one market, equal to the rules bit for bit at both thresholds.

    frame = Frame.of(books, parameters)                  the marks, once
    margins(positions, frame)                            → equity and both requirements of a batch

Charges, credits and minimum follow from worst losses and deltas as integers, rounded where the rules round. Must not
know prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from node.margin.engine.portfolio import ObjectArray, in_wads, integers, of_integers
from node.margin.engine.scanning.accounts import LARGEST_CHARGE, Market, Positions, positions, positions_held
from node.margin.engine.scanning.scan import (
    Found,
    Margins,
    PriceRisk,
    Required,
    evaluated,
    half,
    hedged,
    larger,
    scanned,
)
from node.margin.engine.table import BoolArray
from node.margin.math.amounts import BASE, Amounts
from node.margin.math.products import IntArray
from node.margin.models import span
from node.margin.models.book import Book
from node.margin.models.fixed import WAD, Wad
from node.margin.models.profiles import SPAN
from node.margin.models.shocks import Move, underlyings
from node.margin.models.span import SpanAsset, SpanParameters

PAIRED = 14
"""The rows that come in pairs of volatilities; those after them are extremes."""


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
    """A market under these rules: those of its underlyings in order, and spreads in the order of their priority."""

    parameters: SpanParameters
    market: Market
    rules: tuple[SpanAsset, ...]
    spreads: tuple[Offset, ...]

    @classmethod
    def of(
        cls,
        books: Sequence[Book],
        parameters: SpanParameters,
        moves: Callable[[SpanAsset], Sequence[Move]] = span.moves,
    ) -> Frame:
        """Of all that books of one market hold. `moves` are the rows: seven pairs that count in full, then extremes."""
        held = {asset for book in books for asset in underlyings(book)}
        rules = {asset: parameters.assets[asset] for asset in sorted(held & {*parameters.assets})}
        known = [asset for asset in rules if _is_held(rules[asset])]
        return cls(
            parameters,
            Market.of(books, {asset: tuple(moves(rules[asset])) for asset in known}),
            tuple(rules[asset] for asset in known),
            tuple(_offsets(parameters, known)),
        )

    @property
    def needs_deltas(self) -> bool:
        """Whether any rule looks at them."""
        return bool(self.spreads) or any(each.intra_spread for each in self.rules)


def _offsets(parameters: SpanParameters, assets: Sequence[str]) -> Iterator[Offset]:
    for each in parameters.spreads:
        if {each.first, each.second} <= set(assets) and each.first_ratio and each.second_ratio:
            places = assets.index(each.first), assets.index(each.second)
            yield Offset(*places, each.first_ratio, each.second_ratio, each.rate)


def _is_held(rules: SpanAsset) -> bool:
    """Whether the arithmetic holds the charges: others than absurd ones."""
    return max(rules.short_option_minimum, rules.intra_spread) <= LARGEST_CHARGE


def evaluate(books: Sequence[Book], parameters: SpanParameters) -> Margins:
    """Every account of one market. No account stops another."""
    frame = Frame.of(books, parameters)
    batches, left = positions(books, frame.market, positions_held, SPAN.holds)
    found = ((held.batch.accounts, margins(held, frame)) for held in batches)
    return evaluated(books, found, left, SPAN, parameters)


def margins(held: Positions, frame: Frame) -> Required:
    """Equity, and the requirement at the initial and the maintenance threshold, of the accounts of a batch in order."""
    risk = PriceRisk(PAIRED, price_risk, lambda found, block: _offset(found, frame, block))
    found = scanned(held, frame.market, with_deltas=frame.needs_deltas, price_risk=risk)
    credited = _credits(found, frame)
    equity, initial, maintenance = held.equity, Amounts.zeros(len(held.batch)), Amounts.zeros(len(held.batch))
    for rules, place, numbers, credit in zip(frame.rules, frame.market.places, found, credited, strict=True):
        required = numbers.scan - credit
        if rules.intra_spread:
            required += hedged(numbers).cost(rules.intra_spread)
        required = required.whole()
        if rules.short_option_minimum and place is not None:
            short = in_wads(held.short[:, place], held.batch.decimals)
            required = larger(required, short.cost(rules.short_option_minimum))
        equity += numbers.option_value
        initial += required.up(frame.parameters.initial_multiple)
        maintenance += required
    return equity.whole(), initial.whole(), maintenance.whole()


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


# === Credits ===


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
