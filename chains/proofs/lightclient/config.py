"""Beacon networks: their genesis, their slots and the schedule of their forks.

Owns what a fork changes for a light client. Must not know headers or signatures. A fork that is not in `Fork` is not
followed: its containers and generalized indices would be guesses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

from chains.errors import ConfigError
from chains.types import ChainId, Hash32, UnixSeconds

Slot = NewType("Slot", int)
"""Beacon slot, genesis = 0."""

GeneralizedIndex = NewType("GeneralizedIndex", int)
"""A node's place in a Merkle tree: the root is 1, the children of n are 2n and 2n + 1 (consensus-specs, `ssz/`)."""

MAX_COMMITTEE = 512
"""Members of a sync committee, at most; the minimal preset has 32."""

_MAX_UINT64 = (1 << 64) - 1


class Fork(IntEnum):
    """Forks of the beacon chain since there are sync committees, in their order."""

    ALTAIR = 1
    BELLATRIX = 2
    CAPELLA = 3
    DENEB = 4
    ELECTRA = 5
    FULU = 6
    GLOAS = 7


@dataclass(frozen=True, slots=True)
class StateIndices:
    """Where a beacon state of some forks holds what a light client needs."""

    finalized_root: GeneralizedIndex
    current_committee: GeneralizedIndex
    next_committee: GeneralizedIndex


def _indices(finalized_root: int, current_committee: int, next_committee: int) -> StateIndices:
    return StateIndices(*map(GeneralizedIndex, (finalized_root, current_committee, next_committee)))


_STATE_INDICES = {
    Fork.ALTAIR: _indices(105, 54, 55),
    Fork.ELECTRA: _indices(169, 86, 87),  # the state has more than 32 fields
    Fork.GLOAS: _indices(735, 2945, 2946),  # the state is a progressive container (EIP-7688)
}


@dataclass(frozen=True, slots=True)
class ForkVersion:
    """From which epoch a fork holds, and the version that signatures under it are bound to."""

    fork: Fork
    epoch: int
    version: bytes


@dataclass(frozen=True, slots=True)
class BeaconConfig:
    """One beacon network. `forks` is in their order, beginning with Altair; raises ConfigError if it is not.

    Sizes: `slots_per_epoch` slots, `epochs_per_period` epochs for which a committee of `committee_size` serves.
    """

    name: str
    genesis_time: UnixSeconds
    genesis_validators_root: Hash32
    genesis_version: bytes
    forks: tuple[ForkVersion, ...]
    seconds_per_slot: int = 12
    slots_per_epoch: int = 32
    epochs_per_period: int = 256
    committee_size: int = MAX_COMMITTEE

    def __post_init__(self) -> None:
        forks = [item.fork for item in self.forks]
        epochs = [item.epoch for item in self.forks]
        if not forks or forks[0] is not Fork.ALTAIR or forks != sorted(set(forks)) or epochs != sorted(epochs):
            raise ConfigError("List a beacon network's forks in their order, from Altair on", network=self.name)
        if min(self.seconds_per_slot, self.slots_per_epoch, self.epochs_per_period) < 1 or epochs[0] < 0:
            raise ConfigError("A beacon network's durations are positive", network=self.name)
        if not 0 < self.committee_size <= MAX_COMMITTEE or self.committee_size % 8:
            raise ConfigError("A sync committee has 8, 16, … 512 members", network=self.name, size=self.committee_size)
        if any(len(version) != 4 for version in (self.genesis_version, *(item.version for item in self.forks))):
            raise ConfigError("A fork version has four bytes", network=self.name)

    def epoch(self, slot: Slot) -> int:
        """The epoch of `slot`."""
        return slot // self.slots_per_epoch

    def period(self, slot: Slot) -> int:
        """The sync committee period of `slot`: who serves in it is fixed one period ahead."""
        return slot // (self.slots_per_epoch * self.epochs_per_period)

    def time(self, slot: Slot) -> UnixSeconds:
        """When `slot` begins."""
        return UnixSeconds(self.genesis_time + slot * self.seconds_per_slot)

    def fork(self, slot: Slot) -> Fork | None:
        """The fork at `slot`; None before Altair."""
        at = self._at(slot)
        return self.forks[at].fork if at >= 0 else None

    def fork_version(self, slot: Slot) -> bytes:
        """The version that a message of `slot` is signed under."""
        at = self._at(slot)
        return self.forks[at].version if at >= 0 else self.genesis_version

    def state_indices(self, slot: Slot) -> StateIndices:
        """The generalized indices in a state of `slot`."""
        fork = self.fork(slot) or Fork.ALTAIR
        return _STATE_INDICES[max(known for known in _STATE_INDICES if known <= fork)]

    def _at(self, slot: Slot) -> int:
        return bisect_right(self.forks, self.epoch(slot), key=lambda item: item.epoch) - 1


def fork_schedule(epochs_and_versions: Mapping[str, tuple[int, bytes]]) -> tuple[ForkVersion, ...]:
    """The schedule of forks by name, as `gloas: (epoch, version)`; those at epoch 2^64 - 1, "never", are left out.

    Raises ConfigError for a fork that is scheduled and not known here.
    """
    found: list[ForkVersion] = []
    for name, (epoch, version) in epochs_and_versions.items():
        if epoch >= _MAX_UINT64:
            continue
        if name.upper() not in Fork.__members__:
            raise ConfigError("A fork is scheduled that this version cannot follow; update the node", fork=name)
        found.append(ForkVersion(Fork[name.upper()], epoch, version))
    return tuple(sorted(found, key=lambda item: item.fork))


def _network(
    name: str, genesis_time: int, root: str, fork_versions: Iterable[int], epochs: tuple[int, ...]
) -> BeaconConfig:
    """A network of the mainnet preset. Its `fork_versions` begin with that of its genesis, its `epochs` with Altair."""
    versions = [version.to_bytes(4, "big") for version in fork_versions]
    return BeaconConfig(
        name=name,
        genesis_time=UnixSeconds(genesis_time),
        genesis_validators_root=Hash32(bytes.fromhex(root)),
        genesis_version=versions[0],
        forks=tuple(ForkVersion(*row) for row in zip(list(Fork)[: len(epochs)], epochs, versions[1:], strict=True)),
    )


# consensus-specs `configs/mainnet.yaml`; eth-clients/sepolia `metadata/config.yaml`.
MAINNET = _network(
    "mainnet",
    1606824023,
    "4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
    range(0, 0x07000000, 0x01000000),
    (74240, 144896, 194048, 269568, 364032, 411392),
)
SEPOLIA = _network(
    "sepolia",
    1655733600,
    "d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078",
    (0x90000069, *range(0x90000070, 0x90000077)),
    (50, 100, 56832, 132608, 222464, 272640, 353024),
)

NETWORKS: Mapping[str, BeaconConfig] = {network.name: network for network in (MAINNET, SEPOLIA)}
"""The networks that need no configuration, by name."""

CHAIN_IDS: Mapping[str, ChainId] = {MAINNET.name: ChainId(1), SEPOLIA.name: ChainId(11155111)}
"""The execution chain (EIP-155) of each of them."""
