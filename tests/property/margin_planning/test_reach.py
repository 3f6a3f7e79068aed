"""How much there can be of a candidate is found to the last unit, whatever it costs and whatever is taken beside it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models.fixed import Wad
from node.margin.planning.amounts import Scope
from node.margin.planning.candidates import candidates, overlap, priced
from node.margin.planning.legs import Close, most
from node.margin.planning.target import Goal
from tests.property.margin_planning.test_plans import cases
from tests.unit.margin_planning.files import read


@settings(max_examples=30)
@given(cases("ltv", "dydx", "mango"), st.booleans(), st.integers(1, 4), st.data())
def test_nothing_more_would_fit(
    case: tuple[str, dict[str, Any]], bounded: bool, part: int, data: st.DataObject
) -> None:
    goal = Goal.of(*read(*case))
    scope, free = Scope.of(goal, bounded=bounded), Scope.of(goal, bounded=False)
    every = [priced(each, free) for each in candidates(goal)]
    if not every:
        return
    first, last = data.draw(st.sampled_from(every)), data.draw(st.sampled_from(every))
    taken = scope.reach(first, [], most(first)) // part
    beside = [(first, Wad(taken))] if taken and not overlap(first, last) and first != last else []
    if scope.legs(beside) is None:
        return
    found = scope.reach(last, beside, most(last))
    assert not found or Scope.of(goal, bounded=bounded).legs([*beside, (last, found)]) is not None
    step = scope.step(last) if isinstance(last, Close) else 1
    if found < most(last):
        assert Scope.of(goal, bounded=bounded).legs([*beside, (last, Wad(found + step))]) is None


@settings(max_examples=20)
@given(cases("ltv", "dydx", "mango"), st.data())
def test_what_was_carried_out_before_changes_nothing(case: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    goal = Goal.of(*read(*case))
    scope = Scope.of(goal, bounded=False)
    every = list(candidates(goal))
    if not every:
        return
    parts = st.tuples(st.sampled_from(every), st.integers(1, 8))
    for selection in data.draw(st.lists(st.lists(parts, max_size=3, unique_by=lambda each: each[0].name), max_size=6)):
        asked = [(each, Wad(most(each) // part)) for each, part in selection]
        assert scope.legs(asked) == Scope.of(goal, bounded=False).legs(asked)
