"""What can happen to a node's core. Frozen values; nothing here decides anything.

Every event goes to `Core.handle(event, now)`; `now` is a monotonic time in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from chains.types import Hash32
from node.model.certificate import CommitCertificate


class TimerName(StrEnum):
    """The core's timers; setting one replaces the one of that name."""

    PROGRESS = "progress"
    INITIAL = "initial"
    RESEND = "resend"
    ROUND = "round"
    GRACE = "grace"


@dataclass(frozen=True, slots=True)
class Start:
    """The first event. `installed` is the highest sequence number whose outcome the application holds (0: none).

    `nonce` is 16 fresh random bytes: entropy is an argument.
    """

    installed: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer ran out. One that was replaced meanwhile may still be reported; the core ignores it."""

    name: TimerName


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Bytes from a peer. `sender` is the node index that the transport authenticated; the bytes are anything."""

    sender: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class QueryChanged:
    """The query that this node sends with the rounds it leads, from the next one on."""

    query: bytes


@dataclass(frozen=True, slots=True)
class ObservationReady:
    """The application's answer to `RequestObservation`, at any time; a late one is ignored."""

    epoch: int
    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class OutcomeReady:
    """The application's answer to `DeriveOutcome`, at any time: what it derived."""

    epoch: int
    seq: int
    proposal_digest: Hash32
    outcome: Hash32


@dataclass(frozen=True, slots=True)
class OutcomeRefused:
    """The application cannot derive an outcome of that proposal, and says why. It may be asked again."""

    epoch: int
    seq: int
    proposal_digest: Hash32
    reason: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The application obtained the outcome of `certificate.seq` from peers, checked it against that, and stored it.

    The certificate may be a later one than the core asked for.
    """

    certificate: CommitCertificate


Event: TypeAlias = (
    Start | TimerFired | MessageReceived | QueryChanged | ObservationReady | OutcomeReady | OutcomeRefused | Installed
)
