"""What a node's service refused, in the words that it gave."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from chains.errors import HypothecError, PeerError, RetryError, StaleError


class ServiceRefused(HypothecError):
    """The service answered with an error: `service_reason` is its ErrorInfo reason, `service_status` the gRPC code."""

    reason = "SERVICE_REFUSED"
    status = "FAILED_PRECONDITION"

    def __init__(self, message: str, service_reason: str, service_status: str, details: dict[str, str]) -> None:
        super().__init__(message, service_reason=service_reason, service_status=service_status, **details)
        self.service_reason = service_reason
        self.service_status = service_status
        self.details = details


class ServiceUnavailable(RetryError):
    """The service cannot answer now; ask again after `retry_after_ms`, or another node. `service_reason` may be ''."""

    reason = "SERVICE_UNAVAILABLE"

    def __init__(self, message: str, service_reason: str, retry_after_ms: int) -> None:
        super().__init__(message, service_reason=service_reason, retry_after_ms=retry_after_ms)
        self.service_reason = service_reason
        self.retry_after_ms = retry_after_ms


class TooOld(StaleError):
    """The state that the node answered with is older than the caller accepts."""

    reason = "STATE_TOO_OLD"


class SequenceRegressed(StaleError):
    """The node answered with an earlier state than one that was seen before."""

    reason = "SEQUENCE_REGRESSED"


class AnswerMismatch(PeerError):
    """The answer is sound but is about something else than what was asked."""

    reason = "ANSWER_MISMATCH"


_RETRY = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"})
_DEFAULT_RETRY_MS = 1_000


def translated(error: aio.AioRpcError) -> ServiceRefused | ServiceUnavailable:
    """The error that a caller of the client sees."""
    info, retry_ms = error_details_pb2.ErrorInfo(), _DEFAULT_RETRY_MS
    for detail in _details(error):
        detail.Unpack(info)
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            retry_ms = retry.retry_delay.ToMilliseconds()
    code, message = error.code().name, error.details() or "the service gave no reason"
    if code in _RETRY:
        return ServiceUnavailable(message, info.reason, retry_ms)
    return ServiceRefused(message, info.reason, code, dict(info.metadata))


def _details(error: aio.AioRpcError) -> Iterable[Any]:
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type] # it has all of a Call that is read
    except (ValueError, DecodeError):  # details that contradict the status, or are none: the status itself remains
        return ()
    return status.details if status is not None else ()
