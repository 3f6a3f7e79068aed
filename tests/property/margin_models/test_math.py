"""Functions of any float: equal bytes alone and among others, monotone where the mathematics is, never an exception."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.math import exp, ln, normal_cdf, normal_pdf, sqrt

floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


@given(st.lists(floats, min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_value_does_not_depend_on_its_neighbours(values: list[float]) -> None:
    together = np.array(values)
    for function in (exp, ln, sqrt, normal_cdf, normal_pdf):
        apart = np.array([function(value) for value in values])
        assert apart.tobytes() == function(together).tobytes()


@given(st.floats(-40, 40), st.floats(-40, 40))
@settings(max_examples=100, deadline=None)
def test_the_distribution_is_a_distribution(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert 0.0 <= normal_cdf(low) <= normal_cdf(high) * (1 + 1e-15) <= 1.0 + 1e-15
    assert abs(normal_cdf(first) + normal_cdf(-first) - 1.0) <= 4e-16
    assert normal_pdf(first) == normal_pdf(-first)


@given(st.floats(1e-300, 1e300))
@settings(max_examples=100, deadline=None)
def test_exp_undoes_ln(x: float) -> None:
    assert abs(exp(ln(x)) / x - 1.0) <= 2e-16 * (3 + abs(ln(x)))
