"""`derive-pm1`: Derive's portfolio margin, first version (PMRM).

Source: derivexyz/v2-core, PMRMLib (the formulas; no code of theirs). It is the second version without tails, skew and
collaterals beside one base asset: options are marked undiscounted, only a positive shocked value is discounted, and the
contingencies are multiplied by the initial factor as the loss is. Its rules that both have are `derive_pm2.rules`.

It reads the published test files: an account is an object with `Scenario`, lists with an item for each option and
numbers as integers of 1e-18; where `Result` is beside it, every component is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from node.margin.math import FloatArray
from node.margin.models.derive_pm2 import rules
from node.margin.models.derive_pm2.marks import UNMOVED, Move
from node.margin.models.derive_pm2.portfolio import (
    SECONDS_A_DAY,
    SECONDS_A_YEAR,
    BasisShock,
    Contingencies,
    LossFactors,
    Option,
    Scenario,
    Shock,
    VolShock,
)
from node.margin.models.errors import ExpiredInstrument, MissingField, OutOfRange
from node.margin.models.fields import LARGEST, LONGEST_SECONDS, Fields
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad, as_float, as_money, as_wad, down, product, up, value
from node.margin.models.pricing import black76
from node.margin.models.profile import (
    Comparison,
    Evaluation,
    Level,
    Profile,
    Shown,
    Threshold,
    equity,
    judging,
    requirement,
)

TOLERANCE = 1e-4
"""Relative to max(|expected|, 1), as the files were made."""
_LARGEST_MARK = 1e15
_MONEY = WAD // PICO


@dataclass(frozen=True, slots=True)
class Expiry:
    """The options of one expiry, with the vol of each; the forward's `fixed` part does not move with the spot."""

    seconds: int
    variable: Wad
    fixed: Wad
    rate: Wad
    confidence: Wad
    options: tuple[Option, ...]
    vols: tuple[Wad, ...]

    @property
    def years(self) -> float:
        """Time to expiry, in years of 365 days."""
        return self.seconds / SECONDS_A_YEAR


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One account in one market: a perpetual, a base asset and options. `unsettled` is the perpetual's pnl and funding.

    `confidence` is the least of the spot's and, where a perpetual is held, its own.
    """

    account: str
    cash: Money
    unsettled: Money
    perpetual: Wad
    perpetual_price: Wad
    base: Wad
    spot: Wad
    stable: Wad
    confidence: Wad
    expiries: tuple[Expiry, ...]


PERCENT = Wad(WAD // 100)
_SPOTS = (115, 110, 105, 100, 95, 90, 85)
SCENARIOS = tuple(
    Scenario(Wad(spot * PERCENT), shock, ONE) for spot in _SPOTS for shock in (Shock.UP, Shock.NONE, Shock.DOWN)
)
VOL = VolShock(
    up=Wad(45 * PERCENT),
    down=Wad(30 * PERCENT),
    least_vol_up=Wad(0),
    short_power=Wad(30 * PERCENT),
    long_power=Wad(13 * PERCENT),
    floor_seconds=SECONDS_A_DAY,
)
BASIS = BasisShock(Wad(105 * PERCENT), Wad(95 * PERCENT), add=Wad(25 * PERCENT), mult=PERCENT)
LOSS = LossFactors(
    initial=Wad(130 * PERCENT),
    maintenance=ONE,
    long_base=Wad(95 * PERCENT),
    long_rate_mult=Wad(4 * ONE),
    long_rate_add=Wad(5 * PERCENT),
    short_base=ONE,
    short_rate_mult=Wad(0),
    short_rate_add=Wad(0),
)
CONTINGENCIES = Contingencies(
    peg_threshold=Wad(98 * PERCENT),
    peg_factor=Wad(2 * ONE),
    confidence_threshold=Wad(60 * PERCENT),
    confidence_factor=Wad(50 * PERCENT),
    perpetual_maintenance=Wad(2 * PERCENT),
    perpetual_initial=Wad(0),
    option_maintenance=PERCENT,
    option_initial=Wad(0),
)
BASE_PERCENT = Wad(2 * PERCENT)
"""The parameters that the published files are for."""


@dataclass(frozen=True, slots=True)
class Result:
    """The whole breakdown; contingencies ≥ 0. `initial` and `maintenance` below zero are not enough."""

    unsettled: Money
    cash: Money
    equity: Money
    basis_contingency: Money
    scenarios: tuple[Money, ...]
    worst: Money
    on_perpetual: Money
    on_base: Money
    on_options: Money
    on_confidence: Money
    initial_factor: Wad
    initial: Money
    maintenance: Money

    @property
    def contingencies(self) -> Money:
        """What is required on top of the worst loss at both thresholds."""
        return Money(self.on_perpetual + self.on_base + self.on_options)


def evaluate(portfolio: Portfolio) -> Result:
    """The margin of one account. Raises OutOfRange, which names the option, where its market gives no finite price."""
    base = value(portfolio.base, rules.collateral_price(portfolio.spot, portfolio.stable))
    exposure = Money(base + value(portfolio.perpetual, portfolio.perpetual_price))
    of_scenarios = [rules.spot_move(exposure, scenario) for scenario in SCENARIOS]
    options, basis = 0, 0
    for expiry in portfolio.expiries:
        current, at_up, at_down, *shocked = _values(portfolio.account, expiry)
        options += current
        factor = rules.basis_factor(expiry.seconds, BASIS)
        basis += rules.basis_contingency(current, at_up, at_down, factor)
        discount = as_wad(rules.long_discount(expiry.rate, expiry.years, LOSS))
        for i, value_of in enumerate(shocked):
            of_scenarios[i] = Money(of_scenarios[i] + rules.discounted(value_of, discount, ONE) - current)
    worst = Money(min(basis, *of_scenarios))
    net = Money(portfolio.cash + portfolio.unsettled + base + options)
    short = sum(rules.naked_shorts(expiry.options) for expiry in portfolio.expiries)
    on_perpetual = _contingency(abs(portfolio.perpetual), portfolio.spot, CONTINGENCIES.perpetual_maintenance)
    on_base = _contingency(portfolio.base, portfolio.spot, BASE_PERCENT)
    on_options = _contingency(short, portfolio.spot, CONTINGENCIES.option_maintenance)
    on_confidence = _on_confidence(portfolio)
    factor = rules.initial_factor(portfolio.stable, LOSS, CONTINGENCIES)
    loss = Money(worst - on_perpetual - on_base - on_options)
    return Result(
        unsettled=portfolio.unsettled,
        cash=portfolio.cash,
        equity=net,
        basis_contingency=Money(basis),
        scenarios=tuple(of_scenarios),
        worst=worst,
        on_perpetual=on_perpetual,
        on_base=on_base,
        on_options=on_options,
        on_confidence=on_confidence,
        initial_factor=factor,
        initial=Money(down(loss, factor) - on_confidence + net),
        maintenance=Money(loss + net),
    )


def _values(account: str, expiry: Expiry) -> list[Money]:
    """The options' value unmoved, at the two moves of the basis contingency, and in each scenario; undiscounted."""
    moves = [UNMOVED, (BASIS.spot_up, Shock.NONE), (BASIS.spot_down, Shock.NONE)]
    moves += [(scenario.spot, scenario.shock) for scenario in SCENARIOS]
    return [*rules.options_values(expiry.options, marked(account, expiry, moves))]


