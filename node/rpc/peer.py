"""PeerService: takes frames from the other nodes, and gives them bodies and states that they lack.

Who speaks is what the certificate says. Must not know gRPC (the guard does), nor what a frame means.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from prometheus_client import CollectorRegistry, Counter
from structlog import get_logger

from chains.errors import HypothecError, InputError
from chains.types import Hash32
from hypothec.v1 import peer_service_pb2 as pb
from hypothec.v1.state_pb2 import SignedState
from node.attestation.answer import FRAME_MAP
from node.attestation.describe import exactly
from node.model.identity import Role
from node.rpc.errors import NotFound, RoleDenied
from node.rpc.guard import Caller, Rule
from node.rpc.ports import Bodies, FrameSink, StateReader

_log = get_logger("rpc")

SERVICE = pb.DESCRIPTOR.services_by_name["PeerService"]
_ENVELOPE_BYTES = 64 << 10
"""What a message is larger than the bodies in it."""
_CHUNK_BYTES = 512 << 10
_NODES = frozenset({Role.NODE})


def rules(max_frame_bytes: int) -> dict[str, Rule]:
    """The rule of each method where the body of a frame has up to `max_frame_bytes`."""
    return {
        # Links last, and the agreement counts and bounds what its members send: no quota of records here.
        "Deliver": Rule(_NODES, max_frame_bytes + _ENVELOPE_BYTES, cost=lambda _: 0, deadline=False),
        "Fetch": Rule(_NODES),
        "FetchState": Rule(_NODES, cost=lambda _: 1_000),
    }


class PeerService:
    """See peer_service.proto. `indices` maps the names in the nodes' certificates to their index in the network."""

    def __init__(
        self,
        indices: Mapping[str, int],
        sink: FrameSink,
        bodies: Bodies,
        states: StateReader,
        registry: CollectorRegistry,
    ) -> None:
        self._indices = indices
        self._sink = sink
        self._bodies = bodies
        self._states = states
        self._refused = Counter(
            "hypothec_peer_frames_refused",
            "Frames refused, by sender and reason",
            ["peer", "reason"],
            registry=registry,
        )
        self._received = Counter("hypothec_peer_frames_received", "Frames received", ["peer"], registry=registry)

    async def deliver(self, requests: AsyncIterator[pb.DeliverRequest], caller: Caller) -> pb.DeliverResponse:
        sender = self._index(caller)
        received = self._received.labels(str(sender))
        # A stream that a break left behind lingers until the keepalive notices; the guard bounds how many there are.
        async for request in requests:
            received.inc(len(request.frames))
            for frame in request.frames:
                self._receive(sender, frame)
        return pb.DeliverResponse()

    def _receive(self, sender: int, frame: pb.Frame) -> None:
        try:
            if frame.kind not in _KINDS:
                raise InputError("send frames of a known kind", kind=frame.kind)
            self._sink.received(sender, frame.kind, frame.body)
        except HypothecError as error:
            self._refused.labels(str(sender), error.reason).inc()
            _log.warning("frame_refused", peer=sender, kind=frame.kind, reason=error.reason, error=str(error))

    async def fetch(self, request: pb.FetchRequest, caller: Caller) -> pb.FetchResponse:
        self._index(caller)
        digest = Hash32(exactly(request.digest, 32, "digest"))
        if request.kind not in _BODY_KINDS:
            raise InputError("ask for a known kind of body", field="kind", kind=request.kind)
        body = await self._bodies.body(request.kind, digest)
        if body is None:
            raise NotFound("this body is not here", digest=digest)
        return pb.FetchResponse(body=body)

    async def fetch_state(self, request: pb.FetchStateRequest, caller: Caller) -> AsyncIterator[pb.FetchStateResponse]:
        self._index(caller)
        latest = self._states.latest()
        if latest is None or latest.sequence < request.min_sequence:
            raise NotFound("no state as new as this is here", min_sequence=request.min_sequence)
        state = latest.state
        signed = SignedState(header=state.header.encode(), certificate=latest.certificate.encode())
        yield pb.FetchStateResponse(head=pb.StateHead(state=signed, control=state.control.encode()))
        for name, leaves in (*state.maps(), (FRAME_MAP, state.frame.map)):
            part, size = pb.StateLeaves(map=name), 0
            for key, value in leaves:
                part.leaves.add(key=key, value=value)
                size += len(key) + len(value)
                if size > _CHUNK_BYTES:
                    yield pb.FetchStateResponse(leaves=part)
                    part, size = pb.StateLeaves(map=name), 0
            if part.leaves:
                yield pb.FetchStateResponse(leaves=part)

    def _index(self, caller: Caller) -> int:
        index = self._indices.get(caller.name)
        if index is None:
            raise RoleDenied("call as a node of the present configuration", caller=str(caller))
        return index


_KINDS = frozenset(pb.FrameKind.values()) - {pb.FRAME_KIND_UNSPECIFIED}
_BODY_KINDS = frozenset(pb.BodyKind.values()) - {pb.BODY_KIND_UNSPECIFIED}
