"""The portfolio file: accounts, their market and parameters in one JSON document, and what it becomes.

    {"market":     {"ETH": {"price": 2000, "stable_price": 1990, "twap": 1995, "confidence": 0.99,
                            "open_interest": 5e7, "deposits": 12000, "borrows": 3000, "decimals": 9,
                            "expiries": [{"seconds": 2592000, "forward": 2010, "rate": 0.05, "vol": 0.6}]},
                    "USDC": {"price": 1}},
     "parameters": {…},
     "accounts":   [{"account": "alice", "category": "",
                     "cash":        -500,
                     "collateral":  [{"asset": "ETH", "amount": 2}],
                     "debts":       [{"asset": "USDC", "amount": 1000}],
                     "perpetuals":  [{"asset": "ETH", "amount": -1, "entry_price": 2100, "funding": 0}],
                     "options":     [{"asset": "ETH", "seconds": 2592000, "strike": 2200, "call": true,
                                      "amount": -3}]}]}

Numbers are JSON numbers or decimal text. Money is in USD, amounts in whole units (perpetuals and options signed,
collateral and debts not negative), prices in USD a unit, rates and vols a year, `open_interest` in USD, `deposits` and
`borrows` (the market's totals) in units, `decimals` the smallest unit that a venue counts sizes in. An expiry has
`vol`, or `svi`: [a, b, rho, m, sigma, forward, years]. Only what an account holds is read of the market; a profile
reads the parameters that it needs, its defaults under them. A file with one account may have its fields at the top.
Must not know any model's rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from node.margin.math import FloatArray
from node.margin.models.errors import MissingField, UnknownAsset
from node.margin.models.fields import LONGEST_SECONDS, Fields
from node.margin.models.fixed import Money, Wad, as_float, value
from node.margin.models.svi import Svi, read_svi

SECONDS_A_DAY = 86_400
SECONDS_A_YEAR = 365 * SECONDS_A_DAY
MOST_ACCOUNTS = 100_000
_FIELDS = frozenset({"account", "category", "cash", "collateral", "debts", "perpetuals", "options"})
_FILE = frozenset({"market", "parameters"})


@dataclass(frozen=True, slots=True)
class Quote:
    """What the market says of an asset. `stable` and `twap` are its price where the file has none of their own."""

    asset: str
    price: Wad
    stable: Wad
    twap: Wad
    confidence: Wad
    open_interest: Money
    deposits: Wad
    borrows: Wad
    decimals: int


@dataclass(frozen=True, slots=True)
class Balance:
    """Collateral or a debt: an amount ≥ 0 of an asset."""

    amount: Wad
    quote: Quote


@dataclass(frozen=True, slots=True)
class Perpetual:
    """A linear perpetual or dated future; `amount` is signed, `funding` is what it still receives."""

    amount: Wad
    entry: Wad
    funding: Money
    quote: Quote


@dataclass(frozen=True, slots=True)
class Expiry:
    """The market of an asset's options of one expiry."""

    seconds: int
    forward: Wad
    rate: Wad
    surface: Svi | float

    @property
    def years(self) -> float:
        """Time to expiry, in years of 365 days."""
        return self.seconds / SECONDS_A_YEAR

    def vol(self, strikes: FloatArray) -> FloatArray:
        """The volatility at each strike."""
        if isinstance(self.surface, Svi):
            return self.surface.vol(strikes)
        return np.full_like(strikes, self.surface)


@dataclass(frozen=True, slots=True)
class Option:
    """A European option; `amount` is signed."""

    strike: Wad
    is_call: bool
    amount: Wad
    expiry: Expiry
    quote: Quote

    @property
    def name(self) -> str:
        """For people: asset, seconds to expiry, strike, C or P."""
        return f"{self.quote.asset}-{self.expiry.seconds}-{as_float(self.strike):g}-{'C' if self.is_call else 'P'}"


