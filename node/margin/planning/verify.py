"""Whether a plan that somebody hands over is one for an account: every claim is recomputed from the account and terms.

The legs are taken as they are: nobody has to find those that restore an account again, only to see that each is one of
the things that can be done, costs what it says, fits into what is held and into the close factor, leaves no dust, and
is safe in every subset; and that what the plan says of itself follows. That an account cannot be restored is found out
by searching. Must not trust any figure of a plan.
"""

from __future__ import annotations

from dataclasses import replace

from node.margin.models.fixed import Wad
from node.margin.planning.account import Account
from node.margin.planning.amounts import Scope, Selection
from node.margin.planning.candidates import candidates, overlap, priced
from node.margin.planning.errors import PlanRefused
from node.margin.planning.legs import Leg, after, is_untidy
from node.margin.planning.plan import Outcome, Plan, assembled, best, plan_liquidation, standing
from node.margin.planning.search import evaluated, worse_part
from node.margin.planning.target import Goal
from node.margin.planning.terms import Terms


def verify(plan: Plan, account: Account, terms: Terms) -> None:
    """Raises PlanRefused, which names the claim that does not hold, and PortfolioError for an account of no use."""
    goal = Goal.of(account, terms)
    _expect(account, "account", (plan.account, plan.profile), (account.name, account.profile.name))
    if goal.is_liquidatable == (plan.outcome is Outcome.NOT_NEEDED):
        raise _refused(account, "outcome", "whether the account is liquidatable is not so", status=goal.before.status)
    if plan.outcome is Outcome.NOT_NEEDED and plan.legs:
        raise _refused(account, "legs", "an account that is not liquidatable has no legs", legs=len(plan.legs))
    selection = _selection(goal, plan)
    _check_legs(goal if plan.outcome is not Outcome.INSOLVENT else replace(goal, is_lost=True), plan, selection)
    honest = assembled(goal, plan.outcome, plan.legs)
    for claim in ("level", "before", "proof", "net_value", "settlement", "auction"):
        _expect(account, claim, getattr(plan, claim), getattr(honest, claim))
    if plan.legs:
        # The proof is made of the parts of the account that change: its end is judged once more as the account it is.
        _expect(account, "proof", plan.after, standing(plan.after.legs, after(account, plan.legs).evaluate()))
    _check_outcome(goal, plan, selection)


def _refused(account: Account, claim: str, message: str, **values: object) -> PlanRefused:
    return PlanRefused(message, account=account.name, claim=claim, **values)


def _expect(account: Account, claim: str, said: object, recomputed: object) -> None:
    if said != recomputed:
        raise _refused(account, claim, "the plan says something else than follows", said=said, recomputed=recomputed)


def _selection(goal: Goal, plan: Plan) -> Selection:
    """What the legs are by name; bounded before anything is computed from them."""
    if len(plan.legs) > goal.terms.most_legs:
        raise _refused(goal.account, "legs", "too many legs", legs=len(plan.legs), bound=goal.terms.most_legs)
    named = {each.name: each for each in candidates(goal)} if plan.legs else {}
    everything = Scope.of(goal, bounded=False)
    selection: Selection = []
    for leg in plan.legs:
        candidate = named.pop(leg.name, None)
        if candidate is None or leg.amount <= 0 or any(overlap(candidate, other) for other, _ in selection):
            raise _refused(goal.account, "legs", "a leg is none of what can be done beside the others", leg=leg.name)
        selection.append((priced(candidate, everything), leg.amount))
    return selection


def _check_legs(goal: Goal, plan: Plan, selection: Selection) -> None:
    account = goal.account
    legs = Scope.of(goal, bounded=False).legs(selection)
    if legs is None:
        raise _refused(account, "legs", "the legs take more than there is")
    for said, recomputed in zip(plan.legs, legs, strict=True):
        _expect(account, "legs", said, recomputed)
        if not goal.is_lost and is_untidy(account, legs, recomputed, goal.terms.least_left):
            raise _refused(account, "legs", "a leg leaves dust", leg=said.name)
    part = worse_part(goal, legs)
    if part is not None:
        raise _refused(account, "legs", "a part of the plan leaves the account worse", part=[leg.name for leg in part])


def _check_outcome(goal: Goal, plan: Plan, selection: Selection) -> None:
    account = goal.account
    if plan.outcome is not Outcome.RESTORED:
        # That the target is out of reach, now or ever, only a search can tell.
        honest = plan_liquidation(account, goal.terms)
        _expect(account, "outcome", plan.outcome, honest.outcome)
        _expect(account, "legs", plan.legs, honest.legs)
        return
    if goal.missing(evaluated(goal, plan.legs)) > 0:
        raise _refused(account, "outcome", "the target is not reached", level=plan.level)
    is_bounded = Scope.of(goal, bounded=True).legs(selection) is not None
    if not is_bounded and best(goal, bounded=True).legs:
        raise _refused(account, "legs", "the legs take more than the close factor allows")
    if _is_too_much(goal, selection):
        raise _refused(account, "legs", "half of it reaches the target")


def _is_too_much(goal: Goal, selection: Selection) -> bool:
    """Whether half of every leg reaches the target and is a plan itself."""
    halves: Selection = [(candidate, Wad(amount // 2)) for candidate, amount in selection if amount > 1]
    legs = Scope.of(goal, bounded=False).legs(halves)
    if legs is None or goal.missing(evaluated(goal, legs)) > 0:
        return False
    return not _is_faulty(goal, legs)


def _is_faulty(goal: Goal, legs: tuple[Leg, ...]) -> bool:
    untidy = any(is_untidy(goal.account, legs, leg, goal.terms.least_left) for leg in legs)
    return untidy or worse_part(goal, legs) is not None
