"""What the services need of the node. `app` implements these with the runtime, the store and the attestor.

Everything here is called on the event loop. A method that may fail on purpose raises from the HypothecError tree: the
error's status and reason are what the caller gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chains.types import AccountId, Hash32
from hypothec.v1 import operator_service_pb2, peer_service_pb2
from node.attestation.release import AttestedRelease
from node.margin.policy import Policy
from node.model.certificate import CommitCertificate
from node.model.digests import ReleaseKind
from node.model.state import State


@dataclass(frozen=True, slots=True)
class CertifiedState:
    """A committed state and its certificate."""

    state: State
    certificate: CommitCertificate

    @property
    def sequence(self) -> int:
        return self.state.header.sequence


class StateReader(Protocol):
    """The committed states of this node, newest only."""

    def latest(self) -> CertifiedState | None:
        """The newest committed state, None before the first."""

    async def newer_than(self, sequence: int) -> CertifiedState:
        """Wait for a state after `sequence`; states in between may be skipped. Many callers wait at once."""


class PolicyReader(Protocol):
    """Policies that this node holds: the one in force and those that earlier states named."""

    def policy(self, policy_hash: Hash32) -> Policy | None: ...


class Inbox(Protocol):
    """Where what venues and owners hand in is checked, made durable and put up for agreement."""

    async def submit_report(self, raw: bytes, venue: str) -> object:
        """Take a report from the venue itself; returns when it is durable. The same bytes again are no error.

        Raises Malformed, SignatureError, InputError (not the next link of the chain), EquivocationError, LimitError.
        """

    async def submit_request(self, raw: bytes) -> object:
        """Take a request; returns when it is durable. The same bytes again are no error.

        Raises Malformed, SignatureError, InputError (nonce used, expired), LimitError.
        """

    def holds_request(self, digest: Hash32) -> bool:
        """Whether the request is here and not decided yet."""


class Attestations(Protocol):
    """Releases that are open in the newest state."""

    def open_releases(self, account: AccountId, kind: ReleaseKind) -> tuple[AttestedRelease, ...]:
        """Those of one account, each with a quorum of signatures; empty when none is open.

        Raises QuorumError while any of them lacks signatures.
        """


class Bodies(Protocol):
    """What this node holds, by digest, for peers that do not."""

    async def body(self, kind: peer_service_pb2.BodyKind.ValueType, digest: Hash32) -> bytes | None: ...


class FrameSink(Protocol):
    """Where frames from peers go."""

    def received(self, sender: int, kind: peer_service_pb2.FrameKind.ValueType, body: bytes) -> None:
        """Take a frame from the node with this index; never waits: what it cannot take it drops and counts.

        A HypothecError that it raises is counted against the peer.
        """


class StatusReader(Protocol):
    """What the operator sees, in the words of the operator service."""

    def status(self) -> operator_service_pb2.GetStatusResponse: ...

    async def evidence(self, page_size: int, page_token: str) -> operator_service_pb2.ListEvidenceResponse:
        """One page, newest first. Raises InputError for a token that is none."""
