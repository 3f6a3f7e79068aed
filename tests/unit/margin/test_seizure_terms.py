"""What the policy says of seizures, by hand: of what first, how much at once, and how far."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.types import Address
from node.margin import SeizureLeg, evaluate, plan_liquidation
from node.margin.account import rules_of
from node.margin.liquidation import _after
from node.margin.policy import Policy
from node.model.health import HealthStatus
from node.model.ledger import AccountView
from tests.unit.margin.books import (
    BTC_B,
    ETH_A,
    ETH_B,
    OLD_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    executed,
    holding,
    market,
    owes,
    policy,
    price,
    profile_policy,
    with_terms,
)

NO_BONUS = policy(bonus_bps=0)
COINS = (ETH_A, ETH_B, BTC_B)


def spread() -> AccountView:
    """2 ETH, 100 OLD and 4,000 USDX on A, 2 ETH and 0.08 BTC on B: 4,000 + 3,000 + 4,000 + 4,000 + 4,000."""
    on_a = [holding(A, ETH_A, 2), holding(A, OLD_A, 100), holding(A, USDX_A, 4_000)]
    return account([*on_a, holding(B, ETH_B, 2), holding(B, BTC_B, "0.08")], [owes(cash=-17_000)])


def planned(view: AccountView, rules: Policy) -> tuple[SeizureLeg, ...]:
    return plan_liquidation(view, market({"OLD": price(30 * USD)}, rules=rules))


def taken(legs: tuple[SeizureLeg, ...]) -> set[Address]:
    return {item.token for leg in legs for item in leg.items}


def owing(usd: int) -> AccountView:
    """10 ETH, worth 20,000 and 18,000 after the haircut, and a claim."""
    return account([holding(A, ETH_A, 10)], [owes(cash=-usd)])


def test_by_default_everything_is_taken_pro_rata_and_at_once() -> None:
    legs = planned(spread(), NO_BONUS)
    assert taken(legs) == {ETH_A, OLD_A, USDX_A, ETH_B, BTC_B}
    assert sum(leg.credit for leg in legs) == 17_000 * USD
    explicit = with_terms(NO_BONUS, order="pro_rata", close_factor_bps=10_000)
    assert planned(spread(), explicit) == legs


@pytest.mark.parametrize(
    ("factor", "first"),
    [
        (1_000, {OLD_A}),
        (1_700, {OLD_A}),
        (3_000, {OLD_A, ETH_A, ETH_B, BTC_B}),
        (10_000, {OLD_A, ETH_A, ETH_B, BTC_B, USDX_A}),
    ],
)
def test_the_most_volatile_goes_first_and_what_is_equal_goes_together(factor: int, first: set[Address]) -> None:
    """OLD (40 %) before ETH and BTC (10 %) before USDX (1 %); 100 OLD pay for 3,000."""
    rules = with_terms(NO_BONUS, order="volatile", close_factor_bps=factor)
    legs = planned(spread(), rules)
    assert taken(legs) == first
    assert sum(leg.credit for leg in legs) == 17_000 * USD * factor // 10_000


def test_under_a_profile_the_order_is_by_its_volatilities_or_depths() -> None:
    coins = """[margin.parameters.assets]
ETH = { vol = 0.9, depth = 300000000 }
BTC = { vol = 0.5, depth = 1000000 }
"""
    view = account([holding(A, ETH_A, 5), holding(B, BTC_B, "0.2")], [owes(cash=-18_000)])
    for order, first in (("volatile", ETH_A), ("illiquid", BTC_B)):
        rules = with_terms(profile_policy(coins, bonus_bps=0), order=order, close_factor_bps=2_000)
        (leg,) = planned(view, rules)
        assert taken((leg,)) == {first}
        turns = {asset: rules_of(rules).turn(asset, rules) for asset in ("ETH", "BTC")}
        assert (turns["ETH"] < turns["BTC"]) is (first == ETH_A)


def test_a_close_factor_leaves_the_rest_to_later_plans() -> None:
    rules = with_terms(NO_BONUS, close_factor_bps=5_000)
    view, paid = owing(18_400), []
    for _ in range(30):
        legs = planned(view, rules)
        if not legs:
            break
        paid.append(legs[0].credit)
        view = executed(view, legs)
    # Half of it; 9,200 are left against 5.4 ETH, worth 9,720 after the haircut: the account is healthy again.
    assert paid == [9_200 * USD]


def test_of_an_insolvent_account_all_is_paid_that_can_be() -> None:
    rules = with_terms(NO_BONUS, close_factor_bps=1_000, target_bps=10_000)
    view = owing(25_000)
    assert evaluate(view, market(rules=rules)).status is HealthStatus.INSOLVENT
    assert planned(view, rules) == planned(view, NO_BONUS)
    assert planned(view, rules)[0].credit == 20_000 * USD


def test_no_part_is_less_than_what_is_worth_a_release() -> None:
    """A tenth of 180 would be 18 USD; below 100 is dust, so that much is paid; and dust that is left is paid whole."""
    tiny = policy(bonus_bps=0, dust_usd=100)
    view = account([holding(A, USDX_A, 180)], [owes(cash=-179)])
    (leg,) = planned(view, with_terms(tiny, close_factor_bps=1_000))
    assert leg.credit == 100 * USD


def test_a_target_takes_no_more_than_it_needs() -> None:
    """18,400 − c ≤ 0.9·(20,000 − c) from c = 4,000 on; a 64th of 18,400 is 287.5."""
    (leg,) = planned(owing(18_400), with_terms(NO_BONUS, target_bps=10_000))
    assert 4_000 * USD <= leg.credit <= 4_288 * USD
    after = evaluate(executed(owing(18_400), (leg,)), market(rules=NO_BONUS))
    assert after.status is HealthStatus.MARGIN_CALL
    assert after.maintenance_excess.low >= 0


def test_a_target_beyond_the_close_factor_is_left_to_it() -> None:
    rules = with_terms(NO_BONUS, target_bps=10_000, close_factor_bps=1_000)
    (leg,) = planned(owing(18_400), rules)
    assert leg.credit == 1_840 * USD


def test_a_plan_by_terms_waits_for_the_one_that_is_under_way() -> None:
    rules = with_terms(NO_BONUS, close_factor_bps=5_000)
    view = owing(18_400)
    assert view.record is not None
    pending = _after(view, view.record, planned(view, rules))
    assert planned(pending, rules) == ()
    done = executed(view, planned(view, rules))
    context = market(rules=rules)
    assert evaluate(pending, context).maintenance_excess == evaluate(done, context).maintenance_excess
    assert replace(pending, record=view.record) == view
