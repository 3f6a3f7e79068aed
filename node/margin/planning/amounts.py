"""How much of a candidate there can be in one plan: what is held, the close factor, whole lots.

Must not know which candidates are chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from node.margin.models.fixed import WAD, Money, Wad
from node.margin.planning.account import CASH, USD, Holding, Kind, cash_holding
from node.margin.planning.legs import (
    OWED,
    Candidate,
    Close,
    Exchange,
    Leg,
    Room,
    affordable,
    carried_out,
    claim_of,
    largest,
    most,
)
from node.margin.planning.target import Goal

GRAINS = 4_096
"""Amounts are whole lots, and of large holdings at least a 4096th part."""
_SLICE_LOT = WAD // GRAINS
_USD_LOT = WAD // 100
Selection = list[tuple[Candidate, Wad]]
"""Candidates with their amounts, in the order in which legs share an asset's depth."""


def with_amount(selection: Selection, candidate: Candidate, amount: Wad) -> Selection:
    """The selection with a candidate at an amount: in its place, or as the last."""
    if any(each == candidate for each, _ in selection):
        return [(each, amount if each == candidate else had) for each, had in selection]
    return [*selection, (candidate, amount)]


class _Done(NamedTuple):
    """A leg of the selection that was last carried out, and the room after it."""

    candidate: Candidate
    leg: Leg
    room: Room


@dataclass(frozen=True, slots=True)
class Scope:
    """What one plan for an account may take of each holding."""

    goal: Goal
    limits: Mapping[str, int]
    _done: list[_Done] = field(default_factory=list, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, goal: Goal, *, bounded: bool) -> Scope:
        """All of everything, or no more of debts and positions than the close factor allows."""
        limits = {}
        for held in (*goal.account.holdings.values(), *owed(goal)):
            of_it = _allowed(goal, held) if bounded and held.kind is not Kind.COLLATERAL else held.size
            limits[OWED if held.name == CASH else held.name] = of_it
        return cls(goal, {**limits, CASH: max(0, cash_holding(goal.account.cash).amount)})

    def legs(self, selection: Selection) -> tuple[Leg, ...] | None:
        """What a selection comes to; None where there is not so much.

        What begins as the one before did is not carried out again: trials differ in their last amounts.
        """
        done, same = self._done, 0
        for (candidate, amount), before in zip(selection, done, strict=False):
            if candidate is not before.candidate or amount != before.leg.amount:
                break
            same += 1
        del done[same:]
        for candidate, amount in selection[same:]:
            room = done[-1].room.copy() if done else Room(self.limits)
            leg = carried_out(self.goal.terms, candidate, amount, room)
            if leg is None:
                return None
            done.append(_Done(candidate, leg, room))
        return tuple(each.leg for each in done)

    def reach(self, candidate: Candidate, selection: Selection, wanted: Wad) -> Wad:
        """The largest amount of a candidate up to `wanted` that there is beside the rest of a selection.

        What a source cannot pay for in whole steps is taken to its last unit.
        """

        def fits(amount: int) -> bool:
            return self.legs(with_amount(selection, candidate, Wad(amount))) is not None

        if fits(wanted):
            return wanted
        self.legs([(each, amount) for each, amount in selection if each != candidate])
        room = self._done[-1].room if self._done else Room(self.limits)
        guess, step = affordable(self.goal.terms, candidate, room), self.step(candidate)
        if isinstance(candidate, Exchange):
            return Wad(largest(fits, wanted, guess))
        return Wad(step * largest(lambda count: fits(count * step), wanted // step, guess // step))

    def step(self, candidate: Candidate) -> int:
        """What a candidate's amount is a multiple of, unless it is all that there is."""
        if isinstance(candidate, Close) and candidate.is_slice:
            return _SLICE_LOT
        held = candidate.holdings[0] if isinstance(candidate, Close) else candidate.target
        lot = (
            _USD_LOT if held.asset == USD and USD not in self.goal.terms.assets else self.goal.terms.of(held.asset).lot
        )
        return lot * max(1, -(-most(candidate) // (lot * GRAINS)))


def _allowed(goal: Goal, held: Holding) -> int:
    factor = goal.terms.close_factor
    ratio = goal.before.levels[-1].ratio
    if ratio is None or ratio <= factor.all_below or held.notional(held.size) < factor.all_under:
        return held.size
    lot = goal.terms.of(held.asset).lot
    return min(held.size, -(-held.size * factor.part // (WAD * lot)) * lot)


def owed(goal: Goal) -> Iterator[Holding]:
    """What sold collateral can pay for beside debts: venues' claims; or cash, that is owed or margin of positions."""
    account = goal.account
    claims = {name: claimed for name in account.venues if (claimed := account.claim(name))}
    for name, claimed in claims.items():
        yield replace(cash_holding(claimed), name=claim_of(name), kind=Kind.DEBT)
    if not claims and any(held.kind.is_position for held in account.holdings.values()):
        worth = sum(held.worth for held in account.holdings.values() if held.kind is Kind.COLLATERAL)
        yield cash_holding(Money(worth + max(0, -account.cash)))
    elif account.cash < 0:
        yield replace(cash_holding(Money(-account.cash)), kind=Kind.DEBT)
