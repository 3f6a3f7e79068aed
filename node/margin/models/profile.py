"""What a profile is: a name for a composition of rules and their parameters.

A rule is a function of a book, the parameters and a threshold, and gives lines: what counts for the account (equity)
and what is required of it. The sum of the lines is the account's excess at that threshold, whatever the rules are;
nothing here or in whoever evaluates asks which profile it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeAlias, TypeVar

from node.margin.models.book import SECTIONS, Book, instruments, read_book
from node.margin.models.errors import UnsupportedInstrument
from node.margin.models.fields import Fields
from node.margin.models.fixed import WAD, Money, Wad
from node.margin.models.market import Quotes

Parameters = TypeVar("Parameters")


class Side(StrEnum):
    """Which side of the comparison a line is on."""

    EQUITY = "equity"
    REQUIREMENT = "requirement"


@dataclass(frozen=True, slots=True)
class Line:
    """One component: positive equity supports the account, a positive requirement burdens it."""

    component: str
    instrument: str
    side: Side
    amount: Money


def equity(component: str, instrument: str, amount: int) -> Line:
    """What counts for the account; may be negative."""
    return Line(component, instrument, Side.EQUITY, Money(amount))


def requirement(component: str, instrument: str, amount: int) -> Line:
    """What is required of the account."""
    return Line(component, instrument, Side.REQUIREMENT, Money(amount))


class Sums(Protocol):
    """An account at a threshold."""

    @property
    def equity(self) -> Money:
        """What counts for it."""
        ...

    @property
    def requirement(self) -> Money:
        """What is required of it."""
        ...


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level of margin, and what an account is that does not meet it.

    `if_required`: whoever is required nothing meets it, even with negative equity.
    """

    name: str
    unmet: str
    if_required: bool = False

    def is_met(self, sums: Sums) -> bool:
        """Whether an account has what is required."""
        return sums.equity >= sums.requirement or (self.if_required and sums.requirement <= 0)


@dataclass(frozen=True, slots=True)
class Level:
    """An account at one threshold. `ratio` is equity over requirement, rounded down; None when nothing is required."""

    threshold: Threshold
    lines: tuple[Line, ...]
    equity: Money = field(init=False, repr=False, compare=False)
    """Σ equity."""
    requirement: Money = field(init=False, repr=False, compare=False)
    """Σ requirements."""

    def __post_init__(self) -> None:
        """Sum up once: trials of a plan ask many times."""
        for side in Side:
            total = sum(line.amount for line in self.lines if line.side is side)
            object.__setattr__(self, side.value, Money(total))

    @property
    def excess(self) -> Money:
        """Equity less requirements."""
        return Money(self.equity - self.requirement)

    @property
    def ratio(self) -> Wad | None:
        """The health factor where requirements are debts: equity/requirement."""
        return Wad(self.equity * WAD // self.requirement) if self.requirement > 0 else None


HEALTHY = "healthy"


Shown: TypeAlias = "float | int | str | list[Shown] | dict[str, Shown] | None"
"""What JSON can show."""


class Lazily(Mapping[str, Shown]):
    """Components that are made when somebody looks at them: most evaluations are asked for their levels alone."""

    def __init__(self, make: Callable[[], Mapping[str, Shown]]) -> None:
        self._make = make
        self._made: Mapping[str, Shown] | None = None

    @property
    def _components(self) -> Mapping[str, Shown]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, name: str) -> Shown:
        return self._components[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._components)

    def __len__(self) -> int:
        return len(self._components)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a result is from what a file expects: the error of each component, and what cannot be compared."""

    errors: Mapping[str, float]
    unmatched: tuple[str, ...]
    tolerance: float

    @property
    def max_relative_error(self) -> float:
        """The largest of |got − expected| / max(|expected|, 1)."""
        return max(self.errors.values(), default=0.0)

    @property
    def matches(self) -> bool:
        """Whether every component of the file is there and within the tolerance."""
        return not self.unmatched and bool(self.errors) and self.max_relative_error <= self.tolerance


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One account under a profile, level by level, the strictest threshold first.

    `components` are what the model names besides its lines; `comparison` is there when the file says what it expects.
    `verdict` is the status of a model whose levels are not all that decides it: they are then the low end of intervals,
    and `notes` say the rest, for people.
    """

    account: str
    profile: str
    levels: tuple[Level, ...]
    components: Mapping[str, Shown] = field(default_factory=dict)
    comparison: Comparison | None = None
    verdict: str = ""
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """The verdict; without one, the gravest threshold that is not met says it."""
        unmet = (level.threshold.unmet for level in reversed(self.levels) if not level.threshold.is_met(level))
        return self.verdict or next(unmet, HEALTHY)


