"""Exact numbers: integers at a fixed scale, and their one bridge to the reproducible floats.

Money is in 1e-12 USD (`Money`); everything else (amounts, prices, rates, ratios) in 1e-18 (`Wad`). Sums are exact. A
product is rounded once: down for what an account has (`down`), up for what it owes or needs (`up`).
Must not know what the numbers stand for.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NewType

Wad = NewType("Wad", int)
"""A number in units of 1e-18."""
Money = NewType("Money", int)
"""USD in units of 1e-12."""

WAD = 10**18
ONE = Wad(WAD)
PICO = 10**12
_MONEY_OF_PRODUCT = WAD * WAD // PICO


def value(amount: int, price: int) -> Money:
    """amount·price as money, rounded down."""
    return Money(amount * price // _MONEY_OF_PRODUCT)


def down(money: int, ratio: int) -> Money:
    """money·ratio, rounded down (towards −∞: against the account)."""
    return Money(money * ratio // WAD)


def up(money: int, ratio: int) -> Money:
    """money·ratio, rounded up."""
    return Money(-(-money * ratio // WAD))


def product(first: int, second: int) -> Wad:
    """The product of two ratios, to the nearest, halves up."""
    return Wad((2 * first * second + WAD) // (2 * WAD))


def as_float(number: int) -> float:
    """The nearest float of a Wad (integer division is correctly rounded)."""
    return number / WAD


def as_wad(number: float) -> Wad:
    """The Wad nearest to number·1e18 in IEEE arithmetic; the number is finite."""
    return Wad(round(number * 1e18))


def as_money(mark: float) -> Money:
    """The money nearest to mark·1e12 in IEEE arithmetic; the mark is finite.

    One product and one rounding, so that arrays of marks become the same integers.
    """
    return Money(round(mark * 1e12))


def decimal(number: int, scale: int) -> Decimal:
    """The quotient number / scale, exactly, for a scale that is a power of ten."""
    return Decimal(number).scaleb(1 - len(str(scale)))


def usd(amount: int) -> str:
    """Money as decimal text, exactly."""
    return f"{decimal(amount, PICO):f}"


def nearest(number: Fraction) -> int:
    """The nearest integer, halves to even."""
    return round(number)
