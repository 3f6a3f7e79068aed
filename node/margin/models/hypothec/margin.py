"""What an account has left in every row at both thresholds, at both ends of what its inputs leave possible.

In a row each venue's claim is what the account would then owe it, within the owner's limit: a venue's profit counts
against its own claim alone, and the clamp is at every mark. So with κ one at initial margin, and the profile's part of
it at maintenance,

    left(row) = own worth + ⌊κ·own change⌋ − own costs − Σ_venues clamp(costs − worth − ⌊κ·change⌋, 0, limit),

and the excess is the least of it over the rows, the market as it is, and the market as it is less the shortfall. A part
without shorts or debts is worth no less in any of them than if all prices were zero (its floor): what is owned outright
needs no margin beyond its worth. The low end has what is worth least and the most that costs and shortfall may come to,
the high end the opposite: whatever the inputs are within their ranges, the excess is between the two. Must not know
instruments or where they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from node.margin.models.fixed import ONE, WAD, Money, Wad, down, up
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import Part
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.hypothec.shortfall import doubt, shortfall
from node.margin.spec import status_of
from node.model.health import ZERO, HealthStatus, Interval, Reason

UNMOVED = "unmoved"
SHORTFALL = "expected shortfall"


@dataclass(frozen=True, slots=True)
class End:
    """One threshold at one end: what is left by row (the first as the market is), the shortfall, and which decided.

    `most` is what the threshold below leaves: a stricter one leaves no more. (By its rows alone it could, where a limit
    binds: half a gain may leave a claim at its limit that the whole gain brings below it.)
    """

    ratio: Wad
    left: tuple[Money, ...]
    shortfall: Money
    most: Money | None = None

    @property
    def worst(self) -> int | None:
        """The row that decides (0: as the market is); None if the shortfall does."""
        least = min(self.left)
        return None if self.left[0] - self.shortfall < least else self.left.index(least)

    @property
    def required(self) -> Money:
        """The least that any row or the shortfall leaves."""
        return Money(min(*self.left, self.left[0] - self.shortfall))

    @property
    def excess(self) -> Money:
        """The least of all."""
        return self.required if self.most is None else min(self.required, self.most)


@dataclass(frozen=True, slots=True)
class Result:
    """One account: both ends at both thresholds, and what follows. `parts` explain it."""

    parts: tuple[Part, ...]
    initial: tuple[End, End]
    maintenance: tuple[End, End]
    status: HealthStatus
    reasons: tuple[Reason, ...]

    @property
    def initial_excess(self) -> Interval:
        """Low to high."""
        return Interval(*(end.excess for end in self.initial))

    @property
    def maintenance_excess(self) -> Interval:
        """Low to high."""
        return Interval(*(end.excess for end in self.maintenance))

    @property
    def decided_by(self) -> str:
        """Which end made the status."""
        return self.status.decided_by


def evaluate(portfolio: Portfolio, parts: tuple[Part, ...], parameters: Parameters) -> Result:
    """Both ends at both thresholds, and the status."""
    most, least = net_shortfalls(portfolio, parts, parameters)

    def ends(spans: Sequence[Interval], ratio: Wad) -> tuple[End, End]:
        low, high = _sides(parts, spans, ratio)
        return _end(low, ratio, most), _end(high, ratio, least)

    maintenance = ends([part.maintenance for part in parts], parameters.maintenance)
    low, high = ends([part.initial for part in parts], ONE)
    initial = replace(low, most=maintenance[0].excess), replace(high, most=maintenance[1].excess)
    status = status_of(
        Interval(initial[0].excess, initial[1].excess),
        Interval(maintenance[0].excess, maintenance[1].excess),
        covered=left(parts, [part.market.high for part in parts]) >= 0,
    )
    reasons = tuple(dict.fromkeys(reason for part in parts for reason in part.reasons))
    if status is HealthStatus.UNKNOWN and not reasons:
        reasons = (Reason.PRICE_SPREAD,)
    return Result(parts, initial, maintenance, status, reasons)


def claim(worth: int, limit: Money) -> Money:
    """What of a worth below zero a venue may claim: −worth within [0, limit]."""
    return Money(min(max(-worth, 0), limit))


def margin_by_row(part: Part, span: Interval, ratio: Wad) -> tuple[list[Money], list[Money]]:
    """What a venue's positions need beyond its claim at either end: as the market is, and by row."""
    assert part.limit is not None  # noqa: S101 - only a venue has a claim
    limit, changes = part.limit, [down(change, ratio) for change in (0, *part.changes)]
    low, high = (
        [Money(claim(side.after(change), limit) - claim(side.after() + side.cost, limit)) for change in changes]
        for [side] in _sides([part], [span], ratio)
    )
    return low, high


def left(parts: Sequence[Part], worths: Sequence[int]) -> Money:
    """Σ worth of what is one's own, less each venue's claim on it."""
    return Money(
        sum(
            worth if part.limit is None else -claim(worth, part.limit)
            for part, worth in zip(parts, worths, strict=True)
        )
    )


def costs_of(part: Part, ratio: Wad) -> Interval:
    """Contingency and concentration at a threshold, rounded up."""
    costs = part.contingency + part.concentration
    return Interval(up(costs.low, ratio), up(costs.high, ratio))


