"""Whatever a peer sends, a core stays up, stays in place, and says what it refused."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chains.proofs.keccak import keccak
from node.consensus.protocol.effects import PeerFault
from node.consensus.protocol.errors import MalformedMessage, OversizedMessage
from node.consensus.protocol.events import MessageReceived
from node.consensus.protocol.messages import (
    Commit,
    Message,
    NewEpochWish,
    RoundStart,
    decode_message,
    encode_message,
)
from node.model.certificate import CommitCertificate
from node.model.codec import Malformed
from tests.simulation.world import make_config
from tests.unit.consensus.rig import Rig, commit_certificate, sign
from tests.unit.consensus.test_messages import ONE_OF_EACH

CONFIG = make_config(4, 1)
OUTCOME = keccak(b"outcome")


def spoil(raw: bytes, changes: list[tuple[int, int]]) -> bytes:
    data = bytearray(raw)
    for at, value in changes:
        data[at % len(data)] = value
    return bytes(data)


CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6)
HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda kind, rest: bytes([1, kind]) + rest, st.integers(0, 12), st.binary(max_size=300)),
    st.builds(lambda message, changes: spoil(encode_message(message), changes), st.sampled_from(ONE_OF_EACH), CHANGES),
)


@given(HOSTILE)
def test_bytes_are_one_message_or_none(raw: bytes) -> None:
    try:
        message = decode_message(raw, CONFIG)
    except (MalformedMessage, OversizedMessage):
        return
    assert encode_message(message) == raw


@given(
    st.one_of(st.binary(max_size=400), st.builds(spoil, st.just(commit_certificate(1, 2, OUTCOME).encode()), CHANGES))
)
def test_bytes_are_one_certificate_or_none(raw: bytes) -> None:
    try:
        certificate = CommitCertificate.decode(raw)
    except Malformed:
        return
    assert certificate.encode() == raw


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), HOSTILE), max_size=25))
def test_a_core_survives_whatever_it_hears(heard: list[tuple[int, bytes]]) -> None:
    rig = Rig().round_started()
    for peer, raw in heard:
        rig.handle(MessageReceived(rig.peers[peer], raw))
        for effect in rig.found(PeerFault):
            assert effect.error.reason != "INTERNAL"
    certificate = commit_certificate(1, 1, OUTCOME)
    rig.hear(rig.leader, sign(rig.leader, RoundStart(1, 2, certificate, b"")))
    assert rig.core.decided is not None or any(raw[:2] == b"\1\4" for _, raw in heard)


MINOR = st.one_of(
    st.builds(NewEpochWish, st.integers(0, 2**64 - 1)),
    st.builds(Commit, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.just(OUTCOME)),
    st.builds(Commit, st.integers(0, 5), st.integers(0, 5), st.sampled_from([OUTCOME, keccak(b"other")])),
)


@settings(max_examples=30)
@given(st.lists(MINOR, max_size=40))
def test_one_peer_alone_moves_nothing_whatever_it_signs(messages: list[Message]) -> None:
    rig = Rig().opened()
    one = rig.peers[0]
    for message in messages:
        rig.hear(one, sign(one, message))
    assert rig.core.epoch == 1
    assert rig.core.decided is None
    assert not rig.core.silent
