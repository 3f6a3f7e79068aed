"""What can go wrong with what a peer was asked for."""

from __future__ import annotations

from chains.errors import PeerError, RetryError


class NotHeld(RetryError):
    """The peer does not have what was asked for: ask another one."""

    reason = "NOT_HELD"
    status = "NOT_FOUND"


class BodyMismatch(PeerError):
    """A peer answered with other bytes than those that were asked for."""

    reason = "BODY_MISMATCH"


class StateMismatch(PeerError):
    """A peer sent a state whose parts are not what its certified header names."""

    reason = "STATE_MISMATCH"
