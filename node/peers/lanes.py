"""What waits to be sent to one peer: two bounded lanes, votes before gossip.

A lane that is full drops its oldest frame and counts it: agreement outlives lost messages, and a newer one is worth
more. Must not know connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from chains.errors import ConfigError
from hypothec.v1 import peer_service_pb2 as pb

_URGENT = frozenset({pb.FRAME_KIND_CONSENSUS, pb.FRAME_KIND_CHAIN_SIGNATURES})


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """Bounds of one lane, and of one message on the wire. A frame is at most `max_frame_bytes`.

    Raises ConfigError unless a lane holds the largest frame.
    """

    max_frames: int = 2_048
    max_bytes: int = 32 << 20
    max_frame_bytes: int = 8 << 20
    max_batch_bytes: int = 1 << 20
    """Frames that wait are sent together up to this size; a larger frame goes alone."""

    def __post_init__(self) -> None:
        if self.max_frame_bytes > self.max_bytes:
            raise ConfigError("let a lane hold the largest frame", frame=self.max_frame_bytes, lane=self.max_bytes)


class _Lane:
    __slots__ = ("_limits", "bytes", "frames")

    def __init__(self, limits: LaneLimits) -> None:
        self._limits = limits
        self.frames: deque[pb.Frame] = deque()
        self.bytes = 0

    def push(self, frame: pb.Frame) -> int:
        """Returns how many older frames were dropped for it."""
        self.frames.append(frame)
        self.bytes += len(frame.body)
        dropped = 0
        while len(self.frames) > self._limits.max_frames or self.bytes > self._limits.max_bytes:
            self.pop()
            dropped += 1
        return dropped

    def pop(self) -> pb.Frame:
        frame = self.frames.popleft()
        self.bytes -= len(frame.body)
        return frame


class Lanes:
    """The queue of one peer. A frame may be shared between peers: it is never changed."""

    __slots__ = ("_bulk", "_limits", "_urgent")

    def __init__(self, limits: LaneLimits) -> None:
        self._limits = limits
        self._urgent = _Lane(limits)
        self._bulk = _Lane(limits)

    def __len__(self) -> int:
        return len(self._urgent.frames) + len(self._bulk.frames)

    def push(self, frame: pb.Frame) -> int:
        """Queue a frame; returns how many were dropped."""
        return (self._urgent if frame.kind in _URGENT else self._bulk).push(frame)

    def take(self) -> Sequence[pb.Frame]:
        """The next batch, urgent frames first; empty when nothing waits."""
        batch: list[pb.Frame] = []
        size = 0
        for lane in (self._urgent, self._bulk):
            while lane.frames:
                size += len(lane.frames[0].body)
                if batch and size > self._limits.max_batch_bytes:
                    return batch
                batch.append(lane.pop())
        return batch
