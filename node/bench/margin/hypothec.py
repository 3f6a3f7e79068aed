"""Accounts of 80 option legs under `hypothec`: how many a second, whole, from the sums to both ends and the status.

Owns the market and the accounts that are made up: 400 options of two underlyings with ranges of price and volatility,
the profile's 31 rows, amounts up to one contract in hundredths, cash. (Accounts whose sums pass two million USD take
wider integers and about five times as long; none of these does.)
"""

from __future__ import annotations

import numpy as np

from node.bench.margin.portfolio import ACCOUNTS, DAYS, LEGS, PRICES, STRIKES, Figures, in_turn, vs_csr
from node.margin.engine.hypothec.evaluate import evaluate
from node.margin.engine.hypothec.frame import CHUNK, Accounts, Chunk, Frame, PartArrays, prepared
from node.margin.math.products import IntArray, Rows
from node.margin.models.book import SECONDS_A_DAY
from node.margin.models.fields import Fields
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.parameters import read_parameters
from node.margin.models.hypothec.portfolio import read_portfolio

LARGEST_LOTS = 100
"""Amounts are up to one contract, in hundredths."""
DECIMALS = 2
LARGEST_CASH = 500_000 * 10**12


def measure(accounts: int = ACCOUNTS) -> Figures:
    """Whole accounts a second, and the product of signed amounts with the changes by row beside SciPy's."""
    frame = sample_frame()
    held = sample(frame, accounts)
    [seconds] = in_turn([lambda: evaluate(frame, held)])
    return {
        "accounts_per_s": round(accounts / seconds),
        "vs_csr": vs_csr(_together(held), frame.signed.entries[:, frame.signed.changes]),
    }


def _together(accounts: Accounts) -> Rows:
    rows = [chunk.rows for chunk in accounts.chunks]
    lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(each.starts) for each in rows)])
    columns, amounts = [each.columns for each in rows], [each.amounts for each in rows]
    return Rows(np.cumsum(lengths), np.concatenate(columns), np.concatenate(amounts))


def sample_frame() -> Frame:
    """The units of 400 options of two underlyings."""
    parameters = read_parameters(Fields(DEFAULTS, ""))
    market = {
        asset: {
            "price": price,
            "low": price * 0.999,
            "high": price * 1.001,
            "vol_spread": 0.02,
            "expiries": [
                {"seconds": days * SECONDS_A_DAY, "forward": price * (1 + days / 5_000), "rate": 0.03, "vol": 0.6}
                for days in DAYS
            ],
        }
        for asset, price in PRICES.items()
    }
    options = [
        {"asset": asset, "seconds": days * SECONDS_A_DAY, "strike": strike, "call": call, "amount": 1}
        for asset, price in PRICES.items()
        for days in DAYS
        for strike in np.linspace(price * 0.6, price * 1.4, STRIKES).round(1).tolist()
        for call in (True, False)
    ]
    frame, _ = prepared([read_portfolio({"options": options}, "market", Fields(market, ""), parameters)], parameters)
    return frame


def sample(frame: Frame, accounts: int, seed: int = 1) -> Accounts:
    """Accounts of LEGS different options each, long and short, of any underlying and expiry, and cash."""
    chosen = np.random.default_rng(seed)
    chunks = tuple(
        _chunk(frame, np.arange(first, min(first + CHUNK, accounts)), chosen) for first in range(0, accounts, CHUNK)
    )
    return Accounts(accounts, chunks, {}, {})


def _chunk(frame: Frame, places: IntArray, chosen: np.random.Generator) -> Chunk:
    count, units = len(places), len(frame.signed.entries)
    columns = np.sort(np.argsort(chosen.random((count, units)), axis=1)[:, :LEGS], axis=1)
    amounts = chosen.integers(1, LARGEST_LOTS + 1, count * LEGS) * chosen.choice([-1, 1], count * LEGS)
    cash = chosen.integers(-LARGEST_CASH // 10, LARGEST_CASH, count)
    zeros = np.zeros(count, np.int64)
    constant = np.stack([zeros, zeros])
    return Chunk.of(
        places=places,
        fixed=np.stack([cash, cash]),
        parts=PartArrays(np.arange(count), zeros, zeros - 1, constant, zeros + 1, zeros, constant),
        rows=Rows(np.arange(count + 1) * LEGS, columns.astype(np.int64).ravel(), amounts),
        columns=units,
        decimals=DECIMALS,
    )
