"""What an account's parts come to: exact sums over units, rounded once.

The account's own part has cash, collateral and debts; a part for each venue has its positions and cash. Must not know
what parts add up to: that is margin.py's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul
from typing import TypeAlias

from node.margin.models.book import Future, Option, Perpetual
from node.margin.models.fields import LARGEST, Known
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad, up, value
from node.margin.models.hypothec import positions
from node.margin.models.hypothec.counted import NOTHING, Unit, debt, holding, steps_of
from node.margin.models.hypothec.feeds import Feed, FeedStatus
from node.margin.models.hypothec.parameters import Charges, Parameters
from node.margin.models.hypothec.portfolio import OWN, Debt, Held, Holding, Portfolio, Position, Risk
from node.margin.models.shocks import unpriced
from node.model.health import ZERO, Interval, Reason

UNBOUNDED = Money(LARGEST * PICO)
"""What an obligation without a bound or a limit comes to: more than any account has."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An amount of units, below zero when it is owed, and what was paid for it (a constant that no price moves).

    `apart`: a linear position on a feed that is not fresh; it counts by itself, so that no profit of it counts.
    `holding` is what it is a step of, and `step` which.
    """

    component: str
    amount: Wad
    unit: Unit
    fixed: Money = NOTHING
    apart: bool = False
    holding: Holding | None = None
    step: int = 0

    def worth(self, units: Interval) -> Interval:
        """amount·unit of one's own range, in 1e-30 USD."""
        ends = (units.low, units.high) if self.amount > 0 else (units.high, units.low)
        return Interval(self.amount * ends[0], self.amount * ends[1])

    def counted(self, units: Interval) -> Interval:
        """By itself, rounded down: what counts of it at either end.

        Apart: no profit at the low end; on a missing feed a long may have lost all that was paid for it, and nothing
        counts at the high end.
        """
        exact = self.worth(units)
        low, high = exact.low // WAD + self.fixed, exact.high // WAD + self.fixed
        if self.apart and self.unit.open_ended:
            return Interval(min(low, 0), 0)
        return Interval(min(low, 0) if self.apart else low, high)

    def low(self, units: Interval) -> int:
        """The low end of what counts of it."""
        if self.apart:
            return self.counted(units).low
        return self.amount * (units.low if self.amount > 0 else units.high) // WAD + self.fixed

    @property
    def open_ended(self) -> bool:
        """Whether it may cost anything."""
        return self.amount < 0 and self.unit.open_ended


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an account, in 1e-12 USD: worth at both thresholds, changes by row, costs, deltas by underlying.

    `limit` is the most of it that may be claimed, None where its worth counts whatever its sign. `market` is its worth
    without haircuts. `relief` is what of the deltas' shortfall haircuts have held back, `errors` by how much deltas may
    be wrong, as the low and as the high end take it. Ranges are of least and of most: the low end takes the most of
    what costs, and the high end the least. `floor` as in Draft.
    """

    venue: str
    limit: Money | None
    cash: Money
    initial: Interval
    maintenance: Interval
    changes: tuple[Money, ...]
    contingency: Interval
    concentration: Interval
    deltas: Mapping[str, Money]
    errors: Mapping[str, Interval]
    relief: Interval
    market: Interval
    entries: tuple[Entry, ...]
    floor: Interval | None

    @property
    def worth(self) -> Interval:
        """At maintenance, no less than the floor."""
        span, floor = self.maintenance, self.floor
        return span if floor is None else Interval(max(span.low, floor.low), max(span.high, floor.high))

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why inputs of it are uncertain, each once."""
        return tuple(dict.fromkeys(reason for entry in self.entries for reason in entry.unit.reasons))


@dataclass(frozen=True, slots=True)
class Draft:
    """A part before it is summed. `is_charged`: its deltas are charged for concentration."""

    venue: str
    limit: Money | None
    cash: Money
    entries: tuple[Entry, ...]
    is_charged: bool

    @property
    def floor(self) -> Interval | None:
        """The least that it can ever be worth at either end, at prices of zero; None where something is owed."""
        if any(entry.amount < 0 for entry in self.entries):
            return None
        profits = sum(max(0, entry.fixed) for entry in self.entries if entry.apart)
        most = self.cash + sum(entry.fixed for entry in self.entries)
        return Interval(most - profits, most)


