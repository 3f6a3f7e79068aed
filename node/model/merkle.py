"""A persistent Merkle map from 32-byte keys to byte strings, with inclusion and absence proofs.

Format. path(key) = keccak(key), so that nobody can choose keys that share a long path. A tree over the path bits,
most significant first, in which a subtree with one leaf is that leaf and an empty subtree is 32 zero bytes:

    leaf = keccak(0x00 ‖ path ‖ keccak(value))        branch = keccak(0x01 ‖ left ‖ right)

The shape depends on the content alone, so equal maps have equal roots whatever the order of updates.
Updating shares all that did not change: a map costs what changed, and old versions stay readable.
Must not know what the values mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from chains.errors import ProofInvalid
from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.model.codec import Malformed, Reader, Writer

EMPTY_ROOT = Hash32(bytes(32))
MAX_DEPTH = 256


class _Leaf:
    __slots__ = ("hash", "key", "path", "value")

    def __init__(self, key: bytes, path: bytes, value: bytes) -> None:
        self.key = key
        self.path = path
        self.value = value
        self.hash = keccak(b"\x00" + path + keccak(value))


class _Branch:
    __slots__ = ("hash", "left", "right")

    def __init__(self, left: _Node, right: _Node) -> None:
        self.left = left
        self.right = right
        self.hash = keccak(b"\x01" + _hash(left) + _hash(right))


_Node: TypeAlias = "_Leaf | _Branch | None"


def _hash(node: _Node) -> bytes:
    return EMPTY_ROOT if node is None else node.hash


def _leaves(top: _Node) -> Iterator[_Leaf]:
    pending: list[_Node] = [top]
    while pending:
        node = pending.pop()
        if isinstance(node, _Leaf):
            yield node
        elif node is not None:
            pending.append(node.right)
            pending.append(node.left)


def _bit(path: bytes, depth: int) -> int:
    return (path[depth >> 3] >> (7 - (depth & 7))) & 1


class MerkleMap:
    """An immutable map; `updated` gives a new one. Iterates over (key, value) in the order of paths."""

    __slots__ = ("_size", "_top")

    def __init__(self) -> None:
        self._top: _Node = None
        self._size = 0

    @classmethod
    def of(cls, items: Mapping[bytes, bytes]) -> MerkleMap:
        return cls().updated(items)

    @property
    def root(self) -> Hash32:
        return Hash32(_hash(self._top))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for leaf in _leaves(self._top):
            yield leaf.key, leaf.value

    def get(self, key: bytes) -> bytes | None:
        path = keccak(key)
        node, depth = self._top, 0
        while isinstance(node, _Branch):
            node = node.right if _bit(path, depth) else node.left
            depth += 1
        return node.value if node is not None and node.path == path else None

    def updated(self, changes: Mapping[bytes, bytes | None]) -> MerkleMap:
        """The map with each key set to its new value, or removed where that is None."""
        edits: list[_Edit] = sorted((keccak(key), key, value) for key, value in changes.items())
        result = MerkleMap()
        result._top, grown = _apply(self._top, edits, 0)
        result._size = self._size + grown
        return result

    def changes_since(self, old: MerkleMap) -> dict[bytes, bytes | None]:
        """What `old.updated` would need to become this map; subtrees that are shared are not visited."""
        removed: dict[bytes, bytes | None] = {}
        added: dict[bytes, bytes | None] = {}
        pending: list[tuple[_Node, _Node]] = [(old._top, self._top)]
        while pending:
            before, after = pending.pop()
            if before is after or _hash(before) == _hash(after):
                continue
            if isinstance(before, _Branch) and isinstance(after, _Branch):
                pending += [(before.left, after.left), (before.right, after.right)]
            else:
                removed |= dict.fromkeys(leaf.key for leaf in _leaves(before))
                added |= {leaf.key: leaf.value for leaf in _leaves(after)}
        return removed | added

    def prove(self, key: bytes) -> MapProof:
        """The proof that `key` has its value, or that it is absent."""
        path = keccak(key)
        siblings: list[bytes] = []
        node, depth = self._top, 0
        while isinstance(node, _Branch):
            taken, other = (node.right, node.left) if _bit(path, depth) else (node.left, node.right)
            siblings.append(_hash(other))
            node = taken
            depth += 1
        if node is None or node.path == path:
            return MapProof(tuple(siblings), None)
        return MapProof(tuple(siblings), (node.path, keccak(node.value)))


_Edit: TypeAlias = tuple[bytes, bytes, "bytes | None"]


def _apply(node: _Node, edits: list[_Edit], depth: int) -> tuple[_Node, int]:
    """`node` with `edits` (sorted by path) applied, and by how many leaves it grew."""
    if not edits:
        return node, 0
    if isinstance(node, _Branch):
        split = _split(edits, depth)
        left, grown_left = _apply(node.left, edits[:split], depth + 1)
        right, grown_right = _apply(node.right, edits[split:], depth + 1)
        if left is node.left and right is node.right:
            return node, 0
        return _join(left, right), grown_left + grown_right
    leaves = {edit[0]: _Leaf(edit[1], edit[0], edit[2]) for edit in edits if edit[2] is not None}
    before = 0
    if node is not None:
        before = 1
        same = leaves.get(node.path)
        if (same is not None and same.value == node.value) or all(edit[0] != node.path for edit in edits):
            leaves[node.path] = node
    return _build([leaves[path] for path in sorted(leaves)], depth), len(leaves) - before


def _build(leaves: list[_Leaf], depth: int) -> _Node:
    if len(leaves) < 2:
        return leaves[0] if leaves else None
    split = next((at for at, leaf in enumerate(leaves) if _bit(leaf.path, depth)), len(leaves))
    return _join(_build(leaves[:split], depth + 1), _build(leaves[split:], depth + 1))


def _split(edits: list[_Edit], depth: int) -> int:
    return next((at for at, edit in enumerate(edits) if _bit(edit[0], depth)), len(edits))


def _join(left: _Node, right: _Node) -> _Node:
    """A branch, unless one leaf or nothing is left, which stands for the whole subtree."""
    if left is None and not isinstance(right, _Branch):
        return right
    if right is None and not isinstance(left, _Branch):
        return left
    return _Branch(left, right)


@dataclass(frozen=True, slots=True)
class MapProof:
    """Sibling hashes from the root down, and, for an absent key, the (path, value hash) of the leaf in its place."""

    siblings: tuple[bytes, ...]
    other: tuple[bytes, bytes] | None

    def check(self, root: Hash32, key: bytes, value: bytes | None) -> None:
        """Raise ProofInvalid unless under `root` the key has `value` (None: is absent)."""
        path = keccak(key)
        depth = len(self.siblings)
        if depth > MAX_DEPTH:
            raise ProofInvalid("refuse a map proof that is too deep", depth=depth)
        if value is not None:
            if self.other is not None:
                raise ProofInvalid("refuse a proof of absence offered for a value", key=key)
            node = keccak(b"\x00" + path + keccak(value))
        elif self.other is None:
            node = EMPTY_ROOT
        else:
            other_path, value_hash = self.other
            if other_path == path or any(_bit(other_path, at) != _bit(path, at) for at in range(depth)):
                raise ProofInvalid("refuse an absence proof whose leaf is not in the key's place", key=key)
            node = keccak(b"\x00" + other_path + value_hash)
        for at in range(depth - 1, -1, -1):
            sibling = self.siblings[at]
            node = keccak(b"\x01" + (sibling + node if _bit(path, at) else node + sibling))
        if node != root:
            raise ProofInvalid("refuse a map proof that leads to another root", key=key, root=root, reached=node)

    def encode(self) -> bytes:
        """The depth as u16, a bitmap of non-empty siblings, those siblings, then flag and the other leaf."""
        depth = len(self.siblings)
        bitmap = bytearray((depth + 7) // 8)
        for at, sibling in enumerate(self.siblings):
            if sibling != EMPTY_ROOT:
                bitmap[at >> 3] |= 0x80 >> (at & 7)
        writer = Writer().u16(depth).raw(bytes(bitmap), len(bitmap))
        for sibling in self.siblings:
            if sibling != EMPTY_ROOT:
                writer.raw(sibling, 32)
        writer.flag(self.other is not None)
        if self.other is not None:
            writer.raw(self.other[0], 32).raw(self.other[1], 32)
        return writer.done()

    @classmethod
    def decode(cls, data: bytes) -> MapProof:
        """Raises Malformed."""
        reader = Reader(data, "map proof")
        depth = reader.u16()
        if depth > MAX_DEPTH:
            raise Malformed("refuse a map proof that is too deep", depth=depth)
        bitmap = reader.raw((depth + 7) // 8)
        siblings = tuple(reader.raw(32) if bitmap[at >> 3] & (0x80 >> (at & 7)) else bytes(32) for at in range(depth))
        other = (reader.raw(32), reader.raw(32)) if reader.flag() else None
        reader.done()
        proof = cls(siblings, other)
        if proof.encode() != data:
            raise Malformed("refuse a map proof that is not in its one encoding", depth=depth)
        return proof
