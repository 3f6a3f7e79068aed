"""What holds of every plan, over generated books and several profiles."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from node.margin.models.fixed import WAD, Money, Wad
from node.margin.planning.account import Account, Change, Instrument, Kind
from node.margin.planning.legs import Action, Leg, after
from node.margin.planning.losses import Exposure, ranked, settle
from node.margin.planning.plan import Outcome, Plan, plan_liquidation
from node.margin.planning.target import Goal
from node.margin.planning.terms import Counterparty, CounterPosition, Terms
from node.margin.planning.verify import verify
from tests.unit.margin_planning.files import MARKET, file, held, option, read

COINS = {"ETH": 2_000, "BTC": 50_000, "SOL": 100}
FAST = ("ltv", "dydx", "drift", "mango")
SCANS = ("span", "deribit-like", "hypothec")


def tenths(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(lambda number: f"{number / 10:.1f}")


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "order": draw(st.sampled_from(["cheapest", "volatile", "illiquid"])),
        "close_factor": draw(st.sampled_from(["0.25", "0.5", "1"])),
        "close_all_under": 2_000,
        "least_left": draw(st.sampled_from([0, 300, 1_000])),
        "fee": draw(st.sampled_from(["0", "0.0005", "0.01"])),
        "bonus": draw(st.sampled_from(["0", "0.05", "0.1"])),
        "most_legs": draw(st.integers(1, 4)),
        "target": {"ratio": draw(st.sampled_from(["1", "1.05"]))},
        "insurance_fund": draw(st.sampled_from([0, 500])),
        "assets": {
            coin: {"depth": draw(st.sampled_from([0, 10_000, 10**6])), "volatility": draw(tenths(1, 15))}
            for coin in COINS
        },
    }


@st.composite
def books(draw: st.DrawFn, profile: str) -> dict[str, Any]:
    """An account that is liquidatable by up to its size: some are restored by little, some are insolvent."""
    scale = draw(st.sampled_from([500, 5_000, 50_000]))

    def some(low: int, high: int) -> list[dict[str, object]]:
        names = draw(st.sets(st.sampled_from(sorted(COINS)), max_size=3))
        return [
            held(coin, f"{draw(st.integers(low, high)) * scale / (100 * COINS[coin]):.8f}", venue=draw(venues))
            for coin in sorted(names)
        ]

    venues = st.sampled_from(["", "dex"]) if profile in FAST else st.just("")
    content: dict[str, Any] = {"cash": 0}
    if profile not in {"dydx", "span"}:
        content["collateral"] = some(1, 100)
    if profile in {"ltv", "drift", "mango"}:
        content["debts"] = [held("USDC", draw(st.integers(0, 150)) * scale // 100)]
    if profile != "ltv":
        content["perpetuals"] = [
            {**each, "entry_price": COINS[str(each["asset"])] * draw(st.integers(90, 110)) // 100, "funding": 1}
            for each in some(-400, 400)
        ]
    if profile in SCANS:
        strikes = draw(st.sets(st.sampled_from([1_800, 2_000, 2_300]), max_size=2))
        content["options"] = [
            option(f"{draw(st.integers(-300, 300)) * scale / 200_000:.4f}", strike) for strike in sorted(strikes)
        ]
    if profile == "hypothec":
        content["perpetuals"] = [{**each, "venue": "dex"} for each in content["perpetuals"]]
        content["venues"] = {"dex": {"limit": scale * 10, "cash": draw(st.integers(-50, 20)) * scale // 100}}
    made = file(profile, market=MARKET, plan=draw(terms()), **content)
    excess = read(profile, made)[0].evaluate().levels[-1].excess
    short = draw(st.one_of(st.integers(1, 10), st.integers(1, 60))) * scale // 100
    return {**made, "cash": -(excess // 10**12) - short}


def cases(*profiles: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.sampled_from(profiles).flatmap(lambda name: st.tuples(st.just(name), books(name)))


def liquidated(profile: str, content: dict[str, Any]) -> tuple[Plan, Account, Terms]:
    account, rules = read(profile, content)
    return plan_liquidation(account, rules), account, rules


def check(profile: str, content: dict[str, Any]) -> None:
    plan, account, rules = liquidated(profile, content)
    goal = Goal.of(account, rules)
    done = after(account, plan.legs)
    event(f"{profile}: {plan.outcome}, {len(plan.legs)} legs")

    # It restores, or says why not.
    if plan.outcome is Outcome.RESTORED:
        assert goal.missing(done.evaluate()) <= 0
        assert plan.legs
    elif plan.outcome is Outcome.INSOLVENT:
        assert done.net_value < 0
        assert plan.settlement is not None
        assert plan.settlement.loss == -done.net_value
    elif plan.outcome is Outcome.CLOSED:
        assert done.cash >= 0
        assert not any(each.kind.is_position for each in done.holdings.values())
    elif plan.outcome is Outcome.BOUNDED:
        assert plan.legs

    # It never takes more than is held, nor closes into the opposite position.
    total = Change.total(leg.change(account) for leg in plan.legs)
    for name, change in total.amounts.items():
        amount = account.holdings[name].amount
        assert amount * (amount + change) >= 0
        assert abs(amount + change) < abs(amount)
    assert len(plan.legs) <= rules.most_legs

    # Every subset leaves the account no worse, by an evaluation that asks nothing of the plan's own.
    checked = 0
    for count in range(1, len(plan.legs) + 1):
        for part in combinations(plan.legs, count):
            evaluation = after(account, part).evaluate()
            for before, now in zip(goal.before.levels, evaluation.levels, strict=True):
                assert now.excess >= before.excess
            assert (evaluation.status, tuple(each.excess for each in evaluation.levels)) == (
                plan.proof[checked].status,
                plan.proof[checked].excess,
            )
            checked += 1
    assert checked == len(plan.proof)

    # No costs come from nowhere: what the account loses at market prices is what the legs cost.
    rounding = 10 * sum(len(leg.actions) for leg in plan.legs)
    crumbs = rounding + 10**10 * sum(each.cash >= 0 for leg in plan.legs for each in leg.actions)
    lost = account.net_value - done.net_value
    if not account.venues:
        assert plan.cost - rounding <= lost <= plan.cost + crumbs

    # It takes no more than it has to, but for legs that must clear a side.
    if plan.outcome is Outcome.RESTORED and not rules.least_left:
        assert goal.missing(after(account, halved(plan)).evaluate()) > 0

    verify(plan, account, rules)


def halved(plan: Plan) -> tuple[Leg, ...]:
    """Half of every figure of every leg."""

    def half(action: Action) -> Action:
        amount, settled, cash, funding = action.amount, action.settled, action.cash, action.funding
        return replace(
            action,
            amount=Wad(amount // 2),
            settled=Wad(settled // 2),
            cash=Money(cash // 2),
            funding=Money(funding // 2),
        )

    return tuple(replace(leg, actions=tuple(map(half, leg.actions))) for leg in plan.legs)


@settings(max_examples=30)
@given(cases(*FAST))
def test_every_plan_is_safe_in_all_its_parts_and_says_what_it_comes_to(case: tuple[str, dict[str, Any]]) -> None:
    check(*case)


@pytest.mark.slow
@settings(max_examples=25)
@given(cases(*SCANS))
def test_so_it_is_under_scanning_profiles(case: tuple[str, dict[str, Any]]) -> None:
    check(*case)


@settings(max_examples=8)
@given(cases(*FAST), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_lists(case: tuple[str, dict[str, Any]], random: Any) -> None:  # noqa: ANN401
    profile, content = case
    plan, _, _ = liquidated(profile, content)
    shuffled = dict(content)
    for section in ("collateral", "debts", "perpetuals"):
        if section in content:
            shuffled[section] = random.sample(content[section], len(content[section]))
    names = random.sample(sorted(content["plan"]["assets"]), len(COINS))
    shuffled["plan"] = {**content["plan"], "assets": {name: content["plan"]["assets"][name] for name in names}}
    assert liquidated(profile, shuffled)[0] == plan


INSTRUMENTS = {
    "ETH": Instrument(Kind.PERPETUAL, "ETH"),
    "ETH future": Instrument(Kind.FUTURE, "ETH", 86_400),
    "ETH call": Instrument(Kind.OPTION, "ETH", 86_400, Wad(2_000 * WAD), is_call=True),
    "BTC": Instrument(Kind.PERPETUAL, "BTC"),
}
MARKS = {"ETH": 2_000, "ETH future": 2_010, "ETH call": 80, "BTC": 50_000}


@st.composite
def counterparties(draw: st.DrawFn) -> list[Counterparty]:
    names = draw(st.sets(st.sampled_from("abcdefgh"), max_size=6))
    usd = st.integers(0, 10**16).map(Money)

    def position(asset: str) -> CounterPosition:
        amount, entry = draw(st.integers(-(10**20), 10**20)), draw(st.integers(1, 10**23))
        return CounterPosition(INSTRUMENTS[asset], Wad(amount), Wad(entry))

    assets = st.sets(st.sampled_from(sorted(INSTRUMENTS))).map(sorted)
    return [Counterparty(name, draw(usd), tuple(map(position, draw(assets)))) for name in sorted(names)]


@settings(max_examples=60)
@given(
    st.integers(1, 10**17).map(Money),
    st.integers(0, 10**16).map(Money),
    st.dictionaries(st.sampled_from(sorted(INSTRUMENTS)), st.integers(-(10**20), 10**20)),
    counterparties(),
)
def test_losses_are_borne_to_the_last_unit_and_no_further(
    loss: Money, fund: Money, signed: dict[str, int], others: list[Counterparty]
) -> None:
    exposure = {
        INSTRUMENTS[name]: Exposure(amount, Wad(MARKS[name] * WAD), Wad(2_000 * WAD)) for name, amount in signed.items()
    }
    result = settle(loss, fund, exposure, others)
    socialised = sum(each.paid for each in result.socialised)
    deleveraged = sum(each.paid for each in result.deleveraged)
    assert result.insured + deleveraged + socialised + result.uncovered == loss
    assert 0 <= result.insured == min(fund, loss)
    assert result.uncovered >= 0
    held_by = {(each.account, one.instrument): one for each in others for one in each.positions}
    closed = dict.fromkeys(exposure, 0)
    for each in result.deleveraged:
        one = held_by[each.account, each.instrument]
        profit = one.amount * (exposure[each.instrument].mark - one.entry) // 10**24
        assert one.amount * exposure[each.instrument].amount < 0
        assert 0 < each.amount <= abs(one.amount)
        assert 0 < each.paid * abs(one.amount) <= profit * each.amount
        closed[each.instrument] += each.amount
    assert all(amount <= abs(exposure[instrument].amount) for instrument, amount in closed.items())
    # By rank, and nobody before the fund has nothing left; who is passed over has nothing that is still open.
    scores = [each.score for each in result.deleveraged]
    assert scores == sorted(scores, reverse=True)
    assert not result.deleveraged or result.insured == fund
    if socialised or result.uncovered:
        taken = {(each.account, each.instrument): each.amount for each in result.deleveraged}
        for one_ranked in ranked(exposure, others):
            left = one_ranked.size - taken.get((one_ranked.account, one_ranked.instrument), 0)
            still_open = abs(exposure[one_ranked.instrument].amount) - closed[one_ranked.instrument]
            assert one_ranked.profit * min(left, still_open) // one_ranked.size == 0
    equity = {each.account: each.equity for each in others}
    assert all(0 < each.paid <= equity[each.account] for each in result.socialised)
    # Nobody shares before those with profits have paid all that they can, nor goes short before all equity has.
    assert not result.uncovered or socialised == sum(equity.values())
    assert settle(loss, fund, exposure, others[::-1]) == result
