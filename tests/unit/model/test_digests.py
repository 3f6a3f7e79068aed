"""Words and names, and that no digest of one purpose is one of another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import LimitError
from chains.types import AccountId, Address, Amount, ChainId, Hash32
from node.model.digests import (
    Release,
    ReleaseItem,
    ReleaseKind,
    name_word,
    rotation_digest,
    state_digest,
    word,
    word_name,
)
from tests.property.model import strategies as values

CONFIG = Hash32(b"\x01" * 32)
RELEASE = Release(
    ReleaseKind.WITHDRAWAL,
    ChainId(1),
    Address(b"\x02" * 20),
    AccountId(b"\x03" * 32),
    4,
    Address(b"\x05" * 20),
    (ReleaseItem(Address(b"\x06" * 20), Amount(7), Amount(6)),),
    Hash32(b"\x08" * 32),
    9,
    Hash32(b"\x0a" * 32),
    11,
)


@given(st.integers(0, 2**256 - 1))
def test_a_word_is_32_bytes_of_the_number(number: int) -> None:
    assert int.from_bytes(word(number), "big") == number
    assert len(word(number)) == 32


@pytest.mark.parametrize("value", [-1, 2**256, bytes(33)])
def test_what_fits_no_word_is_refused(value: int | bytes) -> None:
    with pytest.raises(LimitError):
        word(value)


@given(values.name)
def test_a_name_and_its_word_are_each_other_s_inverse(name: str) -> None:
    assert word_name(name_word(name)) == name


@given(st.binary(max_size=40))
def test_a_word_that_is_no_name_is_refused(data: bytes) -> None:
    try:
        name = word_name(data)
    except LimitError:
        return
    assert name_word(name) == data


@pytest.mark.parametrize("name", ["", "x" * 32, "a\0", "a\nb", "é"])
def test_a_name_that_fits_no_word_is_refused(name: str) -> None:
    with pytest.raises(LimitError):
        name_word(name)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": ReleaseKind.SEIZURE},
        {"chain_id": ChainId(2)},
        {"vault": Address(bytes(20))},
        {"account": AccountId(bytes(32))},
        {"nonce": 5},
        {"payee": Address(bytes(20))},
        {"items": ()},
        {"items": (ReleaseItem(Address(b"\x06" * 20), Amount(8), Amount(6)),)},
        {"items": (ReleaseItem(Address(b"\x06" * 20), Amount(7), Amount(5)),)},
        {"items": (ReleaseItem(Address(b"\x07" * 20), Amount(7), Amount(6)),)},
        {"reference": Hash32(bytes(32))},
        {"sequence": 10},
        {"header_hash": Hash32(bytes(32))},
        {"expiry": 12},
    ],
)
def test_a_release_is_bound_to_all_that_it_says(change: dict[str, Any]) -> None:
    assert replace(RELEASE, **change).digest(CONFIG) != RELEASE.digest(CONFIG)
    assert RELEASE.digest(CONFIG) != RELEASE.digest(Hash32(bytes(32)))


def test_states_and_rotations_are_bound_to_chain_and_contract() -> None:
    hashed, verifier = Hash32(b"\x02" * 32), Address(b"\x03" * 20)
    digests = {
        state_digest(CONFIG, ChainId(1), verifier, 1, hashed, 1),
        state_digest(CONFIG, ChainId(2), verifier, 1, hashed, 1),
        state_digest(CONFIG, ChainId(1), Address(bytes(20)), 1, hashed, 1),
        state_digest(CONFIG, ChainId(1), verifier, 2, hashed, 1),
        state_digest(CONFIG, ChainId(1), verifier, 1, CONFIG, 1),
        state_digest(CONFIG, ChainId(1), verifier, 1, hashed, 2),
        rotation_digest(CONFIG, ChainId(1), verifier, hashed, 1, [verifier]),
        rotation_digest(CONFIG, ChainId(2), verifier, hashed, 1, [verifier]),
        rotation_digest(CONFIG, ChainId(1), Address(bytes(20)), hashed, 1, [verifier]),
        rotation_digest(CONFIG, ChainId(1), verifier, CONFIG, 1, [verifier]),
        rotation_digest(CONFIG, ChainId(1), verifier, hashed, 0, [verifier]),
        rotation_digest(CONFIG, ChainId(1), verifier, hashed, 1, [verifier, verifier]),
    }
    assert len(digests) == 12
