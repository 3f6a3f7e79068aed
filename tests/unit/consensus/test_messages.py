"""Every message has one byte form, and nothing else is taken for it."""

from dataclasses import replace

import pytest

from chains.proofs.keccak import keccak
from node.consensus.protocol.config import ConsensusConfig, Limits
from node.consensus.protocol.errors import MalformedMessage, OversizedMessage
from node.consensus.protocol.messages import (
    Commit,
    Decided,
    EpochStartRequest,
    Message,
    NewEpochWish,
    Observation,
    Prepare,
    RoundStart,
    Status,
    StatusRequest,
    decode_message,
    encode_message,
)
from node.consensus.protocol.proposal import SignedObservation
from node.consensus.protocol.statements import Kind, SignedStatement
from tests.simulation.world import CONFIG_DIGEST, KEYS, make_config
from tests.unit.consensus.rig import (
    QUERY,
    commit_certificate,
    epoch_start,
    good_proposal,
    observation,
    prepared_of,
    sign,
)

CONFIG = make_config(4, 1)
OUTCOME = keccak(b"outcome")
PARENT = commit_certificate(3, 6, OUTCOME)
PROPOSAL = good_proposal(2, 4, 7)
PREPARED = prepared_of(PROPOSAL, 5, OUTCOME, PARENT)
COMMIT = sign(1, Commit(4, 7, OUTCOME))
SAID = SignedStatement(COMMIT.statement, COMMIT.signature)

ONE_OF_EACH: list[Message] = [
    sign(0, NewEpochWish(9)),
    sign(0, EpochStartRequest(5, None)),
    sign(0, EpochStartRequest(5, PARENT)),
    sign(0, EpochStartRequest(6, PREPARED)),
    epoch_start(2, 4),
    epoch_start(2, 4, PARENT),
    epoch_start(2, 6, PREPARED),
    sign(2, RoundStart(4, 1, None, b"")),
    sign(2, RoundStart(4, 7, PARENT, QUERY)),
    observation(1, 4, 7),
    PROPOSAL,
    sign(1, Prepare(4, 7, 4, PROPOSAL.statement.digest, OUTCOME, PROPOSAL.signature)),
    COMMIT,
    sign(3, Decided(PARENT)),
    sign(3, StatusRequest(bytes(range(16)))),
    sign(3, Status(1, bytes(16), None, ())),
    sign(3, Status(1, bytes(16), PARENT, (SAID, SAID))),
]


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: message.kind.name)
def test_a_message_decodes_to_itself(message: Message) -> None:
    assert decode_message(encode_message(message), CONFIG) == message


def test_there_is_one_of_each_kind() -> None:
    assert {message.kind for message in ONE_OF_EACH} == set(Kind)


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: message.kind.name)
def test_a_message_that_is_cut_or_goes_on_is_refused(message: Message) -> None:
    raw = encode_message(message)
    for spoilt in [raw[:length] for length in range(0, len(raw), 7)] + [raw + b"\0"]:
        with pytest.raises(MalformedMessage):
            decode_message(spoilt, CONFIG)


@pytest.mark.parametrize(("at", "value"), [(0, 0), (0, 2), (1, 0), (1, 12), (1, 255)])
def test_another_version_or_kind_is_refused(at: int, value: int) -> None:
    raw = bytearray(encode_message(COMMIT))
    raw[at] = value
    with pytest.raises(MalformedMessage):
        decode_message(bytes(raw), CONFIG)


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: message.kind.name)
def test_a_signature_stands_for_the_kind_the_fields_and_the_network(message: Message) -> None:
    signer = next(node for node in range(4) if message.statement.holds(CONFIG, node, message.signature))
    other_network = replace(CONFIG, config_digest=keccak(b"another network"))
    assert not message.statement.holds(other_network, signer, message.signature)
    for kind in set(Kind) - {message.kind}:
        assert not replace(message.statement, kind=kind).holds(CONFIG, signer, message.signature)
    moved = replace(message.statement, epoch=message.statement.epoch + 1)
    assert not moved.holds(CONFIG, signer, message.signature)
    moved = replace(message.statement, seq=message.statement.seq + 1)
    assert not moved.holds(CONFIG, signer, message.signature)


@pytest.mark.parametrize(
    "change",
    [
        {"query_digest": keccak(b"other")},
        {"observations": PROPOSAL.observations[:2]},
        {"observations": (SignedObservation(0, b"", PROPOSAL.observations[0].signature), *PROPOSAL.observations[1:])},
        {"observations": (replace(PROPOSAL.observations[0], signature=bytes(64)), *PROPOSAL.observations[1:])},
        {"epoch": 5},
    ],
)
def test_the_digest_of_a_proposal_covers_all_of_it(change: dict[str, object]) -> None:
    assert replace(PROPOSAL, **change).statement.digest != PROPOSAL.statement.digest  # type: ignore[arg-type]


def test_observers_out_of_order_or_twice_are_refused() -> None:
    for observations in (PROPOSAL.observations[::-1], PROPOSAL.observations[:1] * 3):
        with pytest.raises(MalformedMessage, match="ascend"):
            decode_message(encode_message(replace(PROPOSAL, observations=observations)), CONFIG)


def test_payload_and_query_are_bounded_by_the_configuration() -> None:
    limits = CONFIG.limits
    fits = observation(1, 4, 7, bytes(limits.max_observation))
    assert decode_message(encode_message(fits), CONFIG) == fits
    with pytest.raises(MalformedMessage, match="over the bound"):
        decode_message(encode_message(observation(1, 4, 7, bytes(limits.max_observation + 1))), CONFIG)
    with pytest.raises(MalformedMessage, match="over the bound"):
        decode_message(encode_message(RoundStart(4, 7, None, bytes(limits.max_query + 1))), CONFIG)


@pytest.mark.parametrize(("n", "f"), [(1, 0), (4, 1), (7, 2), (31, 10)])
def test_the_largest_message_fits_its_bound_and_nothing_larger_is_looked_at(n: int, f: int) -> None:
    keys = tuple(key.public for key in KEYS[:n])
    config = ConsensusConfig(CONFIG_DIGEST, keys, f, Limits(max_observation=5000))
    nodes = tuple(range(config.quorum))
    full = [observation(node, 4, 7, bytes(5000)) for node in range(n)]
    observations = tuple(SignedObservation(node, each.payload, each.signature) for node, each in enumerate(full))
    made = replace(PROPOSAL, observations=observations)
    parent = commit_certificate(3, 6, OUTCOME, nodes)
    prepared = replace(PREPARED, proposal=made, parent=parent, signers=parent.signers, signatures=parent.signatures)
    start = epoch_start(2, 6, prepared)
    largest = replace(start, proofs=tuple(replace(start.proofs[0], signer=node) for node in nodes))
    raw = encode_message(largest)
    assert decode_message(raw, config) == largest
    assert len(raw) <= config.max_message <= len(raw) + 12_000
    assert len(encode_message(made)) <= config.max_proposal
    with pytest.raises(OversizedMessage):
        decode_message(bytes(config.max_message + 1), config)


def test_an_observation_of_the_wire_is_the_one_that_was_signed() -> None:
    made = observation(1, 4, 7)
    decoded = decode_message(encode_message(made), CONFIG)
    assert isinstance(decoded, Observation)
    assert decoded.statement.holds(CONFIG, 1, decoded.signature)
    assert not decoded.statement.holds(CONFIG, 2, decoded.signature)
