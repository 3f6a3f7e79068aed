"""What the core asks of the world. Effects are carried out in the order of the list.

`Persist` is durable before any later effect of the same list begins: that is the whole of the promise never to sign
two different things for one slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chains.errors import PeerError
from chains.types import Hash32
from node.consensus.protocol.events import TimerName
from node.consensus.protocol.journal import Record
from node.consensus.protocol.statements import Evidence
from node.model.certificate import CommitCertificate

Attributed: TypeAlias = tuple[tuple[int, bytes], ...]
"""(observer, payload) by ascending observer."""


@dataclass(frozen=True, slots=True)
class Persist:
    """Write these to the journal, durably, before going on."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """To one peer; it may be lost."""

    to: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """To every peer, not to this node itself; any copy may be lost."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Report TimerFired(name) at `at` (nanoseconds, the clock of `handle`), and forget an earlier one of this name."""

    name: TimerName
    at: int


@dataclass(frozen=True, slots=True)
class RequestObservation:
    """Observe for this round. The outcome of `seq` - 1 is installed. Answer with ObservationReady, or never."""

    epoch: int
    seq: int
    query: bytes


@dataclass(frozen=True, slots=True)
class DeriveOutcome:
    """Derive the outcome of `seq` from these observations, each of which `validate` accepted.

    The outcome of `seq` - 1 is installed. A pure function: every honest node gets the same digest. Answer with
    OutcomeReady or OutcomeRefused, late or never: the other nodes go on. Keep what was derived until `Committed` or
    a later sequence number; there may be several candidates.
    """

    epoch: int
    seq: int
    proposal_digest: Hash32
    observations: Attributed


@dataclass(frozen=True, slots=True)
class Committed:
    """The outcome that this node derived is final: install it, and sign for the chains.

    Sequence numbers rise by one, but a crash before `Start.installed` counted it brings one again.
    """

    seq: int
    outcome: Hash32
    certificate: CommitCertificate
    observations: Attributed


@dataclass(frozen=True, slots=True)
class CatchUp:
    """`certificate` was decided without this node: obtain its outcome, or a later one, from peers.

    Check it against its certificate, install it and answer with Installed. `holders` signed the certificate. Asked
    again until done; a later request replaces an earlier one.
    """

    certificate: CommitCertificate
    holders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EvidenceFound:
    """A peer equivocated: keep it for third parties."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class PeerFault:
    """Something a peer did was refused: count it under `error.reason` and the peer."""

    peer: int
    error: PeerError


@dataclass(frozen=True, slots=True)
class EpochEntered:
    """For the record: this node is now in `epoch`, led by `leader`."""

    epoch: int
    leader: int


Effect: TypeAlias = (
    Persist
    | Send
    | Broadcast
    | SetTimer
    | RequestObservation
    | DeriveOutcome
    | Committed
    | CatchUp
    | EvidenceFound
    | PeerFault
    | EpochEntered
)
