"""secp256k1 signatures: recovering who signed a digest, and the packed form that the contracts read.

Owners and venues sign with 65 bytes (r ‖ s ‖ v, v in {27, 28}). Nodes sign for chains with 64 bytes (r ‖ s), s chosen
so that v is always 27; a set of them is a 4-byte bitmask of node indices and then the signatures in index order.
Must not know what is signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import coincurve

from chains.errors import QuorumError, SignatureError
from chains.proofs.keccak import keccak
from chains.types import Address, Hash32

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER = _ORDER // 2


def address_of(public_key: coincurve.PublicKey) -> Address:
    """The Ethereum address of a public key."""
    return Address(keccak(public_key.format(compressed=False)[1:])[12:])


def recover(digest: Hash32, signature: bytes) -> Address:
    """Who made a 65-byte signature over `digest`. Raises SignatureError; high-s forms are refused (EIP-2)."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise SignatureError("give a 65-byte signature r, s, v with v 27 or 28", length=len(signature))
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise SignatureError("give the low-s form of the signature", digest=digest)
    return _recover(digest, signature[:64] + bytes([signature[64] - 27]))


def recover_compact(digest: Hash32, signature: bytes) -> Address:
    """Who made a 64-byte signature whose v is 27. Raises SignatureError."""
    if len(signature) != 64:
        raise SignatureError("give a 64-byte signature r, s", length=len(signature))
    return _recover(digest, signature + b"\0")


def _recover(digest: Hash32, recoverable: bytes) -> Address:
    try:
        key = coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception and ValueError for every bad signature
        raise SignatureError("refuse a signature that recovers to no key", digest=digest) from error
    return address_of(key)


def sign(key: coincurve.PrivateKey, digest: Hash32) -> bytes:
    """A 65-byte low-s signature, as owners and venues make."""
    made = key.sign_recoverable(digest, hasher=None)
    return made[:64] + bytes([made[64] + 27])


def sign_compact(key: coincurve.PrivateKey, digest: Hash32) -> bytes:
    """A 64-byte signature with v = 27, as nodes make for the contracts (deterministic: RFC 6979)."""
    made = key.sign_recoverable(digest, hasher=None)
    if made[64] == 0:
        return made[:64]
    flipped = _ORDER - int.from_bytes(made[32:64], "big")
    return made[:32] + flipped.to_bytes(32, "big")


def pack(signatures: Mapping[int, bytes], quorum: int) -> bytes:
    """The contract form of exactly `quorum` signatures by node index (the lowest indices win). Raises QuorumError."""
    if len(signatures) < quorum:
        raise QuorumError("wait for more signatures", have=len(signatures), need=quorum)
    chosen = sorted(signatures)[:quorum]
    mask = sum(1 << index for index in chosen)
    return mask.to_bytes(4, "big") + b"".join(signatures[index] for index in chosen)


def verify_packed(digest: Hash32, packed: bytes, signers: Sequence[Address], quorum: int) -> tuple[int, ...]:
    """The node indices whose signatures over `digest` are packed, as the contract checks them.

    Raises SignatureError for a wrong form or signer, QuorumError for another count than `quorum`.
    """
    if len(packed) < 4:
        raise SignatureError("give a 4-byte bitmask before the signatures", length=len(packed))
    mask = int.from_bytes(packed[:4], "big")
    if mask >> len(signers):
        raise SignatureError("refuse a signature of a node that does not exist", mask=mask, nodes=len(signers))
    indices = tuple(index for index in range(len(signers)) if mask >> index & 1)
    if len(indices) != quorum:
        raise QuorumError("give exactly a quorum of signatures", have=len(indices), need=quorum)
    if len(packed) != 4 + 64 * quorum:
        raise SignatureError("give 64 bytes a signature", length=len(packed), signatures=quorum)
    for position, index in enumerate(indices):
        signer = recover_compact(digest, packed[4 + 64 * position : 68 + 64 * position])
        if signer != signers[index]:
            raise SignatureError("refuse a signature by another key", node=index, signer=signer)
    return indices
