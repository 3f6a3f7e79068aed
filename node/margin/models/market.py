"""What a portfolio file's market says of an asset: its quote, expiries, volatilities and index of borrowing.

node/margin/models/book.py says the format. Each reader takes the `market` section as an account's fields, so that an
error names the account that needs what is wrong. Must not know what an account holds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import cast

import numpy as np

from node.margin.math import FloatArray
from node.margin.models.errors import MissingField, OutOfRange, PortfolioError, UnknownAsset
from node.margin.models.fields import LARGEST, LONGEST_SECONDS, Fields, Known, Names, Read, leaves
from node.margin.models.fixed import ONE, WAD, Money, Wad, as_float
from node.margin.models.interest import (
    LARGEST_EXPONENT,
    SECONDS_A_YEAR,
    RateCurve,
    accrued,
    borrow_rate,
    growth,
    utilisation,
)
from node.margin.models.surface import GRID_NAMES, Slice, read_slice
from node.margin.models.svi import Svi, read_svi

QUOTE_NAMES: Names = {
    **leaves("price", "stable_price", "twap", "confidence", "open_interest", "deposits", "borrows", "decimals"),
    **leaves("perpetual_price", "perpetual_confidence", "borrow_index", "index_age"),
    "redemption": leaves("asset", "rate"),
    "borrow_curve": leaves("least", "slope", "optimal", "steep"),
    "expiries": [leaves("seconds", "forward", "rate", "vol", "svi", "confidence")],
    "surface": GRID_NAMES,
}
"""What is read of an asset's quote."""
MOST_NESTED = 4
"""A share of a share of a share: deeper nobody looks through."""


class Basis(StrEnum):
    """Which value an asset is counted at."""

    PRICE = "price"
    MARKET = "market value"
    REDEMPTION = "redemption value"


@dataclass(frozen=True, slots=True)
class Quote:
    """What the market says of an asset. `stable` and `twap` are its price where the file has none of their own.

    Where the asset redeems for another, `price` is the one of `market` and `redemption` that `basis` says, and
    `redeems_for` is that other or, where it redeems in turn, the last one.
    """

    asset: str
    price: Wad
    stable: Wad
    twap: Wad
    confidence: Wad
    open_interest: Money
    deposits: Wad
    borrows: Wad
    decimals: int
    basis: Basis = Basis.PRICE
    market: Wad | None = None
    redemption: Wad | None = None
    redeems_for: str = ""

    @property
    def moves_with(self) -> str:
        """The asset whose price this one's follows."""
        return self.redeems_for or self.asset


@dataclass(frozen=True, slots=True)
class Mark:
    """The price of a perpetual at a venue that does not mark it by the asset's price."""

    price: Wad
    confidence: Wad


@dataclass(frozen=True, slots=True)
class Expiry:
    """The market of an asset's options of one expiry."""

    seconds: int
    forward: Wad
    rate: Wad
    surface: Svi | Slice | float
    confidence: Wad = ONE

    @property
    def years(self) -> float:
        """Time to expiry, in years of 365 days."""
        return self.seconds / SECONDS_A_YEAR

    def vol(self, strikes: FloatArray) -> FloatArray:
        """The volatility at each strike."""
        if isinstance(self.surface, float):
            return np.full_like(strikes, self.surface)
        return self.surface.vol(strikes)


# === Quotes ===


@dataclass(frozen=True, slots=True)
class Quotes:
    """A market of which every part is read once, when an account needs it; and what is known of accounts' items."""

    market: Fields
    found: dict[Hashable, object] = field(default_factory=dict, repr=False, compare=False)
    items: Known = field(default_factory=Known, repr=False, compare=False)

    def of(self, account: str) -> Quotes:
        """The same, in whose errors an account is named."""
        return Quotes(self.market.said_of(account), self.found, self.items)

    def get(self, read: Callable[..., Read], asset: str, *expiry: int) -> Read:
        """What one of the readers below makes of an asset, or of an expiry of it. Raises what it raises."""
        key = (read, asset, *expiry)
        if key not in self.found:
            self.found[key] = read(self.market, asset, *expiry)
        return cast("Read", self.found[key])


def read_quote(market: Fields, asset: str) -> Quote:
    """At the asset's market price."""
    fields = _asset(market, asset)
    price = fields.positive("price")
    return Quote(
        asset=asset,
        price=price,
        stable=fields.positive("stable_price") if fields.has("stable_price") else price,
        twap=fields.positive("twap") if fields.has("twap") else price,
        confidence=fields.number("confidence", low=0, high=1, default=1),
        open_interest=fields.money("open_interest", low=0, default=0),
        deposits=fields.number("deposits", low=0, default=0),
        borrows=fields.number("borrows", low=0, default=0),
        decimals=fields.whole("decimals", high=18, default=9),
    )


def read_mark(market: Fields, asset: str) -> Mark | None:
    """The mark of the asset's perpetual, where its venue has one of its own."""
    fields = _asset(market, asset)
    if not fields.has("perpetual_price"):
        return None
    confidence = fields.number("perpetual_confidence", low=0, high=1, default=1)
    return Mark(fields.positive("perpetual_price"), confidence)


