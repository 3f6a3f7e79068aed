"""Expected shortfall of net deltas under agreed vols and correlations: what checks the rows.

For normal returns the mean loss beyond the quantile z = Φ⁻¹(a) over h years is φ(z)/(1 − a)·√(wᵀΣw·h), w the values of
the deltas. Correlation is ρ across groups, ρ_g ≥ ρ within group g, 1 with itself, so with v_i = σ_i·w_i

    wᵀΣw = ρ·(Σ v)² + Σ_g (ρ_g − ρ)·(Σ_{i∈g} v_i)² + Σ_i (1 − ρ_{g(i)})·v_i²:

a market factor, one a group, one an underlying; never negative, and linear to compute. Source: McNeil, Frey and
Embrechts, Quantitative Risk Management (2005), 2.2; the same form as VaR in `reference` handbooks.

Element-wise IEEE operations in a fixed order, underlyings by name; they are wrong by less than 2^-46 of the result in
all, which is then raised by more, so it is rounded up. Must not know positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import ceil

from node.margin.math import normal_cdf, normal_pdf, sqrt
from node.margin.models.fixed import WAD, Money, Wad, as_float
from node.margin.models.hypothec.parameters import Shortfall
from node.margin.models.interest import SECONDS_A_YEAR

RAISED = 1.0 + 2.0**-44
"""More than what the operations may have lost."""

ROUNDED_BITS = 42
"""A shortfall is less than 2^-42 of it above the exact one."""


def multiple(rules: Shortfall) -> float:
    """φ(z)/(1 − Φ(z))·√h: the shortfall of a unit of yearly volatility."""
    return _multiple(as_float(rules.deviations), rules.horizon)


@lru_cache(maxsize=64)
def _multiple(z: float, horizon: int) -> float:
    return normal_pdf(z) / normal_cdf(-z) * sqrt(horizon / SECONDS_A_YEAR)


def shortfall_of_one(vol: Wad, rules: Shortfall) -> Wad:
    """The shortfall of one underlying by itself, as a part of its value, which it may exceed; rounded up."""
    return Wad(ceil(multiple(rules) * as_float(vol) * RAISED * WAD))


def doubt(found: Money, errors: Mapping[str, int], vols: Mapping[str, Wad], rules: Shortfall) -> Money:
    """By how much the shortfall that was found may be wrong where the deltas are, rounded up.

    It is a norm, so that of other deltas it differs by no more than Σ φ(z)/(1 − a)·√h·σ_i·|error_i|; beside that by
    what its own rounding may have lost. Nothing where there is no error.
    """
    total = 0.0
    for name in sorted(errors):
        total += float(errors[name]) * as_float(vols[name])
    if total == 0.0:
        return Money(0)
    return Money(ceil(multiple(rules) * total * RAISED) + (found >> ROUNDED_BITS) + 2)


def variance(
    deltas: Mapping[str, Money], vols: Mapping[str, Wad], groups: Mapping[str, str], rules: Shortfall
) -> float:
    """wᵀΣw of one year. The deltas are values in 1e-12 USD, all mappings by underlying."""
    across = as_float(rules.across)
    total = single = 0.0
    of_group = dict.fromkeys(sorted(rules.within), 0.0)
    for name in sorted(deltas):
        risk = float(deltas[name]) * as_float(vols[name])
        total += risk
        of_group[groups[name]] += risk
        single += as_float(Wad(WAD - rules.within[groups[name]])) * (risk * risk)
    found = across * (total * total)
    for name, risk in of_group.items():
        found += as_float(Wad(rules.within[name] - rules.across)) * (risk * risk)
    return found + single


def shortfall(
    deltas: Mapping[str, Money], vols: Mapping[str, Wad], groups: Mapping[str, str], rules: Shortfall
) -> Money:
    """φ(z)/(1 − a)·√(wᵀΣw·h), rounded up."""
    return Money(ceil(multiple(rules) * sqrt(variance(deltas, vols, groups, rules)) * RAISED))
