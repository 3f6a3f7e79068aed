"""Nodes over real, mutually authenticated connections: what arrives, who is let in, what is lost and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import grpc
import pytest
from cryptography import x509
from grpc import aio
from prometheus_client import CollectorRegistry

from chains.errors import ConfigError, InputError, LimitError, RetryError
from chains.types import Hash32
from hypothec.v1 import peer_service_pb2 as pb
from hypothec.v1.peer_service_pb2_grpc import PeerServiceStub
from node.model.codec import Malformed
from node.model.identity import Identity, Role, TlsMaterial
from node.peers.errors import BodyMismatch, NotHeld
from node.peers.identity import create_authority, issue
from node.peers.lanes import LaneLimits
from node.peers.link import PeerAddress
from node.peers.transport import PeerLimits, Peers
from node.rpc.server import Audience
from tests.unit.rpc.world import (
    ACCOUNT,
    NETWORK,
    POLICY,
    FakeNode,
    authority,
    certified,
    material,
    serve,
    signed_report,
)

VOTE, REPORT = pb.FRAME_KIND_CONSENSUS, pb.FRAME_KIND_GOSSIP_REPORT


def tls(index: int) -> TlsMaterial:
    return material(Role.NODE, f"node-{index}")


def peer(index: int, port: int) -> PeerAddress:
    return PeerAddress(index, Identity(Role.NODE, f"node-{index}"), f"127.0.0.1:{port}")


async def until(happened: Callable[[], bool], what: str) -> None:
    for _ in range(500):
        if happened():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"never happened: {what}")


class Net:
    """Servers of fake nodes and links between them, closed together."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def node(self, index: int, port: int = 0) -> tuple[FakeNode, int, CollectorRegistry]:
        node, registry = FakeNode(), CollectorRegistry()
        server = serve(node, index=index, addresses={Audience.PEERS: f"127.0.0.1:{port}"}, registry=registry)
        await self.stack.enter_async_context(server)
        return node, server.ports[Audience.PEERS], registry

    async def links(
        self,
        peers: Sequence[PeerAddress],
        *,
        me: TlsMaterial | None = None,
        limits: PeerLimits | None = None,
        registry: CollectorRegistry | None = None,
    ) -> Peers:
        links = Peers(NETWORK, peers, me or tls(0), registry or CollectorRegistry(), limits)
        return await self.stack.enter_async_context(links)


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    async with AsyncExitStack() as stack:
        yield Net(stack)


async def test_frames_arrive_in_order_from_whom_the_certificate_names(net: Net) -> None:
    one, port, registry = await net.node(1)
    two, other_port, _ = await net.node(2)
    links = await net.links([peer(1, port), peer(2, other_port)])
    votes, reports = links.channel(VOTE), links.channel(REPORT)
    for number in range(50):
        votes.broadcast(bytes([number]))
    reports.send(1, b"report")
    await until(lambda: len(one.frames) == 51 and len(two.frames) == 50, "all frames")
    assert [frame for frame in one.frames if frame[1] == VOTE] == [(0, VOTE, bytes([n])) for n in range(50)]
    assert (0, REPORT, b"report") in one.frames
    assert [status.connected for status in links.status()] == [True, True]
    assert registry.get_sample_value("hypothec_peer_frames_received_total", {"peer": "0"}) == 51


async def test_a_link_comes_back_after_its_peer_was_killed(net: Net) -> None:
    async with AsyncExitStack() as first_life:
        one, port, _ = await Net(first_life).node(1)
        links = await net.links([peer(1, port)])
        links.send(1, VOTE, b"before")
        await until(lambda: len(one.frames) == 1, "the first frame")
    await until(lambda: not links.status()[0].connected, "the break was noticed, with nothing to send")
    assert links.status()[0].reason
    links.send(1, VOTE, b"while away")
    reborn, _, _ = await net.node(1, port)
    await until(lambda: links.status()[0].connected, "the new connection")
    links.send(1, VOTE, b"after")
    await until(lambda: len(reborn.frames) == 2, "the frame that waited and the new one")
    assert [body for _, _, body in reborn.frames] == [b"while away", b"after"]


