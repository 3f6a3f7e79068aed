"""Plans by hand: what is closed and seized, how much, in which order, and when not."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.errors import PortfolioError, UnknownAsset
from node.margin.models.fixed import PICO, WAD, Wad
from node.margin.planning import search
from node.margin.planning.account import Account
from node.margin.planning.amounts import Scope
from node.margin.planning.candidates import candidates
from node.margin.planning.errors import PlanRefused
from node.margin.planning.legs import after
from node.margin.planning.plan import Outcome, Plan, assembled
from node.margin.planning.target import Goal
from node.margin.planning.verify import verify
from tests.unit.margin_planning.files import MARKET, file, held, option, planned, read

ETH = [held("ETH", 10)]
FREE = {"fee": 0, "bonus": 0, "least_left": 0}


def usdc(amount: object) -> list[dict[str, object]]:
    return [held("USDC", amount)]


def left(profile: str, content: dict[str, Any], plan: Plan) -> Account:
    return after(read(profile, content)[0], plan.legs)


def test_a_healthy_account_needs_no_plan() -> None:
    plan = planned("ltv", file(collateral=ETH, debts=usdc(16_400)))
    assert (plan.outcome, plan.legs, plan.proof, plan.auction) == (Outcome.NOT_NEEDED, (), (), None)


def test_just_enough_is_seized_to_reach_the_level_before_the_gravest() -> None:
    # (20000 − s)·0.8 = 16600 − r with s = 1.05 r: r = 600 / 0.16 = 3750
    content = file(collateral=ETH, debts=usdc(16_600), plan={**FREE, "bonus": 0.05})
    plan = planned("ltv", content)
    (leg,) = plan.legs
    (action,) = leg.actions
    assert (plan.outcome, plan.level) == (Outcome.RESTORED, "borrow")
    assert (action.holding, action.settles, action.cash) == ("collateral ETH", "debt USDC", 0)
    assert 3_750 * WAD <= action.settled <= 3_750 * WAD + 17 * WAD  # a 4096th of the debt is the grain
    assert action.amount == action.settled * 105 // 200_000
    assert leg.cost == action.settled * PICO // WAD // 20
    assert 0 <= plan.after.excess[0] < 3 * PICO


def test_the_bonus_comes_out_of_what_the_haircut_holds_back() -> None:
    """From 1/0.95 − 1 a bonus would leave the account worse: half of that is the most."""
    assets = {"ETH": {"borrow": 0.93, "liquidation": 0.95}, "USDC": {"borrow": 0.75, "liquidation": 0.78}}
    content = file(parameters={"assets": assets}, collateral=ETH, debts=usdc(19_100))
    content["plan"] = {**FREE, "bonus": 0.1, "close_factor": 1}
    plan = planned("ltv", content)
    (leg,) = plan.legs
    assert plan.outcome is Outcome.RESTORED
    assert abs(leg.cost * WAD / (leg.amount * PICO) - (1 / 0.95 - 1) / 2) < 1e-6


def test_the_target_is_a_term() -> None:
    for target, excess in (
        ({"level": "liquidation"}, (1, 0)),
        ({"level": "liquidation", "excess": 500}, (1, 500)),
        ({"level": "borrow", "ratio": "1.1"}, (0, 0)),
    ):
        plan = planned("ltv", file(collateral=ETH, debts=usdc(16_600), plan={**FREE, "target": target}))
        assert plan.outcome is Outcome.RESTORED
        assert excess[1] * PICO <= plan.after.excess[excess[0]]
        assert plan.level == target["level"]
    more = planned("ltv", file(collateral=ETH, debts=usdc(16_600), plan={**FREE, "target": {"ratio": "1.1"}}))
    assert (
        more.legs[0].amount > 1.5 * planned("ltv", file(collateral=ETH, debts=usdc(16_600), plan=FREE)).legs[0].amount
    )
    with pytest.raises(UnknownAsset, match="borrow, liquidation"):
        planned("ltv", file(collateral=ETH, debts=usdc(16_600), plan={"target": {"level": "none"}}))


def test_the_close_factor_bounds_a_plan_of_an_account_that_is_nearly_healthy() -> None:
    # A debt of 16600 at 0.99 needs 5000 and more at this bonus; a quarter of it is 4150.
    terms = {**FREE, "bonus": 0.1, "close_factor": 0.25, "target": {"ratio": "1.02"}}
    content = file(collateral=ETH, debts=usdc(16_600), plan=terms)
    plan = planned("ltv", content)
    assert plan.outcome is Outcome.BOUNDED
    assert plan.legs[0].amount == 4_150 * WAD
    assert plan.after.excess > plan.before.excess
    again = planned("ltv", {**content, **left("ltv", content, plan).content, "plan": terms})
    assert again.outcome is Outcome.NOT_NEEDED  # it is no longer liquidatable, if short of the target
    for change in ({"close_all_below": 1}, {"close_all_under": 20_000}, {"close_factor": 1}):
        free = planned("ltv", {**content, "plan": {**terms, **change}})
        assert free.outcome is Outcome.RESTORED, change
        assert free.legs[0].amount > 4_150 * WAD


def test_the_cheapest_goes_first_and_depth_makes_size_dear() -> None:
    terms: dict[str, Any] = {**FREE, "assets": {"ETH": {"fee": 0.01}, "SOL": {"fee": 0.002}}}
    content = file(collateral=[held("ETH", 5), held("SOL", 100)], debts=usdc(16_600), plan=terms)
    assert [leg.name for leg in planned("ltv", content).legs] == ["collateral SOL for debt USDC"]
    terms["assets"]["SOL"]["depth"] = 5_000
    plan = planned("ltv", content)
    assert {leg.name for leg in plan.legs} == {"collateral ETH for debt USDC", "collateral SOL for debt USDC"}
    sol = next(leg for leg in plan.legs if "SOL" in leg.name)
    value = sol.amount * PICO // WAD
    assert sol.cost == value // 500 + -(-(value**2) // (100 * 5_000 * PICO))


@pytest.mark.parametrize(("order", "first"), [("volatile", "ETH"), ("illiquid", "SOL"), ("cheapest", "BTC")])
def test_the_order_is_a_term(order: str, first: str) -> None:
    assets = {
        "ETH": {"volatility": 0.9, "depth": 10**9, "fee": 0.003},
        "SOL": {"volatility": 0.5, "depth": 10**8, "fee": 0.002},
        "BTC": {"volatility": 0.3, "depth": 10**10, "fee": 0.001},
    }
    collateral = [held("ETH", 3), held("SOL", 60), held("BTC", "0.12")]
    terms = {**FREE, "order": order, "assets": assets}
    plan = planned("ltv", file(collateral=collateral, debts=usdc(14_900), plan=terms))
    assert plan.outcome is Outcome.RESTORED
    assert plan.legs[0].actions[0].holding == f"collateral {first}"


def test_volatility_and_depth_are_the_markets_unless_the_terms_have_their_own() -> None:
    market = {**MARKET, "ETH": {"price": 2_000, "vol": 0.5, "depth": 10**8}, "SOL": {"price": 100, "vol": 0.9}}
    _, terms = read("ltv", file(market=market, plan={"assets": {"ETH": {"volatility": 1}}}))
    assert (terms.of("ETH").volatility, terms.of("ETH").depth) == (WAD, 10**8 * PICO)
    assert terms.of("SOL").volatility == 9 * WAD // 10
    assert terms.of("USDC") == terms.usual


def test_dust_is_cleared_or_not_made() -> None:
    # 340 of 1300 would do: what is left of the debt would be dust.
    small = file(collateral=[held("ETH", "0.77")], debts=[held("USDC", 1_300)], plan={**FREE, "least_left": 1_000})
    plan = planned("ltv", small)
    assert plan.outcome is Outcome.RESTORED
    assert plan.legs[0].amount == 1_300 * WAD
    assert "debts" not in {held.kind for held in left("ltv", small, plan).holdings.values()}
    tolerant = planned("ltv", {**small, "plan": FREE})
    assert tolerant.legs[0].amount < 400 * WAD

    # Of a position nothing is left or as much.
    positions = file("dydx", cash=100, perpetuals=[held("ETH", 1)], plan={**FREE, "least_left": 1_000})
    assert planned("dydx", positions).legs[0].amount == WAD
    assert planned("dydx", {**positions, "plan": FREE}).legs[0].amount < WAD * 6 // 10


def test_positions_are_closed_in_lots_and_pay_their_fee() -> None:
    content = file(
        "dydx",
        cash=90,
        perpetuals=[held("ETH", 1, entry_price=1_990, funding=-4)],
        plan={"assets": {"ETH": {"lot": "0.1"}}, "least_left": 0},
    )
    plan = planned("dydx", content)
    (action,) = plan.legs[0].actions
    assert (plan.level, action.amount % (WAD // 10)) == ("initial", 0)
    part = action.amount * 10 // WAD
    assert action.cost == part * PICO // 10  # 5 bp of 200 for each tenth
    assert action.cash == part * PICO + action.funding - action.cost
    assert action.funding == -4 * PICO * part // 10
    assert left("dydx", content, plan).cash == 90 * PICO + action.cash


def test_a_hedge_is_closed_only_together_with_what_it_protects() -> None:
    """Neither the long future nor the short call in the money can go alone: so a part of both goes."""
    rules = {"price_range": 0.1, "vol_range": 0.05, "short_option_minimum": 20}
    content = file(
        "span",
        parameters={"assets": {"ETH": rules}},
        cash=10_150,
        perpetuals=[held("ETH", 10)],
        options=[option(-10, 1_000)],
        plan={**FREE, "close_factor": 1},
    )
    plan = planned("span", content)
    (leg,) = plan.legs
    assert (plan.outcome, leg.name) == (Outcome.RESTORED, "close a part of all ETH")
    assert 0 < leg.amount < WAD
    assert [action.amount for action in leg.actions] == [10 * leg.amount // 10**12 * 10**12] * 2


def test_positions_that_are_in_each_others_way_are_closed_together() -> None:
    """Less of the long calls helps until the short ones are more, and less of those never helps alone."""
    options = [option(10, 2_100), option(-9, 2_150)]
    content = file("span", cash=-100, options=options, plan={"bonus": 0, "least_left": 0})
    plan = planned("span", content)
    assert plan.outcome is Outcome.RESTORED
    assert [leg.name for leg in plan.legs] == ["close a part of all ETH"]


VENUES = {"a": {"limit": 100_000}, "b": {"limit": 100_000}}


@pytest.mark.parametrize(
    ("longs", "name"),
    [
        ([held("ETH", 10, venue="b")], "close a part of all ETH at all venues"),
        ([held("ETH", 8, venue="b")], "close a part of all ETH at all venues"),
        ([held("BTC", "0.4", venue="b")], "close a part of everything at all venues"),
        ([held("BTC", "0.2", venue="b"), held("SOL", 90, venue="b")], "close a part of everything at all venues"),
    ],
)
def test_what_hedges_across_venues_is_closed_at_both(longs: list[dict[str, object]], name: str) -> None:
    """At either alone the row in which the other loses would stay, and fees be lost."""
    content = file("hypothec", cash=2_400, venues=VENUES, perpetuals=[held("ETH", -10, venue="a"), *longs])
    account, terms = read("hypothec", content)
    plan = planned("hypothec", content)
    verify(plan, account, terms)
    (leg,) = plan.legs
    assert (plan.outcome, leg.name) == (Outcome.RESTORED, name)
    assert {account.holdings[action.holding].venue for action in leg.actions} == {"a", "b"}
    pieces = leg.pieces(account)
    assert len(pieces) == 4
    for piece in pieces:
        left = account.evaluate(piece.change(account)).levels
        for before, level in zip(plan.before.excess, left, strict=True):
            assert level.excess >= before - piece.cost


def test_a_leg_that_would_be_worse_at_one_of_its_venues_alone_is_refused() -> None:
    """Where a gain in the worst row is all that keeps a claim away, closing there alone costs more than fees."""
    positions = [held("ETH", -10, entry_price=1_700, venue="a"), held("BTC", "0.6", venue="b")]
    account, terms = read("hypothec", file("hypothec", cash=6_500, venues=VENUES, perpetuals=positions))
    goal = Goal.of(account, terms)
    (across,) = [each for each in candidates(goal) if each.name.endswith("at all venues")]
    scope = Scope.of(goal, bounded=False)
    some, every = scope.legs([(across, Wad(WAD // 4))]), scope.legs([(across, Wad(WAD))])
    assert some is not None
    assert every is not None
    assert (search.is_torn(goal, some[0]), search.worse_part(goal, some)) == (False, None)
    assert (search.is_torn(goal, every[0]), search.worse_part(goal, every)) == (True, every)
    with pytest.raises(PlanRefused) as refused:
        verify(assembled(goal, Outcome.RESTORED, every), account, terms)
    assert "worse" in refused.value.message


def test_every_subset_is_in_the_proof() -> None:
    collateral = [held("ETH", 3), held("SOL", 60), held("BTC", "0.12")]
    plan = planned("ltv", file(collateral=collateral, debts=usdc(17_500), plan={**FREE, "close_all_below": 1}))
    assert len(plan.legs) >= 2
    assert len(plan.proof) == 2 ** len(plan.legs) - 1
    assert plan.proof[-1].legs == tuple(leg.name for leg in plan.legs)
    assert plan.after.status == "healthy"


def test_an_insolvent_account_is_closed_and_its_loss_is_borne() -> None:
    plan = planned("ltv", file(collateral=ETH, debts=usdc(20_500), plan={**FREE, "insurance_fund": 400}))
    assert plan.outcome is Outcome.INSOLVENT
    assert plan.legs[0].actions[0].amount == 10 * WAD
    assert plan.net_value == -500 * PICO
    assert plan.settlement is not None
    assert (plan.settlement.insured, plan.settlement.uncovered) == (400 * PICO, 100 * PICO)
    assert plan.auction is not None
    assert plan.auction.is_insolvent


def test_a_venue_is_paid_its_claim_and_positions_settle_with_it() -> None:
    content = file(
        "hypothec",
        collateral=[held("USDC", 10_000), held("SOL", 20, chain="HALTED")],
        venues={"dex": {"limit": 100_000, "cash": -7_000}},
        perpetuals=[held("BTC", 1, entry_price=50_000, venue="dex")],
        plan={**FREE, "close_factor": 1},
    )
    plan = planned("hypothec", content)
    done = left("hypothec", content, plan)
    assert plan.outcome is Outcome.RESTORED
    assert "collateral SOL on HALTED" in done.holdings
    assert not any("SOL" in action.holding for leg in plan.legs for action in leg.actions)
    assert done.claim("dex") <= 7_000 * PICO
    unpaid = {**content, "collateral": [held("USDC", 6_000)]}
    insolvent = planned("hypothec", unpaid)
    assert insolvent.outcome is Outcome.INSOLVENT
    assert insolvent.net_value == -1_000 * PICO
    (seizure,) = [leg for leg in insolvent.legs if leg.actions[0].settles == "claim of dex"]
    assert seizure.actions[0].settled == 6_000 * WAD
    assert left("hypothec", unpaid, insolvent).venues["dex"].seized == 6_000 * PICO


def at_dex(limit: int, *collateral: dict[str, object], market: dict[str, Any] | None = None) -> dict[str, Any]:
    """7000 are owed to a venue that may claim so much."""
    venues = {"dex": {"limit": limit, "cash": -7_000}}
    return file("hypothec", market=market or MARKET, collateral=list(collateral), venues=venues, plan=FREE)


def test_a_venue_gets_no_more_than_its_limit() -> None:
    for limit, owed in ((100_000, 7_000), (5_000, 5_000)):
        content = at_dex(limit, held("USDC", 4_000))
        plan = planned("hypothec", content)
        assert (plan.outcome, plan.net_value) == (Outcome.INSOLVENT, (4_000 - owed) * PICO)
        assert left("hypothec", content, plan).venues["dex"].most == (limit - 4_000) * PICO


@pytest.mark.parametrize(
    ("holding", "market"),
    [
        (held("SOL", 50, chain="HALTED"), MARKET),
        (held("SOL", 50), {**MARKET, "SOL": {"price": 100, "status": "FROZEN"}}),
    ],
)
def test_what_is_not_certainly_there_at_its_price_is_not_taken(
    holding: dict[str, object], market: dict[str, Any]
) -> None:
    content = at_dex(100_000, held("USDC", 3_000), holding, market=market)
    account, _ = read("hypothec", content)
    assert [each.is_available for each in account.holdings.values() if each.asset == "SOL"] == [False]
    plan = planned("hypothec", content)
    assert not any("SOL" in action.holding for leg in plan.legs for action in leg.actions)
    assert plan.outcome is not Outcome.RESTORED
    assert planned("hypothec", at_dex(100_000, held("USDC", 3_000), held("SOL", 10))).legs[-1].actions


def test_more_legs_than_the_terms_allow_are_left_to_the_next_plan() -> None:
    collateral = [held("ETH", 2), held("SOL", 40), held("BTC", "0.08")]
    content = file(collateral=collateral, debts=usdc(11_700), plan={**FREE, "most_legs": 1})
    plan = planned("ltv", content)
    assert (plan.outcome, len(plan.legs)) == (Outcome.BOUNDED, 1)
    assert (
        planned("ltv", {**content, "plan": FREE}).outcome is Outcome.INSOLVENT
        or len(planned("ltv", {**content, "plan": FREE}).legs) > 1
    )


def test_a_plan_that_has_too_few_legs_stays_within_the_close_factor() -> None:
    """At a ratio of 0.98 and with one leg allowed: a quarter of the debt, not all that the leg could pay."""
    terms = {**FREE, "close_factor": "0.25", "most_legs": 1, "target": {"ratio": "1.05"}}
    content = file(collateral=[held("BTC", "0.001")], debts=usdc(2_000), cash=1_909, plan=terms)
    plan = planned("ltv", content)
    assert (plan.outcome, [leg.name for leg in plan.legs]) == (Outcome.BOUNDED, ["cash for debt USDC"])
    assert plan.legs[0].amount == 500 * WAD
    free = planned("ltv", {**content, "plan": {**terms, "close_factor": 1}})
    assert free.legs[0].amount > 500 * WAD


def test_of_very_many_candidates_the_first_and_then_the_largest_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of all is everything together; by volatility SOL is before it."""
    monkeypatch.setattr(search, "MOST_TRIED", 1)
    positions = [held("ETH", 1), held("BTC", "0.1"), held("SOL", 10)]
    for order, legs in (("cheapest", ["close a part of everything"]), ("volatile", ["close perpetual SOL"])):
        terms = {**FREE, "close_factor": 1, "order": order, "assets": {"SOL": {"volatility": 2}}}
        content = file("dydx", perpetuals=positions, cash=475, plan={**terms, "target": {"level": "maintenance"}})
        assert [leg.name for leg in planned("dydx", content).legs] == legs


