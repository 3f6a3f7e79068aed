"""Accounts and markets for tests of the profile `hypothec`, and how to look at what becomes of them."""

from __future__ import annotations

from typing import Any

from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.margin import Result
from node.margin.models.hypothec.parameters import Parameters, read_parameters
from node.margin.models.hypothec.portfolio import Portfolio, read_portfolio
from node.margin.models.hypothec.profile import PROFILE, result_of
from node.margin.models.profile import Evaluation, merged

DAY = 86_400
MARKET: dict[str, Any] = {
    "BTC": {"price": 60_000, "expiries": [{"seconds": 30 * DAY, "forward": 60_300, "vol": 0.55}]},
    "ETH": {"price": 3_000, "expiries": [{"seconds": 30 * DAY, "forward": 3_010, "rate": 0.04, "vol": 0.7}]},
    "SOL": {"price": 150},
    "AVAX": {"price": 30},
    "USDC": {"price": 1},
    "USDT": {"price": 1},
    "DAI": {"price": 1},
    "WSTETH": {"price": 3_600, "redemption": {"asset": "ETH", "rate": 1.2}},
    "FTT": {"price": 22},
}


def market(**changes: dict[str, Any]) -> dict[str, Any]:
    """The market with some assets' fields changed."""
    return {**MARKET, **{name: {**MARKET.get(name, {}), **change} for name, change in changes.items()}}


def parameters(**given: object) -> Parameters:
    return read_parameters(Fields(merged(DEFAULTS, given), "alice"))


def portfolio(account: dict[str, Any], of: dict[str, Any] | None = None, rules: Parameters | None = None) -> Portfolio:
    return read_portfolio(account, "alice", Fields(of or MARKET, ""), rules or parameters())


def result(account: dict[str, Any], of: dict[str, Any] | None = None, **given: object) -> Result:
    rules = parameters(**given)
    return result_of(portfolio(account, of, rules), rules)


def evaluation(account: dict[str, Any], of: dict[str, Any] | None = None, **given: object) -> Evaluation:
    return PROFILE.evaluate(account, "alice", Fields(of or MARKET, ""), Fields(given, ""))


def usd(amount: int) -> float:
    return amount / PICO


def perpetual(asset: str = "ETH", amount: float = 1, **more: object) -> dict[str, Any]:
    return {"asset": asset, "amount": amount, **more}


def option(asset: str = "ETH", amount: float = -1, strike: float = 3_000, **more: object) -> dict[str, Any]:
    return {"asset": asset, "seconds": 30 * DAY, "strike": strike, "call": True, "amount": amount, **more}


def collateral(asset: str = "ETH", amount: float | str = 1, **more: object) -> dict[str, Any]:
    return {"asset": asset, "amount": amount, **more}
