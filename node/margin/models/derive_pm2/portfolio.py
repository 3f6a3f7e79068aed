"""What the model reads: one account's portfolio with its market, and the parameters that judge it.

Numbers are `Wad` (1e-18) unless they say otherwise; money is `Money` (1e-12 USD). Must not know where they come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.margin.models.fixed import ONE, Money, Wad
from node.margin.models.svi import Svi

SECONDS_A_DAY = 86_400
SECONDS_A_YEAR = 365 * SECONDS_A_DAY


@dataclass(frozen=True, slots=True)
class Collateral:
    """A base asset that is held. `risk_cancelling`: it moves with the spot price of the portfolio's market."""

    name: str
    amount: Wad
    price: Wad
    confidence: Wad
    risk_cancelling: bool
    initial_haircut: Wad
    maintenance_haircut: Wad


@dataclass(frozen=True, slots=True)
class Perpetual:
    """The perpetual position; its pnl and funding are what is not settled into cash yet."""

    amount: Wad
    price: Wad
    confidence: Wad
    pnl: Money
    funding: Money


@dataclass(frozen=True, slots=True)
class Option:
    """A European option; `amount` is signed."""

    strike: Wad
    is_call: bool
    amount: Wad


@dataclass(frozen=True, slots=True)
class Expiry:
    """The options of one expiry with its feeds. The forward is `forward` + `forward_fixed`, which settlement has fixed.

    `order` are the options' places in the portfolio.
    """

    seconds: int
    forward: Wad
    forward_fixed: Wad
    forward_confidence: Wad
    rate: Wad
    rate_confidence: Wad
    surface: Svi
    surface_confidence: Wad
    options: tuple[Option, ...]
    order: tuple[int, ...]

    @property
    def years(self) -> float:
        """Time to expiry, in years of 365 days."""
        return self.seconds / SECONDS_A_YEAR


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One account in one market. `option_count` counts all options, those that cannot be shown too.

    `shown` are expiries whose options have no amount: they count nothing, and what is wrong with them stops nobody.
    """

    account: str
    cash: Money
    spot: Wad
    spot_confidence: Wad
    stable: Wad
    collaterals: tuple[Collateral, ...]
    perpetual: Perpetual | None
    expiries: tuple[Expiry, ...]
    option_count: int
    shown: tuple[Expiry, ...] = ()


class Shock(StrEnum):
    """What a scenario does to volatility: parallel moves, or the skew turned (LINEAR) or bent (ABS)."""

    UP = "Up"
    NONE = "None"
    DOWN = "Down"
    LINEAR = "LINEAR"
    ABS = "ABS"

    @property
    def is_skew(self) -> bool:
        """Whether it changes the shape of the surface and not its level."""
        return self in {Shock.LINEAR, Shock.ABS}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A joint move: the spot price times `spot`, volatility shocked, and the fraction of the result that counts."""

    spot: Wad
    shock: Shock
    dampening: Wad

    @property
    def move(self) -> Wad:
        """The relative move of the spot price."""
        return Wad(self.spot - ONE)


@dataclass(frozen=True, slots=True)
class VolShock:
    """Parallel volatility shocks; `floor_seconds` is the least time to expiry that they reckon with."""

    up: Wad
    down: Wad
    least_vol_up: Wad
    short_power: Wad
    long_power: Wad
    floor_seconds: float


@dataclass(frozen=True, slots=True)
class SkewShock:
    """The wings' multipliers: caps as base + slope·√T, reached at k* = max(least, √T·width·(static + scale·√T))."""

    linear_cap: Wad
    linear_slope: Wad
    abs_cap: Wad
    abs_slope: Wad
    least_k_star: Wad
    width: Wad
    vol_static: Wad
    vol_scale: Wad


@dataclass(frozen=True, slots=True)
class BasisShock:
    """The forward contingency: two spot moves, and the part of their loss that counts, `add` + `mult`·T."""

    spot_up: Wad
    spot_down: Wad
    add: Wad
    mult: Wad


@dataclass(frozen=True, slots=True)
class LossFactors:
    """How the worst loss becomes a margin, and how option value is discounted within it."""

    initial: Wad
    maintenance: Wad
    long_base: Wad
    long_rate_mult: Wad
    long_rate_add: Wad
    short_base: Wad
    short_rate_mult: Wad
    short_rate_add: Wad


@dataclass(frozen=True, slots=True)
class Contingencies:
    """What is required on top; the initial percentages come beside the maintenance ones."""

    peg_threshold: Wad
    peg_factor: Wad
    confidence_threshold: Wad
    confidence_factor: Wad
    perpetual_maintenance: Wad
    perpetual_initial: Wad
    option_maintenance: Wad
    option_initial: Wad


@dataclass(frozen=True, slots=True)
class Parameters:
    """The whole rule book in numbers. A shock that no scenario of a portfolio needs may be absent."""

    scenarios: tuple[Scenario, ...]
    vol: VolShock | None
    skew: SkewShock | None
    basis: BasisShock | None
    loss: LossFactors
    contingencies: Contingencies
