"""What a client remembers: it never goes back, never accepts what is too old, and stops at two certified states."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.errors import ClaimMismatch, EquivocationError, SignatureError
from chains.types import Hash32
from hypothec.client import SequenceRegressed, TooOld, Verifier
from hypothec.v1.state_pb2 import SignedState
from node.attestation.describe import describe_state
from node.model.header import Header
from tests.unit.rpc.world import NETWORK, POLICY, TIME_MS, certified, certify


def accept(verifier: Verifier, header: Header, max_age_ms: int | None = None) -> Header:
    signed = SignedState(header=header.encode(), certificate=certify(header).encode())
    return verifier.state(signed, describe_state(header), max_age_ms)


def verifier(max_age_ms: int | None = 10_000) -> Verifier:
    return Verifier(NETWORK, max_age_ms, lambda: TIME_MS + 20_000)


def test_a_newer_state_is_accepted_and_an_earlier_one_is_not() -> None:
    client = verifier()
    newer, older = certified(15).state.header, certified(14).state.header
    assert accept(client, older).sequence == 14
    assert accept(client, newer) == newer
    assert accept(client, newer) == newer
    with pytest.raises(SequenceRegressed) as caught:
        accept(client, older)
    assert caught.value.values == {"sequence": 14, "seen": 15}
    assert client.sequence == 15


def test_a_state_older_than_the_caller_accepts_is_refused() -> None:
    header = certified(12).state.header  # 8 seconds before the verifier's clock
    assert accept(verifier(), header) == header
    with pytest.raises(TooOld) as caught:
        accept(verifier(), header, max_age_ms=7_999)
    assert caught.value.values == {"age_ms": 8_000, "bound_ms": 7_999}
    with pytest.raises(TooOld):
        accept(verifier(7_999), header)
    assert accept(verifier(7_999), header, max_age_ms=8_000) == header
    assert accept(verifier(None), certified(1).state.header).sequence == 1


def test_a_refused_state_is_not_remembered() -> None:
    client = verifier()
    with pytest.raises(TooOld):
        accept(client, certified(5).state.header)
    assert client.sequence == 0


def test_two_certified_states_of_one_number_stop_the_client() -> None:
    client, header = verifier(), certified(15).state.header
    accept(client, header)
    with pytest.raises(EquivocationError):
        accept(client, replace(header, previous=Hash32(bytes(32))))


def test_a_summary_must_be_the_headers() -> None:
    header = certified(15).state.header
    signed = SignedState(header=header.encode(), certificate=certify(header).encode())
    with pytest.raises(ClaimMismatch):
        verifier().state(signed, describe_state(replace(header, time_ms=header.time_ms + 1)))
    other = SignedState(header=certified(16).state.header.encode(), certificate=signed.certificate)
    with pytest.raises(SignatureError):
        verifier().state(other, describe_state(certified(16).state.header))


def test_a_policy_is_taken_for_its_hash() -> None:
    client = verifier()
    with pytest.raises(ClaimMismatch):
        client.learn_policy(POLICY.hash, POLICY.body + b"\n")
    assert client.policy(POLICY.hash) is None
    assert client.learn_policy(POLICY.hash, POLICY.body) == POLICY
    assert client.policy(POLICY.hash) == POLICY
