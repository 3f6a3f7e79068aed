"""Every component of the published PMRM_2 portfolios, from what is given to the model alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.margin.engine.derive import pm2 as engine
from node.margin.engine.derive.book import Accounts
from node.margin.engine.derive.options import OPTION_UNIT
from node.margin.engine.derive.pm2_frame import Frame
from node.margin.math.amounts import Amounts
from node.margin.math.products import Rows
from node.margin.models.derive_pm2 import evaluate
from node.margin.models.derive_pm2.components import compare, components
from node.margin.models.derive_pm2.portfolio import Expiry, Option, Portfolio
from node.margin.models.derive_pm2.vectors import read_vector
from node.margin.models.fixed import Wad
from tests.shared import REPOSITORY, shared
from tests.unit.margin_models.test_math import dispatched

FILES = sorted(shared("vectors/margin/derive-pmrm2").glob("*.json"))
DERIVED = frozenset({
    "k", "k_star", "linear_mult_cap", "abs_mult_cap", "linear_multiplier", "abs_multiplier", "MarkVol", "MarkDiscount",
    "ExiryTs", "ConfidenceFactor", "FundingIndex", "SystemFundingIndex", "LastEntryPrice", "StableConfidence",
    "IM_OPTION_PERCENT_NORMAL", "IM_PERP_PERCENT_NORMAL",
})  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def close(got: float, expected: object) -> bool:
    wanted = float(str(expected))
    return abs(got - wanted) <= 1e-8 * max(abs(wanted), 1.0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_component_matches(path: Path) -> None:
    vector = load(path)
    result = evaluate(*read_vector(vector, path.stem))
    comparison = compare(result, vector["Result"])
    assert comparison.matches, (comparison.unmatched, comparison.errors)
    assert set(comparison.errors) == set(vector["Result"])
    # The same again without our own comparison.
    rows = [row[-1] for name in ("reg_losses", "tail_losses", "skew_losses") for row in vector["Result"][name]]
    assert all(close(line.pnl / 1e12, row) for line, row in zip(result.scenarios, rows, strict=True))
    assert close(result.initial / 1e12, vector["Result"]["IM"])
    assert close(result.maintenance / 1e12, vector["Result"]["MM"])


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 90


def turned(content: object) -> object:
    """The same JSON with the keys of each object in the opposite order and no derived field."""
    if isinstance(content, dict):
        return {name: turned(content[name]) for name in reversed(content) if name not in DERIVED}
    return [turned(each) for each in content] if isinstance(content, list) else content


def garbled(content: object) -> object:
    """The same JSON with something else in each derived field."""
    if isinstance(content, dict):
        return {name: "?" if name in DERIVED else garbled(each) for name, each in content.items()}
    return [garbled(each) for each in content] if isinstance(content, list) else content


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_neither_derived_fields_nor_expectations_nor_the_order_of_keys_are_read(path: Path) -> None:
    vector = load(path)
    bare = turned({name: vector[name] for name in ("Scenario", "Parameters")})
    expected = evaluate(*read_vector(vector, ""))
    assert evaluate(*read_vector(bare, "")) == expected
    assert evaluate(*read_vector({**vector, "Scenario": garbled(vector["Scenario"]), "Result": "?"}, "")) == expected


def test_the_order_of_scenarios_decides_nothing() -> None:
    for path in FILES[::20]:
        vector = load(path)
        given = evaluate(*read_vector(vector, ""))
        vector["Parameters"]["Scenarios"].reverse()
        result = evaluate(*read_vector(vector, ""))
        assert (result.initial, result.maintenance) == (given.initial, given.maintenance)
        assert compare(result, vector["Result"]).unmatched == ()
        assert compare(result, vector["Result"]).matches


def test_a_skew_scenario_that_also_moves_the_spot_is_found_by_its_name() -> None:
    vector = load(FILES[0])
    vector["Parameters"]["Scenarios"].insert(0, vector["Parameters"]["Scenarios"].pop())
    vector["Parameters"]["Scenarios"][0]["SpotShock"] = 1.5
    comparison = compare(evaluate(*read_vector(vector, "")), vector["Result"])
    assert comparison.unmatched == ()
    assert comparison.errors["reg_losses"] < 1e-8
    assert comparison.errors["skew_losses"] > 1e-8  # its perpetual has moved


@pytest.mark.parametrize(
    "name", ["IM", "MM", "OracleCont", "ForwardContingency", "CollateralMTM", "PortfolioMTM", "MMOptionCont"]
)
def test_a_wrong_expectation_is_seen(name: str) -> None:
    vector = load(FILES[0])
    result = evaluate(*read_vector(vector, ""))
    vector["Result"][name] = vector["Result"][name] * (1 + 3e-8) + 3e-8
    comparison = compare(result, vector["Result"])
    assert not comparison.matches
    assert comparison.errors[name] > 1e-8


def test_a_wrong_row_label_or_shape_is_seen() -> None:
    vector = load(FILES[0])
    result = evaluate(*read_vector(vector, ""))
    for change in (
        {"worst_reg_scenario": [0.0, 0]},
        {"worst_skew_scenario": "SOMETHING"},
        {"worst_all_scenarios": "tail"},
        {"reg_losses": vector["Result"]["reg_losses"][:-1]},
        {"discount_factors": [[1.0, float("nan")]]},
        {"something": 1.0},
    ):
        assert not compare(result, {**vector["Result"], **change}).matches, change


def in_millionths(portfolio: Portfolio) -> Portfolio:
    """The same portfolio with options as the engine counts them: in millionths, each once, none at zero."""

    def counted(expiry: Expiry) -> Expiry:
        net: Counter[tuple[Wad, bool]] = Counter()
        for option in expiry.options:
            net[option.strike, option.is_call] += round(option.amount / OPTION_UNIT) * OPTION_UNIT
        options = tuple(Option(strike, call, Wad(amount)) for (strike, call), amount in net.items())
        return replace(expiry, options=options, order=tuple(range(len(options))))

    expiries = tuple(counted(expiry) for expiry in portfolio.expiries)
    return replace(portfolio, expiries=expiries, option_count=sum(len(each.options) for each in expiries))


def one_account(frame: Frame, portfolio: Portfolio) -> Accounts:
    held = {
        (expiry.seconds, option.strike, option.is_call): option.amount // OPTION_UNIT
        for expiry in portfolio.expiries
        for option in expiry.options
    }
    keys = [(each.seconds, option.strike, option.is_call) for each in frame.market.expiries for option in each.options]
    perpetual = portfolio.perpetual
    return Accounts(
        Amounts.of([portfolio.cash + (perpetual.pnl + perpetual.funding if perpetual else 0)]),
        Rows(np.array([0, len(keys)]), np.arange(len(keys)), np.array([held[key] for key in keys], dtype=np.int64)),
        Amounts.of([perpetual.amount if perpetual else 0]),
        Amounts.of(each.amount for each in portfolio.collaterals).reshape(1, -1),
    )


def test_the_engine_has_the_same_of_each_portfolio() -> None:
    for path in FILES[::4]:
        portfolio, parameters = read_vector(load(path), path.stem)
        portfolio = in_millionths(portfolio)
        frame = Frame.of(portfolio, parameters)
        found, wanted = engine.evaluate(frame, one_account(frame, portfolio)), evaluate(portfolio, parameters)
        assert not len(found.by_rules), path.stem
        assert found.initial.integers() == [wanted.initial], path.stem
        assert found.maintenance.integers() == [wanted.maintenance]
        assert found.scenarios[:, 0].integers() == [line.pnl for line in wanted.scenarios]


_PROGRAM = """
import hashlib, json, sys
from node.bench.margin import derive_pm2 as made
from node.margin.engine.derive import pm2 as engine
from node.margin.engine.derive.pm2_frame import Frame
from node.margin.models.derive_pm2 import evaluate
from node.margin.models.derive_pm2.vectors import read_vector
digest = hashlib.sha256()
for name in sys.argv[1:]:
    with open(name) as file:
        digest.update(repr(evaluate(*read_vector(json.load(file), ""))).encode())
frame = Frame.of(*made.sample_market())
margins = engine.evaluate(frame, made.sample(frame, 300))
for amounts in (margins.initial, margins.maintenance, margins.scenarios):
    digest.update(amounts.high.tobytes() + amounts.low.tobytes())
print(digest.hexdigest())
"""


def test_results_are_the_same_to_the_last_digit_whatever_numpy_dispatches_to() -> None:
    names = [str(path) for path in FILES[::15]]
    environments: tuple[dict[str, str], ...] = (
        {},
        {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched())},
        {"OPENBLAS_NUM_THREADS": "1"},
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM, *names],
            cwd=REPOSITORY, env={**os.environ, **each}, capture_output=True, text=True, check=True,
        ).stdout
        for each in environments
    }  # fmt: skip
    assert len(digests) == 1


def test_components_are_those_of_the_files() -> None:
    vector = load(FILES[0])
    assert set(components(evaluate(*read_vector(vector, "")))) == set(vector["Result"])