@dataclass(frozen=True, slots=True)
class _Side:
    """A part at one end: what it is worth and costs, and what it is worth at least if that is known."""

    part: Part
    worth: int
    cost: int
    floor: int | None

    def after(self, change: int = 0) -> int:
        """After costs, where its worth changes by so much, but for what it cannot lose."""
        left = self.worth + change
        return (left if self.floor is None else max(left, self.floor)) - self.cost


def _sides(parts: Sequence[Part], spans: Sequence[Interval], ratio: Wad) -> tuple[list[_Side], list[_Side]]:
    """At the low and at the high end."""
    low, high = [], []
    for part, span in zip(parts, spans, strict=True):
        cost, floor = costs_of(part, ratio), part.floor
        low.append(_Side(part, span.low, cost.high, None if floor is None else floor.low))
        high.append(_Side(part, span.high, cost.low, None if floor is None else floor.high))
    return low, high


def _end(sides: Sequence[_Side], ratio: Wad, shortfalls: Shortfalls) -> End:
    by_row = [0] * (1 + len(sides[0].part.changes))
    added = {}
    for side in sides:
        raw, now = side.worth - side.cost, side.after()
        moved = [now, *(raw + change * ratio // WAD for change in side.part.changes)]
        if side.floor is not None:
            least = side.floor - side.cost
            moved = [max(each, least) for each in moved]
        if (limit := side.part.limit) is not None:  # as left() has it, without a call for each of the rows
            moved = [0 if each >= 0 else max(each, -limit) for each in moved]
            alone = side.after(-up(shortfalls.alone[side.part.venue], ratio))
            added[side.part.venue] = claim(alone, limit) - claim(now, limit)
        by_row = [total + each for total, each in zip(by_row, moved, strict=True)]
    own = _lost(up(shortfalls.own, ratio), [side for side in sides if side.part.limit is None])
    return End(ratio, tuple(map(Money, by_row)), shortfalls.at(ratio, own, added))


def _lost(shortfall: Money, sides: Iterable[_Side]) -> Money:
    """Of a shortfall what sides can lose together: no more than takes them to their floors."""
    most = 0
    for side in sides:
        if side.floor is None:
            return shortfall
        most += max(0, side.worth - side.floor)
    return Money(min(shortfall, most))


@dataclass(frozen=True, slots=True)
class Shortfalls:
    """Of one's own deltas (`own`), of each venue's (`alone`), and of one's own with those of some venues (`together`).

    What includes one's own is less what haircuts have held back for it.
    """

    own: Money
    alone: Mapping[str, Money]
    together: tuple[tuple[tuple[str, ...], Money], ...]

    def at(self, ratio: Wad, own: Money, added: Mapping[str, int]) -> Money:
        """What a threshold takes: the greatest, but of venues no more than their own shortfalls add to their claims.

        A profit bears the shortfall of its venue first, as it does in every row, and a limit bounds it. `own` is what
        one's own can lose of one's own shortfall.
        """
        with_venues = (
            min(up(amount, ratio), own + sum(added[venue] for venue in venues)) for venues, amount in self.together
        )
        return Money(max((own, *with_venues)))


def net_shortfalls(
    portfolio: Portfolio, parts: Sequence[Part], parameters: Parameters
) -> tuple[Shortfalls, Shortfalls]:
    """One's own deltas alone, with each venue's alone, and with all venues', as the low and as the high end take them.

    A venue that is ahead takes no part in what the others lose, so offsets between venues may be worth nothing: the
    greatest of these is required. The low end takes the most that each may come to over the ranges of the deltas, the
    high end the least.
    """
    own = [part for part in parts if part.limit is None]
    venues = [part for part in parts if part.limit is not None]
    choices = [*([each] for each in venues), *([venues] if len(venues) > 1 else [])]
    relief = sum((part.relief for part in parts), ZERO)
    roots = sorted({root for part in parts for root in part.deltas})
    vols = {root: portfolio.risks[root].vol for root in roots}
    groups = {root: parameters.assets[root].group for root in roots}

    def of(chosen: Sequence[Part]) -> Interval:
        deltas = {root: Money(sum(part.deltas.get(root, 0) for part in chosen)) for root in roots}
        errors = {root: sum((part.errors.get(root, ZERO) for part in chosen), ZERO) for root in roots}
        found = shortfall(deltas, vols, groups, parameters.shortfall)
        at_low, at_high = (
            doubt(found, {root: getattr(error, end) for root, error in errors.items()}, vols, parameters.shortfall)
            for end in ("low", "high")
        )
        return Interval(max(0, found - at_high), found + at_low)

    def net(chosen: Sequence[Part]) -> Interval:
        left = of((*own, *chosen)) - relief
        return Interval(max(0, left.low), max(0, left.high))

    single, alone = net(()), {part.venue: of((part,)) for part in venues}
    together = [(chosen, net(chosen)) for chosen in choices]
    most, least = (
        Shortfalls(
            Money(getattr(single, end)),
            {venue: Money(getattr(found, end)) for venue, found in alone.items()},
            tuple((tuple(part.venue for part in chosen), Money(getattr(found, end))) for chosen, found in together),
        )
        for end in ("high", "low")
    )
    return most, least
