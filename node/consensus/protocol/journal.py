"""What a node writes down before it signs, and what it makes of it after a restart.

Owns the records, their byte form and the state they fold into. Must not know where they are kept: a store keeps the
latest record of each `key` and may forget what `JournalState` would drop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self, TypeAlias

from chains.types import Hash32
from node.consensus.protocol.certified import Prepared
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.statements import SLOT_KINDS, Kind, Slot
from node.model.certificate import CommitCertificate
from node.model.codec import Malformed, Reader, Writer


class RecordType(IntEnum):
    """The first byte of a record."""

    SIGNED = 1
    EPOCH = 2
    PREPARED = 3
    DECIDED = 4
    RECOVERY = 5


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """This message, with this digest, is the one that stands in this slot."""

    slot: Slot
    digest: Hash32
    raw: bytes

    @property
    def key(self) -> str:
        return f"signed/{self.slot.epoch}/{self.slot.seq}/{self.slot.kind.value}"


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """This epoch was entered; the node signs for no earlier one."""

    epoch: int
    key: str = "epoch"


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """The highest prepared outcome that this node knows, kept until the next one replaces it."""

    prepared: Prepared
    key: str = "prepared"


@dataclass(frozen=True, slots=True)
class DecidedRecord:
    """The highest commit certificate that this node knows; it signs for no sequence number up to it."""

    certificate: CommitCertificate
    key: str = "decided"


@dataclass(frozen=True, slots=True)
class RecoveryRecord:
    """Whether this journal is still silent because its predecessor was lost."""

    silent: bool
    key: str = "recovery"


Record: TypeAlias = SignedRecord | EpochRecord | PreparedRecord | DecidedRecord | RecoveryRecord


@dataclass(frozen=True, slots=True)
class JournalState:
    """All that a core needs to go on. `signed` holds only what may still be sent again."""

    intact: bool
    epoch: int = 0
    decided: CommitCertificate | None = None
    prepared: Prepared | None = None
    signed: tuple[SignedRecord, ...] = ()

    @classmethod
    def empty(cls) -> Self:
        """A journal made together with the network: this key has never signed anything."""
        return cls(intact=True)

    @classmethod
    def missing(cls) -> Self:
        """No journal, or an imported or restored one: this key may have signed anything.

        The node keeps silent until its peers have told how far it can have got.
        """
        return cls(intact=False)

    @classmethod
    def replay(cls, records: Iterable[Record]) -> Self:
        """The state of an intact journal, from its records in any order; later ones of one key win."""
        latest = {record.key: record for record in records}
        state = cls(intact=True)
        for record in latest.values():
            match record:
                case EpochRecord(epoch):
                    state = replace(state, epoch=epoch)
                case DecidedRecord(certificate):
                    state = replace(state, decided=certificate)
                case PreparedRecord(prepared):
                    state = replace(state, prepared=prepared)
                case RecoveryRecord(silent):
                    state = replace(state, intact=not silent)
                case SignedRecord():
                    pass
        if state.decided:  # which shows that its epoch was entered, should the record of that be missing
            state = replace(state, epoch=max(state.epoch, state.decided.epoch))
        signed = tuple(
            record for record in latest.values() if isinstance(record, SignedRecord) and not state.is_past(record.slot)
        )
        return replace(state, signed=tuple(sorted(signed, key=lambda record: record.slot)))

    def is_past(self, slot: Slot) -> bool:
        """Whether nothing is ever signed in this slot again, so that its record may be forgotten."""
        decided = self.decided.seq if self.decided else 0
        return slot.epoch < self.epoch or 0 < slot.seq <= decided


def encode_record(record: Record) -> bytes:
    """Type (1), then the record's fields."""
    match record:
        case SignedRecord(slot, digest, raw):
            writer = Writer().u8(RecordType.SIGNED).u64(slot.epoch).u64(slot.seq).u8(slot.kind)
            return writer.raw(digest, 32).var(raw).done()
        case EpochRecord(epoch):
            return Writer().u8(RecordType.EPOCH).u64(epoch).done()
        case PreparedRecord(prepared):
            writer = Writer().u8(RecordType.PREPARED)
            prepared.write(writer)
            return writer.done()
        case DecidedRecord(certificate):
            return Writer().u8(RecordType.DECIDED).var(certificate.encode()).done()
        case RecoveryRecord(silent):
            return Writer().u8(RecordType.RECOVERY).flag(silent).done()


def decode_record(data: bytes, config: ConsensusConfig) -> Record:
    """Raises Malformed: the journal is damaged, and must not be taken for an intact one."""
    reader = Reader(data, "journal record")
    which = reader.u8()
    record: Record
    match which:
        case RecordType.SIGNED:
            epoch, seq, kind = reader.u64(), reader.u64(), reader.u8()
            if kind not in SLOT_KINDS:
                raise Malformed("refuse a record of a kind that has no slot", kind=kind)
            record = SignedRecord(Slot(epoch, seq, Kind(kind)), Hash32(reader.raw(32)), reader.var())
        case RecordType.EPOCH:
            record = EpochRecord(reader.u64())
        case RecordType.PREPARED:
            record = PreparedRecord(Prepared.read(reader, config))
        case RecordType.DECIDED:
            record = DecidedRecord(CommitCertificate.decode(reader.var()))
        case RecordType.RECOVERY:
            record = RecoveryRecord(reader.flag())
        case _:
            raise Malformed("refuse an unknown type of record", type=which)
    reader.done()
    return record
