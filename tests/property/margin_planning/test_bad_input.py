"""Files under every profile, with terms and proposals, changed where it hurts: only PortfolioError escapes a command.

And whatever is left to plan is planned safely: every part of a plan leaves the account no worse.
"""

from __future__ import annotations

import json
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from node.cli.margin_plan import _shown_answer, _shown_plans, _told_answer, _told_plans
from node.margin.models.errors import PortfolioError
from node.margin.models.profiles import PROFILES
from node.margin.planning.files import Planned, answers, plans
from node.margin.planning.plan import Outcome
from tests.property.margin_models.files import FILES
from tests.property.margin_models.test_bad_input import changed

TERMS: dict[str, Any] = {
    "target": {"ratio": 1.01, "excess": 1},
    "order": "volatile",
    "close_factor": 0.5,
    "close_all_below": 0.95,
    "close_all_under": 2_000,
    "least_left": 500,
    "most_legs": 3,
    "assets": {"ETH": {"lot": 0.001, "fee": 0.001, "bonus": 0.02, "depth": 10**6, "volatility": 0.8}},
    "insurance_fund": 10,
    "counterparties": [
        {"account": "carol", "equity": 500, "positions": [{"asset": "ETH", "amount": -3, "entry_price": 2_600}]},
        {
            "account": "dave",
            "equity": 5,
            "positions": [
                {"asset": "ETH", "amount": 1, "entry_price": 1, "seconds": 2_592_000, "strike": 2_000, "call": True}
            ],
        },
    ],
    "auction": {"curve": "linear", "start": 1, "end": 0.5, "seconds": 600, "buffer": 0.2},
}
ASKED: list[dict[str, Any]] = [
    {"deposit": "USD", "amount": 100},
    {"withdraw": "ETH", "amount": 0.1},
    {"borrow": "USDC", "amount": 5},
    {"repay": "USDC", "amount": 1},
    {"trade": "perpetual", "asset": "ETH", "amount": -1, "price": 1_999, "fee": 1},
    {"trade": "future", "asset": "ETH", "seconds": 2_592_000, "amount": 1, "venue": "dex"},
    {"trade": "option", "asset": "ETH", "seconds": 2_592_000, "strike": 2_000, "call": True, "amount": 1},
    {"deposit": "USD", "amount": 7, "isolated": "punt"},
]


def poorer(content: dict[str, Any], by: int) -> dict[str, Any]:
    """With so much less cash in each account, in whichever form."""
    found = deepcopy(content)
    for each in found.get("accounts", [found]):
        scenario = each.get("Scenario")
        if scenario is None:
            each["cash"] = float(each.get("cash", 0)) - by
        elif isinstance(scenario["Cash"], int) and abs(scenario["Cash"]) > 10**12:
            scenario["Cash"] -= by * 10**18
        else:
            scenario["Cash"] = float(scenario["Cash"]) - by
    return found


@st.composite
def files(draw: st.DrawFn, profile: str) -> dict[str, Any]:
    content = poorer(FILES[profile], draw(st.sampled_from([0, 1_000, 5_000, 20_000, 10**6])))
    content |= {"plan": deepcopy(TERMS), "what_if": draw(st.permutations(ASKED))}
    return draw(changed(content)) if draw(st.booleans()) else content


def check(planned: Planned) -> None:
    for each in planned.isolated.values():
        check(each)
    if isinstance(planned.found, PortfolioError):
        assert len(str(planned.found)) < 2_000
        return
    account, plan = planned.found
    event(f"{plan.profile}: {plan.outcome}")
    for part in plan.proof:
        assert all(now >= then for now, then in zip(part.excess, plan.before.excess, strict=True))
    assert (plan.settlement is not None) == (plan.outcome is Outcome.INSOLVENT)
    assert account.name == plan.account


def exercise(profile: str, content: dict[str, Any]) -> None:
    with suppress(PortfolioError):  # of the file as a whole
        for planned in plans(PROFILES[profile], content, "file"):
            check(planned)
            json.dumps(_shown_plans(planned), allow_nan=False)
            assert _told_plans(planned)
    with suppress(PortfolioError):
        for answer in answers(PROFILES[profile], content, "file"):
            if isinstance(answer, PortfolioError):
                assert answer.account
                continue
            event(f"{profile}: asked")
            json.dumps(_shown_answer(*answer), allow_nan=False)
            assert _told_answer(*answer)


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=4)
@given(data=st.data())
def test_nothing_else_escapes(profile: str, data: st.DataObject) -> None:
    exercise(profile, data.draw(files(profile)))


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.timeout(600)
@settings(max_examples=40)
@given(data=st.data())
def test_nothing_else_escapes_at_length(profile: str, data: st.DataObject) -> None:
    exercise(profile, data.draw(files(profile)))
