from collections.abc import Callable

import pytest

from chains.errors import ClaimMismatch, MalformedProof, OversizedProof, ProofError, ProofIncomplete, ProofInvalid
from chains.proofs.eip1186 import VerifiedProof, decode_account, encode_account, verify_account, verify_proof_response
from chains.proofs.keccak import EMPTY_CODE_HASH
from chains.proofs.mpt import EMPTY_ROOT, NodeStore
from chains.types import Address, Hash32
from tests.unit.proofs.chain import (
    ABSENT,
    ACCOUNTS,
    CONTRACT,
    MISSING_SLOT,
    PLAIN,
    SLOTS,
    STATE,
    Json,
    answer,
    hexed,
)

SLOT, OTHER_SLOT = Hash32((7).to_bytes(32)), Hash32((8).to_bytes(32))
ZERO_HASH = hexed(bytes(32))


def verify(response: object, address: Address = CONTRACT, *slots: Hash32) -> VerifiedProof:
    return verify_proof_response(STATE.root, address, slots, response)


def test_an_account_and_its_slots_are_proven() -> None:
    wanted = (SLOT, MISSING_SLOT, *SLOTS)
    proven = verify(answer(CONTRACT, *dict.fromkeys(wanted)), CONTRACT, *wanted)
    assert proven.account == ACCOUNTS[CONTRACT]
    assert proven.slots == SLOTS | {MISSING_SLOT: 0}


def test_a_shared_store_changes_no_answer() -> None:
    store = NodeStore()
    for _ in range(2):
        for address in (*ACCOUNTS, ABSENT):
            proven = verify_proof_response(STATE.root, address, [SLOT], answer(address, SLOT), store)
            assert proven.account == ACCOUNTS.get(address)
            assert proven.slots == {SLOT: SLOTS[SLOT] if address == CONTRACT else 0}


@pytest.mark.parametrize("key", ["0x7", "0x07", "0x0007", hexed(SLOT)])
def test_a_slot_is_32_bytes_however_it_is_written(key: str) -> None:
    response = answer(CONTRACT, SLOT)
    response["storageProof"][0]["key"] = key
    assert verify(response, CONTRACT, SLOT).slots == {SLOT: SLOTS[SLOT]}


def test_who_asked_twice_has_the_same_answer_twice() -> None:
    response = answer(CONTRACT, SLOT, OTHER_SLOT, SLOT)
    response["storageProof"][2]["key"] = "0x7"
    assert verify(response, CONTRACT, SLOT, OTHER_SLOT).slots == {SLOT: SLOTS[SLOT], OTHER_SLOT: SLOTS[OTHER_SLOT]}


@pytest.mark.parametrize("address", [PLAIN, ABSENT])
@pytest.mark.parametrize("proof", [[], ["0x80"]])
def test_every_slot_of_empty_storage_is_proven_zero(address: Address, proof: list[str]) -> None:
    response = answer(address, SLOT)
    response["storageProof"][0]["proof"] = proof
    assert verify(response, address, SLOT).slots == {SLOT: 0}
    response["storageProof"][0]["value"] = "0x1"
    with pytest.raises(ClaimMismatch):
        verify(response, address, SLOT)


@pytest.mark.parametrize(
    ("code_hash", "storage_hash", "holds"),
    [
        (ZERO_HASH, ZERO_HASH, True),
        (hexed(EMPTY_CODE_HASH), hexed(EMPTY_ROOT), True),
        (ZERO_HASH, hexed(EMPTY_ROOT), False),
        (hexed(EMPTY_CODE_HASH), ZERO_HASH, False),
        (hexed(b"\1" * 32), ZERO_HASH, False),
    ],
)
def test_an_absent_account_is_told_in_two_forms(code_hash: str, storage_hash: str, holds: bool) -> None:
    response = answer(ABSENT) | {"codeHash": code_hash, "storageHash": storage_hash}
    if holds:
        assert verify(response, ABSENT).account is None
    else:
        with pytest.raises(ClaimMismatch):
            verify(response, ABSENT)


def test_an_empty_account_is_not_told_as_an_absent_one() -> None:
    with pytest.raises(ClaimMismatch):
        verify(answer(PLAIN) | {"codeHash": ZERO_HASH, "storageHash": ZERO_HASH}, PLAIN)


@pytest.mark.parametrize("address", [CONTRACT, PLAIN, ABSENT])
@pytest.mark.parametrize(
    ("field", "value"),
    [("balance", "0x2"), ("nonce", "0x7"), ("codeHash", hexed(b"\1" * 32)), ("storageHash", hexed(b"\1" * 32))],
)
def test_a_claimed_figure_other_than_the_proven_one_is_refused(address: Address, field: str, value: str) -> None:
    with pytest.raises(ClaimMismatch) as caught:
        verify(answer(address) | {field: value}, address)
    assert caught.value.reason == "CLAIM_MISMATCH"
    assert caught.value.values["address"] == address


