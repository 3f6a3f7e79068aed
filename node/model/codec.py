"""The one canonical byte encoding: fixed-width or length-prefixed fields, big endian, nothing optional.

Every digest and every stored or gossiped object is made of these. A value has exactly one encoding, and decoding
refuses every other. Must not know what is encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from itertools import pairwise
from typing import TypeVar

from chains.errors import InputError, LimitError

_T = TypeVar("_T")
_E = TypeVar("_E", bound=IntEnum)

MAX_VAR_BYTES = 1 << 24
"""Upper bound of one length-prefixed field."""


class Malformed(InputError):
    """Bytes that are not the canonical encoding of what they are read as."""

    reason = "MALFORMED"


class Writer:
    """Appends fields to one buffer. Raises LimitError when a value does not fit its field."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def uint(self, value: int, width: int) -> Writer:
        """An unsigned integer in `width` bytes."""
        try:
            self._parts.append(value.to_bytes(width, "big"))
        except OverflowError:
            raise LimitError("keep the number within its field", value=value, bits=8 * width) from None
        return self

    def u8(self, value: int) -> Writer:
        return self.uint(value, 1)

    def u16(self, value: int) -> Writer:
        return self.uint(value, 2)

    def u32(self, value: int) -> Writer:
        return self.uint(value, 4)

    def u64(self, value: int) -> Writer:
        return self.uint(value, 8)

    def u256(self, value: int) -> Writer:
        return self.uint(value, 32)

    def i256(self, value: int) -> Writer:
        """A signed integer in 32 bytes, two's complement."""
        try:
            self._parts.append(value.to_bytes(32, "big", signed=True))
        except OverflowError:
            raise LimitError("keep the number within its field", value=value, bits=256) from None
        return self

    def raw(self, data: bytes, width: int) -> Writer:
        """Exactly `width` bytes."""
        if len(data) != width:
            raise LimitError("give a field its exact width", width=width, length=len(data))
        self._parts.append(data)
        return self

    def var(self, data: bytes) -> Writer:
        """Up to MAX_VAR_BYTES bytes after a 4-byte length."""
        if len(data) > MAX_VAR_BYTES:
            raise LimitError("keep the field within its bound", bound=MAX_VAR_BYTES, length=len(data))
        self._parts.append(len(data).to_bytes(4, "big"))
        self._parts.append(data)
        return self

    def text(self, value: str) -> Writer:
        """UTF-8 after a 4-byte length."""
        return self.var(value.encode())

    def flag(self, value: bool) -> Writer:  # noqa: FBT001 - the value is the field, not a switch
        return self.u8(1 if value else 0)

    def many(self, items: Iterable[_T], each: Callable[[Writer, _T], object]) -> Writer:
        """A 4-byte count, then each item."""
        listed = list(items)
        self.u32(len(listed))
        for item in listed:
            each(self, item)
        return self

    def done(self) -> bytes:
        return b"".join(self._parts)


class Reader:
    """Takes fields off one buffer. Raises Malformed, with the offset, for anything but the canonical encoding."""

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def _fail(self, why: str) -> Malformed:
        return Malformed(f"refuse malformed {self._what}: {why}", offset=self._at, length=len(self._data))

    def raw(self, width: int) -> bytes:
        end = self._at + width
        if end > len(self._data):
            raise self._fail(f"{width} bytes wanted, {len(self._data) - self._at} left")
        part = self._data[self._at : end]
        self._at = end
        return part

    def uint(self, width: int) -> int:
        return int.from_bytes(self.raw(width), "big")

    def u8(self) -> int:
        return self.uint(1)

    def u16(self) -> int:
        return self.uint(2)

    def u32(self) -> int:
        return self.uint(4)

    def u64(self) -> int:
        return self.uint(8)

    def u256(self) -> int:
        return self.uint(32)

    def i256(self) -> int:
        return int.from_bytes(self.raw(32), "big", signed=True)

    def var(self, bound: int = MAX_VAR_BYTES) -> bytes:
        length = self.u32()
        if length > bound:
            raise self._fail(f"a field of {length} bytes is over the bound of {bound}")
        return self.raw(length)

    def text(self, bound: int = 256) -> str:
        try:
            return self.var(bound).decode()
        except UnicodeDecodeError:
            raise self._fail("text that is not UTF-8") from None

    def flag(self) -> bool:
        value = self.u8()
        if value > 1:
            raise self._fail(f"a flag is 0 or 1, not {value}")
        return value == 1

    def member(self, kind: type[_E]) -> _E:
        """One byte that is a member of an IntEnum."""
        value = self.u8()
        try:
            return kind(value)
        except ValueError:
            raise self._fail(f"{value} is no {kind.__name__}") from None

    def many(self, each: Callable[[Reader], _T], bound: int) -> tuple[_T, ...]:
        count = self.u32()
        if count > bound:
            raise self._fail(f"{count} items are over the bound of {bound}")
        return tuple(each(self) for _ in range(count))

    def ascending(self, keys: Iterable[object], what: str) -> None:
        """Refuse a list whose keys do not strictly rise: an order is part of the one encoding."""
        listed = list(keys)
        if any(not a < b for a, b in pairwise(listed)):  # type: ignore[operator]
            raise self._fail(f"{what} must strictly ascend")

    def version(self, expected: int) -> None:
        value = self.u8()
        if value != expected:
            raise self._fail(f"version {value} where {expected} is understood")

    def done(self) -> None:
        if self._at != len(self._data):
            raise self._fail(f"{len(self._data) - self._at} bytes too many")
