"""A valid file for every profile: two accounts that hold what the model knows, of which one does without ETH."""

from __future__ import annotations

from typing import Any

from tests.unit.margin_models.test_derive_pm2 import collateral, feed, option, vector

DAY = 86_400
SECONDS = 30 * DAY
SURFACE = {
    "strikes": [1_500, 2_000, 2_500],
    "rows": [
        {"seconds": SECONDS, "forward": 2_010, "vols": [0.8, 0.7, 0.75]},
        {"seconds": 90 * DAY, "forward": 2_030, "vols": [0.75, 0.7, 0.72]},
    ],
}
SVI = [0.04, 0.1, -0.1, 0, 0.1, 2_010, 0.0822]
MARKET: dict[str, Any] = {
    "ETH": {
        "price": 2_000, "stable_price": 1_990, "twap": 1_995, "confidence": 0.98, "open_interest": 5e6, "decimals": 9,
        "deposits": 5_000, "borrows": 3_000, "perpetual_price": 2_001, "perpetual_confidence": 0.97, "surface": SURFACE,
        "borrow_index": 1.1, "index_age": 3_600,
        "borrow_curve": {"least": 0.01, "slope": 0.1, "optimal": 0.8, "steep": 2},
        "expiries": [
            {"seconds": SECONDS, "forward": 2_010, "rate": 0.05, "vol": 0.7, "confidence": 0.9},
            {"seconds": 60 * DAY, "forward": 2_020},
            {"seconds": 40 * DAY, "forward": 2_010, "svi": SVI},
        ],
    },
    "WSTETH": {"price": 2_300, "redemption": {"asset": "ETH", "rate": 1.17}},
    "BTC": {"price": 50_000, "expiries": [{"seconds": SECONDS, "forward": 50_100, "vol": 0.5}]},
    "USDC": {"price": 1},
}  # fmt: skip
RICH: dict[str, list[dict[str, Any]]] = {
    "collateral": [
        {"asset": "ETH", "amount": 3}, {"asset": "WSTETH", "amount": "2.5"}, {"asset": "USDC", "amount": 900},
    ],
    "debts": [{"asset": "ETH", "amount": 0.5, "index": 1.05}, {"asset": "WSTETH", "amount": 0.1}],
    "perpetuals": [
        {"asset": "ETH", "amount": -1, "entry_price": 2_100, "funding": -3}, {"asset": "BTC", "amount": 0.1},
    ],
    "futures": [{"asset": "ETH", "seconds": SECONDS, "amount": 2, "entry_price": 2_050}],
    "options": [
        {"asset": "ETH", "seconds": SECONDS, "strike": 2_200, "call": True, "amount": -3},
        {"asset": "ETH", "seconds": 60 * DAY, "strike": 1_800, "call": False, "amount": 1},
        {"asset": "ETH", "seconds": 40 * DAY, "strike": 2_000, "call": True, "amount": 1},
    ],
}  # fmt: skip
PLAIN: dict[str, list[dict[str, Any]]] = {
    "collateral": [{"asset": "USDC", "amount": 5_000}],
    "debts": [{"asset": "BTC", "amount": 0.01}],
    "perpetuals": [{"asset": "BTC", "amount": 0.2, "entry_price": 49_000}],
    "futures": [{"asset": "BTC", "seconds": SECONDS, "amount": -0.1}],
    "options": [{"asset": "BTC", "seconds": SECONDS, "strike": 52_000, "call": True, "amount": -0.1}],
}
NAMES = ("ETH", "WSTETH", "BTC", "USDC")


def every(rules: dict[str, Any]) -> dict[str, Any]:
    return {name: dict(rules) for name in NAMES}


def file(sections: str, parameters: dict[str, Any]) -> dict[str, Any]:
    accounts = [
        {"account": name, "category": "", "cash": 500, **{section: held[section] for section in sections.split()}}
        for name, held in (("alice", RICH), ("bob", PLAIN))
    ]
    return {"market": MARKET, "parameters": parameters, "accounts": accounts}