def test_what_the_profile_cannot_judge_is_not_planned() -> None:
    with pytest.raises(UnknownAsset, match="FTT"):
        planned("ltv", file(collateral=[*ETH, held("FTT", 1)], debts=usdc(16_600)))
    assert planned("ltv", file(collateral=[*ETH, held("FTT", 0)], debts=usdc(16_600))).outcome is Outcome.RESTORED


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"close_factor": 1.5}, "close_factor"),
        ({"order": "best"}, "order"),
        ({"most_legs": 11}, "most_legs"),
        ({"least_left": 1_500}, "least_left"),
        ({"lot": 0}, "lot"),
        ({"bonus": 2}, "bonus"),
        ({"assets": {"ETH": {"fee": -1}}}, "fee"),
        ({"insurance_fund": -1}, "insurance_fund"),
        ({"auction": {"curve": "linear", "start": 0.5, "end": 0.6}}, "start"),
        ({"auction": {"fast": 0}}, "fast"),
        ({"counterparties": [{"account": "b"}, {"account": "b"}]}, "account"),
        ({"target": {"ratio": "x"}}, "ratio"),
    ],
)
def test_terms_that_cannot_be_used_are_refused_by_name(terms: dict[str, Any], field: str) -> None:
    with pytest.raises(PortfolioError) as refused:
        read("ltv", file(plan=terms))
    assert refused.value.field == field


