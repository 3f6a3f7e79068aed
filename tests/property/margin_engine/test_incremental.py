"""Statuses kept from tick to tick are those of a full evaluation, whatever prices do and in whatever order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.linear import incremental
from node.margin.engine.linear.columns import PriceColumns
from node.margin.engine.linear.evaluate import evaluate
from node.margin.engine.linear.incremental import Watch
from node.margin.models.fields import LARGEST
from node.margin.models.fixed import WAD, Wad
from tests.property.margin_engine.books import files
from tests.property.margin_engine.test_linear import PROFILES, packed

MOST = LARGEST * WAD


def moved(price: int, basis_points: int, units: int) -> Wad:
    """The price after a relative and then an absolute change; an absurd one stays at the end of the range."""
    return Wad(min(MOST, max(1, price * (10_000 + basis_points) // 10_000 + units)))


moves = st.tuples(
    st.one_of(st.integers(-20, 20), st.integers(-9_999, 50_000), st.sampled_from([0, 10**9, -10_000])),
    st.sampled_from([0, 1, -1, 10**10, -(10**10)]),
)


@pytest.mark.parametrize("name", PROFILES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_no_status_is_ever_another_than_in_full(name: str, data: st.DataObject) -> None:
    profile = PROFILES[name]
    content = data.draw(files(tuple(each.name for each in profile.spec.thresholds), profile.spec.holds))
    made = packed(profile, content)
    prices: dict[str, Any] = dict(made.market)
    watch = Watch(made.accounts, prices)
    assert (
        watch.statuses.tolist()
        == evaluate(made.accounts, PriceColumns(made.accounts.instruments, prices)).statuses().tolist()
    )
    if not prices:
        return
    for tick in data.draw(st.lists(st.dictionaries(st.sampled_from(sorted(prices)), moves, max_size=3), max_size=8)):
        new = {each: moved(prices[each], *move) for each, move in tick.items()}
        before = watch.statuses.copy()
        outcome = watch.tick(new)
        prices |= new
        full = evaluate(made.accounts, PriceColumns(made.accounts.instruments, prices))
        assert watch.statuses.tolist() == full.statuses().tolist()
        assert outcome.changed.tolist() == np.flatnonzero(before != watch.statuses).tolist()


@pytest.mark.parametrize("name", PROFILES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_replaced_accounts_are_as_in_a_watch_made_anew(name: str, data: st.DataObject) -> None:
    profile = PROFILES[name]
    content = data.draw(files(tuple(each.name for each in profile.spec.thresholds), profile.spec.holds, accounts=8))
    made = packed(profile, content)
    prices: dict[str, Any] = dict(made.market)
    known = len(made.accounts)
    held = np.array(data.draw(st.lists(st.integers(0, known - 1), max_size=5)) if known else [], np.int64)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(incremental, "GROWN", data.draw(st.sampled_from([0, 1, 4, 100])))
        watch = Watch(made.accounts.take(held), prices)
        for _ in range(data.draw(st.integers(0, 8)) if len(held) else 0):
            before = watch.statuses.copy()
            if data.draw(st.booleans()) and prices:
                tick = data.draw(st.dictionaries(st.sampled_from(sorted(prices)), moves, max_size=2))
                new = {each: moved(prices[each], *move) for each, move in tick.items()}
                outcome = watch.tick(new)
                prices |= new
            else:
                rows = np.array(data.draw(st.lists(st.integers(0, len(held) - 1), unique=True, max_size=3)), np.int64)
                others = [data.draw(st.integers(0, known - 1)) for _ in rows]
                held[rows] = others
                outcome = watch.replace(rows, made.accounts.take(np.array(others, np.int64)))
                assert outcome.evaluated.tolist() == sorted(rows.tolist())
            anew = Watch(made.accounts.take(held), prices)
            assert watch.statuses.tolist() == anew.statuses.tolist()
            assert outcome.changed.tolist() == np.flatnonzero(before != watch.statuses).tolist()
