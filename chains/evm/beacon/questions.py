"""What is asked of one beacon node (beacon-APIs, `apis/beacon/light_client/`).

Owns the paths, the bounds and the forms of an answer: one object in its wrapper, `{"version", "data"}`, or for updates
an array of such. JSON is asked for; the standard has SSZ too, of half the size, which would be a second reader of the
same things. Must not know what is believed: what comes back is parsed, and nothing of it is verified.
"""

from __future__ import annotations

from chains.errors import MalformedProof
from chains.evm.beacon.errors import UnknownFork
from chains.evm.endpoint import Endpoint, Limits
from chains.proofs import parse
from chains.proofs.lightclient import read
from chains.proofs.lightclient.config import Fork
from chains.proofs.lightclient.containers import Bootstrap, Update
from chains.types import Hash32

UPDATES_A_REQUEST = 16
"""Periods asked for at once: about a megabyte on mainnet. Servers stop at 128."""

LIMITS = Limits(seconds=10.0, answer_bytes=4 << 20)

_PATH = "/eth/v1/beacon/light_client"


async def bootstrap(endpoint: Endpoint, root: Hash32) -> Bootstrap:
    """What begins at the block with this root, as served."""
    return read.bootstrap(_versioned(await endpoint.get(f"{_PATH}/bootstrap/0x{root.hex()}"), "bootstrap"))


async def updates(endpoint: Endpoint, first: int, count: int) -> list[Update]:
    """The best update of each of `count` periods from `first` on, or of fewer, as served."""
    answer = await endpoint.get(f"{_PATH}/updates?start_period={first}&count={count}")
    entries = enumerate(parse.sequence(answer, "updates", count))
    return [read.update(_versioned(entry, f"updates[{at}]"), f"updates[{at}]") for at, entry in entries]


async def finality_update(endpoint: Endpoint) -> Update:
    """The newest header that is final, as served."""
    answer = _versioned(await endpoint.get(f"{_PATH}/finality_update"), "finality_update")
    return read.update(answer, "finality_update")


async def optimistic_update(endpoint: Endpoint) -> Update:
    """The newest header that is signed, as served."""
    answer = _versioned(await endpoint.get(f"{_PATH}/optimistic_update"), "optimistic_update")
    return read.update(answer, "optimistic_update")


def _versioned(answer: object, field: str) -> object:
    """`answer`, if it is in the wrapper that the standard requires, and of a fork that is known. Raises UnknownFork.

    Which known fork it names changes nothing: its form follows from its slots.
    """
    found = parse.mapping(answer, field)
    version = found.get("version")
    if not isinstance(version, str) or "data" not in found:
        raise MalformedProof(f"{field} is not in its wrapper of version and data", fields=sorted(found)[:8])
    if version.upper() not in Fork.__members__:
        raise UnknownFork(f"{field} is of a fork that is not known here; is there a newer release?", version=version)
    return answer
