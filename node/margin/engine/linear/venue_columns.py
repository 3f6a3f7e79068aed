"""What the arithmetic of an instrument becomes for arrays, under rules whose factors depend on sizes.

    Column       a ratio by instrument: ⌊amount·ratio⌋ and ⌈amount·ratio⌉, exactly
    Wads         numbers of 1e-18: ⌊money·number⌋ and ⌈money·number⌉, exactly
    Units        a unit of each instrument with its quote and its market's parameters, and columns of what it comes to

Must not know accounts or rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from node.margin.engine.linear.blocks import Part
from node.margin.engine.linear.columns import LARGEST, LARGEST_DIVISOR, Instrument, Instruments, rounded, wrapped
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.fixed import PICO, WAD
from node.margin.models.market import Quote

Ratio: TypeAlias = tuple[int, int]
"""Numerator ≥ 0 and denominator > 0."""
Market = TypeVar("Market")

LARGEST_OF_SMALL = 1 << 61
"""What divisors may be where results stay below 2^46."""
_DIGIT = 10**9
_MONEY = WAD * WAD // PICO
_NONE: Ratio = (0, 1)


@dataclass(frozen=True, slots=True)
class Column:
    """Numbers ≥ 0 by instrument: multiplier/divisor, with its float beside it. The multiplier is modulo 2^64.

    One divisor serves all where it can: dividing by one number is ten times as fast as by many.
    """

    divisor: int | IntArray
    multiplier: IntArray
    nearest: FloatArray

    def about(self, part: Part) -> FloatArray:
        """What a unit of each leg's instrument comes to."""
        return part.of(self.nearest)

    def times(self, part: Part, numbers: IntArray, near: FloatArray, *, up: bool = False) -> IntArray:
        """⌊number·ratio⌋ of each leg, or ⌈…⌉; `near` is about that, and its size below 2^62."""
        return rounded(numbers, part.of(self.multiplier), self.divisors(part), near, up=up)

    def divisors(self, part: Part) -> int | IntArray:
        """The divisor, or each leg's."""
        return self.divisor if isinstance(self.divisor, int) else part.of(self.divisor)


@dataclass(frozen=True, slots=True)
class Wads:
    """Numbers ≥ 0 of 1e-18: whole·10^18 + high·10^9 + low, the last two below 10^9; or with no `whole`, below 2^62."""

    high: IntArray
    low: IntArray
    whole: IntArray | None = None

    @classmethod
    def of(cls, numbers: IntArray) -> Wads:
        """From 0 to below 2^62."""
        high = numbers // _DIGIT
        return cls(high, numbers - high * _DIGIT)

    @property
    def nearest(self) -> FloatArray:
        """About what they are."""
        found = self.high / _DIGIT
        return found if self.whole is None else found + self.whole

    def at(self, places: IntArray) -> Wads:
        """Those at some places."""
        high, low = self.high.take(places, mode="wrap"), self.low.take(places, mode="wrap")
        return Wads(high, low, None if self.whole is None else self.whole.take(places, mode="wrap"))

    def down(self, money: IntArray) -> IntArray:
        """⌊money·number/10^18⌋ exactly, where |money| and the result are below 2^62.

        With money = a·10^9 + b, |a| ≤ 2^62/10^9, and number = c·10^9 + d it is a·c + ⌊(a·d + b·c + ⌊b·d/10^9⌋)/10^9⌋.
        The inner sum is below 2·(2^62/10^9)·(10^9 − 1) + 10^9 < 2^63. The answer may wrap on the way, and is right.
        """
        above = money // _DIGIT
        below = money - above * _DIGIT
        carry = below * self.low
        carry //= _DIGIT
        carry += above * self.low
        carry += below * self.high
        carry //= _DIGIT
        above *= self.high
        above += carry
        if self.whole is not None:
            above += money * self.whole
        return above

    def up(self, money: IntArray) -> IntArray:
        """⌈money·number/10^18⌉."""
        return -self.down(-money)


