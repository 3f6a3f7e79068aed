from __future__ import annotations

import asyncio

import pytest

from node.bench.gas import SCRIBE_POKE, SIGNATURES, GasTable, measure


@pytest.fixture(scope="module")
def table() -> GasTable:
    return asyncio.run(measure())


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs"), [(5, 5), (10, 10), (21, 20)])
def test_an_accepted_state_is_cheaper_than_a_poke(table: GasTable, ours: int, theirs: int) -> None:
    assert table.state[ours] < SCRIBE_POKE[theirs]


@pytest.mark.slow
def test_every_count_is_measured(table: GasTable) -> None:
    assert tuple(table.state) == tuple(table.seizure) == SIGNATURES
    assert table.as_json()["state"]["2"] == table.state[2]
    for figures in (table.state, table.seizure):
        assert list(figures.values()) == sorted(figures.values())
