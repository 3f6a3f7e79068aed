"""Accounts sized at initial margin in the stress events of public data, and what the profile makes of the failures.

What ought to be is in the reference's table of events: who survives, and which inputs must not count.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, Wad
from node.margin.models.hypothec.margin import Result
from node.margin.models.hypothec.moved import moved
from node.margin.models.hypothec.profile import result_of
from node.margin.models.hypothec.replays import EVENTS
from node.margin.models.hypothec.scenarios import read_row
from node.model.health import HealthStatus
from tests.shared import shared
from tests.unit.margin_models.hypothec.accounts import collateral, parameters, perpetual, portfolio, result, usd

FILE = "vectors/margin/transcribed/stress_scenarios.json"
OF_EVENT = {
    "2020-03-12_black_thursday": "2020-03-12 black thursday",
    "2021-05-19_leverage_flush": "2021-05-19 leverage flush",
    "2022-05_terra_luna": "2022-05 terra",
    "2022-06_steth_celsius_3ac": "2022-06 steth",
    "2022-11_ftx": "2022-11 ftx",
    "2023-03_usdc_svb": "2023-03 usdc",
    "2024-08-05_yen_carry": "2024-08-05 yen carry",
}


@cache
def events() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shared(FILE).read_text())
    return found


def lows(event: str) -> dict[str, float]:
    return {name: each["to_low"] for name, each in events()["daily_ohlc"][event]["assets"].items()}


def before(event: str) -> dict[str, dict[str, float]]:
    assets = events()["daily_ohlc"][event]["assets"]
    return {name: {"price": each["prev_close"]} for name, each in assets.items()}


def at_initial_margin(account: dict[str, Any], of: dict[str, Any]) -> dict[str, Any]:
    """With just so much cash that initial margin is met."""
    lacking = -result(account, of).initial_excess.low
    return {**account, "cash": account.get("cash", 0) + -(-lacking // PICO)}


def after(account: dict[str, Any], of: dict[str, Any], moves: dict[str, float]) -> Result:
    rules = parameters()
    row = read_row(Fields({"assets": moves}, "alice"), 0)
    return result_of(moved(portfolio(account, of, rules), row, rules), rules)


@pytest.mark.parametrize(("event", "name"), OF_EVENT.items())
def test_what_is_shipped_is_what_happened(event: str, name: str) -> None:
    shipped = next(each for each in EVENTS if each["name"] == name)["assets"]
    real = lows(event)
    for asset, move in shipped.items():
        if asset in real:
            assert move == pytest.approx(real[asset], abs=5e-5), asset
    assert len(shipped.keys() & real.keys()) >= 3


@pytest.mark.parametrize(
    ("event", "asset", "is_solvent"),
    [
        ("2020-03-12_black_thursday", "BTC", False),
        ("2020-03-12_black_thursday", "ETH", False),
        ("2021-05-19_leverage_flush", "ETH", False),
        ("2022-05_terra_luna", "SOL", False),
        ("2022-11_ftx", "SOL", False),
        ("2022-11_ftx", "BNB", True),
        ("2023-03_usdc_svb", "BTC", True),
        ("2023-03_usdc_svb", "SOL", True),
        ("2024-08-05_yen_carry", "BTC", True),
        ("2024-08-05_yen_carry", "SOL", True),
        ("2024-08-05_yen_carry", "BNB", True),
    ],
)
def test_a_long_at_initial_margin_survives_routine_days_unliquidated_to_the_low_or_not(
    event: str, asset: str, *, is_solvent: bool
) -> None:
    """From close to low without a liquidation in between: days beyond the rows take it, others leave equity."""
    of = before(event)
    account = at_initial_margin({"perpetuals": [perpetual(asset, 100 / of[asset]["price"])]}, of)
    found = after(account, of, lows(event))
    worth = sum(part.market.high for part in found.parts)
    assert (worth >= 0) is is_solvent


@pytest.mark.parametrize("event", OF_EVENT)
def test_each_day_liquidates_the_long_or_leaves_it_solvent(event: str) -> None:
    """What is insolvent at the low has been liquidatable while it still had equity: at no point of a fall is it not."""
    of, moves = before(event), lows(event)
    account = at_initial_margin({"perpetuals": [perpetual("BTC", 1 / of["BTC"]["price"] * 1_000)]}, of)
    rules = parameters()
    row = read_row(Fields({"assets": {"BTC": moves["BTC"]}}, "alice"), 0)
    seen = [
        result_of(moved(portfolio(account, of, rules), row, rules, Wad(step * 10**17)), rules).status
        for step in range(11)
    ]
    assert seen[0] in (HealthStatus.HEALTHY, HealthStatus.MARGIN_CALL)
    assert seen == sorted(seen)
    if HealthStatus.INSOLVENT in seen:
        assert HealthStatus.LIQUIDATABLE in seen


def test_2021_correlation_went_to_one() -> None:
    """A book of many coins at initial margin has more than a sum of small independent risks: it is charged jointly."""
    of = before("2021-05-19_leverage_flush")
    coins = ["ETH", "SOL", "BNB", "AVAX", "LINK", "MATIC", "AAVE", "CRV"]
    many = {"perpetuals": [perpetual(name, 1_000 / of[name]["price"]) for name in coins]}
    one = {"perpetuals": [perpetual("AVAX", 8_000 / of["AVAX"]["price"])]}
    needs = [-usd(result(account, of).initial_excess.low) for account in (many, one)]
    assert needs[0] > 0.9 * needs[1]


def test_2022_terra_a_frozen_feed_secures_nothing_new() -> None:
    """LUNA was quoted at $0.107 while it traded at $0.01: lenders that took the quote lost $11.2 million."""
    frozen = {"LUNA": {"price": 0.107, "status": "FROZEN", "age": 3_600}, "BTC": {"price": 30_000}}
    account = {"cash": -10_000, "collateral": [collateral("LUNA", 1_000_000)]}
    found = result(account, frozen)
    assert usd(found.initial_excess.high) <= -10_000
    assert usd(found.maintenance_excess.low) <= -10_000
    assert found.status is HealthStatus.UNKNOWN
    beside = result({**account, "cash": 500, "perpetuals": [perpetual("BTC", 0.01)]}, frozen)
    assert beside.status is HealthStatus.HEALTHY


def test_2022_terra_both_of_one_issuer_count_at_its_factor() -> None:
    of = {"UST": {"price": 1}, "LUNA": {"price": 80}}
    account = {"cash": 50, "collateral": [collateral("UST", 1_000)], "perpetuals": [perpetual("LUNA", 1)]}
    assert usd(result(account, of).initial_excess.low) < 50
    apart = {**account, "perpetuals": [perpetual("LUNA", 0)]}
    assert usd(result(apart, of).initial_excess.low) > 900


def test_2022_june_a_staking_token_counts_at_the_lower_of_its_values() -> None:
    discount = 0.05
    of: dict[str, Any] = {"ETH": {"price": 1_100}, "STETH": {"price": 1_100, "redemption": {"asset": "ETH", "rate": 1}}}
    slipped = {**of, "STETH": {**of["STETH"], "price": 1_100 * (1 - discount)}}
    account = {"collateral": [collateral("STETH", 10)], "debts": [collateral("ETH", 7)]}
    lost = result(account, of).initial_excess.low - result(account, slipped).initial_excess.low
    assert usd(lost) == pytest.approx(11_000 * discount, rel=0.25)
    leveraged = at_initial_margin({"collateral": [collateral("STETH", 10)], "debts": [collateral("ETH", 9)]}, of)
    found = after(leveraged, of, {"STETH": -0.06, "ETH": 0})
    assert sum(part.market.high for part in found.parts) >= 0


def test_2022_october_paper_profit_supports_no_other_claim_and_size_is_charged() -> None:
    """483 million MNGO perpetuals went from $0.0382 to $0.91: the paper profit took $116 million from the lender."""
    event = next(each for each in events()["peg_and_venue_events"] if "Mango" in each["id"])
    size, paid, peak = event["perp_units"], event["moves"]["MNGO"]["from"], event["moves"]["MNGO"]["peak"]
    account = {
        "cash": -event["loss_usd"],
        "venues": {"mango": {"limit": 1e9}},
        "perpetuals": [perpetual("MNGO", size, entry_price=paid, venue="mango")],
    }
    found = result(account, {"MNGO": {"price": peak, "depth": 2_000_000}})
    assert usd(found.maintenance_excess.high) <= -event["loss_usd"]
    assert found.status is HealthStatus.INSOLVENT
    opened = {
        "cash": event["collateral_usd"],
        "venues": {"mango": {"limit": 1e9}},
        "perpetuals": [perpetual("MNGO", size, entry_price=paid, venue="mango")],
    }
    assert (
        result(opened, {"MNGO": {"price": paid, "depth": 100_000}}).initial_excess.low
        < result(opened, {"MNGO": {"price": paid, "depth": 1e9}}).initial_excess.low
    )


def test_2022_november_a_short_in_a_squeeze_is_charged_for_it() -> None:
    event = next(each for each in events()["peg_and_venue_events"] if "CRV" in each["id"])
    of = {"CRV": {"price": 0.4, "depth": 5_000_000}, "USDC": {"price": 1}}
    account = at_initial_margin({"debts": [collateral("CRV", event["short_units"])]}, of)
    squeeze = event["moves"]["CRV"]["squeeze_above"] / event["moves"]["CRV"]["low"] - 1
    needed = account["cash"] / (event["short_units"] * 0.4) - 1
    assert needed > squeeze * 0.4
    assert after(account, of, {"CRV": squeeze}).status >= HealthStatus.LIQUIDATABLE


def test_2022_november_what_a_venue_issued_is_not_collateral_for_its_claims() -> None:
    of = {"FTT": {"price": 26}, "BTC": {"price": 21_000}}
    account = {
        "collateral": [collateral("FTT", 1_000)],
        "venues": {"ftx": {"limit": 1e6}},
        "perpetuals": [perpetual("BTC", 0.5, venue="ftx")],
    }
    assert result(account, of).status >= HealthStatus.MARGIN_CALL
    elsewhere = {**account, "venues": {"dex": {"limit": 1e6}}, "perpetuals": [perpetual("BTC", 0.5, venue="dex")]}
    assert result(elsewhere, of).status is HealthStatus.HEALTHY


def test_2023_march_dollars_are_the_measure_and_one_issuer_falls_together() -> None:
    moves = lows("2023-03_usdc_svb")
    of = {name: {"price": 1} for name in ("USDC", "DAI", "USDT")}
    spread = {"collateral": [collateral("USDC", 500), collateral("DAI", 500)]}
    single = {"collateral": [collateral("USDC", 1_000)]}
    needs = [1_000 - usd(result(account, of).initial_excess.low) for account in (spread, single)]
    assert needs[0] == pytest.approx(needs[1], rel=0.02)
    assert min(needs) > 1_000 * -moves["USDC"] * 0.95
    short = at_initial_margin({"collateral": [collateral("USDC", 1_000)], "debts": [collateral("USDT", 900)]}, of)
    found = after(short, of, {name: moves[name] for name in of})
    assert sum(part.market.high for part in found.parts) >= 0


def test_2025_october_a_source_that_diverges_widens_and_does_not_liquidate() -> None:
    """USDe printed $0.65 at one venue and $0.97 elsewhere: the interval, not the print, decides."""
    event = next(each for each in events()["peg_and_venue_events"] if "USDe" in each["id"])
    low, elsewhere = event["moves"]["USDe@Binance"]["low"], event["moves"]["USDe@Curve/elsewhere"]["low"]
    account = {"cash": -8_000, "collateral": [collateral("USDe", 10_000)]}
    printed = result(account, {"USDe": {"price": low}})
    assert printed.status is HealthStatus.INSOLVENT
    disputed = result(account, {"USDe": {"price": elsewhere, "low": low, "high": 1, "status": "DISPUTED"}})
    assert disputed.status is HealthStatus.UNKNOWN
    conversion = {"ETH": {"price": 3_800}, "WBETH": {"price": 430, "redemption": {"asset": "ETH", "rate": 1.07}}}
    assert usd(result({"collateral": [collateral("WBETH", 1)]}, conversion).maintenance_excess.high) < 430


def test_liquidity_of_a_tenth_costs_large_holdings_most() -> None:
    def counts(amount: float, depth: float) -> float:
        return usd(
            result(
                {"collateral": [collateral("AVAX", amount)]}, {"AVAX": {"price": 30, "depth": depth}}
            ).initial_excess.low
        )

    small, large = (counts(amount, 1e6) / counts(amount, 1e7) for amount in (100, 100_000))
    assert small > 0.9
    assert large < 0.5
