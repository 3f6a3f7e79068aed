"""Drift v2: weights that shrink with size and with the market's deposits; a strict price on each side.

Source: drift-labs/protocol-v2, math/margin.rs, math/spot_market.rs, math/liquidation.rs. Weights and margin ratios are
in 1e-4, imf factors in 1e-6, sizes in 1e-9 units; every division rounds as stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isqrt
from typing import TypeVar

from node.margin.models.book import Balance, Book, gain
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import PICO, WAD, Wad, value
from node.margin.models.market import Quote
from node.margin.models.profile import Line, Threshold, equity, requirement

WEIGHT = 10_000
IMF = 1_000_000
SIZE = 10**9
TRANSFER_WEIGHT = 10 * WEIGHT
"""In a spot transfer the asset's weight, adjusted by both multipliers, is rounded down in these."""


def size_root(size: int) -> int:
    """⌊√(10·size + 1)⌋, of a size in 1e-9."""
    return isqrt(10 * size + 1)


def asset_weight(weight: int, size: int, imf: int) -> int:
    """min(w, ⌊1.1 / (1 + ⌊s·imf/1e5⌋)⌋): a large deposit counts less."""
    return min(weight, 11 * IMF * WEIGHT // 10 // (IMF + size_root(size) * imf // 100_000))


def liability_weight(weight: int, size: int, imf: int) -> int:
    """max(w, w − ⌊w/5⌋ + ⌊s·imf/1e5⌋): a large debt or position needs more."""
    return max(weight, weight - weight // 5 + size_root(size) * imf // (100_000 * (IMF // WEIGHT)))


def deposit_scaled_weight(weight: int, deposits: int, start: int) -> int:
    """⌊w·start/deposits⌋ once a market's deposits exceed `start` (0 is no limit): their sum then counts constant."""
    return weight * start // deposits if 0 < start < deposits else weight


def pnl_weight(weight: int, pnl: int, imf: int) -> int:
    """The weight of an unrealised profit (1e-6 USD): it shrinks as an asset's does."""
    return asset_weight(weight, max(pnl, 0) * (SIZE // 10**6), imf)


# === Liquidation ===


def base_to_cover(
    shortage: Fraction,
    price: Fraction,
    quote_price: Fraction,
    margin_ratio: Fraction,
    fee: Fraction,
    fund_fee: Fraction,
) -> Fraction:
    """What of a perpetual to close: shortage / (p·q·(ratio − fee) − p·fundFee)."""
    return shortage / (price * quote_price * (margin_ratio - fee) - price * fund_fee)


def adjusted_asset_weight(weight: Fraction, asset_multiplier: Fraction, liability_multiplier: Fraction) -> Fraction:
    """⌊w·m_asset/m_liability⌋ in 1e-5."""
    return Fraction(floor(weight * asset_multiplier / liability_multiplier * TRANSFER_WEIGHT), TRANSFER_WEIGHT)


def liability_to_cover(
    shortage: Fraction, price: Fraction, liability: Fraction, adjusted_asset: Fraction, fund_fee: Fraction
) -> Fraction:
    """What of a debt to repay: shortage / (p·(w_l − w_a') − p·fundFee·w_l)."""
    return shortage / (price * (liability - adjusted_asset) - price * fund_fee * liability)


def liability_for_asset(
    asset_value: Fraction, price: Fraction, asset_mult: Fraction, liability_mult: Fraction
) -> Fraction:
    """What of a debt is taken over for an asset's value: value·m_l/m_a/p; rounded up by whoever does."""
    return asset_value * liability_mult / asset_mult / price


def asset_for_liability(
    liability: Fraction,
    liability_price: Fraction,
    asset_price: Fraction,
    asset_mult: Fraction,
    liability_mult: Fraction,
) -> Fraction:
    """What of an asset goes for a debt: l·p_l·m_a/m_l/p_a."""
    return liability * liability_price * asset_mult / liability_mult / asset_price


def perpetual_fund_fee(
    margin_ratio: Fraction, fee: Fraction, shortage: Fraction, notional: Fraction, most: Fraction
) -> Fraction:
    """min(most, 0.95·(ratio − fee − shortage/notional)), not below zero."""
    return max(Fraction(0), min(most, Fraction(95, 100) * (margin_ratio - fee - shortage / notional)))


def spot_fund_fee(
    liability: Fraction, adjusted_asset: Fraction, shortage: Fraction, notional: Fraction, most: Fraction
) -> Fraction:
    """min(most, (w_l − w_a' − shortage/notional)/w_l), not below zero."""
    return max(Fraction(0), min(most, (liability - adjusted_asset - shortage / notional) / liability))


def socialised_perpetual_loss(loss: Fraction, open_interest: Fraction) -> int:
    """The loss of each unit of open interest, in 1e-6 USD, rounded up."""
    return ceil(loss / open_interest * 10**6)


def socialised_spot_loss(loss: Fraction, deposits: Fraction, index: int) -> int:
    """By how much the deposits' cumulative index falls, rounded up."""
    return ceil(loss / deposits * index)


# === The profile's rules ===


@dataclass(frozen=True, slots=True)
class Spot:
    """A spot market: weights by threshold in 1e-4, imf in 1e-6, the deposits (USD) above which assets are scaled."""

    asset: Mapping[str, int]
    liability: Mapping[str, int]
    imf: int
    scale_start: int


@dataclass(frozen=True, slots=True)
class Perp:
    """A perpetual market: margin ratios by threshold in 1e-4, imf factors in 1e-6, the weight of profits in 1e-4."""

    ratio: Mapping[str, int]
    imf: int
    pnl: Mapping[str, int]
    pnl_imf: int


@dataclass(frozen=True, slots=True)
class DriftParameters:
    """Markets by asset."""

    spots: Mapping[str, Spot]
    perpetuals: Mapping[str, Perp]


Market = TypeVar("Market")


_SPOT = ("asset_initial", "asset_maintenance", "liability_initial", "liability_maintenance", "imf", "scale_start")
_PERP = ("initial", "maintenance", "pnl_initial", "pnl_maintenance", "imf", "pnl_imf")
NAMES: Names = {"spots": by_name(leaves(*_SPOT)), "perpetuals": by_name(leaves(*_PERP))}
"""What is read of the parameters."""


def read_drift(fields: Fields) -> DriftParameters:
    """The markets by asset, in `spots` and `perpetuals`.

    A spot has `asset_initial`, `asset_maintenance`, `liability_initial`, `liability_maintenance`, `imf`, `scale_start`
    (USD); a perpetual `initial`, `maintenance`, `pnl_initial`, `pnl_maintenance`, `imf`, `pnl_imf`. `fill` is the mean
    of the two, but for profits, which it weighs as `initial` does.
    """
    spots, perpetuals = fields.section("spots"), fields.section("perpetuals")
    return DriftParameters(
        {name: _spot(spots.section(name)) for name in spots.content},
        {name: _perp(perpetuals.section(name)) for name in perpetuals.content},
    )


def _spot(fields: Fields) -> Spot:
    return Spot(
        _levels(fields, "asset_"), _levels(fields, "liability_"), _scaled(fields, "imf", IMF, 0),
        fields.money("scale_start", low=0, default=0),
    )  # fmt: skip


def _perp(fields: Fields) -> Perp:
    pnl = _levels(fields, "pnl_")
    return Perp(
        _levels(fields, ""), _scaled(fields, "imf", IMF, 0), pnl | {"fill": pnl["initial"]},
        _scaled(fields, "pnl_imf", IMF, 0),
    )  # fmt: skip


def _levels(fields: Fields, prefix: str) -> dict[str, int]:
    initial, maintenance = (_scaled(fields, f"{prefix}{name}", WEIGHT) for name in ("initial", "maintenance"))
    return {"initial": initial, "fill": (initial + maintenance) // 2, "maintenance": maintenance}


def _scaled(fields: Fields, name: str, scale: int, default: int | None = None) -> int:
    return fields.number(name, low=0, high=100, default=default) * scale // WAD


def spot_assets(book: Book, parameters: DriftParameters, threshold: Threshold) -> Iterable[Line]:
    """Cash at its face; deposits by their weight, which shrinks with size; initially at min(oracle, TWAP)."""
    if book.cash >= 0:
        yield equity("cash", "USD", book.cash)
    for balance in book.collateral:
        quote = balance.quote
        market = _market(parameters.spots, quote.asset, book, "spots")
        weight = asset_weight(deposit_weight(market, quote, threshold), _size(balance), market.imf)
        counted = value(balance.amount, price(quote, threshold, long=True))
        yield equity(balance.named("collateral"), quote.asset, counted * weight // WEIGHT)


def spot_debts(book: Book, parameters: DriftParameters, threshold: Threshold) -> Iterable[Line]:
    """Negative cash at its face; debts at max(oracle, TWAP), by their weight, which grows with size."""
    if book.cash < 0:
        yield requirement("debt", "USD", -book.cash)
    for balance in book.debts:
        quote = balance.quote
        market = _market(parameters.spots, quote.asset, book, "spots")
        weight = liability_weight(market.liability[threshold.name], _size(balance), market.imf)
        owed = -value(-balance.amount, price(quote, threshold, long=False))
        yield requirement(balance.named("debt"), quote.asset, -(-owed * weight // WEIGHT))


def perpetuals(book: Book, parameters: DriftParameters, threshold: Threshold) -> Iterable[Line]:
    """Losses in full, profits by their weight; the margin ratio grows with size."""
    for position in book.perpetuals:
        asset = position.quote.asset
        market = _market(parameters.perpetuals, asset, book, "perpetuals")
        pnl = gain(position)
        weight = market.pnl[threshold.name]
        if threshold.name != "maintenance":
            weight = pnl_weight(weight, pnl * 10**6 // PICO, market.pnl_imf)
        yield equity("perpetual pnl", asset, pnl * weight // WEIGHT if pnl > 0 else pnl)
        ratio = liability_weight(market.ratio[threshold.name], abs(position.amount) * SIZE // WAD, market.imf)
        notional = -value(-abs(position.amount), position.quote.price)
        yield requirement("margin", asset, -(-notional * ratio // WEIGHT))


def deposit_weight(market: Spot, quote: Quote, threshold: Threshold) -> int:
    """The weight of a deposit of no size. What `initial` loses to the market's deposits is half in the mean, `fill`."""
    initial, maintenance = (market.asset[name] for name in ("initial", "maintenance"))
    scaled = deposit_scaled_weight(initial, value(quote.deposits, quote.price), market.scale_start)
    return {"initial": scaled, "fill": (scaled + maintenance) // 2, "maintenance": maintenance}[threshold.name]


def price(quote: Quote, threshold: Threshold, *, long: bool) -> Wad:
    """The oracle's price; initially the worse one of it and the average over time."""
    if threshold.name != "initial":
        return quote.price
    return min(quote.price, quote.twap) if long else max(quote.price, quote.twap)


def _size(balance: Balance) -> int:
    return balance.amount * SIZE // WAD


def _market(markets: Mapping[str, Market], asset: str, book: Book, section: str) -> Market:
    if asset not in markets:
        raise UnknownAsset(
            "the parameters have no market for it",
            account=book.account,
            instrument=asset,
            field=f"parameters.{section}",
        )
    return markets[asset]
