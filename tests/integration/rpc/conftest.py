"""A served fake node with a certified state, and what it takes to call it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from hypothec.client import OwnerClient, VenueClient
from node.model.identity import Role
from node.rpc.quota import QuotaLimits
from node.rpc.server import Audience, RpcServer, ServerLimits
from tests.unit.rpc.world import NETWORK, TIME_MS, FakeNode, authority, certified, material, serve

SERVER_NAME = "node-0.node.hypothec"


@dataclass
class Served:
    """A running server over a fake node."""

    node: FakeNode
    server: RpcServer
    registry: CollectorRegistry

    def target(self, audience: Audience) -> str:
        return f"127.0.0.1:{self.server.ports[audience]}"

    def channel(self, audience: Audience, role: Role | None, name: str = "venue-a") -> aio.Channel:
        """A channel with a certificate of that role, with none (None), or plain to the operators' listener."""
        if audience is Audience.OPERATORS:
            return aio.insecure_channel(self.target(audience))
        root = authority().certificate
        credentials = grpc.ssl_channel_credentials(root)
        if role is not None:
            tls = material(role, name)
            credentials = grpc.ssl_channel_credentials(root, tls.key, tls.certificate)
        return aio.secure_channel(self.target(audience), credentials)

    def venue(self, max_age_ms: int | None = 10_000, name: str = "venue-a") -> VenueClient:
        return VenueClient(
            self.target(Audience.VENUES),
            NETWORK,
            material(Role.VENUE, name),
            server_name=SERVER_NAME,
            max_age_ms=max_age_ms,
            clock_ms=lambda: TIME_MS + 12_000,
        )

    def owner(self) -> OwnerClient:
        return OwnerClient(
            self.target(Audience.OWNERS),
            NETWORK,
            authority().certificate,
            server_name=SERVER_NAME,
            clock_ms=lambda: TIME_MS + 12_000,
        )

    def counted(self, method: str, reason: str) -> float:
        value = self.registry.get_sample_value("hypothec_rpc_calls_total", {"method": method, "reason": reason})
        return value or 0


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    node, registry = FakeNode(), CollectorRegistry()
    node.install(certified(10))
    limits = ServerLimits(quota=QuotaLimits(records_per_s=0.01, burst=2_500, open_calls=8))
    async with serve(node, registry=registry, limits=limits, now_ms=lambda: TIME_MS + 12_000) as server:
        yield Served(node, server, registry)


def reason_of(error: aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # it has all of a Call that is read
    assert status is not None, error
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.domain == "hypothec"
    return str(info.reason)
