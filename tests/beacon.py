"""A beacon chain of a few members: light client data for any fork, signed by keys that everybody knows.

Owns states and bodies as sparse Merkle trees that hold only what a light client asks for. Its forms are the code's own
values, whose hashing the real vectors pin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

import milagro_bls_binding as milagro

from chains.proofs.lightclient.config import BeaconConfig, Fork, ForkVersion, Slot
from chains.proofs.lightclient.containers import (
    BeaconHeader,
    Bootstrap,
    Branch,
    ExecutionHeader,
    LightClientHeader,
    SyncAggregate,
    SyncCommittee,
    Update,
)
from chains.types import Address, Hash32, Height, UnixSeconds

EPOCHS = {fork: 4 * n for n, fork in enumerate(Fork)}
CONFIG = BeaconConfig(
    name="few",
    genesis_time=UnixSeconds(1_700_000_000),
    genesis_validators_root=Hash32(sha256(b"validators").digest()),
    genesis_version=b"\0\0\0\7",
    forks=tuple(ForkVersion(fork, EPOCHS[fork], bytes((fork, 0, 0, 7))) for fork in Fork),
    seconds_per_slot=12,
    slots_per_epoch=4,
    epochs_per_period=2,
    committee_size=8,
)


def digest(*parts: object) -> Hash32:
    return Hash32(sha256(repr(parts).encode()).digest())


@dataclass(frozen=True)
class Tree:
    """A Merkle tree of which only some leaves are known; everything else is made up."""

    leaves: Mapping[int, bytes]
    salt: object = 0
    _known: dict[int, bytes] = field(default_factory=dict)

    def node(self, index: int) -> bytes:
        if index in self.leaves:
            return self.leaves[index]
        if not any(leaf >> max(leaf.bit_length() - index.bit_length(), 0) == index for leaf in self.leaves):
            return digest(self.salt, index)
        if index not in self._known:
            self._known[index] = sha256(self.node(2 * index) + self.node(2 * index + 1)).digest()
        return self._known[index]

    @property
    def root(self) -> Hash32:
        return Hash32(self.node(1))

    def branch(self, index: int) -> Branch:
        return tuple(Hash32(self.node(index >> up ^ 1)) for up in range(index.bit_length() - 1))


def secret(period: int, member: int) -> bytes:
    return (1 + digest("secret", period, member)[0] + 1000 * period + member).to_bytes(32, "big")


def committee(period: int, config: BeaconConfig = CONFIG) -> SyncCommittee:
    keys = tuple(milagro.SkToPk(secret(period, member)) for member in range(config.committee_size))
    return SyncCommittee(keys, milagro._AggregatePKs(list(keys)))


def execution(slot: int) -> ExecutionHeader:
    return ExecutionHeader(
        parent_hash=digest("block", slot - 1),
        fee_recipient=Address(bytes(20)),
        state_root=digest("state", slot),
        receipts_root=digest("receipts", slot),
        logs_bloom=bytes(256),
        prev_randao=digest("randao", slot),
        block_number=Height(slot),
        gas_limit=30_000_000,
        gas_used=slot,
        timestamp=CONFIG.time(Slot(slot)),
        extra_data=b"few",
        base_fee_per_gas=10**9,
        block_hash=digest("block", slot),
        transactions_root=digest("transactions", slot),
        withdrawals_root=digest("withdrawals", slot),
        blob_gas_used=0,
        excess_blob_gas=0,
    )


@dataclass(frozen=True)
class Chain:
    """`config`'s chain, with light client data for whatever slots are asked for."""

    config: BeaconConfig = CONFIG

    def header(self, slot: int, final: LightClientHeader | None = None) -> LightClientHeader:
        fork = self.config.fork(Slot(slot))
        assert fork
        payload, block_hash, body = None, None, Tree({1: digest("body", slot)})
        branch: Branch = ()
        if fork >= Fork.GLOAS:
            block_hash = digest("block", slot - 1)
            body = Tree({2856: block_hash}, slot)
            branch = body.branch(2856)
        elif fork >= Fork.CAPELLA:
            payload = execution(slot)
            body = Tree({25: payload.root(fork)}, slot)
            branch = body.branch(25)
        beacon = BeaconHeader(Slot(slot), slot % 7, digest("parent", slot), self._state(slot, final).root, body.root)
        return LightClientHeader(beacon, payload, block_hash, branch)

    def bootstrap(self, slot: int) -> Bootstrap:
        state = self._state(slot, None)
        index = self.config.state_indices(Slot(slot)).current_committee
        return Bootstrap(self.header(slot), self._committee(slot), state.branch(index))

    def update(
        self,
        attested: int,
        final: int | None = None,
        *,
        following: bool = False,
        signed: int | None = None,
        absent: int = 0,
        version: bytes | None = None,
    ) -> Update:
        """The update that `attested` allows, signed one slot later by all but `absent` members."""
        final_header = None if final is None else self.header(final)
        state = self._state(attested, final_header)
        indices = self.config.state_indices(Slot(attested))
        update = Update(
            attested_header=self.header(attested, final_header),
            sync_aggregate=SyncAggregate(b"", b""),
            signature_slot=Slot(attested + 1 if signed is None else signed),
            finalized_header=final_header,
            finality_branch=state.branch(indices.finalized_root) if final_header else (),
            next_sync_committee=committee(self.config.period(Slot(attested)) + 1, self.config) if following else None,
            next_sync_committee_branch=state.branch(indices.next_committee) if following else (),
        )
        return self.signed(update, absent, version)

    def signed(self, update: Update, absent: int = 0, version: bytes | None = None) -> Update:
        slot = update.signature_slot
        if version is None:
            version = self.config.fork_version(Slot(slot - 1))
        fork_data = sha256(version.ljust(32, b"\0") + self.config.genesis_validators_root).digest()
        root = sha256(update.attested_header.beacon.root() + b"\7\0\0\0" + fork_data[:28]).digest()
        period = self.config.period(slot)
        signers = range(absent, self.config.committee_size)
        signature = milagro.Aggregate([milagro.Sign(secret(period, member), root) for member in signers])
        bits = sum(1 << member for member in signers).to_bytes(self.config.committee_size // 8, "little")
        return replace(update, sync_aggregate=SyncAggregate(bits, signature))

    def _committee(self, slot: int) -> SyncCommittee:
        return committee(self.config.period(Slot(slot)), self.config)

    def _state(self, slot: int, final: LightClientHeader | None) -> Tree:
        indices = self.config.state_indices(Slot(slot))
        period = self.config.period(Slot(slot))
        leaves: dict[int, bytes] = {
            indices.current_committee: committee(period, self.config).root(),
            indices.next_committee: committee(period + 1, self.config).root(),
        }
        if final is not None:
            leaves[indices.finalized_root] = final.beacon.root()
        return Tree(leaves, slot)
