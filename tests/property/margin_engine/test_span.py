"""The engine's span equals the rules account by account: equity, both requirements, and who has which error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine import span as engine
from node.margin.engine.portfolio import integers
from node.margin.math import products
from node.margin.models.book import Book, read_book
from node.margin.models.errors import OutOfRange, PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.profiles import SPAN
from node.margin.models.span import SpanParameters, read_span

DAY = 86_400
YEAR = 365 * DAY
NO_PRICE = 90 * YEAR
"""An expiry whose discount is infinite."""
EXPIRIES = (0, DAY, 30 * DAY, NO_PRICE)
PRICES: dict[str, float | str] = {"BTC": 60_000, "ETH": 3_000, "SOL": "0.000123", "XAU": 2_000}


def market(vol: float) -> dict[str, Any]:
    def expiry(price: float, seconds: int) -> dict[str, Any]:
        rate = -10 if seconds == NO_PRICE else 0.05
        forward = price * (1 + seconds / YEAR / 50)
        half = vol * vol * seconds / YEAR / 2  # below the flat ones in variance, as expiries may not cross
        surface = {"svi": [half, half, -0.3, 0.05, 0.2, forward, seconds / YEAR]} if seconds == DAY else {"vol": vol}
        return {"seconds": seconds, "forward": str(forward), "rate": rate, **surface}

    return {
        asset: {"price": price, "expiries": [expiry(float(price), seconds) for seconds in EXPIRIES]}
        for asset, price in PRICES.items()
    }


hundredths = st.integers(-500_000, 500_000).map(lambda n: f"{n}e-2")
amounts = st.one_of(
    hundredths,
    st.integers(-30, 30).map(str),
    st.sampled_from(["1e-18", "-1e-18", "19999999", "-2e7", "1e9", "-123.456789012345678", "0.000001", "-1e-9"]),
)
moneyness = st.sampled_from(["0.5", "0.9", "1", "1.1", "3"])


@st.composite
def accounts(draw: st.DrawFn) -> dict[str, Any]:
    assets = draw(st.lists(st.sampled_from([*PRICES]), min_size=1, max_size=3, unique=True))
    amount = draw(st.sampled_from([hundredths, hundredths, amounts]))
    options: dict[object, Any] = {}
    perpetuals: dict[object, Any] = {}
    futures: dict[object, Any] = {}
    for asset in assets:
        price = float(PRICES[asset])
        for _ in range(draw(st.integers(0, 3))):
            seconds = draw(st.sampled_from(EXPIRIES[:3] if draw(st.integers(0, 9)) else EXPIRIES))
            option = {"asset": asset, "seconds": seconds, "strike": str(float(draw(moneyness)) * price)}
            option |= {"call": draw(st.booleans()), "amount": draw(amount)}
            options[seconds, option["strike"], option["call"], asset] = option
        if draw(st.booleans()):
            entry = draw(st.sampled_from([price, price / 3, 2 * price]))
            perpetuals[asset] = {"asset": asset, "amount": draw(amount), "entry_price": str(entry), "funding": "-0.5"}
        if not draw(st.integers(0, 4)):
            futures[asset] = {"asset": asset, "seconds": DAY, "amount": draw(amount)}
    cash = draw(st.sampled_from([0, "-1234.5", "1e6", "1e15", "-1e15"]))
    sections = {"options": options, "perpetuals": perpetuals, "futures": futures}
    return {"cash": cash, **{name: list(each.values()) for name, each in sections.items()}}


spreads = st.builds(
    lambda legs, ratios, rate: {
        "first": legs[0], "second": legs[1], "first_ratio": ratios[0], "second_ratio": ratios[1], "rate": rate,
    },
    st.tuples(st.sampled_from([*PRICES]), st.sampled_from([*PRICES])),
    st.tuples(st.sampled_from([0, 1, 3, "0.07"]), st.sampled_from([1, 20, "1e-18"])),
    st.sampled_from([0, "0.5", 1, "0.123456789012345678"]),
)  # fmt: skip


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    def asset() -> dict[str, Any]:
        return {
            "price_range": draw(st.sampled_from([0, "0.15", "0.3333333333", 1])),
            "vol_range": draw(st.sampled_from([0, 0.1, 5])),
            "extreme_multiple": draw(st.sampled_from([1, 2, 3, 10])),
            "extreme_cover": draw(st.sampled_from([0, "0.35", 1])),
            "short_option_minimum": draw(st.sampled_from([0, "37.5", "1e7"])),
            "intra_spread": draw(st.sampled_from([0, 7, "0.000000000000000001"])),
        }

    known = draw(st.sampled_from([("BTC", "ETH", "SOL", "XAU"), ("BTC", "ETH", "SOL", "XAU"), ("ETH", "BTC")]))
    return {
        "assets": {name: asset() for name in known},
        "spreads": draw(st.lists(spreads, max_size=4)),
        "initial_multiple": draw(st.sampled_from([1, "1.1", "1.333333333333333333", 10])),
    }


def read(contents: Sequence[object], vol: float) -> list[Book]:
    return [read_book(content, str(place), Fields(market(vol), "")) for place, content in enumerate(contents)]


def by_rules(content: object, place: int, vol: float, given: Mapping[str, Any]) -> tuple[int, int, int] | str:
    try:
        found = SPAN.evaluate(content, str(place), Fields(market(vol), ""), Fields(given, ""))
    except PortfolioError as error:
        return str(error)
    initial, maintenance = found.levels
    return maintenance.equity, initial.requirement, maintenance.requirement


def by_engine(books: Sequence[Book], rules: SpanParameters) -> list[tuple[int, int, int] | str]:
    found = engine.evaluate(books, rules)
    numbers = zip(*(integers(each) for each in (found.equity, found.initial, found.maintenance)), strict=True)
    return [
        str(found.errors[place]) if place in found.errors else (int(equity), int(initial), int(maintenance))
        for place, (equity, initial, maintenance) in enumerate(numbers)
    ]


@given(st.lists(accounts(), min_size=1, max_size=4), parameters(), st.sampled_from([0.0, 0.6, 100.0]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_every_account_is_what_the_rules_say(
    contents: list[Any], given: dict[str, Any], vol: float, one_by_one: bool
) -> None:
    rules = read_span(Fields(given, ""))
    expected = [by_rules(content, place, vol, given) for place, content in enumerate(contents)]
    with pytest.MonkeyPatch.context() as patched:
        if one_by_one:
            patched.setattr(products, "LANES", 1)
            patched.setattr(products, "BLOCK_CELLS", 1)
            patched.setattr(products, "GROUP", 1)
            patched.setattr(engine, "DELTA_CHUNK", 1)
        assert by_engine(read(contents, vol), rules) == expected


PARAMETERS: dict[str, Any] = {
    "assets": {asset: {"price_range": "0.15", "vol_range": "0.1", "intra_spread": 2} for asset in ("BTC", "ETH")},
    "spreads": [{"first": "BTC", "second": "ETH", "first_ratio": 1, "second_ratio": 20, "rate": "0.7"}],
    "initial_multiple": "1.1",
}


def leg(asset: str, amount: str, seconds: int = 30 * DAY) -> dict[str, object]:
    return {"asset": asset, "seconds": seconds, "strike": PRICES[asset], "call": True, "amount": amount}


def test_one_bad_account_stops_no_other() -> None:
    """No price, an unknown asset, amounts that no 62 bits hold: an error that names it, or the rules' own answer."""
    good = {"options": [leg("BTC", "-1.5"), leg("ETH", "28.25")]}
    dust = {"options": [leg("ETH", "7.000000000000000001")]}
    contents = [good, {"options": [leg("ETH", "1", NO_PRICE)]}, {"options": [leg("XAU", "1")]}, dust, good]
    found = engine.evaluate(read(contents, 0.6), read_span(Fields(PARAMETERS, "")))
    assert found.by_rules == (1, 2, 3)
    assert sorted(found.errors) == [1, 2]
    assert (found.errors[1].account, found.errors[1].field) == ("1", "mark")
    assert found.errors[1].instrument.startswith("ETH-")
    assert (found.errors[2].account, found.errors[2].instrument) == ("2", "XAU")
    expected = [by_rules(content, place, 0.6, PARAMETERS) for place, content in enumerate(contents)]
    assert by_engine(read(contents, 0.6), read_span(Fields(PARAMETERS, ""))) == expected
    assert expected[0] == expected[4]


