"""Mango v4: health at three thresholds, with a stable price, open orders at their worst and perpetuals in their token.

Source: blockworks-foundation/mango-v4, health/cache.rs and state/bank.rs. The formulas are in exact fractions of USD;
the profile's rules are the same in integers, each product rounded against the account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from node.margin.models.book import Balance, Book
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import WAD, Wad, down, up, value
from node.margin.models.market import Quote
from node.margin.models.profile import Line, Threshold, equity, requirement

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Token:
    """A token at one threshold: the account's balance (signed), and the weights and prices of assets and debts."""

    balance: Fraction
    asset_weight: Fraction
    liability_weight: Fraction
    asset_price: Fraction
    liability_price: Fraction

    def worth(self, balance: Fraction) -> Fraction:
        """The health of a balance: balance·weight·price of its side."""
        if balance > 0:
            return balance * self.asset_weight * self.asset_price
        return balance * self.liability_weight * self.liability_price


@dataclass(frozen=True, slots=True)
class SpotOrders:
    """What open orders of a market between two tokens (by place) reserve; their best limits where they are known."""

    base: int
    quote: int
    reserved_base: Fraction
    reserved_quote: Fraction
    lowest_ask: Fraction | None = None
    highest_bid_inverse: Fraction | None = None


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """A perpetual settled in a token (by place), in lots; `lot_value` is a lot's price in USD."""

    settle: int
    base_lots: int
    quote: Fraction
    bid_lots: int
    ask_lots: int
    lot_value: Fraction
    asset_weight: Fraction
    liability_weight: Fraction
    overall_asset_weight: Fraction


def deposit_scaled(weight: Fraction, deposits: Fraction, start: Fraction | None) -> Fraction:
    """Asset weight·start/deposits once the market's deposits, in USD at the liability price, exceed `start`."""
    return weight * start / deposits if start is not None and deposits > start else weight


def borrow_scaled(weight: Fraction, borrows: Fraction, start: Fraction | None) -> Fraction:
    """Liability weight·borrows/start once the market's borrows, in USD at the liability price, exceed `start`."""
    return weight * borrows / start if start is not None and borrows > start else weight


def perpetual_health(position: PerpPosition) -> Fraction:
    """The worse of all bids and all asks filled: lots·value·weight + quote; a profit at the overall weight."""

    def filled(lots: int) -> Fraction:
        base = (position.base_lots + lots) * position.lot_value
        weight = position.asset_weight if base > 0 else position.liability_weight
        return base * weight + position.quote - lots * position.lot_value

    worst = min(filled(position.bid_lots), filled(-position.ask_lots))
    return worst * position.overall_asset_weight if worst > 0 else worst


def all_as_base(orders: SpotOrders, tokens: Sequence[Token]) -> Fraction:
    """Reserved tokens if every bid is filled: at the oracle price, or at the best bid if that gives less."""
    oracle = orders.reserved_quote * tokens[orders.quote].asset_price / tokens[orders.base].liability_price
    limit = orders.highest_bid_inverse
    return orders.reserved_base + (oracle if limit is None else min(oracle, orders.reserved_quote * limit))


def all_as_quote(orders: SpotOrders, tokens: Sequence[Token]) -> Fraction:
    """Reserved tokens if every ask is filled: at the oracle price, or at the lowest ask if that gives less."""
    oracle = orders.reserved_base * tokens[orders.base].asset_price / tokens[orders.quote].liability_price
    limit = orders.lowest_ask
    return orders.reserved_quote + (oracle if limit is None else min(oracle, orders.reserved_base * limit))


def reserved_health(token: Token, reserved: Fraction, most: Fraction) -> Fraction:
    """What reserved tokens do, where `most` is the balance with all that could arrive: what pays a debt counts so."""
    as_asset = min(max(most, ZERO), reserved)
    return token.asset_weight * token.asset_price * as_asset + token.liability_weight * token.liability_price * (
        reserved - as_asset
    )


def health(tokens: Sequence[Token], orders: Sequence[SpotOrders], perpetuals: Sequence[PerpPosition]) -> Fraction:
    """Σ tokens, with perpetuals added to the balance of the token that settles them, and open orders at their worst."""
    settled = [token.balance for token in tokens]
    for position in perpetuals:
        settled[position.settle] += perpetual_health(position) / tokens[position.settle].asset_price
    most = list(settled)
    for order in orders:
        most[order.base] += all_as_base(order, tokens)
        most[order.quote] += all_as_quote(order, tokens)
    total = sum((token.worth(balance) for token, balance in zip(tokens, settled, strict=True)), ZERO)
    for order in orders:
        total += min(
            reserved_health(tokens[order.base], all_as_base(order, tokens), most[order.base]),
            reserved_health(tokens[order.quote], all_as_quote(order, tokens), most[order.quote]),
        )
    return total


# === The profile's rules ===


@dataclass(frozen=True, slots=True)
class Weights:
    """A market at one threshold."""

    asset: Wad
    liability: Wad
    overall: Wad


@dataclass(frozen=True, slots=True)
class MangoMarket:
    """A market's weights by threshold, and the sums (USD) of deposits and borrows from which they are scaled."""

    weights: Mapping[str, Weights]
    deposit_start: Wad | None
    borrow_start: Wad | None


