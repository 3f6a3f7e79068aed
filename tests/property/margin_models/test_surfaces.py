"""Grids between their points: within their neighbours, never falling in time, equal for one strike and for many."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models.fields import Fields
from node.margin.models.surface import read_slice

LIGHT = settings(max_examples=60, deadline=None)
DAY = 86_400
FORWARD = 2_000.0
STRIKES = [1_000, 1_500, 1_800, 2_000, 2_300, 3_000]


@st.composite
def grids(draw: st.DrawFn) -> dict[str, Any]:
    """Rows that smile gently and rise in time: none of them allows arbitrage."""
    level, smile = draw(st.floats(0.2, 1.5)), draw(st.floats(0, 0.05))
    rows = []
    for days in sorted(draw(st.sets(st.integers(1, 700), min_size=1, max_size=4))):
        level += draw(st.floats(0, 0.3))
        vols = [level + smile * log(strike / FORWARD) ** 2 for strike in STRIKES]
        rows.append({"seconds": days * DAY, "forward": FORWARD, "vols": vols})
    return {"strikes": STRIKES, "rows": rows}


def variance(surface: dict[str, Any], seconds: int, strikes: list[float]) -> list[float]:
    vols = read_slice(Fields(surface, "alice", "ETH surface"), seconds, FORWARD).vol(np.array(strikes))
    return [float(vol * vol * seconds) for vol in vols]


strikes = st.floats(10, 100_000)
times = st.integers(1, 1_000 * DAY)


@LIGHT
@given(grids(), strikes, times, times)
def test_total_variance_never_falls_with_time(surface: dict[str, Any], strike: float, first: int, second: int) -> None:
    early, late = sorted((first, second))
    (before,), (after,) = variance(surface, early, [strike]), variance(surface, late, [strike])
    assert before <= after * (1 + 1e-12)


@LIGHT
@given(grids(), strikes, times)
def test_between_two_strikes_variance_is_between_theirs(surface: dict[str, Any], strike: float, seconds: int) -> None:
    inside = min(max(strike, STRIKES[0]), STRIKES[-1])
    below = max(each for each in STRIKES if each <= inside)
    above = min(each for each in STRIKES if each >= inside)
    found, low, high = variance(surface, seconds, [strike, below, above])
    assert min(low, high) * (1 - 1e-12) <= found <= max(low, high) * (1 + 1e-12)


@LIGHT
@given(grids(), st.lists(strikes, min_size=1, max_size=20), times)
def test_a_strike_has_one_volatility_whoever_else_asks(
    surface: dict[str, Any], many: list[float], seconds: int
) -> None:
    assert variance(surface, seconds, many) == [variance(surface, seconds, [each])[0] for each in many]
