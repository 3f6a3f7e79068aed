"""Derive's standard margin: options by strike, bounded by the worst payoff of their expiry; no scenarios.

Source: derivexyz/v2-core StandardManager (the formulas). Margins are negative numbers in the source; here requirements
are positive. Marks are undiscounted Black-76 on the forward.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from node.margin.models.book import Book, Option, gain, unit_value
from node.margin.models.errors import OutOfRange, UnknownAsset
from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import ONE, WAD, Money, Wad, as_float, as_money, down, product, up, usd, value
from node.margin.models.market import Expiry
from node.margin.models.pricing import black76
from node.margin.models.profile import Line, Shown, Threshold, equity, requirement

LARGEST_MARK = 1e15
"""In USD, for one option: beyond it the inputs are absurd."""


@dataclass(frozen=True, slots=True)
class OptionRules:
    """Fractions of the spot (and of the mark, `maintenance_put_mark`) that short options need."""

    largest_spot: Wad
    least_spot: Wad
    maintenance_call: Wad
    maintenance_put: Wad
    maintenance_put_mark: Wad
    unpaired_initial: Wad
    unpaired_maintenance: Wad
    put_offset: Wad


def undiscounted_mark(option: Option, account: str = "") -> Money:
    """Black-76 with no discount, of one option. Raises OutOfRange, which names it, where there is no finite price."""
    mark = _mark(option.expiry, option.strike, option.is_call)
    if mark is None:
        raise OutOfRange(
            "the market gives no finite price; check forward and volatility",
            account=account,
            instrument=option.name,
            field="mark",
        )
    return mark


@lru_cache(maxsize=1 << 14)
def _mark(expiry: Expiry, strike: Wad, is_call: bool) -> Money | None:  # noqa: FBT001
    """Remembered: every threshold and every trial of a plan asks for the same."""
    strikes = np.array([as_float(strike)])
    (price,) = black76(
        np.array([as_float(expiry.forward)]),
        strikes,
        expiry.years,
        expiry.vol(strikes),
        1.0,
        np.array([float(is_call)]),
    ).tolist()
    return as_money(price) if price < LARGEST_MARK else None


def short_fraction(spot: Wad, out_of_the_money: int, rules: OptionRules) -> Wad:
    """max(least, largest − otm/S)."""
    return Wad(max(rules.least_spot, rules.largest_spot - max(0, out_of_the_money) * WAD // spot))


def short_call(size: Wad, strike: Wad, spot: Wad, mark: Money, rules: OptionRules, *, initial: bool) -> Money:
    """The mark plus a fraction of the spot: `maintenance_call`, or initially max(least, largest − otm/S)."""
    fraction = short_fraction(spot, strike - spot, rules) if initial else rules.maintenance_call
    return Money(up(mark, size) + _of_spot(size, spot, fraction))


def short_put(size: Wad, strike: Wad, spot: Wad, mark: Money, rules: OptionRules, *, initial: bool) -> Money:
    """Maintenance: the mark plus the larger of a fraction of the spot and one of the mark.

    Initial: the larger of the mark plus max(least, largest − otm/S) of the spot, and maintenance·offset.
    """
    owed = up(mark, size)
    maintenance = Money(owed + max(_of_spot(size, spot, rules.maintenance_put), up(owed, rules.maintenance_put_mark)))
    if not initial:
        return maintenance
    fraction = short_fraction(spot, spot - strike, rules)
    return Money(max(owed + _of_spot(size, spot, fraction), up(maintenance, rules.put_offset)))


def isolated(option: Option, mark: Money, rules: OptionRules, *, initial: bool) -> Money:
    """What one position needs by itself; a long one needs nothing."""
    if option.amount >= 0:
        return Money(0)
    rule = short_call if option.is_call else short_put
    return rule(Wad(-option.amount), option.strike, option.quote.price, mark, rules, initial=initial)


def payoffs(options: list[Option]) -> Iterator[int]:
    """What an expiry's options pay at a settlement price of zero and at each strike, in 1e-36 USD.

    At zero a put pays its strike; from there on each takes its amount from what is paid, and at a strike, of a put or
    a call, as much as its amount is added to what each further dollar brings.
    """
    price, slope = 0, -sum(each.amount for each in options if not each.is_call)
    paid = sum(each.amount * each.strike for each in options if not each.is_call)
    yield paid
    for option in sorted(options, key=lambda each: each.strike):
        paid += slope * (option.strike - price)
        price, slope = option.strike, slope + option.amount
        yield paid


def largest_loss(options: list[Option], forward: Wad, unpaired: Wad) -> Money:
    """The worst payoff over zero and the strikes, and `unpaired`·forward for each call short beyond the long ones."""
    worst = min(0, *payoffs(options))
    net_calls = sum(each.amount for each in options if each.is_call)
    beyond = product(forward, unpaired) * max(0, -net_calls)
    return Money(-(worst // (WAD * WAD // 10**12)) - (-beyond // (WAD * WAD // 10**12)))


def expiry_margin(options: list[Option], account: str, rules: OptionRules, *, initial: bool) -> Money:
    """The smaller of all positions by themselves, and the largest loss of the expiry."""
    return min(expiry_bounds(options, account, rules, initial=initial))


def expiry_bounds(options: list[Option], account: str, rules: OptionRules, *, initial: bool) -> tuple[Money, Money]:
    """What all positions need by themselves, and the largest loss of the expiry."""
    alone = sum(isolated(each, undiscounted_mark(each, account), rules, initial=initial) for each in options)
    unpaired = rules.unpaired_initial if initial else rules.unpaired_maintenance
    return Money(alone), largest_loss(options, options[0].expiry.forward, unpaired)


def perpetual_margin(size: int, price: Wad, rate: Wad) -> Money:
    """|q|·price·rate, rounded up."""
    return up(Money(-value(-abs(size), price)), rate)


def depeg(size: int, spot: Wad, stable: Wad, threshold: Wad, factor: Wad) -> Money:
    """(threshold − stable)·factor·S·size, where the stable coin is below the threshold; of shorts and perpetuals."""
    return up(Money(-value(-size, spot)), product(max(0, threshold - stable), factor))


def oracle_penalty(confidence: Wad, threshold: Wad, factor: Wad, size: int, spot: Wad) -> Money:
    """(1 − c)·factor·S·size, where the confidence is below the threshold."""
    if confidence >= threshold:
        return Money(0)
    return up(Money(-value(-size, spot)), product(ONE - confidence, factor))


def _of_spot(size: Wad, spot: Wad, fraction: Wad) -> Money:
    return up(Money(-value(-size, spot)), fraction)


# === The profile's rules ===


@dataclass(frozen=True, slots=True)
class Depeg:
    """The price of the coin that cash is in, below which `threshold` its shortfall costs `factor` of each size."""

    stable: Wad
    threshold: Wad
    factor: Wad


@dataclass(frozen=True, slots=True)
class SmAsset:
    """A market: options, the perpetual's margins, what of the base asset counts, and the penalty for confidence."""

    options: OptionRules
    perpetual: Mapping[str, Wad]
    base: Mapping[str, Wad]
    confidence_threshold: Wad
    confidence_factor: Wad


