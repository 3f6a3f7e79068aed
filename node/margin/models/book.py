"""The portfolio file: accounts, their market and parameters in one JSON document, and what it becomes.

    {"market":     {"ETH": {"price": 2000, "stable_price": 1990, "twap": 1995, "confidence": 0.99,
                            "perpetual_price": 2001, "perpetual_confidence": 0.98,
                            "open_interest": 5e7, "deposits": 12000, "borrows": 3000, "decimals": 9,
                            "expiries": [{"seconds": 2592000, "forward": 2010, "rate": 0.05, "vol": 0.6}]},
                    "WSTETH": {"price": 2290, "redemption": {"asset": "ETH", "rate": 1.17}},
                    "USDC": {"price": 1, "borrow_index": 1.04}},
     "parameters": {…},
     "accounts":   [{"account": "alice", "category": "",
                     "cash":        -500,
                     "collateral":  [{"asset": "WSTETH", "amount": 2}],
                     "debts":       [{"asset": "USDC", "amount": 1000, "index": 1.01}],
                     "perpetuals":  [{"asset": "ETH", "amount": -1, "entry_price": 2100, "funding": 0}],
                     "futures":     [{"asset": "ETH", "seconds": 2592000, "amount": 2, "entry_price": 2050}],
                     "options":     [{"asset": "ETH", "seconds": 2592000, "strike": 2200, "call": true,
                                      "amount": -3}]}]}

Numbers are JSON numbers or decimal text. Money is in USD, amounts in whole units (perpetuals, futures and options
signed, collateral and debts not negative), prices in USD a unit, rates and vols a year, `open_interest` in USD,
`deposits` and `borrows` (the market's totals) in units, `decimals` the smallest unit that a venue counts sizes in.
An account holds an instrument once. A file with one account may have its fields at the top.

An expiry's volatility is its `vol`; or `svi`: [a, b, rho, m, sigma, forward, years]; or the asset has a grid,
`surface`: {"strikes": [1500, 2000, 2500], "rows": [{"seconds": 604800, "forward": 2002, "vols": [0.8, 0.7, 0.75]}, …]}.
Futures need the forward alone. An expiry may have a `confidence` of its own. `perpetual_price` is the mark of venues
that mark perpetuals by themselves; models of venues that mark them by the asset's price do not ask for it.

A vault share or staking token has two values: its market `price`, and what it redeems for, `rate` units of another
asset. Both must be there. Collateral counts at the lower one, a debt at the higher one, and lines say which it was.

A debt with an `index` is a principal of the time when the market's `borrow_index` was that: it has grown with it. An
index that is `index_age` seconds old grows by `borrow_curve`: {"least": 0.02, "slope": 0.05, "optimal": 0.8,
"steep": 1}, at the utilisation that `borrows` and `deposits` say. Without `index` the amount is what is owed now.

Only what an account holds is read of the market; a profile reads the parameters that it needs, its defaults under them.
A file may serve several profiles: a name that any of them reads is fine under each, one that none reads is an error.
Must not know any model's rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Generic, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np

from node.margin.math import FloatArray
from node.margin.models.errors import CrossedSurface, DuplicateInstrument
from node.margin.models.fields import LONGEST_TEXT, Fields, Names, leaves
from node.margin.models.fixed import Money, Wad, as_float, value
from node.margin.models.market import (
    Basis,
    Expiry,
    Mark,
    Quote,
    Quotes,
    read_debt,
    read_expiry,
    read_forward,
    read_held,
    read_mark,
    read_owed,
    read_quote,
)
from node.margin.models.svi import Svi

SECONDS_A_DAY = 86_400
MOST_ACCOUNTS = 100_000
PLACE = ("chain", "venue")
"""Where something is held, which no book knows."""
ACCOUNT_NAMES: Names = {
    **leaves("account", "category", "cash"),
    "collateral": [leaves("asset", "amount", *PLACE)],
    "debts": [leaves("asset", "amount", "index", *PLACE)],
    "perpetuals": [leaves("asset", "amount", "entry_price", "funding", *PLACE)],
    "futures": [leaves("asset", "seconds", "amount", "entry_price", *PLACE)],
    "options": [leaves("asset", "seconds", "strike", "call", "amount", *PLACE)],
}
"""What is read of an account."""
FILE = leaves("market", "parameters", "plan", "what_if")
"""What is read of a file beside its accounts."""
_SLACK = 1e-9
Instrument = TypeVar("Instrument")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Balance:
    """Collateral or a debt: an amount ≥ 0 of an asset, a debt with its interest."""

    amount: Wad
    quote: Quote

    def named(self, component: str) -> str:
        """The component, and at which value it counts where the asset has two."""
        basis = self.quote.basis
        return component if basis is Basis.PRICE else f"{component} at {basis.value}"


@dataclass(frozen=True, slots=True)
class Perpetual:
    """A linear perpetual; `amount` is signed, `funding` is what it still receives, `mark` its own quote, if any."""

    amount: Wad
    entry: Wad
    funding: Money
    quote: Quote
    mark: Mark | None = None

    @property
    def price(self) -> Wad:
        """The mark of its venue, the asset's price where there is none."""
        return self.quote.price if self.mark is None else self.mark.price

    @property
    def confidence(self) -> Wad:
        """The lower one of its mark's and the asset's."""
        return self.quote.confidence if self.mark is None else min(self.mark.confidence, self.quote.confidence)


