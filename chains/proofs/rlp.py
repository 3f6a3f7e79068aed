"""Recursive length prefix, canonical form only.

Owns the byte format (Ethereum yellow paper, appendix B). Must not know what the items mean. Decoding takes
linear time and does not recurse: the nesting of the input is bounded by a count, not by the interpreter's stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from chains.errors import MalformedProof, OversizedProof

Item: TypeAlias = "bytes | Sequence[Item]"
"""A byte string, or a list of items; decoding gives lists, encoding takes any sequence."""

MAX_SIZE = 16 * 1024 * 1024
"""Bytes of one encoding. The largest honest input is a receipt with logs, bounded by its block's gas."""

MAX_DEPTH = 16
"""Lists within lists. A receipt nests 4 deep; nodes embedded in trie nodes, under 32 bytes, at most 11."""

_LONG = 56
_SINGLE = tuple(bytes((value,)) for value in range(0x80))


def decode(data: bytes, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Item:
    """The one item that `data` encodes.

    Raises `MalformedProof` for anything but the canonical encoding of exactly one item, and `OversizedProof`
    over the bounds.
    """
    size = len(data)
    if size > max_size:
        raise OversizedProof("RLP is longer than the bound", size=size, bound=max_size)
    top: list[Item] = []
    outer: list[tuple[list[Item], int]] = []
    items, end, at = top, size, 0
    while True:
        if at == end:
            if not outer:
                break
            items, end = outer.pop()
            continue
        lead = data[at]
        at += 1
        if lead < 0x80:
            items.append(_SINGLE[lead])
            continue
        is_list = lead >= 0xC0
        length = lead - 0xC0 if is_list else lead - 0x80
        if length >= _LONG:
            width = length - _LONG + 1
            length = _long_length(data, at, width)
            at += width
        stop = at + length
        if stop > end:
            raise MalformedProof("RLP item runs past its list or input", at=at, length=length, end=end)
        if is_list:
            if len(outer) == max_depth:
                raise OversizedProof("RLP nests deeper than the bound", at=at, bound=max_depth)
            outer.append((items, end))
            nested: list[Item] = []
            items.append(nested)
            items, end = nested, stop
        else:
            if length == 1 and data[at] < 0x80:
                raise MalformedProof("RLP gives a length to a byte that stands for itself", at=at)
            items.append(data[at:stop])
            at = stop
    if len(top) != 1:
        raise MalformedProof("RLP is empty or has bytes after its item", items=len(top), size=size)
    return top[0]


def decode_list(data: bytes, what: str, *, max_size: int = MAX_SIZE) -> list[Item]:
    """The items of the list that `data` encodes; `what` names it in errors."""
    item = decode(data, max_size=max_size)
    if not isinstance(item, list):
        raise MalformedProof(f"{what} is a byte string, not an RLP list", data=data)
    return item


def decode_uint(data: bytes, what: str) -> int:
    """The unsigned integer of at most 256 bits that `data` encodes; as a storage slot holds it."""
    return as_uint(decode(data, max_size=33), what)


def encode(item: Item) -> bytes:
    """The canonical encoding of `item`. For our own values: it recurses by their nesting."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(0x80, len(item)) + item
    payload = b"".join(map(encode, item))
    return _prefix(0xC0, len(payload)) + payload


def uint_bytes(value: int) -> bytes:
    """An unsigned integer as RLP carries it: big-endian without leading zeros, zero as nothing."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def as_bytes(item: Item, what: str, size: int | None = None) -> bytes:
    """`item` as a byte string, of exactly `size` bytes if given; `what` names it in errors."""
    if not isinstance(item, bytes):
        raise MalformedProof(f"{what} is a list, not a byte string")
    if size is not None and len(item) != size:
        raise MalformedProof(f"{what} has the wrong length", length=len(item), expected=size)
    return item


def as_uint(item: Item, what: str, max_bytes: int = 32) -> int:
    """`item` as an unsigned integer of at most `max_bytes` bytes without leading zeros."""
    if not isinstance(item, bytes):
        raise MalformedProof(f"{what} is a list, not an integer")
    if len(item) > max_bytes:
        raise MalformedProof(f"{what} is too long for an integer", length=len(item), bound=max_bytes)
    if item and not item[0]:
        raise MalformedProof(f"{what} has leading zeros", value=item)
    return int.from_bytes(item, "big")


def _long_length(data: bytes, at: int, width: int) -> int:
    field = data[at : at + width]
    length = int.from_bytes(field, "big")
    if len(field) != width or not field[0] or length < _LONG:
        raise MalformedProof("RLP length is cut short, padded or needlessly long", at=at, field=field)
    return length


def _prefix(base: int, length: int) -> bytes:
    if length < _LONG:
        return bytes((base + length,))
    field = uint_bytes(length)
    return bytes((base + _LONG - 1 + len(field),)) + field
