"""Untrusted JSON into typed values: the one place where what an endpoint said becomes bytes and integers.

Owns the JSON forms of the Ethereum RPC (execution-apis: QUANTITY and DATA). Must not know what the values are for.
Everything raises `MalformedProof`, or `OversizedProof` over a bound, and names the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from chains.errors import MalformedProof, OversizedProof
from chains.types import Address, Hash32

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")


def mapping(value: object, field: str) -> Mapping[str, object]:
    """`value` as a JSON object."""
    if not isinstance(value, dict):
        raise _wrong(value, field, "an object")
    return cast("Mapping[str, object]", value)


def sequence(value: object, field: str, most: int) -> list[object]:
    """`value` as a JSON list of at most `most` entries."""
    if not isinstance(value, list):
        raise _wrong(value, field, "a list")
    if len(value) > most:
        raise OversizedProof(f"{field} has more entries than the bound", entries=len(value), bound=most)
    return value


def quantity(value: object, field: str, bits: int = 256) -> int:
    """`value` as an unsigned integer below 2^`bits`. Leading zeros are let pass: clients differ about them."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise _wrong(value, field, "a hexadecimal quantity")
    number = int(value, 16)
    if number >> bits:
        raise OversizedProof(f"{field} is over {bits} bits", got=value)
    return number


def data(value: object, field: str, *, most: int, size: int | None = None) -> bytes:
    """`value` as bytes: at most `most` of them, and exactly `size` if that is given."""
    if not isinstance(value, str) or value[:2] != "0x":
        raise _wrong(value, field, "hexadecimal data")
    length = (len(value) - 2) // 2
    if length > most:
        raise OversizedProof(f"{field} is longer than the bound", size=length, bound=most)
    try:
        decoded = bytes.fromhex(value[2:])
    except ValueError:
        raise _wrong(value, field, "hexadecimal data") from None
    if 2 * len(decoded) != len(value) - 2:  # white space, which fromhex skips
        raise _wrong(value, field, "hexadecimal data")
    if size is not None and len(decoded) != size:
        raise MalformedProof(f"{field} has the wrong length", length=len(decoded), expected=size)
    return decoded


def hash32(value: object, field: str) -> Hash32:
    """`value` as 32 bytes."""
    return Hash32(data(value, field, most=32, size=32))


def address(value: object, field: str) -> Address:
    """`value` as the 20 bytes of an account's address, in any letter case."""
    return Address(data(value, field, most=20, size=20))


def slot(value: object, field: str) -> Hash32:
    """`value` as a storage slot: clients write it as a quantity or as data of up to 32 bytes; here it is 32 bytes."""
    return Hash32(quantity(value, field).to_bytes(32, "big"))


def nodes(value: object, field: str, most_nodes: int, most_bytes: int) -> list[bytes]:
    """`value` as the nodes of a trie proof."""
    return [
        data(node, f"{field}[{index}]", most=most_bytes)
        for index, node in enumerate(sequence(value, field, most_nodes))
    ]


class Nodes:
    """Proofs one after another. What begins as the one before does, as neighbours' proofs do, is not decoded again."""

    __slots__ = ("_most_bytes", "_most_nodes", "_said", "_were")

    def __init__(self, most_nodes: int, most_bytes: int) -> None:
        self._most_nodes = most_nodes
        self._most_bytes = most_bytes
        self._said: list[object] = []
        self._were: list[bytes] = []

    def next(self, value: object, field: str) -> list[bytes]:
        """`value` as the nodes of a trie proof; as the function `nodes`."""
        said = sequence(value, field, self._most_nodes)
        shared = 0
        for one, other in zip(said, self._said, strict=False):
            if one != other:
                break
            shared += 1
        rest = [data(said[at], f"{field}[{at}]", most=self._most_bytes) for at in range(shared, len(said))]
        self._said, self._were = said, self._were[:shared] + rest
        return self._were


def _wrong(value: object, field: str, wanted: str) -> MalformedProof:
    if value is None:
        return MalformedProof(f"{field} is missing; it has to be {wanted}")
    return MalformedProof(f"{field} is not {wanted}", got=value, type=type(value).__name__)
