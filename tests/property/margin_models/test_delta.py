"""Between what an option's delta lies is what a search of the ranges finds, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.math import FloatArray
from node.margin.models.pricing import call_delta_between, forward_delta

STEPS = 12
CALL = np.ones(1)


def between(forwards: list[float], strike: float, years: float, vols: list[float]) -> tuple[float, float]:
    def ends(pair: list[float]) -> tuple[FloatArray, FloatArray]:
        return np.array(pair[:1]), np.array(pair[1:])

    least, most = call_delta_between(ends(forwards), np.array([strike]), years, ends(vols))
    return float(least[0]), float(most[0])


@settings(max_examples=100, deadline=None)
@given(
    st.floats(60, 160), st.floats(0, 0.2), st.floats(0, 2), st.floats(0, 1), st.floats(60, 160),
    st.sampled_from((0.0, 0.001, 0.1, 1.5)),
)  # fmt: skip
def test_no_forward_or_volatility_in_their_ranges_has_a_delta_beyond(
    forward: float, wide: float, vol: float, spread: float, strike: float, years: float
) -> None:
    forwards, vols = [forward * (1 - wide), forward * (1 + wide)], [vol * (1 - spread), vol * (1 + spread)]
    least, most = between(forwards, strike, years, vols)
    every, other = np.meshgrid(np.linspace(forwards[0], forwards[1], STEPS), np.linspace(vols[0], vols[1], STEPS))
    found = forward_delta(every, np.array([strike]), years, other, CALL)
    assert least - 1e-12 <= found.min()
    assert found.max() <= most + 1e-12


@pytest.mark.parametrize(("forward", "vols"), [(100, [0.2, 0.4]), (130, [0.1, 3.0]), (80, [0.1, 3.0])])
def test_of_a_known_forward_they_are_attained(forward: float, vols: list[float]) -> None:
    found = forward_delta(np.array([forward]), np.array([100.0]), 1.0, np.linspace(vols[0], vols[1], 5_000), CALL)
    assert between([forward, forward], 100, 1, vols) == pytest.approx((found.min(), found.max()), rel=1e-6)
