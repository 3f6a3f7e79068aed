"""JSON from strangers: bounded nesting, a bounded number of values, no constants that JSON does not have.

Owns the one way to parse JSON that somebody else wrote. Must not know what it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NoReturn

MAX_DEPTH = 32
"""Objects and lists within each other. The deepest honest answer, a list of receipts with logs, has six levels."""

MAX_VALUES = 1 << 23
"""Values in one text, about: each begins after a bracket or a comma. The smallest takes 2 bytes of text and 64 here."""

# The next bracket, as group 1 or 2 as it opens or closes, beyond all strings before it. Possessive, an open string
# reaches to the end, and so does what has no bracket: no text makes it look at a byte twice.
_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))*+(?:([\[{])|([\]}])|\Z)', re.DOTALL)


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
    """The value that UTF-8 `text` holds. Raises ValueError, also for what is over MAX_DEPTH or MAX_VALUES. Linear time.

    `constant` makes the value of a NaN or an Infinity, for readers that name the field that has it. `unique` refuses
    objects that have a name twice, of which the last would silently count.

    SECURITY: the nesting is counted before `json` sees it. Its parser recurses in C up to the interpreter's limit, and
    a library that raises that limit (py_ecc does, and web3 imports it) lets brackets overflow the stack: no
    RecursionError then, but a dead process. And it sees text, not bytes: of bytes it guesses the encoding, and in
    UTF-16, what the count here takes for a quotation mark can be half a letter and hide brackets.
    """
    decoded = text.decode()  # raises a ValueError
    if sum(map(text.count, (b"[", b"{", b","))) > MAX_VALUES:
        raise ValueError(f"JSON has more than {MAX_VALUES} values")
    depth = 0
    # Up to where the text stops being JSON, what is open here is what the parser is within.
    for bracket in _BRACKET.finditer(text):
        if bracket.lastindex is None:
            break
        depth += 1 if bracket.lastindex == 1 else -1
        if not 0 <= depth <= MAX_DEPTH:
            raise ValueError("JSON nests too deep, or its brackets do not match")
    return json.loads(decoded, parse_constant=constant, object_pairs_hook=_unique if unique else None)
