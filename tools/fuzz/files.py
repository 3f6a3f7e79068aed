"""What people hand to the margin commands: any file gives answers or typed errors, and no order in it matters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from node.margin.models.errors import PortfolioError
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import PROFILES, evaluate_file
from node.margin.planning.files import answers, plans
from tests.property.margin_models import files
from tests.unit.margin_planning import files as planned
from tools.fuzz.target import Json, NotJson, Target, as_text, expect, from_json


def _portfolio(name: str) -> Target:
    def judged(content: object) -> list[object]:
        return [_said(each) for each in evaluate_file(PROFILES[name], content, "nobody")]

    def check(data: bytes) -> None:
        content = from_json(data)
        found = judged(content)
        turned = judged(_turned(content))
        expect(turned[::-1] if _is_list(content) else turned, found, "the order of accounts or rows matters")

    return _of_json([files.FILES[name]], check)


def _said(outcome: Evaluation | PortfolioError) -> object:
    if isinstance(outcome, PortfolioError):
        return None
    json.dumps([dict(outcome.components), outcome.comparison and dict(outcome.comparison.errors)], allow_nan=False)
    return outcome.status, [(each.threshold, each.equity, each.requirement, each.ratio) for each in outcome.levels]


def _is_list(content: object) -> bool:
    return isinstance(content, dict) and isinstance(content.get("accounts"), list)


def _turned(content: object) -> object:
    """The file with its accounts, and the rows of each account, in the opposite order."""
    if not isinstance(content, dict):
        return content
    if _is_list(content):
        return {**content, "accounts": [_turned(account) for account in reversed(content["accounts"])]}
    sections = {"Scenario": _turned(content["Scenario"])} if "Scenario" in content else {}
    rows = {key: each[::-1] for key, each in content.items() if key in _ROWS and isinstance(each, list)}
    return {**content, **sections, **rows}


_ROWS = {*files.ALL.split(), "Options", "OptionFeeds", "Collaterals"}


def _plan(name: str) -> Target:
    def check(data: bytes) -> None:
        content = from_json(data)
        for each in (plans, answers):  # a plan is proven before it is given
            list(each(PROFILES[name], content, "nobody"))

    held, option = planned.held, planned.option
    sections: Json = {
        "cash": -4_000,
        "collateral": [held("ETH", 3)],
        "debts": [held("USDC", 9_000)],
        "perpetuals": [held("ETH", -2, entry_price=1_500)],
        "options": [option(-3)],
    }
    known = {
        "ltv": ("cash", "collateral", "debts"),
        "dydx": ("cash", "perpetuals"),
        "drift": ("cash", "collateral", "debts", "perpetuals"),
        "mango": ("cash", "collateral", "debts", "perpetuals"),
        "span": ("cash", "perpetuals", "options"),
    }
    account = {key: sections[key] for key in known.get(name, tuple(sections))}
    asked = [{"deposit": "USD", "amount": 5_000}, {"withdraw": "USD", "amount": 10}]
    asked.append({"trade": "perpetual", "asset": "ETH", "amount": -1, "price": 1_990, "fee": 1})
    terms = {"target": {"level": "", "ratio": 1, "excess": 50}, "most_legs": 2, "assets": {"ETH": {"lot": "0.01"}}}
    terms |= {"insurance_fund": 100, "auction": {"curve": "linear", "start": 1, "end": 0.7, "seconds": 600}}
    return _of_json([planned.file(name, **account, plan=terms, what_if=asked)], check)


def _of_json(seeds: Iterable[Json], check: Callable[[bytes], None]) -> Target:
    return Target(tuple(map(as_text, seeds)), check, (NotJson, PortfolioError), is_json=True)


FILES: Mapping[str, Callable[[], Target]] = {
    **{f"portfolio-{name}": partial(_portfolio, name) for name in PROFILES},
    **{f"plan-{name}": partial(_plan, name) for name in planned.PARAMETERS},
}
"""Each target by its name, made when it is asked for."""
