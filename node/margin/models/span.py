"""SPAN, classic: 16 scenarios, spread charge and credit, short-option minimum.

Sources: L. McMillan, Options as a Strategic Investment, ch. 34 (the scenarios and a worked example); CME's description
of the requirement. Of two extreme rows each takes a multiple of the range and a cover fraction, which are parameters:
CME quotes 3 × about 1/3, the worked example 2 × 35 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from node.margin.models.book import Book, gain
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import ONE, WAD, Money, Wad, as_float, product, up, usd, value
from node.margin.models.profile import Line, Shown, Threshold, equity, requirement
from node.margin.models.shocks import Move, VolRule, deltas, on, options_value, profit_and_loss, underlyings, unmoved

THIRDS = (0, 1, -1, 2, -2, 3, -3)
"""The moves of the price in thirds of its range, in the order of the risk arrays."""


# === Rules on risk arrays (what one contract gains, row by row) ===


def scan_risk(array: Sequence[int]) -> int:
    """The worst loss over the rows, not below zero."""
    return max(0, *(-row for row in array))


def combined(arrays: Iterable[tuple[int, Sequence[int]]]) -> list[int]:
    """Σ position·array, row by row."""
    weighted = [[position * row for row in array] for position, array in arrays]
    return [sum(rows) for rows in zip(*weighted, strict=True)]


def time_risk(array: Sequence[int]) -> int:
    """The mean loss of the two rows in which the price stays, rounded up."""
    return -((array[0] + array[1]) // 2)


def volatility_risk(array: Sequence[int]) -> int:
    """Half the difference of the two volatility rows of the price move that is worst, rounded down."""
    worst = min(range(14), key=lambda row: array[row])
    pair = worst - worst % 2
    return abs(array[pair] - array[pair + 1]) // 2


def price_risk(array: Sequence[int]) -> int:
    """Scan risk less volatility and time risk: what a spread with another underlying can offset."""
    return max(0, scan_risk(array) - volatility_risk(array) - time_risk(array))


def spread_credit(leg_price_risk: Money, net_delta: int, used_delta: int, rate: Wad) -> Money:
    """Weighted price risk·deltas that the spreads use·rate, of one leg; rounded down.

    The weighted price risk is the leg's price risk / |net delta|; both deltas are of one scale.
    """
    return Money(leg_price_risk * used_delta * rate // (abs(net_delta) * WAD)) if net_delta else Money(0)


def total_requirement(
    scan: Money, intra: Money, delivery: Money, credit: Money, short_minimum: Money, net_option_value: Money
) -> Money:
    """max(scan + intra spread + delivery − inter credit, short-option minimum) − net option value."""
    return Money(max(scan + intra + delivery - credit, short_minimum) - net_option_value)


# === The profile's rules ===


@dataclass(frozen=True, slots=True)
class SpanAsset:
    """An underlying: the price range (a ratio), the volatility range (absolute), and charges in USD a unit."""

    price_range: Wad
    vol_range: float
    extreme_multiple: Wad
    extreme_cover: Wad
    short_option_minimum: Wad
    intra_spread: Wad


@dataclass(frozen=True, slots=True)
class Spread:
    """An inter-commodity credit: a leg's deltas a spread, on opposite sides, and the rate."""

    first: str
    second: str
    first_ratio: Wad
    second_ratio: Wad
    rate: Wad


@dataclass(frozen=True, slots=True)
class SpanParameters:
    """Underlyings by asset, credits in the order of their priority, and how initial exceeds maintenance."""

    assets: Mapping[str, SpanAsset]
    spreads: tuple[Spread, ...]
    initial_multiple: Wad


NAMES: Names = {
    "assets": by_name(
        leaves("price_range", "vol_range", "extreme_multiple", "extreme_cover", "short_option_minimum", "intra_spread")
    ),
    "spreads": [leaves("first", "second", "first_ratio", "second_ratio", "rate")],
    "initial_multiple": None,
}
"""What is read of the parameters."""


def read_span(fields: Fields) -> SpanParameters:
    """The underlyings in `assets`, the credits in `spreads`, and `initial_multiple`.

    An asset has `price_range` and `vol_range`, may have `extreme_multiple`, `extreme_cover`, `short_option_minimum` and
    `intra_spread` (USD a unit); a spread `first`, `second`, `first_ratio`, `second_ratio`, `rate`.
    """
    assets = fields.section("assets")
    return SpanParameters(
        {name: _asset(assets.section(name)) for name in assets.content},
        tuple(_spread(each) for each in fields.items("spreads")),
        fields.number("initial_multiple", low=1, high=10),
    )


