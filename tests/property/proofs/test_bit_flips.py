"""Whatever is hashed or claimed in a real answer: change one bit of it, and it is refused."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import ProofError
from chains.proofs.eip1186 import claimed_slots, verify_proof_response
from chains.proofs.header import verify_header
from chains.proofs.keccak import keccak
from chains.proofs.verify import verify_file
from chains.types import Address
from tests.unit.proofs.chain import ABSENT, CONTRACT, MISSING_SLOT, SLOTS, answer, block, hexed
from tests.vectors.proofs import real

HEADER = block()
IGNORED = {"size", "uncles", "transactions", "totalDifficulty", "withdrawals"}


def flipped(text: str, data: st.DataObject) -> str:
    """`text`, a 0x-string, with one bit of one digit changed; the number of digits stays."""
    position = data.draw(st.integers(2, len(text) - 1))
    digit = int(text[position], 16) ^ (1 << data.draw(st.integers(0, 3)))
    return f"{text[:position]}{digit:x}{text[position + 1 :]}"


def leaves(value: object, *path: str | int) -> list[tuple[str | int, ...]]:
    """The paths of all strings with a digit in a JSON value."""
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in leaves(inner, *path, name)]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, *path, index)]
    return [path] if isinstance(value, str) and len(value) > 2 else []


def changed(value: Any, path: tuple[str | int, ...], data: st.DataObject) -> Any:  # noqa: ANN401 - JSON of any form
    altered = copy.deepcopy(value)
    inner = altered
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = flipped(inner[path[-1]], data)
    return altered


@given(data=st.data())
@pytest.mark.parametrize(("name", "header"), [("made", HEADER), *real.blocks()])
def test_a_flip_in_a_header_is_refused(name: str, header: real.Json, data: st.DataObject) -> None:
    hashed = {field: value for field, value in header.items() if field not in IGNORED and isinstance(value, str)}
    verify_header(hashed)
    with pytest.raises(ProofError):
        verify_header(changed(hashed, data.draw(st.sampled_from(leaves(hashed))), data))


@given(data=st.data())
@pytest.mark.parametrize(
    ("name", "header", "response"),
    [
        ("made", HEADER, answer(CONTRACT, *SLOTS, MISSING_SLOT)),
        ("absent", HEADER, answer(ABSENT, MISSING_SLOT)),
        *real.anchored_proofs(),
    ],
)
def test_a_flip_in_a_proof_is_refused(name: str, header: real.Json, response: real.Json, data: st.DataObject) -> None:
    root = verify_header(header).state_root
    address = Address(bytes.fromhex(response["address"][2:]))
    asked = claimed_slots(response)
    verify_proof_response(root, address, asked, response)
    with pytest.raises(ProofError):
        verify_proof_response(
            root, address, asked, changed(response, data.draw(st.sampled_from(leaves(response))), data)
        )


@given(data=st.data())
def test_a_flip_in_a_receipts_proof_is_refused(data: st.DataObject) -> None:
    file = {
        name: f"0x{value}" if isinstance(value, str) else value
        for name, value in real.load("receipts/near_post_dencun_proof.json").items()
        if name != "block_hash"  # which only a header could confirm
    }
    file["proof"] = [f"0x{node}" for node in file["proof"]]
    under = {"header": block(receiptsRoot=hexed(keccak(bytes.fromhex(file["proof"][0][2:]))))}
    verify_file("receipts", file | under)
    with pytest.raises(ProofError):
        verify_file("receipts", changed(file, data.draw(st.sampled_from(leaves(file))), data) | under)
