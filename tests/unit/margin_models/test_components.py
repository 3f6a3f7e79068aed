"""What a scan or a bound is made of is shown, and makes the line that counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from node.margin.models.fixed import PICO, decimal
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import PROFILES, evaluate_file
from tests.property.margin_models import files

INITIAL, MAINTENANCE = 0, 1


def evaluated(profile: str) -> list[tuple[dict[str, Any], list[dict[str, Decimal]]]]:
    """Of each account its components, and the requirements that they explain at each level, by instrument."""
    found = []
    for each in evaluate_file(PROFILES[profile], files.FILES[profile], ""):
        assert isinstance(each, Evaluation)
        required = [
            {
                line.instrument: decimal(line.amount, PICO)
                for line in level.lines
                if line.component in {"scan", "delta floor", "options"} and line.side.value == "requirement"
            }
            for level in each.levels
        ]
        assert each.components.keys() == required[MAINTENANCE].keys() != set()
        found.append((dict(each.components), required))
    return found


def test_span() -> None:
    for components, required in evaluated("span"):
        for asset, shown in components.items():
            array = [Decimal(row) for row in shown["risk_array_usd"].values()]
            risk, charge, credit, least = (
                Decimal(shown[f"{name}_usd"])
                for name in ("scan_risk", "intra_spread_charge", "inter_commodity_credit", "short_option_minimum")
            )
            assert len(array) == 16
            assert risk == max(0, -min(array))
            assert required[MAINTENANCE][asset] == max(risk + charge - credit, least)


@pytest.mark.parametrize("profile", ["deribit-like", "paradex-like"])
def test_grids(profile: str) -> None:
    for components, required in evaluated(profile):
        for asset, shown in components.items():
            loss = max(0, -min(Decimal(row["pnl_usd"]) for row in shown["scenarios"]))
            assert Decimal(shown["worst_loss_usd"]) == loss
            assert required[INITIAL][asset] == max(loss, Decimal(shown["delta_floor_usd"]))
            assert len({row["scenario"] for row in shown["scenarios"]}) == len(shown["scenarios"])


def test_derive_sm() -> None:
    for components, required in evaluated("derive-sm"):
        for expiry, shown in components.items():
            for level, name in ((INITIAL, "initial"), (MAINTENANCE, "maintenance")):
                assert required[level][expiry] == min(map(Decimal, shown[name].values()))
