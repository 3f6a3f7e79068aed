"""Prices, factors and rates as columns of integers: what the arithmetic of an instrument becomes for arrays.

A value is ⌊amount·price⌋ in money. With an amount that is an integer at its instrument's scale this is
⌊amount·multiplier/divisor⌋, where one divisor serves all instruments, and a factor of a threshold is the same thing
again. `rounded` computes it: a float gives the quotient to within 2^13, so the remainder is small, so it is exact in
integers that wrap at 2^64, however large the product is.

An instrument whose digits need a larger divisor than that allows is marked `exact_only`: who holds it is evaluated by
the rules in Python's integers. Must not know accounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from chains.errors import InputError, LimitError
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.fixed import ONE, PICO, WAD, Wad, as_float
from node.margin.models.profile import Threshold

BoolArray: TypeAlias = NDArray[np.bool_]
StatusArray: TypeAlias = NDArray[np.int8]

LARGEST_DIVISOR = 1 << 50
LARGEST_WEIGHT_DIVISOR = 1 << 31
LARGEST = 1 << 62
"""Results, and sums of results of one account, are to stay below it in absolute value."""
WAD_DIGITS = 18
_MONEY = WAD * WAD // PICO
_WRAP = 1 << 64
MOST_INSTRUMENTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a leg is of. `price` names its price; dollars have none, they are worth one.

    Amounts are in 10^-decimals units, entry prices in 10^-entry_decimals USD.
    `weights` has by threshold what of a value counts (collateral) or is needed (perpetuals); it is empty for debts.
    Perpetuals alone have entry prices.
    """

    price: str | None
    decimals: int
    weights: tuple[Wad, ...] = ()
    entry_decimals: int | None = None

    @property
    def name(self) -> str:
        """For people."""
        return "USD" if self.price is None else self.price

    @property
    def unit(self) -> int:
        """An amount's unit, as a Wad."""
        return int(10 ** (WAD_DIGITS - self.decimals))

    @property
    def entry_unit(self) -> int:
        """An entry price's unit, as a Wad."""
        return int(10 ** (WAD_DIGITS - (self.entry_decimals or 0)))


