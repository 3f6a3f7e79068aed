"""The profile `synthetix` by hand: what size does to ratios and discounts, and which way roundings go."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models import synthetix
from node.margin.models.errors import MissingField, OutOfRange, PortfolioError, UnknownAsset
from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.models.synthetix import CollateralRules, MarketRules
from tests.unit.margin_models.test_instruments import refused
from tests.unit.margin_models.test_lending import only

MARKET = {"skew_scale": 1_000, "initial_fraction": 2, "least_initial": 0.01, "maintenance_scalar": 0.5}
COLLATERAL = {"skew_scale": 10_000, "scalar": 0.5, "lower": 0.02, "upper": 0.2}


def file(**account: object) -> dict[str, Any]:
    return {
        "market": {"ETH": {"price": 2_000}, "ARB": {"price": 1}},
        "parameters": {"markets": {"ETH": dict(MARKET)}, "collaterals": {"ARB": dict(COLLATERAL)}},
        **account,
    }


def excess(content: dict[str, Any]) -> tuple[float, float]:
    initial, maintenance = only(content, "synthetix").levels
    return initial.excess / PICO, maintenance.excess / PICO


def perpetual(amount: float, **more: object) -> list[dict[str, Any]]:
    return [{"asset": "ETH", "amount": amount, **more}]


def test_a_position_needs_its_ratio_and_a_larger_one_a_larger_ratio() -> None:
    assert excess(file(perpetuals=perpetual(10))) == (-600, -300)
    assert excess(file(perpetuals=perpetual(-100))) == (-42_000, -21_000)


def test_the_least_margin_and_the_reward_come_on_top() -> None:
    content = file(perpetuals=perpetual(10))
    content["parameters"]["markets"]["ETH"].update(least_margin=50, reward=0.001)
    assert excess(content) == (-670, -370)


def test_gains_funding_and_debts_count() -> None:
    content = file(
        cash=1_000, perpetuals=perpetual(10, entry_price=1_990, funding=-7), debts=[{"asset": "ARB", "amount": 3}]
    )
    assert excess(content) == (1_000 + 100 - 7 - 3 - 600, 1_000 + 100 - 7 - 3 - 300)


@pytest.mark.parametrize(("amount", "part"), [(100, 0.98), (400, 0.98), (1_000, 0.95), (4_000, 0.8), (9_000, 0.8)])
def test_collateral_is_discounted_by_its_size_within_bounds(amount: float, part: float) -> None:
    assert excess(file(collateral=[{"asset": "ARB", "amount": amount}]))[0] == pytest.approx(amount * part)


def test_the_status_is_of_the_gravest_unmet_level() -> None:
    for cash, status in ((600, "healthy"), (599, "margin_call"), (300, "margin_call"), (299, "liquidatable")):
        assert only(file(cash=cash, perpetuals=perpetual(10)), "synthetix").status == status


def test_roundings_are_against_the_account() -> None:
    third = MarketRules(Wad(3), Wad(1), Wad(0), Wad(WAD // 2), Wad(0), Money(0))
    assert (synthetix.initial_ratio(1, third), synthetix.initial_ratio(-4, third)) == (1, 2)
    assert synthetix.maintenance_ratio(1, third) == 1
    assert synthetix.collateral_discount(Wad(1), CollateralRules(Wad(3), Wad(1), Wad(0), Wad(WAD))) == 1
    assert synthetix.position_margin(Money(1), Wad(1), Money(5)) == 6


def test_fills_and_funding_follow_the_skew() -> None:
    scale, price = Wad(100 * WAD), Wad(1_000 * WAD)
    assert synthetix.fill_price(price, 4 * WAD, 10 * WAD, scale) == 1_120 * WAD
    assert synthetix.fill_price(price, -20 * WAD, 10 * WAD, scale) == price
    for skew, part in ((-200, -1), (-50, -0.5), (0, 0), (25, 0.25), (500, 1)):
        assert synthetix.funding_velocity(skew * WAD, scale, Wad(8 * WAD)) == 8 * part * WAD


@pytest.mark.parametrize(
    ("section", "changes", "field", "error"),
    [
        ("markets", {"skew_scale": 0}, "skew_scale", OutOfRange),
        ("markets", {"initial_fraction": None}, "initial_fraction", MissingField),
        ("markets", {"maintenance_scalar": 2}, "maintenance_scalar", OutOfRange),
        ("collaterals", {"lower": 0.3}, "lower", PortfolioError),
        ("collaterals", {"skew_scale": -1}, "skew_scale", OutOfRange),
    ],
)
def test_bad_parameters_are_named(
    section: str, changes: dict[str, Any], field: str, error: type[PortfolioError]
) -> None:
    content = file()
    (asset,) = content["parameters"][section]
    content["parameters"][section][asset].update(changes)
    found = refused(content, "synthetix")
    assert (type(found), found.instrument, found.field) == (error, f"{section}.{asset}", field)


def test_what_the_parameters_lack_is_named() -> None:
    for held, section in (({"perpetuals": [{"asset": "ARB", "amount": 1}]}, "markets"),
                          ({"collateral": [{"asset": "ETH", "amount": 1}]}, "collaterals")):  # fmt: skip
        found = refused(file(**held), "synthetix")
        assert (type(found), found.field) == (UnknownAsset, f"parameters.{section}")
