"""The one encoding of a quorum's signatures that the contracts take: `bitmask ‖ r ‖ s ‖ r ‖ s …`.

Owns that format (see `StateVerifier.sol`). Must not know digests, keys or how many signatures are enough.
"""

from __future__ import annotations

from collections.abc import Mapping

from chains.errors import InputError

MAX_SIGNERS = 31
"""Most signers of a configuration: one bit each."""

_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # of secp256k1


class SignatureFormatError(InputError):
    """Signer index or signature out of range."""

    reason = "SIGNATURE_FORMAT"


def normalize_signature(signature: bytes) -> bytes:
    """`r ‖ s` (64 bytes) with s such that v = 27, from `r ‖ s ‖ v` (65 bytes; v is 0, 1, 27 or 28).

    The mirror (r, n - s) of a signature recovers with the other v; the contracts know only v = 27.
    Raises SignatureFormatError.
    """
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        raise SignatureFormatError("a signature is r, s and v in 65 bytes, v being 0, 1, 27 or 28", signature=signature)
    s = int.from_bytes(signature[32:64], "big")
    if not 0 < s < _ORDER:
        raise SignatureFormatError("s is not between zero and the order of the curve", signature=signature)
    if signature[64] in (1, 28):
        s = _ORDER - s
    return signature[:32] + s.to_bytes(32, "big")


def encode_signatures(signatures: Mapping[int, bytes]) -> bytes:
    """The contracts' encoding, from signer index to 65-byte signature (`normalize_signature`).

    The contracts take exactly the required number: the caller trims. Raises SignatureFormatError.
    """
    if any(not 0 <= index < MAX_SIGNERS for index in signatures):
        raise SignatureFormatError("a signer index is out of range", indices=sorted(signatures), below=MAX_SIGNERS)
    bitmask = sum(1 << index for index in signatures)
    return bitmask.to_bytes(4, "big") + b"".join(normalize_signature(signatures[index]) for index in sorted(signatures))
