"""Growth is above the truth by less than anybody sees; a debt never shrinks."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models import interest
from node.margin.models.fixed import WAD, Wad
from node.margin.models.interest import SECONDS_A_YEAR, RateCurve
from tests.unit.margin_models.references import digits

LIGHT = settings(max_examples=60, deadline=None)
ratios = st.integers(0, 2 * WAD).map(Wad)


@LIGHT
@given(st.integers(0, 3 * WAD).map(Wad), st.integers(0, 10 * SECONDS_A_YEAR))
def test_growth_is_the_exponential_rounded_up(rate: Wad, seconds: int) -> None:
    found = interest.growth(rate, seconds)
    with digits(80):
        truth = (Decimal(rate) / WAD * seconds / SECONDS_A_YEAR).exp() * WAD
        assert truth <= found <= truth * (1 + Decimal(10) ** -33) + 1


def test_growth_has_an_end() -> None:
    assert interest.growth(Wad(interest.LARGEST_EXPONENT * WAD), SECONDS_A_YEAR) > 7 * 10**13 * WAD
    with pytest.raises(ValueError, match="bound the rate"):
        interest.growth(Wad(interest.LARGEST_EXPONENT * WAD + 1), SECONDS_A_YEAR)


@LIGHT
@given(st.integers(0, 10**33), st.integers(1, 10**33), st.integers(0, 10**33))
def test_a_debt_grows_as_its_index_rounded_up(principal: int, then: int, more: int) -> None:
    now = Wad(then + more)
    owed = interest.accrued(principal, Wad(then), now)
    assert owed >= principal
    assert 0 <= owed * then - principal * now < then


@LIGHT
@given(ratios, ratios, st.integers(0, WAD).map(Wad), ratios, ratios, ratios)
def test_a_rate_never_falls_with_utilisation(
    least: Wad, slope: Wad, optimal: Wad, steep: Wad, first: Wad, second: Wad
) -> None:
    curve = RateCurve(least, slope, optimal, steep)
    low, high = sorted((first, second))
    assert least <= interest.borrow_rate(curve, low) <= interest.borrow_rate(curve, high)


@pytest.mark.parametrize(
    ("borrowed", "supplied", "used"),
    [(0, 0, 0), (-1, 5, 0), (1, 0, WAD), (7, 5, WAD), (1, 2, WAD // 2), (1, 3, WAD // 3 + 1)],
)
def test_utilisation(borrowed: int, supplied: int, used: int) -> None:
    assert interest.utilisation(borrowed, supplied) == used
