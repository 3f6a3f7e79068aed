"""How the operator is told of endpoints, and of chains that nobody looks at here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chains.adapter import Settled, Settlement
from chains.proofs.output_root import RollupFinality
from chains.types import Assurance, ChainId, Disagreement, EndpointStanding, Hash32, Height, UnixSeconds
from hypothec.v1 import state_pb2
from node.consensus.outcome.transition import genesis
from node.status import EndpointRecord, Status, Watch, describe_disagreement, describe_endpoint
from tests import kit
from tests.kit import ONE, TEN


def test_an_endpoint_is_told_with_its_own_height_and_what_it_did() -> None:
    standing = EndpointStanding("a", False, 0.0125, Height(90), 0, 2, 1, 28.5, "TIMEOUT")
    told = describe_endpoint(standing, EndpointRecord(faults=4, reason="DISAGREES"))
    assert (told.name, told.trusted, told.height, told.latency_us) == ("a", False, 90, 12_500)
    assert (told.failures, told.lies, told.aside_ms) == (2, 1, 28_500)
    assert (told.faults, told.reason) == (4, "DISAGREES")
    assert told.HasField("lag_blocks"), "no lag is not the same as an unknown one"
    assert told.lag_blocks == 0


def test_an_endpoint_that_was_not_heard_of_has_no_height_and_no_lag() -> None:
    told = describe_endpoint(EndpointStanding("a", True, 0.0, None, None, 0, 0, 0.0, ""), EndpointRecord())
    assert told.height == 0
    assert not told.HasField("lag_blocks")


def test_a_disagreement_is_told_endpoint_by_endpoint() -> None:
    one, two = Hash32(b"1" * 32), Hash32(b"2" * 32)
    told = describe_disagreement(Disagreement(Height(9), (("a", one), ("b", two)), None, UnixSeconds(5)))
    assert [(each.endpoint, each.block_hash) for each in told.said] == [("a", one), ("b", two)]
    assert (told.height, told.agreed, told.found_at_ms) == (9, b"", 5_000)
    assert describe_disagreement(Disagreement(Height(9), (), two, UnixSeconds(5))).agreed == two


@pytest.mark.parametrize(
    ("configured", "word"),
    [((ONE,), "give its endpoints as [[chains]] in node.toml"), ((ONE, TEN), "restart the node")],
)
def test_a_chain_that_a_policy_has_added_is_told_with_what_to_do(configured: tuple[ChainId, ...], word: str) -> None:
    state = genesis(kit.network(), kit.policy())
    application: Any = SimpleNamespace(state=state, certificate=None)
    follower: Any = SimpleNamespace(last_error=None, proven_height=7, standings=(), disagreements=(), settlement=None)
    nothing: Any = None
    status = Status(
        kit.network(),
        0,
        {},
        application,
        nothing,
        {ONE: follower},
        Watch(nothing, lambda _: None),
        nothing,
        tuple,
        lambda _: None,
        lambda: 0,
        frozenset(configured),
    )
    told = status.status()
    assert [(each.chain_id, each.proven_height) for each in told.chains] == [(ONE, 7), (TEN, 0)]
    assert word in told.chains[1].reason
    assert ("node.toml" in told.chains[1].reason) == (TEN not in configured)
    assert f"chain {TEN}: {told.chains[1].reason}" in told.advice
    assert not any(f"chain {ONE}:" in line for line in told.advice)


@pytest.mark.parametrize("halted", [False, True])
def test_a_rollup_is_told_with_what_l1_has_settled_and_a_halt_of_its_sequencer(halted: bool) -> None:
    state = genesis(kit.network(), kit.policy())
    application: Any = SimpleNamespace(state=state, certificate=None)
    passed = Settled(Height(5), Hash32(b"1" * 32), RollupFinality.CHALLENGE_PASSED, "a game", tied=True)
    settlement = Settlement(Height(77), Assurance.PROVEN, passed, None, ("one is blacklisted",), 4000, halted=halted)
    follower: Any = SimpleNamespace(
        last_error=None, proven_height=7, standings=(), disagreements=(), settlement=settlement
    )
    nothing: Any = None
    status = Status(
        kit.network(),
        0,
        {},
        application,
        nothing,
        {ONE: follower},
        Watch(nothing, lambda _: None),
        nothing,
        tuple,
        lambda _: None,
        lambda: 0,
        frozenset({ONE}),
    )
    (chain,) = (chain for chain in status.status().chains if chain.chain_id == ONE)
    told = chain.settlement
    assert (told.chain_id, told.l1_height, told.l1_assurance) == (ONE, 77, state_pb2.ASSURANCE_PROVEN)
    assert (told.passed_height, told.passed_tied, told.proposed_height) == (5, True, 0)
    assert told.certified_finality == state_pb2.ROLLUP_FINALITY_UNSPECIFIED, "nothing is certified yet"
    assert (told.halted, list(told.refused)) == (halted, ["one is blacklisted"])
    halts = [
        advice for advice in status.status().advice if "its sequencer has made no final block for 4000 s" in advice
    ]
    assert len(halts) == halted
