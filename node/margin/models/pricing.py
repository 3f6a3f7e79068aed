"""Prices of European options, element by element, in reproducible floats.

Sources: F. Black, The pricing of commodity contracts (1976); E. G. Haug, The Complete Guide to Option Pricing Formulas
(1998), for the generalised form with cost of carry and its greeks. Must not know surfaces or positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.margin.math import FloatArray, exp, ln, normal_cdf, normal_pdf, sqrt
from node.margin.math.elementary import Real


def black76(
    forward: FloatArray, strike: FloatArray, years: Real, vol: FloatArray, discount: Real, is_call: FloatArray
) -> FloatArray:
    """discount·E[max(±(F_T − K), 0)]: with s = σ√T and d± = ln(F/K)/s ± s/2, a call is df·(F·Φ(d+) − K·Φ(d−)).

    A put follows by symmetry. Without variance (s = 0) it is the discounted intrinsic value. Shapes broadcast;
    `is_call` is 1 or 0.
    """
    side = 2.0 * is_call - 1.0
    deviation = vol * sqrt(years)
    with np.errstate(all="ignore"):
        mean = ln(forward / strike) / deviation
        upper, lower = mean + 0.5 * deviation, mean - 0.5 * deviation
        priced = side * (forward * normal_cdf(side * upper) - strike * normal_cdf(side * lower))
        intrinsic = side * (forward - strike)
        undiscounted = np.where(deviation == 0.0, intrinsic, priced)
        return discount * np.where(undiscounted < 0.0, 0.0, undiscounted)


def forward_delta(
    forward: FloatArray, strike: FloatArray, years: Real, vol: FloatArray, is_call: FloatArray
) -> FloatArray:
    """What black76 gains, before it is discounted, as the forward gains: Φ(d+) for a call, for a put less one.

    Without variance a call's is one above its strike and nothing elsewhere. Shapes broadcast.
    """
    deviation = vol * sqrt(years)
    with np.errstate(all="ignore"):
        upper = normal_cdf(ln(forward / strike) / deviation + 0.5 * deviation)
        upper = np.where(deviation == 0.0, (forward > strike).astype(np.float64), upper)
        return upper - (1.0 - is_call)


def call_delta_between(
    forwards: tuple[FloatArray, FloatArray], strike: FloatArray, years: Real, vols: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Between what a call's forward_delta lies where forward and volatility lie between two each, the lower first.

    It rises with the forward. With s = σ√T it falls to s = √(2·ln(F/K)) where the forward is above the strike, and
    rises from there.
    """
    corners = [(forward, vol) for forward in forwards for vol in vols]
    at, of = (np.stack(np.broadcast_arrays(*each)) for each in zip(*corners, strict=True))
    found = forward_delta(at, strike, years, of, np.ones(1))
    with np.errstate(all="ignore"):
        turn, root = sqrt(2.0 * ln(np.where(forwards[0] > strike, forwards[0] / strike, 1.0))), sqrt(years)
    turns = (vols[0] * root < turn) & (turn < vols[1] * root)
    return np.where(turns, normal_cdf(turn), found[:2].min(axis=0)), found[2:].max(axis=0)


@dataclass(frozen=True, slots=True)
class Greeks:
    """A price and its derivatives: by spot, twice; vol; time that passes; rate; dividend yield. And elasticity."""

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    dividend_rho: float
    elasticity: float


def black_scholes(
    spot: float, strike: float, rate: float, carry: float, years: float, vol: float, *, is_call: bool
) -> Greeks:
    """The generalised Black-Scholes-Merton price and greeks; `carry` is b, so a dividend yield q is carry = rate − q.

    b = r: stock; b = 0: futures; b = r − r_f: currency (Haug 1998, 1.1.6). Needs spot, strike, years, vol > 0.
    """
    side = 1.0 if is_call else -1.0
    deviation = vol * sqrt(years)
    upper = (ln(spot / strike) + (carry + 0.5 * vol * vol) * years) / deviation
    lower = upper - deviation
    growth, discount = exp((carry - rate) * years), exp(-rate * years)
    n_upper, n_lower = normal_cdf(side * upper), normal_cdf(side * lower)
    density = normal_pdf(upper)
    price = side * (spot * growth * n_upper - strike * discount * n_lower)
    delta = side * growth * n_upper
    return Greeks(
        price=price,
        delta=delta,
        gamma=density * growth / (spot * deviation),
        vega=spot * growth * density * sqrt(years),
        theta=(
            -spot * growth * density * vol / (2.0 * sqrt(years))
            - side * (carry - rate) * spot * growth * n_upper
            - side * rate * strike * discount * n_lower
        ),
        rho=side * years * strike * discount * n_lower if carry else -years * price,
        dividend_rho=-side * years * spot * growth * n_upper,
        elasticity=delta * spot / price,
    )
