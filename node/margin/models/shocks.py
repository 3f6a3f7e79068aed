"""A book's options, perpetuals and futures under joint moves of price and volatility: what scan-based models share.

Marks are made once an option and move, in reproducible floats, and are exact money from there on. Must not know which
moves a model makes or what it requires.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import mul

import numpy as np

from node.margin.math import exp
from node.margin.models.book import Book, Future, Option, Perpetual
from node.margin.models.errors import OutOfRange
from node.margin.models.fixed import ONE, WAD, Money, Wad, as_float, as_money, down, product, value
from node.margin.models.market import Expiry, Quote
from node.margin.models.pricing import black76, forward_delta

LARGEST_MARK = 1e15
"""In USD: no mark is as much."""

VolRule = Callable[[float, int], float]
"""A volatility and the seconds to expiry → the shocked volatility."""


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """The spot's relative move, what happens to volatility, and the fraction of the result that counts.

    A move is itself and equals no other: what options are worth under it is remembered by it.
    """

    name: str
    spot: Wad
    vol: VolRule
    weight: Wad = ONE


def unmoved(vol: float, _: int) -> float:
    """Volatility as it is."""
    return vol


NO_MOVE = Move("unmoved", Wad(0), unmoved)


@dataclass(frozen=True, slots=True)
class Positions:
    """A book's positions on one underlying."""

    perpetuals: list[Perpetual] = field(default_factory=list)
    futures: list[Future] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)

    @property
    def linear(self) -> list[Perpetual | Future]:
        """Perpetuals, then dated futures."""
        return [*self.perpetuals, *self.futures]


def _by_underlying(book: Book) -> dict[str, Positions]:
    found: defaultdict[str, Positions] = defaultdict(Positions)
    for perpetual in book.perpetuals:
        found[perpetual.quote.asset].perpetuals.append(perpetual)
    for future in book.futures:
        found[future.quote.asset].futures.append(future)
    for option in book.options:
        found[option.quote.asset].options.append(option)
    return {asset: found[asset] for asset in sorted(found)}


def underlyings(book: Book) -> tuple[str, ...]:
    """What the book's positions are on, in order."""
    return tuple(book.once(_by_underlying))


def on(book: Book, asset: str) -> Positions:
    """The positions on one underlying."""
    return book.once(_by_underlying).get(asset) or Positions()


def quote_on(book: Book, asset: str) -> Quote:
    """The quote of an underlying."""
    held = on(book, asset)
    return next(each.quote for each in [*held.linear, *held.options])


def linear_amounts(book: Book, asset: str) -> list[Wad]:
    """The sizes of the perpetuals and futures on one underlying."""
    return [each.amount for each in on(book, asset).linear]


def marks(account: str, option: Option, moves: Sequence[Move]) -> Sequence[Money]:
    """The option's price under each move. Raises OutOfRange, which names it, where its market gives no finite one."""
    found = _marks(option.expiry, option.strike, option.is_call, tuple(moves))
    if found is None:
        raise unpriced(account, option)
    return found


def unpriced(account: str, option: Option) -> OutOfRange:
    """What is wrong with an option whose market gives no finite price."""
    return OutOfRange(
        "the market gives no finite price; check forward, rate and volatility",
        account=account,
        instrument=option.name,
        field="mark",
    )


def vol_at(option: Option) -> float:
    """The volatility at the option's strike."""
    return float(option.expiry.vol(np.array([as_float(option.strike)]))[0])


@lru_cache(maxsize=1 << 14)
def _marks(expiry: Expiry, strike: Wad, is_call: bool, moves: tuple[Move, ...]) -> tuple[Money, ...] | None:  # noqa: FBT001
    """One option under all moves, remembered: every threshold and every trial of a plan asks for the same."""
    strikes = np.array([as_float(strike)])
    vol = float(expiry.vol(strikes)[0])
    forwards = np.array([as_float(product(expiry.forward, ONE + move.spot)) for move in moves])
    vols = np.array([move.vol(vol, expiry.seconds) for move in moves])
    found = black76(forwards, strikes, expiry.years, vols, _discount(expiry), np.array([float(is_call)])).tolist()
    return tuple(map(as_money, found)) if all(price < LARGEST_MARK for price in found) else None


def _discount(expiry: Expiry) -> float:
    return exp(-as_float(expiry.rate) * expiry.years)


def options_value(book: Book, asset: str) -> Money:
    """Σ amount·mark of the options on an underlying, rounded down once."""
    return book.once(_options_value, asset)


def _options_value(book: Book, asset: str) -> Money:
    return Money(sum(each.amount * marks(book.account, each, [NO_MOVE])[0] for each in on(book, asset).options) // WAD)


def profit_and_loss(book: Book, asset: str, moves: Sequence[Move], coins: int = 0) -> list[Money]:
    """What each move does to the positions on an underlying: ⌊weight·(Δ perpetuals and futures + Δ options)⌋.

    A forward moves by the spot's fraction, and so does what of the account is in coin: `coins`, in 1e-36 USD.
    """
    positions = on(book, asset)
    linear = sum(each.amount * each.quote.price for each in positions.perpetuals)
    linear += sum(each.amount * each.forward for each in positions.futures)
    held = value(1, coins + linear)
    every = (NO_MOVE, *moves)
    found = [marks(book.account, option, every) for option in positions.options]
    amounts = [option.amount for option in positions.options]
    now, *then = [sum(map(mul, amounts, row)) for row in zip(*found, strict=True)] or [0] * len(every)
    return [
        down(down(held, move.spot) + (exact - now) // WAD, move.weight) for exact, move in zip(then, moves, strict=True)
    ]


def delta(option: Option) -> float:
    """∂mark/∂spot for a forward that moves with the spot: df·Φ(d+)·F/S for a call, less df·F/S for a put."""
    return _delta(option.expiry, as_float(option.strike), option.is_call, as_float(option.quote.price))


@lru_cache(maxsize=1 << 14)
def _delta(expiry: Expiry, strike: float, is_call: bool, spot: float) -> float:  # noqa: FBT001
    strikes, forward = np.array([strike]), as_float(expiry.forward)
    found = forward_delta(np.array([forward]), strikes, expiry.years, expiry.vol(strikes), np.array([float(is_call)]))
    return _discount(expiry) * forward / spot * float(found[0])


def linear_deltas(book: Book, asset: str) -> list[Wad]:
    """The delta of each perpetual and future on an underlying; a future's is F/S a contract, rounded down."""
    held = on(book, asset)
    parts = [each.amount for each in held.perpetuals]
    return parts + [Wad(each.amount * each.forward // each.quote.price) for each in held.futures]


def deltas(book: Book, asset: str) -> tuple[Wad, Wad]:
    """Net and gross delta of the positions on an underlying, in units of it."""
    return book.once(_deltas, asset)


def _deltas(book: Book, asset: str) -> tuple[Wad, Wad]:
    parts = linear_deltas(book, asset)
    parts += [Wad(each.amount * round(delta(each) * 1e18) // WAD) for each in on(book, asset).options]
    return Wad(sum(parts)), Wad(sum(map(abs, parts)))
