"""The rules of `drift` on arrays, by the names that they have in node.margin.models.drift.

Nearly every weight depends on the size of its leg: ⌊√(10·size + 1)⌋ is a float's root, corrected in integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from node.margin.engine.linear.blocks import Part
from node.margin.engine.linear.columns import Instruments
from node.margin.engine.linear.venue import Block, Venue
from node.margin.engine.linear.venue_columns import Column, Ratio, Unit, Units
from node.margin.math.products import FloatArray, IntArray
from node.margin.models import drift
from node.margin.models.drift import IMF, SIZE, WEIGHT, DriftParameters, Perp, Spot
from node.margin.models.fixed import PICO, WAD
from node.margin.models.market import Quote
from node.margin.models.profile import Threshold
from node.margin.models.profiles import DRIFT

INITIAL, *_ = DRIFT.thresholds


@dataclass(frozen=True, slots=True)
class SpotColumns:
    """Assets or debts: a unit's worth initially and later, its size in 1e-9; weights by threshold, in 1e-4."""

    strict: Column
    price: Column
    size: Column
    weights: tuple[IntArray, ...]
    imf: IntArray


@dataclass(frozen=True, slots=True)
class PerpetualColumns:
    """A unit's worth and its entry price's, its size; margin ratios and the weights of profits by threshold."""

    price: Column
    entry: Column
    size: Column
    ratios: tuple[IntArray, ...]
    imf: IntArray
    pnl: tuple[IntArray, ...]
    pnl_imf: IntArray


@dataclass(frozen=True, slots=True)
class DriftColumns:
    """Instruments as each kind of leg."""

    kinds: tuple[Units[Spot], Units[Spot], Units[Perp]]
    assets: SpotColumns
    debts: SpotColumns
    perpetuals: PerpetualColumns


def columns(instruments: Instruments, quotes: Mapping[str, Quote], parameters: DriftParameters) -> DriftColumns:
    """Of all instruments; deposits scale an asset's initial weight here, once."""
    held, owed = (Units(instruments, quotes, parameters.spots.get) for _ in range(2))
    perpetuals = Units(instruments, quotes, parameters.perpetuals.get)
    return DriftColumns(
        (held, owed, perpetuals),
        _spots(held, lambda unit, at: drift.deposit_weight(unit.market, unit.quote, at), long=True),
        _spots(owed, lambda unit, at: unit.market.liability[at.name], long=False),
        PerpetualColumns(
            *perpetuals.pair(lambda unit: unit.price, lambda unit: unit.entry),
            perpetuals.column(_size),
            _levels(perpetuals, lambda unit, at: unit.market.ratio[at.name]),
            perpetuals.integers(lambda unit: unit.market.imf),
            _levels(perpetuals, lambda unit, at: unit.market.pnl[at.name]),
            perpetuals.integers(lambda unit: unit.market.pnl_imf),
        ),
    )


def _spots(units: Units[Spot], weight: Callable[[Unit[Spot], Threshold], int], *, long: bool) -> SpotColumns:
    return SpotColumns(
        units.column(lambda unit: unit.worth(drift.price(unit.quote, INITIAL, long=long))),
        units.column(lambda unit: unit.price),
        units.column(_size),
        _levels(units, weight),
        units.integers(lambda unit: unit.market.imf),
    )


def _levels(units: Units[drift.Market], number: Callable[[Unit[drift.Market], Threshold], int]) -> tuple[IntArray, ...]:
    def at(threshold: Threshold) -> IntArray:
        return units.integers(lambda unit: number(unit, threshold))

    return tuple(map(at, DRIFT.thresholds))


def _size(unit: Unit[drift.Market]) -> Ratio:
    return unit.instrument.unit * SIZE, WAD


# === Sizes ===


def size_root(size: IntArray) -> IntArray:
    """⌊√(10·size + 1)⌋ of sizes from 0 to below 2^62.

    The float's root is below 2^33 and wrong by less than 2^-18, so its floor by at most one. The difference to its
    square is below 2^36, and so right although both wrap at 2^64.
    """
    near: FloatArray = np.sqrt(size.astype(np.float64) * 10.0 + 1.0)
    found: IntArray = near.astype(np.int64)
    rest = size * 10
    rest -= found * found
    rest += 1
    found -= rest < 0
    found += rest > 2 * found
    return found


