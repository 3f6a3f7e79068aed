"""Proofs from small tries whose every node is known, and what must not pass for one."""

import random

import pytest

from chains.errors import InputError, MalformedProof, OversizedProof, ProofIncomplete, ProofInvalid
from chains.proofs import mpt, rlp
from chains.proofs.build import Trie, ordered_root
from chains.proofs.keccak import keccak
from chains.proofs.mpt import EMPTY_ROOT, NodeStore, Walk, lookup
from chains.types import Hash32

RANDOM = random.Random(7)
PAIRS = {keccak(n.to_bytes(2)): RANDOM.randbytes(40) for n in range(500)}
TRIE = Trie(PAIRS.items())
PROOFS = {key: TRIE.prove(key) for key in [*PAIRS, *map(keccak, PAIRS)]}
KEY = min(PAIRS)
PROOF = TRIE.prove(KEY)


def of(*items: rlp.Item) -> tuple[Hash32, bytes]:
    """A node of these items, and its hash."""
    raw = rlp.encode(items)
    return keccak(raw), raw


def test_the_empty_root_is_the_known_one() -> None:
    assert EMPTY_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert Trie([]).root == ordered_root([]) == EMPTY_ROOT


@pytest.mark.parametrize("proof", [[], [b"\x80"]])
def test_an_empty_trie_has_nothing_at_any_key(proof: list[bytes]) -> None:
    assert lookup(EMPTY_ROOT, KEY, proof) is None
    with pytest.raises((ProofInvalid, ProofIncomplete)):
        lookup(TRIE.root, KEY, proof)


@pytest.mark.parametrize("proof", [[b"\x80", b"\x80"], [b"\xc0"], [b""], PROOF])
def test_an_empty_trie_is_not_proven_by_anything_else(proof: list[bytes]) -> None:
    with pytest.raises((ProofInvalid, MalformedProof)):
        lookup(EMPTY_ROOT, KEY, proof)


def test_every_key_is_found_and_every_other_is_proven_absent() -> None:
    for key, value in PAIRS.items():
        assert lookup(TRIE.root, key, TRIE.prove(key)) == value
    for key in map(keccak, PAIRS):
        assert lookup(TRIE.root, key, TRIE.prove(key)) is None


@pytest.mark.parametrize(
    ("proof", "error"),
    [
        ([], ProofIncomplete),
        (PROOF[:-1], ProofIncomplete),
        (PROOF[1:], ProofInvalid),
        ([*PROOF, PROOF[-1]], ProofInvalid),
        ([PROOF[0], *PROOF], ProofInvalid),
        ([*PROOF, b""], ProofInvalid),
        ([*PROOF, b"\x80"], ProofInvalid),
        ([PROOF[1], PROOF[0], *PROOF[2:]], ProofInvalid),
        (PROOF[::-1], ProofInvalid),
        ([*PROOF[:-1], PROOF[-1] + b"\0"], ProofInvalid),
        ([*PROOF[:-1], PROOF[-1][:-1]], ProofInvalid),
        (TRIE.prove(max(PAIRS)), ProofInvalid),
        (PROOF * 64, OversizedProof),
    ],
    ids=str,
)
def test_a_proof_that_is_cut_stretched_or_shuffled_is_refused(proof: list[bytes], error: type[Exception]) -> None:
    for store in (None, NodeStore()):
        if store:
            lookup(TRIE.root, KEY, PROOF, store)
        with pytest.raises((ProofIncomplete, ProofInvalid) if error is ProofInvalid else error):
            lookup(TRIE.root, KEY, proof, store)
        walk = Walk(TRIE.root, store)
        assert walk.lookup(KEY, PROOF) == PAIRS[KEY]
        with pytest.raises((ProofIncomplete, ProofInvalid) if error is ProofInvalid else error):
            walk.lookup(KEY, proof)
        assert walk.lookup(KEY, PROOF) == PAIRS[KEY]


