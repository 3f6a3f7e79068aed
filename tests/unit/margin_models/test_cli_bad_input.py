"""`hypothec margin evaluate` over what it may be handed: every profile, files that are no portfolio, bad accounts."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chains.errors import InputError, LimitError
from node.cli import app
from node.margin.models.errors import PortfolioError
from node.margin.models.profiles import PROFILES
from tests.property.margin_models.files import FILES, PLAIN

SHARED = sorted(profile for profile, content in FILES.items() if "accounts" in content)


def evaluate(profile: str, path: Path) -> Result:
    return CliRunner().invoke(app, ["margin", "evaluate", "--profile", profile, str(path), "--json"])


def saved(folder: Path, content: object) -> Path:
    path = folder / "portfolio.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_reads_its_file(profile: str, tmp_path: Path) -> None:
    result = evaluate(profile, saved(tmp_path, FILES[profile]))
    assert result.exit_code == 0, result.output
    shown = json.loads(result.output)
    for account in shown.get("accounts", [shown]):
        assert account["profile"] == profile
        assert account["levels"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_line_has_a_name_of_its_own(profile: str, tmp_path: Path) -> None:
    shown = json.loads(evaluate(profile, saved(tmp_path, FILES[profile])).output)
    for account in shown.get("accounts", [shown]):
        for level in account["levels"].values():
            names = [(line["component"], line["instrument"]) for line in level["lines"]]
            assert len(names) == len(set(names)), names


@pytest.mark.parametrize("profile", SHARED)
def test_a_bad_account_is_named_and_the_next_one_answered(profile: str, tmp_path: Path) -> None:
    content = deepcopy(FILES[profile])
    section = next(name for name in PLAIN if name in content["accounts"][0])
    bad: list[tuple[dict[str, Any], str]] = [
        ({"amount": float("nan")}, "amount"),
        ({"amount": float("-inf")}, "amount"),
        ({"amount": "1e30"}, "amount"),
        ({"amount": 2**255}, "amount"),
        ({"asset": "DOGE", "amount": 1}, "market"),
        ({"amount": "ten"}, "amount"),
        ({"amount": "１"}, "amount"),
        ({"amount": "1_0"}, "amount"),
        ({"amount": " 1"}, "amount"),
        ({"amount": "nan"}, "amount"),
    ]
    if section == "collateral":
        bad.append(({"amount": -1}, "amount"))
    for changes, field in bad:
        whole = deepcopy(content)
        whole["accounts"][0][section][0].update(changes)
        result = evaluate(profile, saved(tmp_path, whole))
        assert result.exit_code == 1
        alice, bob = json.loads(result.output)["accounts"]
        asset = changes.get("asset", content["accounts"][0][section][0]["asset"])
        assert (alice["account"], alice["error"]["account"], alice["error"]["field"]) == ("alice", "alice", field)
        assert alice["error"]["instrument"].startswith(asset)
        assert alice["error"]["reason"].startswith("PORTFOLIO_")
        assert bob["status"]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00", "{} {}", "{'cash': 1}", "7" * 5_000])
def test_what_is_no_json_is_a_typed_error(text: str, tmp_path: Path) -> None:
    assert isinstance(evaluate("ltv", saved(tmp_path, text)).exception, InputError)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_no_portfolio_is_a_typed_error(profile: str, tmp_path: Path) -> None:
    for content in ("null", "7", "[]", '{"market": 5}', '{"accounts": {}}'):
        assert isinstance(evaluate(profile, saved(tmp_path, content)).exception, PortfolioError), content


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for text in ('{"market": {"ETH": {"price": 1}, "ETH": {"price": 2}}}', '{"cash": 1, "cash": 2}'):
        result = evaluate("ltv", saved(tmp_path, text))
        assert isinstance(result.exception, InputError)
        assert "twice" in str(result.exception)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert isinstance(evaluate("ltv", path).exception, LimitError)


def test_too_many_rows_are_refused_by_name(tmp_path: Path) -> None:
    rows = [{"asset": "ETH", "amount": 0}] * 10_001
    result = evaluate("ltv", saved(tmp_path, {"account": "alice", "collateral": rows}))
    assert isinstance(result.exception, PortfolioError)
    assert (result.exception.account, result.exception.field) == ("alice", "collateral")


def test_long_values_are_said_shortly(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    for account in (
        {"cash": long},
        {"account": long},
        {long: 1},
        {"collateral": [{"asset": long, "amount": 1}]},
        {"collateral": [{"asset": "ETH", "amount": [1] * 100_000}]},
        {"category": long},
    ):
        result = evaluate("ltv", saved(tmp_path, {"accounts": [account, {"account": "bob"}]}))
        assert result.exit_code == 1
        assert len(result.output) < 5_000
        wrong, bob = json.loads(result.output)["accounts"]
        assert wrong["error"]["reason"].startswith("PORTFOLIO_")
        assert bob["status"] == "healthy"
