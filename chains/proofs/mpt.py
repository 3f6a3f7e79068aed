"""Merkle-Patricia proofs: what a trie with a known root holds at a key.

Owns the node format (Ethereum yellow paper, appendix D), the strict walk and a cache of nodes by their hash.
Must not know what keys and values mean; whoever asks a secure trie hashes the key first.

A proof is the list of nodes from the root down, each once, in order, all of them used; nodes of under 32 bytes
lie inside their parent and are not listed. Because the root fixes every byte below it, a node that was checked
once is known for ever by its hash: with a shared `NodeStore` a further proof costs one look-up and one
comparison for each node that it has in common with an earlier one.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from chains.errors import MalformedProof, OversizedProof, ProofIncomplete, ProofInvalid
from chains.proofs import rlp
from chains.proofs.keccak import keccak
from chains.types import Hash32

EMPTY_NODE = b"\x80"
EMPTY_ROOT = keccak(EMPTY_NODE)
"""The root of a trie that holds nothing."""

MAX_NODE_SIZE = 1024
"""Bytes of a node in a state or storage trie, where a full branch has 532."""

STORE_CAPACITY = 65_536
"""Nodes that a store keeps by default, about 60 MB."""


class _Shape(Enum):
    FULL = "a branch of sixteen hashes and no value: 532 bytes, each child at its fixed offset"
    OTHER = "a leaf, an extension, or a branch that holds a value or a node: decoded when it is walked"


class Branch(NamedTuple):
    """Sixteen ways on, and a value for the key that ends here."""

    children: tuple[Child, ...]
    value: bytes | None


class Extension(NamedTuple):
    """A run of nibbles, as hexadecimal digits, that all keys below share."""

    path: str
    child: Child


class Leaf(NamedTuple):
    """The rest of one key, as hexadecimal digits, and its value."""

    path: str
    value: bytes


Small: TypeAlias = Branch | Extension | Leaf
Node: TypeAlias = "re.Match[bytes] | _Shape"
"""What a checked node is; a match is a branch of hashes and gaps, see `_HASH_BRANCH`."""
Child: TypeAlias = "bytes | Small | None"
"""The hash of a node, a node of under 32 bytes itself, or nothing."""

_FULL: Final = _Shape.FULL
_OTHER: Final = _Shape.OTHER
_FULL_SIZE = 532
_FULL_HEAD = b"\xf9\x02\x11"
_FULL_MARKS = b"\xa0" * 16 + b"\x80"
_FULL_CHILD = {digit: slice(4 + 33 * n, 36 + 33 * n) for n, digit in enumerate("0123456789abcdef")}

# A branch of hashes and gaps, as nearly all others are: one match in C checks its form and finds its children,
# as groups 1 to 16.
_HASH_BRANCH = re.compile(rb"(?:\xf8.|\xf9..)" + rb"(?:\xa0(.{32})|\x80)" * 16 + rb"\x80", re.DOTALL)
_CHILD = {digit: n for n, digit in enumerate("0123456789abcdef", start=1)}


class NodeStore:
    """Nodes by hash, each hashed and parsed once. When it is full, the half that was met longest ago goes.

    Only nodes that hash to what their parent says get in, so that any number of proofs, roots, blocks and
    endpoints may share one.
    """

    __slots__ = ("_generation", "_old", "_young")

    def __init__(self, capacity: int = STORE_CAPACITY) -> None:
        self._generation = max(1, capacity // 2)
        self._young: dict[bytes, tuple[bytes, Node]] = {}
        self._old: dict[bytes, tuple[bytes, Node]] = {}

    def __len__(self) -> int:
        """How many nodes are kept (one that was met again after a while counts twice), at most the capacity."""
        return len(self._young) + len(self._old)

    def check(self, expected: bytes, raw: bytes) -> Node:
        """The node `raw`, if it hashes to `expected`; raises `ProofInvalid` or `MalformedProof` if not."""
        kept = self._young.get(expected)
        if kept is None:
            kept = self._old.get(expected) or (raw, check_node(expected, raw))
            if 32 <= len(raw) <= MAX_NODE_SIZE:
                self._keep(expected, kept)
        if kept[0] != raw:
            raise _mismatch(expected, raw)
        return kept[1]

    def _keep(self, key: bytes, kept: tuple[bytes, Node]) -> None:
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, {}
        self._young[key] = kept


class Walk:
    """Look-ups under one root, each resuming from the nodes that it shares with the one before.

    In ascending order of their keys, proofs are walked as one pass over the part of the trie that they cover:
    each distinct node is hashed and parsed once, and what they share is compared as a whole. Any other order
    gives the same answers more slowly.
    """

    __slots__ = ("_check", "_depths", "_key", "_max_node_size", "_nodes", "_raws", "_root")

    def __init__(self, root: Hash32, store: NodeStore | None = None, *, max_node_size: int = MAX_NODE_SIZE) -> None:
        self._root = root
        self._check = check_node if store is None else store.check
        self._max_node_size = max_node_size
        self._key = b""
        # The nodes on the way to the last key, as served and as parsed, and how many nibbles lie above each.
        self._raws: list[bytes] = []
        self._nodes: list[Node] = []
        self._depths: list[int] = []

    def lookup(self, key: bytes, proof: list[bytes]) -> bytes | None:
        """The value at `key`, or `None` if it is proven absent; errors as in the function `lookup`."""
        _check_length(key, proof)
        path = key.hex()
        end = len(path)
        if self._root == EMPTY_ROOT and proof in ([], [EMPTY_NODE]):
            return None

        raws, nodes, depths, check = self._raws, self._nodes, self._depths, self._check
        expected: bytes | None = self._root
        value: bytes | None = None
        at = 0
        remaining = proof
        if raws:
            self._resume(key, proof)
            if raws:
                remaining = proof[len(raws) :]
                expected, value, at = descend(nodes[-1], raws[-1], path, depths[-1])
        self._key = key
        for raw in remaining:
            if expected is None:
                raise ProofInvalid("proof goes on after its key is decided", nodes=len(proof), extra=raw)
            node = check(expected, raw)
            if node is _OTHER:
                _check_size(raw, at, self._max_node_size)
            raws.append(raw)
            nodes.append(node)
            depths.append(at)
            if node is _OTHER or at == end:
                expected, value, at = descend(node, raw, path, at)
            elif node is _FULL:
                expected = raw[_FULL_CHILD[path[at]]]
                at += 1
            else:
                expected = node[_CHILD[path[at]]]
                at += 1
        if expected is not None:
            raise ProofIncomplete("proof stops before its key is decided", nodes=len(proof), missing=expected)
        return value

    def _resume(self, key: bytes, proof: list[bytes]) -> None:
        """Keep, of the nodes on the way to the last key, those on the way to `key`; none if `proof` differs."""
        raws, nodes, depths = self._raws, self._nodes, self._depths
        shared = _shared_nibbles(self._key, key)
        while depths[-1] > shared:
            raws.pop()
            nodes.pop()
            depths.pop()
        if proof[: len(raws)] != raws:
            # It cannot hold. Walked from the root, it is refused for the same reason as it is by itself.
            raws.clear()
            nodes.clear()
            depths.clear()


def lookup(
    root: Hash32,
    key: bytes,
    proof: list[bytes],
    store: NodeStore | None = None,
    *,
    max_node_size: int = MAX_NODE_SIZE,
) -> bytes | None:
    """The value at `key` in the trie under `root`, or `None` if it is proven that there is none.

    Raises `ProofInvalid` if a node is not the one its parent names or is left over, `ProofIncomplete` if the
    proof stops before the key is decided, `MalformedProof` for anything but canonical nodes, `OversizedProof`
    over the bounds. As alloy-trie's `verify_proof`; an empty trie is proven by no node or by the empty one.
    """
    if store is not None:
        return Walk(root, store, max_node_size=max_node_size).lookup(key, proof)
    _check_length(key, proof)
    if root == EMPTY_ROOT and proof in ([], [EMPTY_NODE]):
        return None
    return follow(root, key.hex(), 0, proof, max_node_size)


def follow(
    expected: bytes | None, path: str, at: int, proof: list[bytes], max_node_size: int = MAX_NODE_SIZE
) -> bytes | None:
    """What `proof` says of the rest of `path`, from nibble `at`, where the node that hashes to `expected` lies.

    Errors as in `lookup`.
    """
    value: bytes | None = None
    end = len(path)
    for raw in proof:
        if expected is None:
            raise ProofInvalid("proof goes on after its key is decided", nodes=len(proof), extra=raw)
        node = check_node(expected, raw)
        if node is _OTHER:
            _check_size(raw, at, max_node_size)
        if node is _OTHER or at == end:
            expected, value, at = descend(node, raw, path, at)
        elif node is _FULL:
            expected = raw[_FULL_CHILD[path[at]]]
            at += 1
        else:
            expected = node[_CHILD[path[at]]]
            at += 1
    if expected is not None:
        raise ProofIncomplete("proof stops before its key is decided", nodes=len(proof), missing=expected)
    return value


def _check_length(key: bytes, proof: list[bytes]) -> None:
    if len(proof) > 2 * len(key) + 1:
        raise OversizedProof("proof has more nodes than its key has nibbles", nodes=len(proof), nibbles=2 * len(key))


def _check_size(raw: bytes, at: int, bound: int) -> None:
    if len(raw) > bound:
        raise OversizedProof("trie node is over the bound", size=len(raw), bound=bound)
    if len(raw) < 32 and at:
        raise ProofInvalid("trie node of under 32 bytes is not inside its parent", node=raw)


def _shared_nibbles(one: bytes, other: bytes) -> int:
    """How many leading nibbles two keys have in common; 0 if their lengths differ, which costs time only."""
    if len(one) != len(other):
        return 0
    differing = (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()
    return 2 * len(one) - (differing + 3) // 4


def descend(node: Node, raw: bytes, path: str, at: int) -> tuple[bytes | None, bytes | None, int]:
    """Follow `path` from nibble `at` through the node `raw`, which `node` classifies, and the nodes inside it.

    Gives the hash to go on with, or none and the value or its absence; and how far along the path that is.
    """
    if node is not _OTHER:
        if at == len(path):
            return None, None, at
        return raw[_FULL_CHILD[path[at]]] if node is _FULL else node[_CHILD[path[at]]], None, at + 1
    item = rlp.decode(raw)
    if len(item) == 2 and item[0] == _leaf_path(path, at) and item[1] and isinstance(item[1], bytes):
        return None, item[1], at
    return _descend_parsed(_parsed(raw, item), path, at)


def _descend_parsed(node: Child, path: str, at: int) -> tuple[bytes | None, bytes | None, int]:
    while isinstance(node, tuple):
        if isinstance(node, Leaf):
            return None, node.value if path[at:] == node.path else None, at
        if isinstance(node, Extension):
            if not path.startswith(node.path, at):
                return None, None, at
            at += len(node.path)
            node = node.child
        else:
            if at == len(path):
                return None, node.value, at
            node = node.children[int(path[at], 16)]
            at += 1
    return node, None, at


def _leaf_path(path: str, at: int) -> bytes:
    """The path, hex-prefix encoded, of a leaf for what is left of `path`."""
    return bytes.fromhex(("3" if len(path) - at & 1 else "20") + path[at:])


def check_node(expected: bytes, raw: bytes) -> Node:
    """What the node `raw` is, if it hashes to `expected`; raises `ProofInvalid` or `MalformedProof` if not."""
    if keccak(raw) != expected:
        raise _mismatch(expected, raw)
    size = len(raw)
    if size == _FULL_SIZE and raw[3::33] == _FULL_MARKS and raw[:3] == _FULL_HEAD:
        return _FULL
    branch = _HASH_BRANCH.fullmatch(raw)
    if branch is None:
        return _OTHER
    if not (58 <= size == raw[1] + 2 if raw[0] == 0xF8 else 259 <= size == (raw[1] << 8 | raw[2]) + 3):
        raise MalformedProof("branch node states another length than it has", node=raw)
    return branch


def _parsed(raw: bytes, item: rlp.Item) -> Small:
    if not isinstance(item, list) or len(item) not in {2, 17}:
        raise MalformedProof("trie node is not a list of 2 or 17 items", node=raw)
    if len(item) == 17:
        value = rlp.as_bytes(item[16], "branch value")
        return Branch(tuple(map(_child, item[:16])), value or None)
    encoded, rest = item
    digits = rlp.as_bytes(encoded, "node path").hex()
    flag = digits[:1]
    if flag in {"1", "3"}:
        path = digits[1:]
    elif digits[:2] in {"00", "20"}:
        path = digits[2:]
    else:
        raise MalformedProof("node path has no valid prefix", node=raw)
    if flag in {"2", "3"}:
        value = rlp.as_bytes(rest, "leaf value")
        if not value:
            raise MalformedProof("leaf holds an empty value, which tries cannot", node=raw)
        return Leaf(path, value)
    child = _child(rest)
    if child is None or not path:
        raise MalformedProof("extension node leads nowhere, or by no nibble", node=raw)
    return Extension(path, child)


def _child(item: rlp.Item) -> Child:
    if isinstance(item, bytes):
        if len(item) not in {0, 32}:
            raise MalformedProof("child of a trie node is neither a hash nor a node nor nothing", child=item)
        return item or None
    raw = rlp.encode(item)
    if len(raw) >= 32:
        raise MalformedProof("trie node of 32 bytes or more lies inside its parent", child=raw)
    return _parsed(raw, item)


def _mismatch(expected: bytes, raw: bytes) -> ProofInvalid:
    return ProofInvalid("trie node is not the one its parent names", expected=expected, got=keccak(raw))
