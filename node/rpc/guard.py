"""The one way into every method: who calls, whether it may, how much, until when, and how errors leave.

Owns identity, roles, deadlines, size bounds, quotas, the counter of outcomes and the translation of errors. Binds a
service whose methods take (request, caller) and know nothing of gRPC. Must not know what the methods do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc import aio
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry, Counter
from structlog import get_logger

from chains.errors import HypothecError
from node.model.codec import Malformed
from node.model.identity import Identity, Role
from node.rpc.errors import DeadlineRequired, IdentityUnknown, RequestTooLarge, RoleDenied, internal_status, status_of
from node.rpc.quota import QuotaLimits, Quotas

_log = get_logger("rpc")
_SMALL = 4 << 10


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a role, and a name that no two callers of that role share (the address of one without a name)."""

    role: Role
    name: str

    def __str__(self) -> str:
        return f"{self.role}/{self.name}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What the guard sees to before one method is called. `cost` is in records; 0 for what is bounded otherwise."""

    roles: frozenset[Role]
    max_bytes: int = _SMALL
    cost: Callable[[Any], int] = field(default=lambda _: 1)
    deadline: bool = True


Answer: TypeAlias = "Message | bytes"
"""A message, or the bytes of one that was encoded before."""

_Context: TypeAlias = "aio.ServicerContext[Any, Any]"


class RpcMetrics:
    """Outcomes of all calls of one node."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter("hypothec_rpc_calls", "Calls by outcome", ["method", "reason"], registry=registry)


class Guard:
    """Guards the services of one listener. `anonymous` is the role of callers without a certificate, None for none."""

    def __init__(
        self,
        metrics: RpcMetrics,
        quotas: Quotas | None = None,
        anonymous: Role | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._quotas = quotas or Quotas(QuotaLimits())
        self._anonymous = anonymous
        self._clock = clock

    def bind(self, descriptor: ServiceDescriptor, service: object, rules: Mapping[str, Rule]) -> grpc.GenericRpcHandler:
        """A handler for every method of the descriptor: `GetHealth` is answered by `service.get_health`."""
        handlers = {
            method.name: self._handler(method, getattr(service, _snake(method.name)), rules[method.name])
            for method in descriptor.methods
        }
        return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)

    def _handler(
        self, method: MethodDescriptor, serve: Callable[..., Any], rule: Rule
    ) -> grpc.RpcMethodHandler[Any, Any]:
        bound = _Bound(self, method, serve, rule)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(bound.stream_unary)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(bound.unary_stream)
        return grpc.unary_unary_rpc_method_handler(bound.unary_unary)

    # --- what a bound method asks of its guard ---

    def admit(self, rule: Rule, context: _Context) -> Caller:
        """Who calls. Raises IdentityUnknown, RoleDenied, DeadlineRequired, TooManyCalls; pair with `leave`."""
        caller = self._caller(context)
        if caller.role not in rule.roles:
            raise RoleDenied("call with the certificate of another role", caller=str(caller))
        if rule.deadline and context.time_remaining() is None:
            raise DeadlineRequired("set a deadline on the call")
        self._quotas.enter(str(caller), self._clock())
        return caller

    def leave(self, caller: Caller) -> None:
        """The call is over."""
        self._quotas.leave(str(caller))

    def charge(self, caller: Caller, records: int) -> None:
        """Raises QuotaExceeded."""
        if records:
            self._quotas.spend(str(caller), records, self._clock())

    def count(self, method: str, reason: str) -> None:
        """One call ended so."""
        self._metrics.calls.labels(method, reason).inc()

    def _caller(self, context: _Context) -> Caller:
        names = context.auth_context().get("x509_subject_alternative_name")
        if not names:
            if self._anonymous is None:
                raise IdentityUnknown("call with a certificate of this network")
            return Caller(self._anonymous, _host(context.peer()))
        found = [identity for name in names if (identity := Identity.parse(_text(name))) is not None]
        # SECURITY: a certificate that names two identities could be checked as one and used as the other.
        if len(found) != 1:
            raise IdentityUnknown("call with a certificate that names one identity", identities=len(found))
        return Caller(found[0].role, found[0].name)


class _Bound:
    """One method behind its guard, in the three shapes that gRPC calls."""

    __slots__ = ("_guard", "_name", "_request", "_rule", "_serve")

    def __init__(self, guard: Guard, method: MethodDescriptor, serve: Callable[..., Any], rule: Rule) -> None:
        self._guard = guard
        self._name = method.name
        self._serve = serve
        self._rule = rule
        self._request = GetMessageClass(method.input_type)

    async def unary_unary(self, raw: bytes, context: _Context) -> bytes:
        answer = b""

        async def serve(caller: Caller) -> None:
            nonlocal answer
            answer = _encoded(await self._serve(self._parse(raw, caller), caller))

        await self._run(serve, context)
        return answer

    async def unary_stream(self, raw: bytes, context: _Context) -> None:
        async def serve(caller: Caller) -> None:
            answers: AsyncIterator[Answer] = self._serve(self._parse(raw, caller), caller)
            async for answer in answers:
                await context.write(_encoded(answer))

        await self._run(serve, context)

    async def stream_unary(self, raws: AsyncIterator[bytes], context: _Context) -> bytes:
        answer = b""

        async def requests(caller: Caller) -> AsyncIterator[Message]:
            async for raw in raws:
                yield self._parse(raw, caller)

        async def serve(caller: Caller) -> None:
            nonlocal answer
            await context.send_initial_metadata(())  # tells the caller at once that it is let in
            answer = _encoded(await self._serve(requests(caller), caller))

        await self._run(serve, context)
        return answer

    async def _run(self, serve: Callable[[Caller], Awaitable[None]], context: _Context) -> None:
        status: status_pb2.Status | None = None
        reason = "OK"
        caller: Caller | None = None
        try:
            caller = self._guard.admit(self._rule, context)
            await serve(caller)
        except HypothecError as error:
            reason, status = error.reason, status_of(error)
            # The counter is for the many; a refusal that is the caller's affair is not one for this node's log.
            level = _log.error if error.status == "INTERNAL" else _log.debug
            level("call_refused", method=self._name, caller=str(caller), reason=reason, error=str(error))
            if error.status == "INTERNAL":
                status = internal_status()
        except asyncio.CancelledError:
            reason = "CANCELLED"
            raise
        except Exception:  # noqa: BLE001 - a bug in one method is its caller's INTERNAL, and the node stays up
            reason, status = "INTERNAL", internal_status()
            _log.exception("call_failed", method=self._name, caller=str(caller))
        finally:
            if caller is not None:
                self._guard.leave(caller)
            self._guard.count(self._name, reason)
        if status is not None:
            await context.abort_with_status(rpc_status.to_status(status))

    def _parse(self, raw: bytes, caller: Caller) -> Message:
        if len(raw) > self._rule.max_bytes:
            raise RequestTooLarge("send a smaller request", length=len(raw), bound=self._rule.max_bytes)
        try:
            request = self._request.FromString(raw)
        except DecodeError as error:
            raise Malformed(f"send a well-formed {self._request.DESCRIPTOR.name}", length=len(raw)) from error
        self._guard.charge(caller, self._rule.cost(request))
        return request


def _encoded(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def _host(peer: str) -> str:
    """`ipv4:1.2.3.4:567` without the port: one caller, however many connections."""
    return peer.rpartition(":")[0] or peer


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
