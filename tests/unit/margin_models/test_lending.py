"""Loan-to-value by hand: health factor, e-mode, Compound's factors, and how an account file is read."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models import lending
from node.margin.models.errors import MissingField, OutOfRange, PortfolioError, UnknownAsset
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import PROFILES, evaluate_file


def file(**account: object) -> dict[str, Any]:
    return {
        "market": {"ETH": {"price": 2_000}, "STETH": {"price": 1_990}, "USDC": {"price": "0.999"}},
        "parameters": {
            "assets": {
                "ETH": {"borrow": 0.8, "liquidation": 0.825, "category": "ETH correlated"},
                "STETH": {"borrow": 0.7, "liquidation": 0.75, "category": "ETH correlated"},
                "USDC": {"borrow": 0.75, "liquidation": 0.78},
            },
            "categories": {"ETH correlated": {"borrow": 0.9, "liquidation": 0.93}},
        },
        "account": "alice",
        **account,
    }


def only(content: object, profile: str = "ltv") -> Evaluation:
    (outcome,) = evaluate_file(PROFILES[profile], content, "nobody")
    if isinstance(outcome, PortfolioError):
        raise outcome
    return outcome


ETH = [{"asset": "ETH", "amount": 10}]


def test_the_health_factor_is_weighted_collateral_over_debt() -> None:
    outcome = only(file(collateral=ETH, debts=[{"asset": "USDC", "amount": 16_000}]))
    borrow, liquidation = outcome.levels
    assert (borrow.equity, borrow.requirement) == (16_000 * PICO, 15_984 * PICO)
    assert liquidation.ratio == 16_500 * WAD // 15_984
    assert (outcome.account, outcome.status) == ("alice", "healthy")


def test_what_an_account_that_fails_a_threshold_is() -> None:
    assert only(file(collateral=ETH, debts=[{"asset": "USDC", "amount": 16_100}])).status == "cannot_borrow"
    assert only(file(collateral=ETH, debts=[{"asset": "USDC", "amount": 17_000}])).status == "liquidatable"
    assert only(file(collateral=ETH, cash=-16_500)).status == "cannot_borrow"
    assert only(file(collateral=ETH, cash=-16_501)).status == "liquidatable"
    assert only(file(cash=5)).levels[0].ratio is None


def test_e_mode_counts_where_account_and_asset_are_in_one_category() -> None:
    debts = [{"asset": "ETH", "amount": 9}]
    held = [{"asset": "STETH", "amount": 10}]
    outside = only(file(collateral=held, debts=debts))
    inside = only(file(collateral=held, debts=debts, category="ETH correlated"))
    assert outside.levels[1].equity == 14_925 * PICO
    assert inside.levels[1].equity == 18_507 * PICO
    assert (outside.status, inside.status) == ("liquidatable", "cannot_borrow")
    assert only(file(collateral=held, category="other")).levels[1].equity == 14_925 * PICO


def test_compound_has_no_e_mode() -> None:
    held = [{"asset": "STETH", "amount": 10}]
    assert only(file(collateral=held, category="ETH correlated"), "compound").levels[1].equity == 14_925 * PICO


def test_debt_rounds_up_and_collateral_down() -> None:
    content = file(collateral=[{"asset": "ETH", "amount": "1e-18"}], debts=[{"asset": "USDC", "amount": "1e-18"}])
    level = only(content).levels[0]
    assert (level.equity, level.requirement) == (0, 1)


def test_the_close_limit_is_half_of_a_slightly_unhealthy_large_position() -> None:
    def close(health: float, debt: int, collateral: int) -> int:
        return lending.close_limit(
            Wad(int(health * WAD)), Money(debt * PICO), Money(collateral * PICO), Money(3 * debt * PICO)
        )

    assert close(0.96, 10_000, 10_000) == 10_000 * PICO  # half of the total of 30,000 is more
    assert lending.close_limit(ONE, Money(10_000 * PICO), Money(10_000 * PICO), Money(10_000 * PICO)) == 5_000 * PICO
    assert close(0.95, 10_000, 10_000) == 10_000 * PICO
    assert lending.close_limit(ONE, Money(1_999 * PICO), Money(10_000 * PICO), Money(1_999 * PICO)) == 1_999 * PICO


BAD: list[tuple[dict[str, object], type[PortfolioError], str, str]] = [
    ({"collateral": [{"asset": "DOGE", "amount": 1}]}, UnknownAsset, "DOGE", "market"),
    ({"collateral": [{"asset": "ETH", "amount": -1}]}, OutOfRange, "ETH", "amount"),
    ({"collateral": [{"asset": "ETH", "amount": "1e16"}]}, OutOfRange, "ETH", "amount"),
    ({"collateral": [{"asset": "ETH", "amount": 10**99}]}, OutOfRange, "ETH", "amount"),
    ({"collateral": [{"asset": "ETH", "amount": 10**200}]}, OutOfRange, "ETH", "amount"),
    ({"collateral": [{"asset": "ETH", "amount": float("nan")}]}, OutOfRange, "ETH", "amount"),
    ({"collateral": [{"asset": "ETH"}]}, MissingField, "ETH", "amount"),
    ({"debts": [{"asset": "USDC", "amount": "ten"}]}, PortfolioError, "USDC", "amount"),
    ({"debts": [{"asset": 5, "amount": 1}]}, PortfolioError, "debts", "asset"),
    ({"cash": []}, PortfolioError, "", "cash"),
    ({"colateral": ETH}, PortfolioError, "", "colateral"),
]


@pytest.mark.parametrize(("account", "error", "instrument", "field"), BAD)
def test_bad_input_is_named(
    account: dict[str, object], error: type[PortfolioError], instrument: str, field: str
) -> None:
    with pytest.raises(error) as caught:
        only(file(**account))
    assert (caught.value.account, caught.value.instrument, caught.value.field) == ("alice", instrument, field)


def test_an_asset_without_factor_is_refused_and_a_bad_price_only_where_it_is_held() -> None:
    content = file(collateral=ETH)
    content["market"]["USDC"]["price"] = "NaN"
    assert only(content).status == "healthy"
    assert only({**content, "debts": [{"asset": "USDC", "amount": 0}]}).status == "healthy"
    with pytest.raises(OutOfRange, match="price"):
        only({**content, "debts": [{"asset": "USDC", "amount": 1}]})
    del content["parameters"]["assets"]["ETH"]["borrow"]
    with pytest.raises(UnknownAsset, match=r"parameters\.assets\.ETH\.borrow"):
        only(content)


def test_one_bad_account_stops_no_other() -> None:
    whole = file()
    accounts = [
        {"account": "good", "collateral": ETH},
        {"account": "bad", "collateral": [{"asset": "ETH", "amount": -1}]},
        7,
        {"collateral": ETH},
    ]
    outcomes = list(evaluate_file(PROFILES["ltv"], {**whole, "accounts": accounts}, "file"))
    assert [each.account for each in outcomes] == ["good", "bad", "account 2", "account 3"]
    assert [isinstance(each, PortfolioError) for each in outcomes] == [False, True, True, False]
