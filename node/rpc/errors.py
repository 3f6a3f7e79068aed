"""The refusals that only a service makes, and the one translation of an error to a gRPC status.

Every HypothecError becomes a google.rpc.Status with an ErrorInfo (reason, domain "hypothec"); where it says more than
that, a RetryInfo, a BadRequest or a QuotaFailure. Must not know methods.
"""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chains.errors import HypothecError, InputError, LimitError, RetryError

DOMAIN = "hypothec"
_RETRY_AFTER_MS = 1_000
_MAX_VALUES = 16


class DeadlineRequired(InputError):
    """A unary call without a deadline could hold its place for ever."""

    reason = "DEADLINE_REQUIRED"


class RequestTooLarge(LimitError):
    """The request is over the bound of its method."""

    reason = "REQUEST_TOO_LARGE"


class AnswerTooLarge(LimitError):
    """The answer would not fit one message: ask for less at once."""

    reason = "ANSWER_TOO_LARGE"


class QuotaExceeded(LimitError):
    """The caller asked for more records than its quota allows; `retry_after_ms` says when to ask again."""

    reason = "QUOTA_EXCEEDED"


class TooManyCalls(LimitError):
    """The caller has too many calls or streams open."""

    reason = "TOO_MANY_CALLS"


class IdentityUnknown(InputError):
    """The certificate names no identity of ours, or more than one."""

    reason = "IDENTITY_UNKNOWN"
    status = "UNAUTHENTICATED"


class RoleDenied(InputError):
    """The caller's role may not call this method, or not about this object."""

    reason = "ROLE_DENIED"
    status = "PERMISSION_DENIED"


class NotFound(InputError):
    """There is no such thing here."""

    reason = "NOT_FOUND"
    status = "NOT_FOUND"


class NoState(RetryError):
    """This node has no committed state yet, or not its policy."""

    reason = "NO_STATE"


def status_of(error: HypothecError) -> status_pb2.Status:
    """The status that a caller gets for an error."""
    metadata = {name: str(_plain(value)) for name, value in list(error.values.items())[:_MAX_VALUES]}
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if isinstance(error, QuotaExceeded):
        subject = str(error.values.get("caller", ""))
        violation = error_details_pb2.QuotaFailure.Violation(subject=subject, description=error.message)
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    if isinstance(error, (RetryError, QuotaExceeded)):
        after = error.values.get("retry_after_ms", _RETRY_AFTER_MS)
        delay = Duration()
        delay.FromMilliseconds(after if isinstance(after, int) else _RETRY_AFTER_MS)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if isinstance(field := error.values.get("field"), str):
        broken = error_details_pb2.BadRequest.FieldViolation(
            field=field, description=error.message, reason=error.reason
        )
        details.append(error_details_pb2.BadRequest(field_violations=[broken]))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.status), message=str(error), details=[_packed(detail) for detail in details]
    )


def internal_status() -> status_pb2.Status:
    """What a caller gets for a bug of ours: nothing of what went wrong."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN)
    return status_pb2.Status(
        code=code_pb2.INTERNAL, message="the node failed; its operator finds why in the log", details=[_packed(info)]
    )


def _plain(value: object) -> object:
    text = "0x" + value.hex() if isinstance(value, (bytes, bytearray)) else str(value)
    return text[:128]


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
