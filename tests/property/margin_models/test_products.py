"""Exact products equal the product in Python integers, over whatever rows and tables, up to the stated bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import InputError, LimitError
from node.margin.math import products as module
from node.margin.math.products import DenseRows, Rows, Table, cut, exact_products, products

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
        patched.setattr(module, "BLOCK_CELLS", cells)  # several blocks, and one
        found = exact_products(sparse(rows), np.array(table, dtype=np.int64))
    assert found.integers() == plain(rows, table)


def test_a_long_row_of_the_largest_numbers_is_exact() -> None:
    """80 legs by 31 scenarios, every number at its bound: the sum of each limb comes near 2^53 and no nearer."""
    rows = [dict.fromkeys(range(80), EDGE), {column: -EDGE + column for column in range(80)}]
    table = [[EDGE - scenario for scenario in range(31)] for _ in range(80)]
    found = exact_products(sparse(rows), np.array(table, dtype=np.int64))
    assert found.integers() == plain(rows, table)
    assert max(float(np.abs(limb).max()) for limb in found.limbs) > 2**50


@given(st.lists(numbers, min_size=1, max_size=20), st.lists(st.integers(1, 53), max_size=4))
@settings(max_examples=100, deadline=None)
def test_limbs_are_small_and_add_up(values: list[int], widths: list[int]) -> None:
    widths = [*widths, max(1, 62 - 53 - sum(widths))]  # what is left above them fits into a float
    limbs = cut(np.array(values, dtype=np.int64), widths)
    assert all(np.abs(limb).max() <= 2 ** (width - 1) for limb, width in zip(limbs, widths, strict=False))
    total = sum(limb.astype(np.int64).astype(object) << sum(widths[:k]) for k, limb in enumerate(limbs))
    assert list(np.asarray(total)) == values


@given(st.integers(1, 43), st.integers(0, 62), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_no_sum_of_products_passes_the_bound(row_bits: int, bits: int, scenarios: int) -> None:
    """Nor does a sum within a float touch its neighbours, whatever the rows and the table are."""
    entries = np.array([[2**bits - 1] * scenarios, [1 - 2**bits] * scenarios, [2**bits // 2] * scenarios])
    table = Table.of(entries, row_bits)
    assert (2**row_bits - 1) * int(np.abs(table.cells).max()) <= 2**53
    for limb in table.limbs:
        numbers = limb.sums(table.cells, scenarios)
        assert numbers.shape == entries.T.shape
        assert limb.packed == 1 or 2 * (2**row_bits - 1) * int(np.abs(numbers).max()) < 2**limb.apart
    total = sum(limb.sums(table.cells, scenarios).astype(np.int64).astype(object) << limb.shift for limb in table.limbs)
    assert (np.asarray(total) == entries.T).all()


@pytest.mark.parametrize("columns", [[1, 1], [1, 0], [0, 2], [-1, 0]])
def test_columns_that_do_not_ascend_or_exist_are_refused(columns: list[int]) -> None:
    rows = Rows(np.array([0, 2]), np.array(columns), np.array([1, 1]))
    with pytest.raises(InputError):
        exact_products(rows, np.ones((2, 1), dtype=np.int64))


def test_what_cannot_be_exact_is_refused() -> None:
    for number in (2**62, -(2**62), -(2**63)):
        with pytest.raises(LimitError):
            exact_products(sparse([{0: number}]), np.ones((1, 1), dtype=np.int64))
        with pytest.raises(LimitError):
            exact_products(sparse([{0: 1}]), np.array([[number]]))
    with pytest.raises(LimitError):
        Table.of(np.ones((1, 1), dtype=np.int64), 44)
    small = Table.of(np.ones((1, 1), dtype=np.int64), 3)
    with pytest.raises(LimitError):
        list(products(DenseRows.of(sparse([{0: 8}]), 1), [small]))
    assert exact_products(sparse([]), np.ones((3, 2), dtype=np.int64)).limbs[0].shape == (2, 0)