def marked(account: str, expiry: Expiry, moves: Sequence[Move]) -> list[list[Money]]:
    """What the options of an expiry are worth under each move. Raises OutOfRange, which names the option."""
    listed = tuple((option.strike, option.is_call) for option in expiry.options)
    return _marked(account, expiry.seconds, (expiry.variable, expiry.fixed), listed, expiry.vols, tuple(moves))


@lru_cache(maxsize=128)  # amounts apart, trials of a plan ask for the same
def _marked(
    account: str,
    seconds: int,
    forward: tuple[Wad, Wad],
    listed: tuple[tuple[Wad, bool], ...],
    of_options: tuple[Wad, ...],
    moves: tuple[Move, ...],
) -> list[list[Money]]:
    vol = np.array([as_float(each) for each in of_options])
    multiple = rules.term_multiple(seconds, VOL)
    vols: dict[Shock, FloatArray] = {
        Shock.NONE: vol,
        Shock.UP: rules.vol_up(vol, multiple, VOL),
        Shock.DOWN: rules.vol_down(vol, multiple, VOL),
    }
    variable, fixed = forward
    forwards = [[as_float(product(variable, spot) + fixed)] for spot, _ in moves]
    strikes = np.array([as_float(strike) for strike, _ in listed])
    calls = np.array([float(is_call) for _, is_call in listed])
    prices = black76(
        np.array(forwards),
        strikes,
        seconds / SECONDS_A_YEAR,
        np.array([vols[shock] for _, shock in moves]),
        1.0,
        calls,
    )
    absurd = ~(prices < _LARGEST_MARK).all(axis=0)
    if absurd.any():
        raise OutOfRange(
            "the market gives no finite price; check forward and vol",
            account=account,
            instrument=f"option with strike {strikes[absurd][0]:g} in {seconds} s",
            field="mark",
        )
    return [[as_money(price) for price in row] for row in prices.tolist()]


