"""SPAN's worked example, the published grids, and the worked numbers beside them."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from node.margin.models import grids, span
from node.margin.models.book import read_book
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.models.shocks import Move, profit_and_loss
from tests.shared import shared

SPAN: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/span_worked_example.json").read_text())
GRIDS: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/scenario_grids.json").read_text())
FUTURE, CALL = SPAN["long_1_future"], SPAN["long_1_dec410_call"]


def wad(number: float) -> Wad:
    return Wad(int(Fraction(str(number)) * WAD))


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("long_future", [(1, FUTURE)]), ("short_future", [(-1, FUTURE)]), ("long_call", [(1, CALL)]),
        ("short_call", [(-1, CALL)]), ("covered_write", [(1, FUTURE), (-1, CALL)]),
    ],
)  # fmt: skip
def test_scan_risk(name: str, positions: list[tuple[int, list[int]]]) -> None:
    assert span.scan_risk(span.combined(positions)) == SPAN["expected_scan_risk"][name]


def test_a_covered_write_is_the_sum_of_its_legs_row_by_row() -> None:
    assert span.combined([(1, FUTURE), (-1, CALL)]) == SPAN["covered_write_long_fut_short_call"]


def test_the_rows_are_those_of_the_example() -> None:
    """Order and moves: a future's array is the example's, whose range is 10,000 and whose extremes are 2 × 35 %."""
    asset = span.SpanAsset(wad(0.05), 0.1, wad(2), wad(0.35), Wad(0), Wad(0))
    market = Fields({"SPX": {"price": 400}}, "")
    book = read_book({"perpetuals": [{"asset": "SPX", "amount": 500}]}, "", market)
    found = [round(row / PICO / 10) * 10 for row in profit_and_loss(book, "SPX", span.moves(asset))]
    assert found == FUTURE


def test_the_published_grids_are_ours() -> None:
    assert grids.PARADEX["scenarios"] == GRIDS["paradex"]["scenarios"]
    ours, published = grids.DERIBIT, GRIDS["deribit"]
    assert (ours["short_power"], ours["long_power"]) == (
        published["shortTermVegaPower"],
        published["longTermVegaPower"],
    )
    assert ours["least_vol_up"] == published["minVolForShockUp"]
    rows = ours["scenarios"]
    assert isinstance(rows, list)
    inner, extended = rows[:27], rows[27:]
    assert sorted({row[0] for row in inner}) == [published["price_range"] * step / 4 for step in range(-4, 5)]
    assert {row[1] for row in inner} == {published["volRangeUp"], 0, -published["volRangeDown"]}
    assert [row[0] for row in extended] == published["extended_moves"]


def test_a_delta_floor() -> None:
    case = GRIDS["paradex"]["example"]
    assert case["gross_delta"] - abs(case["net_delta"]) == 2 * case["hedged_delta"]
    floor = grids.delta_floor(wad(case["net_delta"]), wad(case["gross_delta"]), wad(case["spot"]), wad(0.02), wad(0.01))
    assert floor == case["expected_min_delta_usd"] * PICO


def test_a_tiered_charge() -> None:
    case = GRIDS["okx_2025"]["MR9_example"]
    tiers = [(Money(size * PICO), wad(rate)) for size, rate in case["tiers"]]
    assert grids.tiered_charge(Money(case["hedged_usd"] * PICO), tiers) == case["expected"] * PICO


def test_linear_rows_and_a_future_contingency() -> None:
    case = GRIDS["dederi_example"]
    market = Fields({"ETH": {"price": case["expected_forward"]}}, "")
    book = read_book({"perpetuals": [{"asset": "ETH", "amount": case["contracts"]}]}, "", market)
    moves = [Move("", wad(shock), grids.vol_rule(0, 0, 0, 0)) for shock in case["shocks"]]
    assert [round(row / PICO) for row in profit_and_loss(book, "ETH", moves)] == case["expected_pnl"]
    needed = grids.contingency(case["contracts"] * WAD, wad(case["index"]), wad(case["futures_contingency_factor"]))
    assert round(needed / PICO, 1) == case["expected_contingency"]
