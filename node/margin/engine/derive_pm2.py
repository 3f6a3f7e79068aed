"""`derive-pm2` for many accounts of one market, equal to the rules bit for bit.

    frame = Frame.of(market, parameters)     the marks, once
    evaluate(frame, accounts)                → Margins: every margin, contingency and scenario of every account

An account is a sparse row of integer amounts. Its value in each expiry under each scenario is that row times the table
of marks, exactly; from there on everything is integers, rounded where the rules round. An account whose numbers would
pass the bounds of that arithmetic, or that holds what has no price, is evaluated by the rules themselves. Must not know
prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np

from node.margin.engine.derive_pm2_book import OPTION_UNIT, Accounts, check, left_to_rules, portfolio, without
from node.margin.engine.derive_pm2_frame import Frame
from node.margin.engine.derive_pm2_rows import evaluate_rows, owners
from node.margin.math.amounts import BASE, LARGEST, Amounts
from node.margin.math.products import IntArray, Rows
from node.margin.models.derive_pm2 import Result
from node.margin.models.derive_pm2 import evaluate as evaluate_one
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fixed import Wad

CHUNK = 4_096
"""Accounts that are evaluated at a time."""


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
    check(frame, accounts)
    left = left_to_rules(frame, accounts)
    fitting = without(accounts, left) if left.any() else accounts
    total = {name: Amounts.zeros(len(accounts)) for name in _NAMES}
    total["scenarios"] = Amounts.zeros(len(frame.parameters.scenarios), len(accounts))
    for first in range(0, len(accounts), CHUNK):
        chunk = slice(first, min(first + CHUNK, len(accounts)))
        for name, amounts in _margins(frame, fitting[chunk]).items():
            total[name].put((..., chunk), amounts)
    errors = dict(_by_rules(frame, accounts, np.flatnonzero(left), total))
    return Margins(**total, errors=errors, by_rules=np.flatnonzero(left))


def _by_rules(
    frame: Frame, accounts: Accounts, places: IntArray, total: Mapping[str, Amounts]
) -> Iterator[tuple[int, PortfolioError]]:
    for place in places.tolist():
        try:
            found = _named(evaluate_one(portfolio(frame, accounts, place), frame.parameters))
            if any(not -LARGEST < number < LARGEST for numbers in found.values() for number in numbers):
                raise OutOfRange("its numbers are absurd", account=f"account {place}", bound=LARGEST)
        except PortfolioError as error:
            yield place, error
            continue
        for name, numbers in found.items():
            amounts = Amounts.of(numbers)
            total[name].put((..., place), amounts if name == "scenarios" else amounts[0])


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
    options = evaluate_rows(frame, accounts.options, exposure)
    worst = options.basis.least(options.scenarios.lowest())
    equity = (accounts.cash + on_collateral.value + options.value).whole()
    held = _notional((-accounts.perpetuals.losses()).whole(), market.spot)
    short = _notional(_naked_shorts(frame, accounts.options), market.spot)
    required = {
        "perpetual_maintenance": held.up(rule.perpetual_maintenance),
        "options_maintenance": short.up(rule.option_maintenance),
        "collateral_maintenance": on_collateral.maintenance,
    }
    beside = {
        "perpetual_initial": held.up(rule.perpetual_initial),
        "options_initial": short.up(rule.option_initial),
        "collateral_initial": on_collateral.initial,
        "on_confidence": (on_collateral.charge + _on_confidence(frame, accounts, held)).whole(),
    }
    maintenance, initial = worst.down(loss.maintenance) + equity, worst.down(frame.initial_factor) + equity
    for each in required.values():
        maintenance, initial = maintenance - each, initial - each
    for each in beside.values():
        initial = initial - each
    return {
        "equity": equity,
        "option_value": options.value,
        "collateral_value": on_collateral.value,
        "scenarios": options.scenarios,
        "basis_contingency": options.basis,
        "worst": worst,
        **required,
        **beside,
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


def _notional(amounts: Amounts, spot: Wad) -> Amounts:
    """amount·spot, rounded up, of whole amounts ≥ 0."""
    return (-(-amounts).whole().worth(spot)).whole()


def _naked_shorts(frame: Frame, rows: Rows) -> Amounts:
    """Σ over strikes of max(0, short − long): the options of a strike are beside each other in a row."""
    if not len(rows.columns):
        return Amounts.zeros(len(rows))
    strikes, places = frame.strikes[rows.columns], owners(rows)
    changes = (np.diff(strikes) != 0) | (np.diff(places) != 0)
    first = np.concatenate([[0], np.flatnonzero(changes) + 1])
    net = np.add.reduceat(rows.amounts, first)
    return _option_amounts(places[first], np.maximum(-net, 0), len(rows))


def _option_amounts(places: IntArray, amounts: IntArray, count: int) -> Amounts:
    """By place the sum of amounts in millionths, in 1e-18. left_to_rules keeps it below 2^53: exact in floats."""
    total = np.bincount(places, weights=amounts.astype(np.float64), minlength=count).astype(np.int64)
    return Amounts(total * (OPTION_UNIT // BASE), np.zeros_like(total))


def _on_confidence(frame: Frame, accounts: Accounts, held: Amounts) -> Amounts:
    """What low confidence costs of the notional: of the perpetual `held`, and of each expiry's options."""
    total = held.up(frame.perpetual_charge)
    if not any(table is not None and any(table.charges) for table in frame.tables):
        return total
    rows, count = accounts.options, len(accounts)
    places = frame.expiry_of[rows.columns] * count + owners(rows)
    gross = _option_amounts(places, np.abs(rows.amounts), len(frame.tables) * count)
    size = _notional(gross.reshape(len(frame.tables), count), frame.market.spot)
    beside = (accounts.perpetuals.high != 0) | (accounts.perpetuals.low != 0)
    for place, table in enumerate(frame.tables):
        for which, charge in zip((~beside, beside), table.charges if table else (), strict=bool(table)):
            if charge:
                total.add(which, size[place, which].up(charge))
    return total
