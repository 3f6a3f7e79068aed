"""The one place where this node signs: a slot gets one message, also across restarts.

Owns what was signed and may still be sent again. Must not know when a message is due. A signature made here leaves the
node only behind the `Persist` of its record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from chains.types import Hash32
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.errors import SlotConflict
from node.consensus.protocol.journal import JournalState, SignedRecord
from node.consensus.protocol.messages import Message, decode_message, encode_message
from node.consensus.protocol.statements import SLOT_KINDS, Slot, Statement

_M = TypeVar("_M", bound=Message)


class Signer(Protocol):
    """This node's ed25519 key. Deterministic, and quick enough to be called in the event loop."""

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`."""
        ...


@dataclass(frozen=True, slots=True)
class Issued:
    """A message of this node's own, as it stands in its slot, and when it was last (re)sent (nanoseconds)."""

    message: Message
    statement: Statement
    raw: bytes
    at: int


class Notary:
    """Signs, remembers, refuses.

    Raises SlotConflict for a second message in a slot, for a slot that the network is past, and for any message that
    has a slot while the node keeps silent.
    """

    def __init__(self, config: ConsensusConfig, signer: Signer, state: JournalState) -> None:
        self._config = config
        self._signer = signer
        self._issued: dict[Slot, Issued] = {}
        self.silent = not state.intact
        self._epoch = state.epoch
        self._decided = state.decided.seq if state.decided else 0
        # Whoever signs at a sequence number has written down before that the one below is decided.
        self._furthest = (self._epoch, self._decided + 1)
        for record in state.signed:
            message = decode_message(record.raw, config)
            self._issued[record.slot] = Issued(message, message.statement, record.raw, 0)

    @property
    def issued(self) -> list[Issued]:
        """What may still be sent again, by slot."""
        return [self._issued[slot] for slot in sorted(self._issued)]

    def at(self, slot: Slot) -> Message | None:
        """What this node said in the slot."""
        issued = self._issued.get(slot)
        return issued.message if issued else None

    def accounts_for(self, statement: Statement) -> bool:
        """Whether an intact journal can stand behind a statement that peers hold of this key.

        It stands in its slot still; or it is past, and no further than this journal had got or this life has signed.
        """
        slot, issued = statement.slot, self._issued.get(statement.slot)
        if issued:
            return issued.statement == statement
        furthest_epoch, furthest_seq = self._furthest
        return self._is_past(slot) and slot.epoch <= furthest_epoch and slot.seq <= furthest_seq

    def sign(self, message: _M, now: int) -> tuple[_M, bytes, SignedRecord | None]:
        """The signed message, its bytes, and the record to write before they leave (None: nothing to remember)."""
        statement = message.statement
        if statement.kind not in SLOT_KINDS:
            signed = self._with_signature(message, statement)
            return signed, encode_message(signed), None
        slot = statement.slot
        if self.silent:
            raise SlotConflict("keep silent until the peers have told how far this node had got", slot=slot)
        if self._is_past(slot):
            raise SlotConflict("sign nothing in a slot that is past", slot=slot, epoch=self._epoch)
        if slot in self._issued:
            raise SlotConflict(
                "sign one message a slot",
                slot=slot,
                first=self._issued[slot].statement.digest,
                second=statement.digest,
            )
        signed = self._with_signature(message, statement)
        raw = encode_message(signed)
        self._furthest = (max(self._furthest[0], slot.epoch), max(self._furthest[1], slot.seq))
        self._issued[slot] = Issued(signed, statement, raw, now)
        return signed, raw, SignedRecord(slot, Hash32(statement.digest), raw)

    def resent(self, slot: Slot, now: int) -> None:
        """Note that the message in the slot was sent again."""
        self._issued[slot] = replace(self._issued[slot], at=now)

    def advance(self, epoch: int, decided: int) -> None:
        """From now on sign only in this epoch or later, and only above this sequence number."""
        self._epoch, self._decided = epoch, decided
        for slot in [slot for slot in self._issued if self._is_past(slot)]:
            del self._issued[slot]

    def _is_past(self, slot: Slot) -> bool:
        return slot.epoch < self._epoch or 0 < slot.seq <= self._decided

    def _with_signature(self, message: _M, statement: Statement) -> _M:
        return replace(message, signature=self._signer.sign(statement.to_sign(self._config.config_digest)))
