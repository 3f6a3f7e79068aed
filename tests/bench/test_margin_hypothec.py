"""What the benchmark of `hypothec` measures is what it says: whole accounts, of figures that are there."""

from __future__ import annotations

import numpy as np

from node.bench.margin import hypothec
from node.margin.engine.hypothec.evaluate import evaluate
from node.model.health import HealthStatus


def test_the_accounts_that_are_measured_are_of_every_status_and_stay_within_64_bits() -> None:
    frame = hypothec.sample_frame()
    held = hypothec.sample(frame, 2_000)
    assert len(frame.signed.entries) == 400
    assert len(frame.signed.changes) == 31
    found = evaluate(frame, held)
    assert not found.beyond
    assert set(np.unique(found.status)) == set(HealthStatus)
    assert (found.excess[0] <= found.excess[1]).all()
    assert (found.excess[0] <= found.excess[2]).all()


def test_every_figure_is_measured() -> None:
    figures = hypothec.measure(200)
    assert (figures["accounts_per_s"] or 0) > 0
    assert set(figures) == {"accounts_per_s", "vs_csr"}
