"""Accounts of 80 option legs under `derive-pm1`: 21 scenarios, one base asset, a perpetual.

Owns nothing that is made up but flat volatilities: expiries, strikes and accounts are those of the benchmark of
`derive-pm2`.
"""

from __future__ import annotations

from node.bench.margin.derive_pm2 import ACCOUNTS, beside_products, sample_market, sample_of, typical
from node.bench.margin.portfolio import Figures
from node.margin.engine.derive.pm1 import Frame, evaluate
from node.margin.models.derive_pm1 import Expiry, Portfolio
from node.margin.models.fixed import ONE, WAD, Money, Wad


def measure(accounts: int = ACCOUNTS) -> Figures:
    """Accounts a second, and the products beside SciPy's: processor time, medians."""
    frame = sample_frame()
    made = sample_of(frame.options.columns, 1, accounts)
    evaluate(frame, made[:1_000])
    seconds = typical(lambda: evaluate(frame, made))
    return {"accounts_per_s": round(accounts / seconds), "vs_csr": beside_products(frame.options, made.options)}


def sample_frame() -> Frame:
    """400 options over eight expiries."""
    market, _ = sample_market()
    expiries = tuple(
        Expiry(
            each.seconds, each.forward, Wad(0), each.rate, ONE, each.options, (Wad(6 * WAD // 10),) * len(each.options)
        )
        for each in market.expiries
    )
    nothing, perpetual = Money(0), Wad(market.spot + WAD)
    listed = Portfolio("market", nothing, nothing, Wad(0), perpetual, Wad(0), market.spot, market.stable, ONE, expiries)
    return Frame.of(listed)
