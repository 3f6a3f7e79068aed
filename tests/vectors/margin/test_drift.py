"""Drift's own tables."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest

from node.margin.models import drift
from tests.shared import shared

TABLES: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/drift_v2.json").read_text())


def cases(section: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", TABLES[section], ids=str)


def exact(case: dict[str, Any], *names: str) -> list[Fraction]:
    return [Fraction(str(case[name])) for name in names]


@cases("weights")
def test_weights(case: dict[str, Any]) -> None:
    rule = {"asset": drift.asset_weight, "liability": drift.liability_weight}[case["kind"]]
    size = case["size_tokens"] * drift.SIZE
    assert rule(case["base_weight_1e4"], size, case["imf_factor_1e6"]) == case["expected_1e4"]


@cases("deposit_scaled_weight")
def test_weight_by_deposits(case: dict[str, Any]) -> None:
    deposits = case["deposits_sol"] * case["price"]
    weight = drift.deposit_scaled_weight(case["initial_asset_weight_1e4"], deposits, case["scale_start_usd"])
    assert weight == case["expected_1e4"]


@cases("unrealized_pnl_weight")
def test_weight_of_profit(case: dict[str, Any]) -> None:
    assert drift.pnl_weight(case["base_1e4"], case["upnl_1e6"], case["imf_1e6"]) == case["expected"]


@cases("base_to_cover_shortage")
def test_base_to_cover_a_shortage(case: dict[str, Any]) -> None:
    names = ("shortage_usd", "price", "quote_price", "margin_ratio", "liq_fee", "if_fee")
    assert floor(drift.base_to_cover(*exact(case, *names)) * drift.SIZE) == case["expected_base_1e9"]


@cases("liability_transfer")
def test_liability_to_cover_a_shortage(case: dict[str, Any]) -> None:
    weight = drift.adjusted_asset_weight(*exact(case, "asset_w", "asset_mult", "liab_mult"))
    shortage, price, liability, fee = exact(case, "shortage_usd", "liab_price", "liab_w", "if_fee")
    amount = drift.liability_to_cover(shortage, price, liability, weight, fee)
    assert floor(amount * drift.SIZE) == case["expected_1e9"]


@cases("liability_implied_by_asset")
def test_liability_for_an_asset(case: dict[str, Any]) -> None:
    amount = drift.liability_for_asset(*exact(case, "asset_usd", "liab_price", "asset_mult", "liab_mult"))
    assert ceil(amount * drift.SIZE) == case["expected_1e9"]


@cases("asset_for_liability")
def test_asset_for_a_liability(case: dict[str, Any]) -> None:
    names = ("liab", "liab_price", "asset_price", "asset_mult", "liab_mult")
    assert floor(drift.asset_for_liability(*exact(case, *names)) * 10**6) == case["expected_1e6"]


@pytest.mark.parametrize("case", TABLES["if_fee"]["perp"], ids=str)
def test_fund_fee_of_a_perpetual(case: dict[str, Any]) -> None:
    ratio, fee, shortage, base, price, most = exact(
        case, "margin_ratio", "liq_fee", "shortage", "base", "price", "max_if"
    )
    assert drift.perpetual_fund_fee(ratio, fee, shortage, base * price, most) == Fraction(str(case["expected"]))


@pytest.mark.parametrize("case", TABLES["if_fee"]["spot"], ids=str)
def test_fund_fee_of_a_spot_liability(case: dict[str, Any]) -> None:
    weight = drift.adjusted_asset_weight(*exact(case, "asset_w", "asset_mult", "liab_mult"))
    liability, shortage, amount, price, most = exact(case, "liab_w", "shortage", "amount", "price", "max_if")
    fee = drift.spot_fund_fee(liability, weight, shortage, amount * price, most)
    assert floor(fee * 10**6) == case["expected_1e6"]


def test_socialised_losses() -> None:
    perp, spot = TABLES["bankruptcy"]["perp_social"], TABLES["bankruptcy"]["spot_social"]
    loss = drift.socialised_perpetual_loss(Fraction(perp["loss_usd"]), Fraction(perp["long"] - perp["short"]))
    assert loss * 1_000 == perp["expected_funding_delta"]
    delta = drift.socialised_spot_loss(Fraction(spot["loss_usd"]), Fraction(spot["deposits"]), spot["index_1e10"])
    assert delta == spot["expected_delta_1e10"]


def test_a_perpetual_margin() -> None:
    case = TABLES["perp_margin_example"]
    size = abs(case["base"])
    ratio = drift.liability_weight(case["margin_ratio_initial_1e4"], size, case["imf_1e6"])
    value = size * case["oracle"] * 10**6 // drift.SIZE
    assert value * ratio // drift.WEIGHT == case["expected_margin_requirement_1e6"]
