import json

import pytest

from chains.errors import ClaimMismatch, InputError, MalformedProof, ProofError, ProofInvalid
from chains.proofs.verify import KINDS, verify_file
from chains.types import Hash32
from tests.unit.proofs.chain import ABSENT, CONTRACT, MISSING_SLOT, answer, block, hexed

SLOT = Hash32((7).to_bytes(32))


def test_a_file_of_a_header_tells_its_figures() -> None:
    proven = verify_file("header", block())
    assert proven["block"] == {
        "number": "0x64",
        "hash": block()["hash"],
        "parent_hash": block()["parentHash"],
        "state_root": block()["stateRoot"],
        "transactions_root": block()["transactionsRoot"],
        "receipts_root": block()["receiptsRoot"],
        "timestamp": "0x67be0db3",
    }


def test_a_file_of_an_account_tells_what_is_proven() -> None:
    proven = verify_file("eip1186", {"header": block(), "proof": answer(CONTRACT, SLOT, MISSING_SLOT)})
    assert json.loads(json.dumps(proven)) == proven
    assert proven["present"] is True
    assert proven["account"] == {
        "nonce": "0x1",
        "balance": hex(10**18),
        "code_hash": answer(CONTRACT)["codeHash"],
        "storage_hash": answer(CONTRACT)["storageHash"],
    }
    assert proven["slots"] == {hexed(SLOT): hex(3**7), hexed(MISSING_SLOT): "0x0"}


def test_a_file_of_an_absent_account_is_a_valid_answer() -> None:
    proven = verify_file("eip1186", {"header": block(), "proof": answer(ABSENT, SLOT)})
    assert proven["present"] is False
    assert proven["account"] is None
    assert proven["slots"] == {hexed(SLOT): "0x0"}


def test_a_file_that_does_not_hold_is_refused_with_its_reason() -> None:
    good = {"header": block(), "proof": answer(CONTRACT, SLOT)}
    for wrong, error in (
        ({"header": block(stateRoot=hexed(bytes(32)))}, ProofInvalid),
        ({"proof": answer(CONTRACT) | {"balance": "0x1"}}, ClaimMismatch),
        ({"proof": {name: value for name, value in answer(CONTRACT).items() if name != "address"}}, MalformedProof),
        ({"header": None}, MalformedProof),
        ({"proof": []}, MalformedProof),
    ):
        with pytest.raises(error):
            verify_file("eip1186", good | wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [None, [], {}, "0x", 1, {"header": {}, "proof": {}, "receipts": {}}])
def test_what_is_no_such_file_is_refused(kind: str, data: object) -> None:
    with pytest.raises(ProofError):
        verify_file(kind, data)


def test_an_unknown_kind_is_the_callers_mistake() -> None:
    with pytest.raises(InputError, match="eip1186"):
        verify_file("nonsense", {})