def _contingency(amount: int, spot: Wad, percent: Wad) -> Money:
    return rules.contingency(rules.notional(amount, spot), percent)


def _on_confidence(portfolio: Portfolio) -> Money:
    """What low confidence costs of the notional: of perpetual and base by the market's, of each expiry by the least."""
    based = [(portfolio.confidence, abs(portfolio.perpetual) + portfolio.base)]
    based += [
        (min(portfolio.confidence, expiry.confidence), rules.gross_amount(expiry.options))
        for expiry in portfolio.expiries
    ]
    return Money(
        sum(
            _contingency(amount, portfolio.spot, rules.confidence_charge(confidence, CONTINGENCIES))
            for confidence, amount in based
        )
    )


# === The published files ===


def read_account(content: object, account: str) -> Portfolio:
    """The portfolio of an account. Raises PortfolioError for what cannot be used; what has no amount is not read."""
    fields = Fields.of(content, account).section("Scenario").named("")
    perpetual, base = wad_of(fields, "Perps"), wad_of(fields, "Base", low=0)
    expiries = _expiries(fields)
    needed = bool(perpetual or base or expiries)
    confidence = wad_of(fields, "SpotConfidence", low=0, high=ONE) if needed else ONE
    return Portfolio(
        account=account,
        cash=_money(fields, "Cash"),
        unsettled=Money(_money(fields, "UnrealisedPerpPNL") + _money(fields, "UnrealisedFunding")),
        perpetual=perpetual,
        perpetual_price=wad_of(fields, "PerpPrice", low=1) if perpetual else Wad(0),
        base=base,
        spot=wad_of(fields, "SpotPrice", low=1) if needed else Wad(0),
        stable=wad_of(fields, "StablePrice", low=1),
        confidence=min(confidence, wad_of(fields, "PerpConfidence", low=0, high=ONE)) if perpetual else confidence,
        expiries=expiries,
    )


_LISTS = (
    "OptionExpiries", "OptionStrikes", "OptionIsCall", "OptionAmounts", "OptionVols", "OptionVolConfidences",
    "ForwardsFixed", "ForwardsVariable", "ForwardConfidences", "Rates", "RateConfidences",
)  # fmt: skip


class _Row(NamedTuple):
    """What the lists say of an option that is held."""

    fields: Fields
    seconds: int
    option: Option
    vol: Wad
    confidence: Wad


def _expiries(fields: Fields) -> tuple[Expiry, ...]:
    by_time: dict[int, list[_Row]] = {}
    for place, values in enumerate(_lists(fields)):
        try:
            hash(values)
        except TypeError:  # an object where a number should be: nothing to remember
            row = _read(_fields(fields.account, place, values))
        else:
            row = _row(fields.account, place, *values)
        if row is not None:
            by_time.setdefault(row.seconds, []).append(row)
    return tuple(map(_expiry, by_time.values()))


def _lists(fields: Fields) -> Iterator[tuple[object, ...]]:
    lists = {name: fields.entries(name) for name in _LISTS}
    for name, items in lists.items():
        if len(items) != len(lists["OptionAmounts"]):
            raise fields.wrong("give an item for each option", name)
    return zip(*lists.values(), strict=True)


def _fields(account: str, place: int, values: tuple[object, ...]) -> Fields:
    return Fields(dict(zip(_LISTS, values, strict=True)), account, f"option {place}")


def option_rows(fields: Fields) -> list[Fields]:
    """What the lists of a scenario say of each option."""
    return [_fields(fields.account, place, values) for place, values in enumerate(_lists(fields))]


@lru_cache(maxsize=1 << 12, typed=True)  # trials of a plan read nearly the same
def _row(account: str, place: int, *values: object) -> _Row | None:
    return _read(_fields(account, place, values))


def _read(fields: Fields) -> _Row | None:
    """One option; None without an amount."""
    amount = wad_of(fields, "OptionAmounts")
    return _held(fields, amount) if amount else None


def _held(fields: Fields, amount: Wad) -> _Row:
    option = Option(wad_of(fields, "OptionStrikes", low=1), fields.flag("OptionIsCall"), amount)
    confidences = ("OptionVolConfidences", "ForwardConfidences", "RateConfidences")
    confidence = min(wad_of(fields, name, low=0, high=ONE) for name in confidences)
    return _Row(fields, _seconds(fields), option, wad_of(fields, "OptionVols", low=0), confidence)


def only(fields: Fields) -> Expiry:
    """An expiry of one option alone."""
    return _expiry([_held(fields, wad_of(fields, "OptionAmounts"))])


