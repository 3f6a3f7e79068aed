"""`hypothec testnet up` as a newcomer meets it: the whole story, and every way to end it early."""

from __future__ import annotations

import json
import os
import signal
import socket
from itertools import groupby
from pathlib import Path

import pytest

from tests.integration.testnet.harness import ran, started, survivors

UP = ("testnet", "up", "--base-port", "0")
PROCESSES = 2 + 4
"""Chains and nodes."""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_whole_story(tmp_path: Path) -> None:
    with started(tmp_path, *UP, "--json", "--exit-when-done") as command:
        folder = Path(command.wait_for(r"files in (\S+)")[1])
        family = command.family()
        assert len(family) == PROCESSES
        assert command.ended(150) == 0, command.err
        assert survivors(family) == []
        assert not folder.exists()
        [line] = command.out.splitlines()
    outcome = json.loads(line)
    assert (outcome["nodes"], outcome["chains"]) == (4, 2)
    assert 0 < outcome["round_ms"]["p50"] <= outcome["round_ms"]["p99"]
    assert 1 <= outcome["deposit_to_state_rounds"] <= 3
    # While a new price has reached one chain's feed and not the other's, nobody knows on which side of the line it is.
    known = (status for status in outcome["statuses"] if status != "UNKNOWN")
    assert [status for status, _ in groupby(known)] == ["HEALTHY", "MARGIN_CALL", "LIQUIDATABLE", "HEALTHY"]
    assert outcome["liquidation"]["attested"] is True
    seizures = outcome["liquidation"]["seizures"]
    assert [item["chain_id"] for item in seizures] == [31_001, 31_002]
    for item in seizures:
        assert len(bytes.fromhex(item["tx"].removeprefix("0x"))) == 32
        moved = {name for name in item["before"] if item["before"][name] != item["after"][name]}
        assert moved in ({"vault ETH", "payee ETH"}, {"vault BTC", "payee BTC"})


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("when", ["4 nodes started", "authorised venue"])
def test_nothing_is_left_however_it_ends(tmp_path: Path, how: signal.Signals, when: str) -> None:
    with started(tmp_path, *UP, "--exit-when-done", env={"TMPDIR": str(tmp_path)}) as command:
        folder = Path(command.wait_for(r"files in (\S+)")[1])
        command.wait_for(when)
        family = command.family()
        assert len(family) == PROCESSES
        command.process.send_signal(how)
        assert command.ended() == (-how if how is signal.SIGKILL else 128 + how)
        assert survivors(family) == []
        assert "Traceback" not in command.out + command.err
        assert folder.exists() is (how is signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_node_that_dies_ends_it_with_the_end_of_its_log(tmp_path: Path) -> None:
    with started(tmp_path, *UP, "--dir", "net") as command:
        command.wait_for("node-2 is ready")
        family = command.family()
        [victim] = [process for process in family if str(tmp_path / "net" / "node-2") in " ".join(process.cmdline())]
        os.kill(victim.pid, signal.SIGKILL)
        assert command.ended() == 1
        assert "hypothec: node-2 ended by itself (SIGKILL)" in command.err
        assert '"event": "node.started"' in command.err
        assert "Traceback" not in command.err
        assert survivors(family) == []
    assert (tmp_path / "net" / "node-2" / "log.jsonl").is_file()


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = ran("testnet", "up", "--base-port", str(port - 2), "--dir", str(tmp_path / "net"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hypothec: port {port} is taken: free it, or choose others with --base-port")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "net").exists()


def test_a_missing_anvil_is_said_before_anything_starts(tmp_path: Path) -> None:
    with started(tmp_path, *UP, env={"HYPOTHEC_ANVIL": str(tmp_path / "nowhere")}) as command:
        assert command.ended() == 2
        assert command.err.startswith("hypothec: anvil is missing")
        assert (command.out, len(command.err.splitlines())) == ("", 1)


def test_an_anvil_that_does_not_run_shows_its_words(tmp_path: Path) -> None:
    broken = tmp_path / "anvil"
    broken.write_text("#!/bin/sh\necho 'no such chain today' >&2\nexit 4\n")
    broken.chmod(0o755)
    with started(tmp_path, *UP, env={"HYPOTHEC_ANVIL": str(broken)}) as command:
        assert command.ended() == 1
        assert "no such chain today" in command.err
        assert "Traceback" not in command.err


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("do not touch")
    done = ran(*UP, "--dir", str(tmp_path))
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
