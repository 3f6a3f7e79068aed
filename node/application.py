"""What the agreement runs: observes for a round, derives its outcome, and installs what was committed.

Owns the newest committed state of this node and the order of what a commit sets off: on disk first, then visible, then
signed for the chains. The agreement knows outcomes only by their digests; this is where a digest is a state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chains.errors import RetryError
from chains.types import ChainId, Hash32
from node.attestation.attestor import Attestor
from node.consensus.outcome.observation import Observation
from node.consensus.outcome.transition import InputKind, InputRef, MissingInputs, derive
from node.consensus.protocol.effects import Attributed, Committed
from node.ingest.follower import ChainFollower
from node.ingest.inbox import Inbox
from node.ingest.observer import Observer
from node.ingest.ports import Meter
from node.margin.context import MarginContext
from node.margin.policy import Policy
from node.margin.screen import Screen
from node.model.certificate import CommitCertificate
from node.model.network import Network
from node.model.state import State

LOOKED_AT_AT_ONCE = 100
"""Accounts that are evaluated after a start before anything else may go on."""
LOOKED_AT_AHEAD = 32
"""Accounts that are evaluated with each state under a policy that waits for its time: when it comes, all would be."""
KEPT_CANDIDATES = 8
"""Derived outcomes that wait for a decision; only changes of leaders make more than one."""
FETCHES_AT_ONCE = 16
CLOCK_TOLERANCE_MS = 2_000
"""How far the own clock may be from the median of the observers before the node says so."""


class StateStore(Protocol):
    """Where committed states are kept. Returns when it is durable."""

    async def save(self, state: State, certificate: CommitCertificate, observations: Attributed = ()) -> None: ...


class PeerFetcher(Protocol):
    """Asks peers for what this node lacks; everything is verified against the digest or certificate."""

    async def fetch_input(self, ref: InputRef, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand `take` the bytes of an input, from one peer after the other until it raises no HypothecError.

        A digest does not cover signatures: one peer's bytes may be refused, and the next one's be right. Raises
        RetryError when no peer's will do.
        """

    async def fetch_state(self, holders: Sequence[int], min_sequence: int) -> tuple[State, CommitCertificate]:
        """A certified state at or after `min_sequence`. Raises RetryError when nobody gives one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application works with. `clock_ms` is unix time.

    `on_policy` is told when another policy is in force; `on_state` of every state, before anything of it is signed.
    """

    network: Network
    store: StateStore
    fetcher: PeerFetcher
    inbox: Inbox
    observer: Observer
    followers: Mapping[ChainId, ChainFollower]
    attestor: Attestor
    meter: Meter
    clock_ms: Callable[[], int]
    on_policy: Callable[[Policy], Awaitable[None]]
    on_state: Callable[[State, Policy], None]


