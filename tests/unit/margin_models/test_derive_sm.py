"""The profile `derive-sm` by hand: what bounds an expiry, base assets, confidence, depeg."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models import derive_sm
from node.margin.models.errors import MissingField, UnknownAsset
from node.margin.models.fixed import PICO, WAD, Money, Wad
from tests.unit.margin_models.test_dydx import only

DAY = 86_400


def file(*options: tuple[int, bool, float], confidence: float = 1, **account: object) -> dict[str, Any]:
    return {
        "market": {
            "ETH": {
                "price": 2_000, "confidence": confidence,
                "expiries": [{"seconds": 30 * DAY, "forward": 2_000, "vol": 0.6}],
            }
        },
        "parameters": {
            "assets": {
                "ETH": {
                    "perpetual_initial": 0.065, "perpetual_maintenance": 0.05, "base_initial": 0.8,
                    "base_maintenance": 0.9, "confidence_threshold": 0.55, "confidence_factor": 1,
                }
            }
        },
        "options": [
            {"asset": "ETH", "seconds": 30 * DAY, "strike": strike, "call": call, "amount": amount}
            for strike, call, amount in options
        ],
        **account,
    }  # fmt: skip


def required(content: dict[str, Any]) -> tuple[float, float]:
    initial, maintenance = only(content, "derive-sm").levels
    return initial.requirement / PICO, maintenance.requirement / PICO


def test_a_long_option_needs_nothing_and_counts_nothing() -> None:
    content = file((2_000, True, 1), cash=5)
    assert required(content) == (0, 0)
    assert only(content, "derive-sm").levels[0].equity == 5 * PICO


def test_a_call_spread_needs_no_more_than_it_can_lose() -> None:
    assert required(file((2_000, True, -1), (2_100, True, 1))) == (100, 100)
    initial, maintenance = required(file((2_000, True, -1)))
    assert initial > maintenance > 150


def test_an_unpaired_call_has_no_bound_but_a_put_its_strike() -> None:
    assert required(file((1, True, -1)))[1] == pytest.approx(1_999 + 150, rel=1e-9)
    deep = required(file((9_000, False, -1)))
    assert deep == pytest.approx((7_000 * 1.075 * 1.05, 7_000 * 1.075), rel=1e-6)
    assert required(file((100_000, False, -1))) == (100_000, 100_000)


def test_base_assets_and_perpetuals() -> None:
    content = file(collateral=[{"asset": "ETH", "amount": 2}], perpetuals=[{"asset": "ETH", "amount": -3}])
    initial, maintenance = only(content, "derive-sm").levels
    assert (initial.equity, maintenance.equity) == (3_200 * PICO, 3_600 * PICO)
    assert (initial.requirement, maintenance.requirement) == (390 * PICO, 300 * PICO)


def test_an_uncertain_price_costs_initially() -> None:
    perpetual = [{"asset": "ETH", "amount": 1}]
    sure, unsure = (required(file(confidence=each, perpetuals=perpetual)) for each in (0.55, 0.54))
    assert (unsure[0] - sure[0], unsure[1] - sure[1]) == (920, 0)


def test_a_depeg_below_the_threshold_costs() -> None:
    def depeg(stable: float) -> Money:
        return derive_sm.depeg(
            2 * WAD, Wad(1_000 * WAD), Wad(int(stable * 100) * WAD // 100), Wad(98 * WAD // 100), Wad(WAD)
        )

    assert (depeg(0.97), depeg(0.98), depeg(1.0)) == (20 * PICO, 0, 0)


def test_what_is_missing_is_named() -> None:
    content = file(perpetuals=[{"asset": "ETH", "amount": 1}])
    content["parameters"]["assets"]["ETH"].pop("base_initial")
    with pytest.raises(MissingField, match="base_initial"):
        only(content, "derive-sm")
    content["parameters"] = {}
    with pytest.raises(UnknownAsset, match="ETH"):
        only(content, "derive-sm")
