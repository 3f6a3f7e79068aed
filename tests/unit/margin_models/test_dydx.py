"""The profile `dydx`: its tables are elsewhere; here is how an account is read and rounded."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.errors import PortfolioError, UnknownAsset
from node.margin.models.fixed import PICO
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import PROFILES, evaluate_file


def only(content: object, profile: str = "dydx") -> Evaluation:
    (outcome,) = evaluate_file(PROFILES[profile], content, "alice")
    if isinstance(outcome, PortfolioError):
        raise outcome
    return outcome


def file(cash: object, size: object, **market: object) -> dict[str, Any]:
    return {
        "market": {"BTC": {"price": 50_000, **market}},
        "parameters": {
            "tiers": {
                "BTC": {
                    "initial": 0.2, "maintenance_fraction": 0.5,
                    "open_interest_lower": 1_000_000, "open_interest_upper": 2_000_000,
                }
            }
        },
        "cash": cash,
        "perpetuals": [{"asset": "BTC", "amount": size, "entry_price": 48_000}],
    }  # fmt: skip


def test_margins_and_net_collateral() -> None:
    initial, maintenance = only(file(900, 0.1)).levels
    assert (initial.equity, initial.requirement) == (1_100 * PICO, 1_000 * PICO)
    assert (maintenance.equity, maintenance.requirement) == (1_100 * PICO, 500 * PICO)
    assert only(file(900, -0.1)).levels[0].equity == 700 * PICO


@pytest.mark.parametrize(
    ("cash", "status"), [(800, "healthy"), (799, "margin_call"), (300, "margin_call"), (299, "liquidatable")]
)
def test_status(cash: int, status: str) -> None:
    assert only(file(cash, 0.1)).status == status


def test_who_is_required_nothing_cannot_be_liquidated() -> None:
    nothing = file(-5, 0)
    assert (only(nothing).levels[1].excess, only(nothing).status) == (-5 * PICO, "margin_call")
    assert only({**nothing, "cash": 0}).status == "healthy"
    assert only(file(-500, 0.000001)).status == "liquidatable"
    free = file(-5, 0.1)
    free["parameters"]["tiers"]["BTC"]["maintenance_fraction"] = 0
    assert only({**free, "cash": -500}).status == "margin_call"


def test_open_interest_raises_the_initial_margin_alone() -> None:
    initial, maintenance = only(file(900, 0.1, open_interest=1_500_000)).levels
    assert (initial.requirement, maintenance.requirement) == (3_000 * PICO, 500 * PICO)


def test_it_rounds_against_the_account() -> None:
    initial, maintenance = only(file("0.0000019", "0.000000000001")).levels
    assert initial.equity == PICO // 10**6  # 1.9 quantums of cash and 0.002 of profit, each rounded down
    assert initial.requirement == maintenance.requirement == PICO // 10**6


def test_a_market_without_tier_is_refused() -> None:
    content = file(1, 1)
    content["parameters"] = {}
    with pytest.raises(UnknownAsset, match="BTC"):
        only(content)
