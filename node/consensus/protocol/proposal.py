"""A leader's proposal: the signed observations of which everybody derives the outcome.

It stands alone because it outlives its round: a prepared certificate carries it into later epochs, so that every node
can recompute what was prepared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.statements import Kind, Statement
from node.model.certificate import SIGNATURE_BYTES
from node.model.codec import Reader, Writer


def observation_statement(epoch: int, seq: int, query_digest: Hash32, payload: bytes) -> Statement:
    """What an observer signs: its payload as the answer to one query."""
    return Statement(Kind.OBSERVATION, epoch, seq, keccak(query_digest + payload))


def prepare_statement(epoch: int, seq: int, proposal_digest: Hash32, outcome: Hash32) -> Statement:
    """What a prepare signs: the proposal and what was derived from it."""
    return Statement(Kind.PREPARE, epoch, seq, keccak(proposal_digest + outcome))


@dataclass(frozen=True, slots=True)
class SignedObservation:
    """One node's observation, as it signed it for the proposal's epoch, sequence number and query."""

    observer: int
    payload: bytes
    signature: bytes

    def write(self, writer: Writer) -> None:
        writer.u8(self.observer).var(self.payload).raw(self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class Proposal:
    """At least 2f+1 observations by ascending observer. `epoch` is the one it was made in, whenever it is used."""

    kind: ClassVar[Kind] = Kind.PROPOSAL
    epoch: int
    seq: int
    query_digest: Hash32
    observations: tuple[SignedObservation, ...]
    signature: bytes = bytes(SIGNATURE_BYTES)

    @property
    def attributed(self) -> tuple[tuple[int, bytes], ...]:
        """(observer, payload) by ascending observer: what an outcome is derived from."""
        return tuple((each.observer, each.payload) for each in self.observations)

    @property
    def statement(self) -> Statement:
        """Its digest is the proposal digest: keccak of all fields but the leader's signature."""
        writer = Writer()
        self.write(writer)
        return Statement(self.kind, self.epoch, self.seq, keccak(writer.done()))

    def observed(self, observation: SignedObservation) -> Statement:
        """What the observer of one of the observations signed."""
        return observation_statement(self.epoch, self.seq, self.query_digest, observation.payload)

    def write(self, writer: Writer) -> None:
        writer.u64(self.epoch).u64(self.seq).raw(self.query_digest, 32)
        writer.many(self.observations, lambda w, each: each.write(w))

    @classmethod
    def read(cls, reader: Reader, config: ConsensusConfig) -> Self:
        def one(reader: Reader) -> SignedObservation:
            observer, payload = reader.u8(), reader.var(config.limits.max_observation)
            return SignedObservation(observer, payload, reader.raw(SIGNATURE_BYTES))

        epoch, seq, query = reader.u64(), reader.u64(), Hash32(reader.raw(32))
        observations = reader.many(one, config.n)
        reader.ascending((each.observer for each in observations), "observers")
        return cls(epoch, seq, query, observations, reader.raw(SIGNATURE_BYTES))