def most_of_asset(root: IntArray, imf: IntArray) -> IntArray:
    """⌊1.1 / (1 + ⌊s·imf/1e5⌋)⌋ of a size's root s: an asset's weight is no more.

    The quotient of floats is exact in its integers: both are below 2^53, and it is no nearer to one than 2^-34 of it.
    """
    quotients: FloatArray = (11 * IMF * WEIGHT // 10) / (root * imf // 100_000 + IMF)
    return quotients.astype(np.int64)


def liability_growth(root: IntArray, imf: IntArray) -> IntArray:
    """⌊s·imf/1e5⌋ in 1e-4."""
    found = root * imf
    found //= 100_000 * (IMF // WEIGHT)
    return found


def liability_weight(weight: IntArray, growth: IntArray) -> IntArray:
    """max(w, w − ⌊w/5⌋ + growth)."""
    found: IntArray = np.maximum(weight, weight - weight // 5 + growth)
    return found


def weighed(money: IntArray, *weights: IntArray) -> Iterator[IntArray]:
    """⌊money·weight/1e4⌋ by each weight."""
    high = money // WEIGHT
    low = money - high * WEIGHT
    for weight in weights:
        found = low * weight
        found //= WEIGHT
        found += high * weight
        yield found


def _sizes(block: Block, part: Part, size: Column, numbers: IntArray, about: FloatArray) -> IntArray:
    near = about * size.about(part)
    block.reach(part, near)
    return size.times(part, numbers, near)


# === The rules ===


def spot_assets(block: Block, held: DriftColumns) -> None:
    """Cash at its face; deposits by their weight, which shrinks with size; initially at min(oracle, TWAP)."""
    block.equity += np.maximum(block.cash, 0)
    part, columns = block.collateral, held.assets
    about = part.about()
    near, later = about * columns.strict.about(part), about * columns.price.about(part)
    root = size_root(_sizes(block, part, columns.size, part.amounts, about))
    most = most_of_asset(root, part.of(columns.imf))
    weights = [np.minimum(part.of(weight), most) for weight in columns.weights]
    (first,) = weighed(columns.strict.times(part, part.amounts, near), weights[0])
    found = first, *weighed(columns.price.times(part, part.amounts, later), *weights[1:])
    for threshold, counted in enumerate(found):
        block.equity[threshold] += part.sums(counted)
    _reach(block, part, np.maximum(near, later), *weights)


def spot_debts(block: Block, held: DriftColumns) -> None:
    """Negative cash at its face; debts at max(oracle, TWAP), by their weight, which grows with size."""
    block.requirement += np.maximum(-block.cash, 0)
    part, columns = block.debts, held.debts
    about = part.about()
    near, later = about * columns.strict.about(part), about * columns.price.about(part)
    sizes = _sizes(block, part, columns.size, part.amounts, about)
    growth = liability_growth(size_root(sizes), part.of(columns.imf))
    weights = [liability_weight(part.of(weight), growth) for weight in columns.weights]
    (first,) = weighed(-columns.strict.times(part, part.amounts, near, up=True), weights[0])
    found = first, *weighed(-columns.price.times(part, part.amounts, later, up=True), *weights[1:])
    for threshold, owed in enumerate(found):
        block.requirement[threshold] -= part.sums(owed)
    _reach(block, part, np.maximum(near, later), *weights)


def perpetuals(block: Block, held: DriftColumns) -> None:
    """Losses in full, profits by their weight, which shrinks with size but for maintenance; margin ratios grow."""
    positions, part, columns = block.positions, block.positions.part, held.perpetuals
    profits, reached = positions.profits(columns.price, columns.entry)
    profits += positions.funding
    gains = np.maximum(profits, 0)
    profits -= gains
    most = most_of_asset(size_root(gains // (PICO // 10**6) * (SIZE // 10**6)), part.of(columns.pnl_imf))
    *earlier, maintenance = (part.of(weight) for weight in columns.pnl)
    weights = [*(np.minimum(weight, most) for weight in earlier), maintenance]
    for threshold, counted in enumerate(weighed(gains, *weights)):
        block.equity[threshold] += part.sums(counted + profits)
    _reach(block, part, reached, *weights)

    notional, near = positions.notional(columns.price)
    sizes = _sizes(block, part, columns.size, positions.sizes, positions.about)
    growth = liability_growth(size_root(sizes), part.of(columns.imf))
    ratios = [liability_weight(part.of(ratio), growth) for ratio in columns.ratios]
    for threshold, margin in enumerate(weighed(-notional, *ratios)):
        block.requirement[threshold] -= part.sums(margin)
    _reach(block, part, near, *ratios)


def _reach(block: Block, part: Part, near: FloatArray, *weights: IntArray) -> None:
    largest = weights[0]
    for weight in weights[1:]:
        largest = np.maximum(largest, weight)
    block.reach(part, near * (1.0 + largest / WEIGHT))


ENGINE = Venue(DRIFT, columns, (spot_assets, spot_debts, perpetuals))
