"""Accounts of eight positions under the venues' own rules: how many a second.

Owns the accounts that are made up: of 100 assets, amounts in 1e-9 and prices in 1e-8, every factor that depends on size
or on the market at work. `dydx` knows only perpetuals; the others have three deposits, two debts and three perpetuals.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from node.margin.engine.linear import drift, dydx, mango, synthetix
from node.margin.engine.linear.accounts import Legs, LinearAccounts
from node.margin.engine.linear.columns import Instrument, Instruments
from node.margin.engine.linear.venue import Frame, Venue, evaluate
from node.margin.math.products import FloatArray
from node.margin.models.fields import Fields
from node.margin.models.fixed import Money, Wad
from node.margin.models.market import Quote

ACCOUNTS = 200_000
ASSETS = 100
DECIMALS = 9
VALUE = 2_000.0
"""USD of a typical leg."""
VENUES: dict[str, tuple[Venue[Any, Any], tuple[int, int, int]]] = {
    "dydx": (dydx.ENGINE, (0, 0, 8)),
    "drift": (drift.ENGINE, (3, 2, 3)),
    "mango": (mango.ENGINE, (3, 2, 3)),
    "synthetix": (synthetix.ENGINE, (3, 2, 3)),
}
_SPOT = {
    "asset_initial": "0.8", "asset_maintenance": "0.9", "liability_initial": "1.2", "liability_maintenance": "1.1",
    "imf": "0.01", "scale_start": 5_000_000,
}  # fmt: skip
_PERP = {
    "initial": "0.1", "maintenance": "0.05", "pnl_initial": "0.8", "pnl_maintenance": 1, "imf": "0.002",
    "pnl_imf": "0.02",
}  # fmt: skip
_TOKEN = {
    "initial_asset": "0.8", "initial_liability": "1.2", "maintenance_asset": "0.9", "maintenance_liability": "1.1",
    "initial_overall": "0.85", "deposit_scale_start": 5_000_000, "borrow_scale_start": 3_000_000,
}  # fmt: skip
_TIER = {
    "initial": "0.05", "maintenance_fraction": "0.6", "open_interest_lower": 20_000_000,
    "open_interest_upper": 50_000_000,
}  # fmt: skip
_COLLATERAL = {"skew_scale": 3_000_017, "scalar": "0.5", "lower": "0.02", "upper": "0.2"}
_MARKET = {
    "skew_scale": 1_000_003, "initial_fraction": 2, "least_initial": "0.01", "maintenance_scalar": "0.37",
    "reward": "0.001", "least_margin": 5,
}  # fmt: skip
_RUNS = 7


@dataclass(frozen=True, slots=True)
class Sample:
    """Accounts, and the frame that they are judged in."""

    accounts: LinearAccounts
    frame: Frame[Any, Any]


def measure(accounts: int) -> dict[str, float | None]:
    """Accounts a second by venue, from arrays to statuses: median of processor time."""
    return {name: round(accounts / _typical(sample(name, accounts))) for name in VENUES}


def _typical(made: Sample) -> float:
    taken = []
    for _ in range(_RUNS):
        gc.collect()
        start = time.process_time()
        evaluate(made.accounts, made.frame).statuses()
        taken.append(time.process_time() - start)
    return median(taken)


def sample(name: str, accounts: int, seed: int = 1) -> Sample:
    """So many accounts under a venue's rules."""
    venue, counts = VENUES[name]
    chosen = np.random.default_rng(seed)
    names = [f"asset {n}" for n in range(ASSETS)]
    usd: FloatArray = np.exp(chosen.uniform(np.log(0.05), np.log(50_000), ASSETS))
    quotes = {name: _quote(chosen, name, float(price)) for name, price in zip(names, usd, strict=True)}
    each = [Instrument(name, DECIMALS, (), entry) for entry in (None, 8) for name in names]
    instruments = Instruments(each, venue.profile.thresholds)
    legs = [_legs(chosen, accounts, count, usd, signed=kind == 2) for kind, count in enumerate(counts)]
    cash = chosen.integers(-2_000, 4_000, accounts) * 10**12 + chosen.integers(0, 10**12, accounts)
    collateral, debts, perpetuals = legs
    made = LinearAccounts(instruments, collateral, debts, perpetuals, cash=cash)
    sections: dict[str, dict[str, object]] = {
        "tiers": _TIER, "spots": _SPOT, "tokens": _TOKEN, "markets": _MARKET, "collaterals": _COLLATERAL,
        "perpetuals": {**_PERP, **_TOKEN},
    }  # fmt: skip
    content = {section: dict.fromkeys(names, rules) for section, rules in sections.items()}
    return Sample(made, venue.frame(instruments, quotes, venue.profile.read(Fields.of(content, ""))))


def _quote(chosen: np.random.Generator, name: str, price: float) -> Quote:
    oracle, stable, twap = (
        Wad(round(price * (1 + off) * 10**8) * 10**10) for off in (0.0, *chosen.uniform(-0.02, 0.02, 2))
    )
    deposits, borrows, open_interest = (float(usd) for usd in np.exp(chosen.uniform(12, 19, 3)))
    return Quote(
        name, oracle, stable, twap, Wad(10**18), Money(round(open_interest) * 10**12),
        Wad(round(deposits / price) * 10**18), Wad(round(borrows / price) * 10**18), DECIMALS,
    )  # fmt: skip


def _legs(chosen: np.random.Generator, accounts: int, each: int, usd: FloatArray, *, signed: bool) -> Legs:
    starts = np.arange(accounts + 1, dtype=np.uint32) * np.uint32(each)
    first = chosen.integers(0, ASSETS, accounts)
    places = ((first[:, None] + np.arange(each) * 7) % ASSETS).ravel()
    value = chosen.lognormal(np.log(VALUE), 1.0, len(places))
    amounts = (value / usd[places] * 10**DECIMALS).astype(np.int64)
    if not signed:
        return Legs(starts, places.astype(np.uint16), amounts)
    amounts *= chosen.integers(0, 2, len(places)) * 2 - 1
    entries = (usd[places] * chosen.uniform(0.8, 1.2, len(places)) * 10**8).astype(np.int64)
    funding = chosen.integers(-(10**13), 10**13, len(places))
    return Legs(starts, (places + ASSETS).astype(np.uint16), amounts, entries, None, funding)