ALL = "collateral debts perpetuals futures options"
LENDING = {
    "assets": every({"borrow": 0.7, "liquidation": 0.8, "category": "like"}),
    "categories": {"like": {"borrow": 0.9, "liquidation": 0.93}},
}
TIER = {
    "initial": 0.05, "maintenance_fraction": 0.6, "open_interest_lower": 1e6, "open_interest_upper": 1e7,
}  # fmt: skip
SPOT = {
    "asset_initial": 0.8, "asset_maintenance": 0.9, "liability_initial": 1.2, "liability_maintenance": 1.1,
    "imf": 0.001, "scale_start": 1e6,
}  # fmt: skip
PERP = {
    "initial": 0.1, "maintenance": 0.05, "pnl_initial": 0.8, "pnl_maintenance": 1, "imf": 0.001, "pnl_imf": 0.001,
}  # fmt: skip
TOKEN = {
    "initial_asset": 0.8, "initial_liability": 1.2, "maintenance_asset": 0.9, "maintenance_liability": 1.1,
    "initial_overall": 0.9, "maintenance_overall": 1, "deposit_scale_start": 1e6, "borrow_scale_start": 1e6,
}  # fmt: skip
SM = {
    "perpetual_initial": 0.065, "perpetual_maintenance": 0.05, "base_initial": 0.8, "base_maintenance": 0.8,
    "confidence_threshold": 0.99, "confidence_factor": 0.4,
}  # fmt: skip
SNX_MARKET = {
    "skew_scale": 1_000, "initial_fraction": 2, "least_initial": 0.01, "maintenance_scalar": 0.5, "reward": 0.01,
    "least_margin": 20,
}  # fmt: skip
SNX_COLLATERAL = {"skew_scale": 10_000, "scalar": 0.5, "lower": 0.02, "upper": 0.2}
RANGES = {
    "price_range": 0.1, "vol_range": 0.05, "extreme_multiple": 3, "extreme_cover": 0.3, "short_option_minimum": 5,
    "intra_spread": 2,
}  # fmt: skip
SPREAD = {"first": "ETH", "second": "BTC", "first_ratio": 25, "second_ratio": 1, "rate": 0.5}
GRID = {
    "scenarios": [[0.1, 0.3, 1], [-0.1, -0.2, 1], [0.5, 0.3, 0.3]], "short_power": 0.3, "long_power": 0.13,
    "least_vol_up": 0.5, "net_delta_floor": 0.02, "hedged_delta_floor": 0.01, "option_contingency": 0.01,
    "future_contingency": 0.006, "maintenance": 0.8,
}  # fmt: skip

WAD = 10**18
PM1 = {
    "Scenario": {
        "OptionExpiries": [SECONDS, SECONDS], "OptionStrikes": [2_000 * WAD, 1_800 * WAD], "OptionIsCall": [1, 0],
        "OptionAmounts": [-WAD, 2 * WAD], "OptionVols": [7 * WAD // 10, 8 * WAD // 10],
        "OptionVolConfidences": [WAD, WAD // 2], "ForwardsFixed": [0, 0], "ForwardsVariable": [2_010 * WAD] * 2,
        "ForwardConfidences": [WAD, WAD], "Rates": [WAD // 20] * 2, "RateConfidences": [WAD, WAD],
        "Cash": 100 * WAD, "Perps": -WAD, "PerpPrice": 2_001 * WAD, "PerpConfidence": WAD, "Base": 3 * WAD,
        "SpotPrice": 2_000 * WAD, "SpotConfidence": WAD, "StablePrice": WAD, "UnrealisedPerpPNL": WAD,
        "UnrealisedFunding": -WAD,
    }
}  # fmt: skip

FILES: dict[str, dict[str, Any]] = {
    "ltv": file("collateral debts", LENDING),
    "compound": file("collateral debts", LENDING),
    "cross": file(
        "collateral debts perpetuals futures",
        {
            "assets": every({"initial": 0.7, "maintenance": 0.8}),
            "perpetuals": every({"initial": 0.1, "maintenance": 0.05}),
        },
    ),
    "dydx": file("perpetuals", {"tiers": every(TIER)}),
    "drift": file("collateral debts perpetuals", {"spots": every(SPOT), "perpetuals": every(PERP)}),
    "mango": file("collateral debts perpetuals", {"tokens": every(TOKEN), "perpetuals": every(TOKEN)}),
    "synthetix": file(
        "collateral debts perpetuals", {"markets": every(SNX_MARKET), "collaterals": every(SNX_COLLATERAL)}
    ),
    "derive-sm": file(
        "collateral debts perpetuals options",
        {"assets": every(SM), "depeg": {"stable_price": 0.97, "threshold": 0.98, "factor": 1.2}},
    ),
    "span": file("perpetuals futures options", {"assets": every(RANGES), "spreads": [SPREAD], "initial_multiple": 1.1}),
    "deribit-like": file(ALL, GRID),
    "paradex-like": file(ALL, {}),
    "hypothec": file(ALL, {}),
    "derive-pm1": PM1,
    "derive-pm2": vector(
        Options=[option(), option(strike=1_800, call=0)], OptionFeeds=[feed()], Collaterals=[collateral()]
    ),
}
