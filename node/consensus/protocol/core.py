"""The core of one node's agreement: what happened goes in, what to do comes out.

Pure and deterministic: the same events at the same times give the same effects, on any machine. Owns the admission
of messages and the order in which the sub-protocols get their turn; the rules themselves are in pacemaker, epochs,
rounds and recovery. Must not know I/O, clocks, randomness, nor what payloads and outcomes mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from chains.errors import EquivocationError, HypothecError, PeerError, QuorumError, SignatureError
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.desk import Candidate, Desk
from node.consensus.protocol.effects import CatchUp, Committed, Effect
from node.consensus.protocol.epochs import Epochs
from node.consensus.protocol.errors import BufferOverflow, WrongSender
from node.consensus.protocol.events import (
    Event,
    Installed,
    MessageReceived,
    ObservationReady,
    OutcomeReady,
    OutcomeRefused,
    QueryChanged,
    Start,
    TimerFired,
    TimerName,
)
from node.consensus.protocol.inbox import Entry
from node.consensus.protocol.journal import DecidedRecord, JournalState
from node.consensus.protocol.messages import (
    Commit,
    Decided,
    EpochStart,
    EpochStartRequest,
    Message,
    NewEpochWish,
    Observation,
    Prepare,
    RoundStart,
    Status,
    StatusRequest,
    decode_message,
)
from node.consensus.protocol.notary import Signer
from node.consensus.protocol.pacemaker import Pacemaker
from node.consensus.protocol.proposal import Proposal
from node.consensus.protocol.recovery import Recovery
from node.consensus.protocol.rounds import Rounds, Validate
from node.consensus.protocol.statements import Kind, SignedStatement, Slot
from node.model.certificate import CommitCertificate, verify_certificate


class Core:
    """One node. The first event is `Start`; each call of `handle` is complete before the next."""

    def __init__(
        self, config: ConsensusConfig, me: int, signer: Signer, journal_state: JournalState, validate: Validate
    ) -> None:
        desk = Desk(config, me, signer, journal_state)
        self._desk = desk
        self._recovery = Recovery(desk)
        self._pacemaker = Pacemaker(desk, self._enter)
        self._epochs = Epochs(desk, self._decide, self._pacemaker.on_timer)
        self._rounds = Rounds(desk, validate, self._decide)
        self._helped: dict[int, int] = {}
        self._asked_to_catch_up = 0
        self._waited_for = 0
        self._rules: tuple[Callable[[], bool], ...] = (
            self._rounds.certify,
            self._install,
            self._resume,
            self._epochs.start,
            self._epochs.open,
            self._rounds.start_round,
            self._rounds.observe,
            self._rounds.propose,
            self._rounds.examine,
            self._rounds.derive,
            self._rounds.prepare,
            self._rounds.commit,
        )

    # === what others may look at ===

    @property
    def epoch(self) -> int:
        """The current epoch, from 1; 0 before the first."""
        return self._desk.epoch

    @property
    def decided(self) -> CommitCertificate | None:
        """The highest commit certificate known here."""
        return self._desk.decided

    @property
    def installed(self) -> int:
        """The highest sequence number whose outcome the application holds."""
        return self._desk.installed

    @property
    def silent(self) -> bool:
        """Whether the node signs nothing, because its journal was lost."""
        return self._desk.silent

    # === events ===

    def handle(self, event: Event, now: int) -> list[Effect]:
        """Everything that is to be done about `event`, in order. `now` is monotonic, in nanoseconds.

        Never raises for anything a peer did. Raises SlotConflict rather than sign twice, LimitError for an observation
        of the own application that is over its bound, and SignatureError or QuorumError for an `Installed` of it
        whose certificate does not hold.
        """
        desk = self._desk
        desk.now, desk.effects = now, []
        match event:
            case MessageReceived(sender, raw):
                self._on_bytes(sender, raw)
            case TimerFired(name):
                self._on_timer(name)
            case ObservationReady(epoch, seq, payload):
                self._rounds.on_observation(epoch, seq, payload)
            case OutcomeReady() | OutcomeRefused():
                self._on_derived(event)
            case Installed(certificate):
                self._on_installed(certificate)
            case QueryChanged(query):
                self._rounds.query = query
            case Start():
                self._on_start(event)
            case _:
                assert_never(event)
        while any(rule() for rule in self._rules):
            pass
        return desk.effects

    def _on_start(self, start: Start) -> None:
        desk = self._desk
        desk.installed = start.installed
        if desk.installed > desk.decided_seq:
            # The application has seen more than the journal: the journal is an old copy, or another's.
            desk.notary.silent = True
        if desk.prepared and desk.prepared.seq > desk.installed:
            digest = desk.prepared.proposal.statement.digest
            desk.candidates[digest] = Candidate(desk.prepared.proposal, digest)
        self._recovery.begin(start.nonce)
        desk.set_timer(TimerName.RESEND, desk.config.timing.delta_resend)
        if not desk.epoch:
            self._pacemaker.wish_for(1)
            return
        self._pacemaker.entered()
        self._pacemaker.repeat()
        if desk.decided and desk.decided.epoch == desk.epoch:
            self._epochs.proved_by(desk.decided)
        self._epochs.await_start()

    def _on_timer(self, name: TimerName) -> None:
        if not self._desk.expire(name):
            return
        match name:
            case TimerName.PROGRESS:
                self._pacemaker.on_timer()
            case TimerName.INITIAL:
                if not self._desk.position.open:
                    self._pacemaker.on_timer()
            case TimerName.GRACE:
                self._rounds.on_grace()
            case TimerName.ROUND:
                pass  # the rule that starts a round looks at the time itself
            case TimerName.RESEND:
                self._resend()

    def _resend(self) -> None:
        """Everything may have been lost: wishes, and what was said in slots that are still open, a while ago."""
        desk = self._desk
        desk.set_timer(TimerName.RESEND, desk.config.timing.delta_resend)
        self._pacemaker.repeat()
        if self._recovery.needs_reports:
            self._recovery.ask()
        for candidate in desk.candidates.values():
            if candidate.refused:
                candidate.refused = candidate.asked = False
        self._asked_to_catch_up = 0
        self._waited_for = desk.decided_seq if not desk.is_current else 0
        for issued in [] if desk.silent else desk.notary.issued:
            slot = issued.statement.slot
            if issued.at + desk.config.timing.delta_resend // 2 <= desk.now and self._is_open(slot):
                desk.resend(issued)

    def _is_open(self, slot: Slot) -> bool:
        desk = self._desk
        if slot.epoch != desk.epoch:
            return False
        if slot.kind is Kind.EPOCH_START_REQUEST:
            return not desk.position.open
        if slot.kind is Kind.EPOCH_START:
            return not (desk.decided and desk.decided.epoch == desk.epoch)
        return slot.seq == desk.seq

    def _on_derived(self, event: OutcomeReady | OutcomeRefused) -> None:
        candidate = self._desk.candidates.get(event.proposal_digest)
        if candidate is None or not candidate.asked:
            return
        if isinstance(event, OutcomeReady):
            candidate.outcome = candidate.outcome or event.outcome
        else:
            candidate.refused = True

    def _on_installed(self, certificate: CommitCertificate) -> None:
        desk = self._desk
        if certificate.seq > desk.decided_seq:
            verify_certificate(certificate, desk.config.config_digest, desk.config.keys, desk.config.f)
            self._decide(certificate)
        if certificate.seq > desk.installed:
            self._set_installed(certificate.seq)

    # === messages ===

    def _on_bytes(self, sender: int, raw: bytes) -> None:
        desk = self._desk
        if not 0 <= sender < desk.config.n or sender == desk.me:
            raise HypothecError("authenticate a peer of the network", sender=sender, nodes=desk.config.n)
        try:
            self._on_message(sender, decode_message(raw, desk.config), len(raw))
        except PeerError as error:
            desk.fault(sender, error)
        except QuorumError as error:
            desk.fault(sender, SignatureError(error.message, **error.values))

    def _on_message(self, sender: int, message: Message, size: int) -> None:
        desk = self._desk
        match message:
            case NewEpochWish(epoch):
                if self._pacemaker.is_news(sender, epoch):
                    self._verify(sender, message)
                    self._pacemaker.on_wish(sender, epoch)
            case Decided(certificate):
                if certificate.seq > desk.decided_seq:
                    self._verify(sender, message)
                    self._take_up(certificate)
            case StatusRequest():
                self._verify(sender, message)
                if self._recovery.answer(sender, message):
                    self._pacemaker.repeat(to=sender)
            case Status():
                self._verify(sender, message)
                self._take_up(message.decided)
                self._recovery.on_status(sender, message)
            case _:
                self._on_slot_message(sender, message, size)

    def _on_slot_message(
        self,
        sender: int,
        message: EpochStartRequest | EpochStart | RoundStart | Observation | Proposal | Prepare | Commit,
        size: int,
    ) -> None:
        desk = self._desk
        statement = message.statement
        slot, signed = statement.slot, SignedStatement(statement, message.signature)
        self._check_role(sender, slot)
        if 0 < slot.seq < desk.decided_seq:
            self._help(sender)
            return
        known = desk.inbox.get(sender, slot)
        is_repeated = known.statement == statement if known else desk.witness.has(sender, signed)
        if 0 < slot.seq <= desk.decided_seq and (is_repeated or self._is_decided_before(slot.epoch)):
            self._help(sender)
            return
        if known and is_repeated:
            return
        if slot.epoch < desk.epoch and slot.seq <= desk.decided_seq:
            return
        desk.verify(sender, signed)
        if desk.witness.contradicts(sender, signed):
            raise EquivocationError("keep the first of two statements for one slot", node=sender, second=statement)
        if isinstance(message, RoundStart):
            self._take_up(message.parent)
        if isinstance(message, Prepare):
            self._hear_of_proposal(message)
        if slot.epoch >= desk.epoch and not 0 < slot.seq <= desk.decided_seq:
            evicted = desk.inbox.put(sender, Entry(message, statement, size))
            if evicted:
                desk.fault(sender, BufferOverflow("drop the oldest that it sent ahead", dropped=evicted, slot=slot))

    def _is_decided_before(self, epoch: int) -> bool:
        """Whether whoever is still busy with the last decided sequence number in `epoch` is behind."""
        return self._desk.decided is not None and self._desk.decided.epoch < epoch

    def _check_role(self, sender: int, slot: Slot) -> None:
        if not slot.epoch:
            raise WrongSender("refuse a message of no epoch", sender=sender, slot=slot)
        leader = self._desk.config.leader(slot.epoch)
        if slot.kind in (Kind.EPOCH_START, Kind.ROUND_START, Kind.PROPOSAL) and sender != leader:
            raise WrongSender("refuse what only the leader sends", sender=sender, leader=leader, slot=slot)
        if slot.kind in (Kind.EPOCH_START_REQUEST, Kind.OBSERVATION) and self._desk.me != leader:
            raise WrongSender("refuse what only the leader receives", sender=sender, leader=leader, slot=slot)

    def _hear_of_proposal(self, prepare: Prepare) -> None:
        """A prepare brings the leader's signature along; it need not be the proposal that this node got."""
        if prepare.proposal_epoch and prepare.proposal_epoch <= prepare.epoch:
            self._desk.verify(self._desk.config.leader(prepare.proposal_epoch), prepare.proposed)

    def _verify(self, sender: int, message: Message) -> None:
        self._desk.verify(sender, SignedStatement(message.statement, message.signature))

    def _help(self, sender: int) -> None:
        """The sender is behind: tell it what was decided, but not more often than it resends."""
        desk = self._desk
        if desk.decided and self._helped.get(sender, 0) <= desk.now:
            self._helped[sender] = desk.now + desk.config.timing.delta_resend
            desk.say(Decided(desk.decided), to=sender)

    # === progress ===

    def _enter(self, epoch: int) -> None:
        self._epochs.enter(epoch)
        self._rounds.forget()
        self._pacemaker.entered()
        self._epochs.await_start()

    def _resume(self) -> bool:
        if not self._recovery.resume():
            return False
        self._pacemaker.wish_for(self._desk.epoch)
        self._epochs.await_start()
        return True

    def _take_up(self, certificate: CommitCertificate | None) -> None:
        """A certificate from a peer. Raises SignatureError or QuorumError."""
        desk = self._desk
        if certificate is None:
            return
        opens = certificate.epoch == desk.epoch and not desk.position.open
        if certificate.seq > desk.decided_seq or opens:
            verify_certificate(certificate, desk.config.config_digest, desk.config.keys, desk.config.f)
            self._decide(certificate)
            if opens:
                self._epochs.proved_by(certificate)

    def _decide(self, certificate: CommitCertificate) -> None:
        """Take up a verified certificate, if it is higher than what is known."""
        desk = self._desk
        if certificate.seq <= desk.decided_seq:
            return
        desk.decided = certificate
        desk.persist(DecidedRecord(certificate))
        if certificate.epoch > desk.epoch:
            self._epochs.enter(certificate.epoch)
            self._pacemaker.entered()
        if certificate.epoch == desk.epoch:
            self._epochs.proved_by(certificate)
        self._pacemaker.progressed()
        desk.notary.advance(desk.epoch, desk.decided_seq)
        desk.inbox.prune(desk.epoch, desk.decided_seq)
        desk.witness.prune(desk.epoch, desk.decided_seq)
        desk.cancel(TimerName.GRACE)
        self._rounds.forget()
        if certificate.epoch == desk.epoch and desk.seq - desk.position.first_seq >= desk.config.timing.r_max:
            self._pacemaker.wish_for(desk.epoch + 1)

    def _install(self) -> bool:
        """Upon something decided that the application does not hold: give it what it derived, or have it catch up."""
        desk = self._desk
        if desk.decided is None or desk.is_current:
            return False
        due = [c for c in desk.candidates.values() if c.proposal.seq == desk.decided.seq]
        if desk.installed + 1 == desk.decided.seq:
            for candidate in due:
                if candidate.outcome == desk.decided.outcome_digest:
                    certificate, attributed = desk.decided, candidate.proposal.attributed
                    desk.do(Committed(desk.decided.seq, candidate.outcome, certificate, attributed))
                    self._set_installed(desk.decided.seq)
                    return True
            if self._waited_for != desk.decided.seq and any(each.outcome is None and not each.refused for each in due):
                return False
        if self._asked_to_catch_up != desk.decided.seq:
            self._asked_to_catch_up = desk.decided.seq
            holders = tuple(node for node in desk.decided.signer_indices if node != desk.me)
            desk.do(CatchUp(desk.decided, holders))
        return False

    def _set_installed(self, seq: int) -> None:
        desk = self._desk
        desk.installed = seq
        candidates = desk.candidates
        for digest in [digest for digest, each in candidates.items() if each.proposal.seq <= seq]:
            del candidates[digest]
