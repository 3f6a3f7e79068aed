"""What-if by hand: the change of each level, and what is admissible."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.errors import ExpiredInstrument, MissingField, PortfolioError, UnknownAsset
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO
from node.margin.planning.proposals import carried_out, read_proposal
from node.margin.planning.what_if import Step, Verdict
from tests.unit.margin_planning.files import DAY, MARKET, asked, file, held, option, read


def step(profile: str, proposal: dict[str, Any], **content: object) -> Step:
    (only,) = asked(profile, file(profile, what_if=[proposal], **content))
    return only


def changes(made: Step) -> dict[str, float]:
    return {name: amount / PICO for name, amount in made.change.items()}


def buy(amount: float | str, asset: str = "ETH", **more: object) -> dict[str, Any]:
    return {"trade": "perpetual", "asset": asset, "amount": amount, **more}


def test_each_level_changes_by_what_the_profile_says() -> None:
    made = step("ltv", {"deposit": "ETH", "amount": 1}, collateral=[held("ETH", 1)])
    assert changes(made) == {"borrow": 1_600, "liquidation": 1_650}
    made = step("ltv", {"repay": "USDC", "amount": 7}, debts=[held("USDC", 10)])
    assert changes(made) == {"borrow": 7, "liquidation": 7}
    assert changes(step("ltv", {"borrow": "USD", "amount": 7})) == {"borrow": -7, "liquidation": -7}
    assert changes(step("dydx", buy(1, fee=1), cash=1_000)) == {"initial": -201, "maintenance": -121}
    assert changes(step("dydx", buy(1, price=2_010), cash=1_000)) == {"initial": -210, "maintenance": -130}


def test_what_leaves_initial_margin_is_admitted() -> None:
    held_eth = {"collateral": [held("ETH", 10)], "debts": [held("USDC", 8_000)]}
    assert step("ltv", {"withdraw": "ETH", "amount": 5}, **held_eth).verdict is Verdict.ADMITTED
    assert step("ltv", {"withdraw": "ETH", "amount": "5.001"}, **held_eth).verdict is Verdict.BELOW_INITIAL_MARGIN
    assert step("ltv", {"withdraw": "ETH", "amount": 11}, **held_eth).verdict is Verdict.NOT_HELD
    assert step("ltv", {"withdraw": "SOL", "amount": 1}, **held_eth).verdict is Verdict.NOT_HELD
    assert step("ltv", {"repay": "USDC", "amount": 8_001}, **held_eth).verdict is Verdict.NOT_HELD
    assert step("ltv", {"withdraw": "USD", "amount": 6}, cash=5).verdict is Verdict.NOT_HELD
    assert step("dydx", buy(5), cash=1_000).verdict is Verdict.ADMITTED
    assert step("dydx", buy("5.01"), cash=1_000).verdict is Verdict.BELOW_INITIAL_MARGIN


def test_steps_build_upon_those_that_were_admitted() -> None:
    proposals = [
        {"withdraw": "USD", "amount": 950},  # refused
        buy(4),
        buy(-1, price=2_100),
        {"withdraw": "USD", "amount": 301},
        {"withdraw": "USD", "amount": 300},
    ]
    steps = asked("dydx", file("dydx", cash=1_000, perpetuals=[held("ETH", 1)], what_if=proposals))
    assert [each.verdict.is_admitted for each in steps] == [False, True, True, False, True]
    assert steps[2].before == steps[1].after
    assert changes(steps[2])["initial"] == 300  # 100 gained, 200 no longer required


def test_a_trade_that_strictly_reduces_risk_is_admitted_below_initial_margin() -> None:
    short = {"cash": 100, "perpetuals": [held("ETH", 2)]}
    assert step("dydx", buy(-1), **short).verdict is Verdict.REDUCES_RISK
    assert step("dydx", buy(1), **short).verdict is Verdict.BELOW_INITIAL_MARGIN
    assert step("dydx", buy(-5), **short).verdict is Verdict.BELOW_INITIAL_MARGIN
    # As much risk the other way is no reduction, whatever the price.
    assert step("dydx", buy(-4), **short).verdict is Verdict.BELOW_INITIAL_MARGIN
    assert step("dydx", buy(-4, price=2_010), **short).verdict is Verdict.BELOW_INITIAL_MARGIN
    # A price that gives the gain away, or a fee: no level may be lower after it.
    assert step("dydx", buy(-1, price=1_700), **short).verdict is Verdict.BELOW_INITIAL_MARGIN
    # A price that no market gives does not make more risk less.
    assert step("dydx", buy(1, price=1_000), **{**short, "cash": -5_000}).verdict is Verdict.BELOW_INITIAL_MARGIN


def test_a_hedge_may_be_bought_below_initial_margin() -> None:
    naked = {"cash": 500, "options": [option(-10)]}
    hedge = {"trade": "option", **option(10, 2_200)}
    made = step("span", hedge, **naked)
    assert made.verdict is Verdict.REDUCES_RISK
    assert made.before is not None
    assert made.before.levels[0].excess < 0


@pytest.mark.parametrize("profile", ["dydx", "hypothec"])
def test_a_bad_feed_never_blocks_a_reduction_elsewhere(profile: str) -> None:
    market = {**MARKET, "BTC": {"status": "MISSING"}}
    mixed = {"market": market, "cash": 100, "perpetuals": [held("ETH", 2), held("BTC", "0.01", entry_price=50_000)]}
    assert step(profile, buy(-1), **mixed).verdict is Verdict.REDUCES_RISK
    assert not step(profile, buy(1), **mixed).verdict.is_admitted
    assert step(profile, buy(-1, "BTC"), **mixed).verdict is Verdict.UNKNOWN


def test_what_was_not_judged_is_said_with_the_reason() -> None:
    market = {**MARKET, "BTC": {}}
    mixed = {"market": market, "cash": 100, "perpetuals": [held("ETH", 2), held("BTC", "0.01")]}
    made = step("dydx", buy(-1), **mixed)
    assert (made.blind, made.before, made.after, made.change) == (("BTC",), None, None, {})
    assert made.error is not None
    assert (made.error.account, made.error.instrument, made.error.field) == ("alice", "BTC", "price")
    assert step("dydx", buy(-1), cash=100, perpetuals=[held("ETH", 2)]).error is None


def test_collateral_that_nobody_can_judge_is_not_admitted() -> None:
    """Else a deposit of what has no price would leave the account unknown, and so immune."""
    owing = {"collateral": [held("ETH", 10)], "debts": [held("USDC", 8_000)]}
    proposals = [{"deposit": "DUST", "amount": 1}, {"withdraw": "ETH", "amount": 1}]
    dust, after = asked("ltv", file("ltv", **owing, what_if=proposals))
    assert dust.verdict is Verdict.UNKNOWN
    assert dust.error is not None
    assert (dust.error.instrument, dust.error.field) == ("DUST", "market")
    assert (after.verdict, after.error) == (Verdict.ADMITTED, None)


@pytest.mark.parametrize(
    ("trade", "error", "field"),
    [
        (option(-1, seconds=-5), ExpiredInstrument, "seconds"),
        (option(-1, seconds=77), MissingField, "expiries"),
        ({**option(-1), "asset": "DOGE"}, UnknownAsset, "market"),
        ({**option(-1), "venue": "elsewhere"}, MissingField, "venues"),
    ],
)
def test_a_trade_that_cannot_be_judged_says_why(trade: dict[str, Any], error: type[PortfolioError], field: str) -> None:
    made = step("hypothec", {"trade": "option", **trade}, cash=1_000)
    assert made.verdict is Verdict.UNKNOWN
    assert isinstance(made.error, error)
    assert (made.error.account, made.error.field) == ("alice", field)


def test_withdrawals_are_never_supported_by_a_venues_profit() -> None:
    gained = {"cash": 300, "perpetuals": [held("ETH", 1, entry_price=1_500, venue="dex")]}
    made = step("dydx", {"withdraw": "USD", "amount": 101}, **gained)
    assert made.after is not None
    assert made.after.levels[0].excess > 0
    assert made.verdict is Verdict.SUPPORTED_BY_PROFIT_ONLY
    assert step("dydx", {"withdraw": "USD", "amount": 100}, **gained).verdict is Verdict.ADMITTED
    # A loss at one venue is not paid by a profit at another; within one it is.
    losing = held("BTC", "0.01", entry_price=80_000)
    for venue, verdict in (("dex", Verdict.ADMITTED), ("cex", Verdict.SUPPORTED_BY_PROFIT_ONLY)):
        both = {"cash": 500, "perpetuals": [*gained["perpetuals"], {**losing, "venue": venue}]}  # type: ignore[misc]
        assert step("dydx", {"withdraw": "USD", "amount": 250}, **both).verdict is verdict, venue


def test_who_owes_nothing_may_withdraw_whatever_the_prices() -> None:
    unpriced = {"market": {"ETH": {}, "USDC": {"price": 1}}, "collateral": [held("ETH", 1), held("USDC", 5)]}
    assert step("ltv", {"withdraw": "USDC", "amount": 5}, **unpriced).verdict is Verdict.ADMITTED
    owing = {**unpriced, "debts": [held("USDC", 1)]}
    assert step("ltv", {"withdraw": "USDC", "amount": 5}, **owing).verdict is Verdict.UNKNOWN
    assert step("ltv", {"deposit": "USDC", "amount": 5}, **owing).verdict is Verdict.ADMITTED


def test_trades_net_with_what_is_held_and_settle_at_their_venue() -> None:
    bought = [buy(1, price=2_100), buy(-3, price=2_200), buy(1, price=2_000)]
    steps = asked("dydx", file("dydx", cash=10_000, perpetuals=[held("ETH", 1, entry_price=2_001)], what_if=bought))
    levels = [each.after.levels[0] for each in steps if each.after is not None]
    assert [(level.equity / PICO, level.requirement / PICO) for level in levels] == [
        (9_899, 400),
        (10_499, 200),
        (10_499, 0),
    ]
    at_venue = {"venues": {"dex": {"limit": 1_000}}, "cash": 2_000}
    trade = {"trade": "future", "asset": "ETH", "seconds": 30 * DAY, "amount": 1, "venue": "dex", "fee": 5}
    made = step("hypothec", trade, **at_venue)
    assert made.verdict is Verdict.ADMITTED
    assert changes(made)["maintenance"] < -5


@pytest.mark.parametrize(("sign", "entry"), [(1, 333_333_333_333_333_334), (-1, 333_333_333_333_333_333)])
def test_an_average_price_is_rounded_against_the_account(sign: int, entry: int) -> None:
    account, _ = read("dydx", file("dydx", perpetuals=[held("ETH", sign, entry_price=1)]))
    proposal = read_proposal(Fields.of(buy(2 * sign, price=0), "alice"))
    after = carried_out(account, proposal)
    assert after is not None
    assert after.holdings["perpetual ETH"].entry == entry


@pytest.mark.parametrize(
    ("proposal", "field"),
    [
        ({}, "what_if"),
        ({"withdraw": "ETH", "deposit": "ETH", "amount": 1}, "what_if"),
        ({"withdraw": "ETH", "amount": 0}, "amount"),
        ({"withdraw": "ETH", "amount": -1}, "amount"),
        ({"trade": "swap", "asset": "ETH", "amount": 1}, "trade"),
        ({"trade": "perpetual", "asset": "ETH", "amount": 0}, "amount"),
        ({"trade": "perpetual", "amount": 1}, "asset"),
        ({"trade": "perpetual", "asset": "ETH", "amount": 1, "price": -1}, "price"),
    ],
)
def test_proposals_that_cannot_be_read_are_refused_by_name(proposal: dict[str, Any], field: str) -> None:
    with pytest.raises(PortfolioError) as refused:
        step("dydx", proposal)
    assert refused.value.field == field


def test_too_many_proposals_are_refused() -> None:
    with pytest.raises(PortfolioError):
        asked("dydx", file("dydx", what_if=[{"deposit": "USD", "amount": 1}] * 101))


def test_a_trade_nets_with_what_is_held_at_its_venue_where_venues_have_terms() -> None:
    """A short at one venue and a long at another are two positions, each against its own venue's claim."""
    terms = {"venues": {"dex": {"limit": 50_000}, "cex": {"limit": 50_000}}, "cash": 20_000}
    content = file("hypothec", perpetuals=[held("ETH", 1, venue="dex")], **terms)
    account, _ = read("hypothec", content)
    for venue, left in (("cex", {"dex": 1, "cex": -1}), ("dex", {})):
        after = carried_out(account, read_proposal(Fields.of(buy(-1, venue=venue), "alice")))
        assert after is not None
        assert {each.venue: each.amount // 10**18 for each in after.holdings.values()} == left
    # Without terms a venue is only where it is: an account holds an instrument once.
    plain, _ = read("dydx", file("dydx", cash=20_000, perpetuals=[held("ETH", 1, venue="dex")]))
    closed = carried_out(plain, read_proposal(Fields.of(buy(-1, venue="cex"), "alice")))
    assert closed is not None
    assert closed.holdings == {}
