"""A saved answer proves itself to whoever knows the network, and a changed one is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypothec.client import save_answer
from hypothec.v1.health_pb2 import HealthAnswer
from node.rpc.answers import StateAnswers
from node.testnet.files import network_toml
from tests.unit.cli.conftest import Hypothec
from tests.unit.rpc.world import ACCOUNT, NETWORK, POLICY, certified


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.toml"
    path.write_text(network_toml(NETWORK))
    return path


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    path = tmp_path / "answer.json"
    answers = StateAnswers(certified(7), POLICY)
    save_answer(path, HealthAnswer.FromString(answers.answer([answers.record(ACCOUNT)])), POLICY)
    return path


def test_a_saved_answer_verifies_offline(hypothec: Hypothec, answer: Path, network: Path) -> None:
    ran = hypothec("verify", answer, "--network", network)
    assert (ran.status, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found["verified"] is True
    assert found["state"]["sequence"] == 7
    assert len(found["signed_by"]) == NETWORK.quorum
    assert found["accounts"][0]["account"] == "0x" + ACCOUNT.hex()
    assert found["accounts"][0]["status"] == "HEALTHY"


def claims_a_worse_status(saved: dict[str, Any]) -> None:
    saved["answer"]["accounts"][0]["health"]["status"] = "HEALTH_STATUS_LIQUIDATABLE"


def has_another_header(saved: dict[str, Any]) -> None:
    header = saved["answer"]["state"]["header"]
    saved["answer"]["state"]["header"] = header[:-4] + ("AAA=" if header[-4:] != "AAA=" else "BBB=")


def leaves_out_a_map(saved: dict[str, Any]) -> None:
    saved["answer"]["accounts"][0]["ledger"].pop()


def has_no_policy(saved: dict[str, Any]) -> None:
    saved["policy"] = ""


def is_something_else(saved: dict[str, Any]) -> None:
    saved["surprise"] = 1


@pytest.mark.parametrize(
    "tamper", [claims_a_worse_status, has_another_header, leaves_out_a_map, has_no_policy, is_something_else]
)
def test_a_changed_answer_is_refused(
    hypothec: Hypothec, answer: Path, network: Path, tamper: Callable[[dict[str, Any]], None]
) -> None:
    saved = json.loads(answer.read_text())
    tamper(saved)
    answer.write_text(json.dumps(saved))
    ran = hypothec("verify", answer, "--network", network)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("hypothec: ")
    assert "Traceback" not in ran.err


def test_another_network_certified_nothing(hypothec: Hypothec, answer: Path, network: Path) -> None:
    text = network.read_text()
    network.write_text(text.replace(NETWORK.network_id.hex(), "11" * 32))
    assert hypothec("verify", answer, "--network", network).status == 1


def test_a_broken_network_file_is_the_users_to_correct(hypothec: Hypothec, answer: Path, network: Path) -> None:
    network.write_text("f = ")
    ran = hypothec("verify", answer, "--network", network)
    assert ran.status == 2
    assert str(network) in ran.err


def test_a_file_that_is_not_there_is_named(hypothec: Hypothec, tmp_path: Path, network: Path) -> None:
    ran = hypothec("verify", tmp_path / "nothing.json", "--network", network)
    assert ran.status != 0
    assert "nothing.json" in ran.err
