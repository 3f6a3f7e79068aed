"""The benchmark of derive-pm2 measures what it says: 80 legs, 31 scenarios, every account by the engine."""

from __future__ import annotations

import numpy as np

from node.bench.margin import derive_pm2
from node.margin.engine.derive.pm2 import evaluate, portfolio
from node.margin.engine.derive.pm2_frame import Frame
from node.margin.models import derive_pm2 as rules


def test_accounts_are_of_the_size_that_is_stated_and_none_is_left_to_the_rules() -> None:
    frame = Frame.of(*derive_pm2.sample_market())
    accounts = derive_pm2.sample(frame, 50)
    assert (len(frame.parameters.scenarios), frame.options.columns, len(frame.options.tables)) == (31, 400, 8)
    assert set(np.diff(accounts.options.starts)) == {80}
    found = evaluate(frame, accounts)
    assert not len(found.by_rules)
    wanted = [rules.evaluate(portfolio(frame, accounts, place), frame.parameters) for place in range(3)]
    assert found.initial.integers()[:3] == [each.initial for each in wanted]
    assert len({each < 0 for each in found.initial.integers()}) == 2  # some meet it and some do not


def test_figures_have_their_names() -> None:
    figures = derive_pm2.measure(accounts=20)
    assert set(figures) == {"accounts_per_s", "frame_ms", "vs_csr"}
    assert all(figure is None or figure > 0 for figure in figures.values())
    assert set(derive_pm2.TARGETS) <= set(figures)
