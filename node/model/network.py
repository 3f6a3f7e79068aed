"""Who the network is: its immutable id, its nodes and their keys, and how many may be faulty.

The digest of this configuration is in everything that nodes sign; a rotation makes a new one. Addresses of peers are
not part of it: a node may move house without a new configuration. Must not know risk (that is the policy) or chains.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import ConfigError
from chains.proofs.keccak import keccak
from chains.types import Address, Hash32
from node.model.codec import Writer
from node.model.digests import tag

MAX_NODES = 31
_CONFIG = tag("config")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """One node's public keys: ed25519 for what it tells its peers, an Ethereum address for what it signs for chains."""

    consensus_key: bytes
    signer: Address


@dataclass(frozen=True, slots=True)
class Network:
    """The membership of a network. Raises ConfigError unless n >= 3f+1, n <= 31, keys are distinct and widths right.

    `round_ms` is the time from one round's start to the next. A policy is activated by `policy_threshold` of
    `policy_signers`.
    """

    network_id: Hash32
    f: int
    round_ms: int
    nodes: tuple[NodeKeys, ...]
    policy_signers: tuple[Address, ...]
    policy_threshold: int

    def __post_init__(self) -> None:
        n = len(self.nodes)
        if not (3 * self.f + 1 <= n <= MAX_NODES) or self.f < 0:
            raise ConfigError("name between 3f+1 and 31 nodes", nodes=n, f=self.f)
        widths = [(len(node.consensus_key), len(node.signer)) for node in self.nodes]
        if len(self.network_id) != 32 or any(width != (32, 20) for width in widths):
            raise ConfigError("give a 32-byte network id, and every node a 32-byte key and a 20-byte address")
        if any(len(signer) != 20 for signer in self.policy_signers):
            raise ConfigError("give every policy signer a 20-byte address")
        if not 0 <= self.round_ms < 1 << 32:
            raise ConfigError("keep a round between 0 and 2**32 - 1 milliseconds", round_ms=self.round_ms)
        if len({node.consensus_key for node in self.nodes}) != n or len({node.signer for node in self.nodes}) != n:
            raise ConfigError("give every node keys of its own")
        if not 1 <= self.policy_threshold <= len(set(self.policy_signers)):
            raise ConfigError("let a policy need between 1 and all of the policy signers", m=self.policy_threshold)

    @property
    def n(self) -> int:
        return len(self.nodes)

    @property
    def quorum(self) -> int:
        """⌊(n+f)/2⌋+1: any two quorums share an honest node. For commits, withdrawals, seizures and rotations."""
        return (self.n + self.f) // 2 + 1

    @property
    def weak_quorum(self) -> int:
        """f+1: at least one honest node. For publishing a state."""
        return self.f + 1

    @property
    def strong_quorum(self) -> int:
        """2f+1: a majority of these is honest. For observations and for what nodes must hold."""
        return 2 * self.f + 1

    @property
    def signers(self) -> tuple[Address, ...]:
        return tuple(node.signer for node in self.nodes)

    @property
    def digest(self) -> Hash32:
        """keccak(tag ‖ canonical bytes)."""
        writer = Writer().u8(_VERSION).raw(self.network_id, 32).u8(self.f).u32(self.round_ms)
        writer.many(self.nodes, lambda w, node: w.raw(node.consensus_key, 32).raw(node.signer, 20))
        writer.many(self.policy_signers, lambda w, signer: w.raw(signer, 20)).u8(self.policy_threshold)
        return Hash32(keccak(_CONFIG + writer.done()))