@dataclass(frozen=True, slots=True)
class Book:
    """One account with the market of what it holds. What has no amount is not in it."""

    account: str
    category: str
    cash: Money
    collateral: tuple[Balance, ...]
    debts: tuple[Balance, ...]
    perpetuals: tuple[Perpetual, ...]
    options: tuple[Option, ...]


def accounts(content: object, name: str) -> Iterator[tuple[str, object]]:
    """Each account's name and its part of a file; `name` is for one account that has none.

    Raises PortfolioError where the file is none.
    """
    file = Fields.of(content, "")
    if not file.has("accounts"):
        yield _name(content, name), {key: each for key, each in file.content.items() if key not in _FILE}
        return
    for place, each in enumerate(file.entries("accounts", most=MOST_ACCOUNTS)):
        yield _name(each, f"account {place}"), each


def _name(content: object, default: str) -> str:
    name = content.get("account") if isinstance(content, dict) else None
    return name if isinstance(name, str) and name else default


def read_book(content: object, name: str, market: Fields) -> Book:
    """One account of a file. Raises PortfolioError, which names account, instrument and field."""
    fields = Fields.of(content, name)
    for key in fields.content:
        if key not in _FIELDS:
            raise fields.wrong("an account has no such field; its model may read another format", key)
    quotes = Fields(market.content, name, "")
    return Book(
        account=name,
        category=fields.text("category", ""),
        cash=fields.money("cash", default=0),
        collateral=tuple(_balances(fields, "collateral", quotes)),
        debts=tuple(_balances(fields, "debts", quotes)),
        perpetuals=tuple(_perpetuals(fields, quotes)),
        options=tuple(_options(fields, quotes)),
    )


def _balances(fields: Fields, section: str, quotes: Fields) -> Iterator[Balance]:
    for each in fields.items(section):
        held = each.named(each.text("asset"))
        if amount := held.number("amount", low=0):
            yield Balance(amount, _quote(quotes, held.instrument))


def _perpetuals(fields: Fields, quotes: Fields) -> Iterator[Perpetual]:
    for each in fields.items("perpetuals"):
        asset = each.text("asset")
        held = each.named(f"{asset} perpetual")
        if amount := held.number("amount"):
            quote = _quote(quotes, asset)
            entry = held.number("entry_price", low=0) if held.has("entry_price") else quote.price
            yield Perpetual(amount, entry, held.money("funding", default=0), quote)


def _options(fields: Fields, quotes: Fields) -> Iterator[Option]:
    for place, each in enumerate(fields.items("options")):
        asset = each.text("asset")
        held = each.named(f"{asset} option {place}")
        if amount := held.number("amount"):
            seconds = held.seconds_ahead("seconds")
            expiry = _expiry(_asset(quotes, asset), seconds)
            yield Option(held.positive("strike"), held.flag("call"), amount, expiry, _quote(quotes, asset))


def _asset(quotes: Fields, asset: str) -> Fields:
    if not quotes.has(asset):
        raise UnknownAsset("the market does not quote it", account=quotes.account, instrument=asset, field="market")
    return quotes.section(asset)


def _quote(quotes: Fields, asset: str) -> Quote:
    fields = _asset(quotes, asset)
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


def _expiry(asset: Fields, seconds: int) -> Expiry:
    for fields in asset.items("expiries"):
        if fields.has("seconds") and fields.whole("seconds", low=-LONGEST_SECONDS, high=LONGEST_SECONDS) == seconds:
            named = fields.named(f"{asset.instrument} expiry {seconds}")
            surface = read_svi(named, "svi") if named.has("svi") else as_float(named.number("vol", low=0, high=100))
            rate = named.number("rate", low=-10, high=10, default=0)
            return Expiry(seconds, named.positive("forward"), rate, surface)
    raise MissingField(
        "the market has no such expiry",
        account=asset.account,
        instrument=asset.instrument,
        field="expiries",
        seconds=seconds,
    )


def unit_value(balance: Balance, price: Wad | None = None) -> Money:
    """amount·price, rounded down; at the quote's price unless another is given."""
    return value(balance.amount, balance.quote.price if price is None else price)
