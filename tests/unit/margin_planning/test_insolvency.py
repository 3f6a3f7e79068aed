"""Accounts that are worth nothing or less: what helps is closed, what is lost is said, and who bears it in order."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import PICO, WAD, Wad
from node.margin.planning.account import Instrument, Kind
from node.margin.planning.legs import after
from node.margin.planning.losses import Settlement
from node.margin.planning.plan import Outcome, Plan, plan_liquidation
from node.margin.planning.verify import verify
from tests.unit.margin_planning.files import DAY, MARKET, file, held, option, read

LONG: dict[str, Any] = {"cash": -100, "perpetuals": [held("ETH", 1, entry_price=1_900)]}
"""Worth nothing: what it has gained it owes."""


def plan_of(profile: str = "hypothec", **content: Any) -> Plan:  # noqa: ANN401 - any JSON
    account, terms = read(profile, file(profile, **content))
    plan = plan_liquidation(account, terms)
    verify(plan, account, terms)
    return plan


def settled(plan: Plan) -> Settlement:
    assert plan.outcome is Outcome.INSOLVENT
    assert plan.settlement is not None
    return plan.settlement


def other(account: str, equity: int, *positions: dict[str, object]) -> dict[str, Any]:
    return {"account": account, "equity": equity, "positions": list(positions)}


def short(amount: int = -1, entry: int = 2_500, **more: object) -> dict[str, object]:
    return {"asset": "ETH", "amount": amount, "entry_price": entry, **more}


@pytest.mark.parametrize("profile", ["hypothec", "dydx"])
@pytest.mark.parametrize("equity", [-500, -1, 0])
def test_whatever_it_is_short_of_all_is_closed_and_the_loss_said(profile: str, equity: int) -> None:
    plan = plan_of(profile, **{**LONG, "cash": equity - 100})
    assert [leg.name for leg in plan.legs] == ["close perpetual ETH"]
    assert plan.legs[0].amount == WAD
    assert plan.after.excess[-1] > plan.before.excess[-1]
    assert settled(plan).loss == -plan.net_value == (1 - equity) * PICO  # the fee is lost too
    assert settled(plan).uncovered == settled(plan).loss
    assert settled(plan).remainder == ()


def test_an_account_that_costs_alone_would_ruin_is_closed_and_not_left_open() -> None:
    """Half of it could be closed without insolvency; the other half would stay open for ever."""
    plan = plan_of(**{**LONG, "cash": "-99.5"})
    assert (plan.before.status, plan.after.status) == ("liquidatable", "insolvent")
    assert plan.legs[0].amount == WAD
    assert settled(plan).loss == PICO // 2
    # With what pays the fee nobody else is asked.
    assert plan_of(**{**LONG, "cash": -99}).outcome is Outcome.RESTORED


def test_maintenance_that_can_be_brought_back_is() -> None:
    content: dict[str, Any] = {"collateral": [held("ETH", 1)], "debts": [held("USDC", 1_700)]}
    assert plan_of(**content, plan={"bonus": 0, "least_left": 0}).outcome is Outcome.RESTORED


def test_of_a_venue_no_more_is_lost_than_its_limit() -> None:
    venue: dict[str, Any] = {"cash": 1_000, "perpetuals": [held("ETH", 10, venue="dex")]}
    for limit, loss in ((100_000, 510), (1_200, 200)):
        plan = plan_of(**venue, venues={"dex": {"limit": limit, "cash": -1_500}})
        assert settled(plan).loss == loss * PICO


def test_the_fund_goes_first_then_ranks_then_all() -> None:
    others = [other("calm", 90_000, short()), other("wild", 10, short()), other("idle", 100)]
    account: dict[str, Any] = {"cash": -3_000, "perpetuals": [held("ETH", 2, entry_price=2_000)]}
    for fund, deleveraged, socialised in ((5_000, [], 0), (2_900, ["wild"], 0), (2_400, ["wild", "calm"], 0)):
        found = settled(plan_of(**account, plan={"insurance_fund": fund, "counterparties": others}))
        assert found.insured == min(fund * PICO, found.loss)
        assert [each.account for each in found.deleveraged] == deleveraged
        assert sum(each.paid for each in found.socialised) == socialised
    beyond = settled(plan_of(**account, plan={"counterparties": others}))
    assert [each.paid for each in beyond.deleveraged] == [500 * PICO, 500 * PICO]
    assert sum(each.paid for each in beyond.socialised) == 2_000 * PICO
    scores = [each.score for each in beyond.deleveraged]
    assert scores == sorted(scores, reverse=True)


def test_what_is_deleveraged_is_not_closed_at_the_market_first() -> None:
    """Whoever is deleveraged closes against a position that is there; and the fee on it is saved."""
    account: dict[str, Any] = {"cash": -3_000, "perpetuals": [held("ETH", 10, entry_price=2_000)]}
    alone = plan_of(**account)
    plan = plan_of(**account, plan={"counterparties": [other("bob", 10**6, short(-4))]})
    (leg,) = plan.legs
    assert (alone.legs[0].amount, leg.amount) == (10 * WAD, 6 * WAD)
    assert alone.cost - plan.cost == 4 * PICO
    found = settled(plan)
    (bob,) = found.deleveraged
    assert (bob.amount, bob.paid) == (4 * WAD, 2_000 * PICO)
    assert found.loss == 3_006 * PICO
    assert found.remainder == ()
    # The fund alone is enough: all is closed at the market, and bob keeps what is his.
    rich = settled(
        plan_of(**account, plan={"counterparties": [other("bob", 10**6, short(-4))], "insurance_fund": 10**4})
    )
    assert rich.deleveraged == ()
    assert rich.loss == 3_010 * PICO


def test_ranks_are_of_what_the_plan_leaves_open() -> None:
    """Neither who is opposite to nothing, nor who was opposite to what is closed already, is deleveraged."""
    market = {**MARKET, "BTC": {"price": 50_000, "status": "FROZEN"}}
    account: dict[str, Any] = {
        "market": market,
        "cash": -30_000,
        "perpetuals": [held("ETH", 10), held("BTC", "0.1", entry_price=50_000)],
    }
    others = [
        other("btc", 10**6, {"asset": "BTC", "amount": "-0.2", "entry_price": 90_000}),
        other("same side", 10**6, short(4, 1_000)),
    ]
    found = settled(plan_of(**account, plan={"counterparties": others}))
    assert [(each.account, str(each.instrument)) for each in found.deleveraged] == [("btc", "perpetual BTC")]
    assert found.deleveraged[0].paid == 4_000 * PICO
    assert [(each.holding, each.amount) for each in found.remainder] == []


def test_options_and_futures_are_deleveraged_by_what_they_are() -> None:
    future = {"asset": "ETH", "seconds": 30 * DAY}
    account: dict[str, Any] = {
        "cash": -9_000,
        "options": [option(-10), option(10, 1_500, call=False)],
        "futures": [held("ETH", 2, seconds=30 * DAY, entry_price=2_000)],
    }
    call = {"asset": "ETH", "seconds": 30 * DAY, "strike": 2_000, "call": True}
    others = [
        other("call", 10**5, {**call, "amount": 4, "entry_price": 10}),
        other("put", 10**5, {**call, "call": False, "amount": 4, "entry_price": 10}),
        other("strike", 10**5, {**call, "strike": 2_001, "amount": 4, "entry_price": 10}),
        other("perpetual", 10**5, short(-4)),
        other("future", 10**5, {**future, "amount": -1, "entry_price": 2_600}),
    ]
    plan = plan_of(**account, plan={"counterparties": others})
    found = settled(plan)
    assert {each.account: each.instrument for each in found.deleveraged} == {
        "call": Instrument(Kind.OPTION, "ETH", 30 * DAY, Wad(2_000 * WAD), is_call=True),
        "future": Instrument(Kind.FUTURE, "ETH", 30 * DAY),
    }
    by_name = {each.account: each for each in found.deleveraged}
    assert (by_name["future"].amount, by_name["future"].paid) == (WAD, 600 * PICO)
    mark = read("hypothec", file("hypothec", **account))[0].holdings["option ETH-2592000-2000-C"].price
    assert by_name["call"].amount == 4 * WAD
    assert by_name["call"].paid == 4 * (mark - 10 * WAD) * PICO // WAD
    left = after(read("hypothec", file("hypothec", **account))[0], plan.legs).holdings
    assert left["option ETH-2592000-2000-C"].size >= 4 * WAD
    assert left["future ETH-2592000"].size >= WAD
    # What hedges them and so is open still goes with the loss.
    rest = {name: int(held.size) for name, held in left.items() if held.kind.is_position}
    rest["option ETH-2592000-2000-C"] -= by_name["call"].amount
    rest["future ETH-2592000"] -= by_name["future"].amount
    assert {each.holding: abs(each.amount) for each in found.remainder} == {n: size for n, size in rest.items() if size}


def test_what_no_leg_may_touch_goes_with_the_loss() -> None:
    """Collateral and the short that it hedges: either alone would leave the account worse."""
    account: dict[str, Any] = {
        "collateral": [held("BTC", 1)],
        "perpetuals": [held("BTC", -1, entry_price=30_000)],
        "cash": -30_500,
    }
    found = settled(plan_of(**account, plan={"insurance_fund": 10_000}))
    assert 500 * PICO <= found.loss == found.insured < 510 * PICO
    names = [each.holding for each in found.remainder]
    assert names == ["collateral BTC", "perpetual BTC"]
    assert found.remainder[0].amount == WAD
    assert -WAD < found.remainder[1].amount < 0


@pytest.mark.parametrize(
    "position",
    [{"asset": "ETH", "amount": 1, "entry_price": 1, "strike": 2_000}, {**short(), "seconds": -1}, {"asset": "ETH"}],
)
def test_positions_of_counterparties_that_cannot_be_read_are_refused(position: dict[str, object]) -> None:
    with pytest.raises(PortfolioError):
        plan_of(**LONG, plan={"counterparties": [other("bob", 1, position)]})
