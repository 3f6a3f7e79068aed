"""The market of a frame as `derive-pm2` reads it: every instrument's marks under every scenario, computed once.

What depends on instruments and not on accounts is here, as integers: marks, discounts, prices in the numeraire,
charges. An expiry that cannot be priced, or not in 62 bits, has no table: who holds it is left to the rules, and nobody
else. Must not know accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from chains.errors import InputError
from node.margin.math.amounts import BASE, digits_of
from node.margin.math.products import LARGEST_BITS, IntArray
from node.margin.models.derive_pm2 import rules
from node.margin.models.derive_pm2.marks import UNMOVED, ExpiryMarks, Move, given
from node.margin.models.derive_pm2.portfolio import Expiry, Option, Parameters, Portfolio, Shock
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import ONE, Money, Wad, as_wad

OPTION_DECIMALS = 6
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


@dataclass(frozen=True, slots=True)
class CollateralTerms:
    """One collateral: its price in the numeraire, its haircuts, and what its confidence costs."""

    name: str
    price: Wad
    maintenance: Wad
    initial: Wad
    charge: Wad
    risk_cancelling: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One market under one set of parameters. `market` says what the columns are; its amounts mean nothing.

    `strikes` says by column which strike of which expiry it is of; `expiry_of` which expiry. `places` are the columns
    of the unmoved, raised and lowered market of the basis contingency among the moves; `spot_move_of` says by scenario
    which of the `spot_moves` it has, and `skews` which scenarios turn the skew. `perpetual_charge` is the cost
    of the confidence in its price.
    """

    market: Portfolio
    parameters: Parameters
    tables: tuple[ExpiryTable | None, ...]
    strikes: IntArray
    expiry_of: IntArray
    moves: tuple[Move, ...]
    places: tuple[int, int, int]
    skews: IntArray
    spot_moves: tuple[Wad, ...]
    spot_move_of: IntArray
    dampening: tuple[IntArray, ...]
    basis_factors: tuple[IntArray, ...]
    collaterals: tuple[CollateralTerms, ...]
    perpetual_charge: Wad
    initial_factor: Wad

    @property
    def columns(self) -> int:
        """How many options there are."""
        return len(self.strikes)

    @classmethod
    def of(cls, market: Portfolio, parameters: Parameters) -> Frame:
        """A frame of all instruments that a market lists: each option once.

        Within an expiry the columns are by strike, puts before calls. Raises InputError for an option that is there
        twice, and MissingField where parameters are absent that every account needs.
        """
        market = replace(market, expiries=tuple(_sorted(expiry) for expiry in market.expiries))
        basis = given(parameters.basis, market.account, "BasisContingency")
        moves: list[Move] = [(scenario.spot, scenario.shock) for scenario in parameters.scenarios]
        wanted = (UNMOVED, (basis.spot_up, Shock.NONE), (basis.spot_down, Shock.NONE))
        moves += [move for move in dict.fromkeys(wanted) if move not in moves]
        tables: list[ExpiryTable | None] = []
        ends = accumulate((len(expiry.options) for expiry in market.expiries), initial=0)
        for place, (first, last) in enumerate(pairwise(ends)):
            try:
                tables.append(_table(market, place, parameters, moves, first, last))
            except PortfolioError:  # whoever holds it is told, by the rules
                tables.append(None)
        spots = [scenario.move for scenario in parameters.scenarios]
        counts = [len(expiry.options) for expiry in market.expiries]
        return cls(
            market=market,
            parameters=parameters,
            tables=tuple(tables),
            strikes=_strikes(market.expiries),
            expiry_of=np.repeat(np.arange(len(counts)), counts),
            moves=tuple(moves),
            places=(moves.index(wanted[0]), moves.index(wanted[1]), moves.index(wanted[2])),
            skews=np.array([i for i, each in enumerate(parameters.scenarios) if each.shock.is_skew], dtype=np.int64),
            spot_moves=tuple(dict.fromkeys(spots)),
            spot_move_of=np.array([list(dict.fromkeys(spots)).index(move) for move in spots], dtype=np.int64),
            dampening=_columns([scenario.dampening for scenario in parameters.scenarios]),
            basis_factors=_columns([table.basis_factor for table in tables if table is not None]),
            collaterals=tuple(_terms(market, parameters)),
            perpetual_charge=rules.confidence_charge(_beside_perpetual(market), parameters.contingencies),
            initial_factor=rules.initial_factor(market.stable, parameters.loss, parameters.contingencies),
        )


