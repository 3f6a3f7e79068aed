"""Plans under models that the planner has never heard of, and for files of another form."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD
from node.margin.models.profile import Evaluation, Level, Profile, Threshold, equity, judging, requirement
from node.margin.models.profiles import PROFILES
from node.margin.planning.account import Account, Change, Setting
from node.margin.planning.files import terms_of
from node.margin.planning.plan import Outcome, Plan, ended, plan_liquidation
from node.margin.planning.reading import read_account
from node.margin.planning.verify import verify
from tests.shared import shared
from tests.unit.margin_planning.files import file, held, read

NO_FIELDS = (Fields({}, ""), Fields({}, ""))
FREE = {"fee": 0, "bonus": 0, "least_left": 0, "close_factor": 1}


def toy(content: object, account: str) -> Evaluation:
    """ETH needs 100 and SOL 40 a unit; below half a unit of SOL, ETH that is there needs up to twice as much more."""
    fields = Fields.of(content, account)
    held_of = {each.text("asset"): each.number("amount") for each in fields.items("perpetuals")}
    eth, sol = (held_of.get(asset, 0) for asset in ("ETH", "SOL"))
    needed = (100 * eth + 40 * sol + 200 * eth * max(0, WAD // 2 - sol) // WAD) * PICO // WAD
    lines = (equity("cash", "USD", fields.money("cash")), requirement("toy", "", needed))
    thresholds = (Threshold("initial", "low"), Threshold("last", "out"))
    return Evaluation(account, "toy", tuple(Level(threshold, lines) for threshold in thresholds))


TOY = Profile("toy", "", judging(toy))


def toy_plan(first: str, second: str) -> tuple[Plan, Account]:
    content = file(perpetuals=[held("ETH", 1, venue=first), held("SOL", 1, venue=second)], cash=10, plan=FREE)
    fields = Fields.of(content, "")
    left = {key: each for key, each in content.items() if key not in {"market", "parameters", "plan"}}
    account = read_account(Setting.of(TOY, fields.section("market"), Fields({}, "")), left, "alice")
    plan = plan_liquidation(account, terms_of(content))
    verify(plan, account, terms_of(content))
    return plan, account


def test_a_leg_that_would_leave_the_account_worse_alone_is_left_out() -> None:
    """First ETH and then SOL would do, but if only SOL went, ETH would need more than both do."""
    plan, account = toy_plan("dex", "cex")
    whole = Change(0, {"perpetual SOL at cex": -WAD})
    assert account.evaluate(whole).levels[0].excess < account.evaluate().levels[0].excess
    assert [leg.name for leg in plan.legs] == ["close perpetual ETH at dex"]
    assert plan.outcome is Outcome.STUCK
    assert plan.after.excess > plan.before.excess


def test_at_one_venue_both_go_as_one_leg() -> None:
    plan, _ = toy_plan("dex", "dex")
    assert [leg.name for leg in plan.legs] == ["close a part of everything at dex"]
    assert plan.outcome is Outcome.RESTORED


def frail(content: object, account: str) -> Evaluation:
    """100 are needed while there is a position; with less than 5 in cash the account is insolvent."""
    fields = Fields.of(content, account)
    cash, is_open = fields.money("cash"), any(fields.items("perpetuals"))
    lines = (equity("cash", "USD", cash), requirement("frail", "", 100 * PICO if is_open else 0))
    verdict = "insolvent" if cash < 5 * PICO else "out" if cash < 100 * PICO and is_open else "healthy"
    return Evaluation(account, "frail", (Level(Threshold("last", "out"), lines),), verdict=verdict)


@pytest.mark.parametrize(("fee", "outcome"), [("0.002", Outcome.RESTORED), ("0.003", Outcome.STUCK)])
def test_no_part_of_a_plan_makes_an_account_insolvent(fee: str, outcome: Outcome) -> None:
    account = read("dydx", file(cash=10, perpetuals=[held("ETH", 1)]))[0]
    frail_one = replace(account, setting=Setting.of(Profile("frail", "", judging(frail)), *NO_FIELDS))
    plan = plan_liquidation(frail_one, terms_of({"plan": {**FREE, "fee": fee}}))
    assert plan.outcome is outcome
    assert plan.before.status == "out"


def test_nobody_is_insolvent_while_collateral_has_no_price() -> None:
    market = {"USDC": {"price": 1}, "ETH": {"status": "MISSING"}}
    for amount, outcome in ((0, Outcome.INSOLVENT), (1, Outcome.STUCK)):
        content = file("hypothec", market=market, cash=-5, collateral=[held("USDC", 1), held("ETH", amount)])
        assert ended(read("hypothec", content)[0]) is outcome


def published(name: str, *, short: float) -> dict[str, Any]:
    """A published PMRM_2 file whose account lacks so much of maintenance margin."""
    (path,) = shared("vectors/margin/derive-pmrm2").glob(f"*{name}*.json")
    content: dict[str, Any] = json.loads(path.read_text())
    excess = pmrm(content).evaluate().levels[-1].excess / PICO
    content["Scenario"]["Cash"] = content["Scenario"].get("Cash", 0) - excess - short
    return content


def pmrm(content: dict[str, Any]) -> Account:
    return read_account(Setting.of(PROFILES["derive-pm2"], *NO_FIELDS), content, "alice")


@pytest.mark.parametrize("name", ["test_21_structures_long_fly", "test_50_discounting_simple_discounting"])
def test_files_of_derive_pm2_are_planned_as_they_are(name: str) -> None:
    account, terms = pmrm(published(name, short=50)), terms_of({"plan": {"least_left": 0}})
    plan = plan_liquidation(account, terms)
    assert plan.outcome is Outcome.RESTORED
    assert plan.legs
    verify(plan, account, terms)
    legs = Change.total(leg.change(account) for leg in plan.legs)
    assert account.changed(legs).evaluate().levels[0].excess == plan.after.excess[0] >= 0


def test_a_file_of_derive_pm2_is_the_same_when_nothing_changes() -> None:
    content = published("test_100_BasisContingencyParameters", short=1)
    account = pmrm(content)
    evaluation = PROFILES["derive-pm2"].evaluate(content, "alice", *NO_FIELDS)
    assert account.evaluate().levels == evaluation.levels
    assert abs(account.net_value - evaluation.levels[0].equity) < 100
    kinds = [each.kind for each in account.holdings.values()]
    assert {kind.value: kinds.count(kind) for kind in kinds} == {"collateral": 4, "perpetuals": 1, "options": 30}
    half = account.changed(Change(0, {"perpetual": -account.holdings["perpetual"].amount // 2}))
    assert abs(half.holdings["perpetual"].worth * 2 - account.holdings["perpetual"].worth) < 10


def test_a_file_that_its_profile_cannot_read_is_refused() -> None:
    account, terms = read("ltv", file(cash=1))
    plan_liquidation(account, terms)
    with pytest.raises(PortfolioError):
        plan_liquidation(read_account(Setting.of(PROFILES["derive-pm2"], *NO_FIELDS), file(cash=1), "a"), terms)
