"""All that could be done for an account: positions closed one by one or together, collateral exchanged for debts.

What makes the account worse by itself is no candidate: a hedge is then closed only together with what it protects. The
bonus of an exchange comes out of what the profile's haircut holds back, and takes at most half of it. Must not know how
candidates are chosen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import Enum
from itertools import groupby

from node.margin.models.fixed import PICO, Money, Wad
from node.margin.planning.account import CASH, Holding, Kind, cash_holding
from node.margin.planning.amounts import Scope, owed
from node.margin.planning.legs import Candidate, Close, Exchange, holdings_of, most
from node.margin.planning.target import Goal
from node.margin.planning.terms import Order

_UNLIMITED = 10**15 * PICO
"""More depth than any asset has that says it."""


class Together(Enum):
    """What is closed only as one, the same part of each position: at one venue; or of an asset, or all, anywhere."""

    NOTHING = "nothing"
    VENUE = "venue"
    ASSET = "asset"
    ACCOUNT = "account"


def candidates(goal: Goal) -> Iterator[Candidate]:
    """Every candidate, by name; exchanges as yet without a bonus."""
    found: list[Candidate] = [*_closes(goal.account.holdings.values()), *_exchanges(goal)]
    yield from sorted(found, key=lambda each: each.name)


def _closes(held: Iterable[Holding]) -> Iterator[Close]:
    usable = (each for each in held if each.kind.is_position and each.is_available)
    positions = sorted(usable, key=lambda each: (each.venue, each.asset))
    yield from (Close(f"close {each.name}", (each,)) for each in positions)
    for venue, of_venue in groupby(positions, key=lambda each: each.venue):
        together = tuple(of_venue)
        at = f" at {venue}" if venue else ""
        parts = [(asset, tuple(each)) for asset, each in groupby(together, key=lambda each: each.asset)]
        for asset, part in parts:
            if len(part) > 1:
                yield Close(f"close a part of all {asset}{at}", part)
        if len(parts) > 1:
            yield Close(f"close a part of everything{at}", together)
    yield from _across(positions)


def _across(positions: Iterable[Holding]) -> Iterator[Close]:
    """What hedges at one venue a position at another is closed with it: at either alone the worst row would stay."""
    by_asset: defaultdict[str, list[Holding]] = defaultdict(list)
    for each in positions:
        by_asset[each.asset].append(each)
    found = {f"close a part of all {asset} at all venues": part for asset, part in by_asset.items()}
    if len(by_asset) > 1:
        found["close a part of everything at all venues"] = [each for part in by_asset.values() for each in part]
    for name, part in found.items():
        if len({each.venue for each in part}) > 1:
            yield Close(name, tuple(part))


def _exchanges(goal: Goal) -> Iterator[Exchange]:
    account = goal.account
    usable = [each for each in account.holdings.values() if each.is_available]
    held = [each for each in usable if each.kind is Kind.COLLATERAL and each.price > 0]
    debts = [each for each in usable if each.kind is Kind.DEBT]
    targets = (*debts, *owed(goal))
    for source in held:
        for target in targets:
            yield Exchange(f"{source.name} for {target.name}", source, target, Wad(0))
    if account.cash > 0:
        for target in debts:
            yield Exchange(f"{CASH} for {target.name}", cash_holding(account.cash), target, Wad(0))


def priced(candidate: Candidate, scope: Scope) -> Candidate:
    """A candidate with its bonus, in a scope that no close factor bounds."""
    if isinstance(candidate, Close) or candidate.source.name == CASH:
        return candidate
    return replace(candidate, bonus=_bonus(candidate, scope))


def _bonus(exchange: Exchange, scope: Scope) -> Wad:
    """The bonus of the terms, but at most half of what would make the exchange worthless to the account.

    From two trials, without a bonus and with twice the given one: between them what an exchange gains falls in a line.
    """
    goal = scope.goal
    given = goal.terms.of(exchange.source.asset).bonus
    twice = Wad(2 * given)
    amount = scope.reach(replace(exchange, bonus=twice), [], Wad(-(-most(exchange) // 4)))

    def gains(bonus: Wad) -> list[int]:
        legs = scope.legs([(replace(exchange, bonus=bonus), amount)]) if amount else None
        if legs is None:
            return [0]
        after = goal.after(legs[0].change(goal.account))
        return [new.excess - old.excess for old, new in zip(goal.before.levels, after.levels, strict=True)]

    dear = gains(twice)
    if all(gain >= 0 for gain in dear):
        return given
    free = gains(Wad(0))
    if any(gain <= 0 for gain in free):
        return Wad(0)
    worthless = min(
        twice * most_gain // (most_gain - gain) for most_gain, gain in zip(free, dear, strict=True) if gain < 0
    )
    return Wad(min(given, worthless // 2))


def rank(goal: Goal, candidate: Candidate) -> Money | Wad:
    """What goes before what, by the order of the terms: the lower first.

    What reduces several things goes with the last of them, so that nothing goes before its turn.
    """
    if goal.terms.order is Order.CHEAPEST:
        return Wad(0)
    reduced = candidate.holdings if isinstance(candidate, Close) else (candidate.source,)
    rules = [goal.terms.of(each.asset) for each in reduced if each.name != CASH]
    if goal.terms.order is Order.VOLATILE:
        return Wad(-min((each.volatility for each in rules), default=0))
    return Money(max((each.depth or _UNLIMITED for each in rules), default=_UNLIMITED))


def together_of(goal: Goal) -> tuple[Together, ...]:
    """What may be closed as one, the least first; across venues only where there are several."""
    venues = {held.venue for held in goal.account.holdings.values() if held.kind.is_position}
    return tuple(Together) if len(venues) > 1 else (Together.NOTHING, Together.VENUE)


def allowed(goal: Goal, together: Together) -> Iterator[Candidate]:
    """The candidates that leave out no position that goes only together with one of theirs."""
    positions = [held for held in goal.account.holdings.values() if held.kind.is_position]
    at_venue, of_asset = Counter(each.venue for each in positions), Counter(each.asset for each in positions)

    def is_allowed(close: Close) -> bool:
        venues, assets = {each.venue for each in close.holdings}, {each.asset for each in close.holdings}
        wanted = {
            Together.NOTHING: len(close.holdings),
            Together.VENUE: sum(at_venue[venue] for venue in venues),
            Together.ASSET: sum(of_asset[asset] for asset in assets),
            Together.ACCOUNT: len(positions),
        }
        is_wide = together in {Together.ASSET, Together.ACCOUNT}
        return len(close.holdings) == wanted[together] and (is_wide or len(venues) == 1)

    return (each for each in candidates(goal) if isinstance(each, Exchange) or is_allowed(each))


def overlap(first: Candidate, second: Candidate) -> bool:
    """Whether both close a position: they would not know of each other's part."""
    names = {each.name for each in holdings_of(first) if each.kind.is_position}
    return any(each.name in names for each in holdings_of(second))
