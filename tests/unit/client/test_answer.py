"""A health answer proves itself, and nothing in it can be changed, left out or added without being noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
from google.protobuf.message import Message

from chains.errors import ClaimMismatch, ConfigError, HypothecError, InputError, ProofError, QuorumError, SignatureError
from chains.types import AccountId, Amount
from hypothec.client import load_answer, save_answer
from hypothec.v1.health_pb2 import HealthAnswer
from hypothec.v1.state_pb2 import MapEntry
from node.attestation.answer import touched_assets, touched_tokens, verify_answer
from node.cli.shown import shown_health
from node.margin.policy import Policy
from node.model.health import HealthStatus, Interval, Reason
from node.model.ledger import FreeHoldings, Holdings
from node.rpc.answers import StateAnswers
from node.rpc.ports import CertifiedState
from tests.unit.rpc.world import (
    ACCOUNT,
    EAST,
    ETH_TOKEN,
    NETWORK,
    OWNER,
    POLICY,
    RECORD,
    STRANGER,
    USD,
    USDC_TOKEN,
    certified,
    certify,
    other_account,
    state_at,
)


def answer_of(current: CertifiedState, *accounts: AccountId) -> HealthAnswer:
    answers = StateAnswers(current, POLICY)
    return HealthAnswer.FromString(answers.answer([answers.record(account) for account in accounts]))


WATCHED = (FreeHoldings(OWNER, ((ETH_TOKEN, Amount(3 * 10**18)), (USDC_TOKEN, None))),)
"""Three ETH, and of what is USDC elsewhere nobody knows how much."""


@pytest.fixture(scope="module")
def current() -> CertifiedState:
    return certified(7, record=replace(RECORD, watched=((EAST, OWNER),)), free=WATCHED)


@pytest.fixture(scope="module")
def answer(current: CertifiedState) -> HealthAnswer:
    return answer_of(current, ACCOUNT, STRANGER)


def test_an_answer_verifies_and_gives_the_health_that_the_node_computed(
    current: CertifiedState, answer: HealthAnswer
) -> None:
    verified = verify_answer(NETWORK, POLICY, answer)
    assert verified.header == current.state.header
    found = verified.accounts[ACCOUNT]
    assert found.view == current.state.view(ACCOUNT)
    assert found.health == StateAnswers(current, POLICY).record(ACCOUNT).health
    assert found.health.status is HealthStatus.HEALTHY
    assert answer.accounts[0].health.holdings[0].control == 3
    assert answer.accounts[0].health.venues[0].report_sequence == 1
    assert set(verified.context.prices) == {"ETH", "USDC"}


def test_what_the_owners_wallet_holds_is_proven_and_counts_for_nothing(
    current: CertifiedState, answer: HealthAnswer
) -> None:
    found = verify_answer(NETWORK, POLICY, answer).accounts[ACCOUNT].health
    assert [(line.wallet, line.token, line.amount, line.reasons) for line in found.free] == [
        (OWNER, ETH_TOKEN, 3 * 10**18, (Reason.NOT_ENFORCEABLE,)),
        (OWNER, USDC_TOKEN, 0, (Reason.NOT_ENFORCEABLE, Reason.NOT_ADMITTED)),
    ]
    assert found.free[0].value == Interval(6_000 * USD, 6_000 * USD)
    assert found == replace(
        verify_answer(NETWORK, POLICY, answer_of(certified(7), ACCOUNT)).accounts[ACCOUNT].health, free=found.free
    )
    said = answer.accounts[0].health.free[0]
    assert (said.control, said.wallet, said.value.low, said.initial.high) == (1, OWNER, str(6_000 * USD), "0")
    assert shown_health(found)["free"][0]["wallet"] == "0x" + OWNER.hex()


def test_prices_of_what_wallets_alone_hold_are_proven_too() -> None:
    state = certified(7, record=replace(RECORD, watched=((EAST, OWNER),), collateral=()), free=WATCHED)
    answer = answer_of(state, ACCOUNT)
    only = replace(state.state.view(ACCOUNT), holdings={EAST: Holdings(0, (), free=WATCHED)}, obligations=None)
    assert touched_assets(only, POLICY) == ("ETH",)
    assert touched_tokens(only, POLICY) == ((EAST, ETH_TOKEN),)
    del answer.accounts[0].health.free[:]
    with pytest.raises(ClaimMismatch):
        verify_answer(NETWORK, POLICY, answer)


def test_a_fall_of_the_price_is_a_liquidation(current: CertifiedState) -> None:
    verified = verify_answer(NETWORK, POLICY, answer_of(certified(8, eth_usd=1_200), ACCOUNT))
    assert verified.accounts[ACCOUNT].health.status is HealthStatus.LIQUIDATABLE


def test_an_account_that_nobody_knows_is_proven_to_be_absent_from_every_map(current: CertifiedState) -> None:
    answer = answer_of(current, STRANGER)
    assert len(answer.accounts[0].ledger) == 4
    assert not any(entry.HasField("leaf") for entry in answer.accounts[0].ledger)
    found = verify_answer(NETWORK, POLICY, answer).accounts[STRANGER]
    assert found.health.status is HealthStatus.HEALTHY
    assert (found.view.record, found.view.obligations, dict(found.view.holdings)) == (None, None, {})


def test_prices_are_given_once_for_all_accounts(current: CertifiedState) -> None:
    one = answer_of(current, other_account(1))
    assert [price.asset for price in one.prices] == ["ETH"]
    many = answer_of(current, ACCOUNT, *(other_account(number) for number in range(10)))
    assert [price.asset for price in many.prices] == ["ETH", "USDC"]
    assert len(verify_answer(NETWORK, POLICY, many).accounts) == 11


def test_an_asset_without_a_price_is_proven_to_have_none() -> None:
    state = state_at(7)
    frame = type(state.frame).of({"USDC": state.frame.prices["USDC"]})
    header = replace(state.header, frame_root=frame.map.root)
    bare = replace(state, frame=frame, header=header)
    answer = answer_of(CertifiedState(bare, certify(header)), ACCOUNT)
    assert [entry.HasField("leaf") for entry in answer.frame] == [False, True]
    found = verify_answer(NETWORK, POLICY, answer).accounts[ACCOUNT]
    assert "MISSING_PRICE" in answer.accounts[0].health.holdings[0].reasons
    assert touched_assets(found.view, POLICY) == ("ETH", "USDC")


# === Tampering ===

Scalar: TypeAlias = bytes | str | int
Change: TypeAlias = Callable[[Message], object]


def mutations(message: Message, path: str = "") -> Iterator[tuple[str, Message, Change]]:
    """(place, the submessage to change, how) for every scalar of a message and every element of its lists."""
    for field, value in message.ListFields():
        place, name = f"{path}.{field.name}", field.name
        if field.is_repeated:
            for index, item in enumerate(value):
                if isinstance(item, Message):
                    yield from mutations(item, f"{place}[{index}]")
                else:
                    yield f"{place}[{index}] changed", message, partial(_change_item, name, index)
            yield f"{place} without its last", message, partial(_drop_last, name)
            yield f"{place} with one twice", message, partial(_repeat, name)
            continue
        if isinstance(value, Message):
            yield from mutations(value, place)
        else:
            yield f"{place} changed", message, partial(_change, name)
        yield f"{place} missing", message, partial(_clear, name)


def _change(name: str, message: Message) -> None:
    setattr(message, name, changed(getattr(message, name)))


def _clear(name: str, message: Message) -> None:
    message.ClearField(name)


def _change_item(name: str, index: int, message: Message) -> None:
    items = getattr(message, name)
    items[index] = changed(items[index])


def _drop_last(name: str, message: Message) -> None:
    getattr(message, name).pop()


def _repeat(name: str, message: Message) -> None:
    items = getattr(message, name)
    items.append(items[0])


def changed(value: Scalar) -> Scalar:
    if isinstance(value, bytes):
        return bytes([*value[:-1], value[-1] ^ 1])
    if isinstance(value, str):
        return str(int(value) + 1) if value.lstrip("-").isdigit() else value + "x"
    return value + 1


def places(answer: HealthAnswer) -> list[str]:
    return [place for place, _, _ in mutations(answer)]


def test_whatever_is_changed_in_an_answer_is_noticed(answer: HealthAnswer) -> None:
    wanted = places(answer)
    assert len(wanted) > 150
    accepted = []
    for at, place in enumerate(wanted):
        copy = HealthAnswer()
        copy.CopyFrom(answer)
        _, target, apply = list(mutations(copy))[at]
        apply(target)
        assert copy != answer, place
        try:
            verify_answer(NETWORK, POLICY, copy)
        except HypothecError:
            continue
        accepted.append(place)
    # An answer about fewer accounts is a sound one; whoever asked compares it with the question.
    assert accepted == [".accounts without its last"]


def test_every_byte_of_header_certificate_and_proofs_counts(answer: HealthAnswer) -> None:
    def fields(copy: HealthAnswer) -> list[tuple[Message, str]]:
        found: list[tuple[Message, str]] = [(copy.state, "header"), (copy.state, "certificate")]
        found += [(entry, "proof") for entry in (*copy.frame, *copy.accounts[1].ledger)]
        return found + [(entry, "leaf") for entry in copy.accounts[0].ledger if entry.HasField("leaf")]

    for at in range(len(fields(answer))):
        copy = HealthAnswer()
        copy.CopyFrom(answer)
        target, name = fields(copy)[at]
        data = getattr(target, name)
        for offset in range(0, len(data), 7):
            setattr(target, name, data[:offset] + bytes([data[offset] ^ 0x10]) + data[offset + 1 :])
            with pytest.raises(HypothecError):
                verify_answer(NETWORK, POLICY, copy)


def test_a_leaf_cannot_be_passed_off_as_absent(answer: HealthAnswer) -> None:
    copy = HealthAnswer()
    copy.CopyFrom(answer)
    stranger: MapEntry = copy.accounts[1].ledger[0]
    copy.accounts[0].ledger[0].CopyFrom(MapEntry(map="accounts", key=ACCOUNT, proof=stranger.proof))
    with pytest.raises(ProofError):
        verify_answer(NETWORK, POLICY, copy)


def test_a_quorum_of_this_network_must_have_certified_the_state(current: CertifiedState) -> None:
    header = current.state.header
    for signers in ((0, 1), (0, 1, 2, 3)):
        with pytest.raises(QuorumError):
            verify_answer(NETWORK, POLICY, answer_of(CertifiedState(current.state, certify(header, signers)), ACCOUNT))
    elsewhere = replace(NETWORK, round_ms=2_000)
    with pytest.raises(SignatureError):
        verify_answer(elsewhere, POLICY, answer_of(current, ACCOUNT))
    later = certify(replace(header, time_ms=header.time_ms + 1))
    with pytest.raises(SignatureError):
        verify_answer(NETWORK, POLICY, answer_of(CertifiedState(current.state, later), ACCOUNT))


def test_health_is_judged_by_the_policy_that_the_state_names_and_no_other(answer: HealthAnswer) -> None:
    kinder = Policy.parse(POLICY.body.replace(b"maintenance_bps = 500", b"maintenance_bps = 400"))
    with pytest.raises(ClaimMismatch) as caught:
        verify_answer(NETWORK, kinder, answer)
    assert caught.value.values == {"named": POLICY.hash, "given": kinder.hash}


# === Files ===


def test_a_saved_answer_verifies_offline(tmp_path: Path, answer: HealthAnswer) -> None:
    path = tmp_path / "health.json"
    save_answer(path, answer, POLICY)
    saved = load_answer(path)
    assert saved.answer == answer
    assert saved.verify(NETWORK).accounts[ACCOUNT].health.status is HealthStatus.HEALTHY
    path.write_text(path.read_text().replace("HEALTH_STATUS_HEALTHY", "HEALTH_STATUS_LIQUIDATABLE", 1))
    with pytest.raises(ClaimMismatch):
        load_answer(path).verify(NETWORK)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"answer": 3}', b'{"unheard_of": {}}'])
def test_a_file_that_holds_no_answer_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "health.json"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_answer(path)


def test_a_file_without_a_policy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    path.write_text("{}")
    with pytest.raises(ConfigError):
        load_answer(path)
