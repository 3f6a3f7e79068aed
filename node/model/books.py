"""What changed between two books of one chain, as nodes pass it on to one that could not prove the newer one itself.

Nothing of it is believed: applied to the book that both have, it must give the root that a quorum certified.
Must not know how a book was proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chains.errors import ProofInvalid
from chains.types import ChainId, Hash32
from node.model.codec import Reader, Writer
from node.model.merkle import MerkleMap

MAX_CHANGES = 1 << 16
MAX_CHANGES_BYTES = 8_000_000
"""It fits into one message; who lacks more than that has to prove it, or fetch a whole state."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class BookChanges:
    """From the book with root `base` to a newer one of the same chain; None removes a leaf."""

    chain_id: ChainId
    base: Hash32
    changes: Mapping[bytes, bytes | None]

    @classmethod
    def between(cls, chain_id: ChainId, before: MerkleMap, after: MerkleMap) -> BookChanges:
        """What `before` needs to become `after`."""
        return cls(chain_id, before.root, after.changes_since(before))

    def applied(self, before: MerkleMap, root: Hash32) -> MerkleMap:
        """The newer book. Raises ProofInvalid unless that has `root`."""
        after = before.updated(self.changes)
        if after.root != root:
            raise ProofInvalid("refuse changes that lead to another root", wanted=root, reached=after.root)
        return after

    def encode(self) -> bytes:
        writer = Writer().u8(_VERSION).u64(self.chain_id).raw(self.base, 32)
        return writer.many(sorted(self.changes.items()), _write_change).done()

    @classmethod
    def decode(cls, data: bytes) -> BookChanges:
        """Raises Malformed."""
        reader = Reader(data, "changes of a book")
        reader.version(_VERSION)
        chain_id, base = ChainId(reader.u64()), Hash32(reader.raw(32))
        changes = reader.many(_read_change, MAX_CHANGES)
        reader.ascending((key for key, _ in changes), "accounts")
        reader.done()
        return cls(chain_id, base, dict(changes))


def _write_change(writer: Writer, change: tuple[bytes, bytes | None]) -> None:
    key, value = change
    writer.raw(key, 32).flag(value is not None)
    if value is not None:
        writer.var(value)


def _read_change(reader: Reader) -> tuple[bytes, bytes | None]:
    key = reader.raw(32)
    return key, reader.var() if reader.flag() else None
