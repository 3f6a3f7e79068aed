"""What goes wrong with a light client that no endpoint did. The `reason` of each names it in logs and metrics."""

from __future__ import annotations

from chains.errors import ConfigError, ProofError, RetryError


class LowParticipation(RetryError):
    """Fewer than two thirds of the committee signed. The signature may be genuine, but it makes nothing final."""

    reason = "LOW_PARTICIPATION"


class NoFinality(RetryError):
    """A period has gone by in which the beacon chain made nothing final: what tells its next committee is not final."""

    reason = "NO_FINALITY"


class UnknownFork(RetryError):
    """The beacon node gives data of a fork that is not known here: perhaps the network is ahead of this software."""

    reason = "UNKNOWN_FORK"


class CheckpointTooOld(ConfigError):
    """Validators that have left since could have signed another history: the operator has to name a newer block."""

    reason = "CHECKPOINT_TOO_OLD"


class StateRefused(ProofError):
    """The kept state is not what this node wrote under its checkpoint."""

    reason = "STATE_REFUSED"


class StateNotKept(ConfigError):
    """The state cannot be written: after a restart the light client will begin at its checkpoint."""

    reason = "STATE_NOT_KEPT"


class Behind(RetryError):
    """The newest final block that is proven is old, and a quorum of endpoints has a newer one."""

    reason = "LIGHT_CLIENT_BEHIND"
