"""The table of a frame has what the rules make of each instrument by itself, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.table import Instrument, InstrumentTable
from node.margin.models import grids, span
from node.margin.models.book import Option, read_book
from node.margin.models.errors import OutOfRange
from node.margin.models.fields import Fields
from node.margin.models.fixed import ONE, as_wad
from node.margin.models.shocks import NO_MOVE, Move, delta, marks
from tests.property.margin_engine.scans import EXPIRIES, NO_PRICE, PRICES, market

SPAN = span.read_span(
    Fields(
        {"assets": {asset: {"price_range": "0.15", "vol_range": 0.3} for asset in PRICES}, "initial_multiple": 1}, ""
    )
)
MOVES = {
    "span": span.moves(SPAN.assets["BTC"]),
    "grid": grids.read_grid(Fields(grids.DERIBIT, "")).moves,
}


def options(held: list[dict[str, Any]], vol: float) -> tuple[Option, ...]:
    return read_book({"options": held}, "x", Fields(market(vol), "")).options


listed = st.builds(
    lambda asset, seconds, moneyness, call: {
        "asset": asset, "seconds": seconds, "strike": str(float(PRICES[asset]) * moneyness), "call": call, "amount": 1,
    },
    st.sampled_from([*PRICES]), st.sampled_from(EXPIRIES), st.sampled_from([0.001, 0.7, 1.0, 1.3, 50.0]), st.booleans(),
)  # fmt: skip


@given(
    st.lists(listed, max_size=6, unique_by=lambda each: tuple(each.values())),
    st.sampled_from([0.0, 0.6, 100.0]),
    st.sampled_from(["span", "grid"]),
)
@settings(max_examples=40, deadline=None)
def test_marks_and_deltas_are_those_of_the_rules(held: list[dict[str, Any]], vol: float, grid: str) -> None:
    moves = MOVES[grid]
    every = options(held, vol)
    table = InstrumentTable.of([*every, *every], dict.fromkeys(PRICES, moves))
    assert len(table.options) == len(every)
    assert sorted(table.columns) == [Instrument.of(option) for option in table.options]
    for option in every:
        column = table.columns[Instrument.of(option)]
        assert column in range(*table.underlyings[option.quote.asset].indices(len(every)))
        try:
            expected = marks("x", option, [NO_MOVE, *moves])
        except OutOfRange:
            assert not table.usable[column]
            assert not table.marks[column].any()
            continue
        assert table.usable[column]
        assert table.marks[column].tolist() == [*expected]
        assert table.changes[column].tolist() == [mark - expected[0] for mark in expected[1:]]
        assert table.deltas[column] == as_wad(delta(option))


def test_a_price_that_62_bits_do_not_hold_is_not_usable() -> None:
    quoted = {"X": {"price": 4e6, "expiries": [{"seconds": 86_400, "forward": 4e6, "vol": 1}]}}
    held = [{"asset": "X", "seconds": 86_400, "strike": strike, "call": True, "amount": 1} for strike in (1, 3_900_000)]
    options = read_book({"options": held}, "x", Fields(quoted, "")).options
    double = Move("double", ONE, NO_MOVE.vol)
    table = InstrumentTable.of(options, {"X": [double]})
    assert table.usable.tolist() == [False, True]
    assert InstrumentTable.of(options, {"X": [NO_MOVE]}).usable.all()
    assert marks("x", options[0], [double])[0] >= 2**62


@pytest.mark.parametrize("amount", [1, -1])
def test_what_has_no_price_is_not_usable(amount: int) -> None:
    held = [
        {"asset": "ETH", "seconds": seconds, "strike": 3_000, "call": True, "amount": amount} for seconds in EXPIRIES
    ]
    table = InstrumentTable.of(options(held, 0.6), {"ETH": [NO_MOVE]})
    usable = {option.expiry.seconds: bool(table.usable[place]) for place, option in enumerate(table.options)}
    assert usable == {seconds: seconds != NO_PRICE for seconds in EXPIRIES}
    assert np.array_equal(table.marks[:, 0], table.marks[:, 1])
