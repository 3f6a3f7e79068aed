"""What a node asks of its peers when it starts, and when one that lost its journal may speak again.

A key without its journal may have signed anything, anywhere up to two sequence numbers above what an honest peer knows
to be decided: whoever signs at s holds a certificate of s-1, so a quorum has committed there and holds one of s-2, and
of that quorum an honest node is among the `recovery_quorum` that reports. So the node keeps silent until it followed
the network beyond that, and beyond the highest statements of its own that its peers show it. Must not know how it
follows.
"""

from __future__ import annotations

from node.consensus.protocol.desk import Desk
from node.consensus.protocol.journal import RecoveryRecord
from node.consensus.protocol.messages import Status, StatusRequest
from node.consensus.protocol.statements import SignedStatement

_AHEAD_OF_REPORTS = 2


class Recovery:
    """Silence lasts until `may_speak`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._nonce = b""
        self._reported: dict[int, int] = {}
        self._own_epoch = 0
        self._own_seq = 0
        self._answered: dict[int, int] = {}

    def begin(self, nonce: bytes) -> None:
        """Ask everybody, under a fresh nonce."""
        self._nonce = nonce
        if self._desk.silent:
            self._desk.persist(RecoveryRecord(silent=True))
        self.ask()

    def ask(self) -> None:
        """Ask everybody (again)."""
        self._desk.say(StatusRequest(self._nonce))

    @property
    def needs_reports(self) -> bool:
        """Whether a silent node has not heard from enough peers yet."""
        return self._desk.silent and len(self._reported) < self._desk.config.recovery_quorum

    def answer(self, asker: int, request: StatusRequest) -> bool:
        """Tell a peer that started what it may need; not more often than it should ask. Whether it was answered."""
        desk = self._desk
        if self._answered.get(asker, 0) > desk.now:
            return False
        self._answered[asker] = desk.now + desk.config.timing.delta_resend // 2
        desk.say(Status(asker, request.nonce, desk.decided, desk.witness.highest(asker)), to=asker)
        return True

    def on_status(self, sender: int, status: Status) -> None:
        """A peer's verified report, whose certificate the caller has taken up."""
        desk = self._desk
        if status.asker != desk.me or status.nonce != self._nonce:
            return
        for signed in status.yours:
            self._heed(signed)
        self._reported[sender] = status.decided.seq if status.decided else 0

    def resume(self) -> bool:
        """Speak again, once everything that this key can have signed is past."""
        desk = self._desk
        if not desk.silent or self.needs_reports or desk.decided is None:
            return False
        bound = max(max(self._reported.values()) + _AHEAD_OF_REPORTS, self._own_seq)
        if desk.decided.seq < bound or desk.decided.epoch < self._own_epoch or not desk.is_current:
            return False
        desk.notary.silent = False
        desk.persist(RecoveryRecord(silent=False))
        return True

    def _heed(self, signed: SignedStatement) -> None:
        """A statement of this node's own. One that the journal does not have proves that the journal is not intact."""
        desk, said = self._desk, signed.statement
        if not said.holds(desk.config, desk.me, signed.signature):
            return
        self._own_epoch = max(self._own_epoch, said.epoch)
        self._own_seq = max(self._own_seq, said.seq)
        if not desk.silent and not desk.notary.accounts_for(said):
            desk.notary.silent = True
            desk.persist(RecoveryRecord(silent=True))
