"""The SVI surface of one expiry: total variance as a function of log-moneyness.

Source: J. Gatheral, A parsimonious arbitrage-free implied volatility parameterization (2004), with the bounds that
Derive's feed applies to its own parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.margin.math import FloatArray, ln, sqrt
from node.margin.models.errors import OutOfRange
from node.margin.models.fields import Fields
from node.margin.models.fixed import as_float

LARGEST_VARIANCE = 20.0
"""Total variance is cut here, as in the published vectors. (Deployed feeds have cut at 25 and at 144.)"""
WINGS = 4.0
"""Log-moneyness is cut at this many standard deviations of the money."""


@dataclass(frozen=True, slots=True)
class Svi:
    """Raw SVI parameters, the forward that moneyness is measured from, and the years to expiry they were fitted at."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float
    forward: float
    years: float

    def vol(self, strike: FloatArray) -> FloatArray:
        """√(w(k)/τ): w = a + b·(ρ·(k−m) + √((k−m)² + σ²)), k = ln(K/F) within ±4·√(a + b·σ), w at most 20.

        NaN where the parameters give no variance.
        """
        wing = WINGS * sqrt(self.a + self.b * self.sigma)
        k = ln(strike / self.forward)
        x = np.where(k > wing, wing, np.where(k < -wing, -wing, k)) - self.m
        variance = self.a + self.b * (self.rho * x + sqrt(x * x + self.sigma * self.sigma))
        return sqrt(np.where(variance > LARGEST_VARIANCE, LARGEST_VARIANCE, variance) / self.years)


def read_svi(fields: Fields, name: str) -> Svi:
    """A surface from a list of seven numbers: [a, b, ρ, m, σ, forward, years]."""
    parts = fields.entries(name)
    if len(parts) != 7:
        raise fields.wrong("give the seven numbers a, b, rho, m, sigma, forward and years", name)
    a, b, rho, m, sigma, forward, years = (as_float(fields.as_number(part, name)) for part in parts)
    if not (b >= 0 and -1 <= rho <= 1 and sigma >= 0 and forward > 0 and years > 0 and a + b * sigma >= 0):
        raise OutOfRange(
            "the surface has no variance: b, sigma ≥ 0, |rho| ≤ 1, forward and years > 0, a + b·sigma ≥ 0",
            account=fields.account,
            instrument=fields.instrument,
            field=name,
        )
    return Svi(a, b, rho, m, sigma, forward, years)
