"""Synthetix v3 perpetuals: ratios that grow with size against the market's skew scale, collateral that shrinks with it.

Source: Synthetixio/synthetix-v3 PerpsMarketConfiguration, PerpsCollateralConfiguration, PerpsAccount (the formulas).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from node.margin.models.book import Book, gain, unit_value
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import ONE, WAD, Money, Wad, down, up, value
from node.margin.models.profile import Line, Threshold, equity, requirement

Rules = TypeVar("Rules")


@dataclass(frozen=True, slots=True)
class MarketRules:
    """A market: the skew scale in units, ratios, and the least margin of any position in USD."""

    skew_scale: Wad
    initial_fraction: Wad
    least_initial: Wad
    maintenance_scalar: Wad
    reward: Wad
    least_margin: Money


@dataclass(frozen=True, slots=True)
class CollateralRules:
    """A collateral: the skew scale in units, its scalar, and the discount's bounds."""

    skew_scale: Wad
    scalar: Wad
    lower: Wad
    upper: Wad


def initial_ratio(size: int, rules: MarketRules) -> Wad:
    """|size|/skewScale·initialFraction + least, rounded up."""
    scaled = -(-abs(size) * rules.initial_fraction // rules.skew_scale)
    return Wad(scaled + rules.least_initial)


def maintenance_ratio(size: int, rules: MarketRules) -> Wad:
    """The initial ratio times the maintenance scalar, rounded up."""
    return Wad(-(-initial_ratio(size, rules) * rules.maintenance_scalar // WAD))


def position_margin(notional: Money, ratio: Wad, least: Money) -> Money:
    """notional·ratio + the least margin, rounded up."""
    return Money(up(notional, ratio) + least)


def collateral_discount(amount: Wad, rules: CollateralRules) -> Wad:
    """clamp(amount/skewScale·scalar, lower, upper), rounded up: a large deposit would move its own market."""
    return Wad(min(max(-(-amount * rules.scalar // rules.skew_scale), rules.lower), rules.upper))


def fill_price(price: Wad, size: int, skew: int, skew_scale: Wad) -> Wad:
    """price·(1 + (skew + size/2)/skewScale): what a trade pays on average for moving the skew; rounded down."""
    return Wad(price * (2 * skew_scale + 2 * skew + size) // (2 * skew_scale))


def funding_velocity(skew: int, skew_scale: Wad, largest: Wad) -> Wad:
    """clamp(skew/skewScale, −1, 1)·largest: by how much a day the funding rate changes; rounded down."""
    return Wad(min(max(skew * WAD // skew_scale, -WAD), WAD) * largest // WAD)


# === The profile's rules ===


@dataclass(frozen=True, slots=True)
class SynthetixParameters:
    """Markets and collaterals by asset."""

    markets: Mapping[str, MarketRules]
    collaterals: Mapping[str, CollateralRules]


_MARKET = ("skew_scale", "initial_fraction", "least_initial", "maintenance_scalar", "reward", "least_margin")
NAMES: Names = {
    "markets": by_name(leaves(*_MARKET)),
    "collaterals": by_name(leaves("skew_scale", "scalar", "lower", "upper")),
}
"""What is read of the parameters."""


def read_synthetix(fields: Fields) -> SynthetixParameters:
    """`markets` and `collaterals` by asset.

    A market has `skew_scale`, `initial_fraction`, `least_initial`, `maintenance_scalar`, may have `reward` (a part of
    the notional, for the liquidator) and `least_margin`; a collateral may have `skew_scale`, `scalar`, `lower`,
    `upper`.
    """
    markets, collaterals = fields.section("markets"), fields.section("collaterals")
    return SynthetixParameters(
        {name: _market(markets.section(name)) for name in markets.content},
        {name: _collateral(collaterals.section(name)) for name in collaterals.content},
    )


def _market(fields: Fields) -> MarketRules:
    return MarketRules(
        fields.positive("skew_scale"),
        fields.number("initial_fraction", low=0, high=1_000),
        fields.number("least_initial", low=0, high=1),
        fields.number("maintenance_scalar", low=0, high=1),
        fields.number("reward", low=0, high=1, default=0),
        fields.money("least_margin", low=0, default=0),
    )


def _collateral(fields: Fields) -> CollateralRules:
    lower = fields.number("lower", low=0, high=1, default=0)
    upper = fields.number("upper", low=0, high=1, default=1)
    if lower > upper:
        raise fields.wrong("the lower bound is above the upper one", "lower")
    scale = fields.positive("skew_scale") if fields.has("skew_scale") else ONE
    return CollateralRules(scale, fields.number("scalar", low=0, high=1_000, default=0), lower, upper)


def available_margin(book: Book, parameters: SynthetixParameters, _: Threshold) -> Iterable[Line]:
    """Cash, Σ value·(1 − discount), what perpetuals have gained with funding, less debts."""
    yield equity("cash", "USD", book.cash)
    for held in book.collateral:
        asset = held.quote.asset
        discount = collateral_discount(held.amount, _of(parameters.collaterals, asset, book, "collaterals"))
        yield equity(held.named("collateral"), asset, down(unit_value(held), Wad(WAD - discount)))
    for each in book.perpetuals:
        yield equity("perpetual pnl", each.quote.asset, gain(each))
    for debt in book.debts:
        yield requirement(debt.named("debt"), debt.quote.asset, -value(-debt.amount, debt.quote.price))


def margins(book: Book, parameters: SynthetixParameters, threshold: Threshold) -> Iterable[Line]:
    """Each perpetual's margin at the threshold, and what its liquidator would be paid."""
    ratio = {"initial": initial_ratio, "maintenance": maintenance_ratio}[threshold.name]
    for each in book.perpetuals:
        asset = each.quote.asset
        rules = _of(parameters.markets, asset, book, "markets")
        notional = Money(-value(-abs(each.amount), each.quote.price))
        yield requirement("margin", asset, position_margin(notional, ratio(each.amount, rules), rules.least_margin))
        if rules.reward:
            yield requirement("liquidation reward", asset, up(notional, rules.reward))


def _of(rules: Mapping[str, Rules], asset: str, book: Book, section: str) -> Rules:
    if asset not in rules:
        raise UnknownAsset(
            "the parameters do not name it", account=book.account, instrument=asset, field=f"parameters.{section}"
        )
    return rules[asset]