def _sorted(expiry: Expiry) -> Expiry:
    options = sorted(expiry.options, key=lambda option: (option.strike, option.is_call))
    for one, other in pairwise(options):
        if (one.strike, one.is_call) == (other.strike, other.is_call):
            raise InputError("list each option once", seconds=expiry.seconds, strike=one.strike, call=one.is_call)
    listed = tuple(Option(option.strike, option.is_call, Wad(0)) for option in options)
    return replace(expiry, options=listed, order=tuple(range(len(listed))))


def _strikes(expiries: Sequence[Expiry]) -> IntArray:
    numbers = {key: number for number, key in enumerate(dict.fromkeys(_strike_keys(expiries)))}
    return np.array([numbers[key] for key in _strike_keys(expiries)], dtype=np.int64)


def _strike_keys(expiries: Sequence[Expiry]) -> list[tuple[int, Wad]]:
    return [(place, option.strike) for place, expiry in enumerate(expiries) for option in expiry.options]


def _table(
    market: Portfolio, place: int, parameters: Parameters, moves: Sequence[Move], first: int, last: int
) -> ExpiryTable | None:
    """None where a mark passes 62 bits."""
    expiry = market.expiries[place]
    marks = ExpiryMarks.of(market.account, expiry, parameters).marks(moves)
    basis = given(parameters.basis, market.account, "BasisContingency")
    of_spot, beside = market.spot_confidence, _beside_perpetual(market)
    discounts = (
        as_wad(rules.long_discount(expiry.rate, expiry.years, parameters.loss)),
        as_wad(rules.short_discount(expiry.rate, expiry.years, parameters.loss)),
    )
    long, short = np.concatenate(_columns([Wad(discount - ONE) for discount in discounts]), axis=1)
    largest = max((mark for row in marks for mark in row), default=Money(0))
    if largest.bit_length() > LARGEST_BITS:
        return None
    return ExpiryTable(
        place,
        first,
        last,
        np.array(marks, dtype=np.int64).T,
        largest,
        long,
        short,
        max(discounts),
        rules.basis_factor(expiry.seconds, basis),
        (
            rules.confidence_charge(rules.expiry_confidence(expiry, of_spot), parameters.contingencies),
            rules.confidence_charge(rules.expiry_confidence(expiry, beside), parameters.contingencies),
        ),
    )


def _columns(ratios: Sequence[Wad]) -> tuple[IntArray, ...]:
    """Digits of base 10^9, the lowest first, each a column for all ratios; the last ones have the signs."""
    split = [digits_of(ratio) for ratio in ratios]
    length = max(map(len, split), default=2)
    for digits in split:
        while len(digits) < length:
            digits[-1:] = [digits[-1] % BASE, digits[-1] // BASE]
    return tuple(np.array(split, dtype=np.int64).reshape(-1, length).T[:, :, None])


def _terms(market: Portfolio, parameters: Parameters) -> list[CollateralTerms]:
    return [
        CollateralTerms(
            each.name,
            rules.collateral_price(each.price, market.stable),
            each.maintenance_haircut,
            each.initial_haircut,
            rules.confidence_charge(min(each.confidence, market.spot_confidence), parameters.contingencies),
            each.risk_cancelling,
        )
        for each in market.collaterals
    ]


def _beside_perpetual(market: Portfolio) -> Wad:
    """The confidence that a perpetual and the options beside it share."""
    if market.perpetual is None:
        return market.spot_confidence
    return min(market.spot_confidence, market.perpetual.confidence)
