"""What can go wrong in agreement, each a branch of the one error tree.

A `PeerError` here is the peer's fault: counted against it, its message ignored. `SlotConflict` is our own bug or a
journal that is not ours, and stops the node before a second signature leaves it.
"""

from __future__ import annotations

from chains.errors import HypothecError, PeerError


class MalformedMessage(PeerError):
    """A peer's bytes are no message, or not in the one canonical form."""

    reason = "CONSENSUS_MESSAGE_MALFORMED"


class OversizedMessage(PeerError):
    """A peer's message is over the bound that the configuration gives for it."""

    reason = "CONSENSUS_MESSAGE_OVERSIZED"
    status = "RESOURCE_EXHAUSTED"


class WrongSender(PeerError):
    """A message that only another node may send: the leader, or the node to which it is attributed."""

    reason = "CONSENSUS_WRONG_SENDER"


class ProposalRefused(PeerError):
    """A leader's proposal, or epoch start, that the protocol does not allow."""

    reason = "CONSENSUS_PROPOSAL_REFUSED"


class ObservationRefused(PeerError):
    """A signed observation that the application refuses."""

    reason = "CONSENSUS_OBSERVATION_REFUSED"


class OutcomeMismatch(PeerError):
    """A peer prepared another outcome of the same proposal than this node derived: one of the two is wrong."""

    reason = "CONSENSUS_OUTCOME_MISMATCH"


class BufferOverflow(PeerError):
    """A peer is so far ahead, or so talkative, that older messages of its own had to be dropped."""

    reason = "CONSENSUS_BUFFER_OVERFLOW"
    status = "RESOURCE_EXHAUSTED"


class SlotConflict(HypothecError):
    """This node was about to sign a second, different message in one slot. Nothing was signed."""

    reason = "CONSENSUS_SLOT_CONFLICT"
    status = "FAILED_PRECONDITION"
