"""The certificate of a margin state: proof that a quorum of nodes committed one outcome at one sequence number.

Owns the certificate as a value, its one byte form, what each signature in it stands for, and its verification; a
client needs nothing else of consensus. Must not know how agreement is reached, nor what an outcome is.

Every consensus signature, these included, is ed25519 over 112 bytes:

    tag("consensus." + kind) ‖ config digest ‖ epoch (8) ‖ sequence (8) ‖ digest (32)

and here the kind is "commit" and the digest is the outcome's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

from chains.errors import QuorumError, SignatureError
from chains.types import Hash32
from node.model.codec import Malformed, Reader, Writer
from node.model.digests import tag

MAX_NODES = 31
"""The signer bitmask has four bytes and its top bit is never used, as in the contracts."""
SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32

_VERSION = 1
_COMMIT_TAG = tag("consensus.commit")


def quorum_of(n: int, f: int) -> int:
    """⌊(n+f)/2⌋+1: any two such sets of nodes share at least one honest node."""
    return (n + f) // 2 + 1


def statement_bytes(purpose: bytes, config_digest: bytes, epoch: int, seq: int, digest: bytes) -> bytes:
    """The 112 bytes that a node signs to make one statement of consensus."""
    return purpose + config_digest + epoch.to_bytes(8, "big") + seq.to_bytes(8, "big") + digest


def ed25519_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is the ed25519 signature of `message` under `public_key` (32 bytes)."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (CryptoError, ValueError):  # the second for a key of another length
        return False
    return True


@dataclass(frozen=True, slots=True)
class CommitCertificate:
    """A quorum of signed commits. `signers` is a bitmask of node indices, `signatures` are in index order."""

    config_digest: Hash32
    epoch: int
    seq: int
    outcome_digest: Hash32
    signers: int
    signatures: tuple[bytes, ...]

    @classmethod
    def assemble(
        cls,
        config_digest: Hash32,
        epoch: int,
        seq: int,
        outcome: Hash32,
        signatures: Mapping[int, bytes],
        quorum: int,
    ) -> Self:
        """Of exactly `quorum` of the signatures by node index (the lowest indices win). Raises QuorumError."""
        if len(signatures) < quorum:
            raise QuorumError("wait for more commits", have=len(signatures), need=quorum, seq=seq)
        chosen = sorted(signatures)[:quorum]
        mask = sum(1 << index for index in chosen)
        return cls(config_digest, epoch, seq, outcome, mask, tuple(signatures[index] for index in chosen))

    @property
    def signer_indices(self) -> tuple[int, ...]:
        """The indices of the nodes that signed, ascending."""
        return tuple(index for index in range(self.signers.bit_length()) if self.signers >> index & 1)

    @property
    def statement(self) -> bytes:
        """What every signer signed."""
        return statement_bytes(_COMMIT_TAG, self.config_digest, self.epoch, self.seq, self.outcome_digest)

    def encode(self) -> bytes:
        """Version, config digest, epoch, sequence, outcome digest, bitmask (4), then 64 bytes a signer."""
        writer = Writer().u8(_VERSION).raw(self.config_digest, 32).u64(self.epoch).u64(self.seq)
        writer.raw(self.outcome_digest, 32).u32(self.signers)
        for signature in self.signatures:
            writer.raw(signature, SIGNATURE_BYTES)
        return writer.done()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The certificate in `data`, nothing of it verified yet. Raises Malformed."""
        reader = Reader(data, "commit certificate")
        reader.version(_VERSION)
        config, epoch, seq = Hash32(reader.raw(32)), reader.u64(), reader.u64()
        outcome, signers = Hash32(reader.raw(32)), reader.u32()
        if signers >> MAX_NODES:
            raise Malformed("refuse a bitmask of more nodes than a network can have", mask=signers, bound=MAX_NODES)
        signatures = tuple(reader.raw(SIGNATURE_BYTES) for _ in range(signers.bit_count()))
        reader.done()
        return cls(config, epoch, seq, outcome, signers, signatures)


def verify_certificate(
    certificate: CommitCertificate, config_digest: Hash32, public_keys: Sequence[bytes], f: int
) -> tuple[int, ...]:
    """The indices of the nodes that certified, of a network of these ed25519 keys with at most `f` of them faulty.

    Raises SignatureError for another network, a signer that does not exist or a signature that does not hold, and
    QuorumError for any other count of signers than the quorum.
    """
    if certificate.config_digest != config_digest:
        raise SignatureError(
            "refuse the certificate of another network", theirs=certificate.config_digest, ours=config_digest
        )
    if certificate.signers >> len(public_keys):
        raise SignatureError("refuse a signer that does not exist", mask=certificate.signers, nodes=len(public_keys))
    indices, quorum = certificate.signer_indices, quorum_of(len(public_keys), f)
    if len(indices) != quorum or len(certificate.signatures) != quorum:
        raise QuorumError("give the commits of exactly a quorum", have=len(indices), need=quorum, seq=certificate.seq)
    statement = certificate.statement
    for index, signature in zip(indices, certificate.signatures, strict=True):
        if not ed25519_holds(public_keys[index], statement, signature):
            raise SignatureError("refuse a commit that its node did not sign", node=index, seq=certificate.seq)
    return indices
