"""What a target of the fuzz is: honest inputs to begin with, and what must hold for any input.

A target's `check` raises one of its `refusals`, returns, or shows a fault by raising anything else. Must not know the
fuzzer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chains import strict_json

Json = dict[str, Any]

LARGEST = 1 << 16
"""Bytes of the largest input."""


class Fault(Exception):
    """What was accepted should not have been, or not as this."""


@dataclass(frozen=True)
class Target:
    """Inputs to begin with, the check of any input, and the errors by which it is documented to refuse."""

    seeds: tuple[bytes, ...]
    check: Callable[[bytes], None]
    refusals: tuple[type[Exception], ...]
    is_json: bool = False
    refused: tuple[bytes, ...] = ()
    """Inputs to begin with that are not honest."""

    def accepts(self, data: bytes) -> bool:
        """Whether `data` is accepted. Raises Fault, or anything that is no documented refusal."""
        try:
            self.check(data)
        except self.refusals:
            return False
        return True


class NotJson(Exception):
    """An input of a target that takes JSON is none; that is the business of another target."""


def from_json(data: bytes) -> object:
    """The value of JSON that may be a stranger's. Raises NotJson, so that a ValueError of what reads it shows."""
    try:
        return strict_json.parse(data)
    except ValueError:
        raise NotJson from None


def expect(found: object, expected: object, what: str) -> None:
    """Raise Fault unless what was found is what is so."""
    if found != expected:
        raise Fault(f"{what}: {found!r} where {expected!r} is true")


def as_text(value: object) -> bytes:
    """`value` as JSON."""
    return json.dumps(value).encode()
