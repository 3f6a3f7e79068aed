"""Accounts with 80 option legs over a shared table of 31 scenarios, profile by profile, beside SciPy and vollib.

accounts_per_s   whole accounts: from the frame's marks and the accounts' rows to every margin
vs_csr           the exact product alone: how fast it is beside SciPy's sparse × dense in floats, same numbers
vs_vollib        how many times longer vollib takes to price an account's legs one by one under the scenarios

`span`'s accounts and frame are made up here: two underlyings with a spread, all charges, 400 options. One core:
everything runs in a process whose matrix products have one thread. Processor time, medians, yardsticks in turn with
what they measure. What is not installed gives None.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import TypeAlias

import numpy as np

from node.margin.engine.portfolio import Batch
from node.margin.engine.scanning.accounts import Market, Positions
from node.margin.engine.scanning.span import Frame, margins
from node.margin.math.amounts import Amounts
from node.margin.math.products import DenseRows, IntArray, Rows, Table, products
from node.margin.models import span
from node.margin.models.book import SECONDS_A_DAY, Book, read_book
from node.margin.models.fields import Fields
from node.margin.models.fixed import Wad, as_float
from node.margin.models.shocks import Move, unmoved
from node.margin.models.span import SpanAsset

Figures: TypeAlias = dict[str, float | None]

ACCOUNTS = 50_000
LEGS = 80
SCENARIOS = 31
TARGETS = {
    "span accounts_per_s": "≥ 200,000",
    "span vs_csr": "≥ 0.5",
    "span vs_vollib": "≥ 100",
    "hypothec accounts_per_s": "≥ 200,000",
    "hypothec vs_csr": "≥ 0.5",
    "hypothec vs_vollib": "≥ 100",
    "derive_pm2 accounts_per_s": "≥ 20,000",
    "derive_pm2 vs_csr": "≥ 0.5",
    "derive_pm2 vs_vollib": "≥ 100",
}
PRICES = {"BTC": 60_000, "ETH": 3_000}
DAYS = (1, 7, 30, 90, 180)
STRIKES = 20
LARGEST_LOTS = 25
"""Amounts are up to 2.5 contracts, in tenths."""
_RUNS = 7
MEASURED = {
    "hypothec": ("hypothec", "measure"),
    "derive_pm2": ("derive_pm2", "measure"),
    "deribit_like": ("grids", "measure_deribit"),
    "paradex_like": ("grids", "measure_paradex"),
    "derive_sm": ("derive_sm", "measure"),
    "derive_pm1": ("derive_pm1", "measure"),
}
"""By profile, the module beside this one that measures it, and by which function."""


def measure() -> dict[str, Figures]:
    """All figures, by profile."""
    limited = os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, env=limited, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Figures] = json.loads(done.stdout)
    return figures


def measure_here() -> dict[str, Figures]:
    """The same, in this process, with as many threads as it has."""
    frame = sample_frame()
    peer = vollib_seconds(frame)
    figures = {"span": measure_span(frame)}
    for name, (module, measured) in MEASURED.items():
        figures[name] = getattr(import_module(f"{__package__}.{module}"), measured)()
    for each in figures.values():
        per_second = each["accounts_per_s"]
        each.setdefault("vs_csr", None)  # for what is not one product of amounts and changes
        each["vs_vollib"] = None if peer is None or per_second is None else round(peer * per_second)
    return figures


def measure_span(frame: Frame, accounts: int = ACCOUNTS) -> Figures:
    """Whole accounts a second, and the product beside SciPy's."""
    held = sample(frame.market, accounts)
    [seconds] = in_turn([lambda: margins(held, frame)])
    return {"accounts_per_s": round(accounts / seconds), "vs_csr": vs_csr(held.batch.rows, frame.market.table.changes)}


def vs_csr(rows: Rows, entries: IntArray) -> float | None:
    """SciPy's time for the product in floats over ours for the exact one."""
    dense = DenseRows.of(rows, len(entries))
    return beside_csr(rows, entries, dense, [Table.of(entries, dense.row_bits)])


def beside_csr(rows: Rows, entries: IntArray, dense: DenseRows, tables: Sequence[Table]) -> float | None:
    """The same of products that are ready to be made: SciPy makes them of rows and entries."""
    if find_spec("scipy") is None:
        return None
    amounts = (rows.amounts.astype(np.float64), rows.columns.astype(np.int32), rows.starts.astype(np.int32))
    sparse = import_module("scipy.sparse").csr_matrix(amounts, shape=(len(rows), len(entries)))
    floats = entries.astype(np.float64)
    theirs, ours = in_turn([lambda: sparse @ floats, lambda: [None for _ in products(dense, tables)]])
    return round(theirs / ours, 3)


