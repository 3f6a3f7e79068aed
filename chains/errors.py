"""The root of the error tree: every failure raised on purpose, by whose fault it is and what to do.

Owns the branches, their stable reasons and the gRPC status each maps to. Must not know gRPC (a status is its
name), transports, or who logs what. Other packages subclass a branch for a finer `reason`; there is one root.

HypothecError                INTERNAL             a bug of ours if raised as such
├── ConfigError              FAILED_PRECONDITION  the operator: fix the configuration, start again
├── InputError               INVALID_ARGUMENT     the caller: change the request
├── LimitError               RESOURCE_EXHAUSTED   whoever sent it: it is over a stated bound
├── RetryError               UNAVAILABLE          nobody: another endpoint, or later
│   ├── QuorumError          UNAVAILABLE          too few independent sources or nodes agree so far
│   └── StaleError           UNAVAILABLE          the input is older than its use allows; refresh it
├── ProofError               DATA_LOSS            whoever served it: drop the source, keep the evidence
│   ├── MalformedProof       DATA_LOSS            it does not parse, or not canonically
│   ├── OversizedProof       RESOURCE_EXHAUSTED   it is over a stated bound of depth, size or count
│   ├── ProofInvalid         DATA_LOSS            it parses but does not hold under its root
│   ├── ProofIncomplete      DATA_LOSS            it ends before the key is decided, or leaves an item out
│   ├── HeaderMismatch       DATA_LOSS            a header does not hash to its claimed hash, or does not link
│   └── ClaimMismatch        DATA_LOSS            a claimed value differs from the proven one
└── PeerError                INVALID_ARGUMENT     the peer: count it, penalise it, ignore the message
    ├── SignatureError       UNAUTHENTICATED      wrong signer, wrong signature or wrong domain
    └── EquivocationError    PERMISSION_DENIED    two different signed statements for one slot: keep both
"""

from __future__ import annotations

from typing import ClassVar

_LONGEST_SHOWN = 80


class HypothecError(Exception):
    """Base of all errors raised on purpose.

    The message says what happened, where, and what to do about it. `values` carries the figures that make it
    checkable, by name, as they were (bytes stay bytes); the text shows them shortened, a log takes them whole.

    `reason` is stable, in upper snake case, and `ErrorInfo.reason` on the wire; `status` names a gRPC code.
    """

    reason: ClassVar[str] = "INTERNAL"
    status: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message)
        self.message = message
        self.values: dict[str, object] = values

    def __str__(self) -> str:
        if not self.values:
            return self.message
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self.values.items())
        return f"{self.message} ({shown})"


class ConfigError(HypothecError):
    """The operator's configuration cannot be used."""

    reason = "CONFIG_INVALID"
    status = "FAILED_PRECONDITION"


class InputError(HypothecError):
    """The caller's request is wrong and will stay wrong when sent again."""

    reason = "INPUT_INVALID"
    status = "INVALID_ARGUMENT"


class LimitError(HypothecError):
    """Something is over a stated bound of size, depth, count or rate."""

    reason = "LIMIT_EXCEEDED"
    status = "RESOURCE_EXHAUSTED"


class RetryError(HypothecError):
    """Transient: try another endpoint, or the same one later."""

    reason = "UNAVAILABLE"
    status = "UNAVAILABLE"


class QuorumError(RetryError):
    """Too few independent nodes or endpoints agree so far."""

    reason = "QUORUM_NOT_MET"


class StaleError(RetryError):
    """An input is older than its use allows."""

    reason = "STALE"


class ProofError(HypothecError):
    """What was served as evidence is none. The source that served it is to be named and dropped."""

    reason = "PROOF_REFUSED"
    status = "DATA_LOSS"


class MalformedProof(ProofError):
    """The evidence does not parse, or is not in its one canonical form."""

    reason = "PROOF_MALFORMED"


class ProofInvalid(ProofError):
    """The evidence parses but does not hold under the root it is offered for."""

    reason = "PROOF_INVALID"


class ProofIncomplete(ProofError):
    """The evidence stops before the question is decided, or leaves out an item that was asked for."""

    reason = "PROOF_INCOMPLETE"


class OversizedProof(ProofError):
    """The evidence is over a stated bound of depth, size or count; it was not looked at further."""

    reason = "PROOF_OVERSIZED"
    status = "RESOURCE_EXHAUSTED"


class HeaderMismatch(ProofError):
    """A header's fields do not hash to the claimed hash, or a run of headers does not link."""

    reason = "HEADER_MISMATCH"


class ClaimMismatch(ProofError):
    """A claimed value differs from the proven one."""

    reason = "CLAIM_MISMATCH"


class PeerError(HypothecError):
    """A peer broke the protocol: count it, penalise it, ignore the message."""

    reason = "PEER_MISBEHAVED"
    status = "INVALID_ARGUMENT"


class SignatureError(PeerError):
    """A signature does not stand for the statement, the signer or the domain it is offered for."""

    reason = "SIGNATURE_INVALID"
    status = "UNAUTHENTICATED"


class EquivocationError(PeerError):
    """Two different signed statements for one slot. Carry both: they are evidence for third parties."""

    reason = "EQUIVOCATION"
    status = "PERMISSION_DENIED"


def _shown(value: object) -> str:
    text = "0x" + value.hex() if isinstance(value, (bytes, bytearray)) else str(value)
    return printable(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


def printable(text: str) -> str:
    """`text` of strangers for one line of people's: what would break the line or speak to the terminal is escaped."""
    return text if text.isprintable() else repr(text)[1:-1]
