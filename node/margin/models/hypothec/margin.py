"""What an account has left in every row at both thresholds, at both ends of what its inputs leave possible.

In a row each venue's claim is what the account would then owe it, within the owner's limit: a venue's profit counts
against its own claim alone, and the clamp is at every mark. So with κ one at initial margin, and the profile's part of
it at maintenance,

    left(row) = own worth + ⌊κ·own change⌋ − own costs − Σ_venues clamp(costs − worth − ⌊κ·change⌋, 0, limit),

and the excess is the least of it over the rows, the market as it is, and the market as it is less the shortfall. A part
without shorts or debts is worth no less in any of them than if all prices were zero (its floor): what is owned outright
needs no margin beyond its worth. Must not know instruments or where anything comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from node.margin.models.fixed import ONE, WAD, Money, Wad, down, up
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import Part
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.hypothec.shortfall import shortfall
from node.margin.spec import status_of
from node.model.health import HealthStatus, Interval, Reason

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
    shortfalls = net_shortfalls(portfolio, parts, parameters)

    def ends(spans: Sequence[Interval], ratio: Wad) -> tuple[End, End]:
        low, high = ([getattr(span, end) for span in spans] for end in ("low", "high"))
        return _end(parts, low, ratio, shortfalls), _end(parts, high, ratio, shortfalls)

    maintenance = ends([part.maintenance for part in parts], parameters.maintenance)
    low, high = ends([part.initial for part in parts], ONE)
    initial = replace(low, most=maintenance[0].excess), replace(high, most=maintenance[1].excess)
    status = status_of(
        Interval(initial[0].excess, initial[1].excess),
        Interval(maintenance[0].excess, maintenance[1].excess),
        covered=left(parts, [part.market.high for part in parts], [0] * len(parts)) >= 0,
    )
    reasons = tuple(dict.fromkeys(reason for part in parts for reason in part.reasons))
    if status is HealthStatus.UNKNOWN and not reasons:
        reasons = (Reason.PRICE_SPREAD,)
    return Result(parts, initial, maintenance, status, reasons)


def claim(worth: int, limit: Money) -> Money:
    """What of a worth below zero a venue may claim: −worth within [0, limit]."""
    return Money(min(max(-worth, 0), limit))


def margin_by_row(part: Part, worth: int, ratio: Wad) -> list[Money]:
    """What a venue's positions need beyond its claim: as the market is, and by row."""
    assert part.limit is not None  # noqa: S101 - only a venue has a claim
    cost, limit = costs_of(part, ratio), part.limit
    return [
        Money(claim(worth + down(change, ratio) - cost, limit) - claim(worth, limit)) for change in (0, *part.changes)
    ]


def left(parts: Sequence[Part], worths: Sequence[int], costs: Sequence[int]) -> Money:
    """Σ (worth − cost) of what is one's own, less each venue's claim on it."""
    total = 0
    for part, worth, cost in zip(parts, worths, costs, strict=True):
        total += worth - cost if part.limit is None else -claim(worth - cost, part.limit)
    return Money(total)


def costs_of(part: Part, ratio: Wad) -> Money:
    """Contingency and concentration at a threshold, rounded up."""
    return up(Money(part.contingency + part.concentration), ratio)


def _end(parts: Sequence[Part], worths: Sequence[int], ratio: Wad, shortfalls: Shortfalls) -> End:
    costs = [costs_of(part, ratio) for part in parts]
    by_row = [0] * (1 + len(parts[0].changes))
    for part, worth, cost in zip(parts, worths, costs, strict=True):
        moved = [worth - cost, *(worth - cost + change * ratio // WAD for change in part.changes)]
        if part.floor is not None:
            moved = [max(each, part.floor - cost) for each in moved]
        if (limit := part.limit) is not None:  # as left() has it, without a call for each of the rows
            moved = [0 if each >= 0 else max(each, -limit) for each in moved]
        by_row = [total + each for total, each in zip(by_row, moved, strict=True)]
    own = lost(up(shortfalls.own, ratio), [pair for pair in zip(parts, worths, strict=True) if pair[0].limit is None])
    added = {}
    for part, worth, cost in zip(parts, worths, costs, strict=True):
        if part.limit is not None:
            after = worth - cost - lost(up(shortfalls.alone[part.venue], ratio), [(part, worth)])
            added[part.venue] = claim(after, part.limit) - claim(worth - cost, part.limit)
    return End(ratio, tuple(map(Money, by_row)), shortfalls.at(ratio, own, added))


def lost(shortfall: Money, parts: Sequence[tuple[Part, int]]) -> Money:
    """Of a shortfall what parts of so much worth can lose: no more than takes them to their floors."""
    floors = [part.floor for part, _ in parts]
    if None in floors:
        return shortfall
    return Money(min(shortfall, sum(worth for _, worth in parts) - sum(floor or 0 for floor in floors)))


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


def net_shortfalls(portfolio: Portfolio, parts: Sequence[Part], parameters: Parameters) -> Shortfalls:
    """One's own deltas alone, with each venue's alone, and with all venues'.

    A venue that is ahead takes no part in what the others lose, so offsets between venues may be worth nothing: the
    greatest of these is required.
    """
    own = [part for part in parts if part.limit is None]
    venues = [part for part in parts if part.limit is not None]
    choices = [*([each] for each in venues), *([venues] if len(venues) > 1 else [])]
    relief = sum(part.relief for part in parts)
    roots = sorted({root for part in parts for root in part.deltas})
    vols = {root: portfolio.risks[root].vol for root in roots}
    groups = {root: parameters.assets[root].group for root in roots}

    def of(chosen: Sequence[Part]) -> Money:
        deltas = {root: Money(sum(part.deltas.get(root, 0) for part in chosen)) for root in roots}
        return shortfall(deltas, vols, groups, parameters.shortfall)

    def net(chosen: Sequence[Part]) -> Money:
        return Money(max(0, of((*own, *chosen)) - relief))

    return Shortfalls(
        net(()),
        {part.venue: of((part,)) for part in venues},
        tuple((tuple(part.venue for part in chosen), net(chosen)) for chosen in choices),
    )
