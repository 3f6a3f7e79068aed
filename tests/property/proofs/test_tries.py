"""Our tries and our RLP against PyPI's `trie` and `rlp`, on inputs that hypothesis makes up."""

import warnings

import pytest
import rlp as reference  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st

from chains.errors import ProofError, ProofInvalid
from chains.proofs import rlp
from chains.proofs.build import Trie, ordered_root
from chains.proofs.keccak import keccak
from chains.proofs.mpt import NodeStore, Walk, lookup

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its dependencies deprecate one another
    from trie.hexary import HexaryTrie

# Short keys over few bytes share long runs of nibbles; short values make nodes that lie inside their parents.
KEYS = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.lists(st.sampled_from(b"\x00\x01\x10\x11\xf0\xff"), min_size=1, max_size=5).map(bytes),
    st.integers(0, 600).map(lambda index: rlp.encode(rlp.uint_bytes(index))),
    st.binary(min_size=1, max_size=2).map(keccak),
)
VALUES = st.one_of(st.binary(min_size=1, max_size=4), st.binary(min_size=1, max_size=120))
TRIES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=40)
ITEMS = st.recursive(st.binary(max_size=70), lambda item: st.lists(item, max_size=8), max_leaves=30)


def referred(pairs: dict[bytes, bytes]) -> HexaryTrie:
    trie = HexaryTrie({})
    for key, value in pairs.items():
        trie[key] = value
    return trie


def hashed_only(proof: list[rlp.Item]) -> list[bytes]:
    """The reference lists the nodes that lie inside their parents as well; no client does."""
    encoded = [reference.encode(node) for node in proof]
    return [node for position, node in enumerate(encoded) if not position or len(node) >= 32]


@given(pairs=TRIES)
def test_our_tries_have_the_roots_of_the_reference(pairs: dict[bytes, bytes]) -> None:
    assert Trie(pairs.items()).root == referred(pairs).root_hash


@given(pairs=TRIES, others=st.lists(KEYS, max_size=10))
def test_proofs_of_the_reference_prove_to_us_what_it_holds(pairs: dict[bytes, bytes], others: list[bytes]) -> None:
    trie = referred(pairs)
    ours = Trie(pairs.items())
    store = NodeStore(capacity=8)
    walk = Walk(ours.root)
    for key in sorted({*pairs, *others}):
        proof = hashed_only(list(trie.get_proof(key)))  # type: ignore[no-untyped-call]
        expected = pairs.get(key)
        assert lookup(ours.root, key, proof) == expected
        assert lookup(ours.root, key, proof, store) == expected
        assert walk.lookup(key, proof) == expected
        assert ours.prove(key) == proof


@given(pairs=TRIES, key=KEYS)
def test_our_proofs_prove_the_same_to_the_reference(pairs: dict[bytes, bytes], key: bytes) -> None:
    trie = Trie(pairs.items())
    proof = [reference.decode(node) for node in trie.prove(key)]
    found = HexaryTrie.get_from_proof(trie.root, key, proof)  # type: ignore[no-untyped-call]
    assert found == pairs.get(key, b"")


@given(pairs=TRIES, key=KEYS, data=st.data())
def test_any_bit_of_a_proof_that_flips_is_refused(pairs: dict[bytes, bytes], key: bytes, data: st.DataObject) -> None:
    trie = Trie(pairs.items())
    proof = trie.prove(key)
    store = NodeStore()
    lookup(trie.root, key, proof, store)
    position = data.draw(st.integers(0, len(proof) - 1))
    node = bytearray(proof[position])
    bit = data.draw(st.integers(0, 8 * len(node) - 1))
    node[bit // 8] ^= 1 << bit % 8
    changed = [*proof[:position], bytes(node), *proof[position + 1 :]]
    for known in (None, store):
        with pytest.raises(ProofInvalid):
            lookup(trie.root, key, changed, known)


@given(pairs=TRIES, key=KEYS, data=st.data())
def test_nodes_left_out_doubled_or_moved_are_refused(
    pairs: dict[bytes, bytes], key: bytes, data: st.DataObject
) -> None:
    trie = Trie(pairs.items())
    proof = trie.prove(key)
    others = [node for other in pairs for node in trie.prove(other)]
    changed = data.draw(st.lists(st.sampled_from([*proof, *others]), max_size=2 * len(proof)) | st.permutations(proof))
    assume(changed != proof)
    with pytest.raises(ProofError):
        lookup(trie.root, key, changed)


@given(node=st.one_of(st.binary(max_size=80), ITEMS.map(rlp.encode)), key=st.binary(max_size=4))
def test_whatever_hashes_to_the_root_is_read_or_refused(node: bytes, key: bytes) -> None:
    try:
        value = lookup(keccak(node), key, [node])
    except ProofError:
        return
    assert value is None or value in node


@given(items=st.lists(st.binary(min_size=1, max_size=60), max_size=150))
def test_ordered_roots_are_those_of_the_reference(items: list[bytes]) -> None:
    expected = referred({reference.encode(index): item for index, item in enumerate(items)})
    assert ordered_root(items) == expected.root_hash


@given(item=ITEMS)
def test_rlp_is_encoded_and_decoded_as_by_the_reference(item: rlp.Item) -> None:
    encoded = rlp.encode(item)
    assert encoded == reference.encode(item)
    assert rlp.decode(encoded) == item


@given(data=st.one_of(st.binary(max_size=80), ITEMS.map(rlp.encode).map(lambda encoded: encoded[:-1] + b"\0")))
def test_rlp_that_the_reference_refuses_is_refused_and_the_rest_has_one_form(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except ProofError:
        with pytest.raises(reference.DecodingError):
            reference.decode(data)
        return
    assert rlp.encode(item) == data
