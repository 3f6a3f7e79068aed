"""One portfolio under all rules: the marks of each instrument once for each shock, then exact sums for the account."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from node.margin.models.derive_pm2 import rules
from node.margin.models.derive_pm2.marks import UNMOVED, Markets, OptionLine, given
from node.margin.models.derive_pm2.portfolio import Collateral, Expiry, Parameters, Portfolio, Scenario, Shock
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import Money, Wad, as_wad, value


@dataclass(frozen=True, slots=True)
class ScenarioLine:
    """What a scenario does to the account."""

    scenario: Scenario
    pnl: Money


@dataclass(frozen=True, slots=True)
class ExpiryLine:
    """One expiry: its options' value, what of it counts, the two discounts, and its basis contingency."""

    seconds: int
    value: Money
    discounted: Money
    long_discount: Wad
    short_discount: Wad
    basis_contingency: Money


@dataclass(frozen=True, slots=True)
class Contingency:
    """A requirement on top of the worst loss; `initial` comes beside `maintenance`. Both ≥ 0."""

    maintenance: Money
    initial: Money


@dataclass(frozen=True, slots=True)
class Result:
    """The whole breakdown. `initial` and `maintenance` are what is left after all requirements: < 0 is not enough.

    `options` are in the portfolio's order; None is in the place of one that has no amount and cannot be shown.
    """

    cash: Money
    collateral_value: Money
    option_value: Money
    perpetual_pnl: Money
    perpetual_funding: Money
    equity: Money
    scenarios: tuple[ScenarioLine, ...]
    expiries: tuple[ExpiryLine, ...]
    options: tuple[OptionLine | None, ...]
    basis_contingency: Money
    worst: Money
    initial_factor: Wad
    maintenance_factor: Wad
    on_perpetual: Contingency
    on_options: Contingency
    on_collateral: Contingency
    on_confidence: Money
    initial: Money
    maintenance: Money


Held = list[tuple[Collateral, Money]]
"""Each collateral with its value."""


def evaluate(portfolio: Portfolio, parameters: Parameters, markets: Markets | None = None) -> Result:
    """The margin of one account, with all that led to it; with what its options are worth, where that is kept.

    Raises MissingField where parameters that this portfolio needs are absent, and OutOfRange, which names the option,
    where its market gives no finite price.
    """
    held = [(each, rules.collateral_value(each, portfolio.stable)) for each in portfolio.collaterals]
    markets = markets or Markets(parameters)
    priced = [
        markets.valued.once(expiry, partial(_priced, portfolio.account, expiry, markets))
        for expiry in portfolio.expiries
    ]
    expiries = tuple(each.line for each in priced)
    exposure = _spot_exposure(portfolio, held)
    scenarios = tuple(
        ScenarioLine(scenario, _scenario_pnl(exposure, [(each.line, each.shocked[i]) for each in priced], scenario))
        for i, scenario in enumerate(parameters.scenarios)
    )
    basis = _total(line.basis_contingency for line in expiries)
    worst = min(basis, *(line.pnl for line in scenarios))

    perpetual = portfolio.perpetual
    pnl, funding = (perpetual.pnl, perpetual.funding) if perpetual else (Money(0), Money(0))
    collaterals, options = _total(amount for _, amount in held), _total(line.value for line in expiries)
    equity = Money(portfolio.cash + collaterals + options + pnl + funding)

    on_perpetual, on_options = _on_perpetual(portfolio, parameters), _on_options(portfolio, parameters)
    on_collateral, on_confidence = _on_collateral(held), _on_confidence(portfolio, held, parameters)
    of_maintenance = (on_perpetual.maintenance, on_options.maintenance, on_collateral.maintenance)
    of_initial = (*of_maintenance, on_perpetual.initial, on_options.initial, on_collateral.initial, on_confidence)
    factor = rules.initial_factor(portfolio.stable, parameters.loss, parameters.contingencies)
    return Result(
        cash=portfolio.cash,
        collateral_value=collaterals,
        option_value=options,
        perpetual_pnl=pnl,
        perpetual_funding=funding,
        equity=equity,
        scenarios=scenarios,
        expiries=expiries,
        options=_option_lines(portfolio, priced, markets),
        basis_contingency=basis,
        worst=worst,
        initial_factor=factor,
        maintenance_factor=parameters.loss.maintenance,
        on_perpetual=on_perpetual,
        on_options=on_options,
        on_collateral=on_collateral,
        on_confidence=on_confidence,
        initial=rules.margin(worst, factor, of_initial, equity),
        maintenance=rules.margin(worst, parameters.loss.maintenance, of_maintenance, equity),
    )


