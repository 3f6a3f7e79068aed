"""Where Solidity keeps things: the storage slots of mappings.

Owns the layout rules (Solidity documentation, "Layout of State Variables in Storage") for keys of static types. Must
not know any contract's variables: each reader states its own.
"""

from __future__ import annotations

from chains.errors import InputError
from chains.proofs.keccak import keccak
from chains.types import Address, Hash32

_WORD = 32


def uint_word(value: int) -> Hash32:
    """A `uint`, a `bool` or an enum as a key, and the number of a variable as its slot."""
    if value < 0 or value >> 256:
        raise InputError("not an unsigned integer of 256 bits", value=value)
    return Hash32(value.to_bytes(_WORD, "big"))


def int_word(value: int) -> Hash32:
    """An `int` as a key, in two's complement."""
    if not -(1 << 255) <= value < 1 << 255:
        raise InputError("not a signed integer of 256 bits", value=value)
    return Hash32((value % (1 << 256)).to_bytes(_WORD, "big"))


def address_word(address: Address) -> Hash32:
    """An `address` or a contract as a key."""
    if len(address) != 20:
        raise InputError("an EVM address has 20 bytes", address=address)
    return Hash32(bytes(address).rjust(_WORD, b"\0"))


def bytes_word(value: bytes) -> Hash32:
    """A `bytesN` as a key, which Solidity pads on the right."""
    if not 0 < len(value) <= _WORD:
        raise InputError("bytesN has 1 to 32 bytes", length=len(value))
    return Hash32(value.ljust(_WORD, b"\0"))


def mapping_slot(base: Hash32, *keys: Hash32) -> Hash32:
    """The slot of `m[key]`, or with more keys of `m[a][b]…`, where mapping `m` is at slot `base`."""
    slot = base
    for key in keys:
        if len(key) != _WORD:
            raise InputError("a mapping's key is a word of 32 bytes", length=len(key))
        slot = keccak(key + slot)
    return slot


def member_slot(base: Hash32, offset: int) -> Hash32:
    """The slot `offset` words into the struct, or the fixed array of whole words, at `base`."""
    return Hash32(((int.from_bytes(base, "big") + offset) % (1 << 256)).to_bytes(_WORD, "big"))
