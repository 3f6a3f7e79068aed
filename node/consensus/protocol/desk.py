"""What the sub-protocols of one node share: where it stands, and how it speaks, writes and waits.

Owns the node's position (epoch, what is decided, what is installed) and collects the effects of one event. Must not
know any rule of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import PeerError, SignatureError
from chains.types import Hash32
from node.consensus.protocol.certified import Prepared
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.effects import Broadcast, Effect, EvidenceFound, PeerFault, Persist, Send, SetTimer
from node.consensus.protocol.events import TimerName
from node.consensus.protocol.inbox import Entry, Inbox, Witness
from node.consensus.protocol.journal import JournalState, PreparedRecord, Record
from node.consensus.protocol.messages import Message
from node.consensus.protocol.notary import Issued, Notary, Signer
from node.consensus.protocol.proposal import Proposal
from node.consensus.protocol.statements import SLOT_KINDS, Kind, SignedStatement, Slot, Statement


@dataclass(slots=True)
class Candidate:
    """A proposal whose outcome may become that of its sequence number, and what this node derived of it."""

    proposal: Proposal
    digest: Hash32
    outcome: Hash32 | None = None
    asked: bool = False
    refused: bool = False


@dataclass(slots=True)
class Position:
    """Where this node is within its epoch."""

    epoch: int = 0
    open: bool = False
    """The leader has proved what the epoch builds on, or something was committed in it."""
    first_seq: int = 0
    """The lowest sequence number for which this epoch's leader may propose freely."""
    bound_to: Prepared | None = None
    """What was prepared before at `first_seq` - 1, and is the only thing that may be voted for there."""


class Desk:
    """One node's position and its means. `now` and `effects` are of the event that is being handled."""

    def __init__(self, config: ConsensusConfig, me: int, signer: Signer, state: JournalState) -> None:
        self.config = config
        self.me = me
        self.now = 0
        self.effects: list[Effect] = []
        self.notary = Notary(config, signer, state)
        self.inbox = Inbox(config)
        self.witness = Witness(config)
        self.position = Position(epoch=state.epoch)
        self.decided = state.decided
        self.prepared = state.prepared
        self.installed = 0
        self.candidates: dict[Hash32, Candidate] = {}
        """By proposal digest, for sequence numbers above the installed one."""
        self._deadlines: dict[TimerName, int] = {}
        for issued in self.notary.issued:
            self._keep_own(issued.message, issued.statement, len(issued.raw))

    # === where it stands ===

    @property
    def epoch(self) -> int:
        return self.position.epoch

    @property
    def decided_seq(self) -> int:
        """The highest sequence number that is known to be decided; 0 for none."""
        return self.decided.seq if self.decided else 0

    @property
    def seq(self) -> int:
        """The sequence number under way."""
        return self.decided_seq + 1

    @property
    def leader(self) -> int:
        """Of the current epoch, which must not be 0."""
        return self.config.leader(self.epoch)

    @property
    def silent(self) -> bool:
        """Whether this node may not sign anything in a slot."""
        return self.notary.silent

    @property
    def is_current(self) -> bool:
        """Whether the application holds the outcome of everything that is decided."""
        return self.installed == self.decided_seq

    @property
    def is_free(self) -> bool:
        """Whether the epoch is open and its leader may propose what it likes for the sequence number under way."""
        return self.position.open and self.seq >= self.position.first_seq

    def slot(self, kind: Kind) -> Slot:
        """The slot of this kind in the epoch and at the sequence number under way."""
        seq = 0 if kind in (Kind.EPOCH_START_REQUEST, Kind.EPOCH_START) else self.seq
        return Slot(self.epoch, seq, kind)

    # === writing, speaking, waiting ===

    def do(self, effect: Effect) -> None:
        self.effects.append(effect)

    def persist(self, *records: Record) -> None:
        self.do(Persist(records))

    def say(self, message: Message, *, to: int | None = None, having: tuple[Record, ...] = ()) -> None:
        """Sign, write down (with the records that it rests on), then send to one or to all, oneself included."""
        signed, raw, record = self.notary.sign(message, self.now)
        if record:
            self.persist(*having, record)
            self._keep_own(signed, signed.statement, len(raw))
        if to is None:
            self.do(Broadcast(raw))
        elif to != self.me:
            self.do(Send(to, raw))

    def resend(self, issued: Issued) -> None:
        """Once more, to whom it went before."""
        slot = issued.statement.slot
        self.notary.resent(slot, self.now)
        if slot.kind not in (Kind.EPOCH_START_REQUEST, Kind.OBSERVATION):
            self.do(Broadcast(issued.raw))
        elif self.leader != self.me:
            self.do(Send(self.leader, issued.raw))

    def adopt_prepared(self, prepared: Prepared) -> PreparedRecord:
        """Take this as the highest prepared outcome; the record is to be written before anything rests on it."""
        self.prepared = prepared
        return PreparedRecord(prepared)

    def set_timer(self, name: TimerName, delay: int) -> None:
        """Replaces an earlier one of that name. `delay` in nanoseconds."""
        at = self.now + delay
        self._deadlines[name] = at
        self.do(SetTimer(name, at))

    def is_set(self, name: TimerName) -> bool:
        return name in self._deadlines

    def expire(self, name: TimerName) -> bool:
        """Whether the timer has really run out; it is then no longer set."""
        if self._deadlines.get(name, self.now + 1) > self.now:
            return False
        del self._deadlines[name]
        return True

    def cancel(self, name: TimerName) -> None:
        self._deadlines.pop(name, None)

    # === judging peers ===

    def fault(self, peer: int, error: PeerError) -> None:
        self.do(PeerFault(peer, error))

    def verify(self, signer: int, signed: SignedStatement) -> None:
        """Check a signature, unless it was checked before. Raises SignatureError.

        Evidence, if the signer said something else in that slot before, becomes an effect.
        """
        statement = signed.statement
        if self.witness.has(signer, signed):
            return
        if not statement.holds(self.config, signer, signed.signature):
            raise SignatureError("refuse a statement that the node did not sign", node=signer, statement=statement)
        evidence = self.witness.record(signer, signed) if statement.kind in SLOT_KINDS else None
        if evidence:
            self.do(EvidenceFound(evidence))

    def _keep_own(self, message: Message, statement: Statement, size: int) -> None:
        self.inbox.put(self.me, Entry(message, statement, size))
        self.witness.record(self.me, SignedStatement(statement, message.signature))