@dataclass(frozen=True, slots=True)
class _Priced:
    """One expiry of the account: its line, its options' lines, and its value under each scenario."""

    expiry: Expiry
    line: ExpiryLine
    options: tuple[OptionLine, ...]
    shocked: tuple[Money, ...]


def _priced(account: str, expiry: Expiry, markets: Markets) -> _Priced:
    parameters = markets.parameters
    basis = given(parameters.basis, account, "BasisContingency")
    moves = [UNMOVED, (basis.spot_up, Shock.NONE), (basis.spot_down, Shock.NONE)]
    moves += [(scenario.spot, scenario.shock) for scenario in parameters.scenarios]
    marks, lines = markets.priced(account, expiry, moves)
    current, at_up, at_down, *shocked = rules.options_values(expiry.options, marks)
    long = as_wad(rules.long_discount(expiry.rate, expiry.years, parameters.loss))
    short = as_wad(rules.short_discount(expiry.rate, expiry.years, parameters.loss))
    line = ExpiryLine(
        expiry.seconds,
        current,
        rules.discounted(current, long, short),
        long,
        short,
        rules.basis_contingency(current, at_up, at_down, rules.basis_factor(expiry.seconds, basis)),
    )
    return _Priced(expiry, line, lines, tuple(shocked))


def _spot_exposure(portfolio: Portfolio, held: Held) -> Money:
    perpetual = portfolio.perpetual
    of_perpetual = value(perpetual.amount, perpetual.price) if perpetual else 0
    return Money(of_perpetual + _total(amount for each, amount in held if each.risk_cancelling))


def _scenario_pnl(exposure: Money, options: Iterable[tuple[ExpiryLine, Money]], scenario: Scenario) -> Money:
    moves = [rules.spot_move(exposure, scenario)]
    for line, shocked in options:
        counted = rules.discounted(shocked, line.long_discount, line.short_discount)
        moves.append(rules.expiry_move(counted, line.value, scenario))
    return rules.scenario_pnl(moves, scenario)


# === Contingencies ===


def _on_perpetual(portfolio: Portfolio, parameters: Parameters) -> Contingency:
    rule = parameters.contingencies
    size = rules.notional(abs(portfolio.perpetual.amount) if portfolio.perpetual else 0, portfolio.spot)
    return Contingency(
        rules.contingency(size, rule.perpetual_maintenance), rules.contingency(size, rule.perpetual_initial)
    )


def _on_options(portfolio: Portfolio, parameters: Parameters) -> Contingency:
    rule = parameters.contingencies
    short = rules.notional(sum(rules.naked_shorts(each.options) for each in portfolio.expiries), portfolio.spot)
    return Contingency(rules.contingency(short, rule.option_maintenance), rules.contingency(short, rule.option_initial))


def _on_collateral(held: Held) -> Contingency:
    return Contingency(
        _total(rules.contingency(amount, each.maintenance_haircut) for each, amount in held),
        _total(rules.contingency(amount, each.initial_haircut) for each, amount in held),
    )


def _on_confidence(portfolio: Portfolio, held: Held, parameters: Parameters) -> Money:
    rule, perpetual, spot = parameters.contingencies, portfolio.perpetual, portfolio.spot
    market = min(portfolio.spot_confidence, perpetual.confidence) if perpetual else portfolio.spot_confidence
    based = [(min(each.confidence, portfolio.spot_confidence), amount) for each, amount in held]
    based += [
        (rules.expiry_confidence(expiry, market), rules.notional(rules.gross_amount(expiry.options), spot))
        for expiry in portfolio.expiries
    ]
    if perpetual:
        based.append((market, rules.notional(abs(perpetual.amount), spot)))
    return _total(rules.contingency(base, rules.confidence_charge(confidence, rule)) for confidence, base in based)


# === Lines ===


def _option_lines(portfolio: Portfolio, priced: Iterable[_Priced], markets: Markets) -> tuple[OptionLine | None, ...]:
    lines = {place: line for each in priced for place, line in zip(each.expiry.order, each.options, strict=True)}
    for expiry in portfolio.shown:
        with suppress(PortfolioError):  # nothing is held: what cannot be shown stops nobody
            _, shown = markets.priced(portfolio.account, expiry, [UNMOVED])
            lines |= zip(expiry.order, shown, strict=True)
    return tuple(lines.get(place) for place in range(portfolio.option_count))


def _total(parts: Iterable[Money]) -> Money:
    return Money(sum(parts))
