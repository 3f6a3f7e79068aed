"""The SVI surface of one expiry: total variance as a function of log-moneyness.

Source: J. Gatheral, A parsimonious arbitrage-free implied volatility parameterization (2004), with the bounds that
Derive's feed applies to its own parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.margin.math import FloatArray, ln, sqrt

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
