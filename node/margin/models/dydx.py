"""dYdX v4: margins scaled by open interest, exact in integers.

Source: dydxprotocol/v4-chain: x/perpetuals (liquidity_tier.go, lib.go), lib/margin/risk.go, x/clob liquidations.go.
Ratios are parts per million, sums quote quantums (1e-6 USD), sizes base quantums (10^resolution units).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from node.margin.models.book import Book, Perpetual
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields, by_name, leaves
from node.margin.models.fixed import PICO, WAD
from node.margin.models.profile import Line, Threshold, equity, requirement

PPM = 1_000_000
QUANTUM = PICO // PPM
"""A quote quantum in 1e-12 USD."""
QUOTE_RESOLUTION = -6


@dataclass(frozen=True, slots=True)
class Tier:
    """A market's liquidity tier: ratios in ppm, caps of the open interest's notional in quote quantums."""

    initial: int
    maintenance_fraction: int
    open_interest_lower: int = 0
    open_interest_upper: int = 0


@dataclass(frozen=True, slots=True)
class Risk:
    """Net collateral and requirements in quote quantums; an account's is the sum of its positions'."""

    collateral: int
    initial: int
    maintenance: int

    def __add__(self, other: Risk) -> Risk:
        return Risk(
            self.collateral + other.collateral,
            self.initial + other.initial,
            self.maintenance + other.maintenance,
        )

    @property
    def meets_initial(self) -> bool:
        """NC ≥ IMR."""
        return self.collateral >= self.initial

    @property
    def meets_maintenance(self) -> bool:
        """NC ≥ MMR."""
        return self.collateral >= self.maintenance

    @property
    def is_liquidatable(self) -> bool:
        """MMR > 0 and MMR > NC: without positions there is nothing to liquidate."""
        return 0 < self.maintenance > self.collateral


def maintenance_ppm(tier: Tier) -> int:
    """⌊initial·fraction⌋."""
    return tier.initial * tier.maintenance_fraction // PPM


def funding_clamp_ppm(clamp_factor: int, tier: Tier) -> int:
    """⌊clamp·(initial − maintenance)⌋: the largest funding rate."""
    return clamp_factor * (tier.initial - maintenance_ppm(tier)) // PPM


def scaled_initial_ppm(tier: Tier, open_interest: int) -> int:
    """The initial ratio by open interest: the base up to the lower cap, 1 from the upper, linear between, ⌊·⌋."""
    lower, upper = tier.open_interest_lower, tier.open_interest_upper
    if upper == 0 or open_interest <= lower:
        return tier.initial
    if open_interest >= upper:
        return PPM
    return tier.initial + (PPM - tier.initial) * (open_interest - lower) // (upper - lower)


def initial_margin(notional: Fraction, tier: Tier, open_interest: int, custom_ppm: int = 0) -> int:
    """⌈Q·max(scaled initial, custom)⌉, where Q is the absolute notional."""
    return ceil(notional * max(scaled_initial_ppm(tier, open_interest), custom_ppm) / PPM)


def maintenance_margin(notional: Fraction, tier: Tier) -> int:
    """⌈⌈Q·initial⌉·fraction⌉: open interest does not scale it."""
    return ceil(Fraction(ceil(notional * tier.initial / PPM) * tier.maintenance_fraction, PPM))


def quote_quantums(base_quantums: int, price: int, exponent: int, resolution: int) -> Fraction:
    """base·price·10^(exponent + resolution − quote resolution)."""
    return base_quantums * price * Fraction(10) ** (exponent + resolution - QUOTE_RESOLUTION)


def riskier(first: Risk, second: Risk) -> int:
    """1 if `first` is to be liquidated before `second`, −1 after, 0 equal.

    By NC/MMR, compared crosswise so that zeros need no rule; then by the larger requirement, then by less collateral.
    """
    crossed = first.collateral * second.maintenance, second.collateral * first.maintenance
    return (
        _sign(crossed[1] - crossed[0])
        or _sign(first.maintenance - second.maintenance)
        or _sign(second.collateral - first.collateral)
    )


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def bankruptcy_price(delta_collateral: int, delta_maintenance: int, total: Risk) -> int:
    """Quote quantums for closing a part of a position at which the account's loss is shared by its requirements.

    −ΔNC − ⌊TNC·|ΔMMR| / TMMR⌋; ΔNC and ΔMMR are what closing changes.
    """
    return -delta_collateral - total.collateral * abs(delta_maintenance) // total.maintenance


def fillable_price(
    notional: Fraction, maintenance: Fraction, size: int, total: Risk, adjustment_ppm: int, spread_ppm: int
) -> Fraction:
    """Quote quantums a base quantum: (PNNV − clamp(BA·(1 − TNC/TMMR), 0, 1)·SMMR·PMMR) / size.

    From the oracle price it runs towards the bankruptcy side as the account sinks below maintenance.
    """
    depth = Fraction(adjustment_ppm, PPM) * (1 - Fraction(total.collateral, total.maintenance))
    return (notional - min(max(depth, Fraction(0)), Fraction(1)) * Fraction(spread_ppm, PPM) * maintenance) / size


# === The profile's rules ===


@dataclass(frozen=True, slots=True)
class DydxParameters:
    """The tier of each market."""

    tiers: Mapping[str, Tier]


NAMES = {"tiers": by_name(leaves("initial", "maintenance_fraction", "open_interest_lower", "open_interest_upper"))}
"""What is read of the parameters."""


def read_dydx(fields: Fields) -> DydxParameters:
    """`tiers`: by asset `initial`, `maintenance_fraction`; `open_interest_lower` and `open_interest_upper` in USD."""
    tiers = {}
    section = fields.section("tiers")
    for name in section.content:
        tier = section.section(name)
        tiers[name] = Tier(
            tier.number("initial", low=0, high=1) * PPM // WAD,
            tier.number("maintenance_fraction", low=0, high=1) * PPM // WAD,
            tier.money("open_interest_lower", low=0, default=0) // QUANTUM,
            tier.money("open_interest_upper", low=0, default=0) // QUANTUM,
        )
    return DydxParameters(tiers)


def net_collateral(book: Book, _: DydxParameters, __: Threshold) -> Iterable[Line]:
    """Cash, and for each perpetual its profit since entry, in whole quote quantums rounded down."""
    yield equity("cash", "USD", book.cash // QUANTUM * QUANTUM)
    for position in book.perpetuals:
        profit = floor(notional_quantums(position) - Fraction(position.amount * position.entry * PPM, WAD * WAD))
        yield equity("perpetual pnl", position.quote.asset, profit * QUANTUM)
        if position.funding:
            yield equity("perpetual funding", position.quote.asset, position.funding // QUANTUM * QUANTUM)


def margins(book: Book, parameters: DydxParameters, threshold: Threshold) -> Iterable[Line]:
    """The initial or the maintenance margin of each perpetual."""
    for position in book.perpetuals:
        asset = position.quote.asset
        if asset not in parameters.tiers:
            raise UnknownAsset(
                "the parameters have no tier for it", account=book.account, instrument=asset, field="parameters.tiers"
            )
        tier, notional = parameters.tiers[asset], abs(notional_quantums(position))
        margin = {
            "initial": initial_margin(notional, tier, position.quote.open_interest // QUANTUM),
            "maintenance": maintenance_margin(notional, tier),
        }[threshold.name]
        yield requirement("margin", asset, margin * QUANTUM)


def notional_quantums(position: Perpetual) -> Fraction:
    """amount·price in quote quantums, exactly."""
    return Fraction(position.amount * position.quote.price * PPM, WAD * WAD)
