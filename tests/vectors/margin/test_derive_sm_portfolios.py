"""Derive's 42 named standard-margin portfolios, to the dollar. What its file lacks is the set-up of its test's code."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO
from node.margin.models.profiles import DERIVE_SM
from tests.shared import shared

CASES: dict[str, Any] = json.loads(
    shared("vectors/margin/derive-other/StandardManager__test-cases-portfolio.json").read_text()
)
DAYS = {"20230104": 3, "20230111": 10, "20230118": 17, "20230227": 57}
FORWARDS = {
    "eth": {"20230104": 2_000.91345, "20230111": 2_002.83305, "20230118": 2_004.7545, "20230227": 2_015.7696},
    "btc": {"20230104": 28_012.7883, "20230111": 28_039.66276, "20230118": 28_066.56301, "20230227": 28_220.77451},
}
PRICES = {"eth": (2_000, 2_001), "btc": (28_000, 28_020)}
"""Spot and perpetual."""
JUST_BELOW = "0.399999999999999999"
CHANGES: dict[str, dict[str, Any]] = {
    "test_USDC_depeg": {"stable": 0.1},
    "test_short_call_low_vol_conf": {"expiry": 0.1},
    "test_short_call_low_vol_and_fwd_confidence": {"expiry": JUST_BELOW},
    "test_short_call_low_spot_vol_fwd_confidence": {"expiry": 0.4, "spot": 0.2},
    "test_long_call_low_spot_vol_fwd_confidence": {"expiry": 0.4, "spot": 0.2},
    "test_short_options_two_expiries_low_conf_one_expiry": {"expiry": 0.3, "spot": 0.9},
    "test_long_eth_perp_low_perp_confidence": {"perpetual": 0.1},
    "test_base_asset_low_spot_confidence": {"spot": 0.1},
    "test_long_perp_and_USDC_depeg": {"stable": 0.1},
    "test_general_portfolio": {"stable": 0.97, "expiry": JUST_BELOW, "spot": 0.2},
}
"""Confidences of ETH's feeds (`expiry`: the least of forward and volatility of 18 January), and the coin's price."""


def seconds(date: str) -> int:
    return DAYS[date] * 86_400 + 8 * 3_600


MARKET: dict[str, Any] = {
    asset: {
        "price": spot,
        "perpetual_price": perpetual,
        "expiries": [
            {"seconds": seconds(date), "forward": forward, "vol": 0.5} for date, forward in FORWARDS[asset].items()
        ],
    }
    for asset, (spot, perpetual) in PRICES.items()
}


def market(changes: dict[str, Any]) -> dict[str, Any]:
    found = deepcopy(MARKET)
    found["eth"]["confidence"] = changes.get("spot", 1)
    found["eth"]["perpetual_confidence"] = changes.get("perpetual", 1)
    for row in found["eth"]["expiries"]:
        if row["seconds"] == seconds("20230118"):
            row["confidence"] = changes.get("expiry", 1)
            row["forward"] = 2_004.75 if "expiry" in changes else row["forward"]
    return found


def parameters(changes: dict[str, Any]) -> dict[str, Any]:
    rules = {
        "perpetual_initial": 0.065, "perpetual_maintenance": 0.05, "base_initial": 0.8, "base_maintenance": 0.8,
        "confidence_threshold": 0.4, "confidence_factor": 0.4,
    }  # fmt: skip
    depeg = {"stable_price": changes.get("stable", 1), "threshold": 0.98, "factor": 1.2}
    return {"assets": {"eth": rules, "btc": rules}, "depeg": depeg}


def account(case: dict[str, Any]) -> dict[str, Any]:
    return {
        "cash": case["cash"] / 1e8,
        "collateral": [{"asset": each["underlying"], "amount": each["amount"] / 1e8} for each in case["bases"]],
        "perpetuals": [
            {"asset": each["underlying"], "amount": each["amount"] / 1e8, "entry_price": each["entryPrice"] / 1e8}
            for each in case["perps"]
        ],
        "options": [
            {
                "asset": each["underlying"],
                "seconds": seconds(each["expiry"]),
                "strike": each["strike"],
                "call": each["type"] == "call",
                "amount": each["amount"] / 1e8,
            }
            for each in case["options"]
        ],
    }


@pytest.mark.parametrize("name", CASES)
def test_portfolios(name: str) -> None:
    case, changes = CASES[name], CHANGES.get(name, {})
    outcome = DERIVE_SM.evaluate(account(case), name, Fields(market(changes), ""), Fields(parameters(changes), ""))
    expected = case.get("result") or case["results"]
    initial, maintenance = outcome.levels
    assert (int(initial.excess / PICO), int(maintenance.excess / PICO)) == (expected["im"], expected["mm"])


def test_every_change_is_of_a_case() -> None:
    assert len(CASES) == 42
    assert set(CHANGES) < set(CASES)
