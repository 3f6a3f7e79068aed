"""Accounts of 80 option legs under `derive-sm`: the payoffs of their expiries at every strike, each short option alone.

Owns nothing that is made up but parameters: the market and the accounts are those of the benchmark of `span`.
"""

from __future__ import annotations

import numpy as np

from node.bench.margin.portfolio import (
    ACCOUNTS,
    PRICES,
    Figures,
    beside_csr,
    in_turn,
    sample_batch,
    sample_market,
)
from node.margin.engine.derive.sm import Frame, Positions, Required, margins
from node.margin.math.amounts import Amounts
from node.margin.math.products import Table
from node.margin.models import derive_sm as model
from node.margin.models.fields import Fields


def measure(accounts: int = ACCOUNTS) -> Figures:
    """Whole accounts a second, and the products beside SciPy's of a row for each account and expiry."""
    frame = sample_frame()
    held = sample(frame, accounts)
    [seconds] = in_turn([lambda: margins(held, frame)])
    apart = held.batch.by_part([each.part for each in frame.expiries])
    tables = [Table.of(each.payoffs, held.dense.row_bits, each.part.start) for each in frame.expiries]
    payoffs = np.concatenate([each.payoffs for each in frame.expiries])
    return {
        "accounts_per_s": round(accounts / seconds),
        "vs_csr": beside_csr(apart, payoffs, held.dense, tables),
    }


def sample_frame() -> Frame:
    """400 options of two underlyings."""
    rules = {f"{kind}_{level}": "0.1" for kind in ("perpetual", "base") for level in ("initial", "maintenance")}
    given = {"options": model.OPTION_RULES, "assets": dict.fromkeys(PRICES, rules)}
    return Frame.of([sample_market()], model.read_sm(Fields(given, "")))


def sample(frame: Frame, accounts: int) -> Positions:
    """The options of `sample_batch`, and cash."""
    batch, cash = sample_batch(len(frame.table.options), accounts)
    nothing = Amounts.zeros(accounts)
    return Positions.of(batch, Required(cash, nothing, cash, nothing), frame)
