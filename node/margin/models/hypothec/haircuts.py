"""Haircuts of collateral, one component a function: parts of the value in 1e-18, rounded up, of which the sum counts.

Must not know accounts: size is a step of the depth, and what of an account's holding lies in which step is decided
where holdings are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

from node.margin.models.fixed import ONE, WAD, Wad
from node.margin.models.hypothec.feeds import Feed
from node.margin.models.hypothec.parameters import HaircutRules
from node.margin.models.interest import SECONDS_A_YEAR

UNCERTAINTY = frozenset({"age", "spread"})
_SECONDS_AN_HOUR = 3_600


def sqrt_up(number: int) -> Wad:
    """√ of a number in 1e-18, rounded up."""
    return Wad(isqrt(number * WAD - 1) + 1 if number > 0 else 0)


def times_up(first: int, second: int) -> Wad:
    """The product of two ratios ≥ 0, rounded up."""
    return Wad(-(-first * second // WAD))


def by_volatility(vol: Wad, rules: HaircutRules) -> Wad:
    """clamp(z·σ·√(horizon / year), floor, cap). Source: VaR-style dynamic haircuts, with a floor against cycles."""
    years = -(-rules.horizon * WAD // SECONDS_A_YEAR)
    return min(rules.cap, max(rules.floor, times_up(times_up(rules.deviations, vol), sqrt_up(years))))


def by_size(step: Wad, rules: HaircutRules) -> Wad:
    """1.5·impact·√x: what selling the last unit of x times the depth costs.

    The square-root law of impact: selling x times the depth costs impact·√x of it on average, and its derivative for
    the last unit. Constant within a step (at its upper end), so that what counts of a holding is exact, concave and
    never falls when the holding grows.
    """
    return Wad(min(WAD, -(-3 * times_up(rules.impact, sqrt_up(step)) // 2)))


def by_age(age: int, rules: HaircutRules) -> Wad:
    """rate·(age − grace)⁺: the price of what was certified a while ago."""
    return Wad(min(WAD, -(-rules.age_per_hour * max(0, age - rules.age_grace) // _SECONDS_AN_HOUR)))


def by_spread(feed: Feed, rules: HaircutRules) -> Wad:
    """multiple·(high − low) / 2·price: how far the sources are apart."""
    if feed.price == 0:
        return ONE
    return Wad(min(WAD, times_up(rules.spread_multiple, -(-(feed.high - feed.low) * WAD // (2 * feed.price)))))


@dataclass(frozen=True, slots=True)
class Haircut:
    """The components at one threshold, by name."""

    parts: Mapping[str, Wad]

    @property
    def total_at_high(self) -> Wad:
        """Of the high end: a price that is old or that sources dispute is a range, which says so already."""
        return Wad(min(WAD, sum(part for name, part in self.parts.items() if name not in UNCERTAINTY)))

    @property
    def total(self) -> Wad:
        """Their sum, at most one."""
        return Wad(min(WAD, sum(self.parts.values())))


def scaled(part: Wad, ratio: Wad) -> Wad:
    """What of a haircut a threshold takes: part·ratio, rounded up."""
    return times_up(part, ratio)
