"""Products of many integers with a ratio, rounded: of 64 bits, or Python's where those do not do.

Every function takes arrays of either kind and is exact for both.
"""

from __future__ import annotations

from math import gcd
from typing import Any, TypeAlias

from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[Any]
"""Integers of 64 bits, or objects that are Python's integers."""
Ratio: TypeAlias = tuple[int, int]
"""Numerator and denominator, in lowest terms."""

LARGEST_TERM = 1 << 31
"""A ratio whose terms are below it can be applied to 64 bits."""


def ratio(numerator: int, denominator: int) -> Ratio:
    """A quotient in lowest terms."""
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


def down(numbers: Numbers, by: Ratio) -> Numbers:
    """⌊numbers·ratio⌋. Of 64 bits: the ratio is at most one and its terms are below LARGEST_TERM."""
    numerator, denominator = by
    if numerator == denominator:
        return numbers
    above = numbers // denominator
    found: Numbers = above * numerator + (numbers - above * denominator) * numerator // denominator
    return found


def up(numbers: Numbers, by: Ratio) -> Numbers:
    """⌈numbers·ratio⌉."""
    return -down(-numbers, by)
