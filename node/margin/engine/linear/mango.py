"""The rules of `mango` on arrays, by the names that they have in node.margin.models.mango."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from node.margin.engine.linear.blocks import Part
from node.margin.engine.linear.columns import Instruments, rounded
from node.margin.engine.linear.venue import Block, Venue
from node.margin.engine.linear.venue_columns import Column, Unit, Units, Wads
from node.margin.math.products import FloatArray, IntArray
from node.margin.models import mango
from node.margin.models.mango import MangoMarket, MangoParameters
from node.margin.models.market import Quote
from node.margin.models.profile import Threshold
from node.margin.models.profiles import MANGO

INITIAL, *LATER = MANGO.thresholds


@dataclass(frozen=True, slots=True)
class Side:
    """Assets or liabilities: a unit's worth initially and later, and weights by threshold."""

    strict: Column
    price: Column
    weights: tuple[Wads, ...]

    def values(self, part: Part, about: FloatArray, *, up: bool = False) -> Iterator[IntArray]:
        """⌊amount·price⌋ or ⌈…⌉ of each leg, by threshold."""
        yield self.strict.times(part, part.amounts, about * self.strict.about(part), up=up)
        later = self.price.times(part, part.amounts, about * self.price.about(part), up=up)
        for _ in LATER:
            yield later

    def near(self, part: Part, about: FloatArray) -> FloatArray:
        """About how large values, and what is counted of them, can be together."""
        found: FloatArray = np.maximum(self.strict.about(part), self.price.about(part))
        return np.abs(about) * found * part.of(_most(self.weights))


@dataclass(frozen=True, slots=True)
class MangoColumns:
    """Instruments as each kind of leg. Of perpetuals also their entry prices' worth, and the weights of a profit."""

    kinds: tuple[Units[MangoMarket], Units[MangoMarket], Units[MangoMarket]]
    assets: Side
    debts: Side
    longs: Side
    shorts: Side
    entry: Column
    overall: tuple[Wads, ...]


def columns(instruments: Instruments, quotes: Mapping[str, Quote], parameters: MangoParameters) -> MangoColumns:
    """Of all instruments; deposits and borrows scale weights here, once."""
    held, owed = (Units(instruments, quotes, parameters.tokens.get) for _ in range(2))
    perpetuals = Units(instruments, quotes, parameters.perpetuals.get)
    return MangoColumns(
        (held, owed, perpetuals),
        _side(held, lambda unit, at: mango.asset_weight(unit.market, unit.quote, at), long=True),
        _side(owed, lambda unit, at: mango.liability_weight(unit.market, unit.quote, at), long=False),
        _side(perpetuals, lambda unit, at: unit.market.weights[at.name].asset, long=True),
        _side(perpetuals, lambda unit, at: unit.market.weights[at.name].liability, long=False),
        perpetuals.column(lambda unit: unit.entry),
        _levels(perpetuals, lambda unit, at: unit.market.weights[at.name].overall),
    )


_Number: TypeAlias = Callable[[Unit[MangoMarket], Threshold], int]


def _side(units: Units[MangoMarket], weight: _Number, *, long: bool) -> Side:
    strict = units.column(lambda unit: unit.worth(mango.price(unit.quote, INITIAL, long=long)))
    return Side(strict, units.column(lambda unit: unit.price), _levels(units, weight))


def _levels(units: Units[MangoMarket], number: _Number) -> tuple[Wads, ...]:
    def at(threshold: Threshold) -> Wads:
        return units.wads(lambda unit: number(unit, threshold))

    return tuple(map(at, MANGO.thresholds))


def _most(weights: tuple[Wads, ...]) -> FloatArray:
    largest: FloatArray = 1.0 + np.max([each.nearest for each in weights], axis=0)
    return largest


# === The rules ===


def token_health(block: Block, held: MangoColumns) -> None:
    """Cash at its face, ⌊⌊amount·price⌋·weight⌋ of collateral, ⌈⌈amount·price⌉·weight⌉ of debts."""
    block.equity += np.maximum(block.cash, 0)
    block.requirement += np.maximum(-block.cash, 0)
    part, about = block.collateral, block.collateral.about()
    for threshold, values in enumerate(held.assets.values(part, about)):
        block.equity[threshold] += part.sums(held.assets.weights[threshold].at(part.places).down(values))
    block.reach(part, held.assets.near(part, about))
    part, about = block.debts, block.debts.about()
    for threshold, values in enumerate(held.debts.values(part, about, up=True)):
        block.requirement[threshold] += part.sums(held.debts.weights[threshold].at(part.places).up(values))
    block.reach(part, held.debts.near(part, about))


def perpetual_lines(block: Block, held: MangoColumns) -> None:
    """⌊⌊amount·price⌋·weight⌋ − ⌈amount·entry⌉ + funding of each perpetual; ⌊that·overall⌋ of a profit."""
    positions, part = block.positions, block.positions.part
    about = positions.about * positions.sign
    worth = held.entry.about(part) * part.entries
    multiplier = part.of(held.entry.multiplier) * part.entries
    besides = rounded(-part.amounts, multiplier, held.entry.divisors(part), -about * worth)
    besides += positions.funding
    found = [besides.copy() for _ in MANGO.thresholds]
    near = positions.about * worth + np.abs(positions.funding)
    for side, own in ((held.longs, positions.sign > 0), (held.shorts, positions.sign < 0)):
        mine = replace(part, amounts=part.amounts * own)
        for threshold, values in enumerate(side.values(mine, about * own)):
            found[threshold] += side.weights[threshold].at(part.places).down(values)
        near += side.near(part, about * own)
    for threshold, overall in enumerate(held.overall):
        gains = np.maximum(found[threshold], 0)
        found[threshold] -= gains
        found[threshold] += overall.at(part.places).down(gains)
        block.equity[threshold] += part.sums(found[threshold])
    block.reach(part, near * part.of(_most(held.overall)))


ENGINE = Venue(MANGO, columns, (token_health, perpetual_lines))
