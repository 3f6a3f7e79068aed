"""After any change the parts of an account sum up to what its profile says of the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models.fields import Fields
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import PROFILES
from node.margin.planning.account import Account, Change, Kind, Setting
from node.margin.planning.reading import read_account
from tests.property.margin_models.files import FILES, SPREAD

PARTED = sorted(name for name, profile in PROFILES.items() if profile.parted is not None)
FAR = {**SPREAD, "first": "SOL", "second": "ETH"}
"""With the other credit, SOL and BTC are judged together though no credit is between them."""


def both(profile: str) -> Account:
    """All that the file of a profile has, in one account."""
    content = FILES[profile]
    market = {**content["market"], "SOL": content["market"]["BTC"] | {"price": 49_000}}
    parameters = {name: named(each) for name, each in content["parameters"].items()}
    if profile == "span":
        parameters["spreads"] = [SPREAD, FAR]
    held: dict[str, Any] = {"account": "alice", "cash": 500}
    for section in (kind.value for kind in Kind):
        items = [item for account in content["accounts"] for item in account.get(section, [])]
        of_sol = [{**item, "asset": "SOL"} for item in items if item["asset"] == "BTC"]
        unique = {str({**item, "amount": 0, "entry_price": 0, "funding": 0}): item for item in (*items, *of_sol)}
        if unique:
            held[section] = list(unique.values())
    setting = Setting.of(PROFILES[profile], Fields(market, ""), Fields(parameters, ""))
    return read_account(setting, held, "alice")


def named(rules: Any) -> Any:  # noqa: ANN401 - any JSON
    return {**rules, "SOL": rules["BTC"]} if isinstance(rules, dict) and "BTC" in rules else rules


@st.composite
def changes(draw: st.DrawFn, account: Account) -> Change:
    """Any amounts instead of those that are held; positions may turn round."""
    amounts: dict[str, int] = {}
    for name, held in account.holdings.items():
        if draw(st.booleans()):
            least = -100 if held.kind.is_position else 0
            amounts[name] = held.amount * draw(st.integers(least, 200)) // 100 - held.amount
    perpetuals = [name for name, held in account.holdings.items() if held.kind is Kind.PERPETUAL]
    funding = draw(st.dictionaries(st.sampled_from(perpetuals), st.integers(-(10**14), 10**14))) if perpetuals else {}
    return Change(draw(st.integers(-(10**16), 10**16)), amounts, funding)


def figures(evaluation: Evaluation) -> tuple[str, list[tuple[int, int, int]]]:
    return evaluation.status, [(each.equity, each.requirement, each.excess) for each in evaluation.levels]


@pytest.mark.parametrize("profile", PARTED)
def test_parts_sum_up_to_the_whole(profile: str) -> None:
    account = both(profile)

    @settings(max_examples=20)
    @given(changes(account))
    def check(change: Change) -> None:
        whole = account.setting.judge(account.after(change), account.name)
        assert figures(account.evaluate(change)) == figures(whole)

    check()


def test_what_a_change_leaves_alone_is_not_judged_again() -> None:
    account, asked = both("cross"), []
    judge = account.setting.judge

    def listening(content: Any, name: str) -> Evaluation:  # noqa: ANN401 - any JSON
        asked.append({item["asset"] for kind in Kind for item in content[kind]})
        return judge(content, name)

    account = replace(account, setting=replace(account.setting, judge=listening))
    account.evaluate()
    asked.clear()
    account.evaluate(Change(-1, {"perpetual BTC": 1}))
    account.evaluate(Change(-1, {"perpetual BTC": 1, "collateral ETH": -1}))
    assert asked == [{"BTC"}, {"BTC"}, set(), set(), {"ETH"}, {"ETH"}]
