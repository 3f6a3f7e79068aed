"""Keccak-256, the hash of everything on an EVM chain.

Owns the choice of library. safe-pysha3 is several times faster than pycryptodome on the short inputs that
tries are made of; it has no wheels outside Linux, where pycryptodome stands in. Both are tested to be equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from Crypto.Hash import keccak as _cryptodome

from chains.types import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable


def cryptodome_keccak(data: bytes) -> Hash32:
    """Keccak-256 by pycryptodome, on any platform."""
    return Hash32(_cryptodome.new(data=data, digest_bits=256).digest())


class _Digest(Protocol):
    def digest(self) -> bytes: ...


def _fastest_hasher() -> Callable[[bytes], _Digest]:
    try:
        from sha3 import keccak_256
    except ImportError:
        return lambda data: _cryptodome.new(data=data, digest_bits=256)
    return keccak_256  # type: ignore[no-any-return]


def _fastest() -> Callable[[bytes], Hash32]:
    try:
        from sha3 import keccak_256
    except ImportError:
        return cryptodome_keccak

    def pysha3_keccak(data: bytes) -> Hash32:
        return keccak_256(data).digest()  # type: ignore[no-any-return]

    return pysha3_keccak


hasher: Callable[[bytes], _Digest] = _fastest_hasher()
"""Keccak-256 of `data` before its `digest()` is asked for: for the loop where a call less for each node counts."""

keccak: Callable[[bytes], Hash32] = _fastest()
"""Keccak-256 of `data`, by the fastest library installed: 32 bytes."""

EMPTY_CODE_HASH = keccak(b"")
"""Keccak of nothing: the code hash of an account without code."""
