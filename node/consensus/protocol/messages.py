"""Every message of the agreement, with its one byte form.

    NewEpochWish       all → all        I would rather be in this epoch
    EpochStartRequest  all → leader     I entered this epoch; this is the highest that I hold a certificate of
    EpochStart         leader → all     the highest among a quorum of those, and the quorum to prove it
    RoundStart         leader → all     observe; the query, and the certificate that the round builds on
    Observation        all → leader     my signed inputs
    Proposal           leader → all     2f+1 or more of them: derive the outcome
    Prepare            all → all        I derived this outcome of this proposal
    Commit             all → all        I hold a quorum of prepares for this outcome
    Decided            any → laggard    this was committed
    StatusRequest      starting → all   what was committed, and what did I last say?
    Status             all → starting   the answer

A message is: version (1), kind (1), its fields, and the sender's ed25519 signature (64) of its statement. Decoding
checks form and bounds only; signatures are the core's business. Must not know when a message is due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self, TypeAlias

from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.consensus.protocol.certified import Certified, Rank, rank_of, read_certified, write_certified
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.errors import MalformedMessage, OversizedMessage
from node.consensus.protocol.proposal import Proposal, observation_statement, prepare_statement
from node.consensus.protocol.statements import Kind, SignedStatement, Statement
from node.model.certificate import SIGNATURE_BYTES, CommitCertificate
from node.model.codec import Malformed, Reader, Writer

VERSION = 1
NONCE_BYTES = 16
UNSIGNED = bytes(SIGNATURE_BYTES)
"""Stands in a message that is about to be signed."""

_NOTHING = Hash32(bytes(32))
_CERTIFICATE_BYTES = 4096


def _write_optional(writer: Writer, certificate: CommitCertificate | None) -> None:
    writer.var(certificate.encode() if certificate else b"")


def _read_optional(reader: Reader) -> CommitCertificate | None:
    data = reader.var(_CERTIFICATE_BYTES)
    return CommitCertificate.decode(data) if data else None


@dataclass(frozen=True, slots=True)
class NewEpochWish:
    """More than f of these pull a node along; more than 2f switch it to the epoch."""

    kind: ClassVar[Kind] = Kind.NEW_EPOCH_WISH
    epoch: int
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        return Statement(self.kind, self.epoch, 0, _NOTHING)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch)

    @classmethod
    def read(cls, reader: Reader, _: ConsensusConfig) -> Self:
        return cls(reader.u64(), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class EpochStartRequest:
    """The highest certificate that the sender holds, to the leader of `epoch`.

    Only its rank is signed: within one epoch and sequence number there can be but one certified value.
    """

    kind: ClassVar[Kind] = Kind.EPOCH_START_REQUEST
    epoch: int
    highest: Certified
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        return rank_of(self.highest).statement(self.epoch)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch)
        write_certified(writer, self.highest)

    @classmethod
    def read(cls, reader: Reader, config: ConsensusConfig) -> Self:
        return cls(reader.u64(), read_certified(reader, config), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class RankProof:
    """One node's signed word, in its epoch start request, on how high it had got."""

    signer: int
    rank: Rank
    signature: bytes

    def write(self, writer: Writer) -> None:
        self.rank.write(writer.u8(self.signer))
        writer.raw(self.signature, SIGNATURE_BYTES)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.u8(), Rank.read(reader), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class EpochStart:
    """Opens `epoch`: `highest` is the highest certificate among a quorum of requests, whose ranks `proofs` show."""

    kind: ClassVar[Kind] = Kind.EPOCH_START
    epoch: int
    proofs: tuple[RankProof, ...]
    highest: Certified
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        writer = Writer()
        writer.many(self.proofs, lambda w, proof: proof.write(w))
        write_certified(writer, self.highest)
        return Statement(self.kind, self.epoch, 0, keccak(writer.done()))

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch).many(self.proofs, lambda w, proof: proof.write(w))
        write_certified(writer, self.highest)

    @classmethod
    def read(cls, reader: Reader, config: ConsensusConfig) -> Self:
        epoch, proofs = reader.u64(), reader.many(RankProof.read, config.n)
        reader.ascending((proof.signer for proof in proofs), "signers")
        return cls(epoch, proofs, read_certified(reader, config), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class RoundStart:
    """Asks for observations. `parent` certifies `seq` - 1 (None at the first); it is not signed, it proves itself."""

    kind: ClassVar[Kind] = Kind.ROUND_START
    epoch: int
    seq: int
    parent: CommitCertificate | None
    query: bytes
    signature: bytes = UNSIGNED

    @property
    def query_digest(self) -> Hash32:
        return keccak(self.query)

    @property
    def statement(self) -> Statement:
        return Statement(self.kind, self.epoch, self.seq, self.query_digest)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch).u64(self.seq)
        _write_optional(writer, self.parent)
        writer.var(self.query)

    @classmethod
    def read(cls, reader: Reader, config: ConsensusConfig) -> Self:
        epoch, seq, parent = reader.u64(), reader.u64(), _read_optional(reader)
        return cls(epoch, seq, parent, reader.var(config.limits.max_query), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class Observation:
    """The sender's inputs for one round; `payload` is the application's, opaque here."""

    kind: ClassVar[Kind] = Kind.OBSERVATION
    epoch: int
    seq: int
    query_digest: Hash32
    payload: bytes
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        return observation_statement(self.epoch, self.seq, self.query_digest, self.payload)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch).u64(self.seq).raw(self.query_digest, 32).var(self.payload)

    @classmethod
    def read(cls, reader: Reader, config: ConsensusConfig) -> Self:
        epoch, seq, query = reader.u64(), reader.u64(), Hash32(reader.raw(32))
        return cls(epoch, seq, query, reader.var(config.limits.max_observation), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class Prepare:
    """The sender derived `outcome` from the proposal.

    `leader_signature` is the leader's on that proposal, so that a leader that made two of them is known to everybody
    who hears of both.
    """

    kind: ClassVar[Kind] = Kind.PREPARE
    epoch: int
    seq: int
    proposal_epoch: int
    proposal_digest: Hash32
    outcome: Hash32
    leader_signature: bytes
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        return prepare_statement(self.epoch, self.seq, self.proposal_digest, self.outcome)

    @property
    def proposed(self) -> SignedStatement:
        """What the leader of `proposal_epoch` is said to have signed."""
        said = Statement(Kind.PROPOSAL, self.proposal_epoch, self.seq, self.proposal_digest)
        return SignedStatement(said, self.leader_signature)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch).u64(self.seq).u64(self.proposal_epoch)
        writer.raw(self.proposal_digest, 32).raw(self.outcome, 32).raw(self.leader_signature, SIGNATURE_BYTES)

    @classmethod
    def read(cls, reader: Reader, _: ConsensusConfig) -> Self:
        epoch, seq, proposal_epoch = reader.u64(), reader.u64(), reader.u64()
        proposal, outcome = Hash32(reader.raw(32)), Hash32(reader.raw(32))
        leader, own = reader.raw(SIGNATURE_BYTES), reader.raw(SIGNATURE_BYTES)
        return cls(epoch, seq, proposal_epoch, proposal, outcome, leader, own)