@dataclass(frozen=True, slots=True)
class SmParameters:
    """Markets by asset, and what a depeg costs."""

    assets: Mapping[str, SmAsset]
    depeg: Depeg


OPTION_RULES = {
    "largest_spot": "0.15",
    "least_spot": "0.1",
    "maintenance_call": "0.075",
    "maintenance_put": "0.075",
    "maintenance_put_mark": "0.075",
    "unpaired_initial": "1.2",
    "unpaired_maintenance": "1.1",
    "put_offset": "1.05",
}


_LEVELS = ("initial", "maintenance")
NAMES: Names = {
    "options": leaves(*OPTION_RULES),
    "assets": by_name(
        leaves(
            *(f"{what}_{level}" for what in ("perpetual", "base") for level in _LEVELS),
            "confidence_threshold",
            "confidence_factor",
        )
    ),
    "depeg": leaves("stable_price", "threshold", "factor"),
}
"""What is read of the parameters."""


def read_sm(fields: Fields) -> SmParameters:
    """`assets`: by name `perpetual_initial`, `perpetual_maintenance`, `base_initial`, `base_maintenance`.

    An asset may have `confidence_threshold` and `confidence_factor`; `options` has the fractions of OptionRules,
    `depeg` may have `stable_price`, `threshold` and `factor`.
    """
    options = _option_rules(fields.section("options"))
    assets, coin = fields.section("assets"), fields.section("depeg")
    return SmParameters(
        {name: _asset(assets.section(name), options) for name in assets.content},
        Depeg(
            coin.positive("stable_price") if coin.has("stable_price") else ONE,
            coin.number("threshold", low=0, high=10, default=0),
            coin.number("factor", low=0, high=100, default=0),
        ),
    )


def _option_rules(fields: Fields) -> OptionRules:
    return OptionRules(**{name: fields.number(name, low=0, high=10) for name in OPTION_RULES})


def _asset(fields: Fields, options: OptionRules) -> SmAsset:
    return SmAsset(
        options,
        {level: fields.number(f"perpetual_{level}", low=0, high=1) for level in _LEVELS},
        {level: fields.number(f"base_{level}", low=0, high=1) for level in _LEVELS},
        fields.number("confidence_threshold", low=0, high=1, default=0),
        fields.number("confidence_factor", low=0, high=20, default=0),
    )