@dataclass(slots=True)
class Ratios:
    """Numbers ≥ 0 by instrument: multiplier/divisor, with its float beside it.

    The multiplier is modulo 2^64. Where `exact_only`, it says nothing.
    """

    divisor: int
    multiplier: IntArray
    nearest: FloatArray
    exact_only: BoolArray

    @classmethod
    def of(cls, ratios: Sequence[tuple[int, int]], largest: int = LARGEST_DIVISOR) -> Ratios:
        """Of (numerator, denominator): one divisor for all whose lowest terms it can hold, small ones first."""
        lowest = [_lowest(*ratio) for ratio in ratios]
        divisor = 1
        for denominator in sorted({denominator for _, denominator in lowest}):
            if (common := lcm(divisor, denominator)) <= largest:
                divisor = common
        made = cls(divisor, np.zeros(len(ratios), np.int64), np.zeros(len(ratios)), np.ones(len(ratios), np.bool_))
        for place, (numerator, denominator) in enumerate(lowest):
            made.put(place, numerator, denominator, divisor)
        return made

    def put(self, place: int, numerator: int, denominator: int, largest: int = LARGEST_DIVISOR) -> None:
        """Change one, and the divisor with it if it has to be and can be larger."""
        numerator, denominator = _lowest(numerator, denominator)
        common = lcm(self.divisor, denominator)
        held = common <= largest
        if held and common != self.divisor:
            self.multiplier *= np.int64(common // self.divisor)  # modulo 2^64, as they are
            self.divisor = common
        self.exact_only[place] = not held
        self.multiplier[place] = wrapped(numerator * (self.divisor // denominator)) if held else 0
        self.nearest[place] = numerator / denominator if held else 0.0


def _lowest(numerator: int, denominator: int) -> tuple[int, int]:
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


def wrapped(number: int) -> int:
    """The number modulo 2^64, as a signed one."""
    return (number + _WRAP // 2) % _WRAP - _WRAP // 2


def rounded(
    numbers: IntArray, multiplier: IntArray, divisor: int | IntArray, quotient: FloatArray, *, up: bool = False
) -> IntArray:
    """⌊numbers·multiplier/divisor⌋ exactly, or ⌈…⌉ if `up`. `quotient` is about that; `multiplier` is used up.

    Let x be the true quotient, |x| < 2^62, and q that of the floats, cut to an integer. Each float here is made of at
    most ten operations on numbers that do not exceed 2^62, each wrong by 2^-53 of that: |x − q| < 2^13. The remainder
    numbers·multiplier − q·divisor is (x − q)·divisor, below 2^63 for divisors up to 2^50. Products and difference wrap
    at 2^64, so they give the remainder itself; q plus the floor of remainder/divisor is the floor of x.

    Where the numbers do not exceed 2^46, |x − q| < 2, which serves divisors up to 2^61.
    """
    by = np.int64(divisor) if isinstance(divisor, int) else divisor
    found = quotient.astype(np.int64)
    rest = multiplier
    rest *= numbers
    rest -= found * by
    if up:
        rest += by - np.int64(1)
    rest //= by
    found += rest
    return found


def weighted(numbers: IntArray, weights: Sequence[Ratios], places: IntArray) -> Iterator[IntArray]:
    """⌊numbers·multiplier/divisor⌋ by each weight, exactly; weights are from 0 to 1 and their divisors at most 2^31.

    With numbers = high·divisor + low and 0 ≤ low < divisor it is high·multiplier + ⌊low·multiplier/divisor⌋.
    """
    divisor = 0
    high = low = numbers
    for weight in weights:
        if weight.divisor != divisor:
            divisor = weight.divisor
            high = numbers // np.int64(divisor)
            low = numbers - high * np.int64(divisor)
        multiplier = weight.multiplier.take(places, mode="wrap")
        found = low * multiplier
        found //= np.int64(divisor)
        multiplier *= high
        found += multiplier
        yield found


class Instruments:
    """The instruments of accounts by place, and by threshold what counts or is needed of a value of each.

    Raises InputError for weights that are not between 0 and 1, LimitError for more than 2^16 instruments.
    """

    __slots__ = ("each", "thresholds", "weights")

    def __init__(self, each: Sequence[Instrument], thresholds: Sequence[Threshold]) -> None:
        if len(each) > MOST_INSTRUMENTS:
            raise LimitError("split the book", instruments=len(each), bound=MOST_INSTRUMENTS)
        for held in each:
            if held.weights and (
                len(held.weights) != len(thresholds) or not 0 <= min(held.weights) <= max(held.weights) <= WAD
            ):
                raise InputError("give a weight from 0 to 1 for each threshold", instrument=held.name)
        self.each = tuple(each)
        self.thresholds = tuple(thresholds)
        self.weights = tuple(
            Ratios.of([(held.weights[place] if held.weights else 0, WAD) for held in each], LARGEST_WEIGHT_DIVISOR)
            for place in range(len(thresholds))
        )

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, place: int) -> Instrument:
        return self.each[place]


class PriceColumns:
    """Prices by name, and what a unit of each instrument is worth.

    `ratios` have that in money, and after all instruments what a unit of amount·entry price is; `usd` are the nearest
    floats of the prices, 0 where there is none.
    """

    __slots__ = ("_instruments", "_priced", "prices", "ratios", "usd")

    def __init__(self, instruments: Instruments, prices: Mapping[str, Wad]) -> None:
        self._instruments = instruments.each
        self._priced: dict[str | None, list[int]] = {}
        for place, instrument in enumerate(instruments.each):
            self._priced.setdefault(instrument.price, []).append(place)
        self.prices: dict[str | None, Wad] = {None: ONE}
        self.prices.update(prices)
        self.ratios = self._compiled()
        self.usd = np.array([as_float(self.prices.get(each.price, Wad(0))) for each in self._instruments])

    def _compiled(self) -> Ratios:
        worth = [self._worth(instrument) for instrument in self._instruments]
        entries = [
            (0, 1) if each.entry_decimals is None else (each.unit * each.entry_unit, _MONEY)
            for each in self._instruments
        ]
        ratios = Ratios.of([*worth, *entries])
        for place, each in enumerate(self._instruments):
            ratios.exact_only[place] |= each.price not in self.prices
        return ratios

    def _worth(self, instrument: Instrument) -> tuple[int, int]:
        return instrument.unit * self.prices.get(instrument.price, 0), _MONEY

    def move(self, name: str, price: Wad) -> None:
        """Change a price."""
        self.prices[name] = price
        for place in self._priced.get(name, ()):
            self.ratios.put(place, *self._worth(self._instruments[place]))
            self.usd[place] = as_float(price)

    def exact_only(self, weights: Sequence[Ratios]) -> BoolArray | None:
        """The instruments that only the rules can evaluate; None if there are none."""
        count = len(self._instruments)
        found = self.ratios.exact_only[:count] | self.ratios.exact_only[count:]
        for each in weights:
            found = found | each.exact_only
        return found if found.any() else None
