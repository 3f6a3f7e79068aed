"""Slots that Solidity's documentation and known contracts give."""

from collections.abc import Callable
from functools import partial

import pytest

from chains.errors import InputError
from chains.proofs.slots import address_word, bytes_word, int_word, mapping_slot, member_slot, uint_word
from chains.types import Address, Hash32


@pytest.mark.parametrize(
    ("key", "base", "slot"),
    [
        (0, 0, "ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"),
        (1, 0, "ada5013122d395ba3c54772283fb069b10426056ef8ca54750cb9bb552a59e7d"),
        (0, 1, "a6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb49"),
    ],
)
def test_slots_that_are_known_from_real_contracts(key: int, base: int, slot: str) -> None:
    assert mapping_slot(uint_word(base), uint_word(key)).hex() == slot


def test_the_example_of_the_documentation() -> None:
    # data[4][9].b, of a nested mapping of structs at slot 1: keccak(word(9) . keccak(word(4) . word(1))) + 1
    inner = mapping_slot(uint_word(1), uint_word(4))
    assert mapping_slot(uint_word(1), uint_word(4), uint_word(9)) == mapping_slot(inner, uint_word(9))
    expected = int.from_bytes(mapping_slot(inner, uint_word(9)), "big") + 1
    assert member_slot(mapping_slot(uint_word(1), uint_word(4), uint_word(9)), 1) == expected.to_bytes(32, "big")


def test_words_are_padded_as_their_types_are() -> None:
    assert uint_word(1) == bytes(31) + b"\1"
    assert int_word(-1) == b"\xff" * 32
    assert int_word(1) == uint_word(1)
    assert address_word(Address(b"\xaa" * 20)) == bytes(12) + b"\xaa" * 20
    assert bytes_word(b"abc") == b"abc" + bytes(29)
    assert member_slot(Hash32(b"\xff" * 32), 1) == bytes(32)


@pytest.mark.parametrize(
    "attempt",
    [
        partial(uint_word, -1),
        partial(uint_word, 1 << 256),
        partial(int_word, 1 << 255),
        partial(int_word, -(1 << 255) - 1),
        partial(address_word, Address(b"short")),
        partial(bytes_word, b""),
        partial(bytes_word, bytes(33)),
        partial(mapping_slot, uint_word(0), Hash32(b"short")),
    ],
)
def test_what_does_not_fit_a_word_is_refused(attempt: Callable[[], Hash32]) -> None:
    with pytest.raises(InputError):
        attempt()
