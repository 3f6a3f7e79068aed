"""The listeners of a node, one an audience, and what each serves.

    peers      mutual TLS, nodes                 PeerService
    venues     mutual TLS, venues                VenueService, OwnerService
    owners     TLS, no certificate asked for     OwnerService: requests are signed, what is served is proven
    operators  loopback, plain                   OperatorService, VenueService and OwnerService (to ask, not to report)

gRPC asks for client certificates by port, not by service: hence one port for those who need one and one for those who
do not. Every listener has grpc.health.v1 and reflection. Must not know what the services do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from chains.errors import ConfigError
from node.model.identity import Role, TlsMaterial
from node.rpc import operator, owner, peer, venue
from node.rpc.answers import MAX_ANSWER_BYTES
from node.rpc.guard import Guard, RpcMetrics, Rule
from node.rpc.ports import StateReader
from node.rpc.quota import QuotaLimits, Quotas

_STOP_S = 0.5
"""For calls that are being answered; streams would never end by themselves."""
_HEALTH_EVERY_S = 1.0


class Audience(StrEnum):
    """Who a listener is for."""

    PEERS = "peers"
    VENUES = "venues"
    OWNERS = "owners"
    OPERATORS = "operators"


@dataclass(frozen=True, slots=True)
class Services:
    """The four services of one node."""

    venue: venue.VenueService
    owner: owner.OwnerService
    peer: peer.PeerService
    operator: operator.OperatorService


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of every listener. A state older than `stale_after_ms` makes venues' and owners' services NOT_SERVING.

    `max_frame_bytes` is of the largest body that a peer may deliver.
    """

    quota: QuotaLimits = field(default_factory=QuotaLimits)
    calls_at_once: int = 1_024
    streams_a_connection: int = 256
    stale_after_ms: int = 10_000
    max_frame_bytes: int = 8 << 20


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class RpcServer:
    """Serves for as long as `async with` lasts. `ports` has the bound port of each listener (an address may say 0).

    Raises ConfigError for an address that cannot be bound and for operators anywhere but on loopback.
    """

    def __init__(
        self,
        addresses: Mapping[Audience, str],
        services: Services,
        tls: TlsMaterial,
        states: StateReader,
        registry: CollectorRegistry,
        limits: ServerLimits | None = None,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._addresses = addresses
        self._services = services
        self._tls = tls
        self._states = states
        self._limits = limits or ServerLimits()
        self._now_ms = now_ms
        self._metrics = RpcMetrics(registry)
        self._quotas = Quotas(self._limits.quota)
        self._health = health.aio.HealthServicer()
        self._servers: list[aio.Server] = []
        self._watch: asyncio.Task[None] | None = None
        self.ports: dict[Audience, int] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._report_health()
            for audience, address in self._addresses.items():
                self._servers.append(await self._listen(audience, address))
        except BaseException:
            await self._stop()
            raise
        self._watch = asyncio.create_task(self._watch_health(), name="rpc-health")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(_STOP_S) for server in self._servers))

    async def _listen(self, audience: Audience, address: str) -> aio.Server:
        server = aio.server(options=self._options(audience), maximum_concurrent_rpcs=self._limits.calls_at_once)
        guard = Guard(self._metrics, self._quotas, _ANONYMOUS.get(audience))
        names = []
        for descriptor, service, rules in self._offered(audience):
            server.add_generic_rpc_handlers((guard.bind(descriptor, service, rules),))
            names.append(descriptor.full_name)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        try:
            self.ports[audience] = self._bind(server, audience, address)
        except RuntimeError as error:
            raise ConfigError("free the address or choose another", listener=audience, address=address) from error
        await server.start()
        return server

    def _offered(self, audience: Audience) -> list[tuple[ServiceDescriptor, object, Mapping[str, Rule]]]:
        venues = (venue.SERVICE, self._services.venue, venue.RULES)
        owners = (owner.SERVICE, self._services.owner, owner.RULES)
        match audience:
            case Audience.PEERS:
                return [(peer.SERVICE, self._services.peer, peer.rules(self._limits.max_frame_bytes))]
            case Audience.VENUES:
                return [venues, owners]
            case Audience.OWNERS:
                return [owners]
            case Audience.OPERATORS:
                return [(operator.SERVICE, self._services.operator, operator.RULES), venues, owners]

    def _bind(self, server: aio.Server, audience: Audience, address: str) -> int:
        if audience is Audience.OPERATORS:
            _check_loopback(address)
            return server.add_insecure_port(address)
        pair = [(self._tls.key, self._tls.certificate)]
        if audience is Audience.OWNERS:
            return server.add_secure_port(address, grpc.ssl_server_credentials(pair))
        mutual = grpc.ssl_server_credentials(pair, self._tls.authority, require_client_auth=True)
        return server.add_secure_port(address, mutual)

    def _options(self, audience: Audience) -> list[tuple[str, Any]]:
        # Beyond this gRPC itself refuses; below, each method's own bound holds, with a reason.
        largest = 2 * MAX_ANSWER_BYTES if audience is not Audience.PEERS else self._limits.max_frame_bytes + (1 << 20)
        options: list[tuple[str, Any]] = [
            # Two processes on one port would share the connections between them, silently.
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", self._limits.streams_a_connection),
            ("grpc.max_receive_message_length", largest),
            ("grpc.max_send_message_length", largest),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        if audience is Audience.PEERS:
            return [*options, ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000)]
        return [
            *options,
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
            ("grpc.max_connection_age_ms", 30 * 60_000),
            ("grpc.max_connection_age_grace_ms", 60_000),
        ]

    async def _watch_health(self) -> None:
        while True:
            await asyncio.sleep(_HEALTH_EVERY_S)
            await self._report_health()

    async def _report_health(self) -> None:
        latest = self._states.latest()
        fresh = latest is not None and (self._now_ms() - latest.state.header.time_ms <= self._limits.stale_after_ms)
        status = health_pb2.HealthCheckResponse.SERVING if fresh else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", venue.SERVICE.full_name, owner.SERVICE.full_name):
            await self._health.set(name, status)
        # A node that is behind still talks to its peers and to its operator.
        for name in (peer.SERVICE.full_name, operator.SERVICE.full_name):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)


_ANONYMOUS = {Audience.OWNERS: Role.OWNER, Audience.OPERATORS: Role.OPERATOR}


def _check_loopback(address: str) -> None:
    host = address.rpartition(":")[0].strip("[]")
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError("serve operators on the loopback interface only", address=address)