class Units:
    """The units of one market, each made once, when it is asked for; and what is known of its accounts' positions."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.known = Known()
        self._found: dict[tuple[object, ...], Unit] = {}
        self._options: dict[_Key, Unit | None] = {}

    def holding(self, held: Holding, step: int, factor: Wad, vol: Wad) -> Unit:
        """Of collateral in a step of its depth; `vol` is that of its underlying."""
        key = ("holding", held.feed, held.quality, step, factor, vol)
        return self._once(key, lambda: holding(held.feed, held.quality, step, factor, vol, self.parameters))

    def debt(self, owed: Debt) -> Unit:
        """Of a debt."""
        return self._once(("debt", owed.feed), lambda: debt(owed.feed, self.parameters))

    def linear(self, position: Perpetual | Future, feed: Feed) -> Unit:
        """Of a perpetual or a future."""
        key = ("linear", feed, position.seconds if isinstance(position, Future) else None)
        return self._once(key, lambda: positions.linear(position, feed, self.parameters))

    def options(self, held: Iterable[Held]) -> list[Unit | None]:
        """Of the options among positions; None where one has no finite price.

        Those that are new are priced together, which is many times as fast as one by one.
        """
        keys: list[_Key] = []
        new: dict[_Key, tuple[Option, Feed]] = {}
        for each in held:
            if isinstance(each.position, Option):
                key = _key(each.position, each.feed)
                keys.append(key)
                if key not in self._options:
                    new[key] = each.position, each.feed
        self._options |= zip(new, positions.options(list(new.values()), self.parameters), strict=True)
        return [self._options[key] for key in keys]

    def option(self, account: str, position: Option, feed: Feed, among: Iterable[Held]) -> Unit:
        """Of one option; if it is new, it is made with the others `among` which it is.

        Raises OutOfRange where it has no finite price.
        """
        key = _key(position, feed)
        if key not in self._options:
            self.options(among)
        if (found := self._options[key]) is None:
            raise unpriced(account, position)
        return found

    def _once(self, key: tuple[object, ...], make: Callable[[], Unit]) -> Unit:
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = make()
        return found


_Key: TypeAlias = tuple[Feed, int, Wad, bool, bool | None]


def _key(option: Option, feed: Feed) -> _Key:
    """What an option's unit depends on within a market: its side only where the feed is missing."""
    side = option.amount > 0 if feed.status is FeedStatus.MISSING else None
    return feed, option.expiry.seconds, option.strike, option.is_call, side


def drafts(portfolio: Portfolio, units: Units) -> Iterator[Draft]:
    """The account's own part first, then its own positions and its venues' that can owe or be owed anything."""
    yield Draft(OWN, None, portfolio.cash, (*_holdings(portfolio, units), *_debts(portfolio, units)), is_charged=False)
    for venue in portfolio.venues:
        if venue.positions or venue.cash:
            entries = tuple(_positions(portfolio.account, venue.positions, units))
            yield Draft(venue.name, venue.limit, venue.cash, entries, is_charged=True)


def parts(portfolio: Portfolio, parameters: Parameters, units: Units | None = None) -> tuple[Part, ...]:
    """The account's parts, as drafts() orders them."""
    return tuple(
        _charged(_summed(draft, parameters), draft, portfolio, parameters)
        for draft in drafts(portfolio, units or Units(parameters))
    )


# === Entries ===


def linked(portfolio: Portfolio, asset: str, parameters: Parameters) -> Wad:
    """The factor at which an asset counts: the least of the issuers' that the account depends on twice, else one.

    It does where it holds what an issuer issued and also has obligations to a venue of that issuer, or positions on
    anything that it issued: whatever their signs, one failure decides about both.
    """
    least = ONE
    for issuer in parameters.issuers.values():
        if asset in issuer.assets and any(
            (venue.is_obligation and venue.name in issuer.venues)
            or any(each.feed.asset in issuer.assets for each in venue.positions)
            for venue in portfolio.venues
        ):
            least = min(least, issuer.factor)
    return least


