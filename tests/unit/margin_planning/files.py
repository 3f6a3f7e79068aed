"""Portfolio files of liquidatable accounts, and their plans, for tests."""

from __future__ import annotations

from typing import Any

from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.profiles import PROFILES
from node.margin.planning.account import Account, Setting
from node.margin.planning.files import answers, terms_of
from node.margin.planning.plan import Plan, plan_liquidation
from node.margin.planning.reading import read_account
from node.margin.planning.terms import Terms
from node.margin.planning.what_if import Step

DAY = 86_400
MARKET = {
    "ETH": {"price": 2_000, "twap": 2_000, "expiries": [{"seconds": 30 * DAY, "forward": 2_000, "vol": 0.6}]},
    "BTC": {"price": 50_000},
    "SOL": {"price": 100},
    "USDC": {"price": 1},
    "DAI": {"price": 1},
}
_FACTORS = {"borrow": 0.8, "liquidation": 0.825}
_SPOT = {"asset_initial": 0.8, "asset_maintenance": 0.9, "liability_initial": 1.2, "liability_maintenance": 1.1}
_PERP = {"initial": 0.1, "maintenance": 0.05, "pnl_initial": 0.8, "pnl_maintenance": 1}
_TOKEN = {
    "initial_asset": 0.8, "initial_liability": 1.2, "maintenance_asset": 0.9, "maintenance_liability": 1.1,
    "initial_overall": 0.5, "maintenance_overall": 1,
}  # fmt: skip
_TIER = {"initial": 0.1, "maintenance_fraction": 0.6}
_RANGES = {"price_range": 0.1, "vol_range": 0.05}
_COINS = ("ETH", "BTC", "SOL")
PARAMETERS: dict[str, dict[str, Any]] = {
    "ltv": {"assets": {**dict.fromkeys(_COINS, _FACTORS), "USDC": {"borrow": 0.75, "liquidation": 0.78}}},
    "dydx": {"tiers": dict.fromkeys(_COINS, _TIER)},
    "drift": {"spots": dict.fromkeys(MARKET, _SPOT), "perpetuals": dict.fromkeys(_COINS, _PERP)},
    "mango": {"tokens": dict.fromkeys(MARKET, _TOKEN), "perpetuals": dict.fromkeys(_COINS, _TOKEN)},
    "span": {"assets": dict.fromkeys(_COINS, _RANGES)},
    "deribit-like": {},
    "hypothec": {},
}


def file(profile: str = "ltv", **content: object) -> dict[str, Any]:
    """A file with one account, `alice`, under a profile; a market or parameters given replace the usual ones."""
    return {"market": MARKET, "parameters": PARAMETERS[profile], "account": "alice", **content}


def held(asset: str, amount: object, **more: object) -> dict[str, object]:
    return {"asset": asset, "amount": amount, **more}


def option(amount: object, strike: int = 2_000, *, call: bool = True, **more: object) -> dict[str, object]:
    return {"asset": "ETH", "seconds": 30 * DAY, "strike": strike, "call": call, "amount": amount, **more}


def read(profile: str, content: dict[str, Any]) -> tuple[Account, Terms]:
    fields = Fields.of(content, "")
    left = {key: each for key, each in content.items() if key not in {"market", "parameters", "plan", "what_if"}}
    setting = Setting.of(PROFILES[profile], fields.section("market"), fields.section("parameters"))
    return read_account(setting, left, "alice"), terms_of(content)


def planned(profile: str, content: dict[str, Any]) -> Plan:
    return plan_liquidation(*read(profile, content))


def asked(profile: str, content: dict[str, Any]) -> tuple[Step, ...]:
    (answer,) = answers(PROFILES[profile], content, "nobody")
    if isinstance(answer, PortfolioError):
        raise answer
    return answer[1]