@dataclass(frozen=True, slots=True)
class Commit:
    """The sender holds, and has stored, a quorum of prepares for `outcome`."""

    kind: ClassVar[Kind] = Kind.COMMIT
    epoch: int
    seq: int
    outcome: Hash32
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        return Statement(self.kind, self.epoch, self.seq, self.outcome)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch).u64(self.seq).raw(self.outcome, 32)

    @classmethod
    def read(cls, reader: Reader, _: ConsensusConfig) -> Self:
        return cls(reader.u64(), reader.u64(), Hash32(reader.raw(32)), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class Decided:
    """What a node that fell behind needs to know."""

    kind: ClassVar[Kind] = Kind.DECIDED
    certificate: CommitCertificate
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        told = self.certificate
        return Statement(self.kind, told.epoch, told.seq, told.outcome_digest)

    def write(self, writer: Writer) -> None:
        writer.var(self.certificate.encode())

    @classmethod
    def read(cls, reader: Reader, _: ConsensusConfig) -> Self:
        certificate = CommitCertificate.decode(reader.var(_CERTIFICATE_BYTES))
        return cls(certificate, reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """The sender has just started. The nonce is fresh, so that an old answer does not count."""

    kind: ClassVar[Kind] = Kind.STATUS_REQUEST
    nonce: bytes
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        return Statement(self.kind, 0, 0, keccak(self.nonce))

    def write(self, writer: Writer) -> None:
        writer.raw(self.nonce, NONCE_BYTES)

    @classmethod
    def read(cls, reader: Reader, _: ConsensusConfig) -> Self:
        return cls(reader.raw(NONCE_BYTES), reader.raw(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class Status:
    """To `asker`: the highest that was committed, and the asker's own highest statements (by epoch, by sequence).

    The asker's own signatures prove the latter, so a liar cannot inflate them.
    """

    kind: ClassVar[Kind] = Kind.STATUS
    asker: int
    nonce: bytes
    decided: CommitCertificate | None
    yours: tuple[SignedStatement, ...]
    signature: bytes = UNSIGNED

    @property
    def statement(self) -> Statement:
        writer = Writer()
        self.write(writer)
        return Statement(self.kind, 0, 0, keccak(writer.done()))

    def write(self, writer: Writer) -> None:
        writer.u8(self.asker).raw(self.nonce, NONCE_BYTES)
        _write_optional(writer, self.decided)
        writer.many(self.yours, lambda w, signed: signed.write(w))

    @classmethod
    def read(cls, reader: Reader, _: ConsensusConfig) -> Self:
        asker, nonce, decided = reader.u8(), reader.raw(NONCE_BYTES), _read_optional(reader)
        return cls(asker, nonce, decided, reader.many(SignedStatement.read, 2), reader.raw(SIGNATURE_BYTES))


Message: TypeAlias = (
    NewEpochWish
    | EpochStartRequest
    | EpochStart
    | RoundStart
    | Observation
    | Proposal
    | Prepare
    | Commit
    | Decided
    | StatusRequest
    | Status
)

_READERS: dict[int, Callable[[Reader, ConsensusConfig], Message]] = {
    Kind.NEW_EPOCH_WISH: NewEpochWish.read,
    Kind.EPOCH_START_REQUEST: EpochStartRequest.read,
    Kind.EPOCH_START: EpochStart.read,
    Kind.ROUND_START: RoundStart.read,
    Kind.OBSERVATION: Observation.read,
    Kind.PROPOSAL: Proposal.read,
    Kind.PREPARE: Prepare.read,
    Kind.COMMIT: Commit.read,
    Kind.DECIDED: Decided.read,
    Kind.STATUS_REQUEST: StatusRequest.read,
    Kind.STATUS: Status.read,
}


def encode_message(message: Message) -> bytes:
    """The wire form."""
    writer = Writer().u8(VERSION).u8(message.kind)
    message.write(writer)
    return writer.raw(message.signature, SIGNATURE_BYTES).done()


def decode_message(raw: bytes, config: ConsensusConfig) -> Message:
    """What a peer sent, in form and within bounds, with nothing verified.

    Raises MalformedMessage or OversizedMessage.
    """
    if len(raw) > config.max_message:
        raise OversizedMessage("refuse a message over its bound", length=len(raw), bound=config.max_message)
    try:
        reader = Reader(raw, "consensus message")
        reader.version(VERSION)
        kind = reader.u8()
        read = _READERS.get(kind)
        if read is None:
            raise MalformedMessage("refuse a message of an unknown kind", kind=kind)
        message = read(reader, config)
        reader.done()
    except Malformed as error:
        raise MalformedMessage(error.message, **error.values) from error
    return message
