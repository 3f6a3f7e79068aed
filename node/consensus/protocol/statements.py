"""What a node puts its name to: statements, their slots, and the evidence of two that exclude each other.

A statement says "of this kind, in this epoch, at this sequence number: this digest". Kind, epoch and sequence number
are its slot; an honest node makes at most one statement in a slot, whatever happens to it. Two different ones under one
key are `Evidence`, which anybody who has the network's keys can check. Must not know message bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from chains.errors import SignatureError
from chains.types import Hash32
from node.consensus.protocol.config import ConsensusConfig
from node.model.certificate import SIGNATURE_BYTES, ed25519_holds, statement_bytes
from node.model.codec import Malformed, Reader, Writer
from node.model.digests import tag


class Kind(IntEnum):
    """The kinds of message; the number is the kind byte on the wire."""

    NEW_EPOCH_WISH = 1
    EPOCH_START_REQUEST = 2
    EPOCH_START = 3
    ROUND_START = 4
    OBSERVATION = 5
    PROPOSAL = 6
    PREPARE = 7
    COMMIT = 8
    DECIDED = 9
    STATUS_REQUEST = 10
    STATUS = 11


_PURPOSES = {kind: tag("consensus." + kind.name.lower()) for kind in Kind}

SLOT_KINDS = frozenset(range(Kind.EPOCH_START_REQUEST, Kind.DECIDED))
"""Kinds of which a node makes one statement a slot. The rest repeat, or carry what proves itself."""


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """Where at most one statement of a node may stand; `seq` is 0 where an epoch has only one of the kind."""

    epoch: int
    seq: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Statement:
    """One digest in one slot."""

    kind: Kind
    epoch: int
    seq: int
    digest: Hash32

    @property
    def slot(self) -> Slot:
        return Slot(self.epoch, self.seq, self.kind)

    def to_sign(self, config_digest: Hash32) -> bytes:
        """The bytes that are signed; see node.model.certificate."""
        return statement_bytes(_PURPOSES[self.kind], config_digest, self.epoch, self.seq, self.digest)

    def holds(self, config: ConsensusConfig, signer: int, signature: bytes) -> bool:
        """Whether node `signer` signed it."""
        return ed25519_holds(config.keys[signer], self.to_sign(config.config_digest), signature)


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement with the signature of a node that is named where this is used."""

    statement: Statement
    signature: bytes

    def write(self, writer: Writer) -> None:
        """Kind (1), epoch (8), sequence (8), digest (32), signature (64)."""
        said = self.statement
        writer.u8(said.kind).u64(said.epoch).u64(said.seq).raw(said.digest, 32)
        writer.raw(self.signature, SIGNATURE_BYTES)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Raises Malformed."""
        kind = reader.u8()
        if kind not in _PURPOSES:
            raise Malformed("refuse an unknown kind of statement", kind=kind)
        said = Statement(Kind(kind), reader.u64(), reader.u64(), Hash32(reader.raw(32)))
        return cls(said, reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two statements of one node for one slot. The smaller digest comes first, so that one fault has one encoding."""

    signer: int
    first: SignedStatement
    second: SignedStatement

    @classmethod
    def of(cls, signer: int, one: SignedStatement, other: SignedStatement) -> Self:
        """In canonical order."""
        return cls(signer, *sorted((one, other), key=lambda signed: signed.statement.digest))

    def encode(self) -> bytes:
        """Version (1), signer (1), the two signed statements."""
        writer = Writer().u8(1).u8(self.signer)
        self.first.write(writer)
        self.second.write(writer)
        return writer.done()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises Malformed. Nothing is verified."""
        reader = Reader(data, "evidence")
        reader.version(1)
        evidence = cls(reader.u8(), SignedStatement.read(reader), SignedStatement.read(reader))
        reader.done()
        return evidence


def verify_evidence(config: ConsensusConfig, evidence: Evidence) -> None:
    """Check that the node named in it signed two different statements for one slot.

    Raises SignatureError when it proves nothing: no such node, not one slot, not two digests, or a signature that
    does not hold under the network's configuration digest.
    """
    first, second = evidence.first.statement, evidence.second.statement
    if evidence.signer >= config.n:
        raise SignatureError("name a node of the network", node=evidence.signer, nodes=config.n)
    if first.slot != second.slot or first.kind not in SLOT_KINDS:
        raise SignatureError("show two statements for one slot", first=first, second=second)
    if first.digest >= second.digest:
        raise SignatureError("show two different statements, the smaller digest first", first=first, second=second)
    for signed in (evidence.first, evidence.second):
        if not signed.statement.holds(config, evidence.signer, signed.signature):
            raise SignatureError("show statements that the node signed", node=evidence.signer)
