"""Every way to be refused: the reason, the status, the counter, and the node that stays up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chains.errors import ConfigError
from hypothec.v1 import operator_service_pb2, owner_service_pb2, peer_service_pb2, venue_service_pb2
from hypothec.v1.operator_service_pb2_grpc import OperatorServiceStub
from hypothec.v1.owner_service_pb2_grpc import OwnerServiceStub
from hypothec.v1.peer_service_pb2_grpc import PeerServiceStub
from hypothec.v1.venue_service_pb2_grpc import VenueServiceStub
from node.model.identity import Role
from node.model.reports import MAX_REPORT_BYTES
from node.rpc import operator, owner, peer, venue
from node.rpc.server import Audience
from tests.integration.rpc.conftest import Served, reason_of
from tests.unit.rpc.world import ACCOUNT, FakeNode, certified, other_account, serve, signed_report

pb = venue_service_pb2
HEALTH = "/hypothec.v1.VenueService/GetHealth"


async def refusal(call: aio.UnaryUnaryCall[object, object] | object) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


def test_every_method_has_a_rule() -> None:
    pairs = [(module.SERVICE, module.RULES) for module in (venue, owner, operator)]
    for service, rules in (*pairs, (peer.SERVICE, peer.rules(1))):
        assert set(rules) == {method.name for method in service.methods}


async def test_a_call_without_a_deadline_is_refused(served: Served) -> None:
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        error = await refusal(VenueServiceStub(channel).GetHealth(pb.GetHealthRequest(account=ACCOUNT)))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED")
    assert served.counted("GetHealth", "DEADLINE_REQUIRED") == 1


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\x20short", b"\x08"])
async def test_bytes_that_are_no_message_are_refused(served: Served, raw: bytes) -> None:
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        method: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(HEALTH)
        error = await refusal(method(raw, timeout=3))
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED")
        await VenueServiceStub(channel).GetHealth(pb.GetHealthRequest(account=ACCOUNT), timeout=3)
    assert (served.counted("GetHealth", "MALFORMED"), served.counted("GetHealth", "OK")) == (1, 1)


async def test_a_request_over_its_methods_bound_is_refused(served: Served) -> None:
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        error = await refusal(VenueServiceStub(channel).GetHealth(pb.GetHealthRequest(account=bytes(5_000)), timeout=3))
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")
        report = pb.ReportPositionsRequest(report=bytes(MAX_REPORT_BYTES + 100))
        error = await refusal(VenueServiceStub(channel).ReportPositions(report, timeout=3))
        assert reason_of(error) == "REQUEST_TOO_LARGE"
        beyond = pb.ReportPositionsRequest(report=bytes(17 << 20))
        error = await refusal(VenueServiceStub(channel).ReportPositions(beyond, timeout=3))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "request_of",
    [
        lambda stub: stub.GetHealth(pb.GetHealthRequest(account=b"short"), timeout=3),
        lambda stub: stub.GetHealth(pb.GetHealthRequest(), timeout=3),
        lambda stub: stub.BatchGetHealth(pb.BatchGetHealthRequest(), timeout=3),
        lambda stub: stub.BatchGetHealth(pb.BatchGetHealthRequest(accounts=[ACCOUNT, ACCOUNT]), timeout=3),
        lambda stub: stub.BatchGetHealth(
            pb.BatchGetHealthRequest(accounts=[other_account(number) for number in range(1_001)]), timeout=3
        ),
        lambda stub: stub.WatchHealth(pb.WatchHealthRequest()).read(),
        lambda stub: stub.GetLiquidationAttestation(pb.GetLiquidationAttestationRequest(account=b"x"), timeout=3),
        lambda stub: stub.GetPolicy(pb.GetPolicyRequest(policy_hash=b"x"), timeout=3),
    ],
)
async def test_a_wrong_field_is_refused(served: Served, request_of: Callable[[object], object]) -> None:
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        error = await refusal(request_of(VenueServiceStub(channel)))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "INPUT_INVALID")


async def test_bytes_that_are_no_report_or_request_are_refused(served: Served) -> None:
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        raw = signed_report().encode()
        for report in (b"", raw[:-1], raw + b"\0", b"\2" + raw[1:]):
            error = await refusal(
                VenueServiceStub(channel).ReportPositions(pb.ReportPositionsRequest(report=report), timeout=3)
            )
            assert reason_of(error) == "MALFORMED"
        submission = owner_service_pb2.SubmitLinkRequest(request=b"\x09")
        error = await refusal(OwnerServiceStub(channel).SubmitLink(submission, timeout=3))
        assert reason_of(error) == "MALFORMED"
    assert served.node.reports == served.node.requests == []


async def test_an_unknown_policy_is_not_found(served: Served) -> None:
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        error = await refusal(
            VenueServiceStub(channel).GetPolicy(pb.GetPolicyRequest(policy_hash=bytes(32)), timeout=3)
        )
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


# === Who may ===


@pytest.mark.parametrize(("role", "name"), [(Role.NODE, "node-1"), (Role.OWNER, "somebody")])
async def test_a_certificate_of_another_role_is_refused(served: Served, role: Role, name: str) -> None:
    async with served.channel(Audience.VENUES, role, name) as channel:
        error = await refusal(VenueServiceStub(channel).GetHealth(pb.GetHealthRequest(account=ACCOUNT), timeout=3))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_DENIED")
    assert served.counted("GetHealth", "ROLE_DENIED") == 1


async def test_venues_need_a_certificate_and_owners_do_not(served: Served) -> None:
    async with served.channel(Audience.VENUES, None) as channel:
        error = await refusal(VenueServiceStub(channel).GetMarginState(pb.GetMarginStateRequest(), timeout=3))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
    query = owner_service_pb2.GetAccountHealthRequest(account=ACCOUNT)
    async with served.channel(Audience.OWNERS, None) as channel:
        assert (await OwnerServiceStub(channel).GetAccountHealth(query, timeout=3)).answer.accounts
    async with served.channel(Audience.OWNERS, Role.VENUE) as channel:
        assert (await OwnerServiceStub(channel).GetAccountHealth(query, timeout=3)).answer.accounts


async def test_each_listener_serves_its_audience_only(served: Served) -> None:
    async with served.channel(Audience.OWNERS, None) as channel:
        error = await refusal(VenueServiceStub(channel).GetMarginState(pb.GetMarginStateRequest(), timeout=3))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        for call in (
            OperatorServiceStub(channel).GetStatus(operator_service_pb2.GetStatusRequest(), timeout=3),
            PeerServiceStub(channel).Fetch(peer_service_pb2.FetchRequest(), timeout=3),
        ):
            assert (await refusal(call)).code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "example.org:0"])
async def test_operators_are_served_on_loopback_only(address: str) -> None:
    with pytest.raises(ConfigError):
        async with serve(FakeNode(), addresses={Audience.OPERATORS: address}):
            pytest.fail("served")


async def test_an_address_that_is_taken_is_an_error_that_says_so(served: Served) -> None:
    taken = f"127.0.0.1:{served.server.ports[Audience.VENUES]}"
    with pytest.raises(ConfigError) as caught:
        async with serve(FakeNode(), addresses={Audience.VENUES: taken}):
            pytest.fail("served")
    assert caught.value.values == {"listener": Audience.VENUES, "address": taken}


# === How much ===


async def test_quotas_count_records_not_calls(served: Served) -> None:
    batch = pb.BatchGetHealthRequest(accounts=[other_account(number) for number in range(1_000)])
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        stub = VenueServiceStub(channel)
        for _ in range(2):
            await stub.BatchGetHealth(batch, timeout=20)
        error = await refusal(stub.BatchGetHealth(batch, timeout=20))
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        for _ in range(10):
            await stub.GetHealth(pb.GetHealthRequest(account=ACCOUNT), timeout=3)
    async with served.channel(Audience.VENUES, Role.VENUE, "venue-b") as channel:
        await VenueServiceStub(channel).BatchGetHealth(batch, timeout=20)
    assert served.counted("BatchGetHealth", "QUOTA_EXCEEDED") == 1


async def test_open_streams_are_bounded_for_each_caller(served: Served) -> None:
    request = pb.WatchHealthRequest(accounts=[ACCOUNT])
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        stub = VenueServiceStub(channel)
        streams = [stub.WatchHealth(request) for _ in range(8)]
        for stream in streams:
            await stream.read()
        error = await refusal(stub.WatchHealth(request).read())
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        streams[0].cancel()
        for _ in range(100):
            if served.counted("WatchHealth", "CANCELLED"):
                break
            await asyncio.sleep(0.02)
        await stub.GetHealth(pb.GetHealthRequest(account=ACCOUNT), timeout=3)
        for stream in streams:
            stream.cancel()


# === What goes wrong inside ===


async def test_a_bug_of_ours_is_internal_and_says_nothing(served: Served) -> None:
    served.node.raises = RuntimeError("secret")
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        error = await refusal(
            VenueServiceStub(channel).ReportPositions(
                pb.ReportPositionsRequest(report=signed_report().encode()), timeout=3
            )
        )
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in str(error)
    assert served.counted("ReportPositions", "INTERNAL") == 1


async def test_before_the_first_state_the_answer_is_to_come_back(served: Served) -> None:
    served.node.current = None
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        error = await refusal(VenueServiceStub(channel).GetHealth(pb.GetHealthRequest(account=ACCOUNT), timeout=3))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "NO_STATE")


# === Health and reflection ===


async def health(channel: aio.Channel, service: str) -> int:
    answer = await _health_stub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=3)
    return int(answer.status)


def _health_stub(channel: aio.Channel) -> Any:  # noqa: ANN401 - the published stubs do not type it
    return health_pb2_grpc.HealthStub(channel)


async def test_a_stale_state_is_not_serving(served: Served) -> None:
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        assert [await health(channel, name) for name in ("", "hypothec.v1.VenueService")] == [serving] * 2
        served.node.install(certified(1))  # 11 seconds old
        await served.server._report_health()
        assert [await health(channel, name) for name in ("", "hypothec.v1.VenueService")] == [not_serving] * 2
        assert await health(channel, "hypothec.v1.PeerService") == serving
        error = await refusal(_health_stub(channel).Check(health_pb2.HealthCheckRequest(service="x"), timeout=3))
        assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_health_is_told_without_being_asked(served: Served) -> None:
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        stream = _health_stub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await stream.read()).status == health_pb2.HealthCheckResponse.SERVING
        served.node.install(certified(1))
        assert (await stream.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        stream.cancel()


@pytest.mark.parametrize(
    ("audience", "role", "names"),
    [
        (Audience.VENUES, Role.VENUE, {"hypothec.v1.VenueService", "hypothec.v1.OwnerService"}),
        (Audience.OWNERS, None, {"hypothec.v1.OwnerService"}),
        (Audience.PEERS, Role.NODE, {"hypothec.v1.PeerService"}),
    ],
)
async def test_reflection_lists_what_is_served(
    served: Served, audience: Audience, role: Role | None, names: set[str]
) -> None:
    async with served.channel(audience, role, "node-1") as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type] # typed for sync only
        call = stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = (await call.read()).list_services_response.service
        await call.done_writing()
    assert {service.name for service in listed} == names | {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
