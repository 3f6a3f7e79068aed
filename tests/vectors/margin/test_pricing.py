"""Haug's book values and vollib's table."""

from __future__ import annotations

import json
from math import exp
from typing import Any

import numpy as np
import pytest

from node.margin.models.pricing import black76, black_scholes
from tests.shared import shared

HAUG: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/haug_bsm.json").read_text())
VOLLIB: dict[str, Any] = json.loads(shared("vectors/margin/vollib/test_data.json").read_text())


@pytest.mark.parametrize("row", HAUG["values"], ids=str)
def test_haug_values(row: dict[str, Any]) -> None:
    found = black_scholes(
        row["spot"], row["strike"], row["r"], row["r"] - row["q"], row["t"], row["vol"], is_call=row["type"] == "call"
    )
    assert abs(found.price - row["expected"]) <= 1e-4
    forward = row["spot"] * exp((row["r"] - row["q"]) * row["t"])
    by_forward = black76(
        np.array([forward]), np.array([row["strike"]]), row["t"], np.array([row["vol"]]),
        exp(-row["r"] * row["t"]), np.array([float(row["type"] == "call")]),
    )  # fmt: skip
    assert abs(float(by_forward[0]) - found.price) <= 1e-11 * row["spot"]


@pytest.mark.parametrize("row", HAUG["greeks"], ids=lambda row: f"{row['greek']} {row['type']}")
def test_haug_greeks(row: dict[str, Any]) -> None:
    found = black_scholes(
        row["spot"], row["strike"], row["r"], row["r"] - row["q"], row["t"], row["vol"], is_call=row["type"] == "call"
    )
    got = found.theta / 365 if row["greek"] == "theta_per_day" else getattr(found, row["greek"])
    assert abs(got - row["expected"]) <= 1e-4


def test_vollib_table() -> None:
    for row in VOLLIB["data"]:
        of = dict(zip(VOLLIB["columns"], row, strict=True))
        call, put = (
            black_scholes(of["S"], of["K"], of["R"], of["R"], of["t"], of["v"], is_call=is_call)
            for is_call in (True, False)
        )
        for name, got in (
            ("bs_call", call.price), ("bs_put", put.price),
            ("CD", call.delta), ("PD", put.delta), ("CG", call.gamma), ("PG", put.gamma),
            ("CV", call.vega), ("PV", put.vega), ("CT", call.theta), ("PT", put.theta),
            ("CR", call.rho), ("PR", put.rho), ("call_vals", call.price),
        ):  # fmt: skip
            assert abs(got - of[name]) <= 1e-6 * max(1.0, abs(of[name])), (name, row)
    assert len(VOLLIB["data"]) == 101
