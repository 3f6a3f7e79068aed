"""Accounts of 80 option legs under `deribit-like` (35 moves) and `paradex-like` (24 moves and a floor by delta).

Owns nothing that is made up: the market and the accounts are those of the benchmark of `span`.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.bench.margin.portfolio import ACCOUNTS, Figures, in_turn, sample, sample_market, vs_csr
from node.margin.engine.scanning.grids import Frame, margins
from node.margin.models import grids
from node.margin.models.fields import Fields


def measure_deribit(accounts: int = ACCOUNTS) -> Figures:
    """Whole accounts a second, and the product beside SciPy's."""
    return _measure(sample_frame(grids.DERIBIT), accounts)


def measure_paradex(accounts: int = ACCOUNTS) -> Figures:
    """The same with deltas."""
    return _measure(sample_frame(grids.PARADEX), accounts)


def _measure(frame: Frame, accounts: int) -> Figures:
    held = sample(frame.market, accounts)
    [seconds] = in_turn([lambda: margins(held, frame)])
    table = frame.market.table
    return {"accounts_per_s": round(accounts / seconds), "vs_csr": vs_csr(held.batch.rows, table.changes)}


def sample_frame(published: Mapping[str, object]) -> Frame:
    """The marks of 400 options of two underlyings under a published grid."""
    return Frame.of([sample_market()], grids.read_grid(Fields(published, "")))
