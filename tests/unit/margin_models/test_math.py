"""The stated error bounds, the edges, and equal bytes however NumPy computes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module

import numpy as np
import pytest

from node.margin import math as exact
from node.margin.math import FloatArray, exp, ln, normal_cdf, normal_pdf, power, sqrt
from tests.shared import REPOSITORY
from tests.unit.margin_models import references
from tests.unit.margin_models.references import ulps


def spread(low: float, high: float, count: int = 400) -> FloatArray:
    """Points that are not round, from integers alone."""
    return np.array([low + (high - low) * (k * 0.6180339887498949 % 1.0) for k in range(count)])


def test_exp_is_within_one_ulp() -> None:
    with references.digits():
        for x in np.concatenate([spread(-708.0, 709.0), spread(-1.0, 1.0), spread(-1e-9, 1e-9, 50)]).tolist():
            assert ulps(exp(x), Decimal(x).exp()) < 1, x


def test_ln_is_within_one_ulp() -> None:
    near_one = 1 + spread(-1e-9, 1e-9, 50)
    with references.digits():
        for x in np.concatenate([exp(spread(-708.0, 709.0)), spread(0.5, 2.0), near_one, [5e-324, 1e-310]]).tolist():
            assert ulps(ln(x), Decimal(x).ln()) < 1, x


def test_the_normal_distribution_is_within_its_bounds() -> None:
    with references.digits():
        for x in np.concatenate([spread(-37.0, 8.0, 150), spread(-3.0, 3.0, 150)]).tolist():
            assert ulps(normal_cdf(x), references.cdf(Decimal(x))) < 6, x
            assert ulps(normal_pdf(x), references.density(Decimal(x))) < 5, x


@pytest.mark.parametrize("exponent", [0.13, 0.3, 1.0, 2.0, -5.0])
def test_power_is_within_its_bound(exponent: float) -> None:
    with references.digits():
        for base in spread(0.01, 30.0, 50):
            want = (Decimal(exponent) * Decimal(float(base)).ln()).exp()
            assert ulps(power(float(base), exponent), want) < 1 + 3 * abs(exponent * math.log(base))


def test_edges_are_answered_as_in_the_limit() -> None:
    inf, nan = math.inf, math.nan
    assert (exp(inf), exp(-inf), exp(710.0), exp(-746.0), exp(0.0)) == (inf, 0.0, inf, 0.0, 1.0)
    assert exp(709.782712893384) == math.exp(709.782712893384)
    assert exp(-745.1) == 5e-324
    assert (ln(0.0), ln(1.0), ln(inf)) == (-inf, 0.0, inf)
    assert (normal_cdf(inf), normal_cdf(-inf), normal_cdf(-39.0), normal_cdf(0.0)) == (1.0, 0.0, 0.0, 0.5)
    assert (normal_pdf(inf), normal_pdf(-inf), sqrt(inf), sqrt(4.0)) == (0.0, 0.0, inf, 2.0)
    for function in (exp, ln, sqrt, normal_cdf, normal_pdf):
        assert np.float64(function(nan)).tobytes() == np.float64(np.nan).tobytes()
        assert np.float64(function(-nan)).tobytes() == np.float64(np.nan).tobytes()
    for function in (ln, sqrt):
        assert np.float64(function(-1.0)).tobytes() == np.float64(np.nan).tobytes()


def test_an_array_keeps_its_shape_and_its_strides_change_nothing() -> None:
    whole = spread(0.1, 9.0, 60).reshape(3, 20)
    assert exp(whole).shape == (3, 20)
    assert exp(whole[:, ::3]).tobytes() == np.ascontiguousarray(exp(whole)[:, ::3]).tobytes()
    assert exp(np.empty((0, 4))).shape == (0, 4)


DIGEST = "4a7a10fd5926b7e9e09db367d590c28ee4fc61949cb6159d103f9c518f97ea83"
"""Of every function over the inputs below. Another value on any machine is a bug: it is what nodes sign."""

_PROGRAM = """
import hashlib, numpy as np
from node.margin.math import exp, ln, normal_cdf, normal_pdf, power, sqrt
x = (np.arange(20011) * 0.6180339887498949) % 1.0
digest = hashlib.sha256()
for values in (exp(x * 1500.0 - 760.0), ln(exp(x * 1400.0 - 700.0)), ln(x), sqrt(x), normal_cdf(x * 80.0 - 40.0),
               normal_pdf(x * 20.0 - 10.0), power(x + 0.01, 0.3), exp(x[::7]), normal_cdf(x[1:])):
    digest.update(values.tobytes())
print(digest.hexdigest())
"""


def dispatched() -> list[str]:
    """The processor features that NumPy found here and chooses its loops by."""
    umath = import_module("numpy._core._multiarray_umath")  # the only place where it says so
    return [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]


def environments() -> list[dict[str, str]]:
    names = dispatched()
    disabled = [" ".join(names[first:]) for first in range(len(names))]
    return [{}, *({"NPY_DISABLE_CPU_FEATURES": each} for each in disabled), {"OMP_NUM_THREADS": "1"},
            {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}]  # fmt: skip


@pytest.mark.parametrize("environment", environments(), ids=str)
def test_the_bytes_are_the_same_under_every_dispatch_and_thread_count(environment: dict[str, str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.strip() == DIGEST


@pytest.mark.parametrize("name", sorted(set(exact.__all__) - {"FloatArray", "power"}))
def test_a_float_and_an_array_give_equal_bytes(name: str) -> None:
    function: Callable[[float], float] = getattr(exact, name)
    x = np.concatenate([spread(-40.0, 40.0, 300), spread(1e-300, 1e-290, 10), [0.0, -0.0, np.inf, -np.inf, np.nan]])
    apart = np.array([function(float(value)) for value in x])
    assert apart.tobytes() == getattr(exact, name)(x).tobytes()
