"""The parameters of the profile and their reading from JSON; defaults.py has all of them.

Ratios, vols and moves are in 1e-18. Must not know what any account holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from node.margin.math import FloatArray
from node.margin.models.errors import OutOfRange
from node.margin.models.fields import LONGEST_SECONDS, Fields, Names, by_name, leaves, refuse_unknown
from node.margin.models.fixed import Wad, as_float
from node.margin.models.grids import shocked_vols, vol_rule
from node.margin.models.hypothec import assets
from node.margin.models.hypothec.assets import OTHER, Assets, Issuer, read_assets, read_issuers
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.scenarios import ROW_NAMES, Row, read_row
from node.margin.models.profile import merged
from node.margin.models.shocks import VolRule

MOST_ROWS = 256
MOST_SIZE_STEPS = 16
_POWERS = ("short_power", "long_power", "least")
POLICY_NAMES: Names = {
    **assets.NAMES,
    "rows": [ROW_NAMES],
    "maintenance": None,
    "vol_shocks": leaves(*_POWERS),
    "shortfall": leaves("deviations", "horizon", "correlation"),
    "charges": leaves("short_option", "linear", "concentration_share", "concentration_rate"),
    "haircuts": {
        **leaves("deviations", "horizon", "floor", "cap", "impact", "size_steps"),
        **leaves("age_grace", "age_per_hour", "spread_multiple"),
        "finality": by_name(),
        "assurance": by_name(),
    },
}
"""What a policy may say; by itself it says how old prices may be, so `feeds` are not among it."""
NAMES: Names = {
    **POLICY_NAMES,
    "feeds": leaves("stale_after", "write_off_after", "bound_base", "bound_per_hour", "bound_cap"),
}
"""What is read of a file's parameters."""


@dataclass(frozen=True, slots=True)
class HaircutRules:
    """What each component of a haircut is made of; haircuts.py has the formulas.

    `deviations` over `horizon` seconds within [floor, cap] for volatility; `size_steps` are ascending multiples of the
    depth; `by_finality` and `by_assurance` haircuts by name.
    """

    deviations: Wad
    horizon: int
    floor: Wad
    cap: Wad
    impact: Wad
    size_steps: tuple[Wad, ...]
    age_grace: int
    age_per_hour: Wad
    spread_multiple: Wad
    by_finality: Mapping[str, Wad]
    by_assurance: Mapping[str, Wad]


@dataclass(frozen=True, slots=True)
class FeedRules:
    """Until when a price is fresh, how far it may have moved when it is not, and when it counts no more (seconds)."""

    stale_after: int
    write_off_after: int
    bound_base: Wad
    bound_per_hour: Wad
    bound_cap: Wad


@dataclass(frozen=True, slots=True)
class VolShocks:
    """How a shock of a 30-day volatility scales with time to expiry: grids.vol_rule."""

    short_power: float
    long_power: float
    least: float

    def rule(self, shock: Wad) -> VolRule:
        """The rule of a row."""
        return vol_rule(as_float(shock), self.short_power, self.long_power, self.least)

    def shocked(self, vols: FloatArray, seconds: FloatArray, shocks: Sequence[Wad]) -> FloatArray:
        """What the rules of these shocks, which are the last dimension, make of volatilities with such times left."""
        by = np.array([as_float(shock) for shock in shocks])
        return shocked_vols(vols, seconds, by, self.short_power, self.long_power, self.least)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Expected shortfall beyond `deviations` standard deviations over `horizon` seconds, and the correlations."""

    deviations: Wad
    horizon: int
    across: Wad
    within: Mapping[str, Wad]


@dataclass(frozen=True, slots=True)
class Charges:
    """Contingencies as parts of the notional, and what is charged of a delta beyond a share of depth or interest."""

    short_option: Wad
    linear: Wad
    concentration_share: Wad
    concentration_rate: Wad


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything that the rules take beside portfolio and market. `maintenance` is its part of initial margin."""

    rows: tuple[Row, ...]
    maintenance: Wad
    assets: Assets
    issuers: Mapping[str, Issuer]
    shortfall: Shortfall
    charges: Charges
    haircuts: HaircutRules
    feeds: FeedRules
    vols: VolShocks


