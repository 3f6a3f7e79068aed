"""Isolated accounts: each has its own plan and its own what-if, and nothing of it touches the account that it is in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import PICO
from node.margin.models.profiles import PROFILES
from node.margin.planning.files import Planned, plans
from node.margin.planning.plan import Outcome, Plan
from node.margin.planning.what_if import Verdict
from tests.unit.margin_planning.files import asked, file, held

PUNT = {"name": "punt", "cash": 100, "perpetuals": [held("ETH", 1)]}
CALM = {"name": "calm", "cash": 100_000, "perpetuals": [held("ETH", 1)]}
SAFE = {"cash": 10_000, "perpetuals": [held("ETH", 1)]}
SHORT = {"cash": 200, "perpetuals": [held("BTC", "0.1")]}


def plan_of(planned: Planned) -> Plan:
    assert not isinstance(planned.found, PortfolioError), planned.found
    return planned.found[1]


def planned(**content: object) -> Planned:
    (only,) = plans(PROFILES["hypothec"], file("hypothec", **content), "nobody")
    return only


def test_each_isolated_account_has_its_own_plan() -> None:
    found = planned(**SAFE, isolated=[PUNT, CALM])
    assert plan_of(found).outcome is Outcome.NOT_NEEDED
    assert {title: plan_of(each).outcome for title, each in found.isolated.items()} == {
        "punt": Outcome.RESTORED,
        "calm": Outcome.NOT_NEEDED,
    }
    punt = plan_of(found.isolated["punt"])
    assert punt.account == "alice/punt"
    assert [action.holding for leg in punt.legs for action in leg.actions] == ["perpetual ETH"]


def test_neither_helps_or_hurts_the_other() -> None:
    """The plan of the main account is the same with and without a failing, an insolvent or a rich isolated one."""
    alone = plan_of(planned(**SHORT))
    assert alone.outcome is not Outcome.NOT_NEEDED
    for isolated in (PUNT, {**PUNT, "cash": -10_000}, CALM):
        found = planned(**SHORT, isolated=[isolated])
        assert plan_of(found) == alone
        content = {name: each for name, each in isolated.items() if name != "name"}
        by_itself = plan_of(planned(**content))
        (apart,) = found.isolated.values()
        assert replace(plan_of(apart), account="alice", auction=None) == replace(by_itself, auction=None)


def test_one_that_cannot_be_read_stops_neither_the_main_nor_another() -> None:
    found = planned(**SHORT, isolated=[{**PUNT, "cash": "x"}, CALM])
    assert plan_of(found) == plan_of(planned(**SHORT))
    assert plan_of(found.isolated["calm"]).outcome is Outcome.NOT_NEEDED
    bad = found.isolated["punt"].found
    assert isinstance(bad, PortfolioError)
    assert (bad.account, bad.field) == ("alice/punt", "cash")
    assert not found.is_whole
    worse = planned(**{**SHORT, "cash": "x"}, isolated=[PUNT])
    assert isinstance(worse.found, PortfolioError)
    assert plan_of(worse.isolated["punt"]).outcome is Outcome.RESTORED


@pytest.mark.parametrize("isolated", [[PUNT, PUNT], [{**PUNT, "isolated": [CALM]}], [{"cash": 1}], "x", [PUNT] * 65])
def test_isolated_accounts_that_cannot_be_told_apart_are_refused(isolated: Any) -> None:  # noqa: ANN401
    found = planned(**SAFE, isolated=isolated)
    assert isinstance(found.found, PortfolioError)
    assert found.found.account.startswith("alice")


def test_what_if_asks_each_account_by_itself() -> None:
    proposals = [
        {"withdraw": "USD", "amount": 9_000},
        {"deposit": "USD", "amount": 2_000, "isolated": "punt"},
        {"trade": "perpetual", "asset": "ETH", "amount": 1, "isolated": "punt"},
        {"withdraw": "USD", "amount": 2_000, "isolated": "punt"},
        {"trade": "perpetual", "asset": "ETH", "amount": 10},
    ]
    steps = asked("hypothec", file("hypothec", **SAFE, isolated=[PUNT], what_if=proposals))
    assert [step.account for step in steps] == ["alice", "alice/punt", "alice/punt", "alice/punt", "alice"]
    assert [step.verdict for step in steps] == [
        Verdict.ADMITTED,
        Verdict.ADMITTED,
        Verdict.ADMITTED,
        Verdict.BELOW_INITIAL_MARGIN,
        Verdict.BELOW_INITIAL_MARGIN,
    ]
    assert steps[1].change["initial"] == 2_000 * PICO
    # What punt has is nobody else's, and the other way round.
    assert steps[2].before == steps[1].after
    assert steps[4].before == steps[0].after


def test_an_isolated_account_that_is_not_there_is_empty() -> None:
    proposals = [
        {"withdraw": "USD", "amount": 1, "isolated": "new"},
        {"trade": "perpetual", "asset": "ETH", "amount": 1, "isolated": "new"},
        {"deposit": "USD", "amount": 1_000, "isolated": "new"},
        {"trade": "perpetual", "asset": "ETH", "amount": 1, "isolated": "new"},
    ]
    steps = asked("hypothec", file("hypothec", **SAFE, what_if=proposals))
    assert [step.verdict.is_admitted for step in steps] == [False, False, True, True]
    assert {step.account for step in steps} == {"alice/new"}


@pytest.mark.parametrize(("profile", "title"), [("dydx", "punt"), ("hypothec", 7)])
def test_an_isolated_account_that_the_profile_cannot_have_is_refused(profile: str, title: object) -> None:
    with pytest.raises(PortfolioError) as refused:
        asked(profile, file(profile, cash=10, what_if=[{"deposit": "USD", "amount": 1, "isolated": title}]))
    assert refused.value.field == "isolated"
