"""A plan that says anything else than follows from the account is refused, whatever was changed in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.planning.account import Account
from node.margin.planning.errors import PlanRefused
from node.margin.planning.legs import Leg
from node.margin.planning.plan import Outcome, Plan, assembled, plan_liquidation
from node.margin.planning.target import Goal
from node.margin.planning.terms import Terms
from node.margin.planning.verify import verify
from tests.unit.margin_planning.files import file, held, read

COLLATERAL = [held("ETH", 3), held("SOL", 60), held("BTC", "0.12")]


def lending(debt: int = 14_900, **terms: object) -> tuple[str, dict[str, Any]]:
    terms = {
        "assets": {"ETH": {"depth": 50_000}, "SOL": {"depth": 20_000}, "BTC": {"depth": 20_000}},
        "insurance_fund": 100,
        **terms,
    }
    return "ltv", file(collateral=COLLATERAL, debts=[held("USDC", debt)], plan=terms)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "not needed": lending(14_000),
    "restored": lending(),
    "bounded": lending(close_factor="0.05", least_left=0),
    "insolvent": lending(19_000),
    "closed": ("dydx", file("dydx", cash=100, perpetuals=[held("ETH", 1)], plan={"target": {"excess": 99.5}})),
}


@cache
def case(name: str) -> tuple[Plan, Account, Terms]:
    account, terms = read(*CASES[name])
    return plan_liquidation(account, terms), account, terms


@pytest.mark.parametrize("name", CASES)
def test_an_honest_plan_is_accepted(name: str) -> None:
    plan, account, terms = case(name)
    assert plan.outcome.value == name.replace(" ", "_")
    verify(plan, account, terms)


def first(plan: Plan, **changes: object) -> Plan:
    return replace(plan, legs=(replace(plan.legs[0], **changes), *plan.legs[1:]))  # type: ignore[arg-type]


def action(plan: Plan, **changes: object) -> Plan:
    leg = plan.legs[0]
    return first(plan, actions=(replace(leg.actions[0], **changes), *leg.actions[1:]))  # type: ignore[arg-type]


TAMPERED: dict[str, Callable[[Plan], Plan]] = {
    "account": lambda plan: replace(plan, account="bob"),
    "profile": lambda plan: replace(plan, profile="dydx"),
    "level": lambda plan: replace(plan, level="liquidation"),
    "outcome": lambda plan: replace(plan, outcome=Outcome.BOUNDED),
    "more seized": lambda plan: action(plan, amount=Wad(plan.legs[0].actions[0].amount + 1)),
    "less settled": lambda plan: action(plan, settled=Wad(plan.legs[0].actions[0].settled - 1)),
    "cash": lambda plan: action(plan, cash=Money(1)),
    "cost": lambda plan: action(plan, cost=Money(plan.legs[0].actions[0].cost - 1)),
    "amount": lambda plan: first(plan, amount=Wad(plan.legs[0].amount // 2)),
    "nothing": lambda plan: first(plan, amount=Wad(0)),
    "name": lambda plan: first(plan, name="collateral ETH for debt DAI"),
    "a leg twice": lambda plan: replace(plan, legs=(plan.legs[0], *plan.legs)),
    "no legs": lambda plan: replace(plan, legs=()),
    "a leg less": lambda plan: replace(plan, legs=plan.legs[1:]),
    "another order": lambda plan: replace(plan, legs=plan.legs[::-1]),
    "before": lambda plan: replace(plan, before=replace(plan.before, status="healthy")),
    "proof": lambda plan: replace(plan, proof=plan.proof[1:]),
    "after": lambda plan: replace(plan, proof=(*plan.proof[:-1], replace(plan.after, excess=(Money(0), Money(0))))),
    "net value": lambda plan: replace(plan, net_value=Money(plan.net_value + 1)),
    "auction": lambda plan: replace(plan, auction=None),
}


@pytest.mark.parametrize("change", TAMPERED)
@pytest.mark.parametrize("name", ["restored", "insolvent"])
def test_a_tampered_plan_is_refused(name: str, change: str) -> None:
    plan, account, terms = case(name)
    assert len(plan.legs) >= 2
    with pytest.raises(PlanRefused) as refused:
        verify(TAMPERED[change](plan), account, terms)
    assert refused.value.account == "alice"
    assert refused.value.claim


def test_who_pays_cannot_be_changed() -> None:
    plan, account, terms = case("insolvent")
    assert plan.settlement is not None
    for settlement in (None, replace(plan.settlement, insured=Money(0)), replace(plan.settlement, loss=Money(1))):
        with pytest.raises(PlanRefused) as refused:
            verify(replace(plan, settlement=settlement), account, terms)
        assert refused.value.claim == "settlement"


def scaled(plan: Plan, times: int) -> tuple[Leg, ...]:
    """The same legs in honest figures, but larger."""

    def larger(leg: Leg) -> Leg:
        actions = (
            replace(each, amount=Wad(each.amount * times), settled=Wad(each.settled * times)) for each in leg.actions
        )
        return replace(leg, amount=Wad(leg.amount * times), actions=tuple(actions))

    return tuple(map(larger, plan.legs))


def test_a_plan_that_takes_too_much_is_refused_though_its_figures_add_up() -> None:
    terms = {"fee": 0, "bonus": 0, "least_left": 0, "close_all_below": 0, "close_all_under": 0}
    content = file(collateral=[held("ETH", 10)], debts=[held("USDC", 16_600)])
    account, free = read("ltv", {**content, "plan": {**terms, "close_factor": 1}})
    _, bounded = read("ltv", {**content, "plan": {**terms, "close_factor": "0.25"}})
    enough = plan_liquidation(account, free)
    assert enough.legs[0].amount < 16_600 * WAD // 4
    verify(enough, account, bounded)
    for rules, why in ((free, "half of it"), (bounded, "close factor")):
        greedy = assembled(Goal.of(account, rules), Outcome.RESTORED, scaled(enough, 2))
        with pytest.raises(PlanRefused, match=why):
            verify(greedy, account, rules)
    with pytest.raises(PlanRefused, match="more than there is"):
        verify(replace(enough, legs=scaled(enough, 20)), account, free)


def test_a_plan_that_leaves_dust_or_has_too_many_legs_is_refused() -> None:
    plan, account, terms = case("restored")
    with pytest.raises(PlanRefused, match="too many legs"):
        verify(plan, account, replace(terms, most_legs=1))
    with pytest.raises(PlanRefused, match="dust"):
        verify(plan, account, replace(terms, least_left=Money(10_000 * PICO)))


def test_a_plan_for_another_state_of_the_account_is_refused() -> None:
    plan, _, _ = case("restored")
    for debt in (14_901, 14_000, 19_000):
        account, terms = read(*lending(debt))
        with pytest.raises(PlanRefused):
            verify(plan, account, terms)
    healthy, account, terms = case("not needed")
    with pytest.raises(PlanRefused, match="no legs"):
        verify(replace(healthy, legs=plan.legs), account, terms)
