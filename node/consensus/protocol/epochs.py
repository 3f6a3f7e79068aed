"""How an epoch starts, and on what it builds.

Every node shows the leader the highest certificate that it holds, and the leader proves to all what the highest among a
quorum of them is. A quorum of requests and a quorum of commits share an honest node, so what was committed anywhere is
never below what an epoch builds on; see OCR3. Must not know how rounds run, nor when epochs end.
"""

from __future__ import annotations

from collections.abc import Callable

from chains.errors import PeerError, QuorumError, SignatureError
from node.consensus.protocol.certified import Certified, Prepared, rank_of, verify_certified
from node.consensus.protocol.desk import Candidate, Desk, Position
from node.consensus.protocol.effects import EpochEntered
from node.consensus.protocol.errors import ProposalRefused
from node.consensus.protocol.events import TimerName
from node.consensus.protocol.inbox import Entry
from node.consensus.protocol.journal import EpochRecord
from node.consensus.protocol.messages import EpochStart, EpochStartRequest, RankProof
from node.consensus.protocol.statements import Kind, SignedStatement
from node.model.certificate import CommitCertificate


class Epochs:
    """`decide` takes a verified commit certificate; `give_up` is called when the leader proves to be faulty."""

    def __init__(self, desk: Desk, decide: Callable[[CommitCertificate], None], give_up: Callable[[], None]) -> None:
        self._desk = desk
        self._decide = decide
        self._give_up = give_up

    def enter(self, epoch: int) -> None:
        """Go to a later epoch, for good. What was heard for it already counts."""
        desk = self._desk
        desk.position = Position(epoch)
        desk.persist(EpochRecord(epoch))
        desk.notary.advance(epoch, desk.decided_seq)
        desk.inbox.prune(epoch, desk.decided_seq)
        desk.witness.prune(epoch, desk.decided_seq)
        desk.cancel(TimerName.GRACE)
        desk.cancel(TimerName.ROUND)
        desk.do(EpochEntered(epoch, desk.leader))

    def await_start(self) -> None:
        """Ask the leader to start the epoch, unless that was done before a restart, and wait for it."""
        desk = self._desk
        if desk.position.open:
            return
        desk.set_timer(TimerName.INITIAL, desk.config.timing.delta_initial)
        if desk.silent or desk.notary.at(desk.slot(Kind.EPOCH_START_REQUEST)):
            return
        highest = max((desk.decided, desk.prepared, None), key=rank_of)
        desk.say(EpochStartRequest(desk.epoch, highest), to=desk.leader)

    def proved_by(self, certificate: CommitCertificate) -> None:
        """A commit of this very epoch shows that it has started and that what it was bound to is settled."""
        position = self._desk.position
        position.open = True
        position.first_seq = position.first_seq or certificate.seq + 1

    def start(self) -> bool:
        """As the leader: upon a quorum of requests, prove to all what the epoch builds on."""
        desk = self._desk
        if not desk.epoch or desk.leader != desk.me or desk.silent or desk.position.open:
            return False
        if desk.notary.at(desk.slot(Kind.EPOCH_START)):
            return False
        slot, quorum = desk.slot(Kind.EPOCH_START_REQUEST), desk.config.quorum
        requests = {
            node: entry.message
            for node, entry in desk.inbox.at(slot).items()
            if isinstance(entry.message, EpochStartRequest)
        }
        if len(requests) < quorum:
            return False
        top = max(requests, key=lambda node: (rank_of(requests[node].highest), -node))
        try:
            verify_certified(requests[top].highest, desk.config)
        except (SignatureError, QuorumError) as error:
            desk.fault(top, ProposalRefused(error.message, **error.values))
            desk.inbox.drop(top, slot)
            return True
        shown = sorted([top, *sorted(set(requests) - {top})[: quorum - 1]])
        proofs = tuple(RankProof(node, rank_of(requests[node].highest), requests[node].signature) for node in shown)
        desk.say(EpochStart(desk.epoch, proofs, requests[top].highest))
        return True

    def open(self) -> bool:
        """Upon the leader's epoch start: check it, and take up what it proves."""
        desk = self._desk
        if not desk.epoch or desk.position.open:
            return False
        entry = desk.inbox.get(desk.leader, desk.slot(Kind.EPOCH_START))
        if entry is None or not isinstance(entry.message, EpochStart):
            return False
        try:
            self._verify(entry.message)
        except (PeerError, QuorumError) as error:
            self._refuse(entry, error)
        else:
            self._build_on(entry.message.highest)
        return True

    def _verify(self, start: EpochStart) -> None:
        desk = self._desk
        if len(start.proofs) != desk.config.quorum or start.proofs[-1].signer >= desk.config.n:
            raise QuorumError("show the requests of exactly a quorum", have=len(start.proofs), need=desk.config.quorum)
        for proof in start.proofs:
            desk.verify(proof.signer, SignedStatement(proof.rank.statement(start.epoch), proof.signature))
        highest = max(proof.rank for proof in start.proofs)
        if rank_of(start.highest) != highest:
            raise ProposalRefused("build on the highest rank that is shown", shown=highest, epoch=start.epoch)
        verify_certified(start.highest, desk.config)

    def _build_on(self, highest: Certified) -> None:
        desk, position = self._desk, self._desk.position
        desk.cancel(TimerName.INITIAL)
        position.open = True
        position.first_seq = rank_of(highest).seq + 1
        if isinstance(highest, CommitCertificate):
            self._decide(highest)
        elif isinstance(highest, Prepared):
            digest = highest.proposal.statement.digest
            position.bound_to = highest
            if highest.seq > desk.installed:
                desk.candidates.setdefault(digest, Candidate(highest.proposal, digest))
            if highest.parent:
                self._decide(highest.parent)

    def _refuse(self, entry: Entry, error: PeerError | QuorumError) -> None:
        desk = self._desk
        desk.fault(desk.leader, ProposalRefused(error.message, **error.values))
        desk.inbox.drop(desk.leader, entry.statement.slot)
        self._give_up()
