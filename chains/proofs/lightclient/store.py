"""The rules of the sync-committee light client: from a trusted block root to the newest final header.

Owns what is believed and why (consensus-specs, `specs/altair/light-client/sync-protocol.md` and its successors). Must
not know JSON, endpoints or clocks: `now` is an argument. Stricter than the specification in one thing: what fewer than
two thirds of a committee signed is refused.

So there is no forced update either (`process_light_client_store_force_update`, which the specification leaves to each
use: it MAY be called when a client is stuck, and not all uses bear the same risk, consensus-specs #2947). It would take
an attested header for a final one once a period has gone by without finality, be it signed by one member alone. Here
that would make collateral final that the chain may still undo, at the very time when validators disagree, or leave the
choice of the next committee, and so of all that follows, to whoever cut the client off for a day. When the chain does
not become final, nothing here does. A period without any finality (27 hours) cannot be passed: then somebody has to
name a newer checkpoint, as after two weeks.

What is trusted is one hash: the block root of a bootstrap, or the root of a store that was kept. A kept store is input
like any other, and its fields are bound by that root (compare GHSA-83q5-vwj7-gxww, where one field was not).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from chains.errors import ClaimMismatch, MalformedProof, ProofIncomplete, ProofInvalid, StaleError
from chains.proofs.lightclient import bls
from chains.proofs.lightclient.config import BeaconConfig, Fork, GeneralizedIndex, Slot
from chains.proofs.lightclient.containers import Bootstrap, LightClientHeader, SyncCommittee, Update
from chains.proofs.lightclient.ssz import ZERO, hash_pair, merkleize, verify_branch
from chains.types import Hash32, UnixSeconds

MAX_CHECKPOINT_AGE: Final = 14 * 24 * 3600
"""Seconds after which a checkpoint is refused: validators that have left by then could sign another history unpunished.

