"""What has happened, and what ought to be asked: named moves of the market, as rows that happen in full.

The first are the lows of real days against the close before (computed from public daily prices; what pegs did is as
reported at the time), the others are parallel. Must not know rules; margin is not made of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from node.margin.models.fields import Fields
from node.margin.models.hypothec.margin import Result, evaluate
from node.margin.models.hypothec.moved import moved
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import parts
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.hypothec.scenarios import read_row


def _event(name: str, others: float, **assets: float) -> dict[str, Any]:
    """`others`: what all assets of other names did, more or less."""
    return {"name": name, "together": others, "assets": assets, "vol": 0.5}


_PARALLEL = (0.16, -0.16, 0.24, -0.24, 0.36, -0.36, 0.5, -0.5)
EVENTS: list[dict[str, Any]] = [
    _event(
        "2020-03-12 black thursday",
        -0.5,
        BTC=-0.4809,
        ETH=-0.5115,
        BNB=-0.5786,
        XRP=-0.4469,
        LINK=-0.6053,
        MATIC=-0.6302,
    ),
    _event(
        "2021-05-19 leverage flush",
        -0.5,
        BTC=-0.285,
        ETH=-0.4224,
        SOL=-0.4736,
        AVAX=-0.4927,
        DOGE=-0.5416,
        CRV=-0.5635,
        AAVE=-0.4394,
    ),
    _event(
        "2022-05 terra",
        -0.5,
        BTC=-0.2689,
        ETH=-0.3513,
        SOL=-0.5346,
        BNB=-0.4296,
        USDT=-0.0515,
        UST=-0.956,
        LUNA=-0.9999,
    ),
    _event("2022-06 steth", -0.45, BTC=-0.4119, ETH=-0.4993, SOL=-0.348, BNB=-0.3635) | {"kinds": {"lst": -0.06}},
    _event("2022-10 mango squeeze", 0, MNGO=22.8),
    _event("2022-11 crv squeeze", 0, CRV=0.5),
    _event("2022-11 ftx", -0.4, BTC=-0.2631, ETH=-0.3346, SOL=-0.6599, BNB=-0.2506, FTT=-0.9115),
    _event("2023-03 usdc", -0.05, BTC=-0.0361, ETH=-0.0418, SOL=-0.0688, USDC=-0.1226, DAI=-0.1029, FRAX=-0.115),
    _event("2024-08-05 yen carry", -0.27, BTC=-0.1905, ETH=-0.2689, SOL=-0.2261, BNB=-0.2303),
    _event("2025-10-10 tariffs", -0.5, BTC=-0.12, ETH=-0.15, SUI=-0.8, USDe=-0.35, WBETH=-0.8868),
    *({"name": f"parallel {move:+.0%}", "together": move} for move in _PARALLEL),
    {"name": "volatility ×1.5", "vol": 0.5},
    *({"name": f"stablecoins {move:+.0%}", "kinds": {"stable": move}} for move in (-0.02, -0.05, -0.12, -0.35)),
    *({"name": f"staking tokens {move:+.0%}", "kinds": {"lst": move}} for move in (-0.06, -0.1)),
    {"name": "bridged assets to zero", "kinds": {"bridged": -1}},
]


def replay(portfolio: Portfolio, parameters: Parameters) -> Iterator[tuple[str, Result]]:
    """What each event would make of the account if it happened now, before anything is closed."""
    for place, each in enumerate(EVENTS):
        row = read_row(Fields(each, portfolio.account), place)
        after = moved(portfolio, row, parameters)
        yield row.name, evaluate(after, parts(after, parameters), parameters)
