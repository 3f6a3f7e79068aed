"""Answers are put together from parts that are encoded once."""

from __future__ import annotations

import pytest

from chains.types import Hash32
from hypothec.v1.health_pb2 import HealthAnswer
from hypothec.v1.venue_service_pb2 import GetHealthResponse, GetMarginStateResponse
from node.attestation.answer import verify_answer
from node.rpc import answers as answers_module
from node.rpc.answers import Answers, StateAnswers, nested
from node.rpc.errors import AnswerTooLarge, NoState
from tests.unit.rpc.world import ACCOUNT, NETWORK, POLICY, STRANGER, FakeNode, certified, other_account


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 16_383, 16_384, 70_000])
def test_a_nested_field_is_what_protobuf_writes(length: int) -> None:
    answer = HealthAnswer()
    answer.state.header = bytes(length)
    payload = answer.SerializeToString()
    assert nested(1, payload) == GetHealthResponse(answer=answer).SerializeToString()


def test_parts_make_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = StateAnswers(certified(3), POLICY)
    accounts = [ACCOUNT, STRANGER, other_account(3)]
    answer = HealthAnswer.FromString(answers.answer([answers.record(account) for account in accounts]))
    assert [account.account for account in answer.accounts] == accounts
    assert list(verify_answer(NETWORK, POLICY, answer).accounts) == accounts
    state = GetMarginStateResponse.FromString(answers.margin_state)
    assert (state.state, state.summary) == (answer.state, answer.summary)


def test_an_account_is_evaluated_once_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = StateAnswers(certified(3), POLICY)
    first = answers.record(ACCOUNT)
    monkeypatch.setattr(answers_module, "evaluate", None)
    assert answers.record(ACCOUNT) is first


def test_kept_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_module, "_KEPT_RECORDS", 3)
    answers = StateAnswers(certified(3), POLICY)
    kept = answers.record(ACCOUNT)
    for number in range(10):
        answers.record(other_account(number))
        assert answers.record(ACCOUNT) is kept
    assert len(answers._records) == 3


def test_an_answer_too_large_is_refused_or_split(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = StateAnswers(certified(3), POLICY)
    records = [answers.record(other_account(number)) for number in range(20)]
    whole = len(answers.answer(records))
    monkeypatch.setattr(answers_module, "MAX_ANSWER_BYTES", whole - 1)
    with pytest.raises(AnswerTooLarge) as caught:
        answers.answer(records)
    assert caught.value.values == {"length": whole, "bound": whole - 1}
    parts = list(answers.answers(records))
    assert len(parts) > 1
    assert [last for _, last in parts] == [False] * (len(parts) - 1) + [True]
    verified = [verify_answer(NETWORK, POLICY, HealthAnswer.FromString(part)) for part, _ in parts]
    assert [account for part in verified for account in part.accounts] == [other_account(n) for n in range(20)]
    assert len(list(answers.answers([]))) == 1


async def test_answers_follow_the_newest_state() -> None:
    node = FakeNode()
    answers = Answers(node, node)
    with pytest.raises(NoState):
        answers.current()
    node.install(certified(3))
    first = answers.current()
    assert answers.current() is first
    node.install(certified(5))
    assert (await answers.newer_than(3)).sequence == 5
    node.policies = {}
    node.install(certified(6))
    with pytest.raises(NoState) as caught:
        answers.current()
    assert caught.value.values == {"policy_hash": POLICY.hash}
    assert POLICY.hash != Hash32(bytes(32))