def _holdings(portfolio: Portfolio, units: Units) -> Iterator[Entry]:
    by_asset: defaultdict[str, list[Holding]] = defaultdict(list)
    for each in portfolio.holdings:
        by_asset[each.feed.asset].append(each)
    parameters = units.parameters
    rules = parameters.haircuts
    for asset in sorted(by_asset):
        ordered = sorted(
            by_asset[asset],
            key=lambda each: (
                rules.by_finality[each.quality.finality] + rules.by_assurance[each.quality.assurance],
                each.quality.reason is not None,  # what is there for certain never lies deeper for what may not be
                each.quality.chain,
                each.quality.finality,
                each.quality.assurance,
            ),
        )
        factor, vol = linked(portfolio, asset, parameters), portfolio.risks[parameters.assets[asset].root].vol
        filled = steps_of((each.amount for each in ordered), ordered[0].feed, parameters)
        for each, amounts in zip(ordered, filled, strict=True):
            for step, amount in enumerate(amounts):
                if amount:
                    yield Entry("collateral", amount, units.holding(each, step, factor, vol), holding=each, step=step)


def _debts(portfolio: Portfolio, units: Units) -> Iterator[Entry]:
    for each in portfolio.debts:
        yield Entry("debt", Wad(-each.amount), units.debt(each))


def _positions(account: str, held: Sequence[Held], units: Units) -> Iterator[Entry]:
    for each in held:
        yield units.known.once(_position, each.position, account, each.feed, units, held)


def _position(position: Position, account: str, feed: Feed, units: Units, among: Sequence[Held]) -> Entry:
    if isinstance(position, Option):
        return Entry("option", position.amount, units.option(account, position, feed, among))
    return Entry(
        "perpetual" if isinstance(position, Perpetual) else "future",
        position.amount,
        units.linear(position, feed),
        paid(position, is_missing=feed.status is FeedStatus.MISSING),
        apart=not feed.is_fresh,
    )


def paid(position: Perpetual | Future, *, is_missing: bool) -> Money:
    """−amount·entry, rounded down, with the funding still to receive; a short that has no price has sold nothing."""
    funding = 0 if isinstance(position, Future) else position.funding
    if is_missing:
        return Money(value(-max(0, position.amount), position.entry) + min(0, funding))
    return Money(value(-position.amount, position.entry) + funding)


# === Sums ===


def _charged(part: Part, draft: Draft, portfolio: Portfolio, parameters: Parameters) -> Part:
    if not draft.is_charged:
        return part
    charged = ZERO
    for root, delta in part.deltas.items():
        error, risk = part.errors[root].high, portfolio.risks[root]
        least, most = (Money(max(0, abs(delta) + each)) for each in (-error, error))
        charged += Interval(concentration(least, risk, parameters), concentration(most, risk, parameters))
    return replace(part, concentration=charged)


def concentration(delta: Money, risk: Risk, parameters: Parameters) -> Money:
    """rate·(|delta| − share·min(depth, open interest))⁺, rounded up: what no market can take at once.

    Source: Synthetix' skew scale and dYdX's open-interest caps, as a charge on the excess; MNGO in October 2022.
    """
    return up(Money(max(0, abs(delta) - room(risk, parameters.charges))), parameters.charges.concentration_rate)