def values(book: Book, parameters: SmParameters, threshold: Threshold) -> Iterable[Line]:
    """Cash, what of base assets counts, debts, and what perpetuals have gained. Options count in their margin."""
    yield equity("cash", "USD", book.cash)
    for held in book.collateral:
        asset = held.quote.asset
        yield equity(
            held.named("base"), asset, down(unit_value(held), _of(parameters, asset, book).base[threshold.name])
        )
    for debt in book.debts:
        yield requirement(debt.named("debt"), debt.quote.asset, -value(-debt.amount, debt.quote.price))
    for each in book.perpetuals:
        yield equity("perpetual pnl", each.quote.asset, gain(each, each.price))


def perpetuals(book: Book, parameters: SmParameters, threshold: Threshold) -> Iterable[Line]:
    """A fraction of each perpetual's notional."""
    for each in book.perpetuals:
        rate = _of(parameters, each.quote.asset, book).perpetual[threshold.name]
        yield requirement("perpetual", each.quote.asset, perpetual_margin(each.amount, each.price, rate))


def options(book: Book, parameters: SmParameters, threshold: Threshold) -> Iterable[Line]:
    """The margin of each expiry."""
    for (asset, seconds), held in _expiries(book).items():
        rules = _of(parameters, asset, book).options
        margin = expiry_margin(held, book.account, rules, initial=threshold.name == "initial")
        yield requirement("options", f"{asset} expiry {seconds}", margin)


def components(book: Book, parameters: SmParameters) -> dict[str, Shown]:
    """Of each expiry's options at each level, what they need by themselves, and the largest loss that bounds it."""
    found: dict[str, Shown] = {}
    for (asset, seconds), held in _expiries(book).items():
        shown: dict[str, Shown] = {}
        for level in ("initial", "maintenance"):
            rules, initial = _of(parameters, asset, book).options, level == "initial"
            alone, loss = expiry_bounds(held, book.account, rules, initial=initial)
            shown[level] = {"isolated_usd": usd(alone), "largest_loss_usd": usd(loss)}
        found[f"{asset} expiry {seconds}"] = shown
    return found


def confidence(book: Book, parameters: SmParameters, threshold: Threshold) -> Iterable[Line]:
    """Initially, a penalty for base assets, perpetuals and short options whose prices are not certain."""
    if threshold.name != "initial":
        return
    sizes = [(each.quote.asset, each.amount, each.quote, each.quote.confidence) for each in book.collateral]
    sizes += [
        (f"{each.quote.asset} perpetual", Wad(abs(each.amount)), each.quote, each.confidence)
        for each in book.perpetuals
    ]
    for (asset, seconds), held in _expiries(book).items():
        quote = held[0].quote
        least = min(quote.confidence, held[0].expiry.confidence)
        sizes.append((f"{asset} expiry {seconds}", _short(held), quote, least))
    for instrument, size, quote, least in sizes:
        rules = _of(parameters, quote.asset, book)
        penalty = oracle_penalty(least, rules.confidence_threshold, rules.confidence_factor, size, quote.price)
        if penalty:
            yield requirement("confidence", instrument, penalty)


def depegged(book: Book, parameters: SmParameters, threshold: Threshold) -> Iterable[Line]:
    """Initially, what the coin's shortfall costs each perpetual and short option."""
    if threshold.name != "initial":
        return
    coin = parameters.depeg
    sizes = [(f"{each.quote.asset} perpetual", Wad(abs(each.amount)), each.quote.price) for each in book.perpetuals]
    for (asset, seconds), held in _expiries(book).items():
        sizes.append((f"{asset} expiry {seconds}", _short(held), held[0].quote.price))
    for instrument, size, price in sizes:
        if cost := depeg(size, price, coin.stable, coin.threshold, coin.factor):
            yield requirement("depeg", instrument, cost)


def _expiries(book: Book) -> dict[tuple[str, int], list[Option]]:
    found: defaultdict[tuple[str, int], list[Option]] = defaultdict(list)
    for each in book.options:
        found[each.quote.asset, each.expiry.seconds].append(each)
    return found


def _short(options: Iterable[Option]) -> Wad:
    return Wad(sum(max(0, -each.amount) for each in options))


def mark_to_market(book: Book, stable: Wad = ONE) -> Money:
    """Cash, base assets over the coin's price, what perpetuals have gained, and what options are worth."""
    base = sum(unit_value(each) * WAD // stable for each in book.collateral)
    owed = sum(-value(-each.amount, each.quote.price) for each in book.debts)
    held = sum(gain(each, each.price) for each in book.perpetuals)
    return Money(
        book.cash + base - owed + held + sum(down(undiscounted_mark(o, book.account), o.amount) for o in book.options)
    )


def _of(parameters: SmParameters, asset: str, book: Book) -> SmAsset:
    if asset not in parameters.assets:
        raise UnknownAsset(
            "the parameters do not name it", account=book.account, instrument=asset, field="parameters.assets"
        )
    return parameters.assets[asset]
