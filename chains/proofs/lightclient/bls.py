"""Aggregate signatures of sync committees: BLS12-381, keys in G1, proof of possession.

Owns the scheme (draft-irtf-cfrg-bls-signature, `FastAggregateVerify`; consensus-specs, `phase0/beacon-chain.md`) and
the choice of library. Must not know what is signed. The libraries give points and pairings; decompression checks the
curve and the subgroup, but lets the point at infinity pass, so that is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import add
from typing import Any, Final

from chains.errors import MalformedProof

KEY_SIZE: Final = 48
SIGNATURE_SIZE: Final = 96
DST = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
_INFINITY_FLAG = 0x40
GENERATOR = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)

Point = Any
"""A point of G1 or G2, in the type of its library."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The primitives of one library. Both decompressions raise ValueError; points of a group add up with `+`."""

    name: str
    g1: Callable[[bytes], Point]
    g2: Callable[[bytes], Point]
    holds: Callable[[Point, bytes, Point], bool]
    """Whether e(key, H(message)) equals e(generator, signature)."""


def pyblst_backend() -> Backend:
    """By pyblst, the fastest. Raises ImportError where it is not installed."""
    from pyblst import BlstP1Element, BlstP2Element, final_verify, miller_loop

    generator = BlstP1Element().uncompress(GENERATOR)

    def holds(key: Point, message: bytes, signature: Point) -> bool:
        hashed = BlstP2Element().hash_to_group(message, DST)
        return bool(final_verify(miller_loop(key, hashed), miller_loop(generator, signature)))

    return Backend("pyblst", BlstP1Element().uncompress, BlstP2Element().uncompress, holds)


def arkworks_backend() -> Backend:
    """By py-arkworks-bls12381. Raises ImportError where it is not installed."""
    from py_arkworks_bls12381 import GT, G1Point, G2Point

    generator = -G1Point.from_compressed_bytes(GENERATOR)

    def holds(key: Point, message: bytes, signature: Point) -> bool:
        return GT.pairing_check([key, generator], [G2Point.hash_to_curve(message, DST), signature])

    return Backend("py-arkworks-bls12381", G1Point.from_compressed_bytes, G2Point.from_compressed_bytes, holds)


@lru_cache(maxsize=1)
def default_backend() -> Backend:
    """The fastest library that is installed."""
    try:
        return pyblst_backend()
    except ImportError:
        return arkworks_backend()


@lru_cache(maxsize=4)  # a committee serves for a day, and costs twenty times a signature to decompress
def member_points(pubkeys: tuple[bytes, ...], backend: Backend) -> tuple[Point, ...]:
    """The points of a committee's compressed keys; MalformedProof for what is no key, or the point at infinity."""
    points: dict[bytes, Point] = {}
    for key in pubkeys:
        if key not in points:
            points[key] = _decompressed(backend.g1, key, KEY_SIZE, "public key")
    return tuple(points[key] for key in pubkeys)


def fast_aggregate_verify(keys: Sequence[Point], message: bytes, signature: bytes, backend: Backend) -> bool:
    """Whether `signature` is that of all `keys`, at least one, over `message`; MalformedProof if it is no point."""
    # SECURITY: keys can cancel each other out. Only the signature at infinity fits their sum, and that is refused.
    point = _decompressed(backend.g2, signature, SIGNATURE_SIZE, "signature")
    return backend.holds(reduce(add, keys), message, point)


def _decompressed(decompress: Callable[[bytes], Point], data: bytes, size: int, what: str) -> Point:
    if len(data) != size or data[0] & _INFINITY_FLAG:
        raise MalformedProof(f"{what} is the point at infinity or has the wrong size", got=data)
    try:
        return decompress(data)
    except ValueError as error:
        raise MalformedProof(f"{what} is no point of the group: {error}", got=data) from error
