"""What the services ask of the node, answered from its parts: the newest state, releases with their signatures, bodies.

Each class implements one of the ports that `rpc` declares. Must not know gRPC.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chains.errors import HypothecError, QuorumError
from chains.types import AccountId, ChainId, Hash32
from hypothec.v1 import peer_service_pb2 as pb
from node.application import MarginApplication
from node.attestation.attestor import Attestor
from node.attestation.release import AttestedRelease
from node.attestation.statements import STATE_PURPOSE, Statement, statements
from node.consensus.runtime import ConsensusRuntime
from node.ingest.inbox import Inbox
from node.ingest.ports import Meter
from node.margin.policy import Policy
from node.model.digests import ReleaseKind
from node.model.header import Header
from node.model.network import Network
from node.model.reports import Report
from node.model.requests import Request, encode_request
from node.model.state import State
from node.relay.calls import Job
from node.rpc.ports import CertifiedState
from node.store.ports import BoundStatement, CertifiedHeader

MAX_GOSSIP = 1024
"""Submissions of one peer that wait to be checked; the next one is dropped, and told again if nobody else has it."""
MAX_GOSSIP_BYTES = 16 << 20
"""And their size."""
OFFER_EVERY = 5
"""States between two offers of the open releases to the relayers: one may have been refused, or could not be paid."""


class StateView:
    """The newest committed state (rpc's StateReader)."""

    def __init__(self, application: MarginApplication) -> None:
        self._application = application

    def latest(self) -> CertifiedState | None:
        state, certificate = self._application.state, self._application.certificate
        return CertifiedState(state, certificate) if certificate is not None else None

    async def newer_than(self, sequence: int) -> CertifiedState:
        await self._application.newer_than(sequence)
        latest = self.latest()
        while latest is None or latest.sequence <= sequence:
            await self._application.newer_than(sequence)
            latest = self.latest()
        return latest


class KeptStatements(Protocol):
    """The store's statements that reached a quorum."""

    async def save(self, statement: Statement, packed: bytes) -> None: ...

    async def get(self, digest: Hash32) -> BoundStatement | None: ...


class KeptHeaders(Protocol):
    """The store's headers."""

    async def header(self, sequence: int) -> CertifiedHeader | None: ...


class ReleaseBoard:
    """Open releases and their signatures; what becomes binding is written down, shown, and handed to the relayer.

    A state is handed on when the policy-independent publishing interval passed with it, so that every node picks the
    same states.
    """

    def __init__(
        self,
        network: Network,
        statements_store: KeptStatements,
        headers: KeptHeaders,
        publish_interval_s: int,
        relay: Callable[[Job], None],
    ) -> None:
        self._network = network
        self._kept = statements_store
        self._headers = headers
        self._interval_ms = publish_interval_s * 1000
        self._relay = relay
        self._current: tuple[State, Policy] | None = None
        self._packed: dict[Hash32, bytes] = {}
        self._issuers: dict[int, CertifiedHeader] = {}
        self._published: dict[int, Header] = {}
        self._last_ms = 0
        self._bound: asyncio.Queue[tuple[Statement, bytes]] = asyncio.Queue()

    def on_state(self, state: State, policy: Policy) -> None:
        """A state is about to be signed."""
        self._current = state, policy
        header = state.header
        if header.time_ms // self._interval_ms > self._last_ms // self._interval_ms:
            self._published = {header.sequence: header}
        self._last_ms = header.time_ms
        releases = self._open(None)
        still_open = {item.digest for item in releases}
        self._packed = {digest: packed for digest, packed in self._packed.items() if digest in still_open}
        issuers = {item.sequence for item in releases}
        self._issuers = {sequence: issuer for sequence, issuer in self._issuers.items() if sequence in issuers}
        if header.sequence % OFFER_EVERY == 0:
            for item in releases:
                if item.digest in self._packed and not _has_expired(item, header):
                    self._hand_on(item, self._packed[item.digest])

    def on_bound(self, statement: Statement, packed: bytes) -> None:
        """A statement reached its quorum."""
        if statement.purpose != STATE_PURPOSE or statement.sequence in self._published:
            self._bound.put_nowait((statement, packed))

    async def run(self) -> None:
        """Write down what became binding, then show it and hand it on."""
        for item in self._open(None):
            kept = await self._kept.get(item.digest)
            if kept is not None:
                await self._show(kept.statement, kept.packed)
        while True:
            statement, packed = await self._bound.get()
            await self._kept.save(statement, packed)
            await self._show(statement, packed)

    def open_releases(self, account: AccountId, kind: ReleaseKind) -> tuple[AttestedRelease, ...]:
        """Those of one account with their signatures. Raises QuorumError while one lacks them."""
        return tuple(
            self._attested(item)
            for item in self._open(account)
            if item.release is not None and item.release.kind is kind
        )

    def _open(self, account: AccountId | None) -> list[Statement]:
        if self._current is None:
            return []
        state, policy = self._current
        found = (item for item in statements(state, self._network, policy) if item.release is not None)
        return [item for item in found if account is None or item.account == account]

    def _attested(self, item: Statement) -> AttestedRelease:
        packed = self._packed.get(item.digest)
        if packed is None or item.release is None:
            raise QuorumError("wait until enough nodes have signed the release", account=item.account)
        issuer = self._issuers.get(item.sequence)
        if issuer is None:
            return AttestedRelease(item.release, packed)
        return AttestedRelease(item.release, packed, issuer.header.encode(), issuer.certificate.encode())

    async def _show(self, statement: Statement, packed: bytes) -> None:
        if statement.release is not None:
            issuer = await self._headers.header(statement.sequence)
            if issuer is not None:
                self._issuers[statement.sequence] = issuer
            self._packed[statement.digest] = packed
        self._hand_on(statement, packed)

    def _hand_on(self, statement: Statement, packed: bytes) -> None:
        if (release := statement.release) is not None:
            self._relay(Job(statement, packed, release.header_hash, 0))
        elif (header := self._published.get(statement.sequence)) is not None:
            self._relay(Job(statement, packed, header.hash(), header.time_ms))


def _has_expired(item: Statement, header: Header) -> bool:
    """Whether no block of now takes the release any more, though no certified cut may show it yet."""
    return item.release is not None and header.time_ms > item.release.expiry * 1000


class KeptBodies(Protocol):
    """The store's bodies."""

    async def report(self, digest: Hash32) -> Report | None: ...

    async def request(self, digest: Hash32) -> Request | None: ...

    async def policy(self, digest: Hash32) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class PeerBodies:
    """Bodies for peers that lack them (rpc's Bodies)."""

    kept: KeptBodies
    book: Callable[[Hash32], bytes | None]
    """What leads to the book with a root."""

    async def body(self, kind: pb.BodyKind.ValueType, digest: Hash32) -> bytes | None:
        if kind == pb.BODY_KIND_REPORT:
            report = await self.kept.report(digest)
            return report.encode() if report is not None else None
        if kind == pb.BODY_KIND_REQUEST:
            request = await self.kept.request(digest)
            return encode_request(request) if request is not None else None
        if kind == pb.BODY_KIND_BOOK:
            return self.book(digest)
        return await self.kept.policy(digest)


class PeerFrames:
    """Frames from peers, each to the part that it is for (rpc's FrameSink). `run` checks what is gossiped."""

    def __init__(self, runtime: ConsensusRuntime, attestor: Attestor, inbox: Inbox, meter: Meter) -> None:
        self._runtime = runtime
        self._attestor = attestor
        self._inbox = inbox
        self._meter = meter
        self._gossip: dict[int, deque[tuple[pb.FrameKind.ValueType, bytes]]] = {}
        self._something = asyncio.Event()

    def received(self, sender: int, kind: pb.FrameKind.ValueType, body: bytes) -> None:
        """Never waits. A HypothecError is the peer's fault."""
        if kind == pb.FRAME_KIND_CONSENSUS:
            self._runtime.receive(sender, body)
        elif kind == pb.FRAME_KIND_CHAIN_SIGNATURES:
            self._attestor.received(sender, body)
        else:
            waiting = self._gossip.setdefault(sender, deque())
            size = len(body) + sum(len(other) for _, other in waiting)
            if len(waiting) >= MAX_GOSSIP or size > MAX_GOSSIP_BYTES:
                self._meter.count("gossip.dropped", peer=sender)
            else:
                waiting.append((kind, body))
                self._something.set()

    async def run(self) -> None:
        """Check submissions for ever, one of each peer in turn, so that nobody crowds out the others."""
        while True:
            await self._something.wait()
            self._something.clear()
            while any(self._gossip.values()):
                for sender, waiting in list(self._gossip.items()):
                    if waiting:
                        await self._check(sender, *waiting.popleft())

    async def _check(self, sender: int, kind: pb.FrameKind.ValueType, body: bytes) -> None:
        try:
            if kind == pb.FRAME_KIND_GOSSIP_REPORT:
                await self._inbox.submit_report(body)
            else:
                await self._inbox.submit_request(body)
        except HypothecError as error:
            self._meter.fault("gossip.refused", error, peer=sender)


def jobs_by_chain(relays: dict[ChainId, Callable[[Job], None]], meter: Meter) -> Callable[[Job], None]:
    """Hand each job to its chain's relayer; without one, another node pays."""

    def hand_on(job: Job) -> None:
        submit = relays.get(job.chain_id)
        if submit is None:
            return
        try:
            submit(job)
        except HypothecError as error:
            meter.fault("relay.refused", error, chain=job.chain_id)

    return hand_on
