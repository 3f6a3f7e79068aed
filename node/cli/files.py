"""The files of JSON that commands are given: bounded, and read strictly.

Must not know what is in them, nor import what only some commands need.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chains.errors import InputError, LimitError

_MAX_BYTES = 64 << 20


def read_json(path: Path, constant: Callable[[str], object] | None = None) -> object:
    """What the file at `path`, or a pipe there, holds.

    `constant` makes the value of a NaN or an Infinity, which is none otherwise. A name that an object has twice is
    refused, since readers differ about which counts. Raises LimitError, InputError or OSError.
    """
    from chains import strict_json

    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise LimitError("give a smaller file", path=path, bound=_MAX_BYTES)
    try:
        return strict_json.parse(content, constant or strict_json.no_constant, unique=True)
    except ValueError as error:
        raise InputError(f"give a file that holds JSON: {error}", path=path) from error
