"""Votes before gossip; the oldest goes when a lane is full, and it is counted."""

from __future__ import annotations

import pytest

from chains.errors import ConfigError
from hypothec.v1 import peer_service_pb2 as pb
from node.peers.lanes import LaneLimits, Lanes
from node.peers.transport import PeerLimits

VOTE, SIGNATURES, REPORT = pb.FRAME_KIND_CONSENSUS, pb.FRAME_KIND_CHAIN_SIGNATURES, pb.FRAME_KIND_GOSSIP_REPORT


def frame(body: bytes, kind: pb.FrameKind.ValueType = VOTE) -> pb.Frame:
    return pb.Frame(kind=kind, body=body)


def bodies(lanes: Lanes) -> list[bytes]:
    return [item.body for item in lanes.take()]


def test_votes_go_before_gossip_and_each_lane_in_order() -> None:
    lanes = Lanes(LaneLimits())
    for body, kind in ((b"r1", REPORT), (b"v1", VOTE), (b"r2", REPORT), (b"s1", SIGNATURES)):
        lanes.push(frame(body, kind))
    assert len(lanes) == 4
    assert bodies(lanes) == [b"v1", b"s1", b"r1", b"r2"]
    assert bodies(lanes) == []


def test_a_full_lane_drops_its_oldest_and_says_how_many() -> None:
    lanes = Lanes(LaneLimits(max_frames=3))
    assert [lanes.push(frame(bytes([number]))) for number in range(5)] == [0, 0, 0, 1, 1]
    assert bodies(lanes) == [b"\2", b"\3", b"\4"]
    small = Lanes(LaneLimits(max_bytes=10, max_frame_bytes=10))
    assert [small.push(frame(bytes(size))) for size in (4, 4, 4, 10)] == [0, 0, 1, 2]
    assert [len(body) for body in bodies(small)] == [10]


def test_gossip_cannot_displace_votes() -> None:
    lanes = Lanes(LaneLimits(max_frames=2))
    lanes.push(frame(b"vote"))
    for number in range(9):
        lanes.push(frame(bytes([number]), REPORT))
    assert bodies(lanes) == [b"vote", b"\7", b"\10"]


def test_batches_are_bounded_and_a_larger_frame_goes_alone() -> None:
    lanes = Lanes(LaneLimits(max_batch_bytes=10))
    for size in (6, 4, 1, 50, 1):
        lanes.push(frame(bytes(size)))
    assert [[len(body) for body in bodies(lanes)] for _ in range(5)] == [[6, 4], [1], [50], [1], []]


def test_the_largest_frame_fits_a_lane() -> None:
    with pytest.raises(ConfigError):
        LaneLimits(max_bytes=10, max_frame_bytes=11)
    limits = PeerLimits.carrying(40 << 20)
    assert (limits.lanes.max_frame_bytes, limits.lanes.max_bytes) == (40 << 20, 160 << 20)
    assert PeerLimits.carrying(1) == PeerLimits()
