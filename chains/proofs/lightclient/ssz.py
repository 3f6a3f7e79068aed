"""Hash tree roots and Merkle branches of SSZ (consensus-specs, `ssz/simple-serialize.md` and `ssz/merkle-proofs.md`).

Owns the hashing. Must not know what the leaves mean. What a container's fields are is stated where the container is.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from chains.errors import MalformedProof, ProofInvalid
from chains.proofs.lightclient.config import GeneralizedIndex
from chains.types import Hash32

ZERO: Final = Hash32(bytes(32))
_MAX_DEPTH = 16
_ZEROS = [ZERO]
"""The roots of trees of zeros by their depth."""
for _ in range(_MAX_DEPTH):
    _ZEROS.append(Hash32(sha256(_ZEROS[-1] * 2).digest()))


def hash_pair(left: bytes, right: bytes) -> Hash32:
    """The node over two nodes."""
    return Hash32(sha256(left + right).digest())


def merkleize(leaves: Sequence[bytes]) -> Hash32:
    """The root over `leaves` of 32 bytes, filled up with zeros to the next power of two."""
    level = list(leaves)
    for depth in range((len(leaves) - 1).bit_length()):
        if len(level) % 2:
            level.append(_ZEROS[depth])
        level = [sha256(left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    return Hash32(level[0])


def uint_leaf(value: int) -> bytes:
    """An unsigned integer of at most 256 bits."""
    return value.to_bytes(32, "little")


def bytes_root(data: bytes) -> Hash32:
    """The root of a byte vector."""
    return merkleize([data[at : at + 32].ljust(32, b"\0") for at in range(0, len(data), 32)])


def short_list_root(data: bytes) -> Hash32:
    """The root of a byte list whose limit is 32 bytes."""
    return hash_pair(data.ljust(32, b"\0"), uint_leaf(len(data)))


def verify_branch(leaf: bytes, branch: Sequence[bytes], index: GeneralizedIndex, root: Hash32, what: str) -> None:
    """Refuse `leaf`, named `what`, unless `branch` proves it at `index` under `root`.

    A branch of a form that a later fork lengthened begins with zeros (consensus-specs, `normalize_merkle_branch`).
    Raises MalformedProof for a branch of another length, ProofInvalid if it leads to another root.
    """
    depth = index.bit_length() - 1
    extra = len(branch) - depth
    if extra < 0 or any(map(any, branch[:extra])):
        raise MalformedProof(f"branch of the {what} has another length than its place", has=len(branch), needs=depth)
    node, at = leaf, int(index)
    for sibling in branch[extra:]:
        node = hash_pair(sibling, node) if at & 1 else hash_pair(node, sibling)
        at >>= 1
    if node != root:
        raise ProofInvalid(f"branch does not prove the {what}", root=root, got=node)
