"""The documented example, changed where it hurts: nothing but PortfolioError escapes, by the rules or the engine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from node.margin.engine.hypothec import evaluate as engine
from node.margin.models.book import accounts
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.parameters import read_parameters
from node.margin.models.hypothec.portfolio import read_portfolio
from node.margin.models.hypothec.profile import result_of
from node.margin.models.profile import merged
from node.margin.models.profiles import PROFILES, evaluate_file
from tests.property.margin_models.hypothec.test_health import FEW, ends
from tests.property.margin_models.test_bad_input import changed
from tests.unit.margin_models.hypothec.test_profile import example


def file() -> dict[str, Any]:
    found = example()
    return {**found, "parameters": {**FEW, **found["parameters"]}}


def exercise(content: dict[str, Any]) -> None:
    try:
        outcomes = list(evaluate_file(PROFILES["hypothec"], content, "file"))
    except PortfolioError:
        return
    market, parameters = (Fields.of(content.get(name) or {}, "") for name in ("market", "parameters"))
    for (name, account), outcome in zip(accounts(content, "file"), outcomes, strict=True):
        if isinstance(outcome, PortfolioError):
            continue
        assert dict(outcome.components)["isolated"] is not None
        assert outcome.levels[1].excess >= outcome.levels[0].excess
        rules = read_parameters(Fields(merged(DEFAULTS, parameters.content), ""))
        portfolio = read_portfolio(account, name, market, rules)
        found = engine.evaluate(*engine.prepared([portfolio], rules))
        assert list(found.excesses(0)) == ends(result_of(portfolio, rules))


@settings(max_examples=25, deadline=None)
@given(changed(file()))
def test_nothing_else_escapes_and_the_engine_agrees(content: dict[str, Any]) -> None:
    exercise(content)


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(changed(file()))
def test_nothing_else_escapes_however_long_one_tries(content: dict[str, Any]) -> None:
    exercise(content)
