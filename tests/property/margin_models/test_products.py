"""Exact products equal the product in Python integers, over whatever rows and tables, up to the stated bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import InputError, LimitError
from node.margin.math import products
from node.margin.math.products import Rows, exact_products, limb_bits, split

EDGE = 2**62 - 1
numbers = st.one_of(
    st.integers(-EDGE, EDGE), st.sampled_from([EDGE, -EDGE, 0, 1, -1, 2**53, -(2**53) - 1]), st.integers(-1000, 1000)
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[int, int]], list[list[int]]]:
    columns, scenarios = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rows = draw(st.lists(st.dictionaries(st.integers(0, columns - 1), numbers, max_size=columns), max_size=6))
    row = st.lists(numbers, min_size=scenarios, max_size=scenarios)
    return rows, draw(st.lists(row, min_size=columns, max_size=columns))


def sparse(rows: list[dict[int, int]]) -> Rows:
    starts = np.cumsum([0, *map(len, rows)])
    columns = np.array([column for row in rows for column in sorted(row)], dtype=np.int64)
    amounts = np.array([row[column] for row in rows for column in sorted(row)], dtype=np.int64)
    return Rows(starts.astype(np.int64), columns, amounts)


def plain(rows: list[dict[int, int]], table: list[list[int]]) -> list[list[int]]:
    return [
        [sum(amount * table[column][s] for column, amount in row.items()) for s in range(len(table[0]))] for row in rows
    ]


@given(cases(), st.sampled_from([1, 7, 1 << 18]))
@settings(max_examples=150, deadline=None)
def test_products_are_exact(case: tuple[list[dict[int, int]], list[list[int]]], cells: int) -> None:
    rows, table = case
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(products, "BLOCK_CELLS", cells)  # several blocks, and one
        found = exact_products(sparse(rows), np.array(table, dtype=np.int64))
    assert found.integers() == plain(rows, table)


def test_a_long_row_of_the_largest_numbers_is_exact() -> None:
    """80 legs by 31 scenarios, every number at its bound: the sum of each limb comes near 2^53 and no nearer."""
    rows = [dict.fromkeys(range(80), EDGE), {column: -EDGE + column for column in range(80)}]
    table = [[EDGE - scenario for scenario in range(31)] for _ in range(80)]
    found = exact_products(sparse(rows), np.array(table, dtype=np.int64))
    assert found.integers() == plain(rows, table)
    assert 80 * (2**found.bits - 1) ** 2 < 2**53 <= 80 * 4 * 2 ** (2 * found.bits)


@given(st.lists(numbers, min_size=1, max_size=20), st.integers(8, 26))
@settings(max_examples=100, deadline=None)
def test_limbs_are_small_and_add_up(values: list[int], bits: int) -> None:
    limbs = split(np.array(values, dtype=np.int64), bits)
    assert all(np.abs(limb).max() < 2**bits for limb in limbs)
    assert [sum(int(limb[i]) << bits * k for k, limb in enumerate(limbs)) for i in range(len(values))] == values


@given(st.integers(1, 2**37))
def test_no_sum_of_limb_products_reaches_the_bound(longest: int) -> None:
    bits = limb_bits(longest)
    assert longest * (2**bits - 1) ** 2 < 2**53


@pytest.mark.parametrize("columns", [[1, 1], [1, 0], [0, 2], [-1, 0]])
def test_columns_that_do_not_ascend_or_exist_are_refused(columns: list[int]) -> None:
    rows = Rows(np.array([0, 2]), np.array(columns), np.array([1, 1]))
    with pytest.raises(InputError):
        exact_products(rows, np.ones((2, 1), dtype=np.int64))


def test_what_cannot_be_exact_is_refused() -> None:
    with pytest.raises(LimitError):
        limb_bits(2**38)
    for number in (2**62, -(2**62), -(2**63)):
        with pytest.raises(LimitError):
            split(np.array([number], dtype=np.int64), 20)
    assert limb_bits(0) == 26
    assert exact_products(sparse([]), np.ones((3, 2), dtype=np.int64)).limbs.shape == (1, 0, 2)