def read_parameters(fields: Fields) -> Parameters:
    """Parameters from JSON. Raises PortfolioError."""
    rows = tuple(read_row(each, place) for place, each in enumerate(fields.items("rows")))
    if not 0 < len(rows) <= MOST_ROWS:
        raise OutOfRange(f"give from 1 to {MOST_ROWS} rows", account=fields.account, field="rows", length=len(rows))
    vols = fields.section("vol_shocks")
    powers = (as_float(vols.number(name, low=0, high=10)) for name in _POWERS)
    charges = fields.section("charges")
    return Parameters(
        rows=rows,
        maintenance=_ratio(fields, "maintenance"),
        assets=read_assets(fields),
        issuers=read_issuers(fields.section("issuers")),
        shortfall=_shortfall(fields.section("shortfall"), fields.section("groups")),
        charges=Charges(
            short_option=_ratio(charges, "short_option"),
            linear=_ratio(charges, "linear"),
            concentration_share=charges.number("concentration_share", low=0, high=1_000),
            concentration_rate=_ratio(charges, "concentration_rate"),
        ),
        haircuts=_haircuts(fields.section("haircuts")),
        feeds=_feeds(fields.section("feeds")),
        vols=VolShocks(*powers),
    )


def read_overrides(given: object) -> Parameters:
    """The profile's own parameters with what differs in a policy. Raises PortfolioError, also for unknown names."""
    fields = Fields.of(given, "parameters")
    refuse_unknown(fields, POLICY_NAMES)
    return read_parameters(Fields(merged(DEFAULTS, fields.content), fields.account))


def _ratio(fields: Fields, name: str) -> Wad:
    return fields.number(name, low=0, high=1)


def _shortfall(fields: Fields, groups: Fields) -> Shortfall:
    across = _ratio(fields, "correlation")
    within = {name: _ratio(groups.section(name), "correlation") for name in groups.content}
    for name, inside in within.items():
        if inside < across:
            raise OutOfRange(
                "assets of one group are to be correlated at least as much as those of two",
                account=fields.account,
                instrument=f"groups.{name}",
                field="correlation",
            )
    return Shortfall(
        deviations=fields.number("deviations", low=0, high=8),
        horizon=fields.whole("horizon", low=1, high=LONGEST_SECONDS),
        across=across,
        within={OTHER: across, **within},
    )


def _haircuts(fields: Fields) -> HaircutRules:
    steps = tuple(
        fields.as_number(each, "size_steps", low=0) for each in fields.entries("size_steps", most=MOST_SIZE_STEPS)
    )
    if not steps or any(later <= first for first, later in zip((Wad(0), *steps), steps, strict=False)):
        raise fields.wrong("give ascending multiples of the depth, above zero", "size_steps")
    return HaircutRules(
        deviations=fields.number("deviations", low=0, high=8),
        horizon=fields.whole("horizon", low=1, high=LONGEST_SECONDS),
        floor=_ratio(fields, "floor"),
        cap=_ratio(fields, "cap"),
        impact=_ratio(fields, "impact"),
        size_steps=steps,
        age_grace=fields.whole("age_grace", high=LONGEST_SECONDS),
        age_per_hour=fields.number("age_per_hour", low=0, high=100),
        spread_multiple=fields.number("spread_multiple", low=0, high=100),
        by_finality=_table(fields.section("finality")),
        by_assurance=_table(fields.section("assurance")),
    )


def _table(fields: Fields) -> dict[str, Wad]:
    return {name: _ratio(fields, name) for name in fields.content}


def _feeds(fields: Fields) -> FeedRules:
    return FeedRules(
        stale_after=fields.whole("stale_after", high=LONGEST_SECONDS),
        write_off_after=fields.whole("write_off_after", high=LONGEST_SECONDS),
        bound_base=fields.number("bound_base", low=0, high=100),
        bound_per_hour=fields.number("bound_per_hour", low=0, high=100),
        bound_cap=fields.number("bound_cap", low=0, high=100),
    )
