"""The engine's derive-sm equals the rules account by account: equity and requirement at both thresholds, and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.derive import sm as engine
from node.margin.engine.portfolio import integers
from node.margin.math import products
from node.margin.models import derive_sm
from node.margin.models.errors import OutOfRange, PortfolioError, UnknownAsset, UnsupportedInstrument
from node.margin.models.fields import Fields
from node.margin.models.profile import merged
from node.margin.models.profiles import DERIVE_SM
from tests.property.margin_engine.scans import DAY, PRICES, accounts, read_all
from tests.property.margin_engine.scans import market as quoted

Figures: TypeAlias = tuple[int, ...] | str
MOST = 30 * DAY


def market(vol: float, confidence: str = "1", perpetual: str = "1") -> dict[str, Any]:
    found = quoted(vol)
    for name, each in found.items():
        each |= {"confidence": confidence, "perpetual_price": str(float(PRICES[name]) * 1.001)}
        each |= {"perpetual_confidence": perpetual}
        each["expiries"][1]["confidence"] = "0.4"
    return {**found, "USDC": {"price": 1}, "NOVAR": {"price": 2_000, "expiries": [NO_VARIANCE]}}


NO_VARIANCE = {"seconds": DAY, "forward": 2_010, "svi": [-0.05, 0.1, 1, 0, 1, 2_010, 0.0822]}
RULES = {
    "perpetual_initial": "0.065", "perpetual_maintenance": "0.05", "base_initial": "0.8", "base_maintenance": "0.9",
    "confidence_threshold": "0.55", "confidence_factor": "0.4",
}  # fmt: skip
PARAMETERS: dict[str, Any] = {
    "assets": dict.fromkeys((*PRICES, "NOVAR"), RULES),
    "depeg": {"stable_price": "0.97", "threshold": "0.98", "factor": "1.2"},
}


def by_rules(contents: Sequence[object], quotes: Mapping[str, Any], given: Mapping[str, Any]) -> list[Figures]:
    found: list[Figures] = []
    for place, content in enumerate(contents):
        try:
            levels = DERIVE_SM.evaluate(content, str(place), Fields(quotes, ""), Fields(given, "")).levels
        except PortfolioError as error:
            found.append(str(error))
        else:
            found.append(tuple(number for level in levels for number in (level.equity, level.requirement)))
    return found


def evaluated(contents: Sequence[object], quotes: Mapping[str, Any], given: Mapping[str, Any]) -> engine.Margins:
    rules = derive_sm.read_sm(Fields(merged({"options": derive_sm.OPTION_RULES}, given), ""))
    return engine.evaluate(read_all(contents, quotes), rules)


def figures(found: engine.Margins) -> list[Figures]:
    rows = zip(*(integers(each).tolist() for each in found.required.columns()), strict=True)
    return [str(found.errors[place]) if place in found.errors else tuple(row) for place, row in enumerate(rows)]


fractions = st.sampled_from([0, "0.075", "0.15", "1.05", "0.333333333333333333", 10])


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    rules = {**RULES, "confidence_threshold": draw(st.sampled_from([0, "0.5", 1]))}
    rules["confidence_factor"] = draw(st.sampled_from([0, "0.4", 20]))
    depeg = {"stable_price": draw(st.sampled_from(["0.97", 1])), "threshold": "0.98", "factor": draw(fractions)}
    options = {name: draw(fractions) for name in derive_sm.OPTION_RULES if not draw(st.integers(0, 2))}
    known = draw(st.sampled_from([tuple(PRICES), tuple(PRICES), ("ETH", "BTC")]))
    return {"assets": dict.fromkeys(known, rules), "depeg": depeg, "options": options}


@given(
    st.lists(accounts([*PRICES], futures_too=False), min_size=1, max_size=4),
    parameters(),
    st.sampled_from([0.0, 0.6, 100.0]),
    st.sampled_from(["1", "0.5", "0.123456789012345678"]),
    st.sampled_from(["1", "0.5"]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_every_account_is_what_the_rules_say(
    contents: list[Any], given: dict[str, Any], vol: float, confidence: str, perpetual: str, one_by_one: bool
) -> None:
    quotes = market(vol, confidence, perpetual)
    with pytest.MonkeyPatch.context() as patched:
        for name in ("LANES", "BLOCK_CELLS", "GROUP") if one_by_one else ():
            patched.setattr(products, name, 1)
        found = evaluated(contents, quotes, given)
    assert figures(found) == by_rules(contents, quotes, given)


def leg(
    asset: str, amount: str, strike: float | str = 1.0, *, seconds: int = MOST, call: bool = True
) -> dict[str, Any]:
    price = strike if isinstance(strike, str) else str(float(PRICES[asset]) * strike)
    return {"asset": asset, "seconds": seconds, "strike": price, "call": call, "amount": amount}


strikes = st.sampled_from([0.5, 0.9, 0.95, 1.0, 1.05, 1.3, 3.0])
expiry_legs = st.lists(
    st.tuples(strikes, st.booleans(), st.sampled_from(["-3", "-1.5", "-1", "-0.1", "0.1", "1", "2", "3"])),
    min_size=1, max_size=10, unique_by=lambda each: each[:2],
)  # fmt: skip


@given(st.lists(st.lists(expiry_legs, min_size=2, max_size=2), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_an_expiry_loses_what_the_rules_say_whatever_else_the_frame_lists(books: list[Any]) -> None:
    """Strikes of others, above and between its own, decide nothing; spreads and unpaired calls do."""
    contents = [
        {
            "options": [
                leg("ETH", amount, strike, seconds=seconds, call=call)
                for seconds, legs in zip((DAY, MOST), expiries, strict=True)
                for strike, call, amount in legs
            ]
        }
        for expiries in books
    ]
    found = evaluated(contents, market(0.6), PARAMETERS)
    assert found.by_rules == ()
    assert figures(found) == by_rules(contents, market(0.6), PARAMETERS)


def many(legs: int, sign: int = 1) -> list[dict[str, Any]]:
    """Different options of three underlyings and expiries, long and short in turn."""
    return [
        leg(asset, f"{sign * (-1) ** n * (n % 7 + 1)}e-1", 0.5 + n / 100, seconds=seconds, call=n % 3 == 0)
        for asset in ("BTC", "ETH", "XAU")
        for seconds in (0, DAY, MOST)
        for n in range(legs // 9)
    ]


def test_hundreds_of_legs_and_large_books_are_not_left_to_the_rules() -> None:
    contents = [
        {"options": many(360), "perpetuals": [{"asset": "BTC", "amount": "-3.25"}]},
        {"options": many(360, -1), "collateral": [{"asset": "ETH", "amount": "12.000000000000000001"}]},
        {"options": [leg("BTC", "-20000", 0.5), leg("BTC", "19999.999999", 0.6), leg("ETH", "-400000", call=False)]},
        {"options": [leg("SOL", "-0.000000001", "0.000000000000000007"), leg("SOL", "-1", "4000000")]},
        {"cash": -5, "debts": [{"asset": "BTC", "amount": "0.5"}]},
        {},
    ]
    quotes = market(0.6, "0.5")
    found = evaluated(contents, quotes, PARAMETERS)
    assert found.by_rules == (3,)
    assert figures(found) == by_rules(contents, quotes, PARAMETERS)


def test_one_bad_account_stops_no_other() -> None:
    """No price, an unknown asset, an instrument without a rule, amounts beyond all bounds: each is named."""
    good = {"options": [leg("BTC", "-1.5"), leg("ETH", "28.25")]}
    contents = [
        good,
        {"options": [{**leg("ETH", "1", "800", seconds=DAY), "asset": "NOVAR"}]},
        {"collateral": [{"asset": "USDC", "amount": 1}], "options": good["options"]},
        {"futures": [{"asset": "ETH", "seconds": DAY, "amount": 1}]},
        {"options": [leg("BTC", "-1e15")]},
        {"options": [leg("ETH", "7.000000000000000001"), leg("SOL", "-19999999")]},
        good,
    ]
    found = evaluated(contents, market(0.6), PARAMETERS)
    assert found.by_rules == (1, 2, 3, 4, 5)
    assert sorted(found.errors) == [1, 2, 3, 4]
    assert isinstance(found.errors[1], OutOfRange)
    assert (found.errors[1].account, found.errors[1].instrument, found.errors[1].field) == ("1", "NOVAR-86400-800-C", "mark")  # fmt: skip  # noqa: E501
    assert isinstance(found.errors[2], UnknownAsset)
    assert (found.errors[2].account, found.errors[2].instrument) == ("2", "USDC")
    assert isinstance(found.errors[3], UnsupportedInstrument)
    assert isinstance(found.errors[4], OutOfRange)
    assert (found.errors[4].account, found.errors[4].field) == ("4", "initial requirement")
    expected = by_rules(contents, market(0.6), PARAMETERS)
    got = figures(found)
    assert got[:4] + got[5:] == expected[:4] + expected[5:]
    assert expected[0] == expected[6]


@pytest.mark.parametrize("amount", ["-1.456789012345678", "-9999999", "0.000000000123456789", "-1e-18", "-19999990"])
def test_amounts_at_the_edges(amount: str) -> None:
    contents = [{"options": [leg("SOL", amount), leg("SOL", "-1", 0.9), leg("SOL", "2", 1.1, call=False)]}]
    found = evaluated(contents, market(0.6), PARAMETERS)
    assert (figures(found), found.by_rules) == (by_rules(contents, market(0.6), PARAMETERS), ())


def test_what_is_too_dear_for_the_arithmetic_is_left_to_the_rules() -> None:
    """A put that costs next to nothing, on something whose notional no 63 bits hold."""
    quotes = market(0.6, "0.5") | {
        "DEAR": {"price": "1e12", "expiries": [{"seconds": DAY, "forward": "1e12", "vol": 1}]}
    }
    given = {**PARAMETERS, "assets": {**PARAMETERS["assets"], "DEAR": RULES}}
    puts = [{"options": [{**leg("ETH", amount, "1000", seconds=DAY, call=False), "asset": "DEAR"}]} for amount in ("-1e7", "-0.5")]  # fmt: skip  # noqa: E501
    found = evaluated(puts, quotes, given)
    assert found.by_rules == (0,)
    assert isinstance(found.errors[0], OutOfRange)  # by the depeg alone it requires 1e17 USD
    assert found.errors[0].field == "initial requirement"
    assert figures(found)[1] == by_rules(puts, quotes, given)[1]
