"""The plan for one account: its legs, what they come to, and the proof that any part of them may be carried out.

A plan brings a liquidatable account back to the target, as far as the close factor lets one plan go; where the target
is out of reach it closes all that can be closed; and where that leaves a debt it says who bears it. The proof is the
account's standing after every subset of the legs. Must not know how legs are found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from node.margin.models.fixed import Money
from node.margin.models.profile import Evaluation
from node.margin.planning.account import Account, Kind
from node.margin.planning.backstop import left_to_others, settlement
from node.margin.planning.candidates import together_of
from node.margin.planning.legs import Leg, after
from node.margin.planning.losses import Settlement
from node.margin.planning.schedule import Schedule, schedule
from node.margin.planning.search import Found, evaluated, search, subsets
from node.margin.planning.target import Goal
from node.margin.planning.terms import Terms


class Outcome(StrEnum):
    """What a plan comes to."""

    NOT_NEEDED = "not_needed"
    """The account is not liquidatable."""
    RESTORED = "restored"
    """The target is reached."""
    BOUNDED = "bounded"
    """It is not yet: the close factor or the number of legs leaves it to the next plan."""
    CLOSED = "closed"
    """It is out of reach, and nothing is left open or owed."""
    INSOLVENT = "insolvent"
    """All that could be closed is, and it does not pay what is owed: others bear the rest."""
    STUCK = "stuck"
    """Nothing more that can be done leaves the account no worse, whole or in part."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's status and its excess at each level, the strictest first, after `legs` (by their names)."""

    legs: tuple[str, ...]
    status: str
    excess: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for an account, and its proof.

    `level` is the target's. `proof` has the standing after every subset of the legs, the smaller first, so all of them
    last; `before` is the standing without any. `settlement` is there when the account is insolvent, and `auction` when
    it may be offered as a whole instead.
    """

    account: str
    profile: str
    level: str
    outcome: Outcome
    legs: tuple[Leg, ...]
    before: Standing
    proof: tuple[Standing, ...]
    net_value: Money
    settlement: Settlement | None
    auction: Schedule | None

    @property
    def after(self) -> Standing:
        """The standing after the whole plan."""
        return self.proof[-1] if self.proof else self.before

    @property
    def cost(self) -> Money:
        """Fees, bonuses and slippage of all legs."""
        return Money(sum(leg.cost for leg in self.legs))


def plan_liquidation(account: Account, terms: Terms) -> Plan:
    """The plan for an account. Raises PortfolioError where the profile cannot judge it."""
    goal = Goal.of(account, terms)
    if not goal.is_liquidatable:
        return assembled(goal, Outcome.NOT_NEEDED, ())
    first = best(goal, bounded=True)
    if first.is_reached:
        return assembled(goal, Outcome.RESTORED, first.legs)
    whole = best(goal, bounded=False)
    if whole.is_reached and not first.legs:
        return assembled(goal, Outcome.RESTORED, whole.legs)
    if whole.is_reached:
        return assembled(goal, Outcome.BOUNDED, first.legs)
    if whole.is_cut:
        return assembled(goal, Outcome.BOUNDED, first.legs or whole.legs)
    end = ended(after(account, whole.legs))
    if end is Outcome.STUCK:
        goal, whole, end = _given_up(goal, whole)
    return assembled(goal, end, left_to_others(goal, whole) if end is Outcome.INSOLVENT else whole.legs)


def _given_up(goal: Goal, stuck: Found) -> tuple[Goal, Found, Outcome]:
    """Where only its costs keep an account from being closed: all is closed, and others bear what that lacks."""
    lost = replace(goal, is_lost=True)
    found = best(lost, bounded=False)
    if not found.is_cut and ended(after(goal.account, found.legs)) is Outcome.INSOLVENT:
        return lost, found, Outcome.INSOLVENT
    return goal, stuck, Outcome.STUCK


def best(goal: Goal, *, bounded: bool) -> Found:
    """Position by position; or else more of them as one, where that comes closer to the target.

    Positions that hedge each other may be in each other's way.
    """
    nothing, *wider = together_of(goal)
    found = search(goal, bounded=bounded, together=nothing)
    is_cut = found.is_cut
    for together in wider:
        if found.is_reached:
            return found
        other = search(goal, bounded=bounded, together=together)
        is_cut |= other.is_cut
        if goal.missing(evaluated(goal, other.legs)) <= goal.missing(evaluated(goal, found.legs)):
            found = other
    return replace(found, is_cut=is_cut)


def ended(left: Account) -> Outcome:
    """What an account is of which all that could be closed is, short of the target.

    With collateral that nobody knows the price of, nobody knows that it is insolvent.
    """
    is_known = all(kind is not Kind.COLLATERAL for kind, _ in left.unread)
    if left.net_value < 0 and is_known:
        return Outcome.INSOLVENT
    is_open = left.cash < 0 or left.unread or any(held.kind is not Kind.COLLATERAL for held in left.holdings.values())
    return Outcome.STUCK if is_open else Outcome.CLOSED


def assembled(goal: Goal, outcome: Outcome, legs: tuple[Leg, ...]) -> Plan:
    """The plan of given legs with its proof: everything but the legs follows from the account and the terms."""
    account, terms = goal.account, goal.terms
    left = after(account, legs) if legs else account
    proof = tuple(standing(tuple(leg.name for leg in part), after) for part, after in subsets(goal, legs))
    return Plan(
        account=account.name,
        profile=account.profile.name,
        level=goal.before.levels[goal.place].threshold.name,
        outcome=outcome,
        legs=legs,
        before=standing((), goal.before),
        proof=proof,
        net_value=left.net_value,
        settlement=settlement(left, terms) if outcome is Outcome.INSOLVENT else None,
        auction=None if outcome is Outcome.NOT_NEEDED else schedule(account, goal.before, terms.auction),
    )


def standing(legs: tuple[str, ...], evaluation: Evaluation) -> Standing:
    """What an evaluation says, in short."""
    return Standing(legs, evaluation.status, tuple(level.excess for level in evaluation.levels))