def read_held(market: Fields, asset: str) -> Quote:
    """Of collateral: where the asset redeems for another, at the lower of market and redemption value."""
    return _redeemable(market, asset, min, _down, MOST_NESTED)


def read_owed(market: Fields, asset: str) -> Quote:
    """Of a debt: where the asset redeems for another, at the higher of market and redemption value."""
    return _redeemable(market, asset, max, _up, MOST_NESTED)


def _redeemable(
    market: Fields, asset: str, pick: Callable[[Wad, Wad], Wad], product: Callable[[int, int], Wad], deeper: int
) -> Quote:
    quote = read_quote(market, asset)
    fields = _asset(market, asset)
    if not fields.has("redemption"):
        return quote
    if not deeper:
        raise fields.wrong(f"it redeems for itself, or through more than {MOST_NESTED} others", "redemption")
    redeems = fields.section("redemption")
    underlying = _redeemable(market, redeems.text("asset"), pick, product, deeper - 1)
    redemption = product(redeems.positive("rate"), underlying.price)
    if not 0 < redemption <= LARGEST * WAD:
        raise OutOfRange(
            "its redemption value is absurd: check the rate",
            account=fields.account,
            instrument=asset,
            field="redemption.rate",
            value=as_float(redemption),
        )
    price = pick(quote.price, redemption)
    return replace(
        quote,
        price=price,
        stable=quote.stable if fields.has("stable_price") else price,
        twap=quote.twap if fields.has("twap") else price,
        confidence=min(quote.confidence, underlying.confidence),
        basis=Basis.MARKET if price == quote.price else Basis.REDEMPTION,
        market=quote.price,
        redemption=redemption,
        redeems_for=underlying.moves_with,
    )


def _down(first: int, second: int) -> Wad:
    return Wad(first * second // WAD)


def _up(first: int, second: int) -> Wad:
    return Wad(-(-first * second // WAD))


def _asset(market: Fields, asset: str) -> Fields:
    if not market.has(asset):
        raise UnknownAsset("the market does not quote it", account=market.account, instrument=asset, field="market")
    return market.section(asset)


# === Expiries ===


def read_forward(market: Fields, asset: str, seconds: int) -> Wad:
    """The forward price of an expiry."""
    return _expiry(_asset(market, asset), seconds).positive("forward")


def read_expiry(market: Fields, asset: str, seconds: int) -> Expiry:
    """An expiry with its volatilities."""
    fields = _asset(market, asset)
    expiry = _expiry(fields, seconds)
    forward = expiry.positive("forward")
    surface: Svi | Slice | float
    if expiry.has("svi"):
        surface = read_svi(expiry, "svi")
    elif fields.has("surface") and not expiry.has("vol"):
        surface = read_slice(fields.section("surface").named(f"{asset} surface"), seconds, as_float(forward))
    else:
        surface = as_float(expiry.number("vol", low=0, high=100))
    rate = expiry.number("rate", low=-10, high=10, default=0)
    return Expiry(seconds, forward, rate, surface, expiry.number("confidence", low=0, high=1, default=1))


def _expiry(asset: Fields, seconds: int) -> Fields:
    for fields in asset.items("expiries"):
        if fields.has("seconds") and fields.whole("seconds", low=-LONGEST_SECONDS, high=LONGEST_SECONDS) == seconds:
            return fields.named(f"{asset.instrument} expiry {seconds}")
    raise MissingField(
        "the market has no such expiry",
        account=asset.account,
        instrument=asset.instrument,
        field="expiries",
        seconds=seconds,
    )


# === Interest ===


def read_debt(market: Fields, asset: str, debt: Fields) -> Wad:
    """What a debt's `amount` has become: with an `index`, principal·index now/index then, rounded up."""
    principal = debt.number("amount", low=0)
    if principal == 0 or not debt.has("index"):
        return principal
    then, now = debt.positive("index"), _index(_asset(market, asset))
    if now < then:
        raise PortfolioError(
            "the market's index is below the debt's: an index never falls",
            account=debt.account,
            instrument=asset,
            field="index",
            then=as_float(then),
            now=as_float(now),
        )
    owed = Wad(accrued(principal, then, now))
    if owed > LARGEST * WAD:
        raise OutOfRange(
            "with interest it is absurdly large: check the indices",
            account=debt.account,
            instrument=asset,
            field="index",
            value=as_float(owed),
        )
    return owed


def _index(fields: Fields) -> Wad:
    index = fields.positive("borrow_index")
    age = fields.whole("index_age", high=LONGEST_SECONDS, default=0)
    if not age:
        return index
    rates = fields.section("borrow_curve")
    curve = RateCurve(
        rates.number("least", low=0, high=100),
        rates.number("slope", low=0, high=100),
        rates.number("optimal", low=0, high=1),
        rates.number("steep", low=0, high=100),
    )
    borrowed, supplied = (fields.number(name, low=0) for name in ("borrows", "deposits"))
    rate = borrow_rate(curve, utilisation(borrowed, supplied))
    if rate * age > LARGEST_EXPONENT * WAD * SECONDS_A_YEAR:
        raise OutOfRange(
            "at its rate the index would have grown absurdly: accrue it first",
            account=fields.account,
            instrument=fields.instrument,
            field="index_age",
            seconds=age,
        )
    return accrued(index, Wad(WAD), growth(rate, age))