The weak subjectivity period is weeks to months by the size of the validator set, which a light client does not see.
"""

MAX_CLOCK_DRIFT: Final = 12
"""Seconds that a signature may be ahead of our clock."""

_PAYLOAD: Final = GeneralizedIndex(25)
_BLOCK_HASH: Final = {
    Fork.CAPELLA: GeneralizedIndex(412),
    Fork.DENEB: GeneralizedIndex(812),  # two more fields doubled the payload's leaves
    Fork.GLOAS: GeneralizedIndex(2856),  # in the builder's bid, as its parent
}
_DOMAIN_SYNC_COMMITTEE: Final = bytes.fromhex("07000000")
_STORE_DOMAIN: Final = b"hypothec/light-client-store/v1\0\0"


@dataclass(frozen=True, slots=True)
class Store:
    """What a light client believes. `current` serves in the period of `finalized`, `next` in the one after it."""

    finalized: LightClientHeader
    optimistic: LightClientHeader
    current: SyncCommittee
    next: SyncCommittee | None

    def root(self, config: BeaconConfig) -> Hash32:
        """The hash that binds every field of a kept store, and its network: keep it where you keep trust."""
        following = ZERO if self.next is None else self.next.root()
        headers = [_header_digest(config, header) for header in (self.finalized, self.optimistic)]
        fields = (config.genesis_validators_root, *headers, self.current.root(), following)
        return Hash32(sha256(_STORE_DOMAIN + b"".join(fields)).digest())


def bootstrap(
    config: BeaconConfig,
    trusted_root: Hash32,
    served: Bootstrap,
    now: UnixSeconds,
    max_age: int = MAX_CHECKPOINT_AGE,
) -> Store:
    """Begin at the block whose root is `trusted_root`. Raises StaleError if it is older than `max_age` seconds."""
    header = served.header
    root = header.beacon.root()
    if root != trusted_root:
        raise ClaimMismatch("bootstrap is not for the trusted block", trusted=trusted_root, got=root)
    _check_age(config, header.beacon.slot, now, max_age)
    execution_block_hash(config, header)
    _check_committee(config, served.current_sync_committee)
    verify_branch(
        served.current_sync_committee.root(),
        served.current_sync_committee_branch,
        config.state_indices(header.beacon.slot).current_committee,
        header.beacon.state_root,
        "current sync committee",
    )
    return Store(header, header, served.current_sync_committee, None)


def restore(
    config: BeaconConfig, trusted_root: Hash32, kept: Store, now: UnixSeconds, max_age: int = MAX_CHECKPOINT_AGE
) -> Store:
    """Resume from a store that was kept, if its root is `trusted_root`. StaleError as for a bootstrap."""
    if (root := kept.root(config)) != trusted_root:
        raise ClaimMismatch("kept store is not the trusted one", trusted=trusted_root, got=root)
    _check_age(config, kept.finalized.beacon.slot, now, max_age)
    return kept


def apply(
    config: BeaconConfig, store: Store, update: Update, now: UnixSeconds, backend: bls.Backend | None = None
) -> Store:
    """The store after an update, a finality update or an optimistic update.

    Raises StaleError for one that brings nothing newer, ProofIncomplete if the updates of a period in between are
    missing, and another ProofError if it does not hold.
    """
    _check_order(config, store, update, now)
    execution_block_hash(config, update.attested_header)
    _check_finality(config, update)
    _check_next_committee(config, store, update)
    _check_signature(config, store, update, backend or bls.default_backend())
    return _advance(config, store, update)


def execution_block_hash(config: BeaconConfig, header: LightClientHeader) -> Hash32 | None:
    """The hash of the execution block that a header's body commits to; None before Capella.

    Raises a ProofError if the execution part of `header` does not hold under its beacon part.
    """
    fork = config.fork(header.beacon.slot)
    execution, claimed = header.execution, header.execution_block_hash
    if fork is None:
        raise ProofInvalid("header is from before there were sync committees", slot=header.beacon.slot)
    if fork < Fork.CAPELLA:
        if execution is not None or claimed is not None or any(map(any, header.execution_branch)):
            raise MalformedProof("header tells an execution block before its fork has one", slot=header.beacon.slot)
        return None
    if execution is not None and claimed is None and fork < Fork.GLOAS:
        if fork < Fork.DENEB and (execution.blob_gas_used or execution.excess_blob_gas):
            raise MalformedProof("header tells blob gas before its fork has it", slot=header.beacon.slot)
        leaf, index = execution.root(fork), _PAYLOAD
    elif execution is None and claimed is not None:
        leaf, index = claimed, _BLOCK_HASH[max(known for known in _BLOCK_HASH if known <= fork)]
    else:
        raise MalformedProof("header has not the execution part of its fork", slot=header.beacon.slot, fork=fork.name)
    verify_branch(leaf, header.execution_branch, index, header.beacon.body_root, "execution block")
    return claimed if execution is None else execution.block_hash


def _check_age(config: BeaconConfig, slot: Slot, now: UnixSeconds, max_age: int) -> None:
    age = now - config.time(slot)
    if age > max_age:
        raise StaleError("Checkpoint is too old; take a newer one from a source you trust", age=age, bound=max_age)
    if age < -MAX_CLOCK_DRIFT:
        raise ProofInvalid("checkpoint is in the future", slot=slot, ahead=-age)


def _check_committee(config: BeaconConfig, committee: SyncCommittee) -> None:
    if len(committee.pubkeys) != config.committee_size:
        raise MalformedProof(
            "sync committee has not the network's size", members=len(committee.pubkeys), expected=config.committee_size
        )


def _check_order(config: BeaconConfig, store: Store, update: Update, now: UnixSeconds) -> None:
    attested = update.attested_header.beacon.slot
    final = None if update.finalized_header is None else update.finalized_header.beacon.slot
    signed, held = update.signature_slot, store.finalized.beacon.slot
    if not (final or 0) <= attested < signed:
        raise ProofInvalid("update's slots are out of order", final=final, attested=attested, signed=signed)
    if config.time(signed) > now + MAX_CLOCK_DRIFT:
        raise ProofInvalid("update is signed in the future", slot=signed, ahead=config.time(signed) - now)
    period, signed_in = config.period(held), config.period(signed)
    if not period <= signed_in <= period + (store.next is not None):
        if signed_in < period:
            raise StaleError("Update is of a past period", period=signed_in, held=period)
        raise ProofIncomplete(
            "committee that signed is not known; give the update of the period before", period=signed_in, held=period
        )
    # For a committee that is still unknown, an older signature of the same period will do.
    supplies = store.next is None and update.next_sync_committee is not None and config.period(attested) == period
    if attested <= held and not supplies:
        raise StaleError("Update brings nothing newer", attested=attested, final=held)


def _check_finality(config: BeaconConfig, update: Update) -> None:
    header, attested = update.finalized_header, update.attested_header.beacon
    if header is None and not any(map(any, update.finality_branch)):
        return
    root = ZERO  # so says a state under which nothing is final yet
    if header is not None:
        execution_block_hash(config, header)
        root = header.beacon.root()
    index = config.state_indices(attested.slot).finalized_root
    verify_branch(root, update.finality_branch, index, attested.state_root, "final header")


def _check_next_committee(config: BeaconConfig, store: Store, update: Update) -> None:
    committee, attested = update.next_sync_committee, update.attested_header.beacon
    if committee is None:
        if any(map(any, update.next_sync_committee_branch)):
            raise MalformedProof("update has a committee branch and no committee", slot=attested.slot)
        return
    _check_committee(config, committee)
    same_period = config.period(attested.slot) == config.period(store.finalized.beacon.slot)
    if same_period and store.next is not None and committee != store.next:
        raise ProofInvalid("update tells another next committee than is proven", period=config.period(attested.slot))
    index = config.state_indices(attested.slot).next_committee
    branch = update.next_sync_committee_branch
    verify_branch(committee.root(), branch, index, attested.state_root, "next sync committee")


def _check_signature(config: BeaconConfig, store: Store, update: Update, backend: bls.Backend) -> None:
    aggregate, signed = update.sync_aggregate, update.signature_slot
    if len(aggregate.bits) * 8 != config.committee_size:
        raise MalformedProof("participation has not a bit a member", bits=len(aggregate.bits) * 8)
    participants = aggregate.participants()
    if participants * 3 < config.committee_size * 2:
        raise ProofInvalid("under two thirds signed", participants=participants, committee=config.committee_size)
    same_period = config.period(signed) == config.period(store.finalized.beacon.slot)
    committee = store.current if same_period or store.next is None else store.next
    points = bls.member_points(committee.pubkeys, backend)
    keys = [point for member, point in enumerate(points) if aggregate.has(member)]
    root = _signing_root(config, update)
    if not bls.fast_aggregate_verify(keys, root, aggregate.signature, backend):
        raise ProofInvalid("sync committee's signature does not hold", slot=signed, signing_root=root)


def _signing_root(config: BeaconConfig, update: Update) -> Hash32:
    """What is signed: the attested header, under the fork at the slot before the signature's."""
    version = config.fork_version(Slot(max(update.signature_slot, 1) - 1))
    fork_data = hash_pair(version.ljust(32, b"\0"), config.genesis_validators_root)
    return hash_pair(update.attested_header.beacon.root(), _DOMAIN_SYNC_COMMITTEE + fork_data[:28])


