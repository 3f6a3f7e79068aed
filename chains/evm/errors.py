"""What an EVM endpoint can be caught at. The `reason` of each names the fault in logs and metrics.

Failures say nothing about truth (RetryError: another endpoint, or later). Lies are evidence against whoever serves
them (ProofError: drop it). What `chains.proofs` raises is a lie as well, and is named by `fault_reason`.
"""

from __future__ import annotations

from chains.errors import (
    ClaimMismatch,
    HeaderMismatch,
    HypothecError,
    MalformedProof,
    OversizedProof,
    ProofError,
    ProofIncomplete,
    ProofInvalid,
    RetryError,
    StaleError,
)


class EndpointTimeout(RetryError):
    """No complete answer within the time an attempt may take."""

    reason = "TIMEOUT"


class EndpointUnreachable(RetryError):
    """No connection, or one that broke before the answer was complete."""

    reason = "UNREACHABLE"


class HttpFailure(RetryError):
    """An HTTP status other than 200."""

    reason = "HTTP_ERROR"


class RateLimited(RetryError):
    """The endpoint asks for fewer requests (HTTP 429, or a JSON-RPC error that says so)."""

    reason = "RATE_LIMITED"


class Oversized(RetryError):
    """The answer is longer than what was asked for can be; it was not read to its end."""

    reason = "OVERSIZED"


class MalformedAnswer(RetryError):
    """The answer is not JSON, not JSON-RPC, or does not belong to the request."""

    reason = "MALFORMED_ANSWER"


class RpcFailure(RetryError):
    """The endpoint answered with a JSON-RPC error object."""

    reason = "RPC_ERROR"


class ProofWindow(RetryError):
    """The endpoint no longer keeps the state of the block that a proof was asked for."""

    reason = "PROOF_WINDOW"


class UnknownBlock(RetryError):
    """The endpoint does not have a block that is final elsewhere (yet, or because it is on a fork)."""

    reason = "UNKNOWN_BLOCK"


class StaleHead(StaleError):
    """The endpoint's finalized block stays behind the one that a quorum has had for a while."""

    reason = "STALE_HEAD"


class WrongChain(ProofError):
    """The endpoint serves another chain than it was configured for."""

    reason = "WRONG_CHAIN"


class WrongBlock(ProofError):
    """A genuine header, receipt list or proof, but of another block than the one asked for."""

    reason = "WRONG_BLOCK"


class MissingLog(ProofError):
    """The receipts served do not make up the header's receipts root: one of them, or a log, is missing or changed."""

    reason = "MISSING_LOG"


class Disagrees(ProofError):
    """At some height the endpoint has another final block than the quorum, or there is no quorum for any."""

    reason = "DISAGREES"


_FAULT_OF_PROOF: tuple[tuple[type[ProofError], str], ...] = (
    (ClaimMismatch, "WRONG_VALUE"),
    (HeaderMismatch, "WRONG_HEADER"),
    (ProofInvalid, "BAD_PROOF"),
    (ProofIncomplete, "BAD_PROOF"),
    (OversizedProof, "OVERSIZED"),
    (MalformedProof, "MALFORMED_ANSWER"),
)


def fault_reason(error: HypothecError) -> str:
    """Name of the fault that `error` convicts an endpoint of, UPPER_SNAKE and stable."""
    for kind, reason in _FAULT_OF_PROOF:
        if isinstance(error, kind):
            return reason
    return error.reason