@dataclass(frozen=True, slots=True)
class Unit(Generic[Market]):
    """A unit of an instrument, what the market says of its asset, and the venue's parameters of it."""

    instrument: Instrument
    quote: Quote
    market: Market

    @property
    def price(self) -> Ratio:
        """It at the asset's price, in 1e-12 USD."""
        return self.worth(self.quote.price)

    def worth(self, price: int) -> Ratio:
        """It at a price, in 1e-12 USD."""
        return self.instrument.unit * price, _MONEY

    @property
    def entry(self) -> Ratio:
        """It times a unit of its entry prices, in 1e-12 USD."""
        return self.instrument.unit * self.instrument.entry_unit, _MONEY


class Units(Generic[Market]):
    """A unit of each instrument as legs of one kind.

    `exact_only` marks those that only the rules can evaluate: without a quote or a market, or with numbers that the
    columns do not hold. Their columns say nothing.
    """

    __slots__ = ("_each", "exact_only")

    def __init__(
        self, instruments: Instruments, quotes: Mapping[str, Quote], market: Callable[[str], Market | None]
    ) -> None:
        self._each: list[Unit[Market] | None] = []
        for instrument in instruments.each:
            quote = None if instrument.price is None else quotes.get(instrument.price)
            found = None if quote is None else market(quote.asset)
            self._each.append(None if quote is None or found is None else Unit(instrument, quote, found))
        self.exact_only = np.array([unit is None for unit in self._each], np.bool_)

    def integers(self, number: Callable[[Unit[Market]], int]) -> IntArray:
        """Integers from 0 to below 2^62."""
        found = [0 if unit is None else number(unit) for unit in self._each]
        for place, each in enumerate(found):
            if not 0 <= each < LARGEST:
                self.exact_only[place], found[place] = True, 0
        return np.array(found, np.int64)

    def wads(self, number: Callable[[Unit[Market]], int]) -> Wads:
        """Numbers ≥ 0 of 1e-18, to multiply money by."""
        found = Wads.of(self.integers(lambda unit: number(unit) % WAD))
        whole = self.integers(lambda unit: number(unit) // WAD)
        return Wads(found.high, found.low, whole if whole.any() else None)

    def column(self, ratio: Callable[[Unit[Market]], Ratio], largest: int = LARGEST_DIVISOR) -> Column:
        """A column of ratios, whose divisors are at most `largest`."""
        (column,) = self._columns([ratio], largest)
        return column

    def pair(
        self, first: Callable[[Unit[Market]], Ratio], second: Callable[[Unit[Market]], Ratio]
    ) -> tuple[Column, Column]:
        """Two columns over the same divisors, so that their numbers can be added."""
        one, other = self._columns([first, second], LARGEST_DIVISOR)
        return one, other

    def _columns(self, ratios: Sequence[Callable[[Unit[Market]], Ratio]], largest: int) -> list[Column]:
        each = [[_NONE if unit is None else _lowest(ratio(unit)) for unit in self._each] for ratio in ratios]
        needed = [lcm(*(denominator for _, denominator in those)) for those in zip(*each, strict=True)]
        for place, divisor in enumerate(needed):
            if divisor > largest:
                self.exact_only[place], needed[place] = True, 1
                for column in each:
                    column[place] = _NONE
        common = _common(needed, largest)
        divisors = [common or divisor for divisor in needed]
        return [
            Column(
                common or np.array(needed, np.int64),
                np.array([wrapped(up * (by // down)) for (up, down), by in zip(own, divisors, strict=True)], np.int64),
                np.array([up / down for up, down in own]),
            )
            for own in each
        ]


def _lowest(ratio: Ratio) -> Ratio:
    common = gcd(*ratio)
    return ratio[0] // common, ratio[1] // common


def _common(divisors: Iterable[int], largest: int) -> int | None:
    """One that all divide, if it is small enough."""
    common = 1
    for each in set(divisors):
        common = lcm(common, each)
        if common > largest:
            return None
    return common
