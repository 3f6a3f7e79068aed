"""The terms of plans: the target, in which order, how much at once, what it costs, and who bears what is left.

    "plan": {"target": {"level": "initial", "ratio": 1, "excess": 0},
             "order": "cheapest",
             "close_factor": 0.5, "close_all_below": 0.95, "close_all_under": 2000, "least_left": 1000,
             "lot": 0.000001, "fee": 0.0005, "bonus": 0.05, "most_legs": 6,
             "assets": {"ETH": {"lot": 0.001, "fee": 0.0005, "bonus": 0.05, "depth": 5000000, "volatility": 0.8}},
             "insurance_fund": 100000,
             "counterparties": [{"account": "bob", "equity": 5000,
                                 "positions": [{"asset": "ETH", "amount": -1, "entry_price": 2500},
                                               {"asset": "ETH", "amount": 2, "entry_price": 90,
                                                "seconds": 2592000, "strike": 2200, "call": true}]}],
             "auction": {"curve": "derive", "start": 0.95, "cutoff": 0.7, "fast": 900, "slow": 43200,
                         "buffer": 0.1, "insolvent_seconds": 3600}}

Everything has a default; money is in USD. `level` is by default the one before the gravest. `order` is `cheapest`,
`volatile` or `illiquid`. An asset's `depth` is what can be traded at 1 % from its price on average; without it, size
costs nothing. The market's `vol` and `depth` of an asset stand in for its own. A counterparty's
position is in a perpetual, with `seconds` in a future, with `strike` and `call` in an option. The curve is `derive`, or
`linear` with `start`, `end` and `seconds`. Any other name is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node.margin.models.auction import DERIVE_CURVE, Curve, FastSlowCurve, LinearCurve
from node.margin.models.errors import OutOfRange
from node.margin.models.fields import Fields, Names, by_name, leaves, refuse_unknown
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad
from node.margin.planning.account import Instrument, Kind

MOST_LEGS = 10
"""Every subset of a plan's legs is checked: 2^10 evaluations."""
MOST_COUNTERPARTIES = 1_000


class Order(StrEnum):
    """What goes first; what it costs decides between equals."""

    CHEAPEST = "cheapest"
    VOLATILE = "volatile"
    ILLIQUID = "illiquid"


@dataclass(frozen=True, slots=True)
class Target:
    """Equity of at least `ratio`·requirement, and an excess of at least `excess`, at a level ("" for the default)."""

    level: str
    ratio: Wad
    excess: Money


@dataclass(frozen=True, slots=True)
class AssetTerms:
    """An asset's trading: its smallest amount, the rates of fee and bonus, its depth (0: unlimited), its volatility."""

    lot: Wad
    fee: Wad
    bonus: Wad
    depth: Money
    volatility: Wad


@dataclass(frozen=True, slots=True)
class CloseFactor:
    """At most `part` of a debt or position in one plan, in whole lots.

    All of it where the account's ratio is at most `all_below`, or what it is worth is under `all_under`.
    """

    part: Wad
    all_below: Wad
    all_under: Money


@dataclass(frozen=True, slots=True)
class CounterPosition:
    """A counterparty's position; `amount` is signed, `entry` what a unit was bought or sold for."""

    instrument: Instrument
    amount: Wad
    entry: Wad


@dataclass(frozen=True, slots=True)
class Counterparty:
    """Who may be deleveraged, and shares what is socialised: its equity without the positions' unrealised profits."""

    account: str
    equity: Money
    positions: tuple[CounterPosition, ...]


@dataclass(frozen=True, slots=True)
class AuctionTerms:
    """How an account is offered: the curve, the buffer over maintenance, and how long an insolvent one's price runs."""

    curve: Curve
    buffer: Wad
    insolvent_seconds: int


@dataclass(frozen=True, slots=True)
class Terms:
    """All of it. `usual` is for assets that have no terms of their own."""

    target: Target
    order: Order
    close_factor: CloseFactor
    least_left: Money
    most_legs: int
    usual: AssetTerms
    assets: Mapping[str, AssetTerms]
    fund: Money
    counterparties: tuple[Counterparty, ...]
    auction: AuctionTerms

    def of(self, asset: str) -> AssetTerms:
        """The terms of an asset."""
        return self.assets.get(asset, self.usual)


_DEFAULTS: dict[str, object] = {"lot": "0.000001", "fee": "0.0005", "bonus": "0.05", "depth": 0, "volatility": 0}
NAMES: Names = {
    **leaves("order", "close_factor", "close_all_below", "close_all_under", "least_left", "most_legs"),
    **leaves("insurance_fund", *_DEFAULTS),
    "target": leaves("level", "ratio", "excess"),
    "assets": by_name(leaves(*_DEFAULTS)),
    "counterparties": [
        {
            **leaves("account", "equity"),
            "positions": [leaves("asset", "seconds", "strike", "call", "amount", "entry_price")],
        }
    ],
    "auction": leaves("curve", "start", "cutoff", "fast", "slow", "end", "seconds", "buffer", "insolvent_seconds"),
}
"""What is read of the section."""


