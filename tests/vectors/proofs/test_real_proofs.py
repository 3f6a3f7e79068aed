"""Proofs that real clients of real chains gave."""

import pytest

from chains.errors import HeaderMismatch, ProofError, ProofInvalid
from chains.proofs.eip1186 import claimed_slots, verify_proof_response
from chains.proofs.header import verify_header
from chains.proofs.keccak import keccak
from chains.proofs.verify import verify_file
from chains.types import Address, Hash32
from tests.vectors.proofs import real


def hexed(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.mark.parametrize(("name", "block"), list(real.blocks()))
def test_every_real_header_hashes_to_its_hash(name: str, block: real.Json) -> None:
    header = verify_header(block)
    assert header.hash == hexed(block["hash"])
    assert header.state_root == hexed(block["stateRoot"])
    assert header.number == int(block["number"], 16)


def test_the_real_headers_are_of_every_kind_since_frontier() -> None:
    headers = [verify_header(block) for _, block in real.blocks()]
    newest = [
        [header.base_fee, header.withdrawals_root, header.parent_beacon_block_root, header.requests_hash].index(None)
        for header in headers
        if header.requests_hash is None
    ]
    assert set(newest) == {0, 1, 2, 3}
    assert any(header.requests_hash for header in headers)


@pytest.mark.parametrize("case", ["post-shanghai-bad-withdrawals", "post-shanghai-bad-receipts"])
def test_a_header_that_was_tampered_with_is_refused(case: str) -> None:
    assert real.load(f"headers/optimism/{case}_metadata.json")["fail"]
    with pytest.raises(HeaderMismatch, match="does not hash") as caught:
        verify_file("header", real.load(f"headers/optimism/{case}_data.json"))
    assert caught.value.reason == "HEADER_MISMATCH"


@pytest.mark.parametrize(("name", "block", "answer"), list(real.anchored_proofs()))
def test_every_real_proof_under_a_block_holds(name: str, block: real.Json, answer: real.Json) -> None:
    proven = verify_file("eip1186", {"header": block, "proof": answer})
    assert proven["address"] == answer["address"].lower()
    slots = proven["slots"]
    assert isinstance(slots, dict)
    assert len(slots) == len(answer["storageProof"])


@pytest.mark.parametrize(("name", "answer"), list(real.rooted_proofs()))
def test_every_real_proof_under_its_root_holds(name: str, answer: real.Json) -> None:
    root = keccak(hexed(answer["accountProof"][0]))
    address = Address(hexed(answer["address"]))
    proven = verify_proof_response(root, address, claimed_slots(answer), answer)
    assert proven.account is not None
    assert proven.account.balance == int(answer["balance"], 16)
    with pytest.raises(ProofInvalid):
        verify_proof_response(Hash32(bytes(32)), address, claimed_slots(answer), answer)


def test_a_real_proof_proves_nothing_about_another_block() -> None:
    block = dict(real.blocks())["optimism"]
    _, _, answer = next(real.anchored_proofs())
    with pytest.raises(ProofInvalid):
        verify_file("eip1186", {"header": block, "proof": answer})


def test_a_real_receipt_is_proven_with_its_log() -> None:
    file = real.load("receipts/near_post_dencun_proof.json")
    proven = verify_file("receipts", file)
    assert proven["block"] is None
    assert proven["receipts_root"] == "0x" + keccak(hexed(file["proof"][0])).hex()
    receipt = proven["receipt"]
    assert isinstance(receipt, dict)
    assert receipt["succeeded"] is True
    assert receipt["type"] == "0x2"


@pytest.mark.parametrize("field", ["receipt", "log", "receipt_index", "log_index"])
def test_a_real_receipt_with_another_claim_is_refused(field: str) -> None:
    file = real.load("receipts/near_post_dencun_proof.json")
    value = file[field]
    file[field] = value + 1 if isinstance(value, int) else value[:-1] + ("1" if value[-1] == "0" else "0")
    with pytest.raises(ProofError):
        verify_file("receipts", file)
