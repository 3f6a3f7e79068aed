"""A beacon chain of a few members that goes through every fork, signed by milagro, which the code does not use.

The chain is the testnet's; here its execution blocks are made up as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import milagro_bls_binding as milagro

from chains.proofs.lightclient.config import BeaconConfig, Fork, ForkVersion, Slot
from chains.proofs.lightclient.containers import ExecutionHeader, SyncCommittee
from chains.types import Address, Hash32, Height, UnixSeconds
from node.testnet.beacon.chain import BeaconChain, Tree, digest

__all__ = ["CHAIN", "CONFIG", "EPOCHS", "Milagro", "Tree", "committee", "digest", "execution"]

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


def secret(period: int, member: int) -> bytes:
    return (1 + digest("secret", period, member)[0] + 1000 * period + member).to_bytes(32, "big")


@dataclass(frozen=True)
class Milagro:
    """Committees whose members' keys have nothing to do with each other."""

    size: int = CONFIG.committee_size
    _made: dict[int, SyncCommittee] = field(default_factory=dict)

    def committee(self, period: int) -> SyncCommittee:
        if period not in self._made:
            keys = tuple(milagro.SkToPk(secret(period, member)) for member in range(self.size))
            self._made[period] = SyncCommittee(keys, milagro._AggregatePKs(list(keys)))
        return self._made[period]

    def sign(self, period: int, members: Sequence[int], root: Hash32) -> bytes:
        return bytes(milagro.Aggregate([milagro.Sign(secret(period, member), root) for member in members]))


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


CHAIN = BeaconChain(CONFIG, execution, Milagro())


def committee(period: int) -> SyncCommittee:
    return CHAIN.committees.committee(period)
