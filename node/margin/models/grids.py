"""Scenario grids in the family of Deribit's and Paradex's portfolio margins.

Sources: Deribit's and Paradex's published descriptions (support articles and docs); a grid is data. An account's loss
on an underlying is the worst of its scenarios; floors and contingencies come on top, underlying by underlying.

Collateral and debts in coin move with their coin, a share or staking token with what it redeems for: Deribit's cross
portfolio margin scans them in that coin's bucket, where they offset positions and are at risk themselves. (Paradex
takes USDC alone.) Floors and contingencies are of positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from node.margin.math import FloatArray, power
from node.margin.models.book import SECONDS_A_DAY, Book, gain, unit_value
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields, leaves
from node.margin.models.fixed import ONE, Money, Wad, as_float, product, up, usd, value
from node.margin.models.market import Quotes, read_held
from node.margin.models.profile import Line, Shown, Threshold, equity, requirement
from node.margin.models.shocks import (
    Move,
    VolRule,
    deltas,
    linear_amounts,
    on,
    options_value,
    profit_and_loss,
    quote_on,
    underlyings,
)

_REFERENCE_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class GridParameters:
    """The moves, and what is required beside the worst of them.

    `net_delta_floor` and `hedged_delta_floor` are fractions of the delta's value, `option_contingency` and
    `future_contingency` of the notional; `maintenance` is maintenance over initial margin. The price of `stables` does
    not move.
    """

    moves: tuple[Move, ...]
    stables: frozenset[str]
    net_delta_floor: Wad
    hedged_delta_floor: Wad
    option_contingency: Wad
    future_contingency: Wad
    maintenance: Wad


_POWERS = ("short_power", "long_power", "least_vol_up")
_RATIOS = ("net_delta_floor", "hedged_delta_floor", "option_contingency", "future_contingency", "maintenance")
NAMES = leaves("scenarios", "stables", *_POWERS, *_RATIOS)
"""What is read of the parameters."""


def read_grid(fields: Fields) -> GridParameters:
    """`scenarios`: [[spot move, vol shock, weight], …], and how a vol shock scales with time to expiry.

    `short_power` up to 30 days and `long_power` beyond: (30/max(days, 1))^p; `least_vol_up` is the least volatility
    after an upward shock. Floors, contingencies, `maintenance` and the list `stables` as in GridParameters.
    """
    short, long, least = (as_float(fields.number(name, low=0, high=10)) for name in _POWERS)
    moves = []
    for row in fields.entries("scenarios"):
        if not isinstance(row, list) or len(row) != 3:
            raise fields.wrong("give [spot move, vol shock, weight] in each row", "scenarios")
        spot = fields.as_number(row[0], "scenarios", low=-1, high=100)
        shock = fields.as_number(row[1], "scenarios", low=-1, high=10)
        weight = fields.as_number(row[2], "scenarios", low=0, high=10)
        name = f"spot {as_float(spot):+g} vol {as_float(shock):+g}"
        moves.append(Move(name, spot, vol_rule(as_float(shock), short, long, least), weight))
    if not moves:
        raise fields.wrong("give at least one scenario", "scenarios")
    return GridParameters(
        tuple(moves),
        frozenset(fields.as_text(each, "stables") for each in fields.entries("stables")),
        *(fields.number(name, low=0, high=1) for name in _RATIOS),
    )


def vol_rule(shock: float, short_power: float, long_power: float, least_up: float) -> VolRule:
    """vol·(1 + shock·(30/max(days, 1))^p): at least `least_up` when it rises, never below zero."""

    def shocked(vol: float, seconds: int) -> float:
        if shock == 0.0:
            return vol
        moved = max(0.0, vol * (1.0 + shock * _multiple(seconds, short_power, long_power)))
        return max(moved, least_up) if shock > 0.0 else moved

    return shocked


def shocked_vols(
    vols: FloatArray, seconds: FloatArray, shocks: FloatArray, short_power: float, long_power: float, least_up: float
) -> FloatArray:
    """The same for arrays that broadcast, element by element."""
    days = np.maximum(1.0, seconds / SECONDS_A_DAY)
    multiple = power(_REFERENCE_DAYS / days, np.where(days < _REFERENCE_DAYS, short_power, long_power))
    moved = vols * (1.0 + shocks * multiple)
    moved = np.where(moved > 0.0, moved, 0.0)
    moved = np.where((shocks > 0.0) & (moved < least_up), least_up, moved)
    return np.where(shocks == 0.0, vols, moved)


@lru_cache(maxsize=4096)  # the same for every strike of an expiry and every row
def _multiple(seconds: int, short_power: float, long_power: float) -> float:
    days = max(1.0, seconds / SECONDS_A_DAY)
    return power(_REFERENCE_DAYS / days, short_power if days < _REFERENCE_DAYS else long_power)


def worst_loss(pnl: Iterable[Money]) -> Money:
    """The worst loss, not below zero."""
    return Money(max(0, *(-each for each in pnl)))


def delta_floor(net: Wad, gross: Wad, price: Wad, net_rate: Wad, hedged_rate: Wad) -> Money:
    """(netRate·|net| + hedgedRate·hedged)·price, hedged = (gross − |net|)/2: what even a hedged book needs."""
    hedged = (gross - abs(net)) // 2
    return Money(contingency(abs(net), price, net_rate) + contingency(hedged, price, hedged_rate))


def contingency(size: int, price: Wad, rate: Wad) -> Money:
    """size·price·rate, rounded up."""
    return up(Money(-value(-size, price)), rate)


def tiered_charge(amount: Money, tiers: Iterable[tuple[Money, Wad]]) -> Money:
    """Σ over tiers of (the part of the amount in the tier)·rate, rounded up; what is beyond the last is free."""
    total, left = 0, amount
    for size, rate in tiers:
        part = min(left, size)
        total += up(part, rate)
        left = Money(left - part)
    return Money(total)


# === The profile's rules ===


def values(book: Book, _: GridParameters, __: Threshold) -> Iterable[Line]:
    """Cash, collateral at its price, debts, what perpetuals and futures have gained and what options are worth."""
    yield equity("cash", "USD", book.cash)
    for held in book.collateral:
        yield equity(held.named("collateral"), held.quote.asset, unit_value(held))
    for debt in book.debts:
        yield requirement(debt.named("debt"), debt.quote.asset, -value(-debt.amount, debt.quote.price))
    for each in book.perpetuals:
        yield equity("perpetual pnl", each.quote.asset, gain(each))
    for future in book.futures:
        yield equity("future pnl", future.name, gain(future))
    for asset in underlyings(book):
        yield equity("options", asset, options_value(book, asset))


def coins(book: Book, stables: Container[str]) -> dict[str, int]:
    """By coin, what collateral in it is worth less the debts in it, in 1e-36 USD."""
    found: defaultdict[str, int] = defaultdict(int)
    for side, balances in ((1, book.collateral), (-1, book.debts)):
        for each in balances:
            if each.quote.moves_with not in stables:
                found[each.quote.moves_with] += side * each.amount * each.quote.price
    return found


def parted(market: Fields, _: Fields) -> Callable[[str], str]:
    """What is in coin is judged with the positions on its coin."""
    quotes = Quotes(market)

    def part_of(asset: str) -> str:
        try:
            return quotes.get(read_held, asset).moves_with
        except PortfolioError:  # so it is no collateral and no debt: what it redeems for is not asked
            return asset

    return part_of


def scan_or_floor(book: Book, parameters: GridParameters, threshold: Threshold) -> Iterable[Line]:
    """max(worst loss, delta floor) of each underlying and coin, and that times `maintenance` for maintenance."""
    for asset, scanned in book.once(_scanned, parameters).items():
        loss, floor = worst_loss(scanned), _floor(book, asset, parameters)
        required = max(loss, floor)
        ratio = ONE if threshold.name == "initial" else parameters.maintenance
        yield requirement("scan" if loss >= floor else "delta floor", asset, up(required, ratio))


def components(book: Book, parameters: GridParameters) -> dict[str, Shown]:
    """Of each underlying and coin, what every scenario does, and the floor by its deltas."""
    return {
        asset: {
            "scenarios": [
                {"scenario": move.name, "weight": as_float(move.weight), "pnl_usd": usd(pnl)}
                for move, pnl in zip(parameters.moves, scanned, strict=True)
            ],
            "worst_loss_usd": usd(worst_loss(scanned)),
            "delta_floor_usd": usd(_floor(book, asset, parameters)),
            "net_delta": as_float(deltas(book, asset)[0]),
            "gross_delta": as_float(deltas(book, asset)[1]),
        }
        for asset, scanned in book.once(_scanned, parameters).items()
    }


def _scanned(book: Book, parameters: GridParameters) -> dict[str, list[Money]]:
    """What each move does to each underlying and coin."""
    in_coin = coins(book, parameters.stables)
    return {
        asset: profit_and_loss(book, asset, parameters.moves, in_coin.get(asset, 0))
        for asset in sorted({*underlyings(book), *in_coin})
    }


def _floor(book: Book, asset: str, parameters: GridParameters) -> Money:
    if asset not in underlyings(book):
        return Money(0)
    net, gross = deltas(book, asset)
    return delta_floor(net, gross, _price(book, asset), parameters.net_delta_floor, parameters.hedged_delta_floor)


def contingencies(book: Book, parameters: GridParameters, threshold: Threshold) -> Iterable[Line]:
    """Of short options and of futures, by their notional."""
    ratio = ONE if threshold.name == "initial" else parameters.maintenance
    for asset in underlyings(book):
        short = sum(max(0, -each.amount) for each in on(book, asset).options)
        size = sum(abs(amount) for amount in linear_amounts(book, asset))
        price = _price(book, asset)
        for name, amount, rate in (
            ("option contingency", short, parameters.option_contingency),
            ("future contingency", size, parameters.future_contingency),
        ):
            if amount and rate:
                yield requirement(name, asset, contingency(amount, price, product(rate, ratio)))


def _price(book: Book, asset: str) -> Wad:
    return quote_on(book, asset).price


# === Published grids ===


def buckets(price_range: float, steps: int, up_shock: float, down_shock: float) -> list[list[float]]:
    """A grid of 2·steps + 1 price moves by volatility up, as it is, and down."""
    return [
        [price_range * step / steps, shock, 1]
        for step in range(steps, -steps - 1, -1)
        for shock in (up_shock, 0, -down_shock)
    ]


STABLES = ("USDC", "USDT", "USDE", "USYC", "BUIDL", "DAI")
"""Dollars that are taken as collateral."""
EXTENDED = (-0.66, -0.33, 0.5, 1, 2, 3, 4, 5)
"""Moves beyond the range, with volatility up; each counts range/|move|, as Paradex publishes it to four digits."""

DERIBIT: dict[str, object] = {
    "scenarios": [*buckets(0.16, 4, 0.5, 0.25), *([move, 0.5, round(0.16 / abs(move), 4)] for move in EXTENDED)],
    "short_power": 0.3,
    "long_power": 0.13,
    "least_vol_up": 0.5,
    "net_delta_floor": 0,
    "hedged_delta_floor": 0,
    "option_contingency": 0.01,
    "future_contingency": 0.006,
    "maintenance": 0.8,
    "stables": list(STABLES),
}

PARADEX: dict[str, object] = {
    "scenarios": [
        [0.16, 0.4, 1],
        *([move, shock, 1] for move in (0.12, 0.08, 0.04, 0, -0.04, -0.08, -0.12) for shock in (0.4, -0.22)),
        [-0.16, 0.4, 1],
        *([move, 0.4, weight] for move, weight in zip(
            EXTENDED, (0.24, 0.48, 0.32, 0.16, 0.08, 0.0533, 0.04, 0.032), strict=True
        )),
    ],
    "short_power": 0.3,
    "long_power": 0.13,
    "least_vol_up": 0,
    "net_delta_floor": 0.02,
    "hedged_delta_floor": 0.01,
    "option_contingency": 0,
    "future_contingency": 0,
    "maintenance": 0.5,
    "stables": list(STABLES),
}  # fmt: skip
