"""What instruments are worth is made once for all trials of a plan, whatever the profile."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from node.margin.models import shocks
from node.margin.models.derive_pm2 import marks as pmrm_marks
from node.margin.models.fields import Known
from node.margin.planning.files import terms_of
from node.margin.planning.plan import Outcome, plan_liquidation
from tests.unit.margin_planning.files import DAY, file, held, option, read
from tests.unit.margin_planning.test_any_profile import pmrm, published

STRIKES = range(1_500, 2_500, 50)
MARKET = {
    "ETH": {"price": 2_000, "expiries": [{"seconds": 30 * DAY, "forward": 2_000, "vol": 0.6}]},
    "USDC": {"price": 1},
}


def counted(monkeypatch: pytest.MonkeyPatch, module: Any) -> Counter[str]:  # noqa: ANN401 - a module
    calls = Counter[str]()
    black76 = module.black76

    def counting(*arguments: Any) -> Any:  # noqa: ANN401
        calls["black76"] += 1
        return black76(*arguments)

    monkeypatch.setattr(module, "black76", counting)
    return calls


@pytest.mark.parametrize(("profile", "times"), [("hypothec", 5), ("span", 2)])
def test_each_option_is_priced_a_few_times_and_not_in_every_trial(
    profile: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [option(-1 if strike % 100 else 1, strike) for strike in STRIKES]
    content = file(profile, market=MARKET, options=options, perpetuals=[held("ETH", -2)])
    short = read(profile, content)[0].evaluate().levels[-1].excess
    shocks._marks.cache_clear()
    calls = counted(monkeypatch, shocks)
    plan = plan_liquidation(*read(profile, {**content, "cash": -short // 10**12 - 100}))
    assert plan.outcome is not Outcome.NOT_NEEDED
    assert plan.legs
    assert 0 < calls["black76"] <= times * len(STRIKES)


def test_so_it_is_with_expiries_of_derive_pm2(monkeypatch: pytest.MonkeyPatch) -> None:
    content = published("test_100_BasisContingencyParameters", short=50)
    account = pmrm(content)
    calls = counted(monkeypatch, pmrm_marks)
    plan = plan_liquidation(account, terms_of({"plan": {"least_left": 0}}))
    assert plan.outcome is Outcome.RESTORED
    expiries = {each["Expiry"] for each in content["Scenario"]["Options"]}
    assert 0 < calls["black76"] <= 2 * len(expiries)


def test_what_is_remembered_of_items_is_bounded_and_never_of_another() -> None:
    known = Known()
    kept = [{"amount": place} for place in range(10_005)]

    def amount(item: dict[str, int], more: int) -> int:
        return item["amount"] + more

    assert [known.once(amount, each, 0) for each in kept] == list(range(10_005))
    assert len(known) == 5
    assert known.once(amount, kept[-1], -1) == 10_004
    assert known.once(amount, kept[0], -1) == -1
    assert known.once(len, kept[0]) == 1
