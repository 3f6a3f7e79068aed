"""`hypothec margin plan` and `hypothec margin what-if` as people and scripts run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node.cli import app
from node.margin.models.errors import PortfolioError
from tests.unit.margin_planning.files import file, held

ACCOUNT: dict[str, Any] = {"collateral": [held("ETH", 10, chain="1")], "debts": [held("USDC", 16_600)]}


def run(folder: Path, command: str, content: object, *options: str, profile: str = "ltv") -> Result:
    path = folder / "portfolio.json"
    path.write_text(json.dumps(content))
    return CliRunner().invoke(app, ["margin", command, "--profile", profile, str(path), *options])


def test_a_plan_says_what_is_seized_and_where(tmp_path: Path) -> None:
    result = run(tmp_path, "plan", file(**ACCOUNT))
    assert result.exit_code == 0
    for text in (
        "alice: restored (ltv, target: borrow)",
        "of collateral ETH on 1 settles",
        "healthy",
        "auction instead",
    ):
        assert text in result.output, text


def test_a_plan_as_json_carries_its_proof(tmp_path: Path) -> None:
    shown: dict[str, Any] = json.loads(run(tmp_path, "plan", file(**ACCOUNT), "--json").output)
    assert (shown["outcome"], shown["verified"], shown["target_level"]) == ("restored", True, "borrow")
    assert shown["legs"][0]["actions"][0]["chain"] == "1"
    assert [each["legs"] for each in shown["proof"]] == [[shown["legs"][0]["leg"]]]
    assert float(shown["after"]["excess_usd"]["borrow"]) >= 0 > float(shown["before"]["excess_usd"]["borrow"])
    assert shown["auction"]["offers"][0]["seconds"] == 0
    assert shown["settlement"] is None


def test_a_loss_is_shown_with_who_bears_it(tmp_path: Path) -> None:
    terms = {
        "insurance_fund": 100,
        "counterparties": [
            {"account": "bob", "equity": 10, "positions": [{"asset": "ETH", "amount": -1, "entry_price": 2_050}]},
            {"account": "carol", "equity": 20},
        ],
    }
    content = file("dydx", cash=-300, perpetuals=[held("ETH", 1)], plan=terms)
    output = run(tmp_path, "plan", content, profile="dydx").output
    for text in (
        "insolvent",
        "loss 300.00: 100.00 from the insurance fund",
        "50.00 from bob, perpetual ETH",
        "10.00 socialised to bob",
    ):
        assert text in output, output
    shown: dict[str, Any] = json.loads(run(tmp_path, "plan", content, "--json", profile="dydx").output)["settlement"]
    parts = [shown["insured_usd"], shown["uncovered_usd"]]
    parts += [each["paid_usd"] for each in (*shown["deleveraged"], *shown["socialised"])]
    assert sum(map(float, parts)) == float(shown["loss_usd"])


def test_what_if_says_the_change_and_the_verdict(tmp_path: Path) -> None:
    content = file(**ACCOUNT, what_if=[{"withdraw": "ETH", "amount": 1}, {"deposit": "ETH", "amount": 1}])
    output = run(tmp_path, "what-if", content).output
    for text in (
        "withdraw 1 ETH: below initial margin",
        "excess -1,600.00",
        "deposit 1 ETH: admitted",
        "excess +1,600.00",
    ):
        assert text in output, output
    shown: dict[str, Any] = json.loads(run(tmp_path, "what-if", content, "--json").output)
    refused, admitted = shown["steps"]
    assert (refused["admissible"], admitted["admissible"]) == (False, True)
    assert admitted["change_usd"] == {"borrow": "1600", "liquidation": "1650"}
    assert float(admitted["after"]["excess_usd"]["borrow"]) == 1_000


def test_accounts_are_answered_one_by_one(tmp_path: Path) -> None:
    accounts = [{"account": "good", **ACCOUNT}, {"account": "bad", "collateral": [held("FTT", 1)]}]
    content = {key: each for key, each in file().items() if key != "account"} | {"accounts": accounts}
    result = run(tmp_path, "plan", content, "--json")
    good, bad = json.loads(result.output)["accounts"]
    assert result.exit_code == 1
    assert good["outcome"] == "restored"
    assert (bad["error"]["reason"], bad["error"]["instrument"]) == ("PORTFOLIO_UNKNOWN_ASSET", "FTT")
    content["what_if"] = [{"deposit": "USD", "amount": 1}]
    asked = run(tmp_path, "what-if", content, "--json")
    assert asked.exit_code == 1
    good, bad = (each["steps"][0] for each in json.loads(asked.output)["accounts"])
    assert "error" not in good
    assert (bad["error"]["account"], bad["error"]["instrument"], bad["error"]["field"]) == ("bad", "FTT", "market")
    assert "cannot be evaluated: the market does not quote it" in run(tmp_path, "what-if", content).output


def test_isolated_accounts_are_shown_with_their_own_plans(tmp_path: Path) -> None:
    isolated = [{"name": "punt", "cash": 100, "perpetuals": [held("ETH", 1)]}, {"name": "bad", "cash": "x"}]
    content = file("hypothec", cash=10, isolated=isolated, what_if=[{"deposit": "USD", "amount": 1, "isolated": "new"}])
    result = run(tmp_path, "plan", content, "--json", profile="hypothec")
    shown: dict[str, Any] = json.loads(result.output)
    assert (shown["outcome"], shown["legs"]) == ("not_needed", [])
    assert shown["isolated"]["punt"]["outcome"] == "restored"
    assert (shown["isolated"]["bad"]["account"], shown["isolated"]["bad"]["error"]["field"]) == ("alice/bad", "cash")
    assert result.exit_code == 1
    told = run(tmp_path, "plan", content, profile="hypothec").output
    for line in ("alice: not needed", "alice/punt: restored", "alice/bad: cannot be evaluated"):
        assert line in told, told
    asked = run(tmp_path, "what-if", content, profile="hypothec")
    assert asked.exit_code == 0
    assert "deposit 1 USD (alice/new): admitted" in asked.output


def test_bad_input_is_a_typed_error(tmp_path: Path) -> None:
    for command, content in (
        ("plan", []),
        ("plan", file(plan={"order": "x"})),
        ("plan", file(cash="x")),
        ("what-if", file(what_if={})),
        ("what-if", file(what_if=[{}])),
    ):
        assert isinstance(run(tmp_path, command, content).exception, PortfolioError), content


@pytest.mark.parametrize("command", ["evaluate", "explain", "plan", "what-if"])
def test_the_default_profile_is_hypothec_whatever_is_asked(tmp_path: Path, command: str) -> None:
    path = tmp_path / "portfolio.json"
    path.write_text(json.dumps({"market": {"ETH": {"price": 2_000}}, "account": "alice", "cash": 10}))
    asked = CliRunner().invoke(app, ["margin", command, str(path)])
    assert asked.exit_code == 0, asked.output
    assert "hypothec" in asked.output


def test_the_same_file_can_be_evaluated(tmp_path: Path) -> None:
    content = file(**ACCOUNT, plan={}, what_if=[{"deposit": "USD", "amount": 1}])
    assert run(tmp_path, "evaluate", content).exit_code == 0
