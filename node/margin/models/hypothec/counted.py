"""At what one unit of a holding or a debt counts, and what the rows do to it.

A holding counts at price·(1 − haircut). The haircut for volatility pays for a fall first: in a row that moves the price
by m, a unit changes by

    price · (1 − other haircuts) · ((w·m)⁺ + min(0, w·m + haircut for volatility)),    w the row's weight,

never below what it counts. So volatility is charged once, whether by haircut or by row, and what offsets an obligation
counts in full. All of it is per unit and is made once a frame. Must not know accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.margin.models.fixed import ONE, WAD, Money, Wad, down, product, up, value
from node.margin.models.hypothec import haircuts, scenarios
from node.margin.models.hypothec.feeds import Feed, FeedStatus
from node.margin.models.hypothec.haircuts import Haircut
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.shortfall import shortfall_of_one
from node.model.health import ZERO, Interval, Reason

NOTHING = Money(0)
NANO = 10**9
"""Steps of a depth end at whole 1e-9 units, so that what lies in them has no more digits than what is held."""
CHAIN_REASONS = {
    "LIVE": None,
    "HALTED": Reason.CHAIN_HALTED,
    "DISPUTED": Reason.CHAIN_DISPUTED,
    "STALE": Reason.STALE_CUT,
}
"""What may be said of the chain that a holding is on."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of an instrument, in 1e-12 USD: what it is worth when held (low to high), and when owed.

    `changes` are the weighted changes by row, `delta` the value of its delta on the underlying `factor`, which may be
    wrong by `error`, `relief` what of the shortfall of that delta a haircut has held back, `cost` and `short_cost` what
    is required of each unit and of each unit that is short. `open_ended`: owing it has no bound. `market` is its value
    without haircuts. `best` are a holding's changes at the high end by itself.
    """

    name: str
    initial: Interval
    maintenance: Interval
    changes: tuple[Money, ...]
    factor: str
    delta: Money = NOTHING
    error: Money = NOTHING
    relief: Interval = ZERO
    cost: Interval = ZERO
    short_cost: Interval = ZERO
    open_ended: bool = False
    market: Interval = ZERO
    reasons: tuple[Reason, ...] = ()
    best: tuple[Money, ...] = ()


@dataclass(frozen=True, slots=True)
class Quality:
    """How a holding is known: how it is proven, how final it is, the state of its chain."""

    assurance: str
    finality: str
    chain: str

    @property
    def reason(self) -> Reason | None:
        """Why its chain makes it uncertain."""
        return CHAIN_REASONS[self.chain]


def moves(asset: str, parameters: Parameters) -> list[Wad]:
    """What of each row's move of the asset's price counts: weight·move."""
    found = parameters.assets[asset]
    return [product(row.weight, scenarios.move(row, found)) for row in parameters.rows]


def haircut_pair(feed: Feed, quality: Quality, step: int, parameters: Parameters) -> tuple[Haircut, Haircut]:
    """The haircuts at initial and at maintenance margin of what lies in a step of the depth (beyond the last: all).

    Maintenance takes its part of those for volatility and size; what is not known well is known no better by it.
    """
    rules = parameters.haircuts
    size = haircuts.by_size(rules.size_steps[step], rules) if step < len(rules.size_steps) else ONE
    market = {"volatility": haircuts.by_volatility(feed.vol, rules), "size": size}
    known = {
        "age": haircuts.by_age(feed.age, rules),
        "spread": haircuts.by_spread(feed, rules),
        "finality": rules.by_finality[quality.finality],
        "assurance": rules.by_assurance[quality.assurance],
    }
    eased = {name: haircuts.scaled(part, parameters.maintenance) for name, part in market.items()}
    if size == ONE:
        eased["size"] = ONE
    return Haircut({**market, **known}), Haircut({**eased, **known})


def holding(feed: Feed, quality: Quality, step: int, factor: Wad, vol: Wad, parameters: Parameters) -> Unit:
    """One unit held as collateral, in a step of the depth; `factor` is what being linked to an obligation leaves.

    `vol` is that of the underlying, by which its delta is charged: it may not be the asset's own.

    A feed that is not fresh: nothing at the low end, no initial margin at either. A chain that is not live: nothing at
    the low end. Haircuts for age and spread are the low end's alone, as the range of the price says the same; the high
    end adds by how much its changes could be better than the low end's, whose changes both ends take.
    """
    initial, maintenance = haircut_pair(feed, quality, step, parameters)
    low = feed.low if feed.is_fresh and quality.reason is None else Wad(0)
    moved = moves(feed.asset, parameters)
    changes = [counted(low, each, factor) for each in relieved(moved, initial.parts["volatility"], initial.total)]
    best = [
        counted(feed.high, each, factor) for each in relieved(moved, initial.parts["volatility"], initial.total_at_high)
    ]
    gained = better_by(best, changes)

    def span(haircut: Haircut) -> Interval:
        most = counted(feed.high, Wad(WAD - haircut.total_at_high), factor) + gained
        return Interval(counted(low, Wad(WAD - haircut.total), factor), most)

    volatility, alone = initial.parts["volatility"], shortfall_of_one(vol, parameters.shortfall)
    (delta, relief), (most, relief_most) = (
        relieving(price, volatility, total, alone, factor)
        for price, total in ((low, initial.total), (feed.high, initial.total_at_high))
    )
    return Unit(
        name=feed.asset,
        initial=span(initial) if feed.is_fresh else ZERO,
        maintenance=span(maintenance),
        changes=tuple(changes),
        factor=parameters.assets[feed.asset].root,
        delta=delta,
        error=Money(most - delta),
        relief=Interval(relief, relief_most),
        market=Interval(value(WAD, low), value(WAD, feed.high)),
        reasons=tuple(each for each in (feed.reason, quality.reason) if each is not None),
        best=tuple(best),
    )


def better_by(best: Iterable[Money], changes: Iterable[Money]) -> Money:
    """By how much the high end's changes by itself are better than the low end's, where they are most."""
    return Money(max(0, *(more - less for more, less in zip(best, changes, strict=True))))


def rest(volatility: Wad, total: Wad) -> Wad:
    """What the haircuts but the one for volatility leave; nothing where together they leave nothing."""
    return Wad(min(WAD, WAD - total + volatility) if total < WAD else 0)


def relieving(price: Wad, volatility: Wad, total: Wad, alone: Wad, factor: Wad) -> tuple[Money, Money]:
    """A unit's delta, and what of its shortfall the haircut for volatility has held back: delta·min(volatility, alone).

    But no less than leaves of the shortfall what counts of the unit, as that is the most that holding it can cost.
    """
    delta, left = counted(price, rest(volatility, total), factor), counted(price, Wad(WAD - total), factor)
    return delta, Money(max(down(delta, min(volatility, alone)), up(delta, alone) - left))


def relieved(moved: Iterable[Wad], volatility: Wad, total: Wad) -> list[Wad]:
    """By row, what a unit's value changes by: rest·((w·m)⁺ + min(0, w·m + volatility)), not below what it counts."""
    left = rest(volatility, total)
    return [Wad(max(product(left, max(move, 0) + min(0, min(move, 0) + volatility)), total - WAD)) for move in moved]


