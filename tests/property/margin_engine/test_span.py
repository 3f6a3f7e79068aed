"""The engine's span equals the rules account by account: equity, both requirements, and who has which error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.portfolio import integers
from node.margin.engine.scanning import scan
from node.margin.engine.scanning import span as engine
from node.margin.math import products
from node.margin.models.book import Book
from node.margin.models.errors import OutOfRange, UnsupportedInstrument
from node.margin.models.fields import Fields
from node.margin.models.profiles import SPAN
from node.margin.models.span import SpanParameters, read_span
from tests.property.margin_engine.scans import (
    DAY,
    NO_PRICE,
    PRICES,
    Figures,
    accounts,
    by_profile,
    figures,
    market,
    read_all,
)

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


def by_engine(books: Sequence[Book], rules: SpanParameters) -> list[Figures]:
    return figures(engine.evaluate(books, rules))


def by_rules(content: object, place: int, vol: float, given: Mapping[str, Any]) -> Figures:
    return by_profile(SPAN, content, place, market(vol), given)


def read(contents: Sequence[object], vol: float) -> list[Book]:
    return read_all(contents, market(vol))


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
            patched.setattr(scan, "DELTA_CHUNK", 1)
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


def test_what_the_model_has_no_rule_for_is_refused() -> None:
    contents = [{"collateral": [{"asset": "BTC", "amount": 1}]}, {"options": [leg("BTC", "-1")]}]
    found = engine.evaluate(read(contents, 0.6), read_span(Fields(PARAMETERS, "")))
    assert isinstance(found.errors[0], UnsupportedInstrument)
    assert sorted(found.errors) == [0]


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
