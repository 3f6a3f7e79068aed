"""exp, ln, sqrt and power.

Reduction and evaluation follow the textbook scheme (Cody and Waite, Software Manual for the Elementary Functions, 1980;
Tang, ACM TOMS 15/16, 1989/90): the argument is brought near 0 with a two-part ln 2 whose high part has 32 zero bits at
its end, so that its product with an exponent is exact; what remains is a polynomial whose leading terms are added last.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import factorial
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Real = TypeVar("Real", float, FloatArray)


class Elementwise(Protocol):
    """A function of a float, or of each element of an array."""

    def __call__(self, x: Real, /) -> Real: ...


LN2_HIGH = float.fromhex("0x1.62e42p-1")
LN2_LOW = float.fromhex("0x1.fdf473de6af28p-22")
"""ln 2 less LN2_HIGH, to 2^-75."""
INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
SQRT_2 = float.fromhex("0x1.6a09e667f3bcdp+0")

EXP_OVERFLOWS_ABOVE = float.fromhex("0x1.62e42fefa39efp+9")
"""1024·ln 2 rounded down: exp of the next float is infinite."""
EXP_VANISHES_BELOW = -745.2
"""Below it exp is under half of the smallest float."""

# (exp(r) − 1 − r) / r² = Σ r^k / (k+2)!, highest first. |r| ≤ ln 2 / 2, so what is left out is below 2^-57.
_EXP = tuple(float(Fraction(1, factorial(k))) for k in range(13, 1, -1))
# (ln((1+s)/(1−s)) − 2s) / s = Σ 2·s^2k / (2k+1), highest first. s² ≤ 0.02944, so what is left out is below 2^-63.
_LN = tuple(float(Fraction(2, 2 * k + 1)) for k in range(11, 0, -1))

_EXPONENT_BIAS = 1023
_MANTISSA_BITS = np.int64(52)
_MANTISSA = np.int64((1 << 52) - 1)
_ONE = np.int64(_EXPONENT_BIAS << 52)
_SMALLEST_NORMAL = float.fromhex("0x1p-1022")
_TWO_54 = float.fromhex("0x1p54")


def elementwise(function: Callable[[FloatArray], FloatArray]) -> Elementwise:
    """A function of arrays as a function of a float or an array of any shape, silent about what overflows."""

    def of(x: Real, /) -> Real:
        with np.errstate(all="ignore"):
            if isinstance(x, np.ndarray):
                flat = np.ascontiguousarray(x, dtype=np.float64).reshape(-1)
                return _one_nan(function(flat)).reshape(x.shape)
            return float(_one_nan(function(np.array([x], dtype=np.float64)))[0])

    of.__name__, of.__doc__ = function.__name__, function.__doc__
    return of


def _one_nan(values: FloatArray) -> FloatArray:
    """Every NaN as the same NaN: its sign and payload are the processor's choice."""
    return np.where(values == values, values, np.nan)  # noqa: PLR0124 - a NaN is not equal to itself


def polynomial(x: FloatArray, coefficients: tuple[float, ...]) -> FloatArray:
    """Horner's scheme, highest coefficient first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x  # in place: a product and a sum, each rounded, whatever array they are put in
        value += coefficient
    return value


def _power_of_two(exponent: NDArray[np.int64]) -> FloatArray:
    """2^exponent, for exponents of normal numbers, by its bits."""
    return ((exponent + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float64)


@elementwise
def exp(x: FloatArray) -> FloatArray:
    """e^x, within 1 ulp (0.74 measured); below 2^-1022 within 1 ulp of the subnormal grid."""
    within = (x <= EXP_OVERFLOWS_ABOVE) & (x >= EXP_VANISHES_BELOW)
    inside = np.where(within, x, 0.0)
    count = np.rint(inside * INVERSE_LN2)
    high, low = inside - count * LN2_HIGH, count * LN2_LOW
    r = high - low
    lost = (high - r) - low
    value = 1.0 + (r + (lost + (r * r) * polynomial(r, _EXP)))
    exponent = count.astype(np.int64)
    half = exponent >> np.int64(1)  # in two steps, for 2^1024 and for subnormal results, which then round once
    value = (value * _power_of_two(half)) * _power_of_two(exponent - half)
    value = np.where(x > EXP_OVERFLOWS_ABOVE, np.inf, np.where(x < EXP_VANISHES_BELOW, 0.0, value))
    return np.where(np.isnan(x), x, value)


@elementwise
def ln(x: FloatArray) -> FloatArray:
    """The natural logarithm, within 1 ulp (0.77 measured); −inf at 0, NaN below."""
    positive = (x > 0.0) & (x < np.inf)
    inside = np.where(positive, x, 1.0)
    subnormal = inside < _SMALLEST_NORMAL
    bits = np.where(subnormal, inside * _TWO_54, inside).view(np.int64)
    mantissa = ((bits & _MANTISSA) | _ONE).view(np.float64)
    upper = mantissa > SQRT_2
    mantissa = np.where(upper, mantissa * 0.5, mantissa)
    exponent = (bits >> _MANTISSA_BITS) - _EXPONENT_BIAS + upper - np.where(subnormal, 54, 0)
    count = exponent.astype(np.float64)
    f = mantissa - 1.0  # exact
    s = f / (2.0 + f)
    z = s * s
    half_square = (0.5 * f) * f
    # ln(1+f) = f − (f²/2 − s·(f²/2 + R)): the large part f is added last, so its error alone is seen.
    rest = half_square - (s * (half_square + z * polynomial(z, _LN)) + count * LN2_LOW)
    value = count * LN2_HIGH - (rest - f)
    return np.where(positive, value, np.where(x == 0.0, -np.inf, np.where(x == np.inf, np.inf, np.nan)))


@elementwise
def sqrt(x: FloatArray) -> FloatArray:
    """The square root, correctly rounded (IEEE 754); NaN below 0."""
    return np.sqrt(x)


def power(base: Real, exponent: Real | float) -> Real:
    """base^exponent = exp(exponent·ln(base)) for base > 0, within 1 + 3·|exponent·ln(base)| ulp."""
    return exp(ln(base) * exponent)
