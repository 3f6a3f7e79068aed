"""kill -9 at any instant: what was acknowledged is there, what is there is whole, and nothing is signed twice."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chains.proofs.keccak import keccak
from chains.types import ChainId, Hash32
from node.consensus.protocol.errors import SlotConflict
from node.consensus.protocol.journal import SignedRecord
from node.consensus.protocol.statements import Kind, Slot
from node.store.errors import StoreLocked
from node.store.ports import Store
from node.store.sqlite.store import initialise, open_store
from tests.conformance.store.samples import state
from tests.conformance.store.test_journal import CONFIG
from tests.integration.store.writer import sampled
from tests.kit import NETWORK_ID
from tests.shared import REPOSITORY

KILLS = 40
LONGEST_LIFE = 0.12


class Writer:
    """The process that forks workers, and the worker that is alive."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.worker = 0

    async def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        line = await self._line()
        self.told: list[list[str]] = []
        while line[0] != "pid":  # the worker may speak before it is announced
            self.told.append(line)
            line = await self._line()
        self.worker = int(line[1])

    async def kill(self) -> list[list[str]]:
        """Kill the worker and return all that it told."""
        os.kill(self.worker, signal.SIGKILL)
        while (line := await self._line())[0] != "dead":
            self.told.append(line)
        self.worker = 0
        return self.told

    async def until_told(self, what: str) -> None:
        while not any(line[0] == what for line in self.told):
            self.told.append(await self._line())

    async def _line(self) -> list[str]:
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode().split()
        assert line, "the writer ended"
        return line


@asynccontextmanager
async def writer(path: Path) -> AsyncIterator[Writer]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.store.writer",
        str(path),
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'proto'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    running = Writer(process)
    try:
        yield running
    finally:
        if running.worker:
            os.kill(running.worker, signal.SIGKILL)
        process.kill()
        await process.wait()


async def check(path: Path, acknowledged: list[list[str]]) -> int:
    """Everything that any worker was told is there; returns the sequence of the stored state."""
    async with open_store(path, NETWORK_ID) as store:
        loaded = await store.states.load()
        sequence = loaded[0].header.sequence if loaded is not None else 0
        if loaded is not None:
            expected = state(sequence, accounts=sampled(sequence))
            assert loaded[0].header == expected.header
            assert dict(loaded[0].accounts) == dict(expected.accounts)
        for what, number, *digest in acknowledged:
            await check_told(store, what, int(number), bytes.fromhex("".join(digest)), sequence)
        return sequence


async def check_told(store: Store, what: str, number: int, digest: bytes, sequence: int) -> None:
    match what:
        case "STATE":
            assert sequence >= number
            assert await store.states.header(number) is not None
        case "SENT":
            found = await store.outbox.get(ChainId(1), Hash32(keccak(b"%d" % number)))
            assert found is not None
            assert found.attempts[0].tx_hash == digest
        case "DECIDED":
            decided = (await store.journal(CONFIG).load()).decided
            assert decided is not None
            assert decided.seq >= number
        case _:
            slot = Slot(1, number, Kind[what])
            standing = (await store.journal(CONFIG).load()).signed
            assert all(record.digest == digest for record in standing if record.slot == slot)
            with pytest.raises(SlotConflict):
                await store.journal(CONFIG).append([SignedRecord(slot, Hash32(bytes(32)), b"another")])


@pytest.mark.slow
async def test_killed_at_any_instant_it_has_lost_nothing_and_signs_nothing_twice(tmp_path: Path) -> None:
    path, seeded = tmp_path / "node.db", random.Random(20_26)
    initialise(path, NETWORK_ID)
    signed: dict[tuple[str, str], str] = {}
    reached, interrupted = 0, 0
    async with writer(path) as running:
        for _ in range(KILLS):
            await running.start()
            await asyncio.sleep(seeded.random() * LONGEST_LIFE)
            told = await running.kill()
            for what, number, *digest in told:
                if what in ("PREPARE", "COMMIT"):
                    assert signed.setdefault((what, number), digest[0]) == digest[0], "signed twice"
            interrupted += bool(told) and told[-1][0] != "SENT"
            before, reached = reached, await check(path, told)
            assert reached >= before
    assert reached > KILLS, "the workers got too little done for this to mean anything"
    assert interrupted > 5


async def test_a_log_that_was_torn_anywhere_leaves_a_whole_state(tmp_path: Path) -> None:
    """What a loss of power can leave: all of the file, and any beginning of the log."""
    path, torn, seeded = tmp_path / "node.db", tmp_path / "torn.db", random.Random(7)
    initialise(path, NETWORK_ID)
    async with writer(path) as running:
        await running.start()
        await running.until_told("STATE")
        await asyncio.sleep(0.1)
        await running.kill()
    log = path.with_name("node.db-wal").read_bytes()
    found = set()
    for _ in range(25):
        shutil.copy(path, torn)
        kept = bytearray(log[: seeded.randrange(len(log))])
        kept[-50:] = bytes(min(50, len(kept)))  # and what was written last is garbage
        torn.with_name("torn.db-wal").write_bytes(kept)
        torn.with_name("torn.db-shm").unlink(missing_ok=True)
        found.add(await check(torn, []))
    assert len(found) > 3


async def test_a_second_process_is_refused_by_the_pid_of_the_first_and_let_in_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    initialise(path, NETWORK_ID)
    async with writer(path) as running:
        await running.start()
        await running.until_told("STATE")
        with pytest.raises(StoreLocked) as refusal:
            async with open_store(path, NETWORK_ID):
                pass
        assert refusal.value.values["pid"] == str(running.worker)
        told = await running.kill()
        assert await check(path, told) > 0