def read_terms(fields: Fields, market: Fields) -> Terms:
    """The section `plan` of a file, and what its `market` adds. Raises PortfolioError, which names the field."""
    refuse_unknown(fields, NAMES)
    usual = _asset(fields, _DEFAULTS)
    given = {"lot": usual.lot, "fee": usual.fee, "bonus": usual.bonus}
    assets = fields.section("assets")
    factor = CloseFactor(
        _ratio(fields, "close_factor", "0.5"),
        _ratio(fields, "close_all_below", "0.95"),
        _usd(fields, "close_all_under", 2_000),
    )
    least_left = _usd(fields, "least_left", 1_000)
    if factor.part < ONE and least_left * WAD > factor.all_under * (WAD - factor.part):
        raise OutOfRange(
            "a bounded step would always leave dust: give at most close_all_under·(1 − close_factor)",
            account=fields.account,
            field="least_left",
            bound=factor.all_under * (WAD - factor.part) // (WAD * PICO),
        )
    return Terms(
        target=_target(fields.section("target")),
        order=Order(_one_of(fields, "order", Order, Order.CHEAPEST)),
        close_factor=factor,
        least_left=least_left,
        most_legs=fields.whole("most_legs", low=1, high=MOST_LEGS, default=6),
        usual=usual,
        assets={
            name: _asset(assets.section(name), _DEFAULTS, {**given, **_quoted(market, name)})
            for name in sorted({*assets.content, *(each for each in market.content if _quoted(market, each))})
        },
        fund=_usd(fields, "insurance_fund", 0),
        counterparties=_counterparties(fields),
        auction=_auction(fields.section("auction")),
    )


def _target(fields: Fields) -> Target:
    return Target(
        fields.text("level", ""),
        fields.number("ratio", low=0, high=100) if fields.has("ratio") else ONE,
        fields.money("excess", default=0),
    )


def _asset(fields: Fields, defaults: Mapping[str, object], given: Mapping[str, Wad] | None = None) -> AssetTerms:
    numbers = {
        name: fields.number(name, low=0)
        if fields.has(name)
        else (given or {}).get(name, fields.as_number(default, name))
        for name, default in defaults.items()
    }
    for name, high in (("fee", ONE), ("bonus", ONE), ("volatility", 1_000 * ONE)):
        if numbers[name] > high:
            raise OutOfRange(
                f"give at most {high // WAD}", account=fields.account, instrument=fields.instrument, field=name
            )
    if numbers["lot"] == 0:
        raise OutOfRange("give a number above zero", account=fields.account, instrument=fields.instrument, field="lot")
    return AssetTerms(
        lot=numbers["lot"],
        fee=numbers["fee"],
        bonus=numbers["bonus"],
        depth=Money(numbers["depth"] * PICO // WAD),
        volatility=numbers["volatility"],
    )


def _quoted(market: Fields, asset: str) -> dict[str, Wad]:
    """What the market itself says of an asset's volatility and depth."""
    fields = market.section(asset) if isinstance(market.content.get(asset), dict) else Fields({}, market.account)
    names = {"vol": "volatility", "depth": "depth"}
    return {meant: fields.number(name, low=0) for name, meant in names.items() if fields.has(name)}


def _ratio(fields: Fields, name: str, default: str) -> Wad:
    return fields.number(name, low=0, high=1) if fields.has(name) else fields.as_number(default, name)


def _usd(fields: Fields, name: str, default: int) -> Money:
    return fields.money(name, low=0, default=default)


def _one_of(fields: Fields, name: str, choices: type[StrEnum], default: str) -> str:
    chosen = fields.text(name, default)
    if chosen not in list(choices):
        raise fields.wrong(f"give one of {', '.join(choices)}", name)
    return chosen


def _counterparties(fields: Fields) -> tuple[Counterparty, ...]:
    found: dict[str, Counterparty] = {}
    given = fields.entries("counterparties", most=MOST_COUNTERPARTIES)
    for each in (Fields.of(content, fields.account, "counterparties") for content in given):
        name = each.text("account")
        if name in found:
            raise each.wrong("an account is a counterparty once", "account")
        positions = tuple(
            CounterPosition(_traded(held), held.number("amount"), held.number("entry_price", low=0))
            for held in each.items("positions")
        )
        found[name] = Counterparty(name, each.money("equity", low=0, default=0), positions)
    return tuple(found[name] for name in sorted(found))


def _traded(held: Fields) -> Instrument:
    is_option = held.has("strike") or held.has("call")
    kind = Kind.OPTION if is_option else Kind.FUTURE if held.has("seconds") else Kind.PERPETUAL
    found = Instrument.read(kind, held.text("asset"), held)
    if is_option and None in (found.seconds, found.strike, found.is_call):
        raise held.wrong("give an option's `seconds`, `strike` and `call`", "positions")
    return found


class _Curve(StrEnum):
    DERIVE = "derive"
    LINEAR = "linear"


def _auction(fields: Fields) -> AuctionTerms:
    curve: Curve
    if _one_of(fields, "curve", _Curve, _Curve.DERIVE) == _Curve.DERIVE:
        curve = FastSlowCurve(
            _part(fields, "start", DERIVE_CURVE.start),
            _part(fields, "cutoff", DERIVE_CURVE.cutoff),
            _seconds(fields, "fast", DERIVE_CURVE.fast),
            _seconds(fields, "slow", DERIVE_CURVE.slow),
        )
        falls = curve.start >= curve.cutoff
    else:
        curve = LinearCurve(
            _part(fields, "start", ONE), _part(fields, "end", Wad(0)), _seconds(fields, "seconds", 3_600)
        )
        falls = curve.start >= curve.end
    if not falls:
        raise fields.wrong("the price may not rise with time", "start")
    buffer = _part(fields, "buffer", Wad(WAD // 10))
    return AuctionTerms(curve, buffer, _seconds(fields, "insolvent_seconds", 3_600))


def _part(fields: Fields, name: str, default: Wad) -> Wad:
    return fields.number(name, low=0, high=1) if fields.has(name) else default


def _seconds(fields: Fields, name: str, default: int) -> int:
    return fields.whole(name, low=1, high=365 * 86_400, default=default)
