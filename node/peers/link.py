"""One outbound stream to one peer: connects, sends what waits, and connects again.

Owns the connection and its pace of reconnecting. Must not know what the frames mean.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import grpc
from grpc import aio
from prometheus_client import CollectorRegistry, Counter, Gauge
from structlog import get_logger

from hypothec.v1 import peer_service_pb2 as pb
from hypothec.v1.peer_service_pb2_grpc import PeerServiceStub
from node.model.identity import Identity, TlsMaterial
from node.peers.lanes import LaneLimits, Lanes

_log = get_logger("peers")

_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between attempts; the last one repeats. Few nodes and fixed partners: no jitter is needed."""
_SETTLED_S = 5.0
"""A stream that lived this long starts the waits over."""


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Another node: its index in the network, its identity, and `host:port` of its peer listener."""

    index: int
    identity: Identity
    target: str


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How a link is doing; `reason` says why it is not connected and is empty when it is."""

    peer: PeerAddress
    connected: bool
    queued: int
    dropped: int
    reason: str


class PeerMetrics:
    """Counters of all links of one node."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.dropped = Counter("hypothec_peer_frames_dropped", "Frames dropped unsent", ["peer"], registry=registry)
        self.sent = Counter("hypothec_peer_frames_sent", "Frames handed to the connection", ["peer"], registry=registry)
        self.connected = Gauge("hypothec_peer_connected", "1 while a stream is open", ["peer"], registry=registry)


def open_channel(peer: PeerAddress, tls: TlsMaterial, max_message_bytes: int) -> aio.Channel:
    """A channel to a peer that accepts only the certificate of that very node."""
    return aio.secure_channel(
        peer.target,
        grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate),
        options=[
            # SECURITY: any certificate of the authority would do without it, a venue's or another node's included.
            ("grpc.ssl_target_name_override", peer.identity.server_name),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
        ],
    )


class Link:
    """Sends frames to one peer, in the background, for as long as `run` does."""

    def __init__(self, peer: PeerAddress, channel: aio.Channel, limits: LaneLimits, metrics: PeerMetrics) -> None:
        self._peer = peer
        self._stub = PeerServiceStub(channel)
        self._lanes = Lanes(limits)
        self._wake = asyncio.Event()
        self._dropped = 0
        self._reason = "not connected yet"
        self._count_dropped = metrics.dropped.labels(str(peer.index))
        self._count_sent = metrics.sent.labels(str(peer.index))
        self._gauge = metrics.connected.labels(str(peer.index))

    def push(self, frame: pb.Frame) -> None:
        """Queue a frame; never waits."""
        if dropped := self._lanes.push(frame):
            self._dropped += dropped
            self._count_dropped.inc(dropped)
        self._wake.set()

    def status(self) -> LinkStatus:
        return LinkStatus(self._peer, not self._reason, len(self._lanes), self._dropped, self._reason)

    async def run(self) -> None:
        """Keep a stream open until cancelled."""
        failures = 0
        while True:
            started = time.monotonic()
            reason = await self._stream()
            if time.monotonic() - started > _SETTLED_S:
                failures = 0
            self._set_reason(reason)
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            failures += 1

    async def _stream(self) -> str:
        """Send on one stream until it ends; returns why it did."""
        call = self._stub.Deliver()
        # A stream that ends while nothing is to be sent must be noticed as well.
        call.add_done_callback(lambda _: self._wake.set())
        try:
            await call.initial_metadata()  # sent by the peer at once when it has accepted who we are
            if not call.done():
                self._set_reason("")
            while not call.done():
                self._wake.clear()
                while (batch := self._lanes.take()) and not call.done():
                    await call.write(pb.DeliverRequest(frames=batch))
                    self._count_sent.inc(len(batch))
                if not call.done():
                    await self._wake.wait()
        except (aio.AioRpcError, asyncio.InvalidStateError) as error:
            # The second is what a write on a stream that has just ended raises; the call then has the reason.
            if isinstance(error, aio.AioRpcError):
                return _why(error.code(), error.details())
        finally:
            call.cancel()
        return _why(await call.code(), await call.details())

    def _set_reason(self, reason: str) -> None:
        if reason == self._reason:
            return
        self._reason = reason
        self._gauge.set(0 if reason else 1)
        _log.info("peer_disconnected" if reason else "peer_connected", peer=self._peer.index, reason=reason or None)


def _why(code: grpc.StatusCode, details: str | None) -> str:
    return f"{code.name}: {details or 'the stream ended'}"
