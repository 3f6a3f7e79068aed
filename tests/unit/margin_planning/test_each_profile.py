"""Plans under every profile: all legs are needed, close factor, dust and order hold, and others bear losses in turn."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD
from node.margin.models.profiles import PROFILES
from node.margin.planning.account import CASH, Account, Change, Holding, Kind, Setting
from node.margin.planning.files import terms_of
from node.margin.planning.legs import Leg, after
from node.margin.planning.losses import Settlement
from node.margin.planning.plan import Outcome, Plan, plan_liquidation
from node.margin.planning.reading import read_account
from node.margin.planning.target import Goal
from node.margin.planning.verify import verify
from tests.property.margin_models.files import PM1
from tests.unit.margin_models.test_derive_pm2 import collateral, feed, option, vector
from tests.unit.margin_planning.files import MARKET, PARAMETERS, held

COINS = {"ETH": 5, "SOL": 100, "BTC": "0.2"}
"""Each 10,000 USD."""
RATES = {"initial": 0.1, "maintenance": 0.05}
FACTORS = {"initial": 0.8, "maintenance": 0.9}
SM = {"perpetual_initial": 0.1, "perpetual_maintenance": 0.05, "base_initial": 0.8, "base_maintenance": 0.9}
SNX = {"skew_scale": 10**6, "initial_fraction": 2, "least_initial": 0.1, "maintenance_scalar": 0.5}
RULES: dict[str, dict[str, Any]] = {
    **PARAMETERS,
    "compound": PARAMETERS["ltv"],
    "cross": {
        "assets": dict.fromkeys(MARKET, FACTORS),
        "perpetuals": dict.fromkeys(COINS, RATES),
    },
    "synthetix": {"markets": dict.fromkeys(COINS, SNX), "collaterals": {}},
    "derive-sm": {"assets": dict.fromkeys(COINS, SM)},
    "paradex-like": {},
}
LENDING = {"ltv", "compound"}
ASSETS = {"derive-pm1": ("base", "spot"), "derive-pm2": ("WETH", "spot")}
"""Those files have one underlying, which is called `spot`, and collateral."""
FREE: dict[str, Any] = {"fee": 0, "bonus": 0, "least_left": 0, "close_factor": 1}
EVERY = pytest.mark.parametrize("profile", sorted(PROFILES))
TRADED = pytest.mark.parametrize("profile", sorted(set(PROFILES) - LENDING))


def book(profile: str) -> dict[str, Any]:
    """An account, its market and parameters."""
    if profile == "derive-pm2":
        coin = collateral(Name="WETH", Amount=3, IsRiskCancelling=False)
        return vector(Options=[option(amount=-2)], OptionFeeds=[feed()], Collaterals=[coin], NumPerps=5,
                      PerpPrice=2_000, PerpConfidence=1)  # fmt: skip
    if profile == "derive-pm1":
        content = copy.deepcopy(PM1)
        content["Scenario"] |= {"Perps": 5 * WAD, "OptionAmounts": [-2 * WAD, 0]}
        return content
    coins = [held(coin, amount) for coin, amount in COINS.items()]
    sections = {"collateral": coins, "debts": [held("USDC", 10_000)]} if profile in LENDING else {"perpetuals": coins}
    if profile == "mango":
        sections["debts"] = [held("USDC", 1_000)]  # its perpetuals require nothing: without a debt there is no ratio
    return {"market": MARKET, "parameters": RULES[profile], **sections}


def account_of(profile: str) -> Account:
    content = book(profile)
    fields = Fields.of(content, "")
    setting = Setting.of(PROFILES[profile], fields.section("market"), fields.section("parameters"))
    held_by = {name: each for name, each in content.items() if name not in {"market", "parameters"}}
    return read_account(setting, held_by, "alice")


def short_of(profile: str, usd: int) -> Account:
    """An account whose maintenance margin lacks so much."""
    account = account_of(profile)
    return account.changed(Change(-account.evaluate().levels[-1].excess - usd * PICO))


def planned(account: Account, **terms: object) -> Plan:
    rules = terms_of({"plan": {**FREE, **terms}})
    plan = plan_liquidation(account, rules)
    verify(plan, account, rules)
    return plan


def ordered(profile: str, field: str, *, backwards: bool = False) -> tuple[list[str], dict[str, Any]]:
    """Assets that a plan is to take in this order, and terms that say so."""
    names = list(ASSETS.get(profile, COINS))[:: -1 if backwards else 1]
    if field == "volatility":
        return names, {"order": "volatile", "assets": {n: {field: 3 - place} for place, n in enumerate(names)}}
    return names, {"order": "illiquid", "assets": {n: {field: 10 ** (9 + place)} for place, n in enumerate(names)}}


def reduced(legs: tuple[Leg, ...], account: Account) -> dict[str, int]:
    """Of each holding what legs take."""
    taken: dict[str, int] = {}
    for action in (action for leg in legs for action in leg.actions):
        for name, amount in ((action.holding, action.amount), (action.settles, action.settled)):
            if name in account.holdings:
                taken[name] = taken.get(name, 0) + amount
    return taken


def missing(account: Account, legs: tuple[Leg, ...], **terms: object) -> int:
    goal = Goal.of(account, terms_of({"plan": {**FREE, **terms}}))
    return goal.missing(after(account, legs).evaluate())


# === How much, and of what ===


@EVERY
def test_legs_reach_the_target_and_none_of_them_is_idle(profile: str) -> None:
    _, order = ordered(profile, "volatility")
    terms = {**order, "target": {"ratio": "1.5"}}
    account = short_of(profile, 100)
    plan = planned(account, **terms)
    assert plan.outcome is Outcome.RESTORED
    assert len(plan.legs) > 1
    assert missing(account, plan.legs, **terms) <= 0
    for leg in plan.legs:
        assert missing(account, tuple(each for each in plan.legs if each != leg), **terms) > 0


@EVERY
def test_no_more_is_closed_or_repaid_at_once_than_the_close_factor(profile: str) -> None:
    account, far = short_of(profile, 10), {"target": {"ratio": 2}}
    bounds = {"close_factor": "0.25", "close_all_below": 0, "close_all_under": 0}
    bounded, free = planned(account, **far, **bounds), planned(account, **far)
    assert bounded.outcome is Outcome.BOUNDED
    for plan, is_within in ((bounded, True), (free, False)):
        parts = [
            amount / account.holdings[name].size
            for name, amount in reduced(plan.legs, account).items()
            if account.holdings[name].kind is not Kind.COLLATERAL
        ]
        assert parts
        assert all(part < 0.2501 for part in parts) is is_within


def left_over(leg: Leg, account: Account, done: Account) -> int:
    """What is left of a position, or of the smaller side of an exchange that clears none, in 1e-12 USD."""

    def worth(name: str) -> int:
        held_one: Holding | None = done.holdings.get(name)
        if name == CASH:
            return max(0, -done.cash if account.cash <= 0 else done.cash)
        return held_one.notional(held_one.size) if held_one is not None else 0

    first = leg.actions[0]
    if account.holdings[first.holding].kind.is_position:
        return sum(worth(action.holding) for action in leg.actions)
    return min(worth(first.holding), worth(first.settles))


@EVERY
def test_no_dust_is_left(profile: str) -> None:
    _, order = ordered(profile, "volatility", backwards=True)
    account = short_of(profile, 100)
    plan = planned(account, **order)
    remains = [left_over(leg, account, after(account, plan.legs)) for leg in plan.legs]
    assert any(remains)
    least = max(remains) + PICO
    tidy = planned(account, **order, least_left=str(least / PICO))
    assert tidy.legs
    for leg in tidy.legs:
        left = left_over(leg, account, after(account, tidy.legs))
        assert left == 0 or left >= least


@EVERY
@pytest.mark.parametrize("field", ["volatility", "depth"])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_most_volatile_or_the_least_liquid_goes_first(profile: str, field: str, backwards: bool) -> None:
    names, order = ordered(profile, field, backwards=backwards)
    account = short_of(profile, 100)
    plan = planned(account, **order)
    assert [account.holdings[action.holding].asset for action in plan.legs[0].actions[:1]] == names[:1]


# === Who bears what is lost ===


def insolvent(profile: str) -> Account:
    """An account that is worth 1,000 USD less than nothing."""
    account = account_of(profile)
    return account.changed(Change(-account.net_value - 1_000 * PICO))


def settled(account: Account, **terms: object) -> Settlement:
    plan = planned(account, **terms)
    assert plan.outcome is Outcome.INSOLVENT
    assert plan.settlement is not None
    return plan.settlement


@EVERY
def test_the_insurance_fund_pays_first(profile: str) -> None:
    for fund, uncovered in ((400, 600), (5_000, 0)):
        found = settled(insolvent(profile), insurance_fund=fund)
        assert abs(found.loss - 1_000 * PICO) <= PICO  # but for crumbs of collateral
        assert found.insured == min(fund * PICO, found.loss)
        assert abs(found.uncovered - uncovered * PICO) <= PICO


@TRADED
def test_then_those_are_deleveraged_who_rank_highest_and_then_all_share(profile: str) -> None:
    account = insolvent(profile)
    position = next(each for each in account.holdings.values() if each.kind is Kind.PERPETUAL)
    price = position.price / WAD
    against = {
        "asset": position.asset,
        "amount": -position.size / WAD,
        "entry_price": price + 300 * WAD / position.size,
    }
    others = [
        {"account": name, "equity": equity, "positions": [against]}
        for name, equity in (("calm", 10**6), ("meek", 10**4), ("wild", 10))
    ]
    found = settled(account, insurance_fund=200, counterparties=others)
    assert found.insured == 200 * PICO
    assert [each.account for each in found.deleveraged] == ["wild"]
    assert abs(found.deleveraged[0].paid - 300 * PICO) <= PICO
    assert [each.account for each in found.socialised] == ["calm", "meek", "wild"]
