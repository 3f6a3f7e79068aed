"""The Merkle map against the definition of its root, written down naively; and proofs that bind every byte."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import ProofInvalid
from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.model.codec import Malformed
from node.model.merkle import EMPTY_ROOT, MapProof, MerkleMap

keys = st.integers(0, 40).map(lambda number: number.to_bytes(32, "big")) | st.binary(max_size=3)
leaves = st.dictionaries(keys, st.binary(max_size=4), max_size=24)
changes = st.dictionaries(keys, st.none() | st.binary(max_size=4), max_size=24)


def naive_root(content: dict[bytes, bytes]) -> bytes:
    """The root by the definition: subtrees of one leaf are that leaf, empty ones are zeros."""

    def subtree(under: list[tuple[str, bytes]], depth: int) -> bytes:
        if not under:
            return bytes(32)
        if len(under) == 1:
            path, value = under[0]
            return keccak(b"\x00" + int(path, 2).to_bytes(32, "big") + keccak(value))
        left = subtree([item for item in under if item[0][depth] == "0"], depth + 1)
        right = subtree([item for item in under if item[0][depth] == "1"], depth + 1)
        return keccak(b"\x01" + left + right)

    return subtree([(f"{int.from_bytes(keccak(key), 'big'):0256b}", value) for key, value in content.items()], 0)


def applied(content: dict[bytes, bytes], change: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    merged = {**content, **change}
    return {key: value for key, value in merged.items() if value is not None}


@given(leaves)
def test_the_root_is_what_the_definition_says(content: dict[bytes, bytes]) -> None:
    made = MerkleMap.of(content)
    assert made.root == naive_root(content)
    assert dict(made) == content
    assert len(made) == len(content)
    assert all(made.get(key) == value for key, value in content.items())


@given(leaves, changes, changes)
def test_updates_equal_a_rebuild_and_leave_the_old_map_alone(
    content: dict[bytes, bytes], first: dict[bytes, bytes | None], second: dict[bytes, bytes | None]
) -> None:
    start = MerkleMap.of(content)
    made = start.updated(first).updated(second)
    expected = applied(applied(content, first), second)
    assert made.root == naive_root(expected)
    assert (dict(made), len(made)) == (expected, len(expected))
    assert (dict(start), start.root) == (content, naive_root(content))


@given(leaves, st.randoms(use_true_random=False))
def test_the_order_of_updates_does_not_matter(content: dict[bytes, bytes], shuffled: random.Random) -> None:
    items = list(content.items())
    shuffled.shuffle(items)
    one_by_one = MerkleMap()
    for key, value in items:
        one_by_one = one_by_one.updated({key: value})
    assert one_by_one.root == MerkleMap.of(content).root
    assert list(one_by_one) == list(MerkleMap.of(content))


@given(leaves, changes)
def test_the_difference_of_two_maps_leads_from_one_to_the_other(
    content: dict[bytes, bytes], change: dict[bytes, bytes | None]
) -> None:
    old = MerkleMap.of(content)
    new = old.updated(change)
    rebuilt = MerkleMap.of(applied(content, change))  # shares nothing with the old one
    for target in (new, rebuilt):
        found = old.updated(target.changes_since(old))
        assert (found.root, dict(found)) == (target.root, dict(target))
    assert new.changes_since(rebuilt) == {}


@given(leaves, keys)
def test_presence_and_absence_are_proven(content: dict[bytes, bytes], key: bytes) -> None:
    made = MerkleMap.of(content)
    for asked in {key, *content}:
        proof = MapProof.decode(made.prove(asked).encode())
        proof.check(made.root, asked, content.get(asked))


@given(leaves, keys, st.binary(max_size=4))
def test_no_proof_shows_another_value_key_or_root(content: dict[bytes, bytes], key: bytes, value: bytes) -> None:
    made = MerkleMap.of(content)
    for asked in {key, *content}:
        proof, true_value = made.prove(asked), content.get(asked)
        for claimed in {value, None, b""} - {true_value}:
            with pytest.raises(ProofInvalid):
                proof.check(made.root, asked, claimed)
        with pytest.raises(ProofInvalid):
            proof.check(Hash32(keccak(made.root)), asked, true_value)
        if true_value is not None:  # an absence proof may well hold for a neighbour
            with pytest.raises(ProofInvalid):
                proof.check(made.root, asked + b"\0", true_value)


@given(leaves.filter(bool), keys, st.data())
@settings(max_examples=30)
def test_any_flipped_bit_of_a_proof_is_refused(content: dict[bytes, bytes], key: bytes, data: st.DataObject) -> None:
    """A changed proof proves nothing: of the key it was made for, neither the truth nor anything else."""
    made = MerkleMap.of(content)
    asked = data.draw(st.sampled_from([key, *content]))
    encoded = made.prove(asked).encode()
    values: list[bytes | None] = [None, *content.values()]
    for bit in range(8 * len(encoded)):
        flipped = bytearray(encoded)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        try:
            proof = MapProof.decode(bytes(flipped))
        except Malformed:
            continue
        for value in values:
            with pytest.raises(ProofInvalid):
                proof.check(made.root, asked, value)


def test_a_leaf_elsewhere_does_not_prove_absence() -> None:
    made = MerkleMap.of({bytes([number]): b"v" for number in range(64)})
    present, other = bytes([1]), bytes([2])
    forged = replace(made.prove(present), other=(keccak(other), keccak(b"v")))
    with pytest.raises(ProofInvalid, match="not in the key's place"):
        forged.check(made.root, present, None)
    own = replace(made.prove(present), other=(keccak(present), keccak(b"v")))
    with pytest.raises(ProofInvalid, match="not in the key's place"):
        own.check(made.root, present, None)


def test_a_branch_is_never_taken_for_a_leaf() -> None:
    """Without a prefix, the 64 bytes of a branch could be passed off as a path and a value hash."""
    made = MerkleMap.of({bytes([number]): b"v" for number in range(8)})
    proof = made.prove(bytes([1]))
    shorter = MapProof(proof.siblings[:-1], None)
    with pytest.raises(ProofInvalid):
        shorter.check(made.root, bytes([1]), b"v")
    with pytest.raises(ProofInvalid):
        MapProof((), None).check(made.root, bytes([1]), None)


def test_a_proof_deeper_than_a_path_is_refused() -> None:
    with pytest.raises(ProofInvalid, match="too deep"):
        MapProof((bytes(32),) * 257, None).check(EMPTY_ROOT, b"key", None)
    with pytest.raises(Malformed):
        MapProof.decode((257).to_bytes(2, "big") + bytes(40))


def test_the_empty_map() -> None:
    empty = MerkleMap()
    assert (empty.root, len(empty), list(empty)) == (EMPTY_ROOT, 0, [])
    empty.prove(b"any").check(EMPTY_ROOT, b"any", None)
    assert MerkleMap.of({b"a": b"1"}).updated({b"a": None, b"b": None}).root == EMPTY_ROOT


def test_a_large_random_map_through_many_updates() -> None:
    seeded = random.Random(1)
    content: dict[bytes, bytes] = {}
    made = MerkleMap()
    for _ in range(20):
        change: dict[bytes, bytes | None] = {
            seeded.randbytes(32): seeded.randbytes(8) for _ in range(seeded.randrange(200))
        }
        change |= dict.fromkeys(seeded.sample(sorted(content), len(content) // 10))
        change |= dict.fromkeys(seeded.sample(sorted(content), len(content) // 10), b"new")
        made, content = made.updated(change), applied(content, change)
    assert made.root == naive_root(content)
    assert dict(made) == content
    for key in seeded.sample(sorted(content), 50):
        made.prove(key).check(made.root, key, content[key])