@dataclass(frozen=True, slots=True)
class Future:
    """A linear dated future, marked at the `forward` of its expiry; `amount` is signed."""

    amount: Wad
    entry: Wad
    seconds: int
    forward: Wad
    quote: Quote

    @property
    def name(self) -> str:
        """For people: asset and seconds to expiry."""
        return f"{self.quote.asset}-{self.seconds}"


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
    futures: tuple[Future, ...] = ()
    _known: dict[Hashable, tuple[object, object]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, find: Callable[..., Made], *others: object) -> Made:
        """What a rule finds of the book and other objects, found once: every threshold asks."""
        key = (find, *map(id, others))
        if key not in self._known:
            self._known[key] = others, find(self, *others)
        return cast("Made", self._known[key][1])


SECTIONS = ("collateral", "debts", "perpetuals", "futures", "options")


def instruments(book: Book, section: str) -> Iterator[str]:
    """What the account holds in a section of its file, for people."""
    for held in getattr(book, section):
        if isinstance(held, Future | Option):
            yield held.name
        else:
            yield f"{held.quote.asset} perpetual" if isinstance(held, Perpetual) else held.quote.asset


def unit_value(balance: Balance, price: Wad | None = None) -> Money:
    """amount·price, rounded down; at the quote's price unless another is given."""
    return value(balance.amount, balance.quote.price if price is None else price)


def gain(position: Perpetual | Future, price: Wad | None = None) -> Money:
    """amount·(price − entry), rounded down, and what funding a perpetual still receives.

    The price is a future's forward and a perpetual's underlying's, unless another is given.
    """
    if isinstance(position, Future):
        return value(position.amount, Wad((position.forward if price is None else price) - position.entry))
    change = Wad((position.quote.price if price is None else price) - position.entry)
    return Money(value(position.amount, change) + position.funding)


# === Reading ===


def accounts(content: object, name: str) -> Iterator[tuple[str, object]]:
    """Each account's name and its part of a file; `name` is for one account that has none.

    Raises PortfolioError where the file is none.
    """
    file = Fields.of(content, "")
    if not file.has("accounts"):
        yield _name(content, name), {key: each for key, each in file.content.items() if key not in FILE}
        return
    for place, each in enumerate(file.entries("accounts", most=MOST_ACCOUNTS)):
        yield _name(each, f"account {place}"), each


def isolated_name(account: str, title: str) -> str:
    """What an account in an account is called."""
    return f"{account}/{title}"


def _name(content: object, default: str) -> str:
    name = content.get("account") if isinstance(content, dict) else None
    return name if isinstance(name, str) and 0 < len(name) <= LONGEST_TEXT else default


def read_book(content: object, name: str, market: Fields | Quotes) -> Book:
    """One account of a file. Raises PortfolioError, which names account, instrument and field.

    For many accounts of one market give Quotes, which reads it once.
    """
    fields = Fields.of(content, name)
    for key in fields.content:
        if key not in ACCOUNT_NAMES:
            raise fields.wrong("an account has no such field; its model may read another format", key)
    fields.text("account", name)
    quotes = (market if isinstance(market, Quotes) else Quotes(market)).of(name)
    return Book(
        account=name,
        category=fields.text("category", ""),
        cash=fields.money("cash", default=0),
        collateral=tuple(_held(fields, "collateral", quotes, _collateral)),
        debts=tuple(_held(fields, "debts", quotes, _debt)),
        perpetuals=tuple(_held(fields, "perpetuals", quotes, _perpetual)),
        futures=tuple(_held(fields, "futures", quotes, _future)),
        options=_uncrossed(name, tuple(_held(fields, "options", quotes, _option))),
    )


class _Item(NamedTuple, Generic[Instrument]):
    """An item of an account: its name for people, what it is, and by what no other is the same."""

    name: str
    held: Instrument
    identity: Hashable


_Reader: TypeAlias = Callable[[object, str, int, Quotes], _Item[Instrument] | None]
"""Reads an item, of an account, at a place, in a market; None without an amount."""


