"""dYdX's own tables, exact."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from node.margin.models import dydx
from node.margin.models.dydx import Risk, Tier
from tests.shared import shared

MARGIN: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/dydx_v4_margin.json").read_text())["sections"]
LIQUIDATION: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/dydx_v4_liquidation.json").read_text())


def cases(section: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", MARGIN[section]["cases"], ids=lambda case: case["name"])


def tier(case: dict[str, Any]) -> Tier:
    return Tier(
        case["initialMarginPpm"],
        case.get("maintenanceFractionPpm", 0),
        case.get("openInterestLowerCap", 0),
        case.get("openInterestUpperCap", 0),
    )


def truth(text: str) -> bool:
    return {"true": True, "false": False}[text]


@cases("maintenance_margin_ppm")
def test_maintenance_ratio(case: dict[str, Any]) -> None:
    assert dydx.maintenance_ppm(tier(case)) == case["expectedMaintenanceMarginPpm"]


@cases("funding_clamp_ppm")
def test_funding_clamp(case: dict[str, Any]) -> None:
    assert dydx.funding_clamp_ppm(case["clampFactorPpm"], tier(case)) == case["expectedUpperBoundPpm"]


@cases("initial_margin_quote_quantums")
def test_initial_margin(case: dict[str, Any]) -> None:
    margin = dydx.initial_margin(Fraction(case["bigQuoteQuantums"]), tier(case), case.get("openInterestNotional", 0))
    assert margin == case["expectedInitialMarginQuoteQuantums"]


@cases("adjusted_imf_ppm")
def test_initial_ratio_by_open_interest(case: dict[str, Any]) -> None:
    assert dydx.scaled_initial_ppm(tier(case), case["openInterestNotional"]) == case["expectedPpm"]


@cases("margin_requirements")
def test_margin_requirements(case: dict[str, Any]) -> None:
    market = case["price"], case["exponent"], case["baseCurrencyAtomicResolution"]
    notional = abs(dydx.quote_quantums(case["bigBaseQuantums"], *market))
    open_interest = int(dydx.quote_quantums(case.get("openInterest", 0), *market))
    initial = dydx.initial_margin(notional, tier(case), open_interest, case.get("customImfPpm", 0))
    assert initial == case["bigExpectedInitialMargin"]
    assert dydx.maintenance_margin(notional, tier(case)) == case["bigExpectedMaintenanceMargin"]


@cases("TestRisk_IsInitialCollateralized")
def test_initial_collateralised(case: dict[str, Any]) -> None:
    assert Risk(case["NC"], case["IMR"], 0).meets_initial is truth(case["expected"])


@cases("TestRisk_IsMaintenanceCollateralized")
def test_maintenance_collateralised(case: dict[str, Any]) -> None:
    assert Risk(case["NC"], 0, case["MMR"]).meets_maintenance is truth(case["expected"])


@cases("TestRisk_IsLiquidatable")
def test_liquidatable(case: dict[str, Any]) -> None:
    assert Risk(case["NC"], 0, case["MMR"]).is_liquidatable is truth(case["expected"])


@cases("TestRisk_Cmp")
def test_order_of_risk(case: dict[str, Any]) -> None:
    first = Risk(case["firstNC"], 0, case["firstMMR"])
    second = Risk(case["secondNC"], 0, case["secondMMR"])
    assert dydx.riskier(first, second) == case["expected"]


def literal(text: str) -> Risk:
    """`margin.Risk{MMR: 1, IMR: 2, NC: 3}` as it stands in the Go table; anything without figures is zero."""
    figures = {"NC": 0, "IMR": 0, "MMR": 0}
    for part in text.partition("{")[2].rstrip("}").split(","):
        name, colon, number = part.partition(":")
        if colon:
            figures[name.strip()] = int(number)
    return Risk(figures["NC"], figures["IMR"], figures["MMR"])


@cases("TestRisk_AddInPlace")
def test_risks_add_up(case: dict[str, Any]) -> None:
    assert literal(case["a"]) + literal(case["b"]) == literal(case["expected"])


# === Liquidation ===

QUOTE = 10**6


def position(asset: str, size: Fraction) -> Risk:
    """The risk of a position of the file's markets, in quote quantums."""
    market = LIQUIDATION["market"][asset]
    notional = size * market["price_usd"] * QUOTE
    initial = int(abs(notional) * Fraction(str(market["imf"])))
    maintenance = int(abs(notional) * Fraction(str(market["mmf"])))
    return Risk(int(notional), initial, maintenance)


def account(case: dict[str, Any]) -> tuple[Risk, dict[str, Fraction]]:
    sizes = {asset: Fraction(str(size)) for asset, size in case["positions"].items()}
    total = Risk(int(case["usdc"] * QUOTE), 0, 0)
    for asset, size in sizes.items():
        total += position(asset, size)
    return total, sizes


@pytest.mark.parametrize("case", LIQUIDATION["bankruptcy_price"], ids=lambda case: case["name"])
def test_bankruptcy_price(case: dict[str, Any]) -> None:
    total, sizes = account(case)
    asset = case["close"]
    unit = Fraction(10) ** LIQUIDATION["market"][asset]["base_res"]
    before = position(asset, sizes[asset])
    after = position(asset, sizes[asset] + case["delta_base_quantums"] * unit)
    delta = after.collateral - before.collateral, after.maintenance - before.maintenance
    assert dydx.bankruptcy_price(*delta, total) == case["expected_bankruptcy_quote_quantums"]


@pytest.mark.parametrize("case", LIQUIDATION["fillable_price"], ids=str)
def test_fillable_price(case: dict[str, Any]) -> None:
    total, sizes = account(case)
    asset = case["close"]
    held = position(asset, sizes[asset])
    quantums = int(sizes[asset] / Fraction(10) ** LIQUIDATION["market"][asset]["base_res"])
    price = dydx.fillable_price(
        Fraction(held.collateral),
        Fraction(held.maintenance),
        quantums,
        total,
        case["bankruptcyAdjustmentPpm"],
        case["spreadToMaintenanceMarginRatioPpm"],
    )
    assert price == Fraction(case["expected_quote_quantums_per_base_quantum"])