Rule: TypeAlias = Callable[[Book, Parameters, Threshold], Iterable[Line]]
Judge: TypeAlias = Callable[[object, str], Evaluation]
"""What one account of a parsed file is, by its name. Raises PortfolioError."""
Parted: TypeAlias = Callable[[Fields, Fields], Callable[[str], str]]
"""Which assets are judged together, under a market and parameters. Raises PortfolioError."""


def by_asset(_: Fields, __: Fields) -> Callable[[str], str]:
    """Each asset is judged by itself."""
    return lambda asset: asset


@dataclass(frozen=True, slots=True)
class Profile:
    """A named model. `judge` takes a file's market and parameters and gives what judges its accounts.

    What the accounts of a file have in common (its parameters, quotes, units of instruments) a judge makes once, when
    the first account needs it, so that its error names an account. `stress` takes an account, its name, market and
    parameters, and gives the components of its stress tests, where it has any. `apart` splits an account, by its name,
    into what is judged together and the isolated accounts in it, where the model has such. `parted` takes a file's
    market and parameters, and gives of an asset the name of its part: at each level an account's equity and requirement
    are the sums of those of its parts and of its cash, each judged by itself. Without it only the whole can be judged.
    """

    name: str
    summary: str
    judge: Callable[[Fields, Fields], Judge]
    stress: Callable[[object, str, Fields, Fields], Mapping[str, Shown]] | None = None
    apart: Callable[[object, str], tuple[object, Mapping[str, object]]] | None = None
    parted: Parted | None = None

    def evaluate(self, content: object, account: str, market: Fields, parameters: Fields) -> Evaluation:
        """One account by itself. Raises PortfolioError."""
        return self.judge(market, parameters)(content, account)


def judging(evaluate: Judge) -> Callable[[Fields, Fields], Judge]:
    """For a model whose accounts bring their own market and parameters."""
    return lambda _, __: evaluate


class Once(Generic[Parameters]):
    """What all accounts of a file share, read for the first that needs it; while it cannot be, each has its error."""

    def __init__(self, read: Callable[[str], Parameters]) -> None:
        self._read = read
        self._found: list[Parameters] = []

    def of(self, account: str) -> Parameters:
        """For an account, which an error names."""
        if not self._found:
            self._found.append(self._read(account))
        return self._found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed(Profile, Generic[Parameters]):
    """A profile of rules. They know what is in the sections of `holds`; `read` reads their parameters."""

    thresholds: tuple[Threshold, ...]
    rules: tuple[Rule[Parameters], ...]
    read: Callable[[Fields], Parameters]
    holds: tuple[str, ...]

    def refuse_unknown(self, book: Book) -> None:
        """Raise UnsupportedInstrument for what no rule counts: left out, it would be counted as nothing."""
        for section in SECTIONS:
            for instrument in () if section in self.holds else instruments(book, section):
                raise UnsupportedInstrument(
                    f"the model {self.name} has no rule for it",
                    account=book.account,
                    instrument=instrument,
                    field=section,
                )

    def levels(self, book: Book, parameters: Parameters) -> tuple[Level, ...]:
        """An account at each threshold."""
        return tuple(
            Level(threshold, tuple(line for rule in self.rules for line in rule(book, parameters, threshold)))
            for threshold in self.thresholds
        )


def composed(
    name: str,
    summary: str,
    thresholds: tuple[Threshold, ...],
    rules: tuple[Rule[Parameters], ...],
    read: Callable[[Fields], Parameters],
    defaults: Mapping[str, object],
    holds: Iterable[str] = SECTIONS,
    components: Callable[[Book, Parameters], Mapping[str, Shown]] = lambda _, __: {},
) -> Composed[Parameters]:
    """A profile from rules and their parameters: the file's parameters over the defaults, section by section.

    `components` are what the lines of its rules are made of. A profile with a rule that looks at several assets at once
    has another `parted`.
    """

    def judge(market: Fields, said: Fields) -> Judge:
        quotes, parameters = Quotes(market), Once(lambda name: read(Fields(merged(defaults, said.content), name)))

        def evaluate(content: object, account: str) -> Evaluation:
            book = read_book(content, account, quotes)
            made.refuse_unknown(book)
            given = parameters.of(account)
            return Evaluation(account, name, made.levels(book, given), Lazily(lambda: components(book, given)))

        return evaluate

    made = Composed(
        name=name,
        summary=summary,
        judge=judge,
        parted=by_asset,
        thresholds=thresholds,
        rules=rules,
        read=read,
        holds=tuple(holds),
    )
    return made


def merged(defaults: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """A file's parameters over a profile's own: what a section does not name stays."""
    merged = dict(defaults)
    for name, content in given.items():
        below = merged.get(name)
        merged[name] = {**below, **content} if isinstance(below, dict) and isinstance(content, dict) else content
    return merged
