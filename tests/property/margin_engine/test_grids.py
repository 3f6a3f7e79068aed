"""The engine's grids equal the rules account by account: equity, both requirements, and who has which error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.scanning import grids as engine
from node.margin.engine.scanning import scan
from node.margin.math import products
from node.margin.models import grids
from node.margin.models.errors import OutOfRange
from node.margin.models.fields import Fields
from node.margin.models.grids import GridParameters
from node.margin.models.profile import Composed, merged
from node.margin.models.profiles import DERIBIT, PARADEX
from tests.property.margin_engine.scans import (
    DAY,
    NO_PRICE,
    PRICES,
    Figures,
    accounts,
    by_profile,
    figures,
    read_all,
)
from tests.property.margin_engine.scans import market as quoted

Grid: TypeAlias = Composed[GridParameters]
PUBLISHED = {DERIBIT: grids.DERIBIT, PARADEX: grids.PARADEX}
BALANCES = (*PRICES, "USDC", "STETH")


def market(vol: float) -> dict[str, Any]:
    staked = {"price": 2_990, "redemption": {"asset": "ETH", "rate": "1.000000000000000001"}}
    return {**quoted(vol), "USDC": {"price": 1}, "STETH": staked, "DEAR": {"price": "1e9"}}


def by_engine(profile: Grid, contents: Sequence[object], vol: float, given: Mapping[str, Any]) -> list[Figures]:
    rules = grids.read_grid(Fields(merged(PUBLISHED[profile], given), ""))
    return figures(engine.evaluate(read_all(contents, market(vol)), rules))


def by_rules(profile: Grid, contents: Sequence[object], vol: float, given: Mapping[str, Any]) -> list[Figures]:
    return [by_profile(profile, content, place, market(vol), given) for place, content in enumerate(contents)]


rates = st.sampled_from([0, "0.01", "0.006", "0.000000000000000001", "0.333333333333333333", 1])


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly a published grid; now and then moves, weights and rates at the ends of their ranges."""
    moves = st.sampled_from([-1, "-0.66", "-0.123456789012345678", 0, "0.04", 5, 100])
    shocks, weights = st.sampled_from([-1, "-0.25", 0, "0.4", 10]), st.sampled_from([0, "0.0533", 1, "1.7", 10])
    given: dict[str, Any] = {"maintenance": draw(rates)}
    names = ("net_delta_floor", "hedged_delta_floor", "option_contingency", "future_contingency")
    given |= {name: draw(rates) for name in names if draw(st.booleans())}
    if draw(st.booleans()):
        given["scenarios"] = draw(st.lists(st.tuples(moves, shocks, weights).map(list), min_size=1, max_size=5))
    if draw(st.booleans()):
        given["stables"] = draw(st.lists(st.sampled_from(["USDC", "ETH", "SOL"]), unique=True))
    return given


@given(
    st.sampled_from([DERIBIT, PARADEX]),
    st.lists(accounts(BALANCES), min_size=1, max_size=4),
    parameters(),
    st.sampled_from([0.0, 0.6, 100.0]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_every_account_is_what_the_rules_say(
    profile: Grid, contents: list[Any], given: dict[str, Any], vol: float, one_by_one: bool
) -> None:
    expected = by_rules(profile, contents, vol, given)
    with pytest.MonkeyPatch.context() as patched:
        if one_by_one:
            for name in ("LANES", "BLOCK_CELLS", "GROUP"):
                patched.setattr(products, name, 1)
            patched.setattr(scan, "DELTA_CHUNK", 1)
        assert by_engine(profile, contents, vol, given) == expected


def leg(asset: str, amount: str, seconds: int = 30 * DAY, strike: float = 1.0, call: bool = True) -> dict[str, object]:
    price = str(float(PRICES[asset]) * strike)
    return {"asset": asset, "seconds": seconds, "strike": price, "call": call, "amount": amount}


def many(legs: int, sign: int = 1) -> list[dict[str, object]]:
    """Different options of three underlyings and expiries, long and short in turn."""
    return [
        leg(asset, f"{sign * (-1) ** n * (n % 7 + 1)}e-1", seconds, 0.5 + n / 100, call=n % 3 == 0)
        for asset in ("BTC", "ETH", "XAU")
        for seconds in (0, DAY, 30 * DAY)
        for n in range(legs // 9)
    ]


@pytest.mark.parametrize("profile", [DERIBIT, PARADEX], ids=lambda each: each.name)
def test_hundreds_of_legs_are_not_left_to_the_rules(profile: Grid) -> None:
    contents = [
        {"options": many(360), "perpetuals": [{"asset": "BTC", "amount": "-3.25"}, {"asset": "SOL", "amount": "1e7"}]},
        {"options": many(360, -1), "collateral": [{"asset": "STETH", "amount": "12.000000000000000001"}]},
        {"options": many(90, -1), "debts": [{"asset": "BTC", "amount": "0.5"}, {"asset": "USDC", "amount": "9e8"}]},
        {"collateral": [{"asset": "ETH", "amount": 1}]},
        {},
    ]
    found = engine.evaluate(read_all(contents, market(0.6)), grids.read_grid(Fields(PUBLISHED[profile], "")))
    assert found.by_rules == ()
    assert figures(found) == by_rules(profile, contents, 0.6, {})


def test_one_bad_account_stops_no_other() -> None:
    """No price, an asset too dear for the arithmetic, too much of it: an error that names it, or the rules' answer."""
    good = {"options": [leg("BTC", "-1.5"), leg("ETH", "28.25")]}
    contents = [
        good,
        {"options": [leg("ETH", "1", NO_PRICE)]},
        {"perpetuals": [{"asset": "DEAR", "amount": "-0.1"}]},
        {"collateral": [{"asset": "ETH", "amount": "1e10"}]},
        {"options": [leg("ETH", "7.000000000000000001")]},
        {"perpetuals": [{"asset": "DEAR", "amount": "1e15"}]},
        {
            "perpetuals": [{"asset": "SOL", "amount": "1e15"}],
            "futures": [{"asset": "SOL", "seconds": DAY, "amount": 1}],
        },
        good,
    ]
    found = engine.evaluate(read_all(contents, market(0.6)), grids.read_grid(Fields(grids.DERIBIT, "")))
    assert found.by_rules == (1, 2, 3, 4, 5, 6)
    assert sorted(found.errors) == [1, 5]
    assert (found.errors[1].account, found.errors[1].field) == ("1", "mark")
    assert isinstance(found.errors[5], OutOfRange)
    assert (found.errors[5].account, found.errors[5].field) == ("5", "initial requirement")
    expected = by_rules(DERIBIT, contents, 0.6, {})
    assert (figures(found)[:5], figures(found)[6:]) == (expected[:5], expected[6:])
    assert expected[0] == expected[7]


@pytest.mark.parametrize("amount", ["-1.456789012345678", "9999999", "-0.000000000123456789", "1e-18", "-19999990"])
def test_amounts_at_the_edges_go_the_long_way(amount: str) -> None:
    contents = [{"options": [leg("SOL", amount), leg("ETH", "-1"), leg("ETH", "2", DAY)]}]
    found = engine.evaluate(read_all(contents, market(0.6)), grids.read_grid(Fields(grids.PARADEX, "")))
    assert (figures(found), found.by_rules) == (by_rules(PARADEX, contents, 0.6, {}), ())