def counted(price: Wad, part: Wad, factor: Wad) -> Money:
    """price·part·factor as money, rounded down once."""
    return Money(price * part * factor // (WAD * WAD * WAD // 10**12))


def debt(feed: Feed, parameters: Parameters) -> Unit:
    """One unit that is owed.

    A feed that is not fresh: at the high end nothing is owed and at the low end what the worst row makes of it,
    whatever the row. A missing one has no bound.
    """
    by_row = moves(feed.asset, parameters)
    most = max(0, *by_row)
    if feed.is_fresh:
        changes = tuple(value(WAD, product(feed.price, each)) for each in by_row)
        high = value(WAD, feed.price) - value(-WAD, product(feed.high - feed.price, WAD + most))
        low = value(WAD, feed.price) + value(-WAD, product(feed.price - feed.low, WAD + most))
        span = Interval(low, high)
    else:
        changes = (NOTHING,) * len(by_row)
        span = Interval(0, -value(-WAD, product(feed.high, WAD + most)))
    market = Interval(value(WAD, feed.low) if feed.is_fresh else 0, value(WAD, feed.high))
    delta = value(WAD, feed.price)
    return Unit(
        name=feed.asset,
        initial=span,
        maintenance=span,
        changes=changes,
        factor=parameters.assets[feed.asset].root,
        delta=delta,
        error=furthest(delta, market),
        open_ended=feed.status is FeedStatus.MISSING,
        market=market,
        reasons=reasons_of(feed),
    )


def furthest(figure: Money, within: Interval) -> Money:
    """By how much it may be wrong where it may be anything within a range."""
    return Money(max(within.high - figure, figure - within.low))


def reasons_of(feed: Feed) -> tuple[Reason, ...]:
    """Why the feed is not fresh, if it is not."""
    return () if feed.reason is None else (feed.reason,)


def steps_of(amounts: Iterable[Wad], feed: Feed, parameters: Parameters) -> list[list[Wad]]:
    """What of each holding of one asset lies in each step of its depth: the last entry is beyond all steps.

    The holdings fill the depth one after the other, together as one: the depth is the account's, not each holding's.
    """
    steps = parameters.haircuts.size_steps
    ends = [feed.depth * step // feed.price * 10**6 // NANO * NANO if feed.price else 0 for step in steps]
    found, filled = [], 0
    for amount in amounts:
        parts, left = [], int(amount)
        for end in ends:
            part = min(left, max(0, end - filled))
            parts.append(Wad(part))
            filled, left = filled + part, left - part
        parts.append(Wad(left))
        found.append(parts)
    return found
