"""Sums of accounts' amounts: equal to Python's integers however they are kept and split, on every machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.bench.margin import derive_pm1 as of_pm1
from node.bench.margin import derive_sm as of_sm
from node.bench.margin import grids as of_grids
from node.bench.margin.derive_pm2 import sample_of
from node.bench.margin.portfolio import sample, sample_frame
from node.margin.engine.derive import pm1 as derive_pm1
from node.margin.engine.derive import sm as derive_sm
from node.margin.engine.portfolio import (
    DECIMALS,
    MOST_UNITS,
    divided,
    floored,
    in_units,
    in_wads,
    integers,
    of_integers,
)
from node.margin.engine.scanning import grids, span
from node.margin.math import products as module
from node.margin.math.amounts import Amounts
from node.margin.math.products import DenseRows, ExactSums, Rows, Table, exact_products, products
from node.margin.models import grids as models
from node.margin.models.fixed import WAD, Wad
from tests.property.margin_models.test_products import plain, sparse
from tests.unit.margin_models.test_math import dispatched

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = 2**15
Cases = tuple[list[dict[int, int]], list[list[int]]]


def cases(amount: st.SearchStrategy[int], entry: st.SearchStrategy[int]) -> st.SearchStrategy[Cases]:
    @st.composite
    def drawn(draw: st.DrawFn) -> Cases:
        columns, scenarios = draw(st.integers(1, 10)), draw(st.integers(1, 6))
        rows = draw(st.lists(st.dictionaries(st.integers(0, columns - 1), amount, max_size=columns), max_size=7))
        return rows, draw(
            st.lists(st.lists(entry, min_size=scenarios, max_size=scenarios), min_size=columns, max_size=columns)
        )

    return drawn()


edges = [2**k + d for k in (0, 14, 15, 24, 31, 52, 53, 61) for d in (-1, 0, 1)]
wide = st.one_of(st.integers(-(2**61), 2**61), st.sampled_from([*edges, *(-edge for edge in edges)]))
narrow = st.one_of(st.integers(-(2**16), 2**16), st.sampled_from([SMALL - 1, SMALL, -SMALL, 1, -1]))


@given(cases(narrow, wide), st.booleans(), st.sampled_from([16, 1 << 18]), st.sampled_from([1, 3]))
@settings(max_examples=100, deadline=None)
def test_however_rows_are_kept_the_sums_are_the_same(case: Cases, dense: bool, cells: int, group: int) -> None:
    rows, table = case
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "BLOCK_CELLS", cells)
        patched.setattr(module, "GROUP", group)
        patched.setattr(module, "IMAGE_CELLS", 100 if dense else 0)
        found = exact_products(sparse(rows), np.array(table, dtype=np.int64))
    assert found.integers() == plain(rows, table)


@given(st.lists(st.lists(wide.map(lambda number: number // 8), max_size=3), max_size=8))
def test_sums_over_rows_some_of_which_are_empty(rows: list[list[int]]) -> None:
    held = sparse([dict(enumerate(row)) for row in rows])
    assert held.sums(held.amounts).tolist() == [sum(row) for row in rows]
    assert held.sums(held.amounts.astype(object)).tolist() == [sum(row) for row in rows]


def test_small_amounts_are_kept_dense_and_others_not() -> None:
    kept = [DenseRows.of(sparse([{0: amount, 1: 1}]), 2).image is not None for amount in (SMALL - 1, -SMALL + 1, SMALL)]
    assert kept == [True, True, False]
    assert DenseRows.of(sparse([{0: 1}]), 9).image is None


@given(cases(narrow, wide), st.data())
@settings(max_examples=100, deadline=None)
def test_the_least_of_some_scenarios(case: Cases, data: st.DataObject) -> None:
    rows, table = case
    scenarios = len(table[0])
    chosen = data.draw(st.lists(st.integers(0, scenarios - 1), min_size=1, unique=True))
    dense = DenseRows.of(sparse(rows), len(table))
    assert dense.are_comparable
    entries = Table.of(np.array(table, dtype=np.int64), dense.row_bits)
    least = [sums.least(np.array(chosen)) for _, _, [sums] in products(dense, [entries])]
    found = [ExactSums(tuple(limb[None] for limb in each.limbs), each.shifts) for each in least]
    expected = [[min(row[scenario] for scenario in chosen)] for row in plain(rows, table)]
    assert [row for sums in found for row in sums.integers()] == expected


@given(cases(wide, wide), st.sampled_from(DECIMALS))
@settings(max_examples=100, deadline=None)
def test_sums_are_rounded_down_once(case: Cases, decimals: int) -> None:
    rows, table = case
    entries = np.array(table, dtype=np.int64) >> 20 if decimals < 6 else np.array(table, dtype=np.int64)
    rows = [{column: amount // 2**33 for column, amount in row.items()} for row in rows]
    found = integers(floored(exact_products(sparse(rows), entries), decimals))
    assert found.T.tolist() == [[cell // 10**decimals for cell in row] for row in plain(rows, entries.tolist())]


huge = st.one_of(st.integers(-(2**47), 2**47), st.sampled_from([1, -1, 2**47 - 1, 1 - 2**47]))


@given(cases(huge, wide.map(lambda number: number // 4)), st.sampled_from([6, 8, 9]))
@settings(max_examples=100, deadline=None)
def test_sums_of_a_hundred_bits_are_rounded_down_too(case: Cases, decimals: int) -> None:
    rows, table = case
    found = integers(floored(exact_products(sparse(rows), np.array(table, dtype=np.int64)), decimals))
    assert found.T.tolist() == [[cell // 10**decimals for cell in row] for row in plain(rows, table)]


@given(st.lists(st.integers(-(10**27), 10**27), min_size=1), st.sampled_from(DECIMALS))
def test_amounts_divided(numbers: list[int], decimals: int) -> None:
    held = of_integers(np.array(numbers, dtype=object))
    assert integers(divided(held, decimals)).tolist() == [number // 10**decimals for number in numbers]


@given(st.sampled_from(DECIMALS), st.integers(-MOST_UNITS, MOST_UNITS))
def test_units_and_wads(decimals: int, amount: int) -> None:
    unit = 10 ** (18 - decimals)
    lots = amount // unit
    if abs(lots) < 2**62:
        assert integers(in_wads(np.array([lots]), decimals)).tolist() == [lots * unit]
    found = in_units({3: Wad(lots * unit), 1: Wad(0)})
    if found is None:
        assert abs(lots) >= 2**62
    else:
        assert list(found[1].items()) == [(1, 0), (3, lots * unit // 10 ** (18 - found[0]))]
        assert found[0] == next(each for each in DECIMALS if lots * unit % 10 ** (18 - each) == 0)


def test_absurd_amounts_are_left() -> None:
    assert in_units({0: Wad(MOST_UNITS), 1: Wad(-1)}) is None
    assert in_units({0: Wad(5 * WAD + 1)}) is None
    assert in_units({}) == (0, {})


_PROGRAM = "from tests.property.margin_engine.test_products_of_accounts import digest; print(digest())"
ENVIRONMENTS = [
    {"OPENBLAS_NUM_THREADS": "1"},
    {"OPENBLAS_NUM_THREADS": "2"},
    {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched())},
]


def required() -> Iterator[Amounts]:
    frame = sample_frame()
    yield from span.margins(sample(frame.market, 700), frame)
    for published in (models.DERIBIT, models.PARADEX):
        grid = of_grids.sample_frame(published)
        yield from grids.margins(sample(grid.market, 100), grid)
    standard = of_sm.sample_frame()
    yield from derive_sm.margins(of_sm.sample(standard, 100), standard).columns()
    first = of_pm1.sample_frame()
    margins = derive_pm1.evaluate(first, sample_of(first.options.columns, 1, 100))
    yield from (margins.initial, margins.maintenance, margins.scenarios, margins.on_confidence)


def digest() -> str:
    """Of what models with options require of made-up accounts, and of products of large numbers."""
    found = hashlib.sha256()
    for each in required():
        found.update(each.high.tobytes() + each.low.tobytes())
    rows = Rows(np.arange(0, 41, 4), np.arange(40) % 4, (np.arange(40) - 17) * (2**55 + 1))
    entries = (np.arange(12).reshape(4, 3) - 5) * (2**57 + 3)
    found.update(str(exact_products(rows, entries).integers()).encode())
    return found.hexdigest()


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_the_results_are_the_same_under_every_dispatch_and_thread_count(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == digest()
