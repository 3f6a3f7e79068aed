"""A plan costs little more than the best of an exhaustive search over small books."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from node.margin.models.fixed import PICO, Wad
from node.margin.planning.amounts import Scope, Selection
from node.margin.planning.candidates import candidates, overlap, priced
from node.margin.planning.legs import Candidate, Leg, largest, most
from node.margin.planning.plan import Outcome, plan_liquidation
from node.margin.planning.search import evaluated, subsets
from node.margin.planning.target import Goal
from tests.unit.margin_planning.files import file, held, read

COINS = {"ETH": 2_000, "BTC": 50_000, "SOL": 100}
PARTS = 8
"""The first leg is tried at as many amounts; the second is then cut to what is needed."""
FINEST = 1 << 11
WITHIN = 1.06
"""Of the optimum over all selections of up to two legs. (With more legs it is often below it.)"""
WORST: dict[str, Any] = file(
    "dydx",
    plan={
        "close_factor": 1,
        "least_left": 0,
        "bonus": "0",
        "assets": {"BTC": {"depth": 20_000, "fee": "0.0005"}, "ETH": {"depth": 0, "fee": "0.002"}},
    },
    cash=307,
    perpetuals=[held("BTC", "-0.082660"), held("ETH", "-0.500000")],
)
"""The dearest that is known, by 5.3 %: steps are quarters, and of the first leg's nothing is given back."""


def is_plan(goal: Goal, legs: tuple[Leg, ...] | None) -> bool:
    """Whether legs reach the target, and every part of them is safe."""
    if legs is None or goal.missing(evaluated(goal, legs)) > 0:
        return False
    return not any(goal.is_worse(after) for _, after in subsets(goal, legs))


def cut(goal: Goal, scope: Scope, fixed: Selection, last: Candidate) -> int | None:
    """What it costs to reach the target with the least of a last leg; None where that does not."""
    whole = scope.reach(last, fixed, most(last))
    step = max(1, whole // FINEST)

    def legs(fewer: int) -> tuple[Leg, ...] | None:
        return scope.legs([*fixed, (last, Wad(whole - fewer * step))])

    if not whole or not is_plan(goal, legs(0)):
        return None
    found = legs(largest(lambda fewer: is_plan(goal, legs(fewer)), whole // step - 1))
    assert found is not None
    return sum(leg.cost for leg in found)


def costs(goal: Goal) -> Iterator[int]:
    """Of every way with up to two legs that there is on the grid."""
    scope, free = Scope.of(goal, bounded=True), Scope.of(goal, bounded=False)
    every = [priced(each, free) for each in candidates(goal)]
    fixed: list[tuple[Selection, Candidate]] = [([], each) for each in every]
    for first, last in permutations(every, 2):
        whole = scope.reach(first, [], most(first))
        if whole and not overlap(first, last):
            step = scope.step(first)
            fixed += [([(first, Wad(-(-whole * part // (PARTS * step)) * step))], last) for part in range(1, PARTS)]
            fixed.append(([(first, whole)], last))
    for selection, last in fixed:
        if scope.legs(selection) is not None or not selection:
            cost = cut(goal, scope, selection, last)
            if cost is not None:
                yield cost


@st.composite
def books(draw: st.DrawFn, profile: str) -> dict[str, Any]:
    names = sorted(draw(st.sets(st.sampled_from(sorted(COINS)), min_size=2, max_size=2)))
    terms = {
        name: {
            "depth": draw(st.sampled_from([0, 20_000, 200_000])),
            "fee": draw(st.sampled_from(["0.0005", "0.002", "0.01"])),
        }
        for name in names
    }
    plan = {"close_factor": 1, "least_left": 0, "bonus": draw(st.sampled_from(["0", "0.05"])), "assets": terms}
    sign = [1] if profile == "ltv" else [-1, 1]
    amounts = [f"{draw(st.integers(1_000, 5_000)) * draw(st.sampled_from(sign)) / COINS[name]:.6f}" for name in names]
    content: dict[str, Any] = {"cash": 0}
    if profile == "ltv":
        content["collateral"] = [held(name, amount) for name, amount in zip(names, amounts, strict=True)]
        content["debts"] = [held("USDC", draw(st.integers(100, 4_000)))]
    else:
        content["perpetuals"] = [held(name, amount) for name, amount in zip(names, amounts, strict=True)]
    made = file(profile, plan=plan, **content)
    excess = read(profile, made)[0].evaluate().levels[-1].excess
    return {**made, "cash": -(excess // PICO) - draw(st.sampled_from([1, 10, 50, 150]))}


@settings(max_examples=10)
@example(("dydx", WORST))
@given(st.sampled_from(["ltv", "dydx"]).flatmap(lambda name: st.tuples(st.just(name), books(name))))
def test_no_way_with_up_to_two_legs_is_much_cheaper(case: tuple[str, dict[str, Any]]) -> None:
    check(*case)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.sampled_from(["ltv", "dydx", "span"]).flatmap(lambda name: st.tuples(st.just(name), books(name))))
def test_so_it_is_however_long_one_looks(case: tuple[str, dict[str, Any]]) -> None:
    check(*case)


def check(profile: str, content: dict[str, Any]) -> None:
    account, terms = read(profile, content)
    goal = Goal.of(account, terms)
    assume(goal.is_liquidatable)
    best, plan = min(costs(goal), default=None), plan_liquidation(account, terms)
    event(f"{profile}: {plan.outcome}, {len(plan.legs)} legs")
    if best is None:
        return
    # Whatever an exhaustive search restores is restored, and at no more than its price, but for a cent.
    assert plan.outcome is Outcome.RESTORED
    assert plan.cost <= WITHIN * best + PICO // 100
