"""Accounts of 80 option legs under the complete `derive-pm2`: how many a second, and how long their frame takes.

Owns the market and the accounts that are made up: 400 options over eight expiries, 31 scenarios, a perpetual and two
collaterals.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from node.bench.margin.portfolio import Figures, beside_csr
from node.margin.engine.derive.book import Accounts
from node.margin.engine.derive.options import OPTION_UNIT, OptionFrame
from node.margin.engine.derive.pm2 import evaluate
from node.margin.engine.derive.pm2_frame import Frame
from node.margin.engine.derive.rows import kernel
from node.margin.math.amounts import Amounts
from node.margin.math.products import Rows
from node.margin.models.derive_pm2.portfolio import (
    SECONDS_A_DAY,
    BasisShock,
    Collateral,
    Contingencies,
    Expiry,
    LossFactors,
    Option,
    Parameters,
    Perpetual,
    Portfolio,
    Scenario,
    Shock,
    SkewShock,
    VolShock,
)
from node.margin.models.fixed import ONE, WAD, Money, Wad
from node.margin.models.svi import Svi

ACCOUNTS = 20_000
LEGS = 80
STRIKES = 25
DAYS = (1, 7, 14, 30, 60, 90, 180, 365)
TARGETS = {"accounts_per_s": "≥ 20,000"}
_SPOT = 2_500
_RUNS = 5


def measure(accounts: int = ACCOUNTS) -> Figures:
    """Accounts a second with a frame that is there, milliseconds to make one, and the products beside SciPy's."""
    market, given = sample_market()
    frames = typical(lambda: Frame.of(market, given))
    frame = Frame.of(market, given)
    made = sample(frame, accounts)
    evaluate(frame, made[:1_000])
    seconds = typical(lambda: evaluate(frame, made))
    return {
        "accounts_per_s": round(accounts / seconds),
        "frame_ms": round(frames * 1_000, 1),
        "vs_csr": beside_products(frame.options, made.options),
    }


def beside_products(frame: OptionFrame, rows: Rows) -> float | None:
    """The engine's products, expiry by expiry, beside SciPy's of a row for each account and expiry."""
    tables = frame.priced
    owner = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    places = owner * len(tables) + frame.expiry_of[rows.columns]
    lengths = np.bincount(places, minlength=len(rows) * len(tables))
    apart = Rows(np.concatenate([[0], np.cumsum(lengths)]), rows.columns, rows.amounts)
    _, dense, split = kernel(frame, rows)
    return beside_csr(apart, np.concatenate([table.marks for table in tables]), dense, split)


def sample_market() -> tuple[Portfolio, Parameters]:
    """A market of 400 options, with the parameters and the grid of a deployed PMRM_2."""
    return (
        Portfolio(
            account="market",
            cash=Money(0),
            spot=_wad(_SPOT),
            spot_confidence=ONE,
            stable=_wad(0.999),
            collaterals=(
                Collateral(
                    "ETH",
                    Wad(0),
                    _wad(_SPOT),
                    ONE,
                    risk_cancelling=True,
                    initial_haircut=_wad(0.05),
                    maintenance_haircut=_wad(0.1),
                ),
                Collateral(
                    "USDT",
                    Wad(0),
                    _wad(1.0004),
                    ONE,
                    risk_cancelling=False,
                    initial_haircut=_wad(0.02),
                    maintenance_haircut=_wad(0.03),
                ),
            ),
            perpetual=Perpetual(ONE, _wad(_SPOT + 1), ONE, Money(0), Money(0)),
            expiries=tuple(_expiry(days) for days in DAYS),
            option_count=0,
        ),
        PARAMETERS,
    )


def sample(frame: Frame, accounts: int) -> Accounts:
    """`sample_of` the frame's options and collaterals."""
    return sample_of(frame.options.columns, len(frame.collaterals), accounts)


def sample_of(options: int, collaterals: int, accounts: int, seed: int = 1) -> Accounts:
    """Accounts of LEGS options each, long and short, in hundredths of a contract; half of them with a perpetual."""
    chosen = np.random.default_rng(seed)
    columns = np.argsort(chosen.random((accounts, options)), axis=1)[:, :LEGS]
    lots = chosen.integers(1, 2_000, accounts * LEGS) * chosen.choice([-1, 1], accounts * LEGS)
    held = chosen.integers(-(10**9), 10**9, accounts) * chosen.integers(0, 2, accounts)
    return Accounts(
        Amounts.small(chosen.integers(-(10**17), 10**18, accounts)),
        Rows(
            np.arange(accounts + 1) * LEGS,
            np.sort(columns, axis=1).astype(np.int64).ravel(),
            lots * (WAD // 100 // OPTION_UNIT),
        ),
        Amounts(held, np.zeros_like(held)).whole(),
        Amounts(chosen.integers(0, 10**11, (accounts, collaterals)), np.zeros((accounts, collaterals), np.int64)),
    )


def typical(work: Callable[[], object]) -> float:
    """The median processor time."""
    taken = []
    for _ in range(_RUNS):
        gc.collect()
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return median(taken)


def _wad(number: float) -> Wad:
    return Wad(round(number * 10**9) * 10**9)


def _expiry(days: int) -> Expiry:
    seconds = days * SECONDS_A_DAY
    forward, years = _SPOT + days / 2, days / 365
    width = max(0.08, 0.7 * years**0.5)
    strikes = [round(forward * float(np.exp(width * place))) for place in np.linspace(-1.5, 1.5, STRIKES)]
    options = tuple(Option(_wad(strike), call, ONE) for strike in strikes for call in (False, True))
    surface = Svi(0.25 * years, 0.2 * years, -0.2, 0.01, 0.3, forward, years)
    return Expiry(
        seconds, _wad(forward), Wad(0), ONE, _wad(0.04), ONE, surface, ONE, options, tuple(range(len(options)))
    )


def _grid() -> tuple[Scenario, ...]:
    moves = [(1 + n * 0.045, shock) for n in range(-3, 4) for shock in (Shock.UP, Shock.NONE, Shock.DOWN)]
    moves += [(1.18, Shock.UP), (0.82, Shock.UP)]
    tails = [(0.34, 0.21), (0.67, 0.42), (1.5, 0.2772), (2, 0.1386), (3, 0.0693), (4, 0.0462)]
    return (
        *(Scenario(_wad(spot), shock, ONE) for spot, shock in moves),
        *(Scenario(_wad(spot), Shock.UP, _wad(dampening)) for spot, dampening in tails),
        Scenario(ONE, Shock.LINEAR, ONE),
        Scenario(ONE, Shock.ABS, ONE),
    )


PARAMETERS = Parameters(
    scenarios=_grid(),
    vol=VolShock(_wad(0.5), _wad(0.3), _wad(0.4), _wad(0.3), _wad(0.13), SECONDS_A_DAY),
    skew=SkewShock(_wad(0.15), _wad(-0.05), _wad(0.15), _wad(-0.05), _wad(0.01), _wad(4), _wad(0.6), _wad(-0.1)),
    basis=BasisShock(_wad(1.045), _wad(0.955), _wad(0.5), _wad(2)),
    loss=LossFactors(ONE, _wad(0.8), _wad(0.95), ONE, _wad(0.08), _wad(1.04), _wad(0.5), _wad(0.08)),
    contingencies=Contingencies(_wad(0.99), _wad(4), _wad(0.55), ONE, _wad(0.03), _wad(0.01), _wad(0.003), _wad(0.002)),
)
