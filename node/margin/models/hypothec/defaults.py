"""The profile's own parameters, as data.

Moves and correlations rest on what happened: tests/vectors/margin/test_stress_events.py replays it. 31 rows, of which
the market as it is comes on top. Must not know rules.
"""

from __future__ import annotations

from typing import Any

_PEGS_SLIP = {"lst": -0.06, "bridged": -0.1, "stable": -0.02}


def _both_vols(move: float) -> list[dict[str, Any]]:
    return [
        {"name": f"market {move:+.0%} vol {name}", "market": move, "vol": vol}
        for name, vol in (("up", 0.5), ("down", -0.3))
    ]


def _far(move: float, weight: float) -> dict[str, Any]:
    return {"name": f"market {move:+.0%}", "market": move, "vol": 0.5, "weight": weight}


def _split(bit: int, move: float) -> dict[str, Any]:
    return {"name": f"split {bit} {move:+.0%}", "split": bit, "relative": move, "vol": 0.25}


ROWS: list[dict[str, Any]] = [
    # The common factor, volatility both ways (12).
    *_both_vols(0.0),
    *(row for move in (0.06, -0.06, 0.12, -0.12) for row in _both_vols(move)),
    *({"name": f"market {move:+.0%} vol up", "market": move, "vol": 0.5} for move in (0.18, -0.18)),
    # Tails, which count in part (5): so far as to reach options that the others do not.
    _far(-0.33, 0.42),
    _far(-0.66, 0.21),
    _far(0.5, 0.2772),
    _far(1.0, 0.1386),
    _far(4.0, 0.0347),
    # Correlation one: everything moves alike, and pegs slip when it falls (2).
    {"name": "together -40%", "together": -0.4, "kinds": _PEGS_SLIP, "vol": 0.5, "weight": 0.5},
    {"name": "together +40%", "together": 0.4, "vol": 0.5, "weight": 0.5},
    # What is hedged across assets moves apart: majors against the rest, and any two of a group of eight (8).
    {"name": "majors against the rest", "groups": {"majors": 0.08}, "others": -0.08, "vol": 0.25},
    {"name": "the rest against majors", "groups": {"majors": -0.08}, "others": 0.08, "vol": 0.25},
    *(_split(bit, move) for bit in (0, 1, 2) for move in (0.06, -0.06)),
    # Pegs break one by one (3), and what is short of depth is squeezed (1).
    {"name": "circle breaks", "issuers": {"circle": -0.125}},
    {"name": "tether and ethena break", "issuers": {"tether": -0.05, "ethena": -0.35}},
    {"name": "wrapped assets break", "kinds": {"lst": -0.1, "bridged": -0.5}},
    {"name": "squeeze", "groups": {"majors": 0}, "others": 0.5, "vol": 0.5, "weight": 0.4},
]

DEFAULTS: dict[str, object] = {
    "rows": ROWS,
    "maintenance": 0.8,
    "vol_shocks": {"short_power": 0.3, "long_power": 0.13, "least": 0.4},
    "groups": {
        "majors": {"assets": ["BTC", "ETH"], "correlation": 0.85},
        "alts": {
            "assets": ["SOL", "BNB", "XRP", "ADA", "AVAX", "DOGE", "LINK", "MATIC", "LTC", "TRX", "AAVE", "CRV", "MKR"],
            "correlation": 0.75,
        },
        "pegged": {"assets": ["USDC", "USDT", "DAI", "FRAX", "USDe"], "correlation": 0.5},
    },
    "kinds": {
        "coin": {"beta": 1.5, "vol": 1.0, "depth": 5_000_000},
        "stable": {"beta": 0, "vol": 0.06, "depth": 100_000_000},
        "lst": {"beta": 0, "vol": 0.75, "depth": 20_000_000},
        "bridged": {"beta": 0, "vol": 0.75, "depth": 5_000_000},
    },
    "assets": {
        "BTC": {"beta": 1, "vol": 0.55, "depth": 500_000_000},
        "ETH": {"beta": 1.2, "vol": 0.75, "depth": 300_000_000},
        **{name: {"beta": 1.5, "vol": 0.95, "depth": 50_000_000} for name in ("SOL", "BNB", "XRP", "DOGE")},
        **{name: {"kind": "lst", "follows": "ETH"} for name in ("STETH", "WSTETH", "WBETH", "RETH")},
        "BNSOL": {"kind": "lst", "follows": "SOL", "vol": 0.95},
        **{name: {"kind": "stable"} for name in ("USDC", "USDT", "DAI", "FRAX", "USDe", "UST")},
        "WBTC": {"kind": "bridged", "follows": "BTC"},
    },
    "issuers": {
        "circle": {"assets": ["USDC", "DAI", "FRAX"], "venues": [], "factor": 0.85},
        "tether": {"assets": ["USDT"], "venues": [], "factor": 0.95},
        "ethena": {"assets": ["USDe"], "venues": [], "factor": 0.65},
        "terra": {"assets": ["UST", "LUNA"], "venues": [], "factor": 0},
        "ftx": {"assets": ["FTT", "SRM"], "venues": ["ftx"], "factor": 0.05},
    },
    "shortfall": {"deviations": 2.326, "horizon": 86_400, "correlation": 0.5},
    "charges": {
        "short_option": 0.005,
        "linear": 0.005,
        "concentration_share": 0.1,
        "concentration_rate": 0.2,
    },
    "haircuts": {
        "deviations": 2.326,
        "horizon": 2 * 86_400,
        "floor": 0.005,
        "cap": 0.75,
        "impact": 0.1,
        "size_steps": [0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6],
        "age_grace": 60,
        "age_per_hour": 0.05,
        "spread_multiple": 1,
        "finality": {"FINAL": 0, "SAFE": 0.05, "PENDING": 1},
        "assurance": {"PROVEN": 0, "ATTESTED": 0.01, "REPORTED": 0.05},
    },
    "feeds": {
        "stale_after": 300,
        "write_off_after": 86_400,
        "bound_base": 0.02,
        "bound_per_hour": 0.1,
        "bound_cap": 1,
    },
}
