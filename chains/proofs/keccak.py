"""Keccak-256, the hash of everything on an EVM chain.

Owns the choice of library. safe-pysha3 is several times faster than pycryptodome on the short inputs that
tries are made of; it has no wheels outside Linux, where pycryptodome stands in. Both are tested to be equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from Crypto.Hash import keccak as _cryptodome

from chains.types import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable


def cryptodome_keccak(data: bytes) -> Hash32:
    """Keccak-256 by pycryptodome, on any platform."""
    return Hash32(_cryptodome.new(data=data, digest_bits=256).digest())


def _fastest() -> Callable[[bytes], Hash32]:
    try:
        from sha3 import keccak_256
    except ImportError:
        return cryptodome_keccak

    def pysha3_keccak(data: bytes) -> Hash32:
        return keccak_256(data).digest()  # type: ignore[no-any-return]

    return pysha3_keccak


keccak: Callable[[bytes], Hash32] = _fastest()
"""Keccak-256 of `data`, by the fastest library installed: 32 bytes."""

EMPTY_CODE_HASH = keccak(b"")
"""Keccak of nothing: the code hash of an account without code."""
