"""`derive-pm2` as a profile: the lines of its result at both thresholds.

It reads the published test files as they are: an account is an object with `Scenario` and `Parameters`; where `Result`
is beside them, every component is compared with it.
"""

from __future__ import annotations

from node.margin.models.derive_pm2.components import compare, components
from node.margin.models.derive_pm2.evaluate import Result, evaluate
from node.margin.models.derive_pm2.vectors import Reader
from node.margin.models.fields import Fields
from node.margin.models.fixed import up
from node.margin.models.profile import (
    Evaluation,
    Judge,
    Lazily,
    Level,
    Line,
    Profile,
    Threshold,
    equity,
    requirement,
)

INITIAL = Threshold("initial", "margin_call")
MAINTENANCE = Threshold("maintenance", "liquidatable")


def levels(result: Result) -> tuple[Level, ...]:
    """The result as lines; their sum is its margin."""
    of_equity = [
        equity("cash", "USD", result.cash),
        equity("collateral", "", result.collateral_value),
        *(equity("options", f"expiry {line.seconds}", line.value) for line in result.expiries),
        equity("perpetual pnl", "", result.perpetual_pnl),
        equity("perpetual funding", "", result.perpetual_funding),
    ]
    maintenance = [
        requirement("perpetual contingency", "", result.on_perpetual.maintenance),
        requirement("option contingency", "", result.on_options.maintenance),
        requirement("collateral haircut", "", result.on_collateral.maintenance),
    ]
    initial = [
        *maintenance,
        requirement("perpetual contingency, initial", "", result.on_perpetual.initial),
        requirement("option contingency, initial", "", result.on_options.initial),
        requirement("collateral haircut, initial", "", result.on_collateral.initial),
        requirement("confidence", "", result.on_confidence),
    ]
    return (
        _level(INITIAL, of_equity, initial, up(-result.worst, result.initial_factor)),
        _level(MAINTENANCE, of_equity, maintenance, up(-result.worst, result.maintenance_factor)),
    )


def _level(threshold: Threshold, of_equity: list[Line], required: list[Line], loss: int) -> Level:
    lines = (*of_equity, requirement("worst loss", "", loss), *required)
    return Level(threshold, tuple(line for line in lines if line.amount))


def _judge(_: Fields, __: Fields) -> Judge:
    reader = Reader()

    def evaluate_one(content: object, account: str) -> Evaluation:
        portfolio, markets = reader.read_for(content, account)
        result = evaluate(portfolio, markets.parameters, markets)
        file = Fields.of(content, account)
        comparison = compare(result, file.section("Result").content) if file.has("Result") else None
        return Evaluation(account, PROFILE.name, levels(result), Lazily(lambda: components(result)), comparison)

    return evaluate_one


PROFILE = Profile("derive-pm2", "Derive's portfolio margin PMRM_2, complete", _judge)
