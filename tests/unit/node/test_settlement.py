"""What the operator sees of a rollup."""

from __future__ import annotations

from chains.adapter import Settled, Settlement
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.types import Height
from hypothec.v1 import operator_service_pb2 as pb
from node.status import describe_settlement


def settled(height: int, finality: RollupFinality) -> Settled:
    return Settled(Height(height), keccak(b"block"), finality, "a game")


def test_both_heights_are_shown_and_what_does_not_count() -> None:
    passed, proposed = settled(5, RollupFinality.CHALLENGE_PASSED), settled(9, RollupFinality.PROPOSED)
    found = Settlement(Height(77), passed, proposed, ("one is blacklisted",), 4000, halted=True)
    assert describe_settlement(found) == pb.RollupSettlement(
        l1_height=77, passed_height=5, proposed_height=9, silent_s=4000, halted=True, refused=["one is blacklisted"]
    )


def test_nothing_settled_is_zero_and_no_rollup_is_nothing() -> None:
    none = Settlement(Height(77), None, None, (), 0, halted=False)
    assert describe_settlement(none) == pb.RollupSettlement(l1_height=77)
    assert describe_settlement(None) is None
