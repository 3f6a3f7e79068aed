"""What the nodes of one network agree on beforehand: who they are, how long they wait, how much they take.

Owns the quorums, the leader of each epoch, the timing and the size limits; the limits follow from the configuration
and are not guessed. Must not know files or command lines. All durations are in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from chains.errors import ConfigError
from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.model.certificate import MAX_NODES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, quorum_of
from node.model.digests import tag

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND

_LEADER_TAG = tag("consensus.leader")
_CERTIFICATE_BYTES = 128 + SIGNATURE_BYTES * MAX_NODES
_FIXED_FIELDS_BYTES = 512


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits, in nanoseconds, named as in OCR3; `r_max` is a count of rounds.

    Raises ConfigError when the waits contradict one another.
    """

    delta_progress: int = 3 * SECOND
    """Without a commit for this long, a node wishes for the next epoch; doubles, up to 8 times, as epochs fail."""
    delta_round: int = 1 * SECOND
    """From the start of one round to the start of the next; 0 starts the next as soon as this one is committed."""
    delta_grace: int = 50 * MILLISECOND
    """How long a leader that has 2f+1 observations waits for the others."""
    delta_initial: int = 1_500 * MILLISECOND
    """An epoch whose leader has not started it after this is given up."""
    delta_resend: int = 1 * SECOND
    """Wishes, and messages that brought no progress, are sent again this often."""
    r_max: int = 600
    """Rounds in an epoch, after which leadership moves on."""

    def __post_init__(self) -> None:
        if min(self.delta_progress, self.delta_initial, self.delta_resend, self.r_max) <= 0:
            raise ConfigError("set progress, initial, resend and r_max above zero", timing=self)
        if min(self.delta_round, self.delta_grace) < 0:
            raise ConfigError("set round and grace to zero or more", timing=self)
        if self.delta_progress <= self.delta_round + self.delta_grace:
            raise ConfigError("give a round more time to progress than it takes by its own waits", timing=self)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the application puts into a message at most, in bytes. The other bounds follow from it."""

    max_observation: int
    max_query: int = 1024


@dataclass(frozen=True, slots=True)
class ConsensusConfig:
    """One network: `keys` are the ed25519 public keys of the nodes, in order of their index.

    Raises ConfigError unless n >= 3f+1, n <= 31, and keys and digest have their widths and differ.
    """

    config_digest: Hash32
    keys: tuple[bytes, ...]
    f: int
    limits: Limits
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        if not 0 <= 3 * self.f < self.n <= MAX_NODES:
            raise ConfigError("take at least 3f+1 and at most 31 nodes", n=self.n, f=self.f)
        if len(self.config_digest) != 32 or any(len(key) != PUBLIC_KEY_BYTES for key in self.keys):
            raise ConfigError("give a 32-byte digest and 32-byte keys", digest=self.config_digest)
        if len(set(self.keys)) != self.n:
            raise ConfigError("give every node its own key", n=self.n)
        if self.limits.max_observation <= 0 or self.limits.max_query < 0:
            raise ConfigError("give an observation some room", limits=self.limits)

    @property
    def n(self) -> int:
        """How many nodes there are."""
        return len(self.keys)

    @property
    def quorum(self) -> int:
        """Prepares or commits that decide, and epoch start requests that start an epoch: ⌊(n+f)/2⌋+1."""
        return quorum_of(self.n, self.f)

    @property
    def observation_quorum(self) -> int:
        """Observations that a proposal needs: 2f+1, so that honest ones are a majority of them."""
        return 2 * self.f + 1

    @property
    def recovery_quorum(self) -> int:
        """Peers that must report to a node without a journal.

        At least 2f+1, and enough to share an honest node with the honest others of any quorum that it signed in.
        """
        return max(2 * self.f + 1, self.n + self.f + 1 - self.quorum)

    @property
    def max_proposal(self) -> int:
        """Bytes of the largest proposal: every node's observation at its largest."""
        return _FIXED_FIELDS_BYTES + self.n * (self.limits.max_observation + SIGNATURE_BYTES + 8)

    @property
    def max_message(self) -> int:
        """Bytes of the largest message: an epoch start with a re-proposal, its two certificates and its proofs."""
        return self.max_proposal + self.limits.max_query + 2 * _CERTIFICATE_BYTES + 128 * self.n

    def leader(self, epoch: int) -> int:
        """The node that leads `epoch` (from 1): each node once, in pseudo-random order, in every span of n epochs."""
        span, position = divmod(epoch - 1, self.n)
        return _leaders(self.config_digest, self.n, span)[position]


@lru_cache(maxsize=64)
def _leaders(config_digest: Hash32, n: int, span: int) -> tuple[int, ...]:
    seed = _LEADER_TAG + config_digest + span.to_bytes(8, "big")
    return tuple(sorted(range(n), key=lambda node: keccak(seed + bytes([node]))))
