"""The rules of `synthetix` on arrays, by the names that they have in node.margin.models.synthetix.

Ratios and discounts grow with sizes, in 1e-18, against skew scales that have no divisor in common: theirs are divided
one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from node.margin.engine.linear.columns import LARGEST, Instruments
from node.margin.engine.linear.venue import Block, Venue
from node.margin.engine.linear.venue_columns import Column, Ratio, Unit, Units, Wads
from node.margin.math.products import IntArray
from node.margin.models.fixed import WAD
from node.margin.models.market import Quote
from node.margin.models.profiles import SYNTHETIX
from node.margin.models.synthetix import CollateralRules, MarketRules, SynthetixParameters

INITIAL, MAINTENANCE = range(len(SYNTHETIX.thresholds))
_LARGEST_DISCOUNT = 1 << 61
"""Above every upper bound, with room to round."""


@dataclass(frozen=True, slots=True)
class CollateralColumns:
    """A unit's worth; by how much each unit raises the discount, and its bounds."""

    price: Column
    growth: Column
    lower: IntArray
    upper: IntArray


@dataclass(frozen=True, slots=True)
class MarketColumns:
    """A unit's worth and its entry price's; by how much each unit raises the initial ratio; the market's numbers."""

    price: Column
    entry: Column
    growth: Column
    least_initial: IntArray
    maintenance_scalar: Wads
    reward: Wads
    least_margin: IntArray


@dataclass(frozen=True, slots=True)
class SynthetixColumns:
    """Instruments as each kind of leg; of debts only the worth of a unit is asked."""

    kinds: tuple[Units[CollateralRules], Units[str], Units[MarketRules]]
    collateral: CollateralColumns
    debts: Column
    markets: MarketColumns


def columns(instruments: Instruments, quotes: Mapping[str, Quote], parameters: SynthetixParameters) -> SynthetixColumns:
    """Of all instruments."""
    held = Units(instruments, quotes, parameters.collaterals.get)
    owed = Units(instruments, quotes, str)
    markets = Units(instruments, quotes, parameters.markets.get)
    return SynthetixColumns(
        (held, owed, markets),
        CollateralColumns(
            held.column(lambda unit: unit.price),
            held.column(lambda unit: _against(unit, unit.market.scalar, unit.market.skew_scale)),
            held.integers(lambda unit: unit.market.lower),
            held.integers(lambda unit: unit.market.upper),
        ),
        owed.column(lambda unit: unit.price),
        MarketColumns(
            *markets.pair(lambda unit: unit.price, lambda unit: unit.entry),
            markets.column(lambda unit: _against(unit, unit.market.initial_fraction, unit.market.skew_scale)),
            markets.integers(lambda unit: unit.market.least_initial),
            markets.wads(lambda unit: unit.market.maintenance_scalar),
            markets.wads(lambda unit: unit.market.reward),
            markets.integers(lambda unit: unit.market.least_margin),
        ),
    )


def _against(unit: Unit[CollateralRules] | Unit[MarketRules], number: int, skew_scale: int) -> Ratio:
    return unit.instrument.unit * number, skew_scale


def available_margin(block: Block, held: SynthetixColumns) -> None:
    """Cash, Σ value·(1 − discount), what perpetuals have gained with funding, less debts."""
    block.equity += block.cash
    part, columns = block.collateral, held.collateral
    about = part.about()
    near = about * columns.price.about(part)
    kept = WAD - _discounts(block, columns)
    block.equity += part.sums(Wads.of(kept).down(columns.price.times(part, part.amounts, near)))
    block.reach(part, near)

    part = block.debts
    near = part.about() * held.debts.about(part)
    block.requirement += part.sums(held.debts.times(part, part.amounts, near, up=True))
    block.reach(part, near)

    profits, reached = block.positions.profits(held.markets.price, held.markets.entry)
    block.equity += block.positions.part.sums(profits + block.positions.funding)
    block.reach(block.positions.part, reached)


def _discounts(block: Block, columns: CollateralColumns) -> IntArray:
    """clamp(⌈amount·scalar/skewScale⌉, lower, upper), whatever the amount."""
    part = block.collateral
    near = part.about() * columns.growth.about(part)
    upper = part.of(columns.upper)
    found = np.minimum(columns.growth.times(part, part.amounts, near, up=True), upper)
    np.copyto(found, upper, where=near >= _LARGEST_DISCOUNT)
    clamped: IntArray = np.maximum(found, part.of(columns.lower))
    return clamped


def margins(block: Block, held: SynthetixColumns) -> None:
    """Each perpetual's margin at the threshold, and what its liquidator would be paid."""
    positions, part, columns = block.positions, block.positions.part, held.markets
    notional, near = positions.notional(columns.price)
    growth = positions.about * columns.growth.about(part)
    initial = columns.growth.times(part, positions.sizes, growth, up=True) + part.of(columns.least_initial)
    growth += 1.1 * WAD
    block.leave(part, growth >= LARGEST)
    maintenance = columns.maintenance_scalar.at(part.places).up(initial)
    besides = columns.reward.at(part.places).up(notional)
    besides += part.of(columns.least_margin) * np.abs(positions.sign)
    for threshold, ratio in ((INITIAL, initial), (MAINTENANCE, maintenance)):
        block.requirement[threshold] += part.sums(Wads.of(ratio).up(notional) + besides)
    block.reach(part, near * (1.0 + growth / WAD) + part.of(columns.least_margin))


ENGINE = Venue(SYNTHETIX, columns, (available_margin, margins))