async def test_frames_beyond_the_bound_are_dropped_oldest_first_and_counted(net: Net) -> None:
    registry = CollectorRegistry()
    links = await net.links(
        [peer(1, 1)], limits=PeerLimits(lanes=LaneLimits(max_frames=10, max_frame_bytes=100)), registry=registry
    )
    for number in range(25):
        links.send(1, VOTE, bytes([number]))
    status = links.status()[0]
    assert (status.connected, status.queued, status.dropped) == (False, 10, 15)
    assert registry.get_sample_value("hypothec_peer_frames_dropped_total", {"peer": "1"}) == 15
    with pytest.raises(LimitError):
        links.broadcast(VOTE, bytes(101))
    with pytest.raises(InputError):
        links.send(7, VOTE, b"")


# === Who is let in ===


async def test_a_certificate_of_another_authority_is_refused(net: Net) -> None:
    one, port, _ = await net.node(1)
    foreign = create_authority("elsewhere", datetime.now(UTC))
    forged = issue(foreign, Identity(Role.NODE, "node-0"), [], datetime.now(UTC))
    trusting = TlsMaterial(authority().certificate, forged.certificate, forged.key)
    links = await net.links([peer(1, port)], me=trusting)
    links.send(1, VOTE, b"x")
    await until(lambda: links.status()[0].reason.startswith("UNAVAILABLE"), "the refusal")
    assert one.frames == []


@pytest.mark.parametrize(("role", "name"), [(Role.VENUE, "node-0"), (Role.OPERATOR, "node-0"), (Role.NODE, "node-9")])
async def test_only_nodes_of_the_configuration_speak(net: Net, role: Role, name: str) -> None:
    one, port, registry = await net.node(1)
    links = await net.links([peer(1, port)], me=material(role, name))
    links.send(1, VOTE, b"x")
    await until(lambda: links.status()[0].reason.startswith("PERMISSION_DENIED"), "the refusal")
    assert one.frames == []
    assert registry.get_sample_value("hypothec_rpc_calls_total", {"method": "Deliver", "reason": "ROLE_DENIED"})


async def test_a_node_cannot_speak_as_another(net: Net) -> None:
    one, port, _ = await net.node(1)
    links = await net.links([peer(1, port)], me=tls(3))
    links.send(1, VOTE, b"I am node 0, believe me")
    await until(lambda: len(one.frames) == 1, "the frame")
    assert one.frames[0][0] == 3