def test_an_absurd_account_has_a_typed_error() -> None:
    rules = {
        **PARAMETERS,
        "assets": {**PARAMETERS["assets"], "ETH": {"price_range": 1, "vol_range": 5, "short_option_minimum": "1e15"}},
    }
    contents = [{"options": [leg("ETH", "-1e15")]}, {"options": [leg("ETH", "-1")]}]
    found = engine.evaluate(read(contents, 0.6), read_span(Fields(rules, "")))
    assert isinstance(found.errors[0], OutOfRange)
    assert (found.errors[0].account, found.errors[0].field) == ("0", "equity")
    assert sorted(found.errors) == [0]


def test_offsetting_deltas_are_credited() -> None:
    """So that the property above is not about credits of nothing."""
    both = read_span(Fields(PARAMETERS, ""))
    free = replace(both, spreads=())
    books = read([{"options": [leg("BTC", "-1.5"), leg("ETH", "28.25")]}], 0.6)
    credited, full = engine.evaluate(books, both), engine.evaluate(books, free)
    assert 0 < integers(credited.maintenance)[0] < integers(full.maintenance)[0]


def test_what_a_spread_has_used_no_later_one_uses() -> None:
    contents = [{"options": [leg("BTC", "2"), leg("ETH", "-10"), leg("XAU", "-70")]}]
    between = {"first_ratio": 1, "second_ratio": 20, "rate": "0.7"}
    spreads = [{"first": "BTC", "second": second, **between} for second in ("ETH", "XAU", "ETH")]
    assets = {**PARAMETERS["assets"], "XAU": {"price_range": "0.1", "vol_range": "0.1"}}
    rules = {**PARAMETERS, "assets": assets, "spreads": spreads}
    assert by_engine(read(contents, 0.6), read_span(Fields(rules, ""))) == [by_rules(contents[0], 0, 0.6, rules)]


@pytest.mark.parametrize("amount", ["-1.456789012345678", "9999999", "-0.000000000123456789"])
def test_amounts_with_many_digits_go_the_long_way(amount: str) -> None:
    """Products with a delta that 64 bits do not hold."""
    contents = [{"options": [leg("BTC", amount), leg("ETH", "-1"), leg("ETH", "2", DAY)]}]
    rules = read_span(Fields(PARAMETERS, ""))
    assert engine.evaluate(read(contents, 0.6), rules).by_rules == ()
    assert by_engine(read(contents, 0.6), rules) == [by_rules(contents[0], 0, 0.6, PARAMETERS)]
