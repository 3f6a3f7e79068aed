"""Linear accounts: how many a second, beside npm's @aave/math-utils, and what of memory each takes.

Owns the accounts that are made up: five deposits and three debts each, out of 500 assets of which some are much more
popular than others; amounts in 1e-9, prices in 1e-8 and factors in 1e-4, so that every product is rounded.
"""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import time
import tracemalloc
from importlib.resources import files
from pathlib import Path
from statistics import median

import numpy as np

from node.margin.engine.linear.accounts import Legs, LinearAccounts
from node.margin.engine.linear.columns import Instrument, Instruments, PriceColumns
from node.margin.engine.linear.evaluate import evaluate
from node.margin.engine.linear.incremental import Watch
from node.margin.engine.linear.levels import Levels
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.fixed import Wad, as_float
from node.margin.models.profiles import BORROW_AND_LIQUIDATION

ASSETS = 500
DEPOSITS, DEBTS = 5, 3
DECIMALS = 9
PRICE_UNIT = 10**10
"""1e-8 USD, in which prices come."""
LIQUIDATION = 1
NEAR_SHARE, NEAR = 0.001, 0.001
"""One account of a thousand is within 10 bp of the last threshold."""
_PATTERNS = 20_000
_RUNS = 7
_PEER_ACCOUNTS = 20_000


def measure(accounts: int) -> dict[str, float | None]:
    """Accounts a second, the same beside the peer's health factors, and bytes an account."""
    tracemalloc.start()
    made, prices = sample(accounts)
    watch = Watch(made, prices)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del watch
    columns = PriceColumns(made.instruments, prices)
    levels = evaluate(made, columns)
    seconds = _typical(made, columns) / accounts
    peer = _aave(levels)
    return {
        "accounts_per_s": round(1 / seconds),
        "vs_aave_math_utils": None if peer is None else round(peer / seconds, 2),
        "bytes_per_account": round(kept / accounts, 1),
    }


def sample(accounts: int, seed: int = 1) -> tuple[LinearAccounts, dict[str, Wad]]:
    """So many accounts, of which NEAR_SHARE are near the last threshold and few below it, and their prices."""
    chosen = np.random.default_rng(seed)
    names = [f"asset {n}" for n in range(ASSETS)]
    usd = np.exp(chosen.uniform(np.log(0.05), np.log(50_000), ASSETS))
    prices = {name: Wad(round(price * 10**8) * PRICE_UNIT) for name, price in zip(names, usd, strict=True)}
    factors = chosen.integers(5_000, 9_000, ASSETS)
    deposited = [
        Instrument(name, DECIMALS, (Wad(int(factor - 300) * 10**14), Wad(int(factor) * 10**14)))
        for name, factor in zip(names, factors, strict=True)
    ]
    owed = [Instrument(name, DECIMALS) for name in names]
    instruments = Instruments([*deposited, *owed], BORROW_AND_LIQUIDATION)
    price = np.array([as_float(prices[name]) for name in names])
    held, values = _legs(chosen, accounts, DEPOSITS, price, np.full(accounts, 8_000.0))
    worth = (values * factors[held].reshape(accounts, DEPOSITS) / 10**4).sum(axis=1)
    distance = chosen.uniform(0.02, 0.9, accounts)
    near = chosen.random(accounts) < NEAR_SHARE
    distance[near] = chosen.uniform(-NEAR, NEAR, int(near.sum()))
    borrowed, debts = _legs(chosen, accounts, DEBTS, price, worth * (1 - distance))
    none = np.zeros(0, np.int64)
    return LinearAccounts(
        instruments,
        _as_legs(held, values / price[held].reshape(values.shape), DEPOSITS),
        _as_legs(borrowed + ASSETS, debts / price[borrowed].reshape(debts.shape), DEBTS),
        Legs(np.zeros(accounts + 1, np.uint32), none.astype(np.uint16), none, none),
    ), prices


def _legs(
    chosen: np.random.Generator, accounts: int, each: int, price: FloatArray, totals: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Distinct assets by account, flat, and the values in USD that add up to `totals`, by account."""
    patterns, popularity = min(_PATTERNS, accounts), 1 / np.arange(10, 10 + len(price))
    likely = np.argsort(chosen.exponential(size=(patterns, len(price))) / popularity, axis=1)[:, :each]
    assets = likely[chosen.integers(0, patterns, accounts)]
    shares = chosen.dirichlet(np.full(each, 2.0), accounts)
    return assets.ravel().astype(np.int64), shares * totals[:, None]


def _as_legs(places: IntArray, amounts: FloatArray, each: int) -> Legs:
    starts = np.arange(len(places) // each + 1, dtype=np.uint32) * np.uint32(each)
    return Legs(starts, places.astype(np.uint16), (amounts.ravel() * 10**DECIMALS).astype(np.int64))


def _typical(made: LinearAccounts, columns: PriceColumns) -> float:
    """Median processor seconds from amounts and prices to health factors."""
    taken = []
    for _ in range(_RUNS):
        gc.collect()
        start = time.process_time()
        _health_factors(evaluate(made, columns))
        taken.append(time.process_time() - start)
    return median(taken)


def _health_factors(levels: Levels) -> FloatArray:
    factors: FloatArray = levels.equity[LIQUIDATION] / levels.requirement[LIQUIDATION]
    return factors


def _aave(levels: Levels) -> float | None:
    """Seconds that npm's `@aave/math-utils` takes for a health factor, if it is among the node_modules here or above.

    It is given each account's two sums, weighted and ready as its own numbers: it has but to divide them.
    """
    node = shutil.which("node")
    home = next((path for path in (Path.cwd(), *Path.cwd().parents) if (path / _PEER).is_dir()), None)
    if node is None or home is None:
        return None
    equity, debt = (each[LIQUIDATION, :_PEER_ACCOUNTS] for each in (levels.equity, levels.requirement))
    asked = {"equity": [str(each) for each in equity.tolist()], "debt": [str(each) for each in debt.tolist()]}
    script = files("node.bench.margin").joinpath("aave.mjs").read_text()
    done = subprocess.run(
        [node, "--input-type=module", "-e", script],
        input=json.dumps(asked), cwd=home, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    np.testing.assert_allclose(told["factors"], (equity / debt)[: len(told["factors"])], rtol=1e-9)
    return float(told["seconds"])


_PEER = "node_modules/@aave/math-utils"
