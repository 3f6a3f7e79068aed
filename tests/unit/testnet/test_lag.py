"""Rounds from the moment that 2f+1 nodes have proven a deposit to the state that has it."""

from __future__ import annotations

from chains.types import ChainId
from hypothec.v1 import operator_service_pb2 as pb
from hypothec.v1 import state_pb2
from node.testnet.lag import Lag

CHAIN, HEIGHT = ChainId(7), 100


def said(node: int, sequence: int, proven: int, certified: int, chain: int = CHAIN) -> pb.GetStatusResponse:
    following = pb.ChainFollowing(chain_id=chain, proven_height=proven, certified_height=certified)
    return pb.GetStatusResponse(node=node, state=state_pb2.StateSummary(sequence=sequence), chains=[following])


def lag() -> Lag:
    return Lag(CHAIN, HEIGHT, 3)


def test_counts_from_the_third_proof_to_the_first_state() -> None:
    follows = lag()
    for sequence, proven in ((10, (0, 0, 0, 0)), (11, (100, 0, 0, 0)), (12, (100, 101, 0, 0))):
        for node in range(4):
            follows.saw(said(node, sequence, proven[node], 99))
    follows.saw(said(2, 12, 100, 99))
    follows.saw(said(0, 13, 102, 99))
    follows.saw(said(0, 14, 102, 100))
    assert follows.rounds == 2
    follows.saw(said(0, 19, 107, 105))
    assert follows.rounds == 2


def test_where_the_state_moved_on_between_two_answers_the_earlier_one_counts() -> None:
    follows = lag()
    for node in range(3):
        follows.saw(said(node, 10, 99, 99))
        follows.saw(said(node, 11, 100, 99))
    follows.saw(said(0, 12, 100, 100))
    assert follows.rounds == 2


def test_a_minority_that_proves_early_does_not_start_the_count() -> None:
    follows = lag()
    for node in (0, 1):
        follows.saw(said(node, 10, 100, 99))
    follows.saw(said(0, 20, 100, 100))
    assert follows.rounds is None
    follows.saw(said(2, 20, 100, 100))
    assert follows.rounds == 0


def test_another_chain_says_nothing() -> None:
    follows = lag()
    for node in range(4):
        follows.saw(said(node, 10, 100, 100, chain=8))
    assert follows.rounds is None