def vollib_seconds(frame: Frame) -> float | None:
    """What vollib takes for one account: LEGS options, each priced alone under SCENARIOS scenarios."""
    if find_spec("vollib") is None:
        return None
    black = import_module("vollib.black").black
    table = frame.market.table
    options = table.options[:: len(table.options) // LEGS][:LEGS]
    moves = frame.market.underlyings[0].moves
    legs = [
        (
            "c" if option.is_call else "p",
            as_float(option.expiry.forward) * (1 + as_float(move.spot)),
            as_float(option.strike),
            option.expiry.years,
            as_float(option.expiry.rate),
            0.6,
        )
        for option in options
        for move in moves
    ]
    [seconds] = in_turn([lambda: [black(*leg) for leg in legs]])
    return seconds


# === What is made up ===


def sample_frame() -> Frame:
    """The marks of 400 options of two underlyings under 31 scenarios."""
    return Frame.of([sample_market()], span.read_span(Fields(_parameters(), "")), _rows)


def sample(market: Market, accounts: int) -> Positions:
    """The options of `sample_batch`, and cash."""
    batch, cash = sample_batch(len(market.table.options), accounts)
    return Positions.of(batch, cash, Amounts.zeros(accounts), {}, market.table)


def sample_batch(options: int, accounts: int, seed: int = 1) -> tuple[Batch, Amounts]:
    """Accounts of LEGS different options each, long and short, of any underlying and expiry; and cash."""
    chosen = np.random.default_rng(seed)
    columns = np.argsort(chosen.random((accounts, options)), axis=1)[:, :LEGS]
    amounts = chosen.integers(1, LARGEST_LOTS + 1, accounts * LEGS) * chosen.choice([-1, 1], accounts * LEGS)
    rows = Rows(np.arange(accounts + 1) * LEGS, np.sort(columns, axis=1).astype(np.int64).ravel(), amounts)
    cash = Amounts.small(chosen.integers(-(10**17), 10**18, accounts))
    return Batch(np.arange(accounts), rows, decimals=1), cash


def _rows(rules: SpanAsset) -> Sequence[Move]:
    """The profile's sixteen rows, and further extremes up to 31."""
    rows = span.moves(rules)
    up, down = rows[-2:]
    further = [
        Move(f"{each.name} {n}", Wad(each.spot * n // 10), unmoved, each.weight)
        for n in range(2, 10)
        for each in (up, down)
    ]
    return [*rows, *further][:SCENARIOS]


def sample_market() -> Book:
    """An option of each of two underlyings, expiries and strikes."""
    options = [
        {"asset": asset, "seconds": days * SECONDS_A_DAY, "strike": strike, "call": call, "amount": 1}
        for asset, price in PRICES.items()
        for days in DAYS
        for strike in np.linspace(price * 0.6, price * 1.4, STRIKES).round(1).tolist()
        for call in (True, False)
    ]
    return read_book({"options": options}, "market", Fields({a: _quoted(p) for a, p in PRICES.items()}, ""))


def _quoted(price: float) -> Mapping[str, object]:
    return {"price": price, "expiries": [_expiry(price * (1 + days / 5_000), days) for days in DAYS]}


def _expiry(forward: float, days: int) -> Mapping[str, object]:
    years = days / 365
    svi = [0.25 * years, 0.2 * years, -0.2, 0.01, 0.3, forward, years]
    return {"seconds": days * SECONDS_A_DAY, "forward": forward, "rate": "0.03", "svi": svi}


def _parameters() -> Mapping[str, object]:
    assets = {
        asset: {
            "price_range": "0.15",
            "vol_range": "0.1",
            "short_option_minimum": price / 200,
            "intra_spread": price / 500,
        }
        for asset, price in PRICES.items()
    }
    spread = {"first": "BTC", "second": "ETH", "first_ratio": 1, "second_ratio": 20, "rate": "0.5"}
    return {"assets": assets, "spreads": [spread], "initial_multiple": "1.1"}


def in_turn(works: Sequence[Callable[[], object]], runs: int = _RUNS) -> list[float]:
    """The median processor time of each, one after another, run by run; each is run once before it counts."""
    taken: list[list[float]] = [[] for _ in works]
    for run in range(runs + 1):
        for work, times in zip(works, taken, strict=True):
            gc.collect()
            start = time.process_time()
            work()
            if run:
                times.append(time.process_time() - start)
    return [median(times) for times in taken]


if __name__ == "__main__":
    print(json.dumps(measure_here()))  # noqa: T201 - for the process that started this one
