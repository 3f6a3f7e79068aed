"""`hypothec margin` as people and scripts run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chains.errors import ConfigError, InputError
from node.cli import app
from node.margin.models.errors import PortfolioError
from node.margin.models.profiles import PROFILES
from tests.shared import shared
from tests.unit.margin_models.test_derive_pm2 import option, vector
from tests.unit.margin_models.test_lending import ETH, file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["margin", *map(str, arguments)], catch_exceptions=True)


def saved(folder: Path, content: object) -> Path:
    path = folder / "portfolio.json"
    path.write_text(json.dumps(content))
    return path


def published() -> Path:
    return next(iter(sorted(shared("vectors/margin/derive-pmrm2").glob("*_risk_reversal_dn.json"))))


def test_a_vector_file_is_read_as_it_is() -> None:
    result = run("evaluate", "--profile", "derive-pm2", published())
    assert result.exit_code == 0
    assert "matches_vector: true" in result.output
    assert "max_relative_error: " in result.output


def test_json_has_every_component() -> None:
    expected = json.loads(published().read_text())["Result"]
    shown: dict[str, Any] = json.loads(run("evaluate", "--profile", "derive-pm2", published(), "--json").output)
    assert shown["matches_vector"] is True
    assert shown["max_relative_error"] < 1e-10
    assert set(shown["components"]) == set(expected) == set(shown["relative_errors"])
    assert abs(shown["components"]["IM"] - expected["IM"]) < 1e-8 * abs(expected["IM"])
    assert float(shown["levels"]["initial"]["excess_usd"]) == pytest.approx(expected["IM"], rel=1e-9)


def test_a_wrong_expectation_fails(tmp_path: Path) -> None:
    content = json.loads(published().read_text())
    content["Result"]["MM"] += 1
    result = run("evaluate", "--profile", "derive-pm2", saved(tmp_path, content))
    assert result.exit_code == 1
    assert "matches_vector: false" in result.output


def test_a_portfolio_without_expectation_is_evaluated(tmp_path: Path) -> None:
    result = run("evaluate", "--profile", "derive-pm2", saved(tmp_path, vector()), "--json")
    assert result.exit_code == 0
    assert "matches_vector" not in json.loads(result.output)


def test_explain_adds_up_line_by_line(tmp_path: Path) -> None:
    result = run("explain", "--profile", "ltv", saved(tmp_path, file(collateral=ETH, cash=-1_000)))
    assert result.exit_code == 0
    for text in ("alice: healthy (ltv)", "16,000.00  collateral ETH", "1,000.00  debt USD", "15,000.00  excess"):
        assert text in result.output


def test_explain_says_what_each_threshold_asks(tmp_path: Path) -> None:
    result = run("explain", "--profile", "dydx", saved(tmp_path, {"account": "alice", "cash": -5}))
    assert result.exit_code == 0
    for text in ("alice: margin_call (dydx)", "initial: below zero the account is margin_call",
                 "maintenance: below zero, where anything is required, the account is liquidatable"):  # fmt: skip
        assert text in result.output


def test_accounts_are_answered_one_by_one(tmp_path: Path) -> None:
    accounts = [{"account": "good", "collateral": ETH}, {"account": "bad", "cash": "x"}]
    result = run("evaluate", "--profile", "ltv", saved(tmp_path, {**file(), "accounts": accounts}), "--json")
    good, bad = json.loads(result.output)["accounts"]
    assert result.exit_code == 1
    assert good["status"] == "healthy"
    assert (bad["error"]["reason"], bad["error"]["field"]) == ("PORTFOLIO_INVALID", "cash")


def test_a_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    account = {"account": "\x1b[2J\n\ud800", "collateral": ETH}
    path = saved(tmp_path, {**file(), "accounts": [account, {"account": "b", "cash": "\x1b"}]})
    for command in ("evaluate", "explain"):
        result = run(command, "--profile", "ltv", path)
        assert result.exit_code == 1
        assert r"\x1b[2J\n\ud800: healthy" in result.output
        assert result.output.replace("\n", "").isprintable()


@pytest.mark.parametrize("expected", [10**400, "1e999", [], {}, None, True, [[]], "x", [10**400, 1, 1]])
def test_an_expectation_of_any_form_is_compared(tmp_path: Path, expected: object) -> None:
    names = ("IM", "reg_losses", "worst_all_scenarios", "worst_tail_scenario", "discount_factors")
    content = vector() | {"Result": dict.fromkeys(names, expected)}
    result = run("evaluate", "--profile", "derive-pm2", saved(tmp_path, content), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["matches_vector"] is False


@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_bad_input_is_a_typed_error(tmp_path: Path, command: str) -> None:
    for content, wrong in (
        (vector(Options=[option(amount=float("nan"))]), PortfolioError),
        (vector(Cash=float("inf")), PortfolioError),
        ([], PortfolioError),
    ):
        result = run(command, "--profile", "derive-pm2", saved(tmp_path, content))
        assert isinstance(result.exception, wrong), content
    (tmp_path / "broken.json").write_text("{")
    assert isinstance(run(command, "--profile", "ltv", tmp_path / "broken.json").exception, InputError)
    (tmp_path / "deep.json").write_text("[" * 200_000)
    assert isinstance(run(command, "--profile", "ltv", tmp_path / "deep.json").exception, InputError)
    assert isinstance(run(command, "--profile", "none", tmp_path / "deep.json").exception, ConfigError)


def test_profiles_are_listed() -> None:
    output = run("profiles").output
    assert all(name in output for name in PROFILES)


def test_the_readme_says_a_sentence_of_each() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    for profile in PROFILES.values():
        assert readme.count(f"| `{profile.name}` | {profile.summary} |") == 1


def test_stress_is_refused_where_there_is_none(tmp_path: Path) -> None:
    path = saved(tmp_path, {"account": "alice", "cash": 5})
    for command in ("evaluate", "explain"):
        assert isinstance(run(command, "--profile", "ltv", "--stress", path).exception, ConfigError)
        assert run(command, "--stress", path).exit_code == 0


def test_tables_are_explained_row_by_row() -> None:
    lines = run("explain", "--profile", "derive-pm2", published()).output.splitlines()
    place = lines.index("  reg_losses")
    assert lines[place + 1].split()[:2] == ["0.18", "1"]
    assert not any("[[" in line for line in lines)


@pytest.mark.parametrize("command", ["evaluate", "plan", "what-if"])
def test_the_error_of_one_account_is_in_its_json_too(tmp_path: Path, command: str) -> None:
    path = saved(tmp_path, {"account": "alice", "collateral": {"ETH": 1}})
    result = run(command, "--profile", "ltv", path, "--json")
    assert isinstance(result.exception, PortfolioError)
    shown = json.loads(result.output)
    assert (shown["account"], shown["error"]["account"], shown["error"]["field"]) == ("alice", "alice", "collateral")
    assert not run(command, "--profile", "ltv", path).output
