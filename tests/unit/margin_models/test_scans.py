"""The profiles `span`, `deribit-like` and `paradex-like` by hand: what worst means, floors, credits, contingencies."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import Any

import pytest

from node.margin.models import grids, span
from node.margin.models.errors import ExpiredInstrument, MissingField, OutOfRange, PortfolioError, UnknownAsset
from node.margin.models.fixed import PICO
from node.margin.models.profile import Level
from tests.unit.margin_models.test_dydx import only

DAY = 86_400
MARKET = {
    "ETH": {"price": 2_000, "expiries": [{"seconds": 30 * DAY, "forward": 2_000, "vol": 0.6}]},
    "BTC": {"price": 50_000},
}
RANGES = {"price_range": 0.1, "vol_range": 0.05}


def option(**changes: object) -> dict[str, Any]:
    return {"asset": "ETH", "seconds": 30 * DAY, "strike": 2_000, "call": True, "amount": -1, **changes}


def file(**account: object) -> dict[str, Any]:
    return {"market": MARKET, "parameters": {}, **account}


def spanned(**account: object) -> dict[str, Any]:
    return {**file(**account), "parameters": {"assets": {"ETH": RANGES, "BTC": RANGES}}}


def lines(level: Level) -> dict[str, float]:
    return {f"{line.component} {line.instrument}": line.amount / PICO for line in level.lines}


def perpetual(asset: str = "ETH", amount: float = 1) -> dict[str, Any]:
    return {"asset": asset, "amount": amount}


def future(**changes: object) -> dict[str, Any]:
    return {"asset": "ETH", "seconds": 30 * DAY, "amount": 1, **changes}


def test_span_takes_the_worst_row_and_more_initially() -> None:
    initial, maintenance = only(spanned(cash=300, perpetuals=[perpetual()]), "span").levels
    assert (initial.requirement, maintenance.requirement) == (220 * PICO, 200 * PICO)
    assert (initial.equity, maintenance.excess) == (300 * PICO, 100 * PICO)


def test_span_has_a_minimum_for_short_options() -> None:
    far = spanned(options=[option(strike=9_000, amount=-10)])
    assert only(far, "span").levels[1].requirement < PICO
    far["parameters"]["assets"]["ETH"] = {**RANGES, "short_option_minimum": 5}
    assert only(far, "span").levels[1].requirement == 50 * PICO


def test_span_charges_within_and_credits_between_underlyings() -> None:
    hedged = spanned(perpetuals=[perpetual(amount=10)], futures=[future(amount=-10)])
    assert only(hedged, "span").levels[1].requirement == 0
    hedged["parameters"]["assets"]["ETH"] = {**RANGES, "intra_spread": 3}
    assert only(hedged, "span").levels[1].requirement == 30 * PICO

    apart = spanned(perpetuals=[perpetual("ETH", 25), perpetual("BTC", -1)])
    assert only(apart, "span").levels[1].requirement == 10_000 * PICO
    apart["parameters"]["spreads"] = [
        {"first": "ETH", "second": "BTC", "first_ratio": 25, "second_ratio": 1, "rate": 0.6}
    ]
    assert only(apart, "span").levels[1].requirement == 4_000 * PICO
    apart["perpetuals"][1]["amount"] = 1  # one way: nothing to offset
    assert only(apart, "span").levels[1].requirement == 10_000 * PICO


def test_price_risk_is_scan_less_time_and_volatility() -> None:
    array = [40, -60, 0, 0, 0, 0, 0, 0, 0, 0, -300, -500, 0, 0, 0, 0]
    assert (span.scan_risk(array), span.time_risk(array), span.volatility_risk(array)) == (500, 10, 100)
    assert span.price_risk(array) == 390


def test_a_grid_takes_the_worst_move() -> None:
    long, short = (lines(only(file(perpetuals=[perpetual(amount=each)]), "deribit-like").levels[0]) for each in (1, -1))
    assert long == {"cash USD": 0, "perpetual pnl ETH": 0, "options ETH": 0, "scan ETH": 320,
                    "future contingency ETH": 12}  # fmt: skip
    assert short["scan ETH"] == 320  # +500 % weighs 0.032: 2,000·5·0.032
    assert only(file(perpetuals=[perpetual()]), "deribit-like").levels[1].requirement == pytest.approx(332 * 0.8 * PICO)


COINS = {
    **MARKET,
    "USDC": {"price": 1},
    "STETH": {"price": 1_990, "redemption": {"asset": "ETH", "rate": 1}},
    "SUSDE": {"price": 1.2, "redemption": {"asset": "USDE", "rate": 1.2}},
    "USDE": {"price": 1},
}


def scanned(**account: object) -> dict[str, float]:
    content = {**file(**account), "market": COINS}
    return {name: each for name, each in lines(only(content, "deribit-like").levels[0]).items() if "scan" in name}


def test_collateral_in_coin_moves_with_it_and_hedges() -> None:
    assert scanned(collateral=[{"asset": "ETH", "amount": 2}]) == {"scan ETH": 640}
    assert scanned(collateral=[{"asset": "ETH", "amount": 2}], perpetuals=[perpetual(amount=-2)]) == {"scan ETH": 0}
    assert scanned(collateral=[{"asset": "ETH", "amount": 1}], perpetuals=[perpetual()]) == {"scan ETH": 640}
    assert scanned(debts=[{"asset": "BTC", "amount": 1}], perpetuals=[perpetual()]) == {
        "scan BTC": 8_000, "scan ETH": 320,
    }  # fmt: skip


def test_a_staking_token_moves_with_what_it_redeems_for() -> None:
    staked = [{"asset": "STETH", "amount": 2}]
    assert scanned(collateral=staked) == {"scan ETH": pytest.approx(0.16 * 2 * 1_990)}
    hedged = scanned(collateral=staked, perpetuals=[perpetual(amount=-2)])
    assert hedged == {"scan ETH": pytest.approx(0.16 * 20)}  # 5·20·0.032 above is as much


def test_dollars_do_not_move() -> None:
    dollars = [{"asset": asset, "amount": 1_000} for asset in ("USDC", "SUSDE")]
    assert scanned(collateral=dollars) == {}
    content = {**file(collateral=dollars), "market": COINS, "parameters": {"stables": ["USDC"]}}
    assert lines(only(content, "deribit-like").levels[0])["scan USDE"] == pytest.approx(192)
    content["parameters"] = {"stables": [5]}
    with pytest.raises(PortfolioError) as caught:
        only(content, "deribit-like")
    assert caught.value.field == "stables"


def test_floors_and_contingencies_are_of_positions() -> None:
    content = {**file(collateral=[{"asset": "ETH", "amount": 5}], perpetuals=[perpetual(amount=-5)]), "market": COINS}
    found = lines(only(content, "paradex-like").levels[0])
    assert found["delta floor ETH"] == 5 * 2_000 * 0.02
    assert lines(only(content, "deribit-like").levels[0])["future contingency ETH"] == 5 * 2_000 * 0.006


def test_a_short_option_loses_most_when_price_and_volatility_rise() -> None:
    level = only(file(cash=1_000, options=[option()]), "paradex-like").levels[0]
    found = lines(level)
    at_the_money = 2_000 * (2 * NormalDist().cdf(0.6 * sqrt(30 / 365) / 2) - 1)
    assert found["options ETH"] == pytest.approx(-at_the_money, rel=1e-12)
    assert 250 < found["scan ETH"] < 330
    assert lines(only(file(options=[option(amount=1)]), "paradex-like").levels[0])["scan ETH"] < 137.1


def test_a_hedged_book_still_needs_its_delta_floor() -> None:
    hedged = file(perpetuals=[perpetual(amount=5)], futures=[future(amount=-5)])
    found = lines(only(hedged, "paradex-like").levels[0])
    assert found["delta floor ETH"] == 5 * 2_000 * 0.01
    assert "scan ETH" not in found


@pytest.mark.parametrize(
    ("seconds", "multiple"), [(DAY // 2, 30**0.3), (DAY, 30**0.3), (30 * DAY, 1), (120 * DAY, 0.25**0.13)]
)
def test_a_vol_shock_scales_with_time(seconds: int, multiple: float) -> None:
    up, down = (grids.vol_rule(shock, 0.3, 0.13, 0.5) for shock in (0.4, -0.2))
    assert up(1.0, seconds) == pytest.approx(1 + 0.4 * multiple, rel=1e-14)
    assert down(1.0, seconds) == pytest.approx(1 - 0.2 * multiple, rel=1e-14)
    assert up(0.01, seconds) == 0.5
    assert grids.vol_rule(-1, 0.3, 0.13, 0.5)(1.0, DAY) == 0.0
    assert grids.vol_rule(0, 0.3, 0.13, 0.5)(0.2, seconds) == 0.2


@pytest.mark.parametrize("profile", ["span", "deribit-like", "paradex-like"])
def test_bad_options_are_named(profile: str) -> None:
    for changes, error, field in (
        ({"seconds": -1}, ExpiredInstrument, "seconds"),
        ({"seconds": DAY}, MissingField, "expiries"),
        ({"asset": "DOGE"}, UnknownAsset, "market"),
        ({"strike": 0}, OutOfRange, "strike"),
        ({"call": "maybe"}, PortfolioError, "call"),
    ):
        with pytest.raises(error) as caught:
            only(spanned(options=[option(**changes)]), profile)
        assert caught.value.field == field


@pytest.mark.parametrize("scenarios", [[], [[0.1, 0.2]], [5], [[-2, 0, 1]], [[0, 0, "x"]]])
def test_a_bad_grid_is_refused(scenarios: list[object]) -> None:
    content = {**file(perpetuals=[perpetual()]), "parameters": {"scenarios": scenarios}}
    with pytest.raises(PortfolioError) as caught:
        only(content, "deribit-like")
    assert caught.value.field == "scenarios"


def test_an_underlying_without_span_parameters_is_refused() -> None:
    with pytest.raises(UnknownAsset, match="ETH"):
        only(file(perpetuals=[perpetual()]), "span")
