"""The vectors that Python's digests are held to are what the contracts compute."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.contracts.digests import (
    Items,
    Release,
    account_id,
    encode_signatures,
    items_hash,
    rotation_digest,
    state_digest,
)
from tests.integration.contracts.vectors import INSTANCES, VECTORS, generate

RECORDED: dict[str, list[dict[str, Any]]] = json.loads(VECTORS.read_text(encoding="utf-8"))
PURPOSES = {"account", "items", "state", "rotation", "withdrawal", "seizure", "signatures"}

each = pytest.mark.parametrize("number", range(len(INSTANCES)))


def test_the_contracts_compute_them() -> None:
    assert generate() == RECORDED


def test_there_are_three_of_each() -> None:
    assert RECORDED.keys() == PURPOSES
    assert {len(vectors) for vectors in RECORDED.values()} == {3}
    digests = [vector["digest"] for vectors in RECORDED.values() for vector in vectors]
    assert len(set(digests)) == len(digests)


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@each
def test_the_description_gives_the_same(number: int) -> None:
    account, items, state, rotation = (RECORDED[name][number] for name in ("account", "items", "state", "rotation"))
    told = account_id(raw(account["network_id"]), account["first_address"], raw(account["salt"]))
    assert told == raw(account["digest"])
    assert items_hash(listed(items["items"])) == raw(items["digest"])
    place = raw(state["config_digest"]), int(state["chain_id"]), state["verifier"]
    told = state_digest(*place, int(state["sequence"]), raw(state["header_hash"]), int(state["time_ms"]))
    assert told == raw(state["digest"])
    told = rotation_digest(*place, raw(rotation["new_config_digest"]), int(rotation["new_f"]), rotation["signers"])
    assert told == raw(rotation["digest"])


@each
@pytest.mark.parametrize("purpose", ["withdrawal", "seizure"])
def test_the_description_gives_the_same_releases(purpose: str, number: int) -> None:
    vector = RECORDED[purpose][number]
    release = Release(
        account=raw(vector["account"]),
        nonce=int(vector["nonce"]),
        payee=vector["payee"],
        items=listed(vector["items"]),
        reference=raw(vector["reference"]),
        sequence=int(vector["sequence"]),
        header_hash=raw(vector["header_hash"]),
        expiry=int(vector["expiry"]),
    )
    told = release.digest(purpose, raw(vector["config_digest"]), int(vector["chain_id"]), vector["vault"])
    assert told == raw(vector["digest"])


@each
def test_signatures_are_encoded_alike(number: int) -> None:
    vector = RECORDED["signatures"][number]
    by_signer = {int(entry["index"]): raw(entry["r_s_v"]) for entry in vector["signatures"]}
    assert encode_signatures(by_signer) == raw(vector["encoded"])


def listed(items: list[dict[str, str]]) -> Items:
    return tuple((item["token"], int(item["amount"]), int(item["minimum"])) for item in items)
