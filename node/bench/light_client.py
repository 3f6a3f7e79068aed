"""What it costs to verify one sync-committee update of the size of mainnet's.

Owns the update that is made up: 512 members sign a header that makes another final. A committee is met once a day, so
both costs matter; what is told is the greater one, with every key decompressed.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import reduce
from hashlib import sha256
from operator import add
from statistics import median

from chains.proofs.lightclient import bls, store
from chains.proofs.lightclient.config import BeaconConfig, Fork, ForkVersion, Slot
from chains.proofs.lightclient.containers import BeaconHeader, LightClientHeader, SyncAggregate, SyncCommittee, Update
from chains.proofs.lightclient.ssz import hash_pair
from chains.proofs.lightclient.store import Store
from chains.types import Hash32, UnixSeconds

_MEMBERS = 512
_ZERO = Hash32(bytes(32))
_RUNS = 7


def milliseconds() -> float | None:
    """Median processor milliseconds; None where pyblst, which signs, is not installed."""
    try:
        import pyblst
    except ImportError:
        return None
    config = BeaconConfig(
        "bench", UnixSeconds(0), _ZERO, bytes(4), (ForkVersion(Fork.ALTAIR, 0, bytes(4)),), committee_size=_MEMBERS
    )
    generator = pyblst.BlstP1Element().uncompress(bls.GENERATOR)
    members = [generator.scalar_mul(n) for n in range(1, _MEMBERS + 1)]
    committee = SyncCommittee(tuple(bytes(key.compress()) for key in members), bytes(reduce(add, members).compress()))
    final = LightClientHeader(BeaconHeader(Slot(64), 0, _ZERO, _ZERO, _ZERO))
    branch = (_ZERO,) * 6
    state_root = final.beacon.root()
    for bit in (1, 0, 0, 1, 0, 1):  # 105, from its lowest bit
        state_root = hash_pair(_ZERO, state_root) if bit else hash_pair(state_root, _ZERO)
    attested = LightClientHeader(BeaconHeader(Slot(128), 0, _ZERO, state_root, _ZERO))
    unsigned = Update(attested, SyncAggregate(b"\xff" * (_MEMBERS // 8), b""), Slot(129), final, branch)
    domain = b"\7\0\0\0" + sha256(bytes(64)).digest()[:28]
    root = hash_pair(attested.beacon.root(), domain)
    signature = pyblst.BlstP2Element().hash_to_group(root, bls.DST).scalar_mul(_MEMBERS * (_MEMBERS + 1) // 2)
    update = replace(unsigned, sync_aggregate=replace(unsigned.sync_aggregate, signature=bytes(signature.compress())))
    start = LightClientHeader(BeaconHeader(Slot(0), 0, _ZERO, _ZERO, _ZERO))
    held = Store(start, start, committee, None)
    taken = []
    for _ in range(_RUNS):
        bls.member_points.cache_clear()
        before = time.process_time()
        store.apply(config, held, update, config.time(Slot(129)))
        taken.append(time.process_time() - before)
    return round(1000 * median(taken), 2)