def _expiry(rows: list[_Row]) -> Expiry:
    """One expiry: what is the market's and not an option's is the first one's; the confidence is the least of all."""
    market = rows[0].fields
    return Expiry(
        seconds=rows[0].seconds,
        variable=wad_of(market, "ForwardsVariable", low=0),
        fixed=wad_of(market, "ForwardsFixed", low=0),
        rate=wad_of(market, "Rates"),
        confidence=min(row.confidence for row in rows),
        options=tuple(row.option for row in rows),
        vols=tuple(row.vol for row in rows),
    )


def _seconds(row: Fields) -> int:
    seconds = row.whole("OptionExpiries", low=-LONGEST_SECONDS, high=LONGEST_SECONDS)
    if seconds < 0:
        raise ExpiredInstrument(
            "it has expired: settle it first", account=row.account, instrument=row.instrument, field="OptionExpiries"
        )
    return seconds


def is_file(content: object) -> bool:
    """Whether parsed JSON has the shape of these files."""
    scenario = content.get("Scenario") if isinstance(content, dict) else None
    return isinstance(scenario, dict) and "OptionAmounts" in scenario


def wad_of(fields: Fields, name: str, *, low: int = -LARGEST * WAD, high: int = LARGEST * WAD) -> Wad:
    """An integer of 1e-18."""
    content = fields.content.get(name)
    if content is None:
        raise MissingField("give the field", account=fields.account, instrument=fields.instrument, field=name)
    if isinstance(content, bool) or not isinstance(content, int):
        raise fields.wrong("give an integer, in units of 1e-18", name)
    if not low <= content <= high:
        raise OutOfRange(
            f"it is to be from {low} to {high}", account=fields.account, instrument=fields.instrument, field=name
        )
    return Wad(content)


def _money(fields: Fields, name: str) -> Money:
    return Money(wad_of(fields, name) // _MONEY)


# === The profile ===


def levels(result: Result) -> tuple[Level, ...]:
    """The result as lines; their sum is its margin."""
    of_equity = [
        equity("cash", "USD", result.cash),
        equity("perpetual pnl and funding", "", result.unsettled),
        equity("base and options", "", result.equity - result.cash - result.unsettled),
    ]
    needed = result.contingencies - result.worst
    initial = requirement("worst loss and contingencies", "", up(needed, result.initial_factor))
    confidence = requirement("confidence", "", result.on_confidence)
    maintenance = requirement("worst loss and contingencies", "", needed)
    return (
        Level(Threshold("initial", "margin_call"), (*of_equity, initial, confidence)),
        Level(Threshold("maintenance", "liquidatable"), (*of_equity, maintenance)),
    )


def components(result: Result) -> dict[str, Shown]:
    """Every component in USD under its name in the files, where contingencies are negative."""
    named: Iterable[tuple[str, int]] = (
        ("PerpContingency", -result.on_perpetual),
        ("BaseContingency", -result.on_base),
        ("OptionContingency", -result.on_options),
        ("ForwardContingency", result.basis_contingency),
        ("OracleContingency", -result.on_confidence),
        ("MinSpan", min(result.scenarios)),  # of the scenarios alone: the basis contingency competes with it
        ("Cash", result.cash),
        ("PortfolioMTM", result.equity),
        ("InitialMarginHand", result.initial),
        ("MaintenanceMarginHand", result.maintenance),
        ("InitialMarginCalc", result.initial),
        ("MaintenanceMarginCalc", result.maintenance),
    )
    return {**{name: money / PICO for name, money in named}, "LossFactor": as_float(result.initial_factor)}


_GIVEN = frozenset({"UnrealisedPerpPNL", "UnrealisedFunding", "PercentFixed", "SettlementPrice"})
"""What the files repeat among the results and is not computed."""


def compare(result: Result, expected: Mapping[str, object]) -> Comparison:
    """Every computed component of a file's `Result` against ours."""
    ours = components(result)
    errors: dict[str, float] = {}
    for name, theirs in expected.items():
        got = ours.get(name)
        if isinstance(got, float) and isinstance(theirs, int) and not isinstance(theirs, bool):
            wanted = as_float(theirs)
            errors[name] = abs(got - wanted) / max(abs(wanted), 1.0)
    unmatched = tuple(name for name in expected if name not in errors and name not in _GIVEN)
    return Comparison(errors, unmatched, TOLERANCE)


def _evaluate(content: object, account: str) -> Evaluation:
    result = evaluate(read_account(content, account))
    file = Fields.of(content, account)
    comparison = compare(result, file.section("Result").content) if file.has("Result") else None
    return Evaluation(account, PROFILE.name, levels(result), components(result), comparison)


PROFILE = Profile(
    "derive-pm1", "Derive's first portfolio margin (PMRM): 21 scenarios, one base asset", judging(_evaluate)
)