def _advance(config: BeaconConfig, store: Store, update: Update) -> Store:
    """`store` after an update that holds (consensus-specs, `apply_light_client_update`)."""
    attested, final = update.attested_header, update.finalized_header
    if attested.beacon.slot > store.optimistic.beacon.slot:
        store = replace(store, optimistic=attested)
    if final is None:
        return store
    held, final_in = config.period(store.finalized.beacon.slot), config.period(final.beacon.slot)
    # As long as no next committee is known, what signs is the current one: attested and final are of its period.
    if store.next is None and final_in == held:
        store = replace(store, next=update.next_sync_committee)
    if final.beacon.slot <= store.finalized.beacon.slot:
        return store
    if store.next is not None and final_in > held:  # then the header that it attests is of that period as well
        store = replace(store, current=store.next, next=update.next_sync_committee)
    return replace(store, finalized=final)


def _header_digest(config: BeaconConfig, header: LightClientHeader) -> Hash32:
    """Over all of a header: also over its execution part, which the beacon header's root binds only by the branch."""
    execution = header.execution
    fork = config.fork(header.beacon.slot) or Fork.ALTAIR
    part = ZERO if execution is None else execution.root(max(fork, Fork.DENEB))
    return merkleize(
        (header.beacon.root(), part, header.execution_block_hash or ZERO, merkleize(header.execution_branch or (ZERO,)))
    )
