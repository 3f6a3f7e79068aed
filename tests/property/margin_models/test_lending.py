"""Relations that Aave's own tests assert of the health factor, over generated accounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.models.lending import close_limit
from node.margin.models.profile import Evaluation, Level
from node.margin.models.profiles import COMPOUND, LTV

LIGHT = settings(max_examples=40, deadline=None)
NAMES = ("A", "B", "C")
amounts = st.integers(0, 10**8)
prices = st.integers(1, 10**6)
percents = st.integers(0, 100)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Three assets, of which an account holds and owes some; thresholds of e-mode are better than those outside."""
    market = {name: {"price": draw(prices)} for name in NAMES}
    assets = {}
    for name in NAMES:
        liquidation = draw(percents)
        assets[name] = {
            "borrow": draw(st.integers(0, liquidation)) / 100,
            "liquidation": liquidation / 100,
            "category": draw(st.sampled_from(["", "like"])),
        }
    return {
        "market": market,
        "parameters": {"assets": assets, "categories": {"like": {"borrow": 1, "liquidation": 1}}},
        "collateral": [{"asset": name, "amount": draw(amounts)} for name in NAMES],
        "debts": [{"asset": name, "amount": draw(amounts)} for name in NAMES],
    }


def evaluated(file: dict[str, Any], **changes: Any) -> Evaluation:  # noqa: ANN401 - parts of JSON
    content = {**file, **changes}
    account = {key: content[key] for key in ("collateral", "debts", "category") if key in content}
    return LTV.evaluate(account, "x", Fields(content["market"], ""), Fields(content["parameters"], ""))


def level(evaluation: Evaluation) -> Level:
    return evaluation.levels[-1]


def scaled(rows: list[dict[str, Any]], factor: int) -> list[dict[str, Any]]:
    return [{**row, "amount": row["amount"] * factor} for row in rows]


@LIGHT
@given(files(), st.integers(2, 1_000))
def test_scaling_a_side_scales_the_health_factor(file: dict[str, Any], factor: int) -> None:
    before = level(evaluated(file)).ratio
    assume(before is not None)
    assert before is not None
    more = level(evaluated(file, collateral=scaled(file["collateral"], factor))).ratio
    less = level(evaluated(file, debts=scaled(file["debts"], factor))).ratio
    both = level(
        evaluated(file, collateral=scaled(file["collateral"], factor), debts=scaled(file["debts"], factor))
    ).ratio
    assert more is not None
    assert less is not None
    assert abs(more - before * factor) <= factor
    assert abs(less * factor - before) <= factor
    assert both == before


@LIGHT
@given(files(), st.integers(2, 1_000))
def test_prices_in_another_unit_change_nothing(file: dict[str, Any], factor: int) -> None:
    market = {name: {"price": quote["price"] * factor} for name, quote in file["market"].items()}
    assert level(evaluated(file, market=market)).ratio == level(evaluated(file)).ratio


@LIGHT
@given(files(), st.sampled_from(NAMES), st.integers(1, 10**6))
def test_more_collateral_never_hurts_and_more_debt_never_helps(file: dict[str, Any], name: str, more: int) -> None:
    def grown(section: str) -> list[dict[str, Any]]:
        return [{**row, "amount": row["amount"] + more * (row["asset"] == name)} for row in file[section]]

    before = evaluated(file)
    for place in range(2):
        now = before.levels[place].excess
        assert evaluated(file, collateral=grown("collateral")).levels[place].excess >= now
        assert evaluated(file, debts=grown("debts")).levels[place].excess < now


@LIGHT
@given(files())
def test_borrowing_asks_more_than_staying_and_e_mode_less_than_none(file: dict[str, Any]) -> None:
    outside, inside = evaluated(file), evaluated(file, category="like")
    borrow, liquidation = outside.levels
    assert borrow.excess <= liquidation.excess
    assert all(better.excess >= worse.excess for better, worse in zip(inside.levels, outside.levels, strict=True))
    assert inside.levels[0].requirement == outside.levels[0].requirement


@LIGHT
@given(files())
def test_the_health_factor_is_below_one_exactly_when_the_account_is_liquidatable(file: dict[str, Any]) -> None:
    evaluation = evaluated(file)
    ratio = level(evaluation).ratio
    assert (evaluation.status == "liquidatable") is (ratio is not None and ratio < WAD)


@LIGHT
@given(files())
def test_repaying_all_up_to_the_thresholds_makes_healthy(file: dict[str, Any]) -> None:
    """Debt paid down to what the collateral bears at the borrow threshold leaves nothing unmet."""
    borrow = evaluated(file).levels[0]
    account = {"collateral": file["collateral"], "cash": str(Decimal(-borrow.equity).scaleb(-12))}
    outcome = LTV.evaluate(account, "x", Fields(file["market"], ""), Fields(file["parameters"], ""))
    assert outcome.status == "healthy"


@LIGHT
@given(files())
def test_without_categories_the_models_are_one(file: dict[str, Any]) -> None:
    account = {key: file[key] for key in ("collateral", "debts")}
    arguments = (account, "x", Fields(file["market"], ""), Fields(file["parameters"], ""))
    assert LTV.evaluate(*arguments).levels == COMPOUND.evaluate(*arguments).levels


@LIGHT
@given(
    st.integers(0, 2 * WAD), st.integers(0, 10**18), st.integers(0, 10**18), st.integers(0, 10**18)
)  # fmt: skip
def test_a_liquidator_never_closes_more_than_the_debt(health: int, debt: int, collateral: int, other: int) -> None:
    limit = close_limit(Wad(health), Money(debt), Money(collateral), Money(debt + other))
    assert 0 <= limit <= debt
    assert limit == debt or (health > 95 * WAD // 100 and min(debt, collateral) >= 2_000 * PICO)
    assert limit >= min(debt, (debt + other) // 2)
