"""Grids of volatilities: what lies between their points, and which are refused; SVI expiries that cross."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log, sqrt
from typing import Any

import numpy as np
import pytest

from node.margin.models.book import read_book
from node.margin.models.errors import CrossedSurface, MissingField, OutOfRange, PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.surface import read_slice
from tests.unit.margin_models.test_instruments import SCANS, refused
from tests.unit.margin_models.test_lending import only

DAY = 86_400
YEAR = 365 * DAY
STRIKES = [1_500, 2_000, 2_500]


def grid(*rows: tuple[int, float, list[Any]], strikes: list[Any] | None = None) -> dict[str, Any]:
    return {
        "strikes": STRIKES if strikes is None else strikes,
        "rows": [{"seconds": seconds, "forward": forward, "vols": vols} for seconds, forward, vols in rows],
    }


NEAR, FAR = (30 * DAY, 2_000.0, [0.8, 0.6, 0.7]), (90 * DAY, 2_100.0, [0.7, 0.6, 0.65])


def vol(surface: dict[str, Any], seconds: int, forward: float, *strikes: float) -> list[float]:
    found = read_slice(Fields(surface, "alice", "ETH surface"), seconds, forward).vol(np.array(strikes))
    return [float(each) for each in found]


def variance(row: tuple[int, float, list[Any]], k: float) -> float:
    """By hand: linear in ln(K/F), flat outside."""
    seconds, forward, vols = row
    points: list[tuple[float, float]] = [
        (log(strike / forward), each * each * seconds / YEAR) for strike, each in zip(STRIKES, vols, strict=True)
    ]
    if k <= points[0][0]:
        return points[0][1]
    for (k0, w0), (k1, w1) in pairwise(points):
        if k <= k1:
            return w0 + (w1 - w0) * (k - k0) / (k1 - k0)
    return points[-1][1]


def test_its_points_are_its_own() -> None:
    surface = grid(NEAR, FAR)
    for seconds, forward, vols in (NEAR, FAR):
        assert vol(surface, seconds, forward, *STRIKES) == pytest.approx(vols, rel=1e-14)


@pytest.mark.parametrize("strike", [100, 1_500, 1_700, 2_049, 2_400, 2_500, 99_999])
@pytest.mark.parametrize("days", [30, 31, 60, 89, 90])
def test_between_them_variance_is_linear_in_moneyness_and_time(days: int, strike: float) -> None:
    forward = 2_050.0
    k, part = log(strike / forward), (days - 30) / 60
    expected = variance(NEAR, k) * (1 - part) + variance(FAR, k) * part
    (found,) = vol(grid(FAR, NEAR), days * DAY, forward, strike)
    assert found == pytest.approx(sqrt(expected * 365 / days), rel=1e-12)


@pytest.mark.parametrize(("days", "row"), [(0, NEAR), (1, NEAR), (29, NEAR), (91, FAR), (1_000, FAR)])
def test_before_and_after_them_volatility_stays(days: int, row: tuple[int, float, list[Any]]) -> None:
    forward, strike = 2_222.0, 1_999.0
    (found,) = vol(grid(NEAR, FAR), days * DAY, forward, strike)
    expected = variance(row, log(strike / forward)) * YEAR / row[0]
    assert found == pytest.approx(sqrt(expected), rel=1e-12)


def test_one_strike_and_one_row_are_a_flat_surface() -> None:
    surface = grid((30 * DAY, 2_000, [0.5]), strikes=[2_000])
    assert vol(surface, 7 * DAY, 2_100, 1, 2_000, 9_000) == [pytest.approx(0.5)] * 3


def file(surface: object, *options: tuple[int, float], **expiry: object) -> dict[str, Any]:
    days = sorted({each for each, _ in options})
    return {
        "market": {
            "ETH": {
                "price": 2_000,
                "surface": surface,
                "expiries": [{"seconds": each * DAY, "forward": 2_050, **expiry} for each in days],
            }
        },
        "parameters": {"assets": {"ETH": {"price_range": 0.1, "vol_range": 0.05}}},
        "options": [
            {"asset": "ETH", "seconds": each * DAY, "strike": strike, "call": True, "amount": -1}
            for each, strike in options
        ],
    }


def test_options_are_priced_on_the_grid() -> None:
    content = file(grid(NEAR, FAR), (60, 2_300))
    market = Fields(content["market"], "alice")
    (option,) = read_book({"options": content["options"]}, "alice", market).options
    found = option.expiry.vol(np.array([2_300.0]))[0]
    assert found == vol(grid(NEAR, FAR), 60 * DAY, 2_050, 2_300)[0]
    flat = file(None, (60, 2_300), vol=float(found))
    for profile in SCANS:
        of_grid, of_flat = (only({**each, "parameters": content["parameters"] if profile == "span" else {}}, profile)
                            for each in (content, flat))  # fmt: skip
        assert of_grid.levels == of_flat.levels


def test_an_expiry_with_its_own_volatility_does_not_look_at_the_grid() -> None:
    only({**file({"rows": "broken"}, (60, 2_300), vol=0.5), "parameters": {}}, "deribit-like")


CALENDAR = "total variance falls"
CONVEX = "not convex"
RISING = "costs more"


@pytest.mark.parametrize(
    ("near", "far", "message", "days", "strike"),
    [
        ([0.8, 0.6, 0.7], [0.4, 0.6, 0.65], CALENDAR, 90, 1_500),
        ([0.8, 0.6, 0.7], [0.7, 0.6, 0.3], CALENDAR, 90, 2_500),
        ([0.6, 1.6, 0.6], [1.2, 1.2, 1.2], CONVEX, 30, 2_000),
        ([0.6, 0.6, 3.0], [2, 2, 2], RISING, 30, 2_500),
        ([0.6, 0.6, 0.6], [0.6, 0.6, 2.4], RISING, 90, 2_500),
    ],
)
def test_arbitrage_is_refused_by_expiry_and_strike(
    near: list[float], far: list[float], message: str, days: int, strike: float
) -> None:
    surface = grid((30 * DAY, 2_000, near), (90 * DAY, 2_000, far))
    for profile in SCANS:
        error = refused(file(surface, (60, 2_000)), profile)
        assert (type(error), error.instrument, error.field) == (CrossedSurface, "ETH surface", "vols")
        assert (error.values["expiry"], error.values["strike"]) == (days * DAY, strike)
        assert message in error.message


def test_rows_are_compared_at_the_strikes_of_both() -> None:
    """The later forward is higher, so its strikes lie elsewhere in moneyness: a dip there is between the earlier's."""
    near, far = (30 * DAY, 2_000.0, [0.9, 0.9, 0.9]), (31 * DAY, 3_000.0, [0.95, 0.85, 0.95])
    assert all(variance(near, log(strike / 2_000)) < variance(far, log(strike / 2_000)) for strike in STRIKES)
    for rows in ((near, far), (far, near)):
        with pytest.raises(CrossedSurface) as caught:
            vol(grid(*rows), 30 * DAY + 1, 2_000, 2_000)
        assert (caught.value.values["expiry"], caught.value.values["strike"]) == (31 * DAY, 2_000)
    hump = (30 * DAY, 3_000.0, [0.85, 0.96, 0.85])
    with pytest.raises(CrossedSurface) as caught:
        vol(grid(hump, (31 * DAY, 2_000.0, [0.9, 0.9, 0.9])), 30 * DAY + 1, 2_000, 2_000)
    assert caught.value.values["strike"] == 2_000


