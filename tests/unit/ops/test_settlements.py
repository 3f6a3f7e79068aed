"""What operators can graph of a rollup."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from chains.adapter import Settled, Settlement
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.types import Assurance, ChainId, Height
from node.ops.settlements import SettlementGauges


def test_each_rollup_has_its_settled_heights_and_its_silence() -> None:
    passed = Settled(Height(5), keccak(b"block"), RollupFinality.CHALLENGE_PASSED, "a game")
    found = Settlement(Height(77), Assurance.PROVEN, passed, None, (), 4000, halted=True)
    registry = CollectorRegistry()
    registry.register(SettlementGauges(lambda: {ChainId(10): found, ChainId(1): None}))
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }
    assert samples == {
        ("hypothec_rollup_settled_height", "10", "passed"): 5,
        ("hypothec_rollup_l1_height", "10"): 77,
        ("hypothec_rollup_l1_proven", "10"): 1,
        ("hypothec_rollup_silent_seconds", "10"): 4000,
        ("hypothec_rollup_sequencer_halted", "10"): 1,
    }
