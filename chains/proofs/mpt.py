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
from collections.abc import Sequence
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


class Branch(NamedTuple):
    """Sixteen ways on at 1 to 16 of `children` (0 says nothing), and a value for the key that ends here."""

    children: re.Match[bytes] | tuple[Child, ...]
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
Node: TypeAlias = Small | _Shape
Child: TypeAlias = "bytes | Small | None"
"""The hash of a node, a node of under 32 bytes itself, or nothing."""

_FULL: Final = _Shape.FULL
_FULL_SIZE = 532
_FULL_HEAD = b"\xf9\x02\x11"
_FULL_MARKS = b"\xa0" * 16 + b"\x80"
_FULL_CHILD = {digit: slice(4 + 33 * n, 36 + 33 * n) for n, digit in enumerate("0123456789abcdef")}

# A branch of hashes and gaps, as nearly all others are: one match in C checks its form and finds its children.
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
            kept = self._old.get(expected) or (raw, _checked(expected, raw))
            if 32 <= len(raw) <= MAX_NODE_SIZE:
                self._keep(expected, kept)
        if kept[0] != raw:
            raise _mismatch(expected, raw)
        return kept[1]

    def _keep(self, key: bytes, kept: tuple[bytes, Node]) -> None:
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, {}
        self._young[key] = kept


def lookup(
    root: Hash32,
    key: bytes,
    proof: Sequence[bytes],
    store: NodeStore | None = None,
    *,
    max_node_size: int = MAX_NODE_SIZE,
) -> bytes | None:
    """The value at `key` in the trie under `root`, or `None` if it is proven that there is none.

    Raises `ProofInvalid` if a node is not the one its parent names or is left over, `ProofIncomplete` if the
    proof stops before the key is decided, `MalformedProof` for anything but canonical nodes, `OversizedProof`
    over the bounds. As alloy-trie's `verify_proof`; an empty trie is proven by no node or by the empty one.
    """
    path = key.hex()
    depth = len(path)
    if len(proof) > depth + 1:
        raise OversizedProof("proof has more nodes than its key has nibbles", nodes=len(proof), nibbles=depth)
    if root == EMPTY_ROOT and (not proof or (len(proof) == 1 and proof[0] == EMPTY_NODE)):
        return None
    check = _checked if store is None else store.check
    expected: bytes | None = root
    value: bytes | None = None
    at = 0
    for raw in proof:
        if expected is None:
            raise ProofInvalid("proof goes on after its key is decided", nodes=len(proof), extra=raw)
        if len(raw) > max_node_size:
            raise OversizedProof("trie node is over the bound", size=len(raw), bound=max_node_size)
        node = check(expected, raw)
        if node is _FULL:
            expected = raw[_FULL_CHILD[path[at]]] if at < depth else None
            at += 1
            continue
        if at and len(raw) < 32:
            raise ProofInvalid("trie node of under 32 bytes is not inside its parent", node=raw)
        expected, value, at = _descend(node, path, at)
    if expected is not None:
        raise ProofIncomplete("proof stops before its key is decided", nodes=len(proof), missing=expected)
    return value


def _descend(node: Child, path: str, at: int) -> tuple[bytes | None, bytes | None, int]:
    """Follow `path` from nibble `at` through a node and those inside it.

    Gives the hash to go on with, or none and the value or its absence; and how far along the path that is.
    """
    while isinstance(node, tuple):
        if isinstance(node, Branch):
            if at == len(path):
                return None, node.value, at
            node = node.children[_CHILD[path[at]]]
            at += 1
        elif isinstance(node, Leaf):
            return None, node.value if path[at:] == node.path else None, at
        elif path.startswith(node.path, at):
            at += len(node.path)
            node = node.child
        else:
            return None, None, at
    return node, None, at


def _checked(expected: bytes, raw: bytes) -> Node:
    if keccak(raw) != expected:
        raise _mismatch(expected, raw)
    size = len(raw)
    if size == _FULL_SIZE and raw[3::33] == _FULL_MARKS and raw[:3] == _FULL_HEAD:
        return _FULL
    branch = _HASH_BRANCH.fullmatch(raw)
    if branch is None:
        return _parsed(raw, rlp.decode(raw))
    stated, least = (raw[1] + 2, 58) if raw[0] == 0xF8 else ((raw[1] << 8 | raw[2]) + 3, 259)
    if not stated == size >= least:
        raise MalformedProof("branch node states another length than it has", node=raw)
    return Branch(branch, None)


def _parsed(raw: bytes, item: rlp.Item) -> Small:
    if not isinstance(item, list) or len(item) not in {2, 17}:
        raise MalformedProof("trie node is not a list of 2 or 17 items", node=raw)
    if len(item) == 17:
        value = rlp.as_bytes(item[16], "branch value")
        return Branch((None, *map(_child, item[:16])), value or None)
    is_leaf, path = _path(rlp.as_bytes(item[0], "node path"))
    if is_leaf:
        value = rlp.as_bytes(item[1], "leaf value")
        if not value:
            raise MalformedProof("leaf holds an empty value, which tries cannot", node=raw)
        return Leaf(path, value)
    child = _child(item[1])
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


def _path(encoded: bytes) -> tuple[bool, str]:
    """Undo the hex-prefix encoding: whether it is a leaf's, and the nibbles as hexadecimal digits."""
    digits = encoded.hex()
    if digits[:1] in {"1", "3"}:
        return digits[0] == "3", digits[1:]
    if digits[:2] in {"00", "20"}:
        return digits[0] == "2", digits[2:]
    raise MalformedProof("node path has no valid prefix", path=encoded)


def _mismatch(expected: bytes, raw: bytes) -> ProofInvalid:
    return ProofInvalid("trie node is not the one its parent names", expected=expected, got=keccak(raw))
