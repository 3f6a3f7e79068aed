"""What a position is in, and the names of dated futures and options, as the field writes them.

    ETH-25DEC26          a future of the series ETH, which expires on 2026-12-25 at 08:00 UTC
    ETH-3JAN27-3000-C    a call of that series at a strike of 3,000 USD; P is a put
    XRP-25DEC26-0d55-P   a strike of 0.55: `d`, or a point

Source: Deribit's instrument names, which others took over. Each part has one spelling: no leading zeros, no zeros at
the end of a fraction. Must not know which series a policy admits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from chains.types import UnixSeconds
from node.margin.models.fixed import WAD, Wad

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_EXPIRY_HOUR = 8
_CENTURY = 2000
_LONGEST = 64
_DATED = re.compile(
    rf"(.+)-([1-9]|[12][0-9]|3[01])({'|'.join(_MONTHS)})([0-9]{{2}})"
    r"(?:-(0|[1-9][0-9]{0,14})(?:[d.]([0-9]{0,17}[1-9]))?-([CP]))?"
)


@dataclass(frozen=True, slots=True)
class Contract:
    """What a position is in: a perpetual without an expiry (unix seconds), an option with a strike (1e-18 USD)."""

    underlying: str
    expiry: UnixSeconds | None = None
    strike: Wad | None = None
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Dated:
    """A name, taken apart. `kind` is that of the series: "future", or "option" where there is a strike."""

    series: str
    expiry: UnixSeconds
    strike: Wad | None
    is_call: bool

    @property
    def kind(self) -> str:
        return "future" if self.strike is None else "option"


@lru_cache(maxsize=1 << 14)
def dated(name: str) -> Dated | None:
    """The parts of a dated instrument's name; None where it is none."""
    found = _DATED.fullmatch(name) if len(name) <= _LONGEST else None
    if found is None:
        return None
    series, day, month, year, whole, fraction, side = found.groups()
    try:
        at = datetime(_CENTURY + int(year), 1 + _MONTHS.index(month), int(day), _EXPIRY_HOUR, tzinfo=UTC)
    except ValueError:  # the month has no such day
        return None
    if side is None:
        return Dated(series, UnixSeconds(int(at.timestamp())), None, is_call=False)
    strike = Wad(int(whole) * WAD + int((fraction or "0").ljust(18, "0")))
    return Dated(series, UnixSeconds(int(at.timestamp())), strike, is_call=side == "C") if strike else None
