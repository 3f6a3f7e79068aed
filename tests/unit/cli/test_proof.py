from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from chains.proofs.verify import KINDS
from tests.unit.cli.conftest import Hypothec
from tests.unit.proofs.chain import block
from tests.vectors.proofs import beacon


@pytest.fixture
def header() -> dict[str, Any]:
    return block()


def test_proven_values_are_printed(hypothec: Hypothec, tmp_path: Path, header: dict[str, Any]) -> None:
    path = tmp_path / "header.json"
    path.write_text(json.dumps(header))
    ran = hypothec("proof", "verify", "header", path)
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out)["block"]["hash"] == header["hash"]


def test_a_claim_that_does_not_hold_is_refused_with_the_reason(
    hypothec: Hypothec, tmp_path: Path, header: dict[str, Any]
) -> None:
    path = tmp_path / "header.json"
    path.write_text(json.dumps(header | {"stateRoot": "0x" + "12" * 32}))
    ran = hypothec("proof", "verify", "header", path)
    assert (ran.status, ran.out) == (1, "")
    assert "hash" in ran.err


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "null", "1" * 10_000, "\udcff", "\ufeff{}", "NaN", '{"header": {}, "header": {}}'],
)
def test_a_file_that_is_none_is_refused(hypothec: Hypothec, tmp_path: Path, text: str) -> None:
    path = tmp_path / "proof.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    ran = hypothec("proof", "verify", "eip1186", path)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("hypothec: ")


def test_a_reason_is_one_line_whatever_strangers_wrote(
    hypothec: Hypothec, tmp_path: Path, header: dict[str, Any]
) -> None:
    path = tmp_path / "header.json"
    path.write_text(json.dumps(header | {"hash": "0x\x1b[2J\n\ud800"}))
    ran = hypothec("proof", "verify", "header", path)
    assert ran.status == 1
    assert r"0x\x1b[2J\n\ud800" in ran.err
    assert ran.err.rstrip("\n").isprintable()


def test_a_file_may_be_a_pipe_and_is_read_so_far(hypothec: Hypothec, tmp_path: Path, header: dict[str, Any]) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(json.dumps(header),))
    writer.start()
    assert hypothec("proof", "verify", "header", path).status == 0
    writer.join()
    ran = hypothec("proof", "verify", "header", Path("/dev/zero"))
    assert ran.status == 1
    assert "give a smaller file" in ran.err


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_of_every_kind_of_file_is_told(hypothec: Hypothec, kind: str) -> None:
    lines = hypothec("proof", "verify", "--help").out.splitlines()
    assert any(line.strip().startswith(kind) for line in lines)


def test_an_unknown_kind_is_refused_with_those_that_there_are(hypothec: Hypothec, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text("{}")
    ran = hypothec("proof", "verify", "rumour", path)
    assert ran.status == 1
    assert ", ".join(KINDS) in ran.err


def test_a_light_clients_run_is_verified_or_refused(hypothec: Hypothec, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    file = {"bootstrap": beacon.load("helios_mainnet_capella/bootstrap.json")}
    updates = beacon.load("helios_mainnet_capella/updates.json")
    path.write_text(json.dumps(file | {"updates": updates}))
    ran = hypothec("proof", "verify", "sync-committee", path)
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out)["sync_committee_period"] == hex(867)
    path.write_text(json.dumps(file | {"updates": updates[1:]}))
    ran = hypothec("proof", "verify", "sync-committee", path)
    assert (ran.status, ran.out) == (1, "")
    assert "update of the period before" in ran.err
