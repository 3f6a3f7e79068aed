"""Each rule on figures worked out by hand."""

from __future__ import annotations

import pytest

from node.margin import spec
from node.model.health import Interval


def test_the_age_of_a_price_rounds_up_and_is_never_negative() -> None:
    assert spec.stale_age(10_000, 7) == 3
    assert spec.stale_age(10_001, 7) == 4
    assert spec.stale_age(10_000, 11) == 0


def test_a_price_moves_by_its_bound_both_ways_and_the_ends_round_outwards() -> None:
    assert spec.moved(2_000, 150) == Interval(1_970, 2_030)  # 1.5 % of 2,000 is 30
    assert spec.moved(3, 1) == Interval(2, 4)  # 2.9997 and 3.0003
    assert spec.moved(2_000, 12_000) == Interval(0, 4_400)  # no price is below zero


def test_a_holding_is_worth_amount_times_price_rounded_down() -> None:
    assert spec.holding_value(3, 500, 3) == 1  # 1.5
    assert spec.holding_value(1_500_000, 10**12, 6) == 15 * 10**11
    assert spec.after_haircut(999, 1_000) == 899  # 899.1
    assert spec.after_haircut(999, 10_000) == 0


@pytest.mark.parametrize(
    ("size", "entry", "price", "pnl"),
    [
        (2 * 10**18, 1_800, 2_000, 400),
        (-2 * 10**18, 1_800, 2_000, -400),
        (-2 * 10**18, 2_000, 1_800, 400),
        (1, 0, 10**18 - 1, 0),  # just under one: down
        (-1, 0, 1, -1),  # -1e-18: down, too
    ],
)
def test_a_perpetual_gains_size_times_move_rounded_down(size: int, entry: int, price: int, pnl: int) -> None:
    assert spec.perpetual_pnl(size, entry, price) == pnl


def test_a_perpetuals_margin_is_of_its_notional_rounded_up() -> None:
    assert spec.perpetual_margin(-3 * 10**18, 1_000, 500) == 150  # 5 % of 3,000
    assert spec.perpetual_margin(1, 1, 1) == 1
    assert spec.perpetual_margin(0, 1_000, 500) == 0


def test_acknowledging_more_than_was_seized_is_worth_no_more() -> None:
    assert spec.receivable(100, 30) == 70
    assert spec.receivable(100, 400) == 0


def test_the_limit_covers_what_was_seized() -> None:
    assert spec.cap(1_000, 300) == 700
    assert spec.cap(1_000, 1_300) == 0


@pytest.mark.parametrize(
    ("value", "margin", "most", "claim", "required"),
    [
        (-300, 100, 1_000, 300, 400),  # a loss, and margin on top
        (-300, 100, 350, 300, 350),  # the limit leaves 50 of the margin
        (-300, 100, 200, 200, 200),  # and then clamps the claim
        (60, 100, 1_000, 0, 40),  # a profit reduces the margin
        (160, 100, 1_000, 0, 0),  # and nothing beyond it
    ],
)
def test_claim_and_margin_within_the_limit(value: int, margin: int, most: int, claim: int, required: int) -> None:
    assert spec.claim(value, most) == claim
    assert spec.requirement(value, margin, most) == required


def test_margin_is_greatest_where_the_value_is_nearest_to_zero() -> None:
    # value -50: margin 20, of which the cap of 60 leaves 10; value 0: 20; value 50: the profit covers it
    assert spec.margin_beyond_claim(Interval(-50, 50), Interval(20, 20), 60) == Interval(0, 20)
    assert spec.margin_beyond_claim(Interval(-50, -45), Interval(20, 20), 60) == Interval(10, 15)
    assert spec.margin_beyond_claim(Interval(5, 8), Interval(10, 20), 60) == Interval(2, 15)


def test_a_fee_is_paid_out_of_the_maintenance_margin() -> None:
    assert spec.closing_fee(10**18, 2_000, 50, 500) == 10  # 0.5 % of 2,000
    assert spec.closing_fee(10**18, 2_000, 900, 500) == 100  # 9 % would be more than the margin of 5 %


def test_a_profit_pays_the_fees_first() -> None:
    assert spec.amount_owed(-300, 10, 1_000) == 310
    assert spec.amount_owed(4, 10, 1_000) == 6
    assert spec.amount_owed(40, 10, 1_000) == 0
    assert spec.amount_owed(-300, 10, 305) == 305


def test_the_bonus_is_never_more_than_the_haircut_held_back() -> None:
    assert spec.premium(500, 1_000) == (10_500, 10_000)  # 1.05 · 0.90 = 0.945
    assert spec.premium(500, 100) == (10_000, 9_900)  # 1.05 · 0.99 > 1
    assert spec.premium(500, 0) == (10_000, 10_000)


def test_seized_amounts_round_up_and_end_at_the_holding() -> None:
    # 190 of credit at a premium of 5 % is 199.5; at 2,000 a unit of 6 decimals 99,750 base units
    assert spec.seized_amount(190, 10_500, 10_000, 2_000, 6, 10**6) == 99_750
    assert spec.seized_amount(1, 10_500, 10_000, 2_000, 0, 10) == 1
    assert spec.seized_amount(190, 10_500, 10_000, 2_000, 6, 99_000) == 99_000
    assert spec.credit_capacity(200, 10_500, 10_000) == 190  # 190.47


def test_everybody_gets_what_they_are_owed_if_it_is_there() -> None:
    assert spec.entitlements({"a": 300, "b": 100, "c": 0}, {"a": 9, "b": 0, "c": 0}, 400) == {"a": 300, "b": 100}


def test_claims_share_pro_rata_what_does_not_cover_them() -> None:
    assert spec.entitlements({"a": 300, "b": 100}, {"a": 0, "b": 0}, 200) == {"a": 150, "b": 50}


def test_plans_that_follow_each_other_share_like_one() -> None:
    # a had its half of 300 by the first plan; the 50 that are left are b's half of 100
    assert spec.entitlements({"a": 150, "b": 100}, {"a": 150, "b": 0}, 50) == {"a": 0, "b": 50}


def test_who_had_more_than_the_common_share_gets_nothing_and_the_others_share_without_it() -> None:
    # of 100 ever owed, a has 90 already; 40 for b and c, who are owed 60 and 40
    owed, seized = {"a": 10, "b": 60, "c": 40}, {"a": 90, "b": 0, "c": 0}
    assert spec.entitlements(owed, seized, 40) == {"b": 24, "c": 16}