def test_what_is_wrong_with_rows_that_nobody_needs_stops_nobody() -> None:
    broken = (200 * DAY, 2_000, ["NaN", 0, -1])
    surface = grid(NEAR, FAR, broken)
    only(file(surface, (30, 2_000), (60, 2_000)), "span")
    assert isinstance(refused(file(surface, (100, 2_000)), "span"), OutOfRange)


@pytest.mark.parametrize(
    ("surface", "instrument", "field", "error"),
    [
        (grid(), "ETH surface", "rows", PortfolioError),
        (grid((-5, 2_000, [1, 1, 1])), "ETH surface", "rows", PortfolioError),
        (grid(NEAR, NEAR), "ETH surface", "rows", PortfolioError),
        (grid((30 * DAY, 0, [1, 1, 1])), "ETH surface row 2592000", "forward", OutOfRange),
        (grid((30 * DAY, 2_000, [1, 1])), "ETH surface row 2592000", "vols", PortfolioError),
        (grid((30 * DAY, 2_000, [1, 0, 1])), "ETH surface row 2592000", "vols", OutOfRange),
        (grid((30 * DAY, 2_000, [1, -1, 1])), "ETH surface row 2592000", "vols", OutOfRange),
        (grid((30 * DAY, 2_000, [1, "x", 1])), "ETH surface row 2592000", "vols", PortfolioError),
        (grid((30 * DAY, 2_000, [1, float("nan"), 1])), "ETH surface row 2592000", "vols", OutOfRange),
        (grid((30 * DAY, 2_000, [1, 101, 1])), "ETH surface row 2592000", "vols", OutOfRange),
        (grid(NEAR, strikes=[1_500, 1_500, 2_500]), "ETH surface", "strikes", PortfolioError),
        (grid(NEAR, strikes=[0, 1_500, 2_500]), "ETH surface", "strikes", PortfolioError),
        (grid(NEAR, strikes=[2_500, 2_000, 1_500]), "ETH surface", "strikes", PortfolioError),
        (grid(NEAR, strikes=list(range(1, 600))), "ETH surface", "strikes", OutOfRange),
        ({"strikes": STRIKES}, "ETH surface", "rows", PortfolioError),
        ({"strikes": STRIKES, "rows": [5]}, "ETH surface", "", PortfolioError),
        (7, "ETH.surface", "", PortfolioError),
    ],
)  # fmt: skip
def test_a_broken_grid_is_named(surface: object, instrument: str, field: str, error: type[PortfolioError]) -> None:
    found = refused(file(surface, (30, 2_000)), "span")
    assert (type(found), found.instrument, found.field) == (error, instrument, field)


