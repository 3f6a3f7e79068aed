"""The rules of `dydx` on arrays, by the names that they have in node.margin.models.dydx.

Requirements are in quote quantums, 1e-6 USD, so their divisors may be large: amounts of up to ten decimals are held, as
the protocol has them. Finer ones are evaluated by the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.margin.engine.linear.columns import Instruments
from node.margin.engine.linear.venue import Block, Venue
from node.margin.engine.linear.venue_columns import LARGEST_OF_SMALL, Column, Ratio, Unit, Units
from node.margin.math.products import IntArray
from node.margin.models import dydx
from node.margin.models.dydx import PPM, QUANTUM, DydxParameters, Tier
from node.margin.models.market import Quote
from node.margin.models.profiles import DYDX

INITIAL, MAINTENANCE = range(len(DYDX.thresholds))


@dataclass(frozen=True, slots=True)
class DydxColumns:
    """A unit's worth and its entry price's; its margins in quote quantums; the part of `base` that is maintenance."""

    kinds: tuple[None, None, Units[Tier]]
    price: Column
    entry: Column
    initial: Column
    base: Column
    fraction: IntArray


def columns(instruments: Instruments, quotes: Mapping[str, Quote], parameters: DydxParameters) -> DydxColumns:
    """Of all instruments; the open interest scales an initial ratio here, once."""
    units = Units(instruments, quotes, parameters.tiers.get)
    return DydxColumns(
        (None, None, units),
        *units.pair(lambda unit: unit.price, lambda unit: unit.entry),
        units.column(lambda unit: _margin(unit, _scaled_initial_ppm(unit)), LARGEST_OF_SMALL),
        units.column(lambda unit: _margin(unit, unit.market.initial), LARGEST_OF_SMALL),
        units.integers(lambda unit: unit.market.maintenance_fraction),
    )


def _scaled_initial_ppm(unit: Unit[Tier]) -> int:
    return dydx.scaled_initial_ppm(unit.market, unit.quote.open_interest // QUANTUM)


def _margin(unit: Unit[Tier], ppm: int) -> Ratio:
    money, by = unit.price
    return money * ppm, by * QUANTUM * PPM


def net_collateral(block: Block, held: DydxColumns) -> None:
    """Cash, profits and funding, each in whole quote quantums rounded down."""
    positions = block.positions
    profits, reached = positions.profits(held.price, held.entry)
    block.reach(positions.part, reached)
    quantums = profits // QUANTUM + positions.funding // QUANTUM
    block.equity += (block.cash // QUANTUM + positions.part.sums(quantums)) * QUANTUM


def margins(block: Block, held: DydxColumns) -> None:
    """⌈Q·scaled initial⌉ and ⌈⌈Q·initial⌉·fraction⌉ of each perpetual."""
    positions = block.positions
    part = positions.part
    initial = held.initial.times(part, positions.sizes, positions.about * held.initial.about(part), up=True)
    base = held.base.times(part, positions.sizes, positions.about * held.base.about(part), up=True)
    base *= part.of(held.fraction)
    maintenance = -(-base // PPM)
    block.requirement[INITIAL] += part.sums(initial) * QUANTUM
    block.requirement[MAINTENANCE] += part.sums(maintenance) * QUANTUM


ENGINE = Venue(DYDX, columns, (net_collateral, margins))
