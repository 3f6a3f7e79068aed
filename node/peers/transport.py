"""This node's side of the links to all other nodes: frames out, bodies and states fetched.

What comes in is the peer service's business (rpc); both ends know each other by certificate. Must not know what a
frame means, nor trust a fetched body beyond its digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from grpc import aio
from prometheus_client import CollectorRegistry

from chains.errors import ConfigError, InputError, LimitError
from chains.types import Hash32
from hypothec.v1 import peer_service_pb2 as pb
from node.model.certificate import CommitCertificate
from node.model.identity import TlsMaterial
from node.model.network import Network
from node.model.state import State
from node.peers.fetch import fetch_body, fetch_state
from node.peers.lanes import LaneLimits
from node.peers.link import Link, LinkStatus, PeerAddress, PeerMetrics, open_channel


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """Bounds and waits of the links; seconds."""

    lanes: LaneLimits = field(default_factory=LaneLimits)
    fetch_timeout_s: float = 5.0
    state_timeout_s: float = 120.0
    max_state_bytes: int = 4 << 30

    @classmethod
    def carrying(cls, largest: int) -> Self:
        """Limits under which a body of `largest` bytes still travels, and a few of them wait."""
        lanes = LaneLimits()
        frame = max(lanes.max_frame_bytes, largest)
        return cls(lanes=replace(lanes, max_frame_bytes=frame, max_bytes=max(lanes.max_bytes, 4 * frame)))

    @property
    def max_message_bytes(self) -> int:
        """One batch, or one frame of the largest size, with its envelope."""
        return self.lanes.max_frame_bytes + (64 << 10)


class Peers:
    """Links to every other node, for as long as `async with` lasts. Nothing is acknowledged; any of it may be lost.

    Raises ConfigError for two peers with one index.
    """

    def __init__(
        self,
        network: Network,
        peers: Sequence[PeerAddress],
        tls: TlsMaterial,
        registry: CollectorRegistry,
        limits: PeerLimits | None = None,
    ) -> None:
        if len({peer.index for peer in peers}) != len(peers):
            raise ConfigError("give every peer an index of its own", peers=[peer.index for peer in peers])
        self._network = network
        self._peers = {peer.index: peer for peer in peers}
        self._tls = tls
        self._limits = limits or PeerLimits()
        self._metrics = PeerMetrics(registry)
        self._channels: dict[int, aio.Channel] = {}
        self._links: dict[int, Link] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for index, peer in self._peers.items():
            channel = open_channel(peer, self._tls, self._limits.max_message_bytes)
            self._channels[index] = channel
            self._links[index] = Link(peer, channel, self._limits.lanes, self._metrics)
        self._tasks = [asyncio.create_task(link.run(), name=f"peer-{index}") for index, link in self._links.items()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()

    def send(self, to: int, kind: pb.FrameKind.ValueType, body: bytes) -> None:
        """Queue one frame for one peer; never waits. Raises InputError for no peer, LimitError for too large a body."""
        self._link(to).push(self._frame(kind, body))

    def broadcast(self, kind: pb.FrameKind.ValueType, body: bytes) -> None:
        """Queue one frame for every peer; never waits. Raises LimitError for too large a body."""
        frame = self._frame(kind, body)
        for link in self._links.values():
            link.push(frame)

    def channel(self, kind: pb.FrameKind.ValueType) -> FrameChannel:
        """Sending frames of one kind."""
        return FrameChannel(self, kind)

    async def fetch_body(self, peer: int, kind: pb.BodyKind.ValueType, digest: Hash32) -> bytes:
        """The canonical bytes that `digest` names, checked against it and nothing else.

        Raises NotHeld when the peer does not have it, RetryError when it cannot be reached, PeerError for other bytes.
        """
        self._link(peer)
        return await fetch_body(
            self._channels[peer], kind, digest, self._network.network_id, self._limits.fetch_timeout_s
        )

    async def fetch_state(self, peer: int, min_sequence: int) -> tuple[State, CommitCertificate]:
        """The peer's newest state, at or after `min_sequence`, verified whole.

        Raises NotHeld, RetryError, LimitError, or PeerError and ProofError for a state that is not what its
        certificate names.
        """
        self._link(peer)
        return await fetch_state(
            self._channels[peer],
            self._network,
            min_sequence,
            self._limits.state_timeout_s,
            self._limits.max_state_bytes,
        )

    def status(self) -> tuple[LinkStatus, ...]:
        """How each link is doing, by index."""
        return tuple(self._links[index].status() for index in sorted(self._links))

    def _link(self, peer: int) -> Link:
        link = self._links.get(peer)
        if link is None:
            raise InputError("send to another node of the network", peer=peer)
        return link

    def _frame(self, kind: pb.FrameKind.ValueType, body: bytes) -> pb.Frame:
        if len(body) > self._limits.lanes.max_frame_bytes:
            raise LimitError(
                "keep a frame within its bound", length=len(body), bound=self._limits.lanes.max_frame_bytes
            )
        return pb.Frame(kind=kind, body=body)


@dataclass(frozen=True, slots=True)
class FrameChannel:
    """The links as seen by one user of them: agreement, chain signatures, gossip."""

    peers: Peers
    kind: pb.FrameKind.ValueType

    def send(self, to: int, raw: bytes) -> None:
        """See Peers.send."""
        self.peers.send(to, self.kind, raw)

    def broadcast(self, raw: bytes) -> None:
        """See Peers.broadcast."""
        self.peers.broadcast(self.kind, raw)