def without_a_slot(response: Json) -> None:
    del response["storageProof"][1]


def with_two_values_for_a_slot(response: Json) -> None:
    response["storageProof"].append(response["storageProof"][0] | {"value": "0x0"})


def with_a_second_proof_for_a_slot(response: Json) -> None:
    response["storageProof"].append(response["storageProof"][1] | {"key": response["storageProof"][0]["key"]})


def with_a_slot_more(response: Json) -> None:
    response["storageProof"] += answer(CONTRACT, MISSING_SLOT)["storageProof"]


def with_another_slots_key(response: Json) -> None:
    response["storageProof"][0]["key"] = hexed(MISSING_SLOT)


def with_values_exchanged(response: Json) -> None:
    one, other = response["storageProof"]
    one["value"], other["value"] = other["value"], one["value"]


def with_proofs_exchanged(response: Json) -> None:
    one, other = response["storageProof"]
    one["proof"], other["proof"] = other["proof"], one["proof"]


def with_a_value_zeroed(response: Json) -> None:
    response["storageProof"][0]["value"] = "0x0"


def with_absence_of_an_existing_slot(response: Json) -> None:
    response["storageProof"][0] |= {"value": "0x0", "proof": []}


def with_a_proof_cut(response: Json) -> None:
    response["storageProof"][0]["proof"].pop()


def with_another_accounts_proof(response: Json) -> None:
    response["accountProof"] = answer(PLAIN)["accountProof"]


def with_another_address(response: Json) -> None:
    response["address"] = hexed(PLAIN)


def with_a_node_more(response: Json) -> None:
    response["accountProof"].append(response["accountProof"][-1])


def with_too_many_nodes(response: Json) -> None:
    response["accountProof"] *= 40


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (without_a_slot, ProofIncomplete),
        (with_two_values_for_a_slot, ClaimMismatch),
        (with_a_second_proof_for_a_slot, ClaimMismatch),
        (with_a_slot_more, ClaimMismatch),
        (with_another_slots_key, ProofIncomplete),
        (with_values_exchanged, ClaimMismatch),
        (with_proofs_exchanged, (ProofInvalid, ClaimMismatch)),
        (with_a_value_zeroed, ClaimMismatch),
        (with_absence_of_an_existing_slot, ProofIncomplete),
        (with_a_proof_cut, ProofIncomplete),
        (with_another_accounts_proof, (ProofInvalid, ClaimMismatch)),
        (with_another_address, ClaimMismatch),
        (with_a_node_more, ProofInvalid),
        (with_too_many_nodes, OversizedProof),
    ],
)
def test_an_answer_that_lies_or_omits_is_refused(change: Callable[[Json], None], error: type[ProofError]) -> None:
    response = answer(CONTRACT, SLOT, OTHER_SLOT)
    assert verify(response, CONTRACT, SLOT, OTHER_SLOT).slots
    change(response)
    with pytest.raises(error):
        verify(response, CONTRACT, SLOT, OTHER_SLOT)


@pytest.mark.parametrize("field", [name for name in answer(CONTRACT) if name != "address"])
@pytest.mark.parametrize("value", [None, 1, "1", "0x", "0xgg", [1], {}, "0x" + "1" * 5000])
def test_a_field_of_the_wrong_form_is_named(field: str, value: object) -> None:
    response = answer(CONTRACT, SLOT) | {field: value}
    with pytest.raises((MalformedProof, OversizedProof), match=field):
        verify(response, CONTRACT, SLOT)
    del response[field]
    with pytest.raises(MalformedProof, match=f"{field} is missing"):
        verify(response, CONTRACT, SLOT)


@pytest.mark.parametrize("field", ["key", "value", "proof"])
@pytest.mark.parametrize("value", [None, 1, "1", "0xgg", [1], {}, "0x" + "1" * 65])
def test_a_slots_field_of_the_wrong_form_is_named(field: str, value: object) -> None:
    response = answer(CONTRACT, SLOT)
    response["storageProof"][0][field] = value
    with pytest.raises((MalformedProof, OversizedProof), match=rf"storageProof\[0\].{field}"):
        verify(response, CONTRACT, SLOT)


@pytest.mark.parametrize("response", [None, [], "0x", {"accountProof": [None]}])
def test_what_is_no_answer_is_refused(response: object) -> None:
    with pytest.raises(MalformedProof):
        verify_account(STATE.root, CONTRACT, response)


def test_an_account_of_another_form_is_refused() -> None:
    encoded = encode_account(ACCOUNTS[CONTRACT])
    assert decode_account(encoded) == ACCOUNTS[CONTRACT]
    for wrong in (
        b"\xc0",
        b"\x80",
        encoded[:-1],
        encoded + b"\0",
        b"\xc4\x01\x02\x03\x04",
        b"\xc5\x01\x02\x03\x04\x05",
    ):
        with pytest.raises(MalformedProof):
            decode_account(wrong)
