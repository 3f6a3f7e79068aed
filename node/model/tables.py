"""Types of fields in files that nodes agree on: parsed strictly, all integers. Must not know which files."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chains.errors import HypothecError
from chains.types import Address, Hash32
from node.model.digests import name_word


def _hex(width: int) -> BeforeValidator:
    def parse(value: object) -> bytes:
        if not isinstance(value, str) or not re.fullmatch(f"0x[0-9a-fA-F]{{{2 * width}}}", value):
            raise ValueError(f"write {width} bytes as 0x and {2 * width} hex digits")
        return bytes.fromhex(value[2:])

    return BeforeValidator(parse)


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("write a name as a string")  # noqa: TRY004 - pydantic collects ValueErrors
    try:
        name_word(value)
    except HypothecError as error:
        raise ValueError(str(error)) from error
    return value


HexAddress = Annotated[Address, _hex(20)]
HexHash = Annotated[Hash32, _hex(32)]
Name = Annotated[str, BeforeValidator(_name)]
Bps = Annotated[int, Field(ge=0, le=10_000)]
Positive = Annotated[int, Field(gt=0, lt=1 << 63)]
Natural = Annotated[int, Field(ge=0, lt=1 << 63)]


class Table(BaseModel):
    """One table of a TOML file: frozen, no unknown keys, no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
