"""`derive-pm2` for many accounts of one market, equal to the rules bit for bit.

    frame = Frame.of(market, parameters)     the marks, once
    evaluate(frame, accounts)                → Margins: every margin, contingency and scenario of every account

An account is a sparse row of integer amounts. Its value in each expiry under each scenario is that row times the table
of marks, exactly; from there on everything is integers, rounded where the rules round. An account whose numbers would
pass the bounds of that arithmetic, or that holds what has no price, is evaluated by the rules themselves. Must not know
prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from chains.errors import InputError
from node.margin.engine.derive.book import Accounts, Bounds, check, evaluated, held_options, left_to_rules, owned
from node.margin.engine.derive.pm2_frame import Frame
from node.margin.engine.derive.rows import evaluate_rows, naked_shorts, on_confidence
from node.margin.math.amounts import Amounts
from node.margin.math.products import IntArray
from node.margin.models.derive_pm2 import Result
from node.margin.models.derive_pm2 import evaluate as evaluate_one
from node.margin.models.derive_pm2.portfolio import Portfolio
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import Money, Wad


@dataclass(frozen=True, slots=True)
class Margins:
    """What the rules' Result has, for all accounts: money, by account; `scenarios` is [scenarios, accounts].

    `errors` says which accounts could not be evaluated, and why; their numbers are zero. `by_rules` are those that were
    left to the rules.
    """

    equity: Amounts
    option_value: Amounts
    collateral_value: Amounts
    scenarios: Amounts
    basis_contingency: Amounts
    worst: Amounts
    perpetual_maintenance: Amounts
    perpetual_initial: Amounts
    options_maintenance: Amounts
    options_initial: Amounts
    collateral_maintenance: Amounts
    collateral_initial: Amounts
    on_confidence: Amounts
    initial: Amounts
    maintenance: Amounts
    errors: Mapping[int, PortfolioError]
    by_rules: IntArray


_NAMES = tuple(field.name for field in fields(Margins) if field.name not in {"errors", "by_rules"})


def evaluate(frame: Frame, accounts: Accounts) -> Margins:
    """The margins of all accounts; one that cannot be evaluated stops no other.

    Raises InputError where the rows are not of this frame.
    """
    check(frame.options, accounts, len(frame.collaterals))
    if frame.market.perpetual is None and (accounts.perpetuals.high.any() or accounts.perpetuals.low.any()):
        raise InputError("the frame has no perpetual")
    left = left_to_rules(frame.options, accounts, _bounds(frame))
    total, errors = evaluated(
        accounts,
        left,
        _NAMES,
        len(frame.parameters.scenarios),
        lambda some: _margins(frame, some),
        lambda place: _named(evaluate_one(portfolio(frame, accounts, place), frame.parameters)),
    )
    return Margins(**total, errors=errors, by_rules=np.flatnonzero(left))


def _bounds(frame: Frame) -> Bounds:
    rule, market = frame.parameters.contingencies, frame.market
    ratios = [rule.option_maintenance, rule.option_initial, rule.perpetual_maintenance, rule.perpetual_initial]
    return Bounds.of(
        frame.options,
        spot=market.spot,
        perpetual=market.perpetual.price if market.perpetual else Wad(0),
        ratios=[*ratios, frame.perpetual_charge, *(each for table in frame.options.priced for each in table.charges)],
        collaterals=[(each.price, Wad(each.maintenance + each.initial + each.charge)) for each in frame.collaterals],
        factors=(frame.initial_factor, frame.parameters.loss.maintenance),
    )


def portfolio(frame: Frame, accounts: Accounts, place: int) -> Portfolio:
    """One account as the rules read it. Raises OutOfRange for a collateral that is owed."""
    market = frame.market
    expiries = []
    for expiry, held in zip(
        market.expiries, held_options(accounts, place, [each.options for each in market.expiries]), strict=True
    ):
        if held:
            options = tuple(option for _, option in held)
            expiries.append(replace(expiry, options=options, order=tuple(range(len(options)))))
    amounts = owned(accounts, place, [each.name for each in market.collaterals])
    perpetual, amount = market.perpetual, accounts.perpetuals[place : place + 1].integers()[0]
    return replace(
        market,
        account=f"account {place}",
        cash=Money(accounts.cash[place : place + 1].integers()[0]),
        collaterals=tuple(
            replace(each, amount=amount) for each, amount in zip(market.collaterals, amounts, strict=True)
        ),
        perpetual=replace(perpetual, amount=Wad(amount), pnl=Money(0), funding=Money(0))
        if perpetual and amount
        else None,
        expiries=tuple(expiries),
        option_count=sum(len(expiry.options) for expiry in expiries),
        shown=(),
    )


def _named(result: Result) -> dict[str, list[int]]:
    """The rules' result under the names of Margins."""
    return {
        "equity": [result.equity],
        "option_value": [result.option_value],
        "collateral_value": [result.collateral_value],
        "scenarios": [line.pnl for line in result.scenarios],
        "basis_contingency": [result.basis_contingency],
        "worst": [result.worst],
        "perpetual_maintenance": [result.on_perpetual.maintenance],
        "perpetual_initial": [result.on_perpetual.initial],
        "options_maintenance": [result.on_options.maintenance],
        "options_initial": [result.on_options.initial],
        "collateral_maintenance": [result.on_collateral.maintenance],
        "collateral_initial": [result.on_collateral.initial],
        "on_confidence": [result.on_confidence],
        "initial": [result.initial],
        "maintenance": [result.maintenance],
    }


