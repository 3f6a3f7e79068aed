"""The terms of plans, each by what a plan does to the account: close factor, dust, lots, order, and when it is partial.

All is recomputed from the account and the changes of the legs; nothing of the search is asked.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from node.margin.models.fixed import PICO, WAD
from node.margin.planning.account import Account, Change, Kind
from node.margin.planning.legs import after
from node.margin.planning.plan import Outcome, Plan, plan_liquidation
from node.margin.planning.terms import Order, Terms
from tests.property.margin_planning.test_plans import FAST, cases
from tests.unit.margin_planning.files import file, held, read

WHOLE = {Outcome.INSOLVENT, Outcome.CLOSED, Outcome.STUCK}


def planned(case: tuple[str, dict[str, Any]]) -> tuple[Plan, Account, Terms]:
    account, terms = read(*case)
    plan = plan_liquidation(account, terms)
    event(f"{case[0]}: {plan.outcome}, {len(plan.legs)} legs")
    return plan, account, terms


def reductions(plan: Plan, account: Account) -> dict[str, int]:
    total = Change.total(leg.change(account) for leg in plan.legs)
    return {name: abs(change) for name, change in total.amounts.items() if change}


@settings(max_examples=15)
@given(cases(*FAST))
def test_no_plan_takes_more_than_the_close_factor_but_where_it_may(case: tuple[str, dict[str, Any]]) -> None:
    plan, account, terms = planned(case)
    factor, before = terms.close_factor, account.evaluate().levels[-1]
    if plan.outcome in WHOLE or before.ratio is None or before.ratio <= factor.all_below:
        return
    within = True
    for name, reduced in reductions(plan, account).items():
        held_one = account.holdings[name]
        is_free = held_one.kind is Kind.COLLATERAL or held_one.notional(held_one.size) < factor.all_under
        lot = terms.of(held_one.asset).lot
        within = within and (is_free or reduced <= held_one.size * factor.part // WAD + lot)
    # Beyond it only where nothing at all can be done within it.
    assert within or plan.outcome is Outcome.RESTORED
    if not within:
        event("beyond, as nothing smaller helps")


@settings(max_examples=15)
@given(cases(*FAST))
def test_no_leg_leaves_dust(case: tuple[str, dict[str, Any]]) -> None:
    plan, account, terms = planned(case)
    if plan.outcome is Outcome.INSOLVENT:
        return
    left = after(account, plan.legs)
    for leg in plan.legs:
        first = leg.actions[0]
        if first.holding in account.holdings and account.holdings[first.holding].kind.is_position:
            open_size = sum(
                left.holdings[each.holding].notional(left.holdings[each.holding].size)
                for each in leg.actions
                if each.holding in left.holdings
            )
            assert open_size == 0 or open_size >= terms.least_left
            continue
        sides = [
            left.holdings[name].notional(left.holdings[name].size) if name in left.holdings else 0
            for name in (first.holding, first.settles)
            if name in account.holdings
        ]
        if len(sides) == 2:
            assert 0 in sides or min(sides) >= terms.least_left


@settings(max_examples=15)
@given(cases(*FAST))
def test_closings_are_in_whole_lots_or_of_all(case: tuple[str, dict[str, Any]]) -> None:
    plan, account, terms = planned(case)
    for name, reduced in reductions(plan, account).items():
        held_one = account.holdings[name]
        if held_one.kind.is_position:
            assert reduced == held_one.size or reduced % terms.of(held_one.asset).lot == 0


@settings(max_examples=15)
@given(
    st.permutations([0.4, 0.8, 1.2]),
    st.permutations([10**5, 10**6, 10**7]),
    st.sampled_from([Order.VOLATILE, Order.ILLIQUID]),
    st.integers(1, 1_400),
    st.sampled_from(["0", "0.001"]),
)
def test_what_goes_first_by_the_order_is_gone_before_anything_goes_that_is_later(
    vols: list[float], depths: list[int], order: Order, short: int, fee: str
) -> None:
    """Three positions of equal size that do not hedge each other: the last one touched alone may be left in part."""
    coins: dict[str, int] = {"ETH": 2_000, "BTC": 50_000, "SOL": 100}
    assets = {coin: {"volatility": vol, "depth": depth} for coin, vol, depth in zip(coins, vols, depths, strict=True)}
    positions = [held(coin, str(5_000 / price)) for coin, price in coins.items()]
    plan_terms = {"order": order.value, "assets": assets, "fee": fee, "close_factor": 1, "least_left": 0}
    content = file("dydx", perpetuals=positions, plan=plan_terms)
    excess = read("dydx", content)[0].evaluate().levels[-1].excess
    account, terms = read("dydx", {**content, "cash": -excess / PICO - short / 10})
    plan = plan_liquidation(account, terms)
    assert plan.outcome is Outcome.RESTORED
    by_volatility = sorted(coins, key=lambda coin: -dict(zip(coins, vols, strict=True))[coin])
    by_depth = sorted(coins, key=lambda coin: dict(zip(coins, depths, strict=True))[coin])
    ranked = by_volatility if order is Order.VOLATILE else by_depth
    left = after(account, plan.legs).holdings
    parts = [
        left[f"perpetual {coin}"].size / account.holdings[f"perpetual {coin}"].size
        if f"perpetual {coin}" in left
        else 0
        for coin in ranked
    ]
    touched = [part < 1 for part in parts]
    assert touched == sorted(touched, reverse=True)
    last = sum(touched) - 1
    # But for what the grain of the last one's amount gives back.
    assert all(part <= 0.001 for part in parts[:last])


def test_a_plan_is_partial_where_a_part_is_enough() -> None:
    seen = Counter[str]()
    for short in (1, 50, 200, 390):
        content = file("dydx", perpetuals=[held("ETH", 10)], cash=1_200 - short, plan={"least_left": 0, "fee": 0})
        account, terms = read("dydx", content)
        plan = plan_liquidation(account, terms)
        reduced = reductions(plan, account)["perpetual ETH"]
        seen[plan.outcome] += 1
        assert 0 < reduced < 10 * WAD
        # Half of a grain less would not do.
        enough = 10 * WAD - (1_200 - short) * WAD // 200
        assert plan.outcome is not Outcome.RESTORED or enough <= reduced <= enough + 10 * WAD // 4_000
    assert seen[Outcome.RESTORED]
