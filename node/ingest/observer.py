"""Puts together what this node tells the others at the start of a round. Look-ups only: nothing is waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chains.errors import ProofInvalid
from chains.types import ChainId, Hash32
from node.consensus.outcome.observation import ChainObservation, Observation, QuoteObservation
from node.ingest.follower import ChainFollower
from node.ingest.inbox import Inbox
from node.margin.policy import Policy
from node.model.books import MAX_CHANGES, MAX_CHANGES_BYTES, BookChanges
from node.model.merkle import MerkleMap
from node.model.reports import Report
from node.model.requests import Request
from node.model.state import State


class Observer:
    """This node's view of the world, and the inputs that it holds for the transition.

    `clock_ms` gives unix milliseconds; `followers` may grow and shrink as policies change.
    """

    def __init__(self, followers: Mapping[ChainId, ChainFollower], inbox: Inbox, clock_ms: Callable[[], int]) -> None:
        self._followers = followers
        self._inbox = inbox
        self._clock_ms = clock_ms
        self._agreed: dict[Hash32, MerkleMap] = {}

    def observe(self, state: State) -> Observation:
        """What this node sees, for the round after `state`."""
        controls = {item.chain_id: item for item in state.control.chains}
        chains = []
        quotes: dict[tuple[str, str], QuoteObservation] = {}
        for chain_id, follower in sorted(self._followers.items()):
            control = controls.get(chain_id)
            cut = control.pending if control is not None else None
            vote = follower.vote(cut, control.watched) if control is not None and cut is not None else None
            voted = cut.block_hash if cut is not None and vote is not None else None
            chains.append(ChainObservation(chain_id, follower.candidates, follower.disputed, voted, vote))
            for quote in follower.quotes:
                quotes[quote.asset, quote.source] = QuoteObservation(
                    quote.asset, quote.source, quote.price, quote.published_at, quote.assurance
                )
        return Observation(
            self._clock_ms(),
            tuple(chains),
            tuple(quotes[key] for key in sorted(quotes)),
            self._inbox.heads(),
            self._inbox.offered_requests(),
        )

    # === Inputs of the transition ===

    def report(self, digest: Hash32) -> Report | None:
        return self._inbox.report(digest)

    def request(self, digest: Hash32) -> Request | None:
        return self._inbox.request(digest)

    def policy(self, digest: Hash32) -> Policy | None:
        return self._inbox.policy(digest)

    def book(self, chain_id: ChainId, root: Hash32) -> MerkleMap | None:
        follower = self._followers.get(chain_id)
        own = follower.book(root) if follower is not None else None
        return own if own is not None else self._agreed.get(root)

    # === Books that a quorum proved ===

    def take_book(self, raw: bytes, root: Hash32, state: State) -> None:
        """Keep the book with a certified root that this node has not proven, until the next state stands.

        Raises Malformed, or ProofInvalid for changes that do not lead there.
        """
        found = BookChanges.decode(raw)
        before = state.chains.get(found.chain_id, MerkleMap())
        for base in (before, MerkleMap()):
            if base.root == found.base:
                self._agreed[root] = found.applied(base, root)
                return
        raise ProofInvalid("refuse changes of a book that this node does not have", base=found.base)

    def committed(self) -> None:
        """Another state stands, with its books."""
        self._agreed.clear()

    def changes_to(self, root: Hash32, state: State) -> bytes | None:
        """For a peer that cannot prove it: what leads from the state's book to the one with `root`, None if unknown."""
        for chain_id, follower in self._followers.items():
            book = follower.book(root)
            if book is not None:
                changes = BookChanges.between(chain_id, state.chains.get(chain_id, MerkleMap()), book)
                if len(changes.changes) <= MAX_CHANGES and len(raw := changes.encode()) <= MAX_CHANGES_BYTES:
                    return raw
        return None
