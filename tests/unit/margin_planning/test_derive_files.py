"""Files of derive-pm2 and derive-pm1 can be planned and asked about as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.margin.models.errors import MissingField, PortfolioError, UnsupportedInstrument
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD
from node.margin.models.profiles import PROFILES
from node.margin.planning.account import Account, Change, Setting
from node.margin.planning.files import terms_of
from node.margin.planning.plan import Outcome, plan_liquidation
from node.margin.planning.reading import read_account
from node.margin.planning.verify import verify
from node.margin.planning.what_if import Family, Step, Verdict, what_if
from tests.shared import shared
from tests.unit.margin_planning.test_any_profile import NO_FIELDS, pmrm, published

PERPETUALS = "test_100_BasisContingencyParameters"


def pm1(number: int = 0, *, short: int | None = None, **changes: object) -> Account:
    """A published PMRM file; with `short`, one whose account lacks so many USD of maintenance margin."""
    path = shared("vectors/margin/derive-other/PMRM__testAndVerifyScenarios.json")
    files: dict[str, Any] = json.loads(path.read_text())
    content = list(files.values())[number]
    content = {**content, "Scenario": {**content["Scenario"], **changes}}
    setting = Setting.of(PROFILES["derive-pm1"], *NO_FIELDS)
    account = read_account(setting, content, "alice")
    if short is None:
        return account
    excess = account.evaluate().levels[-1].excess
    return account.changed(Change(-excess - short * PICO))


def ask(account: Account, *proposals: dict[str, Any]) -> tuple[Step, ...]:
    return what_if(Family(account), list(proposals))


def option(account: Account, amount: int) -> dict[str, Any]:
    held = next(each for each in account.holdings.values() if each.kind == "options")
    return {"trade": "option", "asset": "spot", "amount": amount, **held.item}


@pytest.mark.parametrize("number", range(6))
def test_a_file_of_derive_pm1_is_the_same_when_nothing_changes(number: int) -> None:
    account = pm1(number)
    before = PROFILES["derive-pm1"].evaluate(account.content, "alice", *NO_FIELDS)
    assert account.evaluate().levels == before.levels
    assert abs(account.net_value - before.levels[0].equity) < 100


@pytest.mark.parametrize("number", [0, 2, 14, 18])
def test_a_file_of_derive_pm1_is_planned(number: int) -> None:
    account, terms = pm1(number, short=50), terms_of({"plan": {"least_left": 0}})
    plan = plan_liquidation(account, terms)
    assert plan.outcome is Outcome.RESTORED
    assert plan.legs
    verify(plan, account, terms)
    after = account.changed(Change.total(leg.change(account) for leg in plan.legs))
    assert tuple(level.excess for level in after.evaluate().levels) == plan.after.excess


@pytest.mark.parametrize("account", [pmrm(published(PERPETUALS, short=-(10**5))), pm1(0)], ids=["pm2", "pm1"])
def test_cash_and_listed_options_can_be_asked_about(account: Account) -> None:
    up, sold, bought = ask(
        account, {"deposit": "USD", "amount": 10**9}, option(account, -1), {**option(account, 1), "fee": 3}
    )
    assert up.verdict is Verdict.ADMITTED
    assert up.change["initial"] == 10**9 * PICO
    assert sold.verdict.is_admitted
    # What was sold and bought again at the market costs the fee, and a rounding.
    assert up.after is not None
    assert bought.after is not None
    for then, now in zip(up.after.levels, bought.after.levels, strict=True):
        assert abs(then.excess - now.excess - 3 * PICO) < 10


def test_an_option_with_a_new_strike_is_priced_by_the_feed_of_its_expiry() -> None:
    account = pmrm(published(PERPETUALS, short=-(10**5)))
    made = {**option(account, 2), "strike": 777_777}
    _, step = ask(account, {"deposit": "USD", "amount": 10**9}, made)
    assert step.verdict.is_admitted
    with pytest.raises(MissingField) as missing:
        ask(account, {**made, "seconds": 12_345})
    assert missing.value.field == "OptionFeeds"


def test_nothing_says_the_volatility_of_an_option_that_lists_do_not_have() -> None:
    account = pm1(next(place for place in range(20) if len(pm1(place).holdings) > 2))
    with pytest.raises(MissingField, match="volatility"):
        ask(account, {**option(account, 1), "strike": 777_777})


@pytest.mark.parametrize(
    "account", [pmrm(published(PERPETUALS, short=-(10**6))), pm1(0, Perps=WAD)], ids=["pm2", "pm1"]
)
def test_perpetuals_are_traded(account: Account) -> None:
    trade = {"trade": "perpetual", "asset": "spot", "fee": 1}
    held = account.holdings["perpetual"].amount
    more = {**trade, "amount": str(held / WAD)}
    deposit, bought, sold, gone = ask(
        account,
        {"deposit": "USD", "amount": 10**7},
        more,
        {**more, "amount": str(-held / WAD)},
        {**more, "amount": str(-held / WAD)},
    )
    assert all(step.verdict.is_admitted for step in (deposit, bought, sold, gone))
    assert deposit.after is not None
    assert sold.after is not None
    assert abs(deposit.after.levels[0].equity - sold.after.levels[0].equity - 2 * PICO) < 100
    assert abs(deposit.after.levels[0].requirement - sold.after.levels[0].requirement) < 100


@pytest.mark.parametrize(
    ("proposal", "error"),
    [
        ({"trade": "future", "asset": "spot", "seconds": 86_400, "amount": 1}, UnsupportedInstrument),
        ({"deposit": "GOLD", "amount": 1}, UnsupportedInstrument),
        ({"borrow": "USDC", "amount": 1}, UnsupportedInstrument),
        ({"trade": "perpetual", "asset": "ETH", "amount": 1}, PortfolioError),
    ],
)
@pytest.mark.parametrize("account", [pmrm(published(PERPETUALS, short=0)), pm1(0)], ids=["pm2", "pm1"])
def test_what_the_format_has_no_place_for_is_refused_by_name(
    account: Account, proposal: dict[str, Any], error: type[PortfolioError]
) -> None:
    with pytest.raises(error) as refused:
        ask(account, proposal)
    assert refused.value.account == "alice"
    assert refused.value.field


def test_what_is_judged_without_an_asset_is_judged_without_it() -> None:
    account = pmrm(published(PERPETUALS, short=0))
    content = account.form.written(
        Account(account.setting, "alice", account.content, account.cash, {}, (), {}, account.form), Change()
    )
    left = read_account(account.setting, content, "alice")
    assert left.holdings == {}
    assert Fields.of(content, "").section("Scenario").number("NumPerps") == 0
