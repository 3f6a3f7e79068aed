"""One translation: reason, domain and figures for every error, and nothing about our own bugs."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chains.errors import EquivocationError, HypothecError, InputError, LimitError, QuorumError, SignatureError
from node.model.codec import Malformed
from node.rpc.errors import NotFound, QuotaExceeded, RoleDenied, internal_status, status_of


def detail(status: status_pb2.Status, kind: type[Message]) -> Message | None:
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (InputError("x"), code_pb2.INVALID_ARGUMENT, "INPUT_INVALID"),
        (Malformed("x"), code_pb2.INVALID_ARGUMENT, "MALFORMED"),
        (LimitError("x"), code_pb2.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"),
        (QuorumError("x"), code_pb2.UNAVAILABLE, "QUORUM_NOT_MET"),
        (SignatureError("x"), code_pb2.UNAUTHENTICATED, "SIGNATURE_INVALID"),
        (EquivocationError("x"), code_pb2.PERMISSION_DENIED, "EQUIVOCATION"),
        (RoleDenied("x"), code_pb2.PERMISSION_DENIED, "ROLE_DENIED"),
        (NotFound("x"), code_pb2.NOT_FOUND, "NOT_FOUND"),
    ],
)
def test_every_branch_of_the_tree_has_its_code_and_reason(error: HypothecError, code: int, reason: str) -> None:
    status = status_of(error)
    info = detail(status, error_details_pb2.ErrorInfo)
    assert status.code == code
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (reason, "hypothec")
    assert (detail(status, error_details_pb2.RetryInfo) is not None) == (code == code_pb2.UNAVAILABLE)


def test_the_figures_travel_with_the_error_bounded() -> None:
    many: dict[str, object] = {f"value{number}": number for number in range(30)}
    info = detail(status_of(InputError("x", account=b"\xab" * 500, **many)), error_details_pb2.ErrorInfo)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.metadata["account"] == "0x" + "ab" * 63
    assert len(info.metadata) == 16


def test_a_wrong_field_is_named_as_such() -> None:
    status = status_of(InputError("give 32 bytes", field="account", length=3))
    request = detail(status, error_details_pb2.BadRequest)
    assert isinstance(request, error_details_pb2.BadRequest)
    assert [violation.field for violation in request.field_violations] == ["account"]
    assert detail(status_of(InputError("x")), error_details_pb2.BadRequest) is None


def test_an_exceeded_quota_says_whose_and_when_to_come_back() -> None:
    status = status_of(QuotaExceeded("x", caller="venue/a", retry_after_ms=1_500))
    retry, quota = detail(status, error_details_pb2.RetryInfo), detail(status, error_details_pb2.QuotaFailure)
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1_500
    assert isinstance(quota, error_details_pb2.QuotaFailure)
    assert quota.violations[0].subject == "venue/a"


def test_a_bug_of_ours_tells_nothing() -> None:
    status = internal_status()
    assert status.code == code_pb2.INTERNAL
    info = detail(status, error_details_pb2.ErrorInfo)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, len(info.metadata)) == ("INTERNAL", 0)
