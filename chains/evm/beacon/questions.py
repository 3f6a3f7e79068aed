"""What is asked of one beacon node (beacon-APIs, `apis/beacon/light_client/`).

Owns the paths and the bounds. Must not know what is believed: what comes back is parsed, and nothing of it is verified.
"""

from __future__ import annotations

from chains.evm.endpoint import Endpoint, Limits
from chains.proofs import parse
from chains.proofs.lightclient import read
from chains.proofs.lightclient.containers import Bootstrap, Update
from chains.types import Hash32

UPDATES_A_REQUEST = 16
"""Periods asked for at once: about a megabyte on mainnet. Servers stop at 128."""

LIMITS = Limits(seconds=10.0, answer_bytes=4 << 20)

_PATH = "/eth/v1/beacon/light_client"


async def bootstrap(endpoint: Endpoint, root: Hash32) -> Bootstrap:
    """What begins at the block with this root, as served."""
    return read.bootstrap(await endpoint.get(f"{_PATH}/bootstrap/0x{root.hex()}"))


async def updates(endpoint: Endpoint, first: int, count: int) -> list[Update]:
    """The best update of each of `count` periods from `first` on, or of fewer, as served."""
    answer = await endpoint.get(f"{_PATH}/updates?start_period={first}&count={count}")
    return [read.update(entry, f"updates[{at}]") for at, entry in enumerate(parse.sequence(answer, "updates", count))]


async def finality_update(endpoint: Endpoint) -> Update:
    """The newest header that is final, as served."""
    return read.update(await endpoint.get(f"{_PATH}/finality_update"), "finality_update")


async def optimistic_update(endpoint: Endpoint) -> Update:
    """The newest header that is signed, as served."""
    return read.update(await endpoint.get(f"{_PATH}/optimistic_update"), "optimistic_update")
