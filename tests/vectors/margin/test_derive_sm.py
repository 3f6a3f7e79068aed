"""Derive's standard-margin test cases: 28 portfolios in two markets, component by component and as whole accounts."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from node.margin.models import derive_sm
from node.margin.models.book import Book, Option, read_book
from node.margin.models.derive_sm import OPTION_RULES, OptionRules
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD, Wad
from node.margin.models.profile import Level
from node.margin.models.profiles import DERIVE_SM
from tests.shared import shared

CASES: dict[str, Any] = json.loads(shared("vectors/margin/derive-other/StandardManager__test-cases.json").read_text())
RULES = OptionRules(**{name: Wad(int(float(number) * 10**4) * WAD // 10**4) for name, number in OPTION_RULES.items()})
MARKETS = ("ETH", "BTC")
SETTLING = 1_800
"""Within half an hour of its expiry an option is priced at an average that is partly fixed."""
PARAMETERS = {
    "assets": {
        market: {
            "perpetual_initial": "0.065", "perpetual_maintenance": "0.05", "base_initial": "0.1",
            "base_maintenance": "0.1", "confidence_threshold": "0.4", "confidence_factor": "0.4",
        }
        for market in MARKETS
    }
}  # fmt: skip
"""The test's set-up, as its code has it."""

by_name = pytest.mark.parametrize("name", sorted(CASES, key=str))


def number(wad: float) -> str:
    return str(Decimal(int(wad)).scaleb(-18))


def signed(wad: float | None) -> str:
    return number(wad or 0)


def expiries(scenario: dict[str, Any], market: str) -> list[dict[str, Any]]:
    rows = {}
    fixed = scenario.get(f"PercentFixed{market}")
    for place, seconds in enumerate(scenario["OptionExpiries"]):
        if scenario["OptionUnderlying"][place] == market:
            feed = scenario["Forwards"][place]
            settling = fixed and seconds < SETTLING
            rows[seconds] = {
                "seconds": seconds,
                "forward": number(scenario[f"SettlementPrice{market}"] if settling else feed),
                "svi": [*scenario["SVIParams"], number(feed), 1],
                "confidence": number(min(scenario[f"{kind}Confidences"][place] for kind in ("Forward", "OptionVol"))),
            }
    return list(rows.values())


def account(scenario: dict[str, Any]) -> dict[str, Any]:
    columns = ("Underlying", "Expiries", "Strikes", "IsCall", "Amounts")
    return {
        "cash": number(scenario["Cash"]),
        "collateral": [{"asset": market, "amount": number(scenario[f"w{market}"])} for market in MARKETS],
        "perpetuals": [
            {
                "asset": market,
                "amount": number(scenario[f"Perps_{market}"]),
                "entry_price": signed(scenario[f"LastEntry{market}"]),
                "funding": signed(funding(scenario, market)),
            }
            for market in MARKETS
        ],
        "options": [
            {"asset": asset, "seconds": seconds, "strike": number(strike), "call": call, "amount": number(amount)}
            for asset, seconds, strike, call, amount in zip(
                *(scenario[f"Option{name}"] for name in columns), strict=True
            )
        ],
    }


def funding(scenario: dict[str, Any], market: str) -> int:
    """What the position still receives: by how much the index has moved against the other side."""
    index = scenario[f"Account{market}FundingIndex"]
    return (
        0 if index is None else (index - scenario[f"{market}GlobalFundingIndex"]) * scenario[f"Perps_{market}"] // WAD
    )


def market(scenario: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "price": number(scenario[f"{name}SpotPrice"]),
            "perpetual_price": number(scenario["PerpPrice"][place]),
            "confidence": number(scenario["SpotPerpConfidences"][place][0]),
            "perpetual_confidence": number(scenario["SpotPerpConfidences"][place][1]),
            "expiries": expiries(scenario, name),
        }
        for place, name in enumerate(MARKETS)
    }


def parameters(scenario: dict[str, Any]) -> dict[str, Any]:
    stable = {"stable_price": number(scenario["USDCValue"]), "threshold": "0.98", "factor": "1.2"}
    return {**PARAMETERS, "depeg": stable}


def close(got: int, expected: float) -> bool:
    wanted = expected / 1e18
    return abs(got / PICO - wanted) <= 1e-8 * max(abs(wanted), 1.0)


def book(name: str) -> Book:
    scenario = CASES[name]["Scenario"]
    return read_book(account(scenario), name, Fields(market(scenario), name))


def total(level: Level, component: str, asset: str = "") -> int:
    return sum(line.amount for line in level.lines if line.component == component and line.instrument.startswith(asset))


@by_name
def test_accounts(name: str) -> None:
    """What the file has by hand and by code, and each of its components."""
    scenario, expected = CASES[name]["Scenario"], CASES[name]["Result"]
    outcome = DERIVE_SM.evaluate(
        account(scenario), name, Fields(market(scenario), ""), Fields(parameters(scenario), "")
    )
    initial, maintenance = outcome.levels
    for level, suffix in ((initial, "IM"), (maintenance, "MM")):
        assert close(level.excess, expected[f"Hand{suffix}"])
        assert close(level.excess, expected[f"real{suffix}"])
        assert close(total(level, "base"), expected["BaseMargin"])
        assert close(total(level, "perpetual pnl"), expected["UnrealizedPNL"] + expected["UnsettledFunding"])
        assert close(total(level, "cash"), expected["Cash"])
        for asset in MARKETS:
            assert close(-total(level, "options", asset), expected[f"{asset}Option{suffix}"])
    assert close(-total(maintenance, "perpetual"), expected["PerpMargin"])
    assert close(-total(initial, "confidence"), expected["OracleConts"])
    assert close(-total(initial, "depeg"), expected["DepegIMs"])
    assert total(maintenance, "confidence") == total(maintenance, "depeg") == 0


@by_name
def test_marks(name: str) -> None:
    stable = Wad(CASES[name]["Scenario"]["USDCValue"])
    assert close(derive_sm.mark_to_market(book(name), stable), CASES[name]["Result"]["PortfolioMtM"])


@pytest.mark.parametrize("asset", MARKETS)
@by_name
def test_option_margins(name: str, asset: str) -> None:
    """Alone; and at most, whose column is at the feed's forward and of one expiry only."""
    scenario, expected = CASES[name]["Scenario"], CASES[name]["Result"]
    held: dict[int, list[Option]] = {}
    for each in book(name).options:
        if each.quote.asset == asset:
            held.setdefault(each.expiry.seconds, []).append(each)
    for level, initial in (("IM", True), ("MM", False)):
        alone = sum(
            derive_sm.isolated(each, derive_sm.undiscounted_mark(each), RULES, initial=initial)
            for options in held.values()
            for each in options
        )
        assert close(-alone, expected[f"{asset}OptionIsolated{level}"])
        if len(held) == 1:
            (options,) = held.values()
            unpaired = RULES.unpaired_initial if initial else RULES.unpaired_maintenance
            forward = next(
                Wad(price)
                for price, underlying in zip(scenario["Forwards"], scenario["OptionUnderlying"], strict=False)
                if underlying == asset
            )
            bounded = derive_sm.largest_loss(options, forward, unpaired)
            assert close(-bounded, min(0, expected[f"{asset}OptionBounded{level}"]))
