"""Parsed JSON read field by field: each field that cannot be used is an error that names account, instrument, field.

Must not know any format: readers of formats say which fields there are and what their bounds are. What they read they
declare as Names; refuse_unknown() holds a file to what its readers have declared together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, TypeAlias, TypeVar, cast

from node.margin.models.errors import ExpiredInstrument, MissingField, OutOfRange, PortfolioError, UnknownName
from node.margin.models.fixed import WAD, Money, Wad, nearest, value

LARGEST = 10**15
"""What no amount, price or sum in USD of an account exceeds; more is a mistake in units."""
LONGEST_NUMBER = 100
LONGEST_TEXT = 200
LONGEST_SECONDS = 100 * 365 * 86_400
"""A hundred years: no instrument lives longer."""
MOST_ITEMS = 10_000
_SMALLEST_EXPONENT = -60
Read = TypeVar("Read")
_PLAIN = re.compile(r"[0-9A-Za-z.+-]+")
"""What a number is written with; Python's own readers take spaces, underscores and the digits of every script too."""

Names: TypeAlias = "Mapping[str, Names | list[Names] | None]"
"""What is read of an object, as it is written: an object in it has its own names, a list has those of its objects."""
EVERY = "*"
"""Stands for the names that a file itself gives: of assets, venues, categories."""


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object, and where it is. Where `known` is given, each section of it may say that and nothing else."""

    content: Mapping[str, object]
    account: str
    instrument: str = ""
    known: Names | None = None

    @classmethod
    def of(cls, content: object, account: str, instrument: str = "") -> Fields:
        """The fields of an object. Raises PortfolioError if it is none."""
        if not isinstance(content, dict):
            raise PortfolioError("give a JSON object", account=account, instrument=instrument, value=content)
        return cls(cast("dict[str, object]", content), account, instrument)

    def named(self, instrument: str) -> Fields:
        """The same object, said to be of an instrument."""
        return Fields(self.content, self.account, instrument, self.known)

    def said_of(self, account: str) -> Fields:
        """The same object, as what an account reads."""
        return Fields(self.content, account, self.instrument, self.known)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.content.get(name) is not None

    def section(self, name: str) -> Fields:
        """An object within this one; empty if absent, so that what is needed of it is missed by name."""
        place = f"{self.instrument}.{name}" if self.instrument else name
        found = Fields.of(self.content[name] if self.has(name) else {}, self.account, place)
        if self.known is not None:
            refuse_unknown(found, self.known)
        return found

    def items(self, name: str) -> Iterator[Fields]:
        """The objects of a list; none if it is absent."""
        for content in self.entries(name):
            yield Fields.of(content, self.account, name)

    def entries(self, name: str, most: int = MOST_ITEMS) -> list[object]:
        """A list of at most `most` things, as it is; empty if it is absent."""
        content = self.content[name] if self.has(name) else []
        if not isinstance(content, list):
            raise self.wrong("give a list", name)
        if len(content) > most:
            raise OutOfRange(
                "split the account",
                account=self.account,
                instrument=self.instrument,
                field=name,
                length=len(content),
                bound=most,
            )
        return content

    def text(self, name: str, default: str | None = None) -> str:
        """A string."""
        return self.as_text(self._get(name, default), name)

    def as_text(self, content: object, name: str) -> str:
        """`content`, which is of the field `name`, as text() reads it."""
        if not isinstance(content, str):
            raise self.wrong("give text", name)
        if len(content) > LONGEST_TEXT:
            raise self._out_of_range(f"give at most {LONGEST_TEXT} characters", name, content)
        return content

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """A truth value: true or false, or 1 or 0."""
        content = self._get(name, default)
        if content not in (True, False):
            raise self.wrong("give true or false", name)
        return bool(content)

    def whole(self, name: str, *, low: int = 0, high: int = LARGEST, default: int | None = None) -> int:
        """An integer within [low, high]."""
        content = self._get(name, default)
        number = self._parsed(content, name)
        if number.denominator != 1:
            raise self.wrong("give a whole number", name)
        self._check(number, low, high, name, content)
        return number.numerator

    def number(self, name: str, *, low: int = -LARGEST, high: int = LARGEST, default: int | None = None) -> Wad:
        """A number within [low, high], to the nearest 1e-18: a JSON number, or its decimal text."""
        content = self._get(name, default)
        return self.as_number(content, name, low=low, high=high)

    def positive(self, name: str) -> Wad:
        """A number above zero."""
        number = self.number(name, low=0)
        if number == 0:
            raise self._out_of_range("give a number above zero", name, self.content[name])
        return number

    def money(self, name: str, *, low: int = -LARGEST, default: int | None = None) -> Money:
        """A sum in USD, rounded down."""
        return value(self.number(name, low=low, default=default), WAD)

    def seconds_ahead(self, name: str) -> int:
        """Whole seconds to an instant that has not passed. Raises ExpiredInstrument if it has."""
        seconds = self.whole(name, low=-LONGEST_SECONDS, high=LONGEST_SECONDS)
        if seconds < 0:
            raise ExpiredInstrument(
                "it has expired: settle it first",
                account=self.account,
                instrument=self.instrument,
                field=name,
                seconds=seconds,
            )
        return seconds

    def as_number(self, content: object, name: str, *, low: int = -LARGEST, high: int = LARGEST) -> Wad:
        """`content`, which is the value of the field `name`, as number() reads it."""
        number = self._parsed(content, name)
        self._check(number, low, high, name, content)
        return number.rounded

    def wrong(self, message: str, name: str) -> PortfolioError:
        """An error about a field, to be raised."""
        return PortfolioError(
            message, account=self.account, instrument=self.instrument, field=name, value=self.content.get(name)
        )

    def _get(self, name: str, default: object) -> object:
        if self.has(name):
            return self.content[name]
        if default is None:
            raise MissingField("give the field", account=self.account, instrument=self.instrument, field=name)
        return default

    def _parsed(self, content: object, name: str) -> _Number:
        if isinstance(content, bool) or not isinstance(content, int | float | str):
            raise self.wrong("give a number", name)
        if isinstance(content, int) and content.bit_length() > 4 * LONGEST_NUMBER:
            raise self._out_of_range("it is absurdly large: check its unit", name, content)
        try:
            return _number(content if isinstance(content, str) else repr(content))
        except InvalidOperation:
            raise self.wrong("give a number", name) from None
        except ValueError as error:
            raise self._out_of_range(str(error), name, content) from None

    def _check(self, number: _Number, low: int, high: int, name: str, content: object) -> None:
        if not low * number.denominator <= number.numerator <= high * number.denominator:
            message = "it may not be negative" if number.numerator < 0 == low else f"it is to be from {low} to {high}"
            raise self._out_of_range(message, name, content)

    def _out_of_range(self, message: str, name: str, content: object) -> OutOfRange:
        return OutOfRange(message, account=self.account, instrument=self.instrument, field=name, value=content)


def leaves(*names: str) -> Names:
    """Names of values."""
    return dict.fromkeys(names)


def by_name(names: Names | None = None) -> Names:
    """Whatever the file names, each with these names."""
    return {EVERY: names}


def joined(*many: Names) -> Names:
    """What any of several readers of one object reads."""
    found: dict[str, Names | list[Names] | None] = {}
    for name, below in (item for names in many for item in names.items()):
        had = found.get(name)
        if isinstance(had, list) and isinstance(below, list):
            found[name] = [joined(*had, *below)]
        elif isinstance(had, Mapping) and isinstance(below, Mapping):
            found[name] = joined(had, below)
        else:
            found[name] = had or below
    return found


def refuse_unknown(fields: Fields, names: Names) -> None:
    """Raise UnknownName for a name, here or anywhere within, that is none of these; it has the nearest one, if any.

    What is no object or list where one should be is left to its reader.
    """
    for name, content in fields.content.items():
        if name not in names and EVERY not in names:
            near = get_close_matches(name[:LONGEST_TEXT], names, n=1)
            raise UnknownName(
                "nothing reads it: correct its name, or leave it out",
                account=fields.account,
                instrument=fields.instrument,
                field=name,
                **({"nearest": near[0]} if near else {}),
            )
        below = names.get(name, names.get(EVERY))
        place = f"{fields.instrument}.{name}".lstrip(".")
        if isinstance(below, Mapping) and isinstance(content, dict):
            refuse_unknown(Fields(content, fields.account, place), below)
        elif isinstance(below, list) and isinstance(content, list):
            for number, item in enumerate(content):
                if isinstance(item, dict):
                    asset = item.get("asset")
                    named = f"{asset} {place} {number}" if isinstance(asset, str) else f"{place} {number}"
                    refuse_unknown(Fields(item, fields.account, named), below[0])


class Known:
    """What was read of objects, remembered with them, up to a number: trials of a plan share nearly all of theirs."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[object, object]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def once(self, read: Callable[..., Read], item: object, *others: object) -> Read:
        """What a reader makes of an object with others, which do not change what comes of it. Raises what it raises."""
        kept = self._found.get((read, id(item)))
        if kept is None:
            if len(self._found) >= MOST_ITEMS:
                self._found.clear()
            kept = self._found[read, id(item)] = item, read(item, *others)
        return cast("Read", kept[1])


class _Number(NamedTuple):
    """A number exactly, and the Wad nearest to it."""

    numerator: int
    denominator: int
    rounded: Wad


@lru_cache(maxsize=1 << 14)
def _number(text: str) -> _Number:
    """Remembered: trials of a plan read all but a few numbers again.

    Raises InvalidOperation for text that is none, ValueError for one that is infinite, undefined or absurdly large.
    """
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"give a number of at most {LONGEST_NUMBER} characters")
    if not _PLAIN.fullmatch(text):
        raise InvalidOperation
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError("give a finite number")
    if number.adjusted() > len(str(LARGEST)):
        raise ValueError("it is absurdly large: check its unit")
    exact = Fraction(number) if number and number.adjusted() > _SMALLEST_EXPONENT else Fraction(0)
    return _Number(exact.numerator, exact.denominator, Wad(nearest(exact * WAD)))
