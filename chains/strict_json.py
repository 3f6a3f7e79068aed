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


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse(text: bytes, constant: Callable[[str], object] = _no_constant) -> object:
    """The value that UTF-8 `text` holds. Raises ValueError, also for what nests deeper than MAX_DEPTH. Linear time.

    `constant` makes the value of a NaN or an Infinity, for readers that name the field that has it.

    SECURITY: the nesting is counted before `json` sees it. Its parser recurses in C up to the interpreter's limit, and
    a library that raises that limit (py_ecc does, and web3 imports it) lets brackets overflow the stack: no
    RecursionError then, but a dead process.
    """
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise ValueError("JSON nests too deep, or its brackets do not match")
    return json.loads(text, parse_constant=constant)
