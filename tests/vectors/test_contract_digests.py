"""The digests of `node.model` are those of the contracts: digests.json is what the contracts computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model import digests, signatures

RECORDED: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("digests.json").read_text("utf-8"))

each = pytest.mark.parametrize("number", range(3))


def raw(text: str) -> Hash32:
    return Hash32(bytes.fromhex(text.removeprefix("0x")))


def address(text: str) -> Address:
    return Address(raw(text))


def items(listed: list[dict[str, str]]) -> tuple[digests.ReleaseItem, ...]:
    return tuple(
        digests.ReleaseItem(address(item["token"]), Amount(int(item["amount"])), Amount(int(item["minimum"])))
        for item in listed
    )


@each
def test_account_id(number: int) -> None:
    vector = RECORDED["account"][number]
    told = digests.account_id(raw(vector["network_id"]), address(vector["first_address"]), raw(vector["salt"]))
    assert told == AccountId(raw(vector["digest"]))


@each
def test_items_hash(number: int) -> None:
    vector = RECORDED["items"][number]
    assert digests.items_hash(items(vector["items"])) == raw(vector["digest"])


@each
def test_state_digest(number: int) -> None:
    vector = RECORDED["state"][number]
    told = digests.state_digest(
        raw(vector["config_digest"]),
        ChainId(int(vector["chain_id"])),
        address(vector["verifier"]),
        int(vector["sequence"]),
        raw(vector["header_hash"]),
        int(vector["time_ms"]),
    )
    assert told == raw(vector["digest"])


@each
def test_rotation_digest(number: int) -> None:
    vector = RECORDED["rotation"][number]
    told = digests.rotation_digest(
        raw(vector["config_digest"]),
        ChainId(int(vector["chain_id"])),
        address(vector["verifier"]),
        raw(vector["new_config_digest"]),
        int(vector["new_f"]),
        [address(signer) for signer in vector["signers"]],
    )
    assert told == raw(vector["digest"])


@each
@pytest.mark.parametrize("kind", list(digests.ReleaseKind))
def test_release_digest(kind: digests.ReleaseKind, number: int) -> None:
    vector = RECORDED[kind.value][number]
    release = digests.Release(
        kind=kind,
        chain_id=ChainId(int(vector["chain_id"])),
        vault=address(vector["vault"]),
        account=AccountId(raw(vector["account"])),
        nonce=int(vector["nonce"]),
        payee=address(vector["payee"]),
        items=items(vector["items"]),
        reference=raw(vector["reference"]),
        sequence=int(vector["sequence"]),
        header_hash=raw(vector["header_hash"]),
        expiry=int(vector["expiry"]),
    )
    assert release.digest(raw(vector["config_digest"])) == raw(vector["digest"])


@each
def test_packed_signatures(number: int) -> None:
    vector = RECORDED["signatures"][number]
    signers = [address(signer) for signer in vector["signers"]]
    by_signer = vector["signatures"]
    indices = tuple(int(entry["index"]) for entry in by_signer)
    told = signatures.verify_packed(raw(vector["digest"]), raw(vector["encoded"]), signers, len(indices))
    assert told == indices
