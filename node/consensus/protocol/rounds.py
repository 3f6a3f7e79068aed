"""One round: round start, observations, proposal, prepare, commit.

Owns what leader and followers do in an open epoch. Each method that returns a bool is one "upon" rule: it acts if its
condition holds, and says whether it did. Must not know how epochs change, nor how a node that fell behind catches up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from chains.errors import HypothecError, LimitError, PeerError
from chains.types import Hash32
from node.consensus.protocol.certified import Prepared
from node.consensus.protocol.desk import Candidate, Desk
from node.consensus.protocol.effects import DeriveOutcome, RequestObservation
from node.consensus.protocol.errors import ObservationRefused, OutcomeMismatch, ProposalRefused
from node.consensus.protocol.events import TimerName
from node.consensus.protocol.inbox import Entry
from node.consensus.protocol.messages import Commit, Observation, Prepare, RoundStart
from node.consensus.protocol.proposal import Proposal, SignedObservation
from node.consensus.protocol.statements import Kind, SignedStatement, Slot
from node.model.certificate import CommitCertificate

Validate: TypeAlias = Callable[[int, int, bytes], None]
"""(seq, observer, payload): raises a HypothecError for an observation that no honest node would make. Pure."""

_MOST_CANDIDATES = 8


class Rounds:
    """`decide` takes a commit certificate that this node assembled."""

    def __init__(self, desk: Desk, validate: Validate, decide: Callable[[CommitCertificate], None]) -> None:
        self._desk = desk
        self._validate = validate
        self._decide = decide
        self._round_due = 0
        self._grace_over: Slot | None = None
        self._requested: Slot | None = None
        self._mismatched: set[tuple[int, Slot]] = set()
        self.query = b""

    # === leader ===

    def start_round(self) -> bool:
        """When the last round's time is over: ask everybody to observe."""
        desk, timing = self._desk, self._desk.config.timing
        if not self._may_lead() or desk.notary.at(desk.slot(Kind.ROUND_START)):
            return False
        if desk.seq - desk.position.first_seq >= timing.r_max:
            return False
        if desk.now < self._round_due:
            if not desk.is_set(TimerName.ROUND):
                desk.set_timer(TimerName.ROUND, self._round_due - desk.now)
            return False
        self._round_due = desk.now + timing.delta_round
        desk.say(RoundStart(desk.epoch, desk.seq, desk.decided, self.query))
        return True

    def propose(self) -> bool:
        """Upon everybody's observations, or 2f+1 and no more within the grace time: propose them."""
        desk = self._desk
        if not self._may_lead() or desk.notary.at(desk.slot(Kind.PROPOSAL)):
            return False
        started = desk.notary.at(desk.slot(Kind.ROUND_START))
        if not isinstance(started, RoundStart):
            return False
        slot = desk.slot(Kind.OBSERVATION)
        if len(desk.inbox.at(slot)) < desk.config.observation_quorum:
            return False
        observations = self._usable(slot, started.query_digest)
        if len(observations) < desk.config.observation_quorum:
            return False
        if len(observations) < desk.config.n and self._grace_over != slot and desk.config.timing.delta_grace:
            if not desk.is_set(TimerName.GRACE):
                desk.set_timer(TimerName.GRACE, desk.config.timing.delta_grace)
            return False
        desk.cancel(TimerName.GRACE)
        desk.say(Proposal(desk.epoch, desk.seq, started.query_digest, observations))
        return True

    def on_grace(self) -> None:
        """The grace time is over."""
        self._grace_over = self._desk.slot(Kind.OBSERVATION)

    def _may_lead(self) -> bool:
        desk = self._desk
        return desk.is_free and desk.leader == desk.me and desk.is_current and not desk.silent

    def _usable(self, slot: Slot, query_digest: Hash32) -> tuple[SignedObservation, ...]:
        desk, usable = self._desk, []
        for observer, entry in sorted(desk.inbox.at(slot).items()):
            message = entry.message
            if not isinstance(message, Observation) or (observer, slot) in self._mismatched:
                continue
            try:
                if message.query_digest != query_digest:
                    raise ObservationRefused("answer the query that was asked", slot=slot)
                self._check(slot.seq, observer, message.payload)
            except PeerError as error:
                self._mismatched.add((observer, slot))
                desk.fault(observer, error)
            else:
                usable.append(SignedObservation(observer, message.payload, message.signature))
        return tuple(usable)

    def _check(self, seq: int, observer: int, payload: bytes) -> None:
        try:
            self._validate(seq, observer, payload)
        except HypothecError as error:
            raise ObservationRefused(error.message, **error.values | {"observer": observer, "seq": seq}) from error

    # === followers, the leader among them ===

    def observe(self) -> bool:
        """Upon the leader's round start: ask the application to observe."""
        desk = self._desk
        if not self._may_vote_freely() or desk.notary.at(desk.slot(Kind.OBSERVATION)):
            return False
        slot = desk.slot(Kind.ROUND_START)
        entry = desk.inbox.get(desk.leader, slot)
        if entry is None or not isinstance(entry.message, RoundStart) or self._requested == slot:
            return False
        self._requested = slot
        # Whoever leads next keeps the pace that this round began.
        self._round_due = max(self._round_due, desk.now + desk.config.timing.delta_round)
        desk.do(RequestObservation(desk.epoch, desk.seq, entry.message.query))
        return True

    def on_observation(self, epoch: int, seq: int, payload: bytes) -> None:
        """What the application observed goes to the leader, if the round still waits for it."""
        desk = self._desk
        asked = self._requested
        if asked is None or (epoch, seq) != (asked.epoch, asked.seq) or asked != desk.slot(Kind.ROUND_START):
            return
        entry = desk.inbox.get(desk.leader, asked)
        if entry is None or not isinstance(entry.message, RoundStart) or desk.silent:
            return
        if len(payload) > desk.config.limits.max_observation:
            raise LimitError(
                "keep the own observation within its bound",
                length=len(payload),
                bound=desk.config.limits.max_observation,
            )
        if not desk.notary.at(desk.slot(Kind.OBSERVATION)):
            desk.say(Observation(epoch, seq, entry.message.query_digest, payload), to=desk.leader)

    def examine(self) -> bool:
        """Upon the leader's proposal: check every observation in it. It is then a candidate."""
        desk = self._desk
        if not self._may_vote_freely():
            return False
        entry = desk.inbox.get(desk.leader, desk.slot(Kind.PROPOSAL))
        if entry is None or not isinstance(entry.message, Proposal):
            return False
        digest = entry.statement.digest
        if digest in desk.candidates:
            return False
        try:
            self._verify_proposal(entry.message)
        except PeerError as error:
            self._refuse(entry, error)
            return False
        while len(desk.candidates) >= _MOST_CANDIDATES:
            del desk.candidates[next(iter(desk.candidates))]
        desk.candidates[digest] = Candidate(entry.message, digest)
        return True

    def derive(self) -> bool:
        """Upon a candidate for the next outcome to install: ask the application what it comes to."""
        desk = self._desk
        for candidate in desk.candidates.values():
            if not candidate.asked and candidate.proposal.seq == desk.installed + 1:
                candidate.asked = True
                proposal = candidate.proposal
                desk.do(DeriveOutcome(desk.epoch, proposal.seq, candidate.digest, proposal.attributed))
                return True
        return False

    def prepare(self) -> bool:
        """Upon an outcome of the leader's proposal, or upon being bound to one that is prepared: vote for it.

        The latter needs no outcome of this node's own: a quorum derived it, and honest nodes among them.
        """
        desk = self._desk
        if desk.silent or not desk.position.open or desk.notary.at(desk.slot(Kind.PREPARE)):
            return False
        bound = desk.position.bound_to
        if bound is not None and bound.seq == desk.seq:
            self._vote(bound.proposal, bound.proposal.statement.digest, bound.outcome)
            return True
        if not self._may_vote_freely():
            return False
        entry = desk.inbox.get(desk.leader, desk.slot(Kind.PROPOSAL))
        candidate = desk.candidates.get(entry.statement.digest) if entry else None
        if candidate is None or candidate.outcome is None:
            return False
        self._vote(candidate.proposal, candidate.digest, candidate.outcome)
        return True

    def commit(self) -> bool:
        """Upon a quorum of prepares like this node's own: keep them, and commit."""
        desk = self._desk
        own = desk.notary.at(desk.slot(Kind.PREPARE))
        if desk.silent or not isinstance(own, Prepare) or desk.notary.at(desk.slot(Kind.COMMIT)):
            return False
        candidate = desk.candidates.get(own.proposal_digest)
        if candidate is None:
            return False
        votes: dict[int, bytes] = {}
        for node, entry in desk.inbox.at(desk.slot(Kind.PREPARE)).items():
            if entry.statement == own.statement:
                votes[node] = entry.message.signature
            elif isinstance(entry.message, Prepare) and entry.message.proposal_digest == own.proposal_digest:
                self._report_mismatch(node, entry, own)
        if len(votes) < desk.config.quorum:
            return False
        chosen = {node: votes[node] for node in sorted(votes)[: desk.config.quorum]}
        prepared = Prepared.assemble(desk.epoch, own.outcome, chosen, candidate.proposal, desk.decided)
        record = desk.adopt_prepared(prepared)
        desk.say(Commit(desk.epoch, desk.seq, own.outcome), having=(record,))
        return True

    def certify(self) -> bool:
        """Upon a quorum of equal commits, of whatever epoch and later sequence number: it is decided."""
        desk = self._desk
        for slot, entries in desk.inbox.slots_of(Kind.COMMIT):
            if len(entries) < desk.config.quorum:
                continue
            by_outcome: dict[Hash32, dict[int, bytes]] = {}
            for node, entry in entries.items():
                by_outcome.setdefault(entry.statement.digest, {})[node] = entry.message.signature
            for outcome, signatures in by_outcome.items():
                if len(signatures) >= desk.config.quorum:
                    config = desk.config
                    self._decide(
                        CommitCertificate.assemble(
                            config.config_digest, slot.epoch, slot.seq, outcome, signatures, config.quorum
                        )
                    )
                    return True
        return False

    def forget(self) -> None:
        """The sequence number or the epoch has moved on."""
        desk = self._desk
        self._mismatched = {
            (node, slot) for node, slot in self._mismatched if slot.epoch >= desk.epoch and slot.seq >= desk.seq
        }

    def _may_vote_freely(self) -> bool:
        desk = self._desk
        return desk.is_free and desk.is_current and not desk.silent

    def _vote(self, proposal: Proposal, digest: Hash32, outcome: Hash32) -> None:
        desk = self._desk
        desk.say(Prepare(desk.epoch, desk.seq, proposal.epoch, digest, outcome, proposal.signature))

    def _verify_proposal(self, proposal: Proposal) -> None:
        desk = self._desk
        if len(proposal.observations) < desk.config.observation_quorum:
            raise ProposalRefused(
                "propose 2f+1 observations", have=len(proposal.observations), need=desk.config.observation_quorum
            )
        if proposal.observations[-1].observer >= desk.config.n:
            raise ProposalRefused("name observers of the network", observer=proposal.observations[-1].observer)
        for each in proposal.observations:
            desk.verify(each.observer, SignedStatement(proposal.observed(each), each.signature))
            self._check(proposal.seq, each.observer, each.payload)

    def _refuse(self, entry: Entry, error: PeerError) -> None:
        desk = self._desk
        desk.fault(desk.leader, ProposalRefused(error.message, **error.values))
        desk.inbox.drop(desk.leader, entry.statement.slot)

    def _report_mismatch(self, node: int, entry: Entry, own: Prepare) -> None:
        slot = entry.statement.slot
        if isinstance(entry.message, Prepare) and (node, slot) not in self._mismatched:
            self._mismatched.add((node, slot))
            error = OutcomeMismatch(
                "compare the derivations of one proposal",
                proposal=own.proposal_digest,
                ours=own.outcome,
                theirs=entry.message.outcome,
            )
            self._desk.fault(node, error)
