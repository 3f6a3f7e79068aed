"""The files hold as many cases as their index says: a test that runs over all of them cannot run over none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.shared import shared

COUNTS: list[tuple[str, int, Callable[[Any], int]]] = [
    ("derive-other/StandardManager__test-cases.json", 28, len),
    ("derive-other/StandardManager__test-cases-portfolio.json", 42, len),
    ("derive-other/PMRM__testAndVerifyScenarios.json", 21, len),
    ("derive-other/liquidation__liquidationTests.json", 8, len),
    ("derive-other/cashAsset__interest_sequence.json", 10, lambda file: len(file["EVENT"])),
    ("vollib/test_data.json", 101, lambda file: len(file["data"])),
    ("vollib/test_data.json", 18, lambda file: len(file["columns"])),
    ("transcribed/haug_bsm.json", 43, lambda file: len(file["values"])),
    ("transcribed/haug_bsm.json", 11, lambda file: len(file["greeks"])),
    ("transcribed/dydx_v4_margin.json", 82, lambda file: sum(len(each["cases"]) for each in file["sections"].values())),
    ("transcribed/dydx_v4_margin.json", 10, lambda file: len(file["sections"])),
    ("transcribed/dydx_v4_liquidation.json", 14, lambda file: len(file["bankruptcy_price"])),
    ("transcribed/dydx_v4_liquidation.json", 14, lambda file: len(file["fillable_price"])),
    (
        "transcribed/drift_v2.json",
        37 + 6 + 2 + 1,
        lambda file: (
            sum(len(each) for each in file.values() if isinstance(each, list))
            + sum(len(each) for each in file["if_fee"].values())
            + len(file["bankruptcy"])
            + ("perp_margin_example" in file)
        ),
    ),
    ("transcribed/mango_v4_health.json", 18, lambda file: len(file["cases"])),
    ("transcribed/span_worked_example.json", 5, lambda file: len(file["expected_scan_risk"])),
    ("transcribed/lending_and_synthetix.json", 3, lambda file: len(file["comet"]["quote_collateral"])),
    ("transcribed/lending_and_synthetix.json", 4, lambda file: len(file["comet"]["is_liquidatable"])),
]


@pytest.mark.parametrize(("name", "count", "counted"), COUNTS)
def test_the_files_are_whole(name: str, count: int, counted: Callable[[Any], int]) -> None:
    assert counted(json.loads(shared(f"vectors/margin/{name}").read_text())) == count