def test_without_any_volatility_the_field_is_missed() -> None:
    error = refused(file(None, (30, 2_000)), "span")
    assert (type(error), error.field) == (MissingField, "vol")


# === SVI ===


def svi(a: float, seconds: int) -> list[float]:
    return [a, 0.1, -0.1, 0, 0.1, 2_000, seconds / YEAR]


def with_svi(near: float, far: float) -> dict[str, Any]:
    content = file(None, (30, 1_800), (90, 2_500))
    for row, a in zip(content["market"]["ETH"]["expiries"], (near, far), strict=True):
        row["svi"] = svi(a, row["seconds"])
    return content


def test_svi_expiries_may_not_cross_where_an_account_looks() -> None:
    for profile in ("span", "deribit-like"):
        only(with_svi(0.02, 0.05), profile)
        only(with_svi(0.02, 0.02), profile)
        error = refused(with_svi(0.05, 0.02), profile)
        assert (type(error), error.instrument, error.field) == (CrossedSurface, "ETH surface", "svi")
        assert (error.values["expiry"], error.values["strike"]) == (90 * DAY, 1_800)
    alone = with_svi(0.05, 0.02)
    alone["options"].pop()
    only(alone, "span")


def with_vols(near: object, far: object) -> dict[str, Any]:
    content = file(None, (30, 1_800), (90, 2_500))
    for row, vol in zip(content["market"]["ETH"]["expiries"], (near, far), strict=True):
        row.update({"svi": vol} if isinstance(vol, list) else {"vol": vol})
    return content


def test_flat_volatilities_may_not_cross_either() -> None:
    """0.6²·30 days are 0.3464²·90 days."""
    for profile in ("span", "derive-sm"):
        content = with_vols(0.6, 0.347)
        content["parameters"]["assets"]["ETH"] |= {
            f"{kind}_{level}": 1 for kind in ("base", "perpetual") for level in ("initial", "maintenance")
        }
        only(content, profile)
        content["market"]["ETH"]["expiries"][1]["vol"] = 0.346
        error = refused(content, profile)
        assert (type(error), error.instrument, error.field) == (CrossedSurface, "ETH surface", "vol")
        assert error.values["expiry"] == 90 * DAY
        content["options"].pop()
        only(content, profile)


def test_a_flat_volatility_and_a_surface_may_not_cross() -> None:
    far = svi(0.05, 90 * DAY)
    only(with_vols(0.6, far), "span")
    assert refused(with_vols(1.5, far), "span").field == "svi"
    only(with_vols(svi(0.02, 30 * DAY), 0.9), "span")
    assert refused(with_vols(svi(0.02, 30 * DAY), 0.2), "span").field == "vol"


def test_forwards_that_differ_are_no_crossing() -> None:
    content = with_svi(0.05, 0.05)
    content["market"]["ETH"]["expiries"][1]["svi"][5] = 2_000 * exp(0.3)
    only(content, "span")
