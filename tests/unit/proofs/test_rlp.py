import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from chains.errors import MalformedProof, OversizedProof
from chains.proofs import rlp

if TYPE_CHECKING:
    from _typeshed import TraceFunction


@pytest.mark.parametrize(
    ("encoded", "item"),
    [
        ("80", b""),
        ("00", b"\0"),
        ("7f", b"\x7f"),
        ("8180", b"\x80"),
        ("83646f67", b"dog"),
        ("b838" + "61" * 56, b"a" * 56),
        ("c0", []),
        ("c7c0c1c0c3c0c1c0", [[], [[]], [[], [[]]]]),  # yellow paper, the set-theoretic three
        ("c88363617483646f67", [b"cat", b"dog"]),
        ("f838" + "80" * 56, [b""] * 56),
    ],
)
def test_decoding_and_encoding_are_inverse(encoded: str, item: rlp.Item) -> None:
    assert rlp.decode(bytes.fromhex(encoded)) == item
    assert rlp.encode(item).hex() == encoded


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("", "nothing"),
        ("8000", "a byte after the item"),
        ("c000", "a byte after the list"),
        ("8100", "zero stands for itself"),
        ("817f", "127 stands for itself"),
        ("83646f", "a string cut short"),
        ("c2", "a list cut short"),
        ("c18180", "an item that runs past its list"),
        ("c28363", "an item that runs past its list and the input"),
        ("b837" + "61" * 55, "a short string in the long form"),
        ("b90038" + "61" * 56, "a length with a leading zero"),
        ("b8", "a length that is missing"),
        ("b901", "a length cut short"),
        ("bfffffffffffffffff", "a length of 2^64 - 1"),
        ("f837" + "80" * 55, "a short list in the long form"),
        ("f90038" + "80" * 56, "a list's length with a leading zero"),
        ("ffffffffffffffffff", "a list of 2^64 - 1 bytes"),
    ],
)
def test_anything_but_the_canonical_form_is_refused(encoded: str, why: str) -> None:
    with pytest.raises(MalformedProof):
        rlp.decode(bytes.fromhex(encoded))


def nested(depth: int) -> bytes:
    item: rlp.Item = []
    for _ in range(depth - 1):
        item = [item]
    return rlp.encode(item)


def test_nesting_is_bounded() -> None:
    assert rlp.decode(nested(rlp.MAX_DEPTH))
    with pytest.raises(OversizedProof):
        rlp.decode(nested(rlp.MAX_DEPTH + 1))
    with pytest.raises(OversizedProof):
        rlp.decode(nested(200))


def test_size_is_bounded() -> None:
    data = rlp.encode(b"x" * 100)
    assert rlp.decode(data, max_size=len(data)) == b"x" * 100
    with pytest.raises(OversizedProof):
        rlp.decode(data, max_size=len(data) - 1)


@pytest.mark.parametrize(
    "item",
    [
        lambda size: [b""] * size,
        lambda size: [[b""] * 4] * size,
        lambda size: [[[[[b"x" * 60]]]]] * size,
        lambda size: b"x" * size,
    ],
)
def test_the_work_grows_with_the_size_and_not_with_its_square(item: Callable[[int], rlp.Item]) -> None:
    def lines_run(size: int) -> int:
        run = 0

        def count(_frame: FrameType, _event: str, _argument: object) -> "TraceFunction":
            nonlocal run
            run += 1
            return count

        data = rlp.encode(item(size))
        before = sys.gettrace()
        sys.settrace(count)
        try:
            rlp.decode(data)
        finally:
            sys.settrace(before)
        return run

    assert lines_run(2_000) < 11 * lines_run(200)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 2**64, 2**256 - 1])
def test_integers_have_one_encoding(value: int) -> None:
    encoded = rlp.encode(rlp.uint_bytes(value))
    assert rlp.decode_uint(encoded, "value") == value
    assert rlp.as_uint(rlp.uint_bytes(value), "value") == value


@pytest.mark.parametrize("encoded", ["00", "820001", "8200ff", "c0", "a1" + "01" * 33, "817f", "8201", "83010203ff"])
def test_integers_in_another_form_are_refused(encoded: str) -> None:
    with pytest.raises((MalformedProof, OversizedProof)):
        rlp.decode_uint(bytes.fromhex(encoded), "value")
