"""What it costs to follow the beacon chain over many periods, from a checkpoint to its head.

Owns the chain that is made up: 512 members as on mainnet, but another committee every other hour, since a checkpoint
that is a hundred of mainnet's periods old would be refused. A process of its own follows it as a node does, out of
files instead of connections: parsing, verifying and keeping included. Its processor time is told, and by how much its
peak memory grew.

    python -m node.bench.periods FOLDER     the follower; prints JSON
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chains import strict_json
from chains.adapter import Beacon
from chains.evm.beacon.client import LightClient
from chains.evm.endpoint import Endpoint
from chains.evm.errors import HttpFailure
from chains.evm.pool import EndpointPool
from chains.proofs.lightclient import write
from chains.proofs.lightclient.config import BeaconConfig, Fork, ForkVersion, Slot
from chains.proofs.lightclient.containers import ExecutionHeader, Update
from chains.types import Address, ChainId, Hash32, Height, UnixSeconds

PERIODS = 100
_WITHIN_S = 600
_ZERO = Hash32(bytes(32))
_FORKS = tuple(ForkVersion(fork, 0, bytes(4)) for fork in Fork if fork < Fork.GLOAS)
_CONFIG = BeaconConfig("bench", UnixSeconds(0), _ZERO, bytes(4), _FORKS, epochs_per_period=16)
_PERIOD = _CONFIG.slots_per_epoch * _CONFIG.epochs_per_period


def measure(periods: int = PERIODS) -> dict[str, float | None]:
    """`periods`, `periods_ms` and `peak_mb`; the latter two None where pyblst, which signs, is not installed.

    The last one also where the system does not tell a process's peak.
    """
    with tempfile.TemporaryDirectory(prefix="hypothec-bench-") as folder:
        if not _make(Path(folder), periods):
            return {"periods": periods, "periods_ms": None, "peak_mb": None}
        command = [sys.executable, "-m", "node.bench.periods", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_S, check=True)
    return {"periods": periods, **json.loads(done.stdout)}


def _make(folder: Path, periods: int) -> bool:
    """Everything that is asked for, as a file each."""
    try:
        from node.testnet.beacon.chain import BeaconChain, KnownCommittees
    except ImportError:
        return False
    chain = BeaconChain(_CONFIG, _execution, KnownCommittees(_CONFIG.committee_size))
    begun = chain.bootstrap(0)

    def put(name: str, content: Any) -> None:  # noqa: ANN401 - JSON
        (folder / name).write_text(json.dumps(content))

    def written(update: Update) -> Any:  # noqa: ANN401 - JSON
        return write.update(_CONFIG, update)

    head = periods * _PERIOD + 100
    put("checkpoint", {"root": begun.header.beacon.root().hex(), "head": head, "periods": periods})
    put("bootstrap", write.bootstrap(_CONFIG, begun))
    for period in range(periods + 1):
        first = period * _PERIOD
        put(f"update-{period}", written(chain.update(first + 90, first + 20, following=True)))
    put("finality_update", written(chain.update(head, head - 70)))
    put("optimistic_update", written(chain.update(head)))
    return True


def _execution(slot: Slot) -> ExecutionHeader:
    return ExecutionHeader(
        *(
            _ZERO,
            Address(bytes(20)),
            _ZERO,
            _ZERO,
            bytes(256),
            _ZERO,
            Height(slot),
            30_000_000,
            0,
            _CONFIG.time(slot),
            b"",
            0,
        ),
        *(Hash32(slot.to_bytes(32, "big")), _ZERO, _ZERO, 0, 0),
    )


# === The follower ===


class _Files(Endpoint):
    """A beacon node whose answers are files."""

    def __init__(self, folder: Path, periods: int) -> None:
        self.name = "files"
        self._folder = folder
        self._periods = periods

    async def get(self, path: str) -> object:
        parts = urlsplit(path)
        name = parts.path.split("/")[5]
        if name != "updates":
            return strict_json.parse((self._folder / name).read_bytes())
        query = parse_qs(parts.query)
        first, count = int(query["start_period"][0]), int(query["count"][0])
        texts = [*self._updates(first, count)]
        if not texts:
            raise HttpFailure("there is no update")
        return strict_json.parse(b"[" + b",".join(texts) + b"]")

    def _updates(self, first: int, count: int) -> Iterator[bytes]:
        for period in range(first, min(first + count, self._periods + 1)):
            yield (self._folder / f"update-{period}").read_bytes()


def _follow(folder: Path) -> dict[str, float | None]:
    known = json.loads((folder / "checkpoint").read_text())
    nodes = [_Files(folder, known["periods"])]
    faults: list[object] = []
    pool = EndpointPool(ChainId(1), nodes, faults.append, time.monotonic)
    beacon = Beacon(("http://files",), _CONFIG, Hash32(bytes.fromhex(known["root"])), folder / "state", b"seal")
    head, now = known["head"], float(_CONFIG.time(Slot(known["head"] + 1)))
    client = LightClient(ChainId(1), beacon, pool, faults.append, lambda: now)
    before, started = _peak(), time.process_time()
    asyncio.run(client.look())
    seconds = time.process_time() - started
    after = _peak()
    if client.store is None or client.store.finalized.beacon.slot != head - 70 or faults:
        raise RuntimeError(f"the head was not reached: {faults}")
    grown = None if before is None or after is None else round((after - before) / 1024, 1)
    return {"periods_ms": round(1000 * seconds), "peak_mb": grown}


def _peak() -> int | None:
    """The most memory this process has had resident, kB; None where the system does not say it as Linux does.

    Not `ru_maxrss`: that of the parent is passed on.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), None)


if __name__ == "__main__":
    print(json.dumps(_follow(Path(sys.argv[1]))))  # noqa: T201 - what the parent reads
