"""The profiles `drift` and `mango` by hand: which price, which weight, which side."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.errors import OutOfRange, UnknownAsset
from node.margin.models.fixed import PICO
from tests.unit.margin_models.test_dydx import only

SPOT = {
    "asset_initial": 0.8, "asset_maintenance": 0.9, "liability_initial": 1.2, "liability_maintenance": 1.1,
}  # fmt: skip
PERP = {"initial": 0.1, "maintenance": 0.05, "pnl_initial": 0.8, "pnl_maintenance": 1}
TOKEN = {
    "initial_asset": 0.8, "initial_liability": 1.2, "maintenance_asset": 0.9, "maintenance_liability": 1.1,
    "initial_overall": 0.5, "maintenance_overall": 1,
}  # fmt: skip


def drift(**account: object) -> dict[str, Any]:
    return {
        "market": {"SOL": {"price": 100, "twap": 90, "deposits": 1_000}, "USDC": {"price": 1, "twap": 1.1}},
        "parameters": {"spots": {"SOL": dict(SPOT), "USDC": dict(SPOT)}, "perpetuals": {"SOL": dict(PERP)}},
        **account,
    }


def mango(**account: object) -> dict[str, Any]:
    return {
        "market": {"SOL": {"price": 100, "stable_price": 90}, "USDC": {"price": 1, "stable_price": 1.1}},
        "parameters": {"tokens": {"SOL": dict(TOKEN), "USDC": dict(TOKEN)}, "perpetuals": {"SOL": dict(TOKEN)}},
        **account,
    }


def dollars(content: object, profile: str) -> list[tuple[float, float]]:
    return [(level.equity / PICO, level.requirement / PICO) for level in only(content, profile).levels]


def test_drift_takes_the_worse_price_initially_and_weighs_by_level() -> None:
    content = drift(collateral=[{"asset": "SOL", "amount": 10}], debts=[{"asset": "USDC", "amount": 100}])
    assert dollars(content, "drift") == [(720, 132), (850, 115), (900, 110)]


def test_drift_profits_count_less_and_losses_in_full() -> None:
    position = {"asset": "SOL", "amount": 10, "entry_price": 90}
    assert dollars(drift(perpetuals=[position]), "drift") == [(80, 100), (80, 75), (100, 50)]
    position["entry_price"] = 110
    assert dollars(drift(perpetuals=[position]), "drift") == [(-100, 100), (-100, 75), (-100, 50)]


def test_drift_scales_by_deposits_and_size() -> None:
    content = drift(collateral=[{"asset": "SOL", "amount": 10}])
    content["parameters"]["spots"]["SOL"] = {**SPOT, "scale_start": 50_000}
    assert [equity for equity, _ in dollars(content, "drift")] == [360, 650, 900]
    content["parameters"]["spots"]["SOL"] = {**SPOT, "imf": 0.01}
    content["collateral"][0]["amount"] = 1_000
    assert dollars(content, "drift")[0][0] == 90_000 * 0.8
    content["collateral"][0]["amount"] = 100_000
    # ⌊1.1/(1 + √1e5·0.01)⌋, in 1e-4, at every level
    assert [equity for equity, _ in dollars(content, "drift")] == [9_000_000 * 0.2642, *[10_000_000 * 0.2642] * 2]


def test_a_large_profit_counts_less_until_it_is_maintenance() -> None:
    content = drift(perpetuals=[{"asset": "SOL", "amount": 10_000, "entry_price": 90}])
    content["parameters"]["perpetuals"]["SOL"] = {**PERP, "pnl_imf": 0.01}
    # ⌊1.1/(1 + √1e5·0.01)⌋ of 100,000 USD
    assert [equity for equity, _ in dollars(content, "drift")] == [26_420, 26_420, 100_000]


def test_mango_takes_the_worse_of_oracle_and_stable_initially() -> None:
    content = mango(collateral=[{"asset": "SOL", "amount": 10}], debts=[{"asset": "USDC", "amount": 100}])
    assert dollars(content, "mango") == [(720, 132), (800, 120), (900, 110)]


def test_mango_scales_initial_weights_alone_by_sums_at_the_liability_price() -> None:
    content = mango(collateral=[{"asset": "SOL", "amount": 10}], debts=[{"asset": "USDC", "amount": 100}])
    content["market"]["SOL"] |= {"deposits": 1_000}
    content["market"]["USDC"] |= {"borrows": 1_000}
    content["parameters"]["tokens"] = {
        "SOL": TOKEN | {"deposit_scale_start": 50_000}, "USDC": TOKEN | {"borrow_scale_start": 1_050},
    }  # fmt: skip
    initial, *others = dollars(content, "mango")
    # 90·10·0.8·50,000/100,000 at the oracle's 100; 100·1.1·1.2·1,100/1,050 at the stable price
    assert initial[0] == 360
    assert abs(initial[1] - 138.285714286) < 1e-8
    assert others == [(800, 120), (900, 110)]


def test_mango_profits_at_the_overall_weight() -> None:
    position = {"asset": "SOL", "amount": 10, "entry_price": 60}
    assert dollars(mango(perpetuals=[position]), "mango") == [(60, 0), (100, 0), (300, 0)]
    short = {"asset": "SOL", "amount": -10, "entry_price": 100}
    assert dollars(mango(perpetuals=[short]), "mango") == [(-200, 0), (-200, 0), (-100, 0)]


@pytest.mark.parametrize("profile", ["drift", "mango"])
def test_the_gravest_unmet_level_is_the_status(profile: str) -> None:
    content = {"drift": drift, "mango": mango}[profile]
    held = [{"asset": "SOL", "amount": 10}]
    for debt, status in ((700, "healthy"), (750, "margin_call"), (870, "reduce_only"), (901, "liquidatable")):
        assert only(content(collateral=held, cash=-debt), profile).status == status


@pytest.mark.parametrize("name", ["deposit_scale_start", "borrow_scale_start"])
def test_mango_scales_from_something(name: str) -> None:
    content = mango(debts=[{"asset": "USDC", "amount": 1}])
    content["parameters"]["tokens"]["USDC"] = {**TOKEN, name: 0}
    with pytest.raises(OutOfRange, match=name):
        only(content, "mango")


@pytest.mark.parametrize("profile", ["drift", "mango"])
def test_a_market_that_the_parameters_lack_is_refused(profile: str) -> None:
    content = {"drift": drift, "mango": mango}[profile](perpetuals=[{"asset": "USDC", "amount": 1}])
    with pytest.raises(UnknownAsset, match="perpetuals"):
        only(content, profile)