def test_too_many_holdings_are_refused() -> None:
    market = {f"T{place}": {"price": 1} for place in range(1_001)}
    with pytest.raises(PortfolioError, match="split"):
        read("ltv", file(market=market, collateral=[held(name, 1) for name in market]))


def test_what_helps_one_level_at_the_expense_of_another_is_not_done() -> None:
    """ETH counts nothing for borrowing and nearly all for liquidation: at this fee a sale costs more than it frees."""
    assets = {"ETH": {"borrow": 0, "liquidation": 0.98}, "USDC": {"borrow": 0.75, "liquidation": 0.78}}
    content = file(parameters={"assets": assets}, collateral=ETH, debts=usdc(19_700), plan={**FREE, "fee": "0.03"})
    plan = planned("ltv", content)
    assert (plan.outcome, plan.legs) == (Outcome.STUCK, ())
    assert planned("ltv", {**content, "plan": FREE}).legs


def test_a_perpetual_that_its_venue_marks_is_closed_at_the_worse_price() -> None:
    market = {**MARKET, "ETH": {"price": 2_000, "perpetual_price": 1_990}}
    for amount, price in ((1, 1_990), (-1, 2_000)):
        account, _ = read("dydx", file("dydx", market=market, perpetuals=[held("ETH", amount)]))
        assert account.holdings["perpetual ETH"].price == price * WAD


def test_a_debt_is_repaid_with_its_interest() -> None:
    market = {**MARKET, "USDC": {"price": 1, "borrow_index": "1.1"}}
    content = file(market=market, collateral=ETH, debts=[held("USDC", 15_091, index=1)], plan=FREE)
    plan = planned("ltv", content)
    assert plan.outcome is Outcome.RESTORED
    left_over = left("ltv", content, plan).holdings["debt USDC"]
    assert left_over.amount == 15_091 * WAD * 11 // 10 - plan.legs[0].amount
    assert "index" not in left_over.item
