"""Tries that we hold entirely: their root, and proofs from them.

Owns the building side of the node format that `mpt` reads: the roots of receipts and transactions, and tries for
simulated chains. Must not know what keys and values mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chains.errors import InputError
from chains.proofs import mpt, rlp
from chains.proofs.keccak import keccak
from chains.types import Hash32


class Trie:
    """An immutable trie over `pairs` of keys and non-empty values, as a dictionary would take them.

    `root` is its root hash. Building it recurses by the nibbles of the longest key.
    """

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        entries = sorted((key.hex(), value) for key, value in dict(pairs).items())
        if not all(value for _, value in entries):
            raise InputError("a trie cannot hold an empty value; leave the key out")
        self._nodes: dict[bytes, bytes] = {}
        top = rlp.encode(self._node(entries, 0)) if entries else mpt.EMPTY_NODE
        self.root: Hash32 = keccak(top)
        self._nodes[self.root] = top

    def prove(self, key: bytes) -> list[bytes]:
        """The nodes that decide `key`, from the root down: what `mpt.lookup` takes."""
        proof: list[bytes] = []
        wanted: bytes | None = self.root if self.root != mpt.EMPTY_ROOT else None
        path, at = key.hex(), 0
        while wanted is not None:
            proof.append(self._nodes[wanted])
            wanted, _, at = mpt.descend(mpt.check_node(wanted, proof[-1]), proof[-1], path, at)
        return proof

    def _node(self, entries: Sequence[tuple[str, bytes]], at: int) -> rlp.Item:
        """The node over sorted `entries`, whose first `at` nibbles are its parents' business."""
        first, value = entries[0]
        if len(entries) == 1:
            return [_encoded_path(first[at:], leaf=True), value]
        shared = _shared(first, entries[-1][0])
        if shared > at:
            return [_encoded_path(first[at:shared], leaf=False), self._reference(entries, shared)]
        ends_here = len(first) == at
        groups: dict[str, list[tuple[str, bytes]]] = {}
        for entry in entries[ends_here:]:
            groups.setdefault(entry[0][at], []).append(entry)
        children = [self._reference(groups[digit], at + 1) if digit in groups else b"" for digit in "0123456789abcdef"]
        return [*children, value if ends_here else b""]

    def _reference(self, entries: Sequence[tuple[str, bytes]], at: int) -> rlp.Item:
        node = self._node(entries, at)
        raw = rlp.encode(node)
        if len(raw) < 32:
            return node
        key = keccak(raw)
        self._nodes[key] = raw
        return key


def ordered_root(items: Sequence[bytes]) -> Hash32:
    """The root of the trie of `items` by position, as in a header's transactions and receipts roots."""
    return Trie((rlp.encode(rlp.uint_bytes(index)), item) for index, item in enumerate(items)).root


def _shared(one: str, other: str) -> int:
    """How many leading digits two paths have in common."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _encoded_path(digits: str, *, leaf: bool) -> bytes:
    """The hex-prefix encoding of a run of nibbles."""
    odd = len(digits) % 2
    flag = "0123"[2 * leaf + odd]
    return bytes.fromhex(flag + digits if odd else f"{flag}0{digits}")
