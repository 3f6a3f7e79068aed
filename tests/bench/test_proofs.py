"""The benchmark of proofs, small: that it measures all it says, and what it says of a peer that is not there."""

import json
import sys

import pytest

from node.bench import following, periods, proofs
from node.bench.light_client import milliseconds


def test_all_figures_are_there() -> None:
    figures = json.loads(json.dumps(proofs.measure(balances=600, batch=60, committees=2)))
    assert {(group, name) for group, values in figures.items() for name in values} == proofs.TARGETS.keys()
    measured = figures["eip1186"] | figures["following"] | figures["sync_committee"]
    assert all(value is None or value > 0 for value in measured.values())


def test_a_peer_that_is_not_installed_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trie.hexary", None)
    monkeypatch.setattr(proofs, "_ETHEREUMJS", "node_modules/@nobody/mpt")
    figures = proofs._eip1186(proofs.sample(200, 20))
    absent = {name for name, value in figures.items() if value is None}
    assert absent == {"single_vs_py_trie", "batch_vs_py_trie", "single_vs_ethereumjs", "batch_vs_ethereumjs"}


def test_no_update_is_made_where_nothing_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyblst", None)
    assert milliseconds() is None
    monkeypatch.delitem(sys.modules, "node.testnet.beacon.chain", raising=False)
    assert periods.measure(2) == {"periods": 2, "periods_ms": None, "peak_mb": None}


def test_a_vault_is_followed_by_blocks_that_hold() -> None:
    assert following.measure(60, 60)["ms_per_block"] is not None
