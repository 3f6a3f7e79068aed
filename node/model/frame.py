"""The agreed market of a round: one price interval for each asset of the policy.

Leaves of the frame map are keyed by asset name (as a word) and hold one FramePrice.
Must not know where prices come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from chains.types import Assurance, UnixSeconds
from node.model.codec import Reader, Writer
from node.model.digests import name_word
from node.model.merkle import MerkleMap

_VERSION = 1


class PriceStatus(IntEnum):
    """How good a price is; the number is part of signed bytes."""

    FRESH = 1
    """Enough sources agree and are young enough: [low, high] spans them."""
    STALE = 2
    """Too few fresh sources: `price` is the last certified one; counts only within the policy's bounds for its age."""
    DISPUTED = 3
    """Fresh sources further apart than the policy allows: [low, high] spans them; `price` stays the last certified."""
    MISSING = 4
    """Never certified: the asset counts for nothing."""


@dataclass(frozen=True, slots=True)
class FramePrice:
    """One asset's agreed price in 1e-12 USD a whole unit: what it is, and the span of the sources.

    `price` is the last one that was certified, 0 if none ever was, and `published_at` its oldest source's own time.
    `sources` says how many are fresh now, `assurance` how the weakest of them is known. For a STALE price `low` and
    `high` are `price` as well; widening by age is the margin's to do.
    """

    asset: str
    status: PriceStatus
    low: int
    price: int
    high: int
    published_at: UnixSeconds
    sources: int
    assurance: Assurance

    def encode(self) -> bytes:
        writer = Writer().u8(_VERSION).text(self.asset).u8(self.status)
        writer.u256(self.low).u256(self.price).u256(self.high).u64(self.published_at)
        return writer.u8(self.sources).u8(self.assurance).done()

    @classmethod
    def decode(cls, data: bytes) -> FramePrice:
        """Raises Malformed."""
        reader = Reader(data, "frame price")
        reader.version(_VERSION)
        value = cls(
            reader.text(),
            reader.member(PriceStatus),
            reader.u256(),
            reader.u256(),
            reader.u256(),
            UnixSeconds(reader.u64()),
            reader.u8(),
            reader.member(Assurance),
        )
        reader.done()
        return value


@dataclass(frozen=True, slots=True)
class Frame:
    """Prices by asset, with the Merkle map whose root is in the header."""

    prices: Mapping[str, FramePrice]
    map: MerkleMap

    @classmethod
    def of(cls, prices: Mapping[str, FramePrice], base: MerkleMap | None = None) -> Frame:
        leaves: dict[bytes, bytes | None] = {name_word(asset): price.encode() for asset, price in prices.items()}
        if base is not None:
            leaves |= {key: None for key, _ in base if key not in leaves}
        return cls(dict(sorted(prices.items())), (base or MerkleMap()).updated(leaves))

    @classmethod
    def empty(cls) -> Frame:
        return cls({}, MerkleMap())

    def __iter__(self) -> Iterator[FramePrice]:
        return iter(self.prices.values())
