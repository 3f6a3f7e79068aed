"""What one node saw, as it tells the others at the start of a round: inputs only, never conclusions.

The one conclusion in it is the root that the node computed for a pending cut, because that is what is being voted on.
Must not know how observations are combined.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.types import Assurance, ChainId, Cut, Hash32, UnixSeconds
from node.margin.policy import MAX_FEEDS, MAX_VENUES
from node.model.codec import Malformed, Reader, Writer
from node.model.header import MAX_CHAINS, read_cut, write_cut
from node.model.state import MAX_CANDIDATES, RootVote

_VERSION = 1
MAX_HEADS = 16
"""Reports of one venue that one observation offers beyond the adopted head."""
MAX_REQUESTS = 256
MAX_OBSERVATION_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ChainObservation:
    """One chain as a node sees it.

    `candidates` are its newest final cuts at the policy's stride, ascending; `vote` is the root that it computed for
    the pending cut whose block hash is `voted`. `disputed`: final blocks contradict the certified cut or the recipe.
    """

    chain_id: ChainId
    candidates: tuple[Cut, ...]
    disputed: bool
    voted: Hash32 | None
    vote: RootVote | None


@dataclass(frozen=True, slots=True)
class QuoteObservation:
    """One source's price as a node verified it: 1e-12 USD a unit, and the source's own time."""

    asset: str
    source: str
    price: int
    published_at: UnixSeconds
    assurance: Assurance


@dataclass(frozen=True, slots=True)
class HeadObservation:
    """The reports of a venue that a node holds beyond the adopted head: their digests, in sequence."""

    venue: str
    digests: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """All of it. `time_ms` is the node's own clock; `requests` are digests that it has verified, ascending."""

    time_ms: int
    chains: tuple[ChainObservation, ...]
    quotes: tuple[QuoteObservation, ...]
    heads: tuple[HeadObservation, ...]
    requests: tuple[Hash32, ...]

    def encode(self) -> bytes:
        writer = Writer().u8(_VERSION).u64(self.time_ms)
        writer.many(self.chains, _write_chain).many(self.quotes, _write_quote)
        writer.many(
            self.heads, lambda w, head: w.text(head.venue).many(head.digests, lambda v, digest: v.raw(digest, 32))
        )
        return writer.many(self.requests, lambda w, digest: w.raw(digest, 32)).done()

    @classmethod
    def decode(cls, data: bytes) -> Observation:
        """Raises Malformed: this is also all the validation that an observation can have by itself."""
        reader = Reader(data, "observation")
        reader.version(_VERSION)
        time_ms = reader.u64()
        chains = reader.many(_read_chain, MAX_CHAINS)
        reader.ascending((chain.chain_id for chain in chains), "chains")
        quotes = reader.many(_read_quote, MAX_FEEDS)
        reader.ascending(((quote.asset, quote.source) for quote in quotes), "quotes")
        heads = reader.many(
            lambda r: HeadObservation(r.text(), r.many(lambda v: Hash32(v.raw(32)), MAX_HEADS)), MAX_VENUES
        )
        reader.ascending((head.venue for head in heads), "venues")
        requests = reader.many(lambda r: Hash32(r.raw(32)), MAX_REQUESTS)
        reader.ascending(requests, "requests")
        reader.done()
        return cls(time_ms, chains, quotes, heads, requests)


def _write_chain(writer: Writer, chain: ChainObservation) -> None:
    writer.u64(chain.chain_id).many(chain.candidates, write_cut).flag(chain.disputed)
    writer.flag(chain.vote is not None)
    if chain.vote is not None and chain.voted is not None:
        writer.raw(chain.voted, 32).raw(chain.vote.root, 32).raw(chain.vote.storage_hash, 32).u8(chain.vote.assurance)


def _read_chain(reader: Reader) -> ChainObservation:
    chain_id = ChainId(reader.u64())
    candidates = reader.many(read_cut, MAX_CANDIDATES)
    reader.ascending((cut.height for cut in candidates), "candidate cuts")
    if any(cut.chain_id != chain_id for cut in candidates):
        raise Malformed("offer a chain its own cuts", chain_id=chain_id)
    disputed = reader.flag()
    if not reader.flag():
        return ChainObservation(chain_id, candidates, disputed, None, None)
    voted = Hash32(reader.raw(32))
    vote = RootVote(Hash32(reader.raw(32)), Hash32(reader.raw(32)), reader.member(Assurance))
    return ChainObservation(chain_id, candidates, disputed, voted, vote)


def _write_quote(writer: Writer, quote: QuoteObservation) -> None:
    writer.text(quote.asset).text(quote.source).u256(quote.price).u64(quote.published_at).u8(quote.assurance)


def _read_quote(reader: Reader) -> QuoteObservation:
    asset, source, price = reader.text(), reader.text(), reader.u256()
    return QuoteObservation(asset, source, price, UnixSeconds(reader.u64()), reader.member(Assurance))