@pytest.mark.parametrize("at", range(len(PROOF)))
def test_a_changed_node_is_refused_also_when_the_right_one_is_known(at: int) -> None:
    store = NodeStore()
    walk = Walk(TRIE.root, store)
    assert walk.lookup(KEY, PROOF) == lookup(TRIE.root, KEY, PROOF, store) == PAIRS[KEY]
    for bit in range(0, 8 * len(PROOF[at]), 7):
        node = bytearray(PROOF[at])
        node[bit // 8] ^= 1 << bit % 8
        changed = [*PROOF[:at], bytes(node), *PROOF[at + 1 :]]
        with pytest.raises(ProofInvalid):
            lookup(TRIE.root, KEY, changed)
        with pytest.raises(ProofInvalid):
            lookup(TRIE.root, KEY, changed, store)
        with pytest.raises(ProofInvalid):
            walk.lookup(KEY, changed)


@pytest.mark.parametrize("extra", [PROOF[-1], b"", b"\x80", PROOF[0]])
def test_what_comes_after_the_end_is_not_looked_at(extra: bytes, hashed: list[bytes]) -> None:
    with pytest.raises(ProofInvalid, match="goes on after its key is decided"):
        lookup(TRIE.root, KEY, [*PROOF, extra])
    assert hashed == PROOF


def test_inline_nodes_are_walked_inside_their_parent() -> None:
    pairs = {b"\x12\x34": b"a", b"\x12\x35": b"b", b"\x12": b"c", b"\x77\x77": b"d"}
    trie = Trie(pairs.items())
    proof = trie.prove(b"\x12\x34")
    assert len(proof) < 4
    for key, value in pairs.items():
        assert lookup(trie.root, key, trie.prove(key)) == value
    for key in (b"\x12\x36", b"\x13", b"", b"\x77", b"\x77\x77\x77", b"\x80"):
        assert lookup(trie.root, key, trie.prove(key)) is None
    inline = rlp.encode([b"\x34", b"a"])
    with pytest.raises(ProofInvalid):
        lookup(trie.root, b"\x12\x34", [*proof, inline])


def test_a_small_node_beside_its_parent_is_refused() -> None:
    leaf_hash, leaf = of(b"\x32", b"v")
    assert len(leaf) < 32
    root, parent = of(b"\x11", leaf_hash)
    with pytest.raises(ProofInvalid, match="inside its parent"):
        lookup(root, b"\x12", [parent, leaf])
    assert lookup(leaf_hash, b"", [leaf]) is None  # as a root it may be small


def test_a_large_node_inside_its_parent_is_refused() -> None:
    root, parent = of(b"\x11", [b"\x32", b"v" * 40])
    with pytest.raises(MalformedProof, match="lies inside"):
        lookup(root, b"\x12", [parent])


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([], "no items"),
        ([b""], "one item"),
        ([b""] * 3, "three items"),
        ([b""] * 16, "a branch without its value"),
        ([b""] * 18, "a branch with two values"),
        ([b"\x40", b"v"], "an unknown flag"),
        ([b"\x01\x02", b"x" * 32], "an even run with a digit where its padding is"),
        ([b"\x21\x02", b"v"], "an even leaf with a digit where its padding is"),
        ([b"", b"v"], "no flag"),
        ([[b"\x20"], b"v"], "a list for a path"),
        ([b"\x20" + bytes(32), b""], "a leaf with an empty value"),
        ([b"\x20" + bytes(32), [b"v"]], "a leaf with a list for its value"),
        ([b"\x00", b"x" * 32], "a run of no nibbles"),
        ([b"\x10", b""], "a run to nowhere"),
        ([b"\x10", b"short"], "a run to what is no hash"),
        ([b"short"] + [b""] * 16, "a branch to what is no hash"),
        ([b""] * 15 + [[b"odd"], b""], "a branch to what is no node"),
        ([b""] * 16 + [[b"v"]], "a branch with a list for its value"),
    ],
)
def test_what_is_no_node_is_refused(items: list[rlp.Item], why: str) -> None:
    root, raw = of(*items)
    with pytest.raises(MalformedProof):
        lookup(root, bytes(32), [raw])


@pytest.mark.parametrize("header", ["f90210", "f90212", "f80211", "fa000211"])
def test_a_branch_that_misstates_its_length_is_refused(header: str) -> None:
    raw = bytes.fromhex(header) + (b"\xa0" + b"h" * 32) * 16 + b"\x80"
    with pytest.raises(MalformedProof):
        lookup(keccak(raw), bytes(32), [raw])


@pytest.mark.parametrize("children", range(1, 17))
def test_a_branch_of_hashes_and_gaps_is_read_alike_whatever_its_size(children: int) -> None:
    hashes = [bytes((n,)) * 32 if n < children else b"" for n in range(16)]
    root, raw = of(*hashes, b"")
    for nibble in range(16):
        key = bytes((nibble << 4,))
        if nibble < children:
            with pytest.raises(ProofIncomplete) as caught:
                lookup(root, key, [raw])
            assert caught.value.values["missing"] == hashes[nibble]
        else:
            assert lookup(root, key, [raw]) is None
    assert lookup(root, b"", [raw]) is None


def test_a_leaf_does_not_pass_for_a_branch_of_the_same_size() -> None:
    value = b"\xa0" * 491 + b"\x80"
    root, raw = of(b"\x20" + bytes(32), value)
    assert len(raw) == 532
    assert lookup(root, bytes(32), [raw]) == value
    assert lookup(root, b"\1" * 32, [raw]) is None


def test_oversized_nodes_are_refused() -> None:
    root, raw = of(b"\x20" + bytes(32), b"v" * mpt.MAX_NODE_SIZE)
    walk = Walk(root)
    for _ in range(2):
        with pytest.raises(OversizedProof):
            walk.lookup(bytes(32), [raw])
    assert lookup(root, bytes(32), [raw], max_node_size=2 * mpt.MAX_NODE_SIZE)


@pytest.mark.parametrize("capacity", [0, 1, 2, 64, 10_000])
def test_a_store_of_any_size_is_bounded_and_changes_no_answer(capacity: int) -> None:
    store = NodeStore(capacity)
    for _ in range(2):
        for key, value in PAIRS.items():
            assert lookup(TRIE.root, key, TRIE.prove(key), store) == value
            assert len(store) <= max(capacity, 2)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was hashed to check a node."""
    inputs: list[bytes] = []

    def recording(raw: bytes) -> Hash32:
        inputs.append(raw)
        return keccak(raw)

    monkeypatch.setattr(mpt, "keccak", recording)
    return inputs


def test_a_store_hashes_each_node_once(hashed: list[bytes]) -> None:
    store = NodeStore()
    for key in [*PROOFS, *PROOFS]:
        lookup(TRIE.root, key, PROOFS[key], store)
    assert len(hashed) == len(set(hashed))


def test_a_walk_in_key_order_hashes_each_node_once_without_a_store(hashed: list[bytes]) -> None:
    walk = Walk(TRIE.root)
    for key in sorted(PROOFS):
        assert walk.lookup(key, PROOFS[key]) == PAIRS.get(key)
    assert len(hashed) == len(set(hashed))


def test_a_walk_in_any_order_gives_the_same_answers() -> None:
    walk = Walk(TRIE.root)
    for key, proof in PROOFS.items():
        assert walk.lookup(key, proof) == PAIRS.get(key)


def test_a_trie_does_not_take_empty_values() -> None:
    with pytest.raises(InputError):
        Trie([(b"key", b"")])