def _held(fields: Fields, section: str, quotes: Quotes, read: _Reader[Instrument]) -> Iterator[Instrument]:
    """What has an amount in a section of the account."""
    seen: set[Hashable] = set()
    for place, content in enumerate(fields.entries(section)):
        item = quotes.items.once(read, content, fields.account, place, quotes)
        if item is None:
            continue
        if item.identity in seen:
            raise DuplicateInstrument(
                "the account holds it twice: sum it up",
                account=fields.account,
                instrument=item.name,
                field=section,
            )
        seen.add(item.identity)
        yield item.held


def _collateral(content: object, account: str, _: int, quotes: Quotes) -> _Item[Balance] | None:
    item = Fields.of(content, account, "collateral")
    asset = item.text("asset")
    if amount := item.named(asset).number("amount", low=0):
        return _Item(asset, Balance(amount, quotes.get(read_held, asset)), asset)
    return None


def _debt(content: object, account: str, _: int, quotes: Quotes) -> _Item[Balance] | None:
    item = Fields.of(content, account, "debts")
    asset = item.text("asset")
    if amount := read_debt(quotes.market, asset, item.named(asset)):
        return _Item(asset, Balance(amount, quotes.get(read_owed, asset)), asset)
    return None


def _perpetual(content: object, account: str, _: int, quotes: Quotes) -> _Item[Perpetual] | None:
    item = Fields.of(content, account, "perpetuals")
    asset = item.text("asset")
    held = item.named(f"{asset} perpetual")
    if amount := held.number("amount"):
        quote = quotes.get(read_quote, asset)
        entry = held.number("entry_price", low=0) if held.has("entry_price") else quote.price
        mark = quotes.get(read_mark, asset)
        funding = held.money("funding", default=0)
        return _Item(held.instrument, Perpetual(amount, entry, funding, quote, mark), asset)
    return None


def _future(content: object, account: str, place: int, quotes: Quotes) -> _Item[Future] | None:
    item = Fields.of(content, account, "futures")
    asset = item.text("asset")
    held = item.named(f"{asset} future {place}")
    if amount := held.number("amount"):
        seconds = held.seconds_ahead("seconds")
        forward = quotes.get(read_forward, asset, seconds)
        entry = held.number("entry_price", low=0) if held.has("entry_price") else forward
        future = Future(amount, entry, seconds, forward, quotes.get(read_quote, asset))
        return _Item(held.instrument, future, (asset, seconds))
    return None


def _option(content: object, account: str, place: int, quotes: Quotes) -> _Item[Option] | None:
    item = Fields.of(content, account, "options")
    asset = item.text("asset")
    held = item.named(f"{asset} option {place}")
    if amount := held.number("amount"):
        seconds = held.seconds_ahead("seconds")
        strike, is_call = held.positive("strike"), held.flag("call")
        expiry = quotes.get(read_expiry, asset, seconds)
        option = Option(strike, is_call, amount, expiry, quotes.get(read_quote, asset))
        return _Item(held.instrument, option, (asset, seconds, strike, is_call))
    return None


def _uncrossed(account: str, options: tuple[Option, ...]) -> tuple[Option, ...]:
    """The options, if their expiries do not cross where the account looks at them."""
    strikes: defaultdict[str, dict[int, tuple[Expiry, set[Wad]]]] = defaultdict(dict)
    for option in options:
        place = strikes[option.quote.asset].setdefault(option.expiry.seconds, (option.expiry, set()))
        place[1].add(option.strike)
    for asset, by_time in strikes.items():
        ordered = [by_time[seconds] for seconds in sorted(by_time)]
        for (first, near), (second, far) in pairwise(ordered):
            strike = _crossed(first, frozenset(near), second, frozenset(far))
            if strike is not None:
                raise CrossedSurface(
                    "the surface allows arbitrage: total variance falls with time",
                    account=account,
                    instrument=f"{asset} surface",
                    field="svi" if isinstance(second.surface, Svi) else "vol",
                    expiry=second.seconds,
                    strike=strike,
                )
    return options


@lru_cache(maxsize=1 << 10)  # trials of a plan look at the same strikes
def _crossed(first: Expiry, near: frozenset[Wad], second: Expiry, far: frozenset[Wad]) -> float | None:
    """At which strike of the later expiry total variance is lower than earlier, at one ln(K/F)."""
    ratio = _center(second) / _center(first)
    ladder = np.array(sorted({as_float(each) for each in near} | {as_float(each) / ratio for each in far}))
    crossed = _variance(first, ladder) > _variance(second, ladder * ratio) * (1.0 + _SLACK)
    return float(ladder[int(np.argmax(crossed))] * ratio) if crossed.any() else None


def _center(expiry: Expiry) -> float:
    """The forward that moneyness is measured from."""
    return expiry.surface.forward if isinstance(expiry.surface, Svi) else as_float(expiry.forward)


def _variance(expiry: Expiry, strikes: FloatArray) -> FloatArray:
    vol = expiry.vol(strikes)
    return vol * vol * expiry.years
