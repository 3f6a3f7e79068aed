"""Many proofs under one root at once, as of the slots of one contract.

Owns the fast way through the usual tries: branches of hashes down to a leaf. It takes only what it can see to be right;
everything else, an absence, an extension or a fault, is left to `mpt`, which says what it is. Must not know what keys
and values mean.

The keys come in ascending order, so that proofs are one pass over the part of the trie that they cover: each distinct
node is hashed once, and what a proof shares with the one before is compared as a whole. A branch of a given size has
one possible form, a leaf of a given size and depth as well, so both are checked by a match in C.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import xor
from typing import NamedTuple

from chains.errors import InputError
from chains.proofs import mpt, rlp
from chains.proofs.keccak import hasher
from chains.types import Hash32

_KEY_SIZE = 32
_NIBBLES = 2 * _KEY_SIZE
_CHILD = {digit: n for n, digit in enumerate("0123456789abcdef", start=1)}


def _branch_form(children: int) -> tuple[int, Callable[[bytes], re.Match[bytes] | None]]:
    """The size of a branch of so many hashes and no value, and what matches it: its children as groups 1 to 16."""
    head = rlp.encode([b"h" * 32] * children + [b""] * (17 - children))
    items = rb"(?:\xa0(.{32})|\x80)" * 16 + rb"\x80"
    return len(head), re.compile(re.escape(head[: len(head) - 17 - 32 * children]) + items, re.DOTALL).fullmatch


_BRANCHES = dict(map(_branch_form, range(2, 17)))


_KEPT = [_NIBBLES + 1 - (bits + 3 >> 2) for bits in range(8 * _KEY_SIZE + 1)]
"""How many nodes, one a nibble, two keys share at most, by the length in bits of what they differ by."""


class _Leaf(NamedTuple):
    leads: Mapping[str, bytes]
    """What it begins with, by the first digit of its path, up to the first whole byte of its path."""
    path_from: int
    """The byte of the key where the whole bytes of its path begin."""
    value_header: bytes
    value_at: int
    value_bound: int
    """What the first byte of its value is below: a single byte stands for itself only if it is small."""


def lookup_sorted(root: Hash32, keys: Sequence[bytes], proofs: Sequence[list[bytes]]) -> list[bytes | None]:
    """The value at each of `keys`, ascending and of 32 bytes; None if it is proven absent. Errors as `mpt.lookup`."""
    if set(map(len, keys)) - {_KEY_SIZE}:
        raise InputError("a batch's keys are hashes of 32 bytes")
    if root == mpt.EMPTY_ROOT or not all(proofs) or any(len(proof) > _NIBBLES for proof in proofs):
        return [mpt.lookup(root, key, proof) for key, proof in zip(keys, proofs, strict=True)]
    numbers = [0, *map(int.from_bytes, keys)]
    kept = map(_KEPT.__getitem__, map(int.bit_length, map(xor, numbers, numbers[1:])))
    values: list[bytes | None] = []
    # The first nodes of the proof `last` are `branches`, one a nibble.
    last: list[bytes] = []
    branches: list[re.Match[bytes]] = []
    hashed, forms, children, layout_of = hasher, _BRANCHES, _CHILD, _leaf_layout  # looked up once
    for key, path, proof, keep in zip(keys, map(bytes.hex, keys), proofs, kept, strict=True):
        del branches[keep:]
        depth = len(branches)
        if proof[:depth] != last[:depth]:
            # It cannot hold. By itself it is refused for the reason that it would be refused for here.
            values.append(mpt.lookup(root, key, proof))
            continue
        expected = branches[-1][children[path[depth - 1]]] if depth else root
        last = proof
        for raw in proof[depth:-1]:
            form = forms.get(len(raw))
            if form is None or hashed(raw).digest() != expected or (branch := form(raw)) is None:
                break
            branches.append(branch)
            expected = branch[children[path[depth]]]
            depth += 1
        else:
            leaf = proof[-1]
            layout = layout_of(depth, len(leaf))
            if layout is not None and hashed(leaf).digest() == expected:
                leads, path_from, value_header, value_at, value_bound = layout
                start = leads[path[depth]] + key[path_from:] + value_header
                if leaf.startswith(start) and leaf[value_at] < value_bound:
                    values.append(leaf[value_at:])
                    continue
        values.append(mpt.follow(expected, path, depth, proof[depth:]))
    return values


@lru_cache(maxsize=4096)
def _leaf_layout(depth: int, size: int) -> _Leaf | None:
    """The one canonical way in which a leaf of `size` bytes begins below `depth` nibbles; None if there is none."""
    digits = _NIBBLES - depth
    path_size = digits // 2 + 1
    if path_size < 2 or not 32 <= size <= mpt.MAX_NODE_SIZE:
        return None
    for value_size in range(max(1, size - path_size - 8), size - path_size):
        example = rlp.encode([b"\x20" * path_size, b"\x7f" * value_size])
        if len(example) == size:
            path_at, value_at = example.index(b"\x20" * path_size), size - value_size
            head = example[:path_at]
            return _Leaf(
                leads={digit: head + (bytes.fromhex("3" + digit) if digits % 2 else b"\x20") for digit in _CHILD},
                path_from=_KEY_SIZE - path_size + 1,
                value_header=example[path_at + path_size : value_at],
                value_at=value_at,
                value_bound=0x80 if value_size == 1 else 0x100,
            )
    return None
