"""A beacon chain of a few members: light client data for any fork, for whatever slots are asked for.

Owns states and bodies, as sparse Merkle trees that hold only what a light client asks for, and the committees' keys,
which everybody can know. What no light client looks at (proposers, parents, the rest of the trees) is made up, so one
slot's header differs with what it is asked to call final. Must not know where execution blocks come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from hashlib import sha256
from operator import add
from typing import Any, Protocol

import pyblst

from chains.proofs.lightclient import bls
from chains.proofs.lightclient.config import BeaconConfig, Fork, Slot
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
from chains.types import Hash32

PAYLOAD = 25
PARENT_BLOCK_HASH = 2856
"""Generalized indices in a block's body: of the payload until Fulu, of the parent's block hash from Gloas on."""


def digest(*parts: object) -> Hash32:
    """Something made up, the same for the same `parts`."""
    return Hash32(sha256(repr(parts).encode()).digest())


@dataclass(frozen=True)
class Tree:
    """A Merkle tree of which only some leaves, by generalized index, are known; everything else is made up."""

    leaves: Mapping[int, bytes]
    salt: object = 0
    _known: dict[int, bytes] = field(default_factory=dict)

    def node(self, index: int) -> bytes:
        """The node at a generalized index."""
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
        """The siblings of the node at `index`, up to the root."""
        return tuple(Hash32(self.node(index >> up ^ 1)) for up in range(index.bit_length() - 1))


class Committees(Protocol):
    """Who serves in each period."""

    def committee(self, period: int) -> SyncCommittee: ...

    def sign(self, period: int, members: Sequence[int], root: Hash32) -> bytes:
        """The aggregate signature of these members of a period's committee over `root`."""


@dataclass(frozen=True)
class KnownCommittees:
    """Committees of `size` members whose secrets follow from `seed`: another seed gives other committees."""

    size: int
    seed: str = "testnet"
    _made: dict[int, SyncCommittee] = field(default_factory=dict)

    def committee(self, period: int) -> SyncCommittee:
        if period not in self._made:
            generator = pyblst.BlstP1Element().uncompress(bls.GENERATOR)
            first: Any = generator.scalar_mul(self._first(period))
            keys = [first]
            while len(keys) < self.size:  # secrets are numbered on from the first: an addition a key
                keys.append(keys[-1] + generator)
            aggregate = reduce(add, keys)
            self._made[period] = SyncCommittee(
                tuple(bytes(key.compress()) for key in keys), bytes(aggregate.compress())
            )
        return self._made[period]

    def sign(self, period: int, members: Sequence[int], root: Hash32) -> bytes:
        secret = sum(self._first(period) + member for member in members)
        return bytes(pyblst.BlstP2Element().hash_to_group(root, bls.DST).scalar_mul(secret).compress())

    def _first(self, period: int) -> int:
        return int.from_bytes(digest("secret", self.seed, period)[:16], "big") + 1


@dataclass(frozen=True)
class BeaconChain:
    """`config`'s chain: `execution` tells the payload of a slot's block, `committees` who signs."""

    config: BeaconConfig
    execution: Callable[[Slot], ExecutionHeader]
    committees: Committees

    def header(self, slot: int, final: LightClientHeader | None = None) -> LightClientHeader:
        """The block of `slot`, over a state that calls `final` final."""
        fork = self.config.fork(Slot(slot))
        assert fork is not None  # noqa: S101 - there is no light client before Altair
        payload, block_hash, body = None, None, Tree({1: digest("body", slot)})
        branch: Branch = ()
        if fork >= Fork.GLOAS:
            block_hash = self.execution(Slot(slot)).parent_hash
            body = Tree({PARENT_BLOCK_HASH: block_hash}, slot)
            branch = body.branch(PARENT_BLOCK_HASH)
        elif fork >= Fork.CAPELLA:
            payload = self.execution(Slot(slot))
            body = Tree({PAYLOAD: payload.root(fork)}, slot)
            branch = body.branch(PAYLOAD)
        beacon = BeaconHeader(Slot(slot), slot % 7, digest("parent", slot), self._state(slot, final).root, body.root)
        return LightClientHeader(beacon, payload, block_hash, branch)

    def bootstrap(self, slot: int) -> Bootstrap:
        """Where a light client that trusts the block of `slot` begins."""
        index = self.config.state_indices(Slot(slot)).current_committee
        return Bootstrap(
            self.header(slot), self.committees.committee(self._period(slot)), self._state(slot, None).branch(index)
        )

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
        """The update that `attested` allows, signed one slot later by all but `absent` members.

        `following`: with the next committee; `version`: that of the fork it is signed under, if not the right one.
        """
        final_header = None if final is None else self.header(final)
        state = self._state(attested, final_header)
        indices = self.config.state_indices(Slot(attested))
        update = Update(
            attested_header=self.header(attested, final_header),
            sync_aggregate=SyncAggregate(b"", b""),
            signature_slot=Slot(attested + 1 if signed is None else signed),
            finalized_header=final_header,
            finality_branch=state.branch(indices.finalized_root) if final_header else (),
            next_sync_committee=self.committees.committee(self._period(attested) + 1) if following else None,
            next_sync_committee_branch=state.branch(indices.next_committee) if following else (),
        )
        return self.signed(update, absent, version)

    def signed(self, update: Update, absent: int = 0, version: bytes | None = None) -> Update:
        """`update`, signed anew."""
        slot = update.signature_slot
        if version is None:
            version = self.config.fork_version(Slot(slot - 1))
        fork_data = sha256(version.ljust(32, b"\0") + self.config.genesis_validators_root).digest()
        root = Hash32(sha256(update.attested_header.beacon.root() + b"\7\0\0\0" + fork_data[:28]).digest())
        signers = range(absent, self.config.committee_size)
        bits = sum(1 << member for member in signers).to_bytes(self.config.committee_size // 8, "little")
        signature = self.committees.sign(self._period(slot), signers, root)
        return replace(update, sync_aggregate=SyncAggregate(bits, signature))

    def _period(self, slot: int) -> int:
        return self.config.period(Slot(slot))

    def _state(self, slot: int, final: LightClientHeader | None) -> Tree:
        indices = self.config.state_indices(Slot(slot))
        period = self._period(slot)
        leaves: dict[int, bytes] = {
            indices.current_committee: self.committees.committee(period).root(),
            indices.next_committee: self.committees.committee(period + 1).root(),
        }
        if final is not None:
            leaves[indices.finalized_root] = final.beacon.root()
        return Tree(leaves, slot)
