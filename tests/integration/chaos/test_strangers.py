"""What others hand in: two histories, repetitions, things out of order, and garbage at every door."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import replace

import pytest
from grpc import aio

from hypothec.client import AccountAnswer, LocalKey, ReportChain, authorize_venue
from hypothec.client.errors import ServiceRefused
from hypothec.v1 import owner_service_pb2, venue_service_pb2
from hypothec.v1 import peer_service_pb2 as pb
from hypothec.v1.peer_service_pb2_grpc import PeerServiceStub
from node.model.identity import Identity, Role, TlsMaterial
from node.model.requests import AuthorizeVenue
from node.peers.link import PeerAddress, open_channel
from node.testnet.chain import ETHER
from node.testnet.deployment import ETH
from node.testnet.files import VENUE
from node.testnet.nodes import NodeHandle
from node.testnet.people import USD
from node.testnet.ports import HOST
from tests.integration.chaos.harness import Chaos
from tests.integration.chaos.people import OTHER_KEY, OTHER_VENUE, PAYEE, Customer, owes

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

_JUNK = 1 << 16
_OVER_A_REPORT = 5 << 20


# === A venue ===


async def test_a_venue_with_two_histories_is_frozen_alone(chaos: Chaos) -> None:
    (customer,) = await chaos.customers(1, {chaos.one.chain_id: 1}, (VENUE, OTHER_VENUE))
    good = await chaos.other.report(owes(customer, 5))
    await chaos.health(customer, lambda answer: len(answer.health.venues) == 1, "the other venue's first report")
    one = chaos.other.make(owes(customer, 100))
    key, network_id = LocalKey(OTHER_KEY), chaos.net.network.network_id
    two = ReportChain(network_id, OTHER_VENUE, key, good.sequence, one.previous).next([owes(customer, 200)], 1)
    clients = chaos.other.anyone._clients
    for client, report in ((clients[0], one), (clients[1], two)):
        with suppress(ServiceRefused):  # the second may find the first there already
            await client.report_positions(report)

    await chaos.advances(6)
    following = chaos.other.make()
    for client in clients.values():
        with pytest.raises(ServiceRefused) as refused:
            await client.report_positions(following)
        assert refused.value.service_reason == "VENUE_FROZEN"
    await chaos.demo.report(owes(customer, 7))
    answer = await chaos.health(customer, lambda answer: _claims(answer).get(VENUE) == 7, "the honest venue's report")
    assert _claims(answer)[OTHER_VENUE] in (5, 100, 200)  # what had been adopted by then stands, and nothing after it


def _claims(answer: AccountAnswer) -> dict[str, int]:
    return {line.venue: line.claim.low // USD for line in answer.health.venues}


# === An owner ===


async def test_repeating_and_reordering_requests_changes_nothing(chaos: Chaos) -> None:
    (customer,) = await chaos.customers(1, {chaos.one.chain_id: 1})
    first, second, third = (_request(chaos, customer, nonce) for nonce in range(3, 6))
    clients = [customer._anyone._clients[node.index] for node in chaos.net.nodes]

    await clients[0].submit(second)  # too early: it waits for the first
    await clients[1].submit(third)
    await chaos.advances(4)
    before = (await chaos.demo.health(customer)).view.record
    assert before is not None
    assert before.nonce == 2
    await clients[2].submit(first)
    digests = [item.digest(chaos.net.network.network_id) for item in (first, second, third)]
    answer = await chaos.health(
        customer, lambda answer: answer.view.record is not None and answer.view.record.nonce == 5, "all three"
    )
    record = answer.view.record
    assert record is not None
    assert [item.request for item in record.decisions][-3:] == digests
    assert [item.limit for item in record.authorizations] == [third.limit]

    for client in clients:
        for request in (third, first, replace(second, limit=1)):
            with pytest.raises(ServiceRefused):
                await client.submit(request)
    await chaos.advances(4)
    assert (await chaos.demo.health(customer)).view.record == record


def _request(chaos: Chaos, customer: Customer, nonce: int) -> AuthorizeVenue:
    payees = dict.fromkeys((item.chain_id for item in chaos.net.deployments), PAYEE)
    network_id, limit = chaos.net.network.network_id, (10**6 + nonce) * USD
    return authorize_venue(network_id, customer._key, customer.account, VENUE, limit, payees, nonce)


# === Garbage ===


async def test_garbage_at_every_door_is_counted_and_changes_nothing(chaos: Chaos) -> None:
    target, impostor = chaos.net.nodes[0], chaos.net.nodes[3]
    (customer,) = await chaos.customers(1, {chaos.one.chain_id: 1})
    ports = target.ports
    junk = [_junk(port) for port in (ports.peers, ports.venues, ports.owners, ports.operator, ports.metrics)]
    await asyncio.gather(*junk)

    venue = chaos.demo.anyone._clients[target.index]._connection.channel
    owner = customer._anyone._clients[target.index]._connection.channel
    report = venue_service_pb2.ReportPositionsRequest(report=secrets.token_bytes(300)).SerializeToString()
    large = venue_service_pb2.ReportPositionsRequest(report=bytes(_OVER_A_REPORT)).SerializeToString()
    link = owner_service_pb2.SubmitLinkRequest(request=secrets.token_bytes(300)).SerializeToString()
    await _called(venue, "VenueService/ReportPositions", report)
    await _called(venue, "VenueService/ReportPositions", large)
    await _called(venue, "VenueService/ReportPositions", b"\\xff" * 100)
    await _called(venue, "VenueService/ReportPositions", report, deadline=None)
    await _called(owner, "OwnerService/SubmitLink", link)
    await _called(owner, "OwnerService/SubmitLink", large)
    await _called(owner, "VenueService/GetHealth", b"")
    calls = await chaos.metric(target, "hypothec_rpc_calls_total")
    reasons = {dict(labels)["reason"] for labels in calls if dict(labels)["method"] == "ReportPositions"}
    assert {"OK"} < reasons, reasons
    assert len(reasons) >= 4, reasons
    assert {dict(labels)["reason"] for labels in calls if dict(labels)["method"] == "SubmitLink"} > {"OK"}

    await _frames(chaos, target, impostor)
    refused = await chaos.metric(target, "hypothec_peer_frames_refused_total")
    assert any(dict(labels)["peer"] == str(impostor.index) for labels in refused), refused
    for event in ("peer.fault", "gossip.refused"):
        named = await chaos.events(target, event)
        assert any(dict(labels)["peer"] == str(impostor.index) for labels in named), (event, named)
    await chaos.advances()
    assert await chaos.booked(chaos.one, customer, chaos.one.place(ETH)) == ETHER


async def _junk(port: int) -> None:
    """Bytes that are no protocol at all, and a connection that says nothing and stays."""
    _, silent = await asyncio.open_connection(HOST, port)
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(secrets.token_bytes(_JUNK))
    with suppress(ConnectionError):
        await writer.drain()
        async with asyncio.timeout(2):
            await reader.read()
    for stream in (writer, silent):
        stream.close()


def _bytes_method(channel: aio.Channel, name: str) -> aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(name)


async def _called(channel: aio.Channel, method: str, raw: bytes, deadline: float | None = 5.0) -> None:
    """The call is refused."""
    with pytest.raises(aio.AioRpcError):
        await _bytes_method(channel, f"/hypothec.v1.{method}")(raw, timeout=deadline)


async def _frames(chaos: Chaos, target: NodeHandle, sender: NodeHandle) -> None:
    """Frames of garbage under a node's own certificate."""
    pem = [
        (sender.config.parent / "tls" / name).read_bytes() for name in ("authority.pem", "certificate.pem", "key.pem")
    ]
    peer = PeerAddress(target.index, Identity(Role.NODE, target.name), f"{HOST}:{target.ports.peers}")
    async with open_channel(peer, TlsMaterial(*pem), 64 << 20) as channel:
        call = PeerServiceStub(channel).Deliver()
        for size in (0, 1, 100, 10_000):
            frames = [pb.Frame(kind=kind, body=secrets.token_bytes(size)) for kind in pb.FrameKind.values()]
            await call.write(pb.DeliverRequest(frames=frames))
        await call.done_writing()
        await call
        huge = PeerServiceStub(channel).Deliver()
        with suppress(aio.AioRpcError, asyncio.InvalidStateError):
            await huge.write(pb.DeliverRequest(frames=[pb.Frame(kind=pb.FRAME_KIND_CONSENSUS, body=bytes(60 << 20))]))
            await huge.done_writing()
            await huge
