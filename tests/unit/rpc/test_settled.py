"""What L1 has settled of a rollup, beside the state: this node's own word, and no part of what is signed."""

from __future__ import annotations

from dataclasses import replace

from chains.adapter import Settled, Settlement
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.types import Assurance, ChainId, Height
from hypothec.v1 import state_pb2 as pb
from hypothec.v1 import venue_service_pb2
from node.rpc.answers import StateAnswers
from node.rpc.settled import describe_settlement
from tests.unit.rpc.world import ACCOUNT, POLICY, certified

HEADER = certified(3).state.header
CUT = HEADER.chains[0].cut
PASSED, PROPOSED = RollupFinality.CHALLENGE_PASSED, RollupFinality.PROPOSED


def settled(height: int, finality: RollupFinality) -> Settled:
    return Settled(Height(height), keccak(b"block"), finality, f"game of {height}", tied=finality is PASSED)


NONE = Settlement(Height(77), Assurance.PROVEN, None, None, (), 0, halted=False)


def test_both_heights_are_shown_and_what_does_not_count() -> None:
    found = Settlement(
        Height(77),
        Assurance.ATTESTED,
        settled(5, PASSED),
        settled(9, PROPOSED),
        ("one is blacklisted",),
        4000,
        halted=True,
    )
    assert describe_settlement(CUT.chain_id, found, HEADER) == pb.RollupSettlement(
        chain_id=CUT.chain_id,
        certified_finality=pb.ROLLUP_FINALITY_SEQUENCER_SIGNED,
        l1_height=77,
        l1_assurance=pb.ASSURANCE_ATTESTED,
        passed_height=5,
        passed_claim="game of 5",
        passed_tied=True,
        proposed_height=9,
        proposed_claim="game of 9",
        silent_s=4000,
        halted=True,
        refused=["one is blacklisted"],
    )


def test_the_certified_cut_has_the_class_of_what_is_settled_at_or_above_it() -> None:
    both = replace(NONE, passed=settled(CUT.height - 1, PASSED), proposed=settled(CUT.height, PROPOSED))
    classes = [
        describe_settlement(CUT.chain_id, found, HEADER).certified_finality
        for found in (NONE, both, replace(both, passed=settled(CUT.height, PASSED)))
    ]
    assert classes == [
        pb.ROLLUP_FINALITY_SEQUENCER_SIGNED,
        pb.ROLLUP_FINALITY_PROPOSED,
        pb.ROLLUP_FINALITY_CHALLENGE_PASSED,
    ]


def test_nothing_settled_is_zero() -> None:
    shown = describe_settlement(CUT.chain_id, NONE, HEADER)
    assert (shown.passed_height, shown.proposed_height, shown.passed_claim, shown.halted) == (0, 0, "", False)
    assert shown.l1_assurance == pb.ASSURANCE_PROVEN


def test_it_stands_beside_an_answer_and_changes_nothing_of_it() -> None:
    found = replace(NONE, refused=("for the operator",))
    plain, beside = StateAnswers(certified(3), POLICY), StateAnswers(certified(3), POLICY, {CUT.chain_id: found})
    read = venue_service_pb2.GetHealthResponse.FromString
    bare, told = (read(each.response([each.record(ACCOUNT)])) for each in (plain, beside))
    assert bare.answer == told.answer
    assert list(bare.settlements) == []
    assert list(told.settlements) == [describe_settlement(CUT.chain_id, NONE, HEADER)]
    state = venue_service_pb2.GetMarginStateResponse.FromString(beside.margin_state)
    assert list(state.settlements) == list(told.settlements)
    assert state.state == told.answer.state


def test_chains_that_are_no_rollups_or_of_no_state_have_none() -> None:
    answers = StateAnswers(certified(3), POLICY, {CUT.chain_id: None, ChainId(99): NONE})
    assert answers.settlements == ()
