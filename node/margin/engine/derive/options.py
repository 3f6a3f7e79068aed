"""The options of a frame under Derive's portfolio margins: marks and discounts by expiry, computed once, as integers.

An expiry that cannot be priced, or not in 62 bits, has no table: who holds it is left to the rules, and nobody else.
Must not know accounts, or what is required.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from chains.errors import InputError
from node.margin.math.amounts import BASE, digits_of
from node.margin.math.products import LARGEST_BITS, IntArray
from node.margin.models.derive_pm2.marks import UNMOVED, Move
from node.margin.models.derive_pm2.portfolio import BasisShock, Option, Scenario, Shock
from node.margin.models.fixed import ONE, WAD, Money, Wad

OPTION_DECIMALS = 6
OPTION_UNIT = Wad(WAD // 10**OPTION_DECIMALS)
"""Amounts of options are integers of a millionth."""


@dataclass(frozen=True, slots=True)
class ExpiryTable:
    """The options of one expiry: columns `first` to `last` of an account's row.

    `marks` is [options, moves]: money a unit, under every scenario and then every further move that is needed.
    `place` is the expiry's among the frame's. `charges` are what a low confidence costs, without and with a perpetual
    beside the options. `long_gain` and `short_gain` are the discounts less 1, as digits of base 10^9.
    """

    place: int
    first: int
    last: int
    marks: IntArray
    largest: Money
    long_gain: IntArray
    short_gain: IntArray
    largest_discount: Wad
    basis_factor: Wad
    charges: tuple[Wad, Wad]

    @classmethod
    def of(
        cls,
        place: int,
        first: int,
        marks: Sequence[Sequence[Money]],
        discounts: tuple[Wad, Wad],
        basis_factor: Wad,
        charges: tuple[Wad, Wad],
    ) -> ExpiryTable | None:
        """Of marks move by move, and the discounts of long and of short values. None where a mark passes 62 bits."""
        largest = max((mark for row in marks for mark in row), default=Money(0))
        if largest.bit_length() > LARGEST_BITS:
            return None
        long, short = np.concatenate(ratio_columns([Wad(discount - ONE) for discount in discounts]), axis=1)
        return cls(
            place,
            first,
            first + len(marks[0]),
            np.array(marks, dtype=np.int64).T,
            largest,
            long,
            short,
            max(discounts),
            basis_factor,
            charges,
        )


@dataclass(frozen=True, slots=True)
class OptionFrame:
    """The options that a market lists, by column, under some scenarios.

    `strikes` says by column which strike of which expiry it is of; `expiry_of` which expiry. `places` are the columns
    of the unmoved, raised and lowered market of the basis contingency among the moves; `spot_move_of` says by scenario
    which of the `spot_moves` it has, and `skews` which scenarios turn the skew.
    """

    scenarios: tuple[Scenario, ...]
    tables: tuple[ExpiryTable | None, ...]
    strikes: IntArray
    expiry_of: IntArray
    places: tuple[int, int, int]
    skews: IntArray
    spot_moves: tuple[Wad, ...]
    spot_move_of: IntArray
    dampening: tuple[IntArray, ...]
    basis_factors: tuple[IntArray, ...]

    @property
    def columns(self) -> int:
        """How many options there are."""
        return len(self.strikes)

    @property
    def priced(self) -> list[ExpiryTable]:
        """The tables that there are."""
        return [table for table in self.tables if table is not None]

    @classmethod
    def of(
        cls,
        scenarios: tuple[Scenario, ...],
        basis: BasisShock,
        listed: Sequence[Sequence[Option]],
        tables: Sequence[ExpiryTable | None],
    ) -> OptionFrame:
        """Of the options of each expiry as `sorted_options` has them, with a table each, of the moves of `moves_of`."""
        moves = moves_of(scenarios, basis)
        unmoved, raised, lowered = (moves.index(move) for move in _wanted(basis))
        spots = [scenario.move for scenario in scenarios]
        distinct = list(dict.fromkeys(spots))
        keys = [(place, option.strike) for place, options in enumerate(listed) for option in options]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return cls(
            scenarios=scenarios,
            tables=tuple(tables),
            strikes=np.array([numbers[key] for key in keys], dtype=np.int64),
            expiry_of=np.array([place for place, _ in keys], dtype=np.int64),
            places=(unmoved, raised, lowered),
            skews=np.array([i for i, each in enumerate(scenarios) if each.shock.is_skew], dtype=np.int64),
            spot_moves=tuple(distinct),
            spot_move_of=np.array([distinct.index(move) for move in spots], dtype=np.int64),
            dampening=ratio_columns([scenario.dampening for scenario in scenarios]),
            basis_factors=ratio_columns([table.basis_factor for table in tables if table is not None]),
        )


def moves_of(scenarios: Iterable[Scenario], basis: BasisShock) -> list[Move]:
    """Those of the scenarios, and then what else the basis contingency needs."""
    moves: list[Move] = [(scenario.spot, scenario.shock) for scenario in scenarios]
    return moves + [move for move in dict.fromkeys(_wanted(basis)) if move not in moves]


def _wanted(basis: BasisShock) -> tuple[Move, Move, Move]:
    return UNMOVED, (basis.spot_up, Shock.NONE), (basis.spot_down, Shock.NONE)


def sorted_places(options: Sequence[Option], seconds: int) -> list[int]:
    """Places of options by strike, puts before calls. Raises InputError for one that is listed twice."""
    places = sorted(range(len(options)), key=lambda place: (options[place].strike, options[place].is_call))
    if len({(option.strike, option.is_call) for option in options}) < len(options):
        raise InputError("list each option once", seconds=seconds)
    return places


def ratio_columns(ratios: Sequence[Wad]) -> tuple[IntArray, ...]:
    """Digits of base 10^9, the lowest first, each a column for all ratios; the last ones have the signs."""
    split = [digits_of(ratio) for ratio in ratios]
    length = max(map(len, split), default=2)
    for digits in split:
        while len(digits) < length:
            digits[-1:] = [digits[-1] % BASE, digits[-1] // BASE]
    return tuple(np.array(split, dtype=np.int64).reshape(-1, length).T[:, :, None])
