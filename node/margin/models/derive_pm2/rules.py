"""The rules of Derive's PMRM_2, one a function, next to their formulas.

Source: derivexyz/v2-core, PMRMLib_2 and PMRM_2 (the formulas; no code of theirs). Volatilities, marks and discounts are
reproducible floats, made once for an instrument; everything that belongs to an account is exact integers, rounded
against it. Must not know how portfolios are read or shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import mul

import numpy as np

from node.margin.math import FloatArray, exp, ln, power, sqrt
from node.margin.models.derive_pm2.portfolio import (
    SECONDS_A_DAY,
    SECONDS_A_YEAR,
    BasisShock,
    Collateral,
    Contingencies,
    Expiry,
    LossFactors,
    Option,
    Scenario,
    Shock,
    SkewShock,
    VolShock,
)
from node.margin.models.fixed import ONE, WAD, Money, Wad, as_float, down, product, up, value

SETTLEMENT_SECONDS = 30 * 60
_REFERENCE_SECONDS = 30 * SECONDS_A_DAY

# === Volatility: what a shock makes of the vols of one expiry ===


def term_multiple(seconds: int, shock: VolShock) -> float:
    """(30 days / max(T, floor))^p, where p is the short-term power up to 30 days and the long-term one beyond."""
    exponent = shock.short_power if seconds <= _REFERENCE_SECONDS else shock.long_power
    return power(_REFERENCE_SECONDS / max(seconds, shock.floor_seconds, 1), as_float(exponent))


def vol_up_multiplier(multiple: float, shock: VolShock) -> float:
    """1 + rangeUp·m."""
    return 1.0 + as_float(shock.up) * multiple


def vol_down_multiplier(multiple: float, shock: VolShock) -> float:
    """max(0, 1 − rangeDown·m)."""
    return max(0.0, 1.0 - as_float(shock.down) * multiple)


def vol_up(vol: FloatArray, multiple: float, shock: VolShock) -> FloatArray:
    """max(least, vol·(1 + rangeUp·m))."""
    raised = vol * vol_up_multiplier(multiple, shock)
    least = as_float(shock.least_vol_up)
    return np.where(raised < least, least, raised)


def vol_down(vol: FloatArray, multiple: float, shock: VolShock) -> FloatArray:
    """vol·max(0, 1 − rangeDown·m)."""
    return vol * vol_down_multiplier(multiple, shock)


def k_star(years: float, skew: SkewShock) -> float:
    """Where the surface is taken to flatten out: max(least, √T·width·(static + scale·√T))."""
    root = sqrt(years)
    param = as_float(skew.vol_static) + root * as_float(skew.vol_scale)
    return max(as_float(skew.least_k_star), root * as_float(skew.width) * param)


def skewed_vol(
    vol: FloatArray, strike: FloatArray, forward: float, years: float, shock: Shock, skew: SkewShock
) -> FloatArray:
    """vol·max(0, 1 + x): x = k·cap/k*, at most cap for k ≥ 0 and at least −cap for k < 0; cap = base + slope·√T.

    k is ln(K/F) for LINEAR and its absolute value for ABS.
    """
    base, slope = (skew.linear_cap, skew.linear_slope) if shock is Shock.LINEAR else (skew.abs_cap, skew.abs_slope)
    cap = as_float(slope) * sqrt(years) + as_float(base)
    k = ln(strike / forward)
    k = k if shock is Shock.LINEAR else np.abs(k)
    with np.errstate(all="ignore"):
        x = k * cap / k_star(years, skew)
    multiplier = 1.0 + np.where(k >= 0.0, np.where(x < cap, x, cap), np.where(x > -cap, x, -cap))
    return vol * np.where(multiplier > 0.0, multiplier, 0.0)


# === Settlement and discounts ===


def open_forward(forward: Wad, seconds: int) -> Wad:
    """The part of the forward that the spot still moves: forward·min(1, T / 30 min).

    An option settles at the average of the spot over its last 30 minutes, of which the past part is fixed.
    """
    return Wad(forward * min(seconds, SETTLEMENT_SECONDS) // SETTLEMENT_SECONDS)


def discount_factor(rate: Wad, years: float) -> float:
    """e^(−max(r, 0)·T)."""
    return exp(-as_float(max(rate, 0)) * years)


@lru_cache(maxsize=4_096)
def long_discount(rate: Wad, years: float, loss: LossFactors) -> float:
    """What of a positive option value counts: base·e^(−T·(r·mult + add))."""
    shocked = as_float(max(rate, 0)) * as_float(loss.long_rate_mult) + as_float(loss.long_rate_add)
    return as_float(loss.long_base) * exp(-shocked * years)


@lru_cache(maxsize=4_096)
def short_discount(rate: Wad, years: float, loss: LossFactors) -> float:
    """How many times a negative option value counts: min(base·e^(T·(r·mult + add)), 1/df)."""
    shocked = as_float(max(rate, 0)) * as_float(loss.short_rate_mult) + as_float(loss.short_rate_add)
    return min(1.0 / discount_factor(rate, years), as_float(loss.short_base) * exp(shocked * years))


def discounted(option_value: Money, long: Wad, short: Wad) -> Money:
    """x·long for x ≥ 0, x·short below."""
    return down(option_value, long if option_value >= 0 else short)


# === Profit and loss under a scenario ===


def options_values(options: Sequence[Option], marks: Iterable[Sequence[Money]]) -> Iterator[Money]:
    """Under each move Σ amount·mark, rounded down once."""
    amounts = [option.amount for option in options]
    return (Money(sum(map(mul, amounts, row)) // WAD) for row in marks)


def spot_move(exposure: Money, scenario: Scenario) -> Money:
    """value·(spot − 1), of all that moves as the spot does: the perpetual and risk-cancelling collateral."""
    return down(exposure, scenario.move)


def expiry_move(shocked: Money, current: Money, scenario: Scenario) -> Money:
    """Discounted shocked value less current value; under a skew shock −|…|, since the skew may turn either way."""
    move = shocked - current
    return Money(-abs(move) if scenario.shock.is_skew else move)


def scenario_pnl(moves: Iterable[Money], scenario: Scenario) -> Money:
    """dampening·Σ moves."""
    return down(sum(moves), scenario.dampening)


def basis_factor(seconds: int, basis: BasisShock) -> Wad:
    """What of an expiry's loss counts: add + mult·T."""
    return Wad(basis.add + product(basis.mult, Wad(seconds * WAD // SECONDS_A_YEAR)))


def basis_contingency(current: Money, at_up: Money, at_down: Money, factor: Wad) -> Money:
    """min(V(up) − V, V(down) − V, 0)·factor, for one expiry: the forward moves against the spot."""
    return down(min(at_up - current, at_down - current, 0), factor)


# === Values and contingencies ===


def collateral_price(price: Wad, stable: Wad) -> Wad:
    """price/stable: in the numeraire, which a depeg makes worth less; the initial factor offsets that."""
    return Wad(price * WAD // stable)


def collateral_value(collateral: Collateral, stable: Wad) -> Money:
    """amount·price/stable."""
    return value(collateral.amount, collateral_price(collateral.price, stable))


def naked_shorts(options: Iterable[Option]) -> Wad:
    """Σ over strikes of max(0, short − long), calls and puts together."""
    net: defaultdict[Wad, int] = defaultdict(int)
    for option in options:
        net[option.strike] += option.amount
    return Wad(sum(max(0, -amount) for amount in net.values()))


def notional(amount: int, spot: Wad) -> Money:
    """amount·spot, rounded up: what a contingency is a percentage of."""
    return Money(-value(-amount, spot))


def contingency(base: Money, percent: Wad) -> Money:
    """base·percent, rounded up."""
    return up(base, percent)


def confidence_charge(confidence: Wad, rule: Contingencies) -> Wad:
    """(1 − c)·factor where the confidence c is below the threshold, else nothing: what it costs, of the notional."""
    if confidence >= rule.confidence_threshold:
        return Wad(0)
    return product(ONE - confidence, rule.confidence_factor)


def expiry_confidence(expiry: Expiry, market: Wad) -> Wad:
    """The least confidence of all that prices an expiry's options; `market` is the least of spot and perpetual."""
    return min(market, expiry.forward_confidence, expiry.rate_confidence, expiry.surface_confidence)


def gross_amount(options: Iterable[Option]) -> Wad:
    """Σ |amount|."""
    return Wad(sum(abs(option.amount) for option in options))


# === Margin ===


def initial_factor(stable: Wad, loss: LossFactors, rule: Contingencies) -> Wad:
    """The factor imF + max(0, pegThreshold − stable)·pegFactor: a depeg of the numeraire raises the initial margin."""
    return Wad(loss.initial + product(max(0, rule.peg_threshold - stable), rule.peg_factor))


def margin(worst: Money, factor: Wad, contingencies: Iterable[Money], equity: Money) -> Money:
    """worst·factor − Σ contingencies + equity; below zero the account does not meet it."""
    return Money(down(worst, factor) - sum(contingencies) + equity)
