"""How long a tick takes: one of 500 assets moves by 10 bp, and the status of every account is right again."""

from __future__ import annotations

import gc
import time
from statistics import median

import numpy as np

from node.bench.margin.linear import PRICE_UNIT, sample
from node.margin.engine.linear.incremental import Watch
from node.margin.models.fixed import Wad

TICKS = 301
BASIS_POINTS = 10


def measure(accounts: int, ticks: int = TICKS) -> dict[str, float | None]:
    """Milliseconds a tick, each of another asset, so that prices drift; also the slowest, and accounts evaluated."""
    made, prices = sample(accounts)
    watch = Watch(made, prices)
    chosen = np.random.default_rng(2)
    names = list(prices)
    taken, evaluated = [], []
    gc.collect()
    for place, up in zip(chosen.integers(0, len(names), ticks), chosen.integers(0, 2, ticks), strict=True):
        name = names[place]
        moved = prices[name] * (10_000 + BASIS_POINTS * (1 if up else -1)) // 10_000
        prices[name] = Wad(moved // PRICE_UNIT * PRICE_UNIT)
        start = time.process_time()
        outcome = watch.tick({name: prices[name]})
        taken.append(1000 * (time.process_time() - start))
        evaluated.append(len(outcome.evaluated))
    return {"ms": round(median(taken), 3), "slowest_ms": round(max(taken), 3), "evaluated": median(evaluated)}
