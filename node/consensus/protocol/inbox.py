"""What peers have said: messages that are yet of use, and every signed statement that could contradict another.

Both are bounded for each sender alone, so that nobody can crowd out anybody else. Must not know what messages lead to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.messages import Message
from node.consensus.protocol.statements import Evidence, Kind, SignedStatement, Slot, Statement

_MESSAGES_A_SENDER = 64
_STATEMENTS_A_SIGNER = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified message with its statement, and its size on the wire in bytes."""

    message: Message
    statement: Statement
    size: int


class Inbox:
    """Verified messages by slot and sender; the first in a slot stays.

    A sender that is over its bound loses its messages of the lowest slots first: they are the likeliest to be stale.
    """

    def __init__(self, config: ConsensusConfig) -> None:
        self._slots: dict[Slot, dict[int, Entry]] = {}
        self._held: dict[int, dict[Slot, int]] = {node: {} for node in range(config.n)}
        self._max_bytes = 3 * config.max_message

    def get(self, sender: int, slot: Slot) -> Entry | None:
        return self._slots.get(slot, {}).get(sender)

    def at(self, slot: Slot) -> dict[int, Entry]:
        """What was said in the slot, by sender. Not to be changed."""
        return self._slots.get(slot, {})

    def slots_of(self, kind: Kind) -> Iterator[tuple[Slot, dict[int, Entry]]]:
        """The slots in which there is a message of this kind, in no order."""
        return ((slot, entries) for slot, entries in self._slots.items() if slot.kind is kind)

    def put(self, sender: int, entry: Entry) -> int:
        """Keep a message whose slot is free, and tell how many others of this sender had to go for it."""
        slot, held = entry.statement.slot, self._held[sender]
        self._slots.setdefault(slot, {})[sender] = entry
        held[slot] = entry.size
        evicted = 0
        while len(held) > _MESSAGES_A_SENDER or (sum(held.values()) > self._max_bytes and len(held) > 1):
            self.drop(sender, min(held))
            evicted += 1
        return evicted

    def drop(self, sender: int, slot: Slot) -> None:
        """Forget one message."""
        del self._held[sender][slot]
        del self._slots[slot][sender]
        if not self._slots[slot]:
            del self._slots[slot]

    def prune(self, epoch: int, decided: int) -> None:
        """Forget all that is of an earlier epoch or not above this sequence number."""
        for slot in [slot for slot in self._slots if slot.epoch < epoch or 0 < slot.seq <= decided]:
            for sender in list(self._slots[slot]):
                self.drop(sender, slot)


class Witness:
    """Every verified statement that may yet be contradicted, whoever passed it on."""

    def __init__(self, config: ConsensusConfig) -> None:
        self._statements: dict[int, dict[Slot, SignedStatement]] = {node: {} for node in range(config.n)}
        self._by_epoch: dict[int, SignedStatement] = {}
        self._by_seq: dict[int, SignedStatement] = {}
        self._convicted: set[tuple[int, Slot]] = set()

    def has(self, signer: int, signed: SignedStatement) -> bool:
        """Whether just this was seen, and so verified, before."""
        return self._statements[signer].get(signed.statement.slot) == signed

    def contradicts(self, signer: int, signed: SignedStatement) -> bool:
        """Whether the signer said something else in that slot before."""
        before = self._statements[signer].get(signed.statement.slot)
        return before is not None and before.statement != signed.statement

    def record(self, signer: int, signed: SignedStatement) -> Evidence | None:
        """Remember a verified statement. Evidence, once a slot, if the signer said something else there before."""
        slot, known = signed.statement.slot, self._statements[signer]
        before = known.get(slot)
        if before is None:
            while len(known) >= _STATEMENTS_A_SIGNER:
                del known[min(known)]
            known[slot] = signed
            self._remember_highest(signer, signed)
            return None
        if before.statement == signed.statement or (signer, slot) in self._convicted:
            return None
        self._convicted.add((signer, slot))
        return Evidence.of(signer, before, signed)

    def highest(self, signer: int) -> tuple[SignedStatement, ...]:
        """The signer's statements of the highest epoch and of the highest sequence number: none, one or two."""
        found = [kept[signer] for kept in (self._by_epoch, self._by_seq) if signer in kept]
        return tuple(dict.fromkeys(found))

    def prune(self, epoch: int, decided: int) -> None:
        """Forget what is older than the slot that was decided last; that one stays, for late contradictions."""
        self._convicted = {(s, slot) for s, slot in self._convicted if not _is_old(slot, epoch, decided)}
        for known in self._statements.values():
            for slot in [slot for slot in known if _is_old(slot, epoch, decided)]:
                del known[slot]

    def _remember_highest(self, signer: int, signed: SignedStatement) -> None:
        said = signed.statement
        by_epoch, by_seq = self._by_epoch.get(signer), self._by_seq.get(signer)
        if by_epoch is None or said.epoch > by_epoch.statement.epoch:
            self._by_epoch[signer] = signed
        if by_seq is None or said.seq > by_seq.statement.seq:
            self._by_seq[signer] = signed


def _is_old(slot: Slot, epoch: int, decided: int) -> bool:
    return slot.epoch + 1 < epoch or 0 < slot.seq < decided
