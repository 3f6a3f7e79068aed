"""Compound's storefront and liquidations, and Synthetix's margins."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from node.margin.models import synthetix
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD, Money, Wad, value
from node.margin.models.lending import storefront_collateral
from node.margin.models.profiles import COMPOUND, SYNTHETIX
from tests.shared import shared

FILE: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/lending_and_synthetix.json").read_text())
COMET, SNX = FILE["comet"], FILE["synthetix_v3"]


def wad(number: float) -> Wad:
    return Wad(int(Fraction(str(number)) * WAD))


@pytest.mark.parametrize("case", COMET["quote_collateral"], ids=str)
def test_comet_storefront(case: dict[str, Any]) -> None:
    bought = storefront_collateral(
        Money(case["base_usdc"] * PICO), wad(case["price"]), wad(case["liq_factor"]), wad(case["store_front"])
    )
    assert bought == wad(case["expected"])


@pytest.mark.parametrize("case", COMET["is_liquidatable"], ids=str)
def test_comet_liquidatable(case: dict[str, Any]) -> None:
    market = Fields({"COLL": {"price": case["price"]}, "BASE": {"price": 1}}, "")
    parameters = Fields({"assets": {"COLL": {"borrow": case["lcf"], "liquidation": case["lcf"]}}}, "")
    account = {
        "collateral": [{"asset": "COLL", "amount": case["collateral"]}],
        "debts": [{"asset": "BASE", "amount": case["debt"]}],
    }
    assert (COMPOUND.evaluate(account, "", market, parameters).status == "liquidatable") is case["expected"]


def test_synthetix_margins() -> None:
    """An account that has just been filled, from no skew."""
    expected = SNX["expected"]
    parameters = {
        "markets": {
            each["m"]: {
                "skew_scale": each["skewScale"],
                "initial_fraction": each["imFraction"],
                "least_initial": each["minIM"],
                "maintenance_scalar": each["mmScalar"],
                "reward": each["liqReward"],
                "least_margin": each["minPosMargin"],
            }
            for each in SNX["positions"]
        },
        "collaterals": {"snxUSD": {}},
    }
    entries = {
        each["m"]: synthetix.fill_price(wad(each["price"]), wad(each["size"]), 0, wad(each["skewScale"]))
        for each in SNX["positions"]
    }
    account = {
        "collateral": [{"asset": "snxUSD", "amount": SNX["collateral_snxusd"]}],
        "perpetuals": [
            {"asset": each["m"], "amount": each["size"], "entry_price": entries[each["m"]] / WAD}
            for each in SNX["positions"]
        ],
    }
    market = {each["m"]: {"price": each["price"]} for each in SNX["positions"]} | {"snxUSD": {"price": 1}}
    initial, maintenance = SYNTHETIX.evaluate(account, "", Fields(market, ""), Fields(parameters, "")).levels
    reward = int(expected["liq_reward"]) * PICO
    assert initial.requirement == int(expected["imr_ex_reward"]) * PICO + reward
    assert maintenance.requirement == int(expected["mmr_ex_reward"]) * PICO + reward
    gained = SNX["collateral_snxusd"] + int(expected["initial_fill_pnl"])
    assert initial.equity == maintenance.equity == gained * PICO
    assert sum(line.amount for line in initial.lines if line.component == "liquidation reward") == reward


def test_synthetix_fills_from_no_skew() -> None:
    pnl = sum(
        value(
            wad(each["size"]),
            wad(each["price"]) - synthetix.fill_price(wad(each["price"]), wad(each["size"]), 0, wad(each["skewScale"])),
        )
        for each in SNX["positions"]
    )
    assert pnl == int(SNX["expected"]["initial_fill_pnl"]) * PICO