def room(risk: Risk, charges: Charges) -> Money:
    """share·min(depth, open interest), rounded down."""
    least = min(risk.depth, risk.interest) if risk.interest else risk.depth
    return Money(least * charges.concentration_share // WAD)


def _summed(draft: Draft, parameters: Parameters) -> Part:
    venue, limit, cash, entries = draft.venue, draft.limit, draft.cash, draft.entries
    together = [entry for entry in entries if not entry.apart]
    apart = [entry for entry in entries if entry.apart]
    fixed = cash + sum(entry.fixed for entry in together)
    open_ended = any(entry.open_ended for entry in entries)

    def span(of: Callable[[Unit], Interval]) -> Interval:
        found = worth(together, of)
        alone = [entry.counted(of(entry.unit)) for entry in apart]
        low = fixed + found.low + sum(each.low for each in alone)
        high = fixed + found.high + sum(each.high for each in alone)
        return Interval(min(low, -(UNBOUNDED if limit is None else limit)) if open_ended else low, high)

    return Part(
        venue=venue,
        limit=limit,
        cash=cash,
        initial=span(lambda unit: unit.initial),
        maintenance=span(lambda unit: unit.maintenance),
        changes=_changes(entries, len(parameters.rows)),
        contingency=Interval(
            contingency(entries, lambda unit: unit.cost.low, lambda unit: unit.short_cost.low),
            contingency(entries, lambda unit: unit.cost.high, lambda unit: unit.short_cost.high),
        ),
        concentration=ZERO,
        deltas=_by_root(entries, lambda unit: unit.delta),
        errors=_errors(entries, is_charged=draft.is_charged),
        relief=Interval(
            floor_of(entries, lambda unit: unit.relief.low), floor_of(entries, lambda unit: unit.relief.high)
        ),
        market=span(lambda unit: unit.market),
        entries=entries,
        floor=draft.floor,
    )


def _changes(entries: Sequence[Entry], rows: int) -> tuple[Money, ...]:
    """By row ⌊Σ amount·change⌋."""
    amounts = [entry.amount for entry in entries]
    by_row = zip(*(entry.unit.changes for entry in entries), strict=True) if entries else [()] * rows
    return tuple(Money(sum(map(mul, amounts, row)) // WAD) for row in by_row)


def _by_root(entries: Iterable[Entry], figure: Callable[[Unit], int]) -> dict[str, Money]:
    """By underlying ⌊Σ amount·figure⌋."""
    sums: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        sums[entry.unit.factor] += entry.amount * figure(entry.unit)
    return {root: Money(sums[root] // WAD) for root in sorted(sums)}


def _errors(entries: Sequence[Entry], *, is_charged: bool) -> dict[str, Interval]:
    """By underlying Σ |amount|·error, rounded up: ⌈Σ amount·error⌉ + 2·⌈Σ owed·error⌉.

    Of collateral and debts (which are not charged) the low end takes the debts' alone: by what a holding is worth more
    than there, it counts for more than the shortfall takes of it.
    """
    signed = _by_root(entries, lambda unit: -unit.error)
    owed = _by_root([entry for entry in entries if entry.amount < 0], lambda unit: unit.error)
    found = {}
    for root, less in signed.items():
        short = -owed.get(root, 0)
        every = 2 * short - less
        found[root] = Interval(every if is_charged else short, every)
    return found


def floor_of(entries: Iterable[Entry], figure: Callable[[Unit], int]) -> Money:
    """⌊Σ amount·figure⌋."""
    return Money(sum(entry.amount * figure(entry.unit) for entry in entries) // WAD)


def of_short(entries: Iterable[Entry], figure: Callable[[Unit], int]) -> int:
    """Σ of what is owed, amount·figure, in 1e-30 USD."""
    return sum(-entry.amount * figure(entry.unit) for entry in entries if entry.amount < 0)


def worth(entries: Sequence[Entry], of: Callable[[Unit], Interval]) -> Interval:
    """What is held at its low and what is owed at its high end, and the other way round; each sum rounded once.

    low = ⌊Σ amount·low⌋ − ⌈Σ owed·(high − low)⌉, high = ⌊Σ amount·high⌋ + ⌊Σ owed·(high − low)⌋.
    """
    low = high = width = 0
    for entry in entries:
        amount, span = entry.amount, of(entry.unit)
        low += amount * span.low
        high += amount * span.high
        if amount < 0:
            width -= amount * (span.high - span.low)
    return Interval(low // WAD + -width // WAD, high // WAD + width // WAD)


def contingency(entries: Sequence[Entry], cost: Callable[[Unit], int], short_cost: Callable[[Unit], int]) -> Money:
    """Σ |amount|·cost + owed·short cost: ⌈Σ amount·cost⌉ + ⌈Σ owed·(2·cost + short cost)⌉."""
    owed = of_short(entries, lambda unit: 2 * cost(unit) + short_cost(unit))
    return Money(-floor_of(entries, lambda unit: -cost(unit)) - (-owed // WAD))
