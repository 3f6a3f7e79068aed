"""What a light client is served, as values, and the hash tree roots that bind it.

Owns the containers of the light client protocol and the field order of each. Must not know JSON, or whether any of it
holds. One form stands for all forks: what a fork did not have yet is None, zero or an empty branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chains.proofs.lightclient.config import Fork, Slot
from chains.proofs.lightclient.ssz import bytes_root, hash_pair, merkleize, short_list_root, uint_leaf
from chains.types import Address, Hash32, Height, UnixSeconds

Branch: TypeAlias = tuple[Hash32, ...]
"""The siblings on the way from a leaf up to the root."""


@dataclass(frozen=True, slots=True)
class BeaconHeader:
    """A beacon block, its body as a root."""

    slot: Slot
    proposer_index: int
    parent_root: Hash32
    state_root: Hash32
    body_root: Hash32

    def root(self) -> Hash32:
        """The hash tree root, which is the block root."""
        numbers = (uint_leaf(self.slot), uint_leaf(self.proposer_index))
        return merkleize((*numbers, self.parent_root, self.state_root, self.body_root))


@dataclass(frozen=True, slots=True)
class ExecutionHeader:
    """An execution payload with roots for its lists, as a beacon block body held it from Capella to Fulu."""

    parent_hash: Hash32
    fee_recipient: Address
    state_root: Hash32
    receipts_root: Hash32
    logs_bloom: bytes
    prev_randao: Hash32
    block_number: Height
    gas_limit: int
    gas_used: int
    timestamp: UnixSeconds
    extra_data: bytes
    base_fee_per_gas: int
    block_hash: Hash32
    transactions_root: Hash32
    withdrawals_root: Hash32
    blob_gas_used: int
    excess_blob_gas: int

    def root(self, fork: Fork) -> Hash32:
        """The hash tree root, of the fields that `fork` has."""
        return merkleize(self.leaves(fork))

    def leaves(self, fork: Fork) -> list[bytes]:
        """The root of each field that `fork` has."""
        leaves = [
            self.parent_hash,
            self.fee_recipient.ljust(32, b"\0"),
            self.state_root,
            self.receipts_root,
            bytes_root(self.logs_bloom),
            self.prev_randao,
            uint_leaf(self.block_number),
            uint_leaf(self.gas_limit),
            uint_leaf(self.gas_used),
            uint_leaf(self.timestamp),
            short_list_root(self.extra_data),
            uint_leaf(self.base_fee_per_gas),
            self.block_hash,
            self.transactions_root,
            self.withdrawals_root,
        ]
        if fork >= Fork.DENEB:
            leaves += [uint_leaf(self.blob_gas_used), uint_leaf(self.excess_blob_gas)]
        return leaves


@dataclass(frozen=True, slots=True)
class LightClientHeader:
    """A beacon header and the execution block that its body names.

    Until Fulu that is the block's own payload, as `execution`; from Gloas on its parent's, of which the protocol tells
    only `execution_block_hash`. Before Capella both are None.
    """

    beacon: BeaconHeader
    execution: ExecutionHeader | None = None
    execution_block_hash: Hash32 | None = None
    execution_branch: Branch = ()


@dataclass(frozen=True, slots=True)
class SyncCommittee:
    """The compressed keys of a committee's members, in their order; a member may sit in it more than once."""

    pubkeys: tuple[bytes, ...]
    aggregate_pubkey: bytes

    def root(self) -> Hash32:
        """The hash tree root."""
        keys = merkleize([bytes_root(key) for key in self.pubkeys])
        return hash_pair(keys, bytes_root(self.aggregate_pubkey))


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Where a light client begins: a header, and the committee of its period under its state."""

    header: LightClientHeader
    current_sync_committee: SyncCommittee
    current_sync_committee_branch: Branch


@dataclass(frozen=True, slots=True)
class SyncAggregate:
    """Who signed, one bit a member from the lowest bit of the first byte, and their aggregate signature."""

    bits: bytes
    signature: bytes

    def participants(self) -> int:
        """How many members signed."""
        return int.from_bytes(self.bits, "big").bit_count()

    def has(self, member: int) -> bool:
        """Whether the member at this index signed."""
        return bool(self.bits[member >> 3] >> (member & 7) & 1)


@dataclass(frozen=True, slots=True)
class Update:
    """A signed beacon header, and what its state says: which header is final, which committee serves next.

    A finality update has no next committee, an optimistic update no final header either.
    """

    attested_header: LightClientHeader
    sync_aggregate: SyncAggregate
    signature_slot: Slot
    finalized_header: LightClientHeader | None = None
    finality_branch: Branch = ()
    next_sync_committee: SyncCommittee | None = None
    next_sync_committee_branch: Branch = ()