# === Some accounts at a time ===


def _margins(frame: Frame, accounts: Accounts) -> dict[str, Amounts]:
    rule, loss, market = frame.parameters.contingencies, frame.parameters.loss, frame.market
    on_collateral = _collaterals(frame, accounts)
    exposure = on_collateral.exposure
    if market.perpetual is not None:
        exposure = (exposure + accounts.perpetuals.worth(market.perpetual.price)).whole()
    options = evaluate_rows(frame.options, accounts.options, exposure)
    worst = options.basis.least(options.scenarios.lowest())
    equity = (accounts.cash + on_collateral.value + options.value).whole()
    held = (-accounts.perpetuals.losses()).whole().cost(market.spot)
    short = naked_shorts(frame.options, accounts.options).cost(market.spot)
    beside = (accounts.perpetuals.high != 0) | (accounts.perpetuals.low != 0)
    charged = on_collateral.charge + held.up(frame.perpetual_charge)
    charged += on_confidence(frame.options, accounts.options, beside, market.spot)
    required = {
        "perpetual_maintenance": held.up(rule.perpetual_maintenance),
        "options_maintenance": short.up(rule.option_maintenance),
        "collateral_maintenance": on_collateral.maintenance,
    }
    more = {
        "perpetual_initial": held.up(rule.perpetual_initial),
        "options_initial": short.up(rule.option_initial),
        "collateral_initial": on_collateral.initial,
        "on_confidence": charged.whole(),
    }
    maintenance, initial = worst.down(loss.maintenance) + equity, worst.down(frame.initial_factor) + equity
    for each in required.values():
        maintenance, initial = maintenance - each, initial - each
    for each in more.values():
        initial = initial - each
    return {
        "equity": equity,
        "option_value": options.value,
        "collateral_value": on_collateral.value,
        "scenarios": options.scenarios,
        "basis_contingency": options.basis,
        "worst": worst,
        **required,
        **more,
        "initial": initial.whole(),
        "maintenance": maintenance.whole(),
    }


@dataclass(frozen=True, slots=True)
class _Collaterals:
    """What collaterals are worth and cost; `exposure` is the value of those that move with the spot."""

    value: Amounts
    exposure: Amounts
    maintenance: Amounts
    initial: Amounts
    charge: Amounts


def _collaterals(frame: Frame, accounts: Accounts) -> _Collaterals:
    value, exposure, maintenance, initial, charge = (Amounts.zeros(len(accounts)) for _ in range(5))
    for place, terms in enumerate(frame.collaterals):
        worth = accounts.collaterals[:, place].worth(terms.price)
        value += worth
        exposure += worth if terms.risk_cancelling else Amounts.zeros(len(accounts))
        maintenance += worth.up(terms.maintenance)
        initial += worth.up(terms.initial)
        charge += worth.up(terms.charge)
    return _Collaterals(value.whole(), exposure.whole(), maintenance.whole(), initial.whole(), charge.whole())
