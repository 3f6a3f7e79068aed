"""The benchmark of margin, small: that it measures all it says, and what it says of a peer that is not there."""

import json

import numpy as np
import pytest

from node.bench import margin
from node.bench.margin import linear, portfolio, tick
from node.margin.engine.linear.columns import PriceColumns
from node.margin.engine.linear.evaluate import evaluate


def test_all_figures_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio, "measure", lambda: {"hypothec": {"vs_csr": None}})  # it has tests of its own
    figures = json.loads(json.dumps(margin.measure(accounts=500)))
    flat = dict(margin.flat(figures))
    assert margin.TARGETS.keys() <= flat.keys()
    assert "portfolio hypothec vs_csr" in flat
    assert all(value is None or value > 0 for name, value in flat.items() if name != "tick evaluated")


def test_figures_have_the_names_that_readers_know() -> None:
    by_profile = {
        name: {"accounts_per_s": rate, "vs_csr": None, "vs_vollib": 1}
        for name, rate in (("span", 1), ("hypothec", 2), ("derive_pm2", 3))
    }
    told = margin.as_told({"linear": {"accounts_per_s": 4}, "portfolio": by_profile, "tick": {"ms": 5}})
    assert told["portfolio"]["accounts_per_s"] == 2
    assert [told[name]["accounts_per_s"] for name in ("span", "derive_pm2", "linear")] == [1, 3, 4]
    assert told["portfolio"]["derive_pm2"] == told["derive_pm2"]
    assert told["tick"] == {"ms": 5}


def test_a_peer_that_is_not_installed_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "_PEER", "node_modules/@nobody/math-utils")
    assert linear.measure(accounts=50)["vs_aave_math_utils"] is None


def test_the_sample_is_what_it_says() -> None:
    made, prices = linear.sample(20_000)
    levels = evaluate(made, PriceColumns(made.instruments, prices))
    distance = 1 - levels.requirement[linear.LIQUIDATION] / levels.equity[linear.LIQUIDATION]
    near = np.count_nonzero(np.abs(distance) < linear.NEAR) / 20_000
    assert 0.0005 < near < 0.002
    assert not levels.beyond
    assert not levels.refused
    assert {len(legs.span(7)) for legs in made.kinds} == {linear.DEPOSITS, linear.DEBTS, 0}


def test_ticks_evaluate_few_accounts() -> None:
    figures = tick.measure(accounts=5_000, ticks=21)
    evaluated = figures["evaluated"]
    assert evaluated is not None
    assert evaluated < 50
