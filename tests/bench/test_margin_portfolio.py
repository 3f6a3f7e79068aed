"""The benchmark of accounts with options, small: what it makes up, and what it says of a peer that is not there."""

from importlib import import_module

import pytest

from node.bench.margin import portfolio
from node.margin.engine.portfolio import integers
from node.margin.engine.scanning.span import margins


def test_figures_of_span_are_there() -> None:
    frame = portfolio.sample_frame()
    assert len(frame.market.table.options) == 400
    assert frame.market.table.usable.all()
    assert {len(each.moves) for each in frame.market.underlyings} == {portfolio.SCENARIOS}
    figures = portfolio.measure_span(frame, accounts=300)
    assert all(value is None or value > 0 for value in figures.values())


@pytest.mark.parametrize("name", ["deribit_like", "paradex_like", "derive_sm", "derive_pm1"])
def test_figures_of_others_are_there(name: str) -> None:
    module, function = portfolio.MEASURED[name]
    figures = getattr(import_module(f"node.bench.margin.{module}"), function)(accounts=200)
    assert set(figures) == {"accounts_per_s", "vs_csr"}
    assert all(value is None or value > 0 for value in figures.values())


@pytest.mark.slow
def test_vollib_has_a_figure() -> None:
    pytest.importorskip("vollib")
    seconds = portfolio.vollib_seconds(portfolio.sample_frame())
    assert seconds is not None
    assert seconds > 0


def test_the_accounts_are_what_they_say() -> None:
    frame = portfolio.sample_frame()
    held = portfolio.sample(frame.market, 300)
    assert (held.batch.rows.starts[1:] - held.batch.rows.starts[:-1] == portfolio.LEGS).all()
    equity, initial, maintenance = map(integers, margins(held, frame))
    assert len(set(equity)) == len(set(maintenance)) == 300
    assert (initial > maintenance).all()
    assert (maintenance > 0).all()


def test_a_peer_that_is_not_installed_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = portfolio.sample_frame()
    monkeypatch.setattr(portfolio, "find_spec", lambda _: None)
    assert portfolio.vollib_seconds(frame) is None
    assert portfolio.vs_csr(portfolio.sample(frame.market, 10).batch.rows, frame.market.table.changes) is None
