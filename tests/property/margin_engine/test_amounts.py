"""The arithmetic beyond 64 bits against Python's integers, up to its bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.math.amounts import BASE, LARGEST, Amounts, digits_of
from node.margin.models.fixed import WAD, down, up, value

SAFE = 10**24
edges = st.sampled_from([0, 1, -1, BASE, -BASE, BASE**2 - 1, -(BASE**2), 2**31 * BASE, -(2**31) * BASE])
amounts = st.one_of(st.integers(-SAFE, SAFE), st.integers(-(10**12), 10**12), edges)
columns = st.lists(amounts, min_size=1, max_size=6)
ratios = st.one_of(
    st.integers(-WAD, WAD), st.integers(-500 * WAD, 500 * WAD), st.sampled_from([0, WAD, -WAD, 2 * WAD, BASE - 1])
)


@given(columns, ratios)
@settings(max_examples=300, deadline=None)
def test_products_with_ratios_are_rounded_as_the_rules_round(numbers: list[int], ratio: int) -> None:
    held = Amounts.of(numbers)
    assert held.down(ratio).integers() == [down(number, ratio) for number in numbers]
    assert held.up(ratio).integers() == [up(number, ratio) for number in numbers]


@given(st.lists(st.tuples(amounts, ratios), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_ratios_may_differ_between_elements(pairs: list[tuple[int, int]]) -> None:
    split = [digits_of(ratio) for _, ratio in pairs]
    length = max(map(len, split))
    for digits in split:
        while len(digits) < length:
            digits[-1:] = [digits[-1] % BASE, digits[-1] // BASE]
    found = Amounts.of(number for number, _ in pairs).down_by([np.array(digits) for digits in zip(*split, strict=True)])
    assert found.whole().integers() == [down(number, ratio) for number, ratio in pairs]


@given(st.lists(st.integers(-LARGEST // 2, LARGEST // 2), min_size=1, max_size=6), st.integers(0, 10**5 * WAD))
@settings(max_examples=200, deadline=None)
def test_an_amount_is_worth_what_the_rules_say(numbers: list[int], price: int) -> None:
    numbers = [number for number in numbers if abs(value(number, price)) < LARGEST] or [0]
    assert Amounts.of(numbers).worth(price).integers() == [value(number, price) for number in numbers]


@given(columns, columns)
@settings(max_examples=100, deadline=None)
def test_sums_comparisons_and_signs(first: list[int], second: list[int]) -> None:
    size = min(len(first), len(second))
    first, second = first[:size], second[:size]
    one, other = Amounts.of(first), Amounts.of(second)
    pairs = list(zip(first, second, strict=True))
    assert (one + other).whole().integers() == [a + b for a, b in pairs]
    assert (one - other).whole().integers() == [a - b for a, b in pairs]
    assert one.least(other).integers() == [min(a, b) for a, b in pairs]
    assert one.losses().whole().integers() == [-abs(a) for a in first]
    assert one.at_most_zero().whole().integers() == [min(a, 0) for a in first]
    assert one.negative().tolist() == [a < 0 for a in first]
    table = Amounts.stack([one, other])
    assert table.lowest().integers() == [min(a, b) for a, b in pairs]
    assert table.total().integers() == [a + b for a, b in pairs]


@given(st.integers(-(10**40), 10**40))
@settings(max_examples=100, deadline=None)
def test_digits_make_the_number(number: int) -> None:
    digits = digits_of(number)
    assert sum(digit * BASE**place for place, digit in enumerate(digits)) == number
    assert all(0 <= digit < BASE for digit in digits[:-1])
    assert abs(digits[-1]) < BASE
    assert len(digits) >= 2


def test_what_is_too_large_is_left_out() -> None:
    assert Amounts.of([LARGEST, -LARGEST, LARGEST - 1]).integers() == [0, 0, LARGEST - 1]
    assert Amounts.small(np.array([-1, 2**62])).integers() == [-1, 2**62]
