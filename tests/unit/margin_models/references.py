"""What functions should be, with 60 digits: decimals for exp and ln, series and continued fraction for Φ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext

_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803")


@contextmanager
def digits(precision: int = 60) -> Iterator[None]:
    with localcontext() as context:
        context.prec = precision
        yield


def ulps(got: float, want: Decimal) -> float:
    """How far `got` is from the truth, in units of the last place of the truth."""
    return float(abs(Decimal(got) - want) / Decimal(math.ulp(float(want))))


def density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * _PI).sqrt()


def upper_tail(z: Decimal) -> Decimal:
    """Φ(−z) for z ≥ 0."""
    if z < 6:
        term = total = z
        odd = 1
        while abs(term) > Decimal(10) ** -50:
            odd += 2
            term *= z * z / odd
            total += term
        return Decimal("0.5") - density(z) * total
    fraction = z
    for n in range(400, 0, -1):
        fraction = z + n / fraction
    return density(z) / fraction


def cdf(x: Decimal) -> Decimal:
    return upper_tail(-x) if x < 0 else 1 - upper_tail(x)