@dataclass(frozen=True, slots=True)
class MangoParameters:
    """Tokens and perpetuals by asset."""

    tokens: Mapping[str, MangoMarket]
    perpetuals: Mapping[str, MangoMarket]


_STARTS = ("deposit_scale_start", "borrow_scale_start")
_MARKET = (
    *(f"{level}_{name}" for level in ("initial", "maintenance") for name in ("asset", "liability", "overall")),
    *_STARTS,
)
NAMES: Names = {"tokens": by_name(leaves(*_MARKET)), "perpetuals": by_name(leaves(*_MARKET))}
"""What is read of the parameters."""


def read_mango(fields: Fields) -> MangoParameters:
    """The markets by asset, in `tokens` and `perpetuals`.

    Each has `initial_asset`, `initial_liability`, `maintenance_asset`, `maintenance_liability`; a perpetual also
    `initial_overall`, `maintenance_overall`; a token may have `deposit_scale_start`, `borrow_scale_start` in USD. The
    level `liq_end` has the initial weights, unscaled, at oracle prices.
    """
    tokens, perpetuals = fields.section("tokens"), fields.section("perpetuals")
    return MangoParameters(
        {name: _market(tokens.section(name)) for name in tokens.content},
        {name: _market(perpetuals.section(name)) for name in perpetuals.content},
    )


def _market(fields: Fields) -> MangoMarket:
    initial, maintenance = _weights(fields, "initial"), _weights(fields, "maintenance")
    starts = [fields.positive(name) if fields.has(name) else None for name in _STARTS]
    return MangoMarket({"initial": initial, "liq_end": initial, "maintenance": maintenance}, *starts)


def _weights(fields: Fields, level: str) -> Weights:
    asset, liability, overall = (
        fields.number(f"{level}_{name}", low=0, high=100, default=default)
        for name, default in (("asset", None), ("liability", None), ("overall", 1))
    )
    return Weights(asset, liability, overall)


def token_health(book: Book, parameters: MangoParameters, threshold: Threshold) -> Iterable[Line]:
    """Cash at its face, ⌊⌊amount·price⌋·weight⌋ of collateral, ⌈⌈amount·price⌉·weight⌉ of debts."""
    yield equity("cash", "USD", max(book.cash, 0))
    if book.cash < 0:
        yield requirement("debt", "USD", -book.cash)
    for balance in book.collateral:
        weight = asset_weight(_token(balance, parameters, book), balance.quote, threshold)
        counted = value(balance.amount, price(balance.quote, threshold, long=True))
        yield equity(balance.named("collateral"), balance.quote.asset, down(counted, weight))
    for balance in book.debts:
        weight = liability_weight(_token(balance, parameters, book), balance.quote, threshold)
        owed = -value(-balance.amount, price(balance.quote, threshold, long=False))
        yield requirement(balance.named("debt"), balance.quote.asset, up(owed, weight))


def perpetual_lines(book: Book, parameters: MangoParameters, threshold: Threshold) -> Iterable[Line]:
    """⌊⌊amount·price⌋·weight⌋ − ⌈amount·entry⌉ + funding of each perpetual; ⌊that·overall⌋ of a profit."""
    for position in book.perpetuals:
        asset, long = position.quote.asset, position.amount > 0
        weights = _of(parameters.perpetuals, asset, book, "perpetuals").weights[threshold.name]
        base = value(position.amount, price(position.quote, threshold, long=long))
        counted = down(base, weights.asset if long else weights.liability)
        found = counted + value(-position.amount, position.entry) + position.funding
        yield equity("perpetual", asset, down(found, weights.overall) if found > 0 else found)


def asset_weight(market: MangoMarket, quote: Quote, threshold: Threshold) -> Wad:
    """The weight of collateral, initially scaled by the market's deposits; rounded down."""
    weight, start = market.weights[threshold.name].asset, market.deposit_start
    if start is None or threshold.name != "initial":
        return weight
    deposits = Fraction(quote.deposits * price(quote, threshold, long=False), WAD)
    return Wad(floor(deposit_scaled(Fraction(weight), deposits, Fraction(start))))


def liability_weight(market: MangoMarket, quote: Quote, threshold: Threshold) -> Wad:
    """The weight of a debt, initially scaled by the market's borrows; rounded up."""
    weight, start = market.weights[threshold.name].liability, market.borrow_start
    if start is None or threshold.name != "initial":
        return weight
    borrows = Fraction(quote.borrows * price(quote, threshold, long=False), WAD)
    return Wad(ceil(borrow_scaled(Fraction(weight), borrows, Fraction(start))))


def price(quote: Quote, threshold: Threshold, *, long: bool) -> Wad:
    """The oracle's price; initially the worse one of it and the stable price."""
    if threshold.name != "initial":
        return quote.price
    return min(quote.price, quote.stable) if long else max(quote.price, quote.stable)


def _token(balance: Balance, parameters: MangoParameters, book: Book) -> MangoMarket:
    return _of(parameters.tokens, balance.quote.asset, book, "tokens")


def _of(markets: Mapping[str, MangoMarket], asset: str, book: Book, section: str) -> MangoMarket:
    if asset not in markets:
        raise UnknownAsset(
            "the parameters have no market for it",
            account=book.account,
            instrument=asset,
            field=f"parameters.{section}",
        )
    return markets[asset]
