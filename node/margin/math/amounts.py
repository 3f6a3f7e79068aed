"""Arrays of money that is exact beyond 64 bits, and its products with ratios, rounded as the rules round them.

A sum of 1e-12 USD passes 2^63 at nine million USD, which one account can have. So an amount is high·10^9 + low, two
integers of 64 bits: a digit of base 10^9 times another stays below 2^63 with room to add, and dividing by 10^18, as
every ratio does, drops two digits. Every operation is exact; bounds are the caller's to keep.

Must not know what is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.margin.math.products import IntArray

BoolArray: TypeAlias = NDArray[np.bool_]
One: TypeAlias = "int | slice | IntArray | BoolArray"
Index: TypeAlias = "One | tuple[One | EllipsisType, One]"
Digits: TypeAlias = Sequence["int | IntArray"]
"""Of base 10^9, the lowest first. All are ≥ 0 but the last, which has the sign."""

BASE = 10**9
LARGEST = 10**27
"""What every amount stays below in absolute value: 10^15 USD."""
_SMALL = 1 << 31
"""A last digit below it in absolute value may be multiplied by digits."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """An array of integers high·10^9 + low. Where it is `whole`, 0 ≤ low < 10^9, so that high has the sign."""

    high: IntArray
    low: IntArray

    @classmethod
    def zeros(cls, *shape: int) -> Amounts:
        """Nothing."""
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64))

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Amounts:
        """A column of Python integers within ±LARGEST; others become zero, for the caller to leave out."""
        pairs = [divmod(number if -LARGEST < number < LARGEST else 0, BASE) for number in numbers]
        high, low = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return cls(high, low)

    @classmethod
    def stack(cls, parts: Sequence[Amounts]) -> Amounts:
        """Arrays of one shape along a new first axis."""
        return cls(np.stack([each.high for each in parts]), np.stack([each.low for each in parts]))

    @classmethod
    def small(cls, numbers: IntArray) -> Amounts:
        """Of integers of 64 bits."""
        return cls(np.zeros_like(numbers), numbers).whole()

    def __len__(self) -> int:
        return len(self.high)

    def __getitem__(self, index: Index) -> Amounts:
        return Amounts(self.high[index], self.low[index])

    def copy(self) -> Amounts:
        """The same numbers, to be changed."""
        return Amounts(self.high.copy(), self.low.copy())

    def put(self, index: Index, other: Amounts) -> None:
        """Replace what is at the index."""
        self.high[index], self.low[index] = other.high, other.low

    def add(self, index: Index, other: Amounts) -> None:
        """Add in place at distinct places. The sum is not whole."""
        self.high[index] += other.high
        self.low[index] += other.low

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.high + other.high, self.low + other.low)

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(self.high - other.high, self.low - other.low)

    def __neg__(self) -> Amounts:
        return Amounts(-self.high, -self.low)

    def reshape(self, *shape: int) -> Amounts:
        """The same numbers in another shape."""
        return Amounts(self.high.reshape(shape), self.low.reshape(shape))

    def whole(self) -> Amounts:
        """The same numbers with 0 ≤ low < 10^9."""
        carry = self.low // BASE
        return Amounts(self.high + carry, self.low - carry * BASE)

    def negative(self) -> BoolArray:
        """Where a whole amount is below zero."""
        return self.high < 0

    def losses(self) -> Amounts:
        """−|x| of whole amounts; the result is not whole."""
        sign = np.where(self.high < 0, 1, -1)
        return Amounts(self.high * sign, self.low * sign)

    def at_most_zero(self) -> Amounts:
        """min(x, 0) of whole amounts."""
        below = (self.high < 0).astype(np.int64)
        return Amounts(self.high * below, self.low * below)

    def least(self, other: Amounts) -> Amounts:
        """The smaller of two arrays of whole amounts."""
        ours = (self.high < other.high) | ((self.high == other.high) & (self.low < other.low))
        return Amounts(np.where(ours, self.high, other.high), np.where(ours, self.low, other.low))

    def lowest(self) -> Amounts:
        """The smallest along the first axis, of whole amounts."""
        high = self.high.min(axis=0)
        low = np.where(self.high == high, self.low, BASE).min(axis=0)
        return Amounts(high, low)

    def total(self) -> Amounts:
        """The sum along the first axis; whole."""
        return Amounts(self.high.sum(axis=0), self.low.sum(axis=0)).whole()

    def down(self, ratio: int) -> Amounts:
        """x·ratio/10^18, rounded down, of whole amounts; whole."""
        return self.down_by(digits_of(ratio)).whole()

    def down_by(self, ratio: Digits) -> Amounts:
        """The same with a ratio by its digits, which may differ between elements. The result is not whole."""
        _, _, low, *above = _product(self._digits(), ratio)
        return Amounts(_joined(above, self.high), _joined([low], self.high))

    def up(self, ratio: int) -> Amounts:
        """x·ratio/10^18, rounded up, of whole amounts; whole."""
        return self.up_by(digits_of(ratio))

    def up_by(self, ratio: Digits) -> Amounts:
        """The same with a ratio by its digits."""
        return (-(-self).whole().down_by(ratio)).whole()

    def worth(self, price: int) -> Amounts:
        """amount·price as money (x·price/10^24 for amounts and a price ≥ 0 in 1e-18), rounded down; whole."""
        return self.worth_by(digits_of(price))

    def worth_by(self, price: Digits) -> Amounts:
        """The same with a price by its digits, which may differ between elements."""
        _, _, *kept, last = _product(self._digits(), price)
        kept += [last - last // BASE * BASE, last // BASE]
        # What is left is in 1e-18 and loses six decimals: one of its next digit is a thousand of money.
        low = kept[0] // 10**6 + kept[1] * 1_000
        return Amounts(_joined([digit * 1_000 for digit in kept[2:]], self.high), _joined([low], self.high)).whole()

    def cost(self, price: int) -> Amounts:
        """The same, rounded up; whole."""
        return self.cost_by(digits_of(price))

    def cost_by(self, price: Digits) -> Amounts:
        """The same with a price by its digits."""
        return (-(-self).whole().worth_by(price)).whole()

    def _digits(self) -> list[IntArray]:
        if int(self.high.min(initial=0)) > -_SMALL and int(self.high.max(initial=0)) < _SMALL:
            return [self.low, self.high]
        top = self.high // BASE
        return [self.low, self.high - top * BASE, top]

    def integers(self) -> list[int]:
        """A column as Python integers."""
        return [high * BASE + low for high, low in zip(self.high.tolist(), self.low.tolist(), strict=True)]


def digits_of(number: int) -> list[int]:
    """The digits of a number, two or more."""
    digits: list[int] = []
    while not digits or not -BASE < number < BASE:
        number, digit = divmod(number, BASE)
        digits.append(digit)
    return [*digits, number]


def _joined(digits: Sequence[int | IntArray], like: IntArray) -> IntArray:
    """Σ digits[k]·10^(9k), of the shape of `like`."""
    total: int | IntArray = 0
    for digit in reversed(digits):
        total = digit if isinstance(total, int) and total == 0 else digit + total * BASE
    if isinstance(total, np.ndarray) and total.shape == like.shape:
        return total
    return np.broadcast_to(np.asarray(total, dtype=np.int64), like.shape)


def _product(first: Sequence[IntArray], second: Digits) -> list[int | IntArray]:
    """The digits of a product, three or more: each sum has at most three products of two digits, and a carry.

    The two lowest only carry; they are 0 in the answer. The last one is not split.
    """
    digits: list[int | IntArray] = []
    carry: int | IntArray = 0
    places = len(first) + len(second) - 1
    for place in range(places):
        total = carry
        for i, digit in enumerate(first):
            factor = second[place - i] if 0 <= place - i < len(second) else 0
            if not (isinstance(factor, int) and factor == 0):
                total = digit * factor if isinstance(total, int) and total == 0 else total + digit * factor
        if place == places - 1:
            digits.append(total)
        else:
            carry = total // BASE
            digits.append(0 if place < 2 else total - carry * BASE)
    return digits