class MarginApplication:
    """The margin state machine of one node. One task calls it; readers may look at `state` at any time."""

    def __init__(self, parts: Parts, state: State, certificate: CommitCertificate | None) -> None:
        self._parts = parts
        self._candidates: dict[Hash32, State] = {}
        self._screen = Screen()
        self._changed = asyncio.Condition()
        self._installing = asyncio.Lock()
        self.state = state
        self.certificate = certificate

    # === The agreement's questions ===

    async def observe(self, seq: int, query: bytes) -> bytes:
        """What this node sees, for the round that makes state `seq`."""
        return self._parts.observer.observe(self.state).encode()

    def validate(self, seq: int, observer: int, payload: bytes) -> None:
        """An observation is valid when it parses: the transition survives whatever it says. Raises Malformed."""
        Observation.decode(payload)

    async def derive(self, seq: int, observations: Attributed) -> Hash32:
        """The outcome of the observations. Raises RetryError when inputs cannot be had from any peer."""
        decoded = {node: Observation.decode(payload) for node, payload in observations}
        previous = self.state
        if seq != previous.header.sequence + 1:
            raise RetryError("wait until the previous state is installed", seq=seq, at=previous.header.sequence)
        try:
            state = derive(previous, decoded, self._parts.network, self._parts.observer, self._screen)
        except MissingInputs as missing:
            await self._fetch(missing.refs)
            state = derive(previous, decoded, self._parts.network, self._parts.observer, self._screen)
        outcome = state.header.hash()
        self._candidates[outcome] = state
        while len(self._candidates) > KEPT_CANDIDATES:
            del self._candidates[next(iter(self._candidates))]
        return outcome

    async def committed(self, committed: Committed) -> None:
        """Install an outcome that this node derived (again after a crash, from the observations in the journal)."""
        if committed.seq <= self.state.header.sequence:
            return
        if committed.outcome not in self._candidates:
            await self.derive(committed.seq, committed.observations)
        await self._install(self._candidates[committed.outcome], committed.certificate, committed.observations)

    async def catch_up(self, certificate: CommitCertificate, holders: Sequence[int]) -> CommitCertificate:
        """Take a state that was decided without this node from those who have it; its certificate is returned."""
        state, found = await self._parts.fetcher.fetch_state(holders, certificate.seq)
        self._parts.meter.count("state.caught_up", sequence=state.header.sequence, was=self.state.header.sequence)
        await self._install(state, found)
        return found

    # === What readers wait for ===

    async def newer_than(self, sequence: int) -> State:
        """The newest state once it is after `sequence`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.state.header.sequence > sequence)
        return self.state

    async def resume(self) -> None:
        """After a start: look at every account, and sign again for what is open, by the journal the same signatures."""
        policy = self._parts.observer.policy(self.state.header.policy_hash)
        if policy is not None and self.state.header.sequence > 0:
            while self._look_ahead(self.state, policy, LOOKED_AT_AT_ONCE):  # noqa: ASYNC110 - it does the work
                await asyncio.sleep(0)  # or nothing else would go on meanwhile
            self._parts.on_state(self.state, policy)
            await self._parts.attestor.committed(self.state, policy)

    def _look_ahead(self, state: State, policy: Policy, most: int) -> int:
        """Evaluate accounts before a round has to wait for it; how many are left."""
        others = dict(state.maps())
        obligations = others.pop("obligations")
        return self._screen.look_ahead(obligations, others, state.view, MarginContext.of(policy, state), most)

    # === Installing ===

    async def _install(self, state: State, certificate: CommitCertificate, observations: Attributed = ()) -> None:
        async with self._installing:  # a state fetched from peers may come while another is being committed
            if state.header.sequence > self.state.header.sequence:
                await self._install_next(state, certificate, observations)

    async def _install_next(self, state: State, certificate: CommitCertificate, observations: Attributed) -> None:
        previous = self.state
        policy = await self._policy(state.header.policy_hash)
        await self._parts.store.save(state, certificate, observations)
        self._candidates.clear()
        async with self._changed:
            self.state = state
            self.certificate = certificate
            self._changed.notify_all()
        if state.header.policy_hash != previous.header.policy_hash:
            await self._parts.on_policy(policy)
        for chain in state.header.chains:
            follower = self._parts.followers.get(chain.cut.chain_id)
            if follower is not None:
                follower.certified(chain, state.chains[chain.cut.chain_id])
                follower.agreed(state.control)
        self._parts.observer.committed()
        await self._parts.inbox.committed(state)
        self._parts.on_state(state, policy)
        await self._parts.attestor.committed(state, policy)
        change = state.control.policy_change
        if change is not None and (coming := self._parts.observer.policy(change.policy_hash)) is not None:
            self._look_ahead(state, coming, LOOKED_AT_AHEAD)
        offset = self._parts.clock_ms() - state.header.time_ms
        if abs(offset) > CLOCK_TOLERANCE_MS:
            self._parts.meter.count("clock.off", offset_ms=offset, sequence=state.header.sequence)

    async def _policy(self, digest: Hash32) -> Policy:
        if self._parts.observer.policy(digest) is None:
            await self._fetch((InputRef(InputKind.POLICY, digest),))
        policy = self._parts.observer.policy(digest)
        if policy is None:
            raise RetryError("fetch the policy in force from a peer", policy=digest)
        return policy

    async def _fetch(self, refs: Sequence[InputRef]) -> None:
        """Get everything from peers, some at a time. Raises the first error, when all have been tried."""
        slots = asyncio.Semaphore(FETCHES_AT_ONCE)

        async def get(ref: InputRef) -> None:
            async with slots:
                await self._parts.fetcher.fetch_input(ref, lambda raw: self._take(ref, raw))

        results = await asyncio.gather(*(get(ref) for ref in refs), return_exceptions=True)
        if failed := next((result for result in results if result is not None), None):
            raise failed

    async def _take(self, ref: InputRef, raw: bytes) -> None:
        """Check an input as far as it must be authentic: whether it counts is agreed already."""
        if ref.kind is InputKind.REPORT:
            self._parts.inbox.take_report(raw)
        elif ref.kind is InputKind.REQUEST:
            self._parts.inbox.take_request(raw)
        elif ref.kind is InputKind.BOOK:
            self._parts.observer.take_book(raw, ref.digest, self.state)
        else:
            await self._parts.inbox.admit_policy(raw)
