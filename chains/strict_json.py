"""JSON from strangers: bounded nesting, no constants that JSON does not have.

Owns the one way to parse JSON that somebody else wrote. Must not know what it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NoReturn

MAX_DEPTH = 32
"""Objects and lists within each other. The deepest honest answer, a list of receipts with logs, has six levels."""

# Possessive, and an open string reaches to the end: no text makes it look at a byte twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def no_constant(name: str) -> NoReturn:
    """What makes no value of a NaN or an Infinity."""
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, content in pairs:
        if name in found:
            raise ValueError(f"an object has the name {name[:80]!r} twice")
        found[name] = content
    return found


def parse(text: bytes, constant: Callable[[str], object] = no_constant, *, unique: bool = False) -> object:
    """The value that UTF-8 `text` holds. Raises ValueError, also for what nests deeper than MAX_DEPTH. Linear time.

    `constant` makes the value of a NaN or an Infinity, for readers that name the field that has it. `unique` refuses
    objects that have a name twice, of which the last would silently count.

    SECURITY: the nesting is counted before `json` sees it. Its parser recurses in C up to the interpreter's limit, and
    a library that raises that limit (py_ecc does, and web3 imports it) lets brackets overflow the stack: no
    RecursionError then, but a dead process. And it sees text, not bytes: of bytes it guesses the encoding, and in
    UTF-16, what the count here takes for a quotation mark can be half a letter and hide brackets.
    """
    decoded = text.decode()  # raises a ValueError
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise ValueError("JSON nests too deep, or its brackets do not match")
    return json.loads(decoded, parse_constant=constant, object_pairs_hook=_unique if unique else None)
