"""A fetched state is what its certified header names, in every part, or it is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chains.errors import InputError, PeerError, QuorumError, SignatureError
from hypothec.v1 import peer_service_pb2 as pb
from hypothec.v1.state_pb2 import SignedState
from node.attestation.answer import FRAME_MAP
from node.model.requests import Link, encode_request
from node.peers.errors import BodyMismatch, StateMismatch
from node.peers.fetch import assemble_state, body_digest
from tests.unit.rpc.world import ACCOUNT, NETWORK, POLICY, certified, certify, signed_report, state_at

Maps = dict[str, dict[bytes, bytes]]


def parts() -> tuple[pb.StateHead, Maps]:
    current = certified(9)
    signed = SignedState(header=current.state.header.encode(), certificate=current.certificate.encode())
    maps = {name: dict(leaves) for name, leaves in current.state.maps()}
    maps[FRAME_MAP] = dict(current.state.frame.map)
    return pb.StateHead(state=signed, control=current.state.control.encode()), maps


def test_the_parts_of_a_state_make_it_again() -> None:
    state, certificate = assemble_state(NETWORK, 9, *parts())
    assert state.header == state_at(9).header
    assert state.view(ACCOUNT) == state_at(9).view(ACCOUNT)
    assert state.frame.prices == state_at(9).frame.prices
    assert certificate == certify(state.header)


def test_an_older_state_than_asked_for_is_refused() -> None:
    with pytest.raises(StateMismatch):
        assemble_state(NETWORK, 10, *parts())


def _drop_leaf(name: str) -> Callable[[pb.StateHead, Maps], None]:
    def drop(_: pb.StateHead, maps: Maps) -> None:
        del maps[name][next(iter(maps[name]))]

    return drop


def _change_leaf(name: str) -> Callable[[pb.StateHead, Maps], None]:
    def change(_: pb.StateHead, maps: Maps) -> None:
        key, value = next(iter(maps[name].items()))
        maps[name][key] = value[:-2] + bytes([value[-2] ^ 1, value[-1]])

    return change


def _add_map(_: pb.StateHead, maps: Maps) -> None:
    maps["chain:5"] = {}


def _other_control(head: pb.StateHead, _: Maps) -> None:
    head.control = head.control[:1] + (2).to_bytes(8, "big") + head.control[9:]


def _cut_control(head: pb.StateHead, _: Maps) -> None:
    head.control = head.control[:-1]


NAMES = ["accounts", "obligations", "chain:31337", "chain:31338", "frame"]


@pytest.mark.parametrize(
    "tamper",
    [
        *map(_drop_leaf, NAMES),
        *map(_change_leaf, NAMES),
        _add_map,
        _other_control,
        _cut_control,
    ],
)
def test_a_part_that_is_not_the_headers_is_refused(tamper: Callable[[pb.StateHead, Maps], None]) -> None:
    head, maps = parts()
    tamper(head, maps)
    with pytest.raises(StateMismatch):
        assemble_state(NETWORK, 9, head, maps)


def test_a_state_without_a_quorum_or_of_another_header_is_refused() -> None:
    head, maps = parts()
    head.state.certificate = certify(state_at(9).header, (0, 1)).encode()
    with pytest.raises(QuorumError):
        assemble_state(NETWORK, 9, head, maps)
    head, maps = parts()
    head.state.certificate = certify(state_at(10).header).encode()
    with pytest.raises(SignatureError):
        assemble_state(NETWORK, 9, head, maps)


def test_bodies_are_named_by_their_digest() -> None:
    report = signed_report()
    assert body_digest(pb.BODY_KIND_REPORT, report.encode(), NETWORK.network_id) == report.digest(NETWORK.network_id)
    assert body_digest(pb.BODY_KIND_POLICY, POLICY.body, NETWORK.network_id) == POLICY.hash
    link = Link(ACCOUNT, report.previous[:20], report.previous, report.previous[:20], (), 1, bytes(65), bytes(65))  # type: ignore[arg-type]
    assert body_digest(pb.BODY_KIND_REQUEST, encode_request(link), NETWORK.network_id) == link.digest(
        NETWORK.network_id
    )
    for kind in (pb.BODY_KIND_REPORT, pb.BODY_KIND_REQUEST):
        with pytest.raises(BodyMismatch):
            body_digest(kind, b"\x01nonsense", NETWORK.network_id)
    with pytest.raises(InputError):
        body_digest(pb.BODY_KIND_UNSPECIFIED, b"", NETWORK.network_id)
    assert issubclass(BodyMismatch, PeerError)