async def test_a_certificate_with_two_identities_is_refused(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Identity(Role.NODE, "node-0")
    extra = Identity(Role.NODE, "node-2").uri
    with monkeypatch.context() as patched:
        patched.setattr("node.peers.identity._host", x509.UniformResourceIdentifier)
        doubled = issue(authority(), both, [extra], datetime.now(UTC))
    one, port, _ = await net.node(1)
    links = await net.links([peer(1, port)], me=doubled)
    links.send(1, VOTE, b"x")
    await until(lambda: links.status()[0].reason.startswith("UNAUTHENTICATED"), "the refusal")
    assert one.frames == []


async def test_a_server_that_is_another_node_is_not_spoken_to(net: Net) -> None:
    two, port, _ = await net.node(2)
    links = await net.links([peer(1, port)])
    links.send(1, VOTE, b"for node 1 only")
    await until(lambda: links.status()[0].reason.startswith("UNAVAILABLE"), "the refusal")
    assert two.frames == []


async def test_without_a_certificate_there_is_no_connection(net: Net) -> None:
    _, port, _ = await net.node(1)
    options = [("grpc.ssl_target_name_override", "node-1.node.hypothec")]
    credentials = grpc.ssl_channel_credentials(authority().certificate)
    async with aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await PeerServiceStub(channel).Fetch(pb.FetchRequest(), timeout=3)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_two_peers_of_one_index_are_a_mistake() -> None:
    with pytest.raises(ConfigError):
        Peers(NETWORK, [peer(1, 1), peer(1, 2)], tls(0), CollectorRegistry())


# === What is refused of what arrives ===


async def test_a_refused_frame_is_counted_against_its_sender_and_the_link_stays(net: Net) -> None:
    one, port, registry = await net.node(1)
    links = await net.links([peer(1, port)])
    links.send(1, pb.FRAME_KIND_UNSPECIFIED, b"of no kind")
    one.raises = Malformed("no message")
    links.send(1, VOTE, b"nonsense")

    def refused(reason: str) -> float | None:
        return registry.get_sample_value("hypothec_peer_frames_refused_total", {"peer": "0", "reason": reason})

    await until(lambda: refused("MALFORMED") == 1 and refused("INPUT_INVALID") == 1, "both refusals")
    one.raises = None
    links.send(1, VOTE, b"sound")
    await until(lambda: one.frames == [(0, VOTE, b"sound")], "the next frame, on the same stream")
    assert links.status()[0].connected


async def test_a_delivery_over_the_bound_is_refused(net: Net) -> None:
    one, port, registry = await net.node(1)
    links = await net.links([peer(1, port)], limits=PeerLimits.carrying(9 << 20))
    links.send(1, VOTE, bytes((8 << 20) + (100 << 10)))
    await until(lambda: links.status()[0].reason.startswith("RESOURCE_EXHAUSTED"), "the refusal")
    links.send(1, VOTE, bytes(8 << 20))
    await until(lambda: len(one.frames) == 1, "the largest frame that is allowed")
    counted = registry.get_sample_value(
        "hypothec_rpc_calls_total", {"method": "Deliver", "reason": "REQUEST_TOO_LARGE"}
    )
    assert counted == 1


# === Fetching ===


async def test_bodies_are_fetched_and_checked_by_their_digest(net: Net) -> None:
    one, port, _ = await net.node(1)
    links = await net.links([peer(1, port)])
    report = signed_report()
    digest = report.digest(NETWORK.network_id)
    one.bodies = {digest: report.encode(), POLICY.hash: POLICY.body}
    assert await links.fetch_body(1, pb.BODY_KIND_REPORT, digest) == report.encode()
    assert await links.fetch_body(1, pb.BODY_KIND_POLICY, POLICY.hash) == POLICY.body
    with pytest.raises(NotHeld):
        await links.fetch_body(1, pb.BODY_KIND_REPORT, Hash32(bytes(32)))
    one.bodies[Hash32(bytes(32))] = report.encode()
    with pytest.raises(BodyMismatch):
        await links.fetch_body(1, pb.BODY_KIND_REPORT, Hash32(bytes(32)))
    with pytest.raises(RetryError):
        await links.fetch_body(1, pb.BODY_KIND_REPORT, Hash32(b"short"))
    with pytest.raises(RetryError):
        await links.fetch_body(1, pb.BODY_KIND_UNSPECIFIED, digest)


async def test_a_state_is_fetched_in_bounded_parts_and_verified(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.peer._CHUNK_BYTES", 2_000)
    one, port, _ = await net.node(1)
    links = await net.links([peer(1, port)])
    with pytest.raises(NotHeld):
        await links.fetch_state(1, 1)
    current = certified(12, others=200)
    one.install(current)
    state, certificate = await links.fetch_state(1, 10)
    assert (state.header, certificate) == (current.state.header, current.certificate)
    assert state.view(ACCOUNT) == current.state.view(ACCOUNT)
    with pytest.raises(NotHeld):
        await links.fetch_state(1, 13)


async def test_a_state_over_the_bound_is_not_read_to_its_end(net: Net) -> None:
    one, port, _ = await net.node(1)
    links = await net.links([peer(1, port)], limits=PeerLimits(max_state_bytes=10_000))
    one.install(certified(12, others=200))
    with pytest.raises(LimitError):
        await links.fetch_state(1, 1)


async def test_a_peer_that_is_away_is_a_reason_to_ask_another(net: Net) -> None:
    links = await net.links([peer(1, 1)])
    with pytest.raises(RetryError):
        await links.fetch_body(1, pb.BODY_KIND_POLICY, POLICY.hash)
    with pytest.raises(RetryError):
        await links.fetch_state(1, 1)
