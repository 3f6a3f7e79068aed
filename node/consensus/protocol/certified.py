"""How high a node has got: nothing, a commit certificate, or a prepared outcome, and the order among them.

A prepared outcome is a quorum of prepares together with the proposal it is of, which is what a new leader needs to
propose it again. Must not know who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

from chains.errors import QuorumError, SignatureError
from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.proposal import Proposal, prepare_statement
from node.consensus.protocol.statements import Kind, Statement
from node.model.certificate import (
    MAX_NODES,
    SIGNATURE_BYTES,
    CommitCertificate,
    ed25519_holds,
    verify_certificate,
)
from node.model.codec import Malformed, Reader, Writer

_CERTIFICATE_BYTES = 4096


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """The order of certificates: sequence number, then committed over prepared, then the later epoch."""

    seq: int
    committed: bool
    epoch: int

    def write(self, writer: Writer) -> None:
        writer.u64(self.seq).flag(self.committed).u64(self.epoch)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls(reader.u64(), reader.flag(), reader.u64())

    def statement(self, epoch: int) -> Statement:
        """What a node signs to say that this is how high it had got when it entered `epoch`."""
        writer = Writer()
        self.write(writer)
        return Statement(Kind.EPOCH_START_REQUEST, epoch, 0, keccak(writer.done()))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A quorum of prepares, made in `epoch`, of one outcome of one proposal; `parent` certifies the one before."""

    epoch: int
    outcome: Hash32
    signers: int
    signatures: tuple[bytes, ...]
    proposal: Proposal
    parent: CommitCertificate | None

    @classmethod
    def assemble(
        cls,
        epoch: int,
        outcome: Hash32,
        signatures: Mapping[int, bytes],
        proposal: Proposal,
        parent: CommitCertificate | None,
    ) -> Self:
        """Of all the signatures by node index; the caller chose exactly a quorum of them."""
        chosen = sorted(signatures)
        mask = sum(1 << index for index in chosen)
        return cls(epoch, outcome, mask, tuple(signatures[index] for index in chosen), proposal, parent)

    @property
    def seq(self) -> int:
        return self.proposal.seq

    @property
    def statement(self) -> Statement:
        """What every signer signed."""
        return prepare_statement(self.epoch, self.seq, self.proposal.statement.digest, self.outcome)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch).raw(self.outcome, 32).u32(self.signers)
        for signature in self.signatures:
            writer.raw(signature, SIGNATURE_BYTES)
        writer.var(self.parent.encode() if self.parent else b"")
        self.proposal.write(writer)
        writer.raw(self.proposal.signature, SIGNATURE_BYTES)

    @classmethod
    def read(cls, reader: Reader, config: ConsensusConfig) -> Self:
        epoch, outcome, signers = reader.u64(), Hash32(reader.raw(32)), reader.u32()
        if signers >> MAX_NODES:
            raise Malformed("refuse a bitmask of more nodes than a network can have", mask=signers, bound=MAX_NODES)
        signatures = tuple(reader.raw(SIGNATURE_BYTES) for _ in range(signers.bit_count()))
        parent = reader.var(_CERTIFICATE_BYTES)
        proposal = Proposal.read(reader, config)
        decoded = CommitCertificate.decode(parent) if parent else None
        return cls(epoch, outcome, signers, signatures, proposal, decoded)

    def verify(self, config: ConsensusConfig) -> None:
        """Check the quorum's signatures, the proposing leader's, and the parent's.

        The observations need no second look: among the quorum are honest nodes that checked them, and their
        signatures cover the proposal. They do not cover the leader's signature, which every prepare carries on.
        Raises SignatureError or QuorumError.
        """
        proposal = self.proposal
        if not 0 < proposal.epoch <= self.epoch:
            raise SignatureError("show a proposal of this epoch or an earlier one", epoch=proposal.epoch)
        if not proposal.statement.holds(config, config.leader(proposal.epoch), proposal.signature):
            raise SignatureError("show a proposal that its leader signed", epoch=proposal.epoch, seq=self.seq)
        if self.signers >> config.n:
            raise SignatureError("refuse a signer that does not exist", mask=self.signers, nodes=config.n)
        if len(self.signatures) != config.quorum:
            raise QuorumError("give the prepares of exactly a quorum", have=len(self.signatures), need=config.quorum)
        signed, indices = self.statement.to_sign(config.config_digest), iter(range(config.n))
        for signature in self.signatures:
            index = next(i for i in indices if self.signers >> i & 1)
            if not ed25519_holds(config.keys[index], signed, signature):
                raise SignatureError("refuse a prepare that its node did not sign", node=index, seq=self.seq)
        if (self.parent.seq if self.parent else 0) != self.seq - 1:
            raise SignatureError("show the certificate that the prepared outcome builds on", seq=self.seq)
        if self.parent:
            verify_certificate(self.parent, config.config_digest, config.keys, config.f)


Certified: TypeAlias = CommitCertificate | Prepared | None
"""None is the beginning: nothing was ever certified."""

_NONE, _COMMITTED, _PREPARED = range(3)


def rank_of(certified: Certified) -> Rank:
    """Where it stands in the order."""
    if certified is None:
        return Rank(seq=0, committed=True, epoch=0)
    return Rank(certified.seq, isinstance(certified, CommitCertificate), certified.epoch)


def write_certified(writer: Writer, certified: Certified) -> None:
    """A byte that says which of the three, then the certificate."""
    if certified is None:
        writer.u8(_NONE)
    elif isinstance(certified, CommitCertificate):
        writer.u8(_COMMITTED).var(certified.encode())
    else:
        certified.write(writer.u8(_PREPARED))


def read_certified(reader: Reader, config: ConsensusConfig) -> Certified:
    """Raises Malformed. Nothing is verified."""
    which = reader.u8()
    if which == _NONE:
        return None
    if which == _COMMITTED:
        return CommitCertificate.decode(reader.var(_CERTIFICATE_BYTES))
    if which == _PREPARED:
        return Prepared.read(reader, config)
    raise Malformed("refuse an unknown kind of certificate", kind=which)


def verify_certified(certified: Certified, config: ConsensusConfig) -> None:
    """Raises SignatureError or QuorumError."""
    if isinstance(certified, Prepared):
        certified.verify(config)
    elif certified is not None:
        verify_certificate(certified, config.config_digest, config.keys, config.f)
