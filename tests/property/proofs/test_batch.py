"""A batch says of each proof what `mpt.lookup` says of it alone: the value, its absence, or that it does not hold."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import InputError, ProofError, ProofIncomplete, ProofInvalid
from chains.proofs import batch, mpt, rlp
from chains.proofs.batch import lookup_sorted
from chains.proofs.build import Trie
from chains.proofs.keccak import hasher, keccak
from chains.proofs.mpt import EMPTY_ROOT, lookup
from chains.types import Hash32

RANDOM = random.Random(3)
SIZES = [1, 1, 1, 2, 3, 9, 21, 22, 23, 24, 25, 32, 33, 54, 55, 56, 57, 110, 300]


def value(size: int) -> bytes:
    return bytes(RANDOM.choices(range(1, 256), k=size))


def close(key: bytes, nibbles: int) -> bytes:
    """Another key that shares at least so many nibbles with `key`: they make extensions and deep branches."""
    digits = key.hex()[:nibbles] + RANDOM.randbytes(32).hex()[nibbles:]
    return bytes.fromhex(digits)


FAR = [keccak(n.to_bytes(2)) for n in range(600)]
NEAR = [close(key, nibbles) for key in FAR[:40] for nibbles in (3, 7, 30, 61, 62, 63)]
PAIRS = {key: value(RANDOM.choice(SIZES)) for key in [*FAR, *NEAR]}
TRIE = Trie(PAIRS.items())
ABSENT = [*map(keccak, FAR[:100]), *(close(key, 5) for key in NEAR[:50])]
KEYS = sorted({*PAIRS, *ABSENT})
PROOFS = {key: TRIE.prove(key) for key in KEYS}


def alone(root: Hash32, key: bytes, proof: list[bytes]) -> object:
    try:
        return lookup(root, key, proof)
    except ProofError as error:
        return type(error)


def test_every_key_is_found_or_proven_absent() -> None:
    assert lookup_sorted(TRIE.root, KEYS, [PROOFS[key] for key in KEYS]) == [PAIRS.get(key) for key in KEYS]


@given(st.sets(st.sampled_from(KEYS), max_size=30))
def test_so_are_any_of_them(some: set[Hash32]) -> None:
    keys = sorted(some)
    assert lookup_sorted(TRIE.root, keys, [PROOFS[key] for key in keys]) == [PAIRS.get(key) for key in keys]


@given(st.data())
def test_a_batch_with_a_changed_proof_is_refused_as_the_proof_is(data: st.DataObject) -> None:
    keys = sorted(data.draw(st.sets(st.sampled_from(KEYS), min_size=1, max_size=12)))
    proofs = [[*PROOFS[key]] for key in keys]
    at = data.draw(st.integers(0, len(keys) - 1))
    proof = proofs[at]
    node = data.draw(st.integers(0, len(proof) - 1))
    match data.draw(st.sampled_from(["flip", "drop", "repeat", "swap", "extra", "cut", "other", "nothing"])):
        case "flip":
            raw = bytearray(proof[node])
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            proof[node] = bytes(raw)
        case "drop":
            del proof[node]
        case "repeat":
            proof.insert(node, proof[node])
        case "swap":
            proof[node], proof[-1] = proof[-1], proof[node]
        case "extra":
            proof.append(data.draw(st.sampled_from([b"", b"\x80", proof[-1], b"\xc0"])))
        case "cut":
            proof[node] = proof[node][:-1]
        case "other":
            proofs[at] = [*PROOFS[data.draw(st.sampled_from(KEYS))]]
        case _:
            proofs[at] = proof * 13
    wanted = [alone(TRIE.root, key, proof) for key, proof in zip(keys, proofs, strict=True)]
    refused = [found for found in wanted if isinstance(found, type)]
    if refused:
        with pytest.raises(tuple(refused)):
            lookup_sorted(TRIE.root, keys, proofs)
    else:
        assert lookup_sorted(TRIE.root, keys, proofs) == wanted


def chained(*nodes: Any) -> tuple[Hash32, list[bytes]]:  # noqa: ANN401 - items, and None for a hash
    """A proof whose nodes are these, each by its hash where the one above says `None`; and its root."""
    raws: list[bytes] = []
    below = b""
    for node in reversed(nodes):
        raws.insert(0, rlp.encode([below if item is None else item for item in node]))
        below = keccak(raws[0])
    return keccak(raws[0]), raws


KEY = bytes(32)
BRANCH: Any = [None, b"h" * 32, *[b""] * 15]
LEAF = [b"\x30" + bytes(31), b"value"]


@pytest.mark.parametrize(
    "nodes",
    [
        [BRANCH, LEAF],
        [BRANCH, [b"\x20" + bytes(31), b"value"]],
        [BRANCH, [b"\x10" + bytes(31), b"value"]],
        [BRANCH, [b"\x31" + bytes(31), b"value"]],
        [BRANCH, [b"\x30" + bytes(30), b"value"]],
        [BRANCH, [b"\x30" + bytes(31), b""]],
        [BRANCH, [b"\x30" + bytes(31), b"\x7f"]],
        [BRANCH, [b"\x30" + bytes(31), b"\x80"]],
        [BRANCH, [b"\x30" + bytes(31), [b"value"]]],
        [BRANCH, [b"\x30" + bytes(31), b"v" * 40, b"x"]],
        [BRANCH, [b"\x30" + bytes(31), b"v" * 1000]],
        [BRANCH[:16], LEAF],
        [[*BRANCH, b""], LEAF],
        [[*BRANCH[:16], b"value of a branch"], LEAF],
        [[None, *[b""] * 16], LEAF],
        [[None, b"h" * 31, *[b""] * 15], LEAF],
        [[None, *[b"h" * 32] * 15, b""], LEAF],
        [[None, *[b"h" * 32] * 16], LEAF],
        [[b"", b"h" * 32, b"i" * 32, *[b""] * 14]],
        [LEAF],
        [[b"\x20" + bytes(32), b"v"]],
        [[b"\x20" + bytes(32), b"\xff"]],
        [BRANCH] * 63 + [[b"\x30", b"v" * 40]],
        [BRANCH] * 64 + [[b"\x20", b"v" * 40]],
        [BRANCH] * 65,
        [*[BRANCH] * 50, [b"\x20" + bytes(7), b"value"]],
    ],
    ids=range(26),
)
def test_odd_nodes_are_judged_as_they_are_alone(nodes: list[Any]) -> None:
    root, proof = chained(*nodes)
    wanted = alone(root, KEY, proof)
    if isinstance(wanted, type):
        with pytest.raises(wanted):
            lookup_sorted(root, [KEY], [proof])
    else:
        assert lookup_sorted(root, [KEY], [proof]) == [wanted]


def test_bytes_that_are_not_canonical_are_refused() -> None:
    for leaf in (
        b"\xf8\x27" + b"\xa0" + b"\x30" + bytes(31) + b"\x85value",  # a long header for a short list
        b"\xe8" + b"\xa0" + b"\x30" + bytes(31) + b"\x85value",  # a list that states one byte more
        b"\xe3" + b"\xa0" + b"\x30" + bytes(31) + b"\x81v",  # a length for a byte that stands for itself
    ):
        root, (above, _) = chained(BRANCH, LEAF)
        branch = above.replace(keccak(rlp.encode(LEAF)), keccak(leaf))
        with pytest.raises(ProofError):
            lookup_sorted(keccak(branch), [KEY], [[branch, leaf]])
        assert root != keccak(branch)


def test_an_empty_trie_is_proven_by_nothing_or_by_the_empty_node() -> None:
    assert lookup_sorted(EMPTY_ROOT, KEYS[:2], [[], [mpt.EMPTY_NODE]]) == [None, None]
    assert lookup_sorted(EMPTY_ROOT, KEYS[:1], [[mpt.EMPTY_NODE]]) == [None]
    with pytest.raises(ProofInvalid):
        lookup_sorted(EMPTY_ROOT, KEYS[:1], [PROOFS[KEYS[0]]])


def test_no_proof_is_no_absence() -> None:
    with pytest.raises(ProofIncomplete):
        lookup_sorted(TRIE.root, KEYS[:2], [PROOFS[KEYS[0]], []])


def test_nothing_asked_is_nothing_answered() -> None:
    assert lookup_sorted(TRIE.root, [], []) == []


def test_keys_that_are_no_hashes_are_refused() -> None:
    with pytest.raises(InputError):
        lookup_sorted(TRIE.root, [b"short"], [[]])


def test_each_node_of_usual_proofs_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []
    trie = Trie((key, value(20)) for key in FAR)

    def recording(raw: bytes) -> object:
        hashed.append(raw)
        return hasher(raw)

    monkeypatch.setattr(batch, "hasher", recording)
    keys = sorted(FAR)
    lookup_sorted(trie.root, keys, [trie.prove(key) for key in keys])
    assert len(hashed) == len(set(hashed)) > len(keys)