def _asset(fields: Fields) -> SpanAsset:
    return SpanAsset(
        fields.number("price_range", low=0, high=1),
        as_float(fields.number("vol_range", low=0, high=10)),
        fields.number("extreme_multiple", low=1, high=10, default=3),
        fields.number("extreme_cover", low=0, high=1) if fields.has("extreme_cover") else Wad(WAD // 3),
        fields.number("short_option_minimum", low=0, default=0),
        fields.number("intra_spread", low=0, default=0),
    )


def _spread(fields: Fields) -> Spread:
    return Spread(
        fields.text("first"),
        fields.text("second"),
        fields.number("first_ratio", low=0),
        fields.number("second_ratio", low=0),
        fields.number("rate", low=0, high=1),
    )


def parted(_: Fields, fields: Fields) -> Callable[[str], str]:
    """Underlyings between which there are credits, however far around, are judged together."""
    part_of: dict[str, str] = {}
    for spread in map(_spread, fields.items("spreads")):
        first, second = (part_of.get(each, each) for each in (spread.first, spread.second))
        joined = {name: first for name, part in part_of.items() if part == second}
        part_of |= {**joined, spread.first: first, spread.second: first}
    return lambda asset: part_of.get(asset, asset)


@lru_cache(maxsize=1_024)  # the same moves for every account: what options are worth is remembered by them
def moves(asset: SpanAsset) -> tuple[Move, ...]:
    """The 16 rows: the price by 0, ±1/3, ±2/3, ±3/3 of its range, each with volatility up and down; two extremes."""

    def vol(sign: int) -> VolRule:
        return lambda level, _: max(0.0, level + sign * asset.vol_range)

    rows = [
        Move(f"{third:+d}/3 vol {name}", Wad(asset.price_range * third // 3), vol(sign))
        for third in THIRDS
        for name, sign in (("up", 1), ("down", -1))
    ]
    far = product(asset.price_range, asset.extreme_multiple)
    return (
        *rows,
        Move("extreme up", far, unmoved, asset.extreme_cover),
        Move("extreme down", Wad(max(-far, -ONE)), unmoved, asset.extreme_cover),
    )


def cash_and_futures(book: Book, _: SpanParameters, __: Threshold) -> Iterable[Line]:
    """Cash, and what futures and perpetuals have gained since entry."""
    yield equity("cash", "USD", book.cash)
    for each in book.perpetuals:
        pnl = value(each.amount, Wad(each.quote.price - each.entry)) + each.funding
        yield equity("futures pnl", each.quote.asset, pnl)
    for future in book.futures:
        yield equity("futures pnl", future.name, gain(future))


def net_option_value(book: Book, _: SpanParameters, __: Threshold) -> Iterable[Line]:
    """What the options are worth: it is set against the requirement."""
    for asset in underlyings(book):
        yield equity("net option value", asset, options_value(book, asset))


def scan(book: Book, parameters: SpanParameters, threshold: Threshold) -> Iterable[Line]:
    """max(scan + intra-spread charge − inter-commodity credit, short-option minimum), of each underlying."""
    arrays, credited = book.once(_scanned, parameters)
    multiple = parameters.initial_multiple if threshold.name == "initial" else ONE
    for asset, array in arrays.items():
        rules = _of(parameters, asset, book)
        required = total_requirement(
            Money(scan_risk(array)), _intra(book, asset, rules), Money(0), credited[asset],
            _least(book, asset, rules), Money(0),
        )  # fmt: skip
        yield requirement("scan", asset, up(required, multiple))


def components(book: Book, parameters: SpanParameters) -> dict[str, Shown]:
    """What the scan of each underlying is made of: its risk array, and the charges and credits beside it."""
    arrays, credited = book.once(_scanned, parameters)
    return {
        asset: {
            "risk_array_usd": {
                move.name: usd(row) for move, row in zip(moves(_of(parameters, asset, book)), array, strict=True)
            },
            "scan_risk_usd": usd(scan_risk(array)),
            "intra_spread_charge_usd": usd(_intra(book, asset, _of(parameters, asset, book))),
            "inter_commodity_credit_usd": usd(credited[asset]),
            "short_option_minimum_usd": usd(_least(book, asset, _of(parameters, asset, book))),
            "net_delta": as_float(deltas(book, asset)[0]),
        }
        for asset, array in arrays.items()
    }


def _scanned(book: Book, parameters: SpanParameters) -> tuple[dict[str, list[Money]], dict[str, Money]]:
    """The risk array of each underlying, and its credits."""
    arrays = {asset: profit_and_loss(book, asset, moves(_of(parameters, asset, book))) for asset in underlyings(book)}
    return arrays, _credits(book, parameters, arrays)


def _least(book: Book, asset: str, rules: SpanAsset) -> Money:
    """The short-option minimum."""
    short = sum(max(0, -each.amount) for each in on(book, asset).options)
    return Money(-value(-short, rules.short_option_minimum))


def _intra(book: Book, asset: str, rules: SpanAsset) -> Money:
    """The charge for positions that offset each other in delta: what scanning treats as one is not one."""
    net, gross = deltas(book, asset)
    return Money(-value(-((gross - abs(net)) // 2), rules.intra_spread))


def _credits(book: Book, parameters: SpanParameters, arrays: Mapping[str, Sequence[int]]) -> dict[str, Money]:

    found = dict.fromkeys(arrays, Money(0))
    net = {asset: deltas(book, asset)[0] for asset in arrays}
    left = dict(net)
    for spread in parameters.spreads:
        legs = ((spread.first, spread.first_ratio), (spread.second, spread.second_ratio))
        if any(asset not in left or ratio == 0 for asset, ratio in legs):
            continue
        if left[spread.first] * left[spread.second] >= 0:
            continue
        spreads = min(abs(left[asset]) * WAD // ratio for asset, ratio in legs)
        for asset, ratio in legs:
            risk = Money(price_risk(arrays[asset]))
            used = spreads * ratio // WAD
            found[asset] = Money(found[asset] + spread_credit(risk, net[asset], used, spread.rate))
            left[asset] = Wad(left[asset] - used if left[asset] > 0 else left[asset] + used)
    return found


def _of(parameters: SpanParameters, asset: str, book: Book) -> SpanAsset:
    if asset not in parameters.assets:
        raise UnknownAsset(
            "the parameters do not name it", account=book.account, instrument=asset, field="parameters.assets"
        )
    return parameters.assets[asset]
