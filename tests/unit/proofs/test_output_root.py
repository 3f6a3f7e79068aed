"""Output roots of OP-stack chains: the preimage in both of its forms, and no part of it can change."""

from typing import Any

import pytest

from chains.errors import ClaimMismatch, MalformedProof, ProofError, ProofIncomplete
from chains.proofs import eip1186
from chains.proofs.build import Trie
from chains.proofs.eip1186 import Account
from chains.proofs.keccak import keccak
from chains.proofs.output_root import MESSAGE_PASSER
from chains.proofs.verify import verify_file
from chains.types import Hash32
from tests.unit.proofs.chain import block, hexed

Json = dict[str, Any]
STORAGE_ROOT = keccak(b"messages")
PASSER = Account(0, 5, STORAGE_ROOT, keccak(b"code"))
TRIE = Trie([(keccak(MESSAGE_PASSER), eip1186.encode_account(PASSER)), (keccak(b"x"), b"y" * 40)])
HEADER = block(stateRoot=hexed(TRIE.root))
PROOF = {
    "address": hexed(MESSAGE_PASSER),
    "accountProof": [hexed(node) for node in TRIE.prove(keccak(MESSAGE_PASSER))],
    "nonce": "0x0",
    "balance": "0x5",
    "codeHash": hexed(PASSER.code_hash),
    "storageHash": hexed(STORAGE_ROOT),
}
ROOT = keccak(bytes(32) + TRIE.root + STORAGE_ROOT + bytes.fromhex(HEADER["hash"][2:]))
OUTPUT = {
    "version": hexed(bytes(32)),
    "outputRoot": hexed(ROOT),
    "stateRoot": hexed(TRIE.root),
    "withdrawalStorageRoot": hexed(STORAGE_ROOT),
    "blockRef": {"hash": HEADER["hash"], "number": 100},
}
WHOLE: Json = {"header": HEADER, "proof": PROOF, "output": OUTPUT, "output_root": hexed(ROOT)}
PROVEN = {
    "output_root": hexed(ROOT),
    "state_root": hexed(TRIE.root),
    "message_passer_storage_root": hexed(STORAGE_ROOT),
    "block_hash": HEADER["hash"],
    "block_number": "0x64",
    "finality": "CLAIMED",
}


@pytest.mark.parametrize("left_out", [(), ("output",), ("output_root",), ("output", "output_root")])
def test_a_blocks_output_root_is_proven_from_its_state(left_out: tuple[str, ...]) -> None:
    assert verify_file("output-root", {name: WHOLE[name] for name in WHOLE if name not in left_out}) == PROVEN


def test_what_a_rollup_node_tells_is_checked_against_its_root() -> None:
    assert verify_file("output-root", {"output": OUTPUT}) == PROVEN | {"block_number": None}


def test_from_isthmus_on_the_header_tells_the_storage_root() -> None:
    header = block(withdrawalsRoot=hexed(STORAGE_ROOT))
    proven = verify_file("output-root", {"header": header})
    assert header["requestsHash"]
    assert proven["message_passer_storage_root"] == hexed(STORAGE_ROOT)


@pytest.mark.parametrize("name", ["outputRoot", "stateRoot", "withdrawalStorageRoot"])
@pytest.mark.parametrize("whole", [True, False])
def test_an_output_of_which_a_part_is_changed_is_refused(name: str, *, whole: bool) -> None:
    wrong = OUTPUT | {name: hexed(keccak(b"other"))}
    with pytest.raises(ClaimMismatch):
        verify_file("output-root", (WHOLE if whole else {}) | {"output": wrong})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"output_root": hexed(bytes(32))}, ClaimMismatch),
        ({"header": HEADER | {"stateRoot": hexed(bytes(32))}}, ProofError),
        ({"proof": PROOF | {"storageHash": hexed(bytes(32))}}, ClaimMismatch),
        ({"proof": PROOF | {"accountProof": []}}, ProofIncomplete),
        ({"output": OUTPUT | {"blockRef": {"hash": HEADER["hash"], "number": 101}}}, ClaimMismatch),
        ({"output": OUTPUT | {"blockRef": {"hash": hexed(bytes(32)), "number": 100}}}, ClaimMismatch),
        ({"output": OUTPUT | {"version": hexed(Hash32((1).to_bytes(32)))}}, MalformedProof),
        ({"output": OUTPUT | {"blockRef": None}}, MalformedProof),
        ({"output": None}, MalformedProof),
    ],
    ids=range(9),
)
def test_what_does_not_hold_is_refused(change: Json, error: type[Exception]) -> None:
    with pytest.raises(error):
        verify_file("output-root", WHOLE | change)


def test_a_proof_that_there_is_no_message_passer_is_refused() -> None:
    trie = Trie([(keccak(b"x"), b"y" * 40)])
    absent = {"accountProof": [hexed(node) for node in trie.prove(keccak(MESSAGE_PASSER))]} | {
        name: hexed(bytes(32)) for name in ("codeHash", "storageHash")
    }
    absent |= {"nonce": "0x0", "balance": "0x0"}
    with pytest.raises(ClaimMismatch, match="no message passer"):
        verify_file("output-root", {"header": block(stateRoot=hexed(trie.root)), "proof": absent})


def test_a_file_without_the_means_is_refused() -> None:
    with pytest.raises(ProofIncomplete, match="neither"):
        verify_file("output-root", {"output_root": hexed(ROOT)})
    with pytest.raises(ProofIncomplete, match="message passer"):
        verify_file("output-root", {"header": block(requestsHash=None)})
