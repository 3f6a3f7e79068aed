"""The engine against the rules, bit for bit: every excess and status of every account, extremes too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.hypothec import evaluate as engine
from node.margin.models.errors import PortfolioError
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.hypothec.profile import result_of
from tests.property.margin_models.hypothec.books import accounts, markets
from tests.property.margin_models.hypothec.test_health import FEW, ends
from tests.unit.margin_models.hypothec.accounts import (
    MARKET,
    collateral,
    market,
    option,
    parameters,
    perpetual,
    portfolio,
)

RULES = parameters(**FEW)
AWKWARD = parameters(
    **FEW,
    maintenance="0.7654321",
    charges={"concentration_rate": "0.123", "concentration_share": "0.01"},
    shortfall={"deviations": 3, "horizon": 1_000_000},
)
TOO_FINE = parameters(**FEW, maintenance="0.7654321012345678")


def read(content: Sequence[dict[str, Any]], of: dict[str, Any], rules: Parameters) -> list[Portfolio]:
    found = []
    for each in content:
        try:
            found.append(portfolio(each, of, rules))
        except PortfolioError:
            continue  # what cannot be read is nobody's to evaluate
    return found


def check(portfolios: Sequence[Portfolio], rules: Parameters) -> engine.Healths:
    frame, prepared = engine.prepared(portfolios, rules)
    found = engine.evaluate(frame, prepared)
    for place, each in enumerate(portfolios):
        if place in found.errors:
            continue
        expected = result_of(each, rules)
        assert list(found.excesses(place)) == ends(expected)
        assert found.status[place] == expected.status
    return found


@settings(max_examples=12, deadline=None)
@given(st.lists(accounts(), min_size=1, max_size=5), markets(), st.sampled_from([RULES, AWKWARD]))
def test_every_account_is_as_by_the_rules(content: list[dict[str, Any]], of: dict[str, Any], rules: Parameters) -> None:
    check(read(content, of, rules), rules)


@settings(max_examples=5, deadline=None)
@given(st.lists(accounts(1e7), min_size=1, max_size=3), markets())
def test_so_are_accounts_beyond_63_bits(content: list[dict[str, Any]], of: dict[str, Any]) -> None:
    check(read(content, of, RULES), RULES)


def many() -> list[dict[str, Any]]:
    venues = {"a": {"limit": 3_000, "cash": -40}, "b": {"limit": 2_000, "seized": 100}}
    return [
        {"cash": 5},
        {},
        {"cash": -5},
        {"cash": 1_000, "perpetuals": [perpetual(amount=0.5)]},
        {"cash": 1_000, "options": [option(amount=-0.3), option(strike=3_500, amount=0.25)]},
        {"cash": 1_000, "venues": {"a": venues["a"]}, "options": [option(amount=-3, venue="a")]},
        {"cash": 900, "venues": {"a": {"limit": 60}}, "perpetuals": [perpetual(amount=1, venue="a")]},
        {
            "cash": 900,
            "venues": venues,
            "perpetuals": [perpetual(amount=1, venue="a"), perpetual(amount=-1, venue="b")],
        },
        {"cash": 900, "venues": venues, "perpetuals": [perpetual(amount=1, venue="a")], "options": [option()]},
        {"collateral": [collateral("ETH", 2), collateral("USDC", 1_234.567)], "perpetuals": [perpetual(amount=-2)]},
        {"collateral": [collateral("WSTETH", 1e4)], "debts": [collateral("ETH", 9_000)]},
        {"collateral": [collateral("FTT", "0.123456789012345678")]},
        {"cash": 3e9, "perpetuals": [perpetual("BTC", 200), perpetual("ETH", -10_000)]},
        {"cash": 9e14, "perpetuals": [perpetual("BTC", 1)]},
        {"cash": 1e5, "options": [option("BTC", -500, 60_000), option("BTC", 499, 60_000, call=False)]},
        {"venues": {"a": {"limit": 1e14}}, "options": [option("BTC", -5e4, 60_000, venue="a")]},
        {"perpetuals": [perpetual("GHOST", -1, entry_price=3)]},
    ]


def test_each_kind_of_account_alone_and_all_together() -> None:
    of = market(GHOST={"status": "MISSING"}, ETH={"low": 2_990, "high": 3_020, "vol_spread": 0.05})
    rules = parameters()
    portfolios = [portfolio(each, of, rules) for each in many()]
    found = check(portfolios, rules)
    assert not found.errors
    assert found.by_rules == (len(many()) - 1,)
    assert found.beyond
    for each in portfolios:
        check([each], rules)


def test_where_every_row_gains_the_market_as_it_is_decides() -> None:
    rules = parameters(rows=[{"together": 0.1}, {"together": 0.2}])
    found = check([portfolio(each, market(ETH={"vol": 0}), rules) for each in many()[:9]], rules)
    assert found.excesses(3)[0] < 1_000 * 10**12


def test_where_nothing_moves_the_shortfall_decides() -> None:
    rules = parameters(rows=[{"name": "still"}])
    check([portfolio(each, MARKET, rules) for each in many()[:14]], rules)


def test_where_no_market_can_take_more_than_there_is_the_worth_decides() -> None:
    """What is owned outright, alone, beside what is not, at a venue and beyond 63 bits, in the wildest market."""
    wild = market(**{asset: {"vol": 40, "depth": 1e15} for asset in ("ETH", "BTC", "SOL")})
    rules = parameters(rows=[{"together": -1}, {"together": 0.3}])
    calls, venues = [option(amount=9, strike=4_500)], {"a": {"limit": 1e6}, "b": {"limit": 1e6, "cash": 70}}
    outright: list[dict[str, Any]] = [
        {"collateral": [collateral("SOL", "0.000000000000000001")]},
        {"collateral": [collateral("ETH", "0.3"), collateral("SOL", "7.123")]},
        {"cash": 9, "options": calls, "collateral": [collateral("ETH", "0.3")]},
        {"cash": 3e9, "perpetuals": [perpetual("BTC", 20_000)], "options": calls},
        {"cash": 9, "venues": venues, "options": [{**each, "venue": "a"} for each in calls]},
        {"collateral": [collateral("SOL", "0.00000012345677")], "options": calls},
        {"cash": 4e3, "venues": venues, "perpetuals": [perpetual(venue="b"), perpetual("SOL", venue="a")]},
        {"cash": 4e3, "venues": venues, "perpetuals": [perpetual(venue="b"), perpetual("SOL", -1, venue="a")]},
        {"cash": 4e3, "perpetuals": [perpetual()], "debts": [collateral("SOL", 3)]},
        {"cash": 4e3, "perpetuals": [perpetual()], "options": [option()]},
    ]
    check([portfolio(each, wild, rules) for each in outright], rules)


def test_errors_of_deltas_near_the_end_of_64_bits_are_not_charged_as_if_there_were_no_room() -> None:
    month = [{"seconds": 2_592_000, "forward": 1, "vol": 0.5}]
    of = market(ETH={"price": 1, "low": 1, "high": 11, "vol": 0.5, "depth": 1e15, "expiries": month})
    hedged = {
        "perpetuals": [perpetual(amount=407_000, entry_price=1)],
        "futures": [{"asset": "ETH", "seconds": 2_592_000, "amount": -219_000, "entry_price": 1}],
    }
    rules = parameters(rows=[{"name": "still"}], charges={"concentration_rate": 0.1})
    check([portfolio(hedged, of, rules)], rules)


@pytest.mark.parametrize("amount", [-400, -4_000, -40_000])
def test_so_are_accounts_whose_deltas_may_be_wrong_by_more_than_64_bits(amount: int) -> None:
    of = market(ETH={"price": 3_000, "low": 0, "high": 6_000, "vol": 40})
    check([portfolio({"perpetuals": [perpetual(amount=amount, entry_price=1)]}, of, RULES)], RULES)


@pytest.mark.parametrize("amount", [1_000, 1_600, 2_070, 2_250])
def test_what_is_worth_least_costs_most_and_falls_near_the_end_of_64_bits(amount: int) -> None:
    worthless = {"price": 1_000, "low": 0, "vol": 0, "depth": 1e15}
    expired = {"expiries": [{"seconds": 0, "forward": 1_000, "vol": 0}]}
    of = market(ETH={**worthless, **expired, "high": 1_000}, BTC={**worthless, "high": 1_000})
    account = {
        "perpetuals": [perpetual("BTC", amount, entry_price=0.001)],
        "options": [option(amount=-amount, strike=2_000, call=False, seconds=0)],
    }
    rules = parameters(rows=[{"together": -0.5}], charges={"linear": 1, "short_option": 1})
    check([portfolio(account, of, rules)], rules)


def test_ratios_with_many_digits_and_no_accounts() -> None:
    check([portfolio(each, MARKET, TOO_FINE) for each in many()[:9]], TOO_FINE)
    assert check([], RULES).excess.shape == (4, 0)


def test_an_account_that_cannot_be_evaluated_stops_no_other() -> None:
    endless = {"seconds": 5, "forward": 1e14, "rate": -9, "vol": 1}
    of = market(BTC={"price": 1e14, "expiries": [{**endless, "seconds": 3_000_000_000}]})
    rules = parameters()
    bad = {"options": [option("BTC", 1, 1, seconds=3_000_000_000)]}
    found = check([portfolio(each, of, rules) for each in (bad, {"cash": 7})], rules)
    assert set(found.errors) == {0}
    assert found.errors[0].field == "mark"
    assert found.status[0] == 0
    assert found.excesses(1) == (7 * 10**12,) * 4
