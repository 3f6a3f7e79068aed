"""The asyncio driver: what is written comes before what is sent, and four of them agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from chains.errors import HypothecError, LimitError, PeerError, RetryError
from chains.types import Hash32
from node.consensus.protocol.config import MILLISECOND, SECOND, ConsensusConfig, Timing
from node.consensus.protocol.effects import Attributed, Committed
from node.consensus.protocol.journal import JournalState, Record, decode_record, encode_record
from node.consensus.protocol.statements import Evidence
from node.consensus.runtime import ConsensusRuntime, Ports
from node.model.certificate import CommitCertificate
from tests.simulation.world import GENESIS, KEYS, make_config, outcome_of, validate

TIMING = Timing(
    delta_progress=2 * SECOND,
    delta_round=0,
    delta_grace=50 * MILLISECOND,
    delta_initial=1 * SECOND,
    delta_resend=200 * MILLISECOND,
    r_max=50,
)
CONFIG = make_config(4, 1, TIMING)


class Clock:
    def now(self) -> int:
        return time.monotonic_ns()


class Disk:
    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.appends = 0
        self.writing = False
        self.broken = False

    async def load(self) -> JournalState:
        return JournalState.replay(decode_record(raw, CONFIG) for raw in self.records.values())

    async def append(self, records: Sequence[Record]) -> None:
        if self.broken:
            raise OSError("disk full")
        self.writing = True
        try:
            await asyncio.sleep(0.0005)
            self.records.update((record.key, encode_record(record)) for record in records)
            self.appends += 1
        finally:  # a runtime that is stopped may be stopped right here
            self.writing = False


class Wire:
    """To the other runtimes in this process; a message arrives one turn of the loop later."""

    def __init__(self, cluster: Cluster, me: int) -> None:
        self.cluster, self.me = cluster, me

    def send(self, to: int, raw: bytes) -> None:
        assert not self.cluster.disks[self.me].writing, "sent before it was written"
        asyncio.get_running_loop().call_soon(self.cluster.deliver, self.me, to, raw)

    def broadcast(self, raw: bytes) -> None:
        for peer in range(4):
            if peer != self.me:
                self.send(peer, raw)


class Toy:
    """A hash chain."""

    def __init__(self, cluster: Cluster, me: int) -> None:
        self.cluster, self.me = cluster, me
        self.states: dict[int, Hash32] = {0: GENESIS}
        self.certificates: dict[int, CommitCertificate] = {}
        self.fails_to_derive = False
        self.observation_length = 12

    def validate(self, seq: int, observer: int, payload: bytes) -> None:
        validate(seq, observer, payload)

    async def observe(self, seq: int, query: bytes) -> bytes:
        return (b"ok" + seq.to_bytes(8, "big") + bytes([self.me])).ljust(self.observation_length, b".")

    async def derive(self, seq: int, observations: Attributed) -> Hash32:
        if self.fails_to_derive:
            raise RetryError("an input is missing")
        return outcome_of(self.states[seq - 1], seq, observations)

    async def committed(self, committed: Committed) -> None:
        assert committed.seq == max(self.states) + 1
        self.states[committed.seq] = committed.outcome
        self.certificates[committed.seq] = committed.certificate

    async def catch_up(self, certificate: CommitCertificate, holders: Sequence[int]) -> CommitCertificate:
        source = self.cluster.toys[holders[0]]
        if certificate.seq not in source.certificates:
            raise RetryError("ask again")
        self.states[certificate.seq] = source.states[certificate.seq]
        self.certificates[certificate.seq] = source.certificates[certificate.seq]
        return certificate


class Notes:
    def __init__(self) -> None:
        self.faults: list[tuple[int, PeerError]] = []
        self.failures: list[str] = []
        self.rounds: list[int] = []
        self.epochs: list[int] = []
        self.drops = 0

    def peer_fault(self, peer: int, error: PeerError) -> None:
        self.faults.append((peer, error))

    def evidence(self, evidence: Evidence) -> None:
        raise AssertionError(evidence)

    def epoch_entered(self, epoch: int, leader: int) -> None:
        self.epochs.append(epoch)

    def round_done(self, seq: int, nanoseconds: int) -> None:
        self.rounds.append(nanoseconds)

    def dropped(self, peer: int) -> None:
        self.drops += 1

    def application_failed(self, doing: str, error: HypothecError) -> None:
        self.failures.append(doing)


class Cluster:
    def __init__(self, config: ConsensusConfig = CONFIG) -> None:
        self.config = config
        self.disks = [Disk() for _ in range(4)]
        self.toys = [Toy(self, me) for me in range(4)]
        self.notes = [Notes() for _ in range(4)]
        self.running: dict[int, ConsensusRuntime] = {}

    def deliver(self, sender: int, to: int, raw: bytes) -> None:
        if to in self.running:
            self.running[to].receive(sender, raw)

    @asynccontextmanager
    async def node(self, me: int) -> AsyncIterator[ConsensusRuntime]:
        ports = Ports(self.disks[me], Wire(self, me), self.toys[me], Clock(), self.notes[me])
        runtime = ConsensusRuntime(self.config, me, KEYS[me], ports, installed=max(self.toys[me].states))
        async with runtime:
            self.running[me] = runtime
            try:
                yield runtime
            finally:
                del self.running[me]

    @asynccontextmanager
    async def nodes(self, *which: int) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for me in which:
                await stack.enter_async_context(self.node(me))
            yield

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  the condition is over several nodes' plain state
                await asyncio.sleep(0.005)

    def reach(self, seq: int, *which: int) -> bool:
        return all(max(self.toys[me].states) >= seq for me in which)


async def test_four_runtimes_agree_round_after_round() -> None:
    cluster = Cluster()
    async with cluster.nodes(0, 1, 2, 3):
        await cluster.until(lambda: cluster.reach(60, 0, 1, 2, 3))
    first = cluster.toys[0].states
    for toy in cluster.toys[1:]:
        assert {seq: toy.states[seq] for seq in range(1, 61)} == {seq: first[seq] for seq in range(1, 61)}
    assert not any(notes.faults or notes.failures for notes in cluster.notes)
    assert all(len(notes.rounds) >= 60 for notes in cluster.notes)
    assert cluster.notes[0].epochs[:2] == [1, 2]


async def test_a_restarted_runtime_resumes_from_its_journal() -> None:
    cluster = Cluster()
    async with cluster.nodes(0, 1, 2):
        async with cluster.node(3) as runtime:
            await cluster.until(lambda: cluster.reach(5, 0, 1, 2, 3))
            assert not runtime.core.silent
        seq = max(cluster.toys[0].states)
        await cluster.until(lambda: cluster.reach(seq + 5, 0, 1, 2))
        async with cluster.node(3) as runtime:
            await cluster.until(lambda: len(cluster.notes[3].rounds) > 10 and cluster.reach(seq + 10, 3))
            assert not runtime.core.silent


async def test_an_application_that_fails_is_reported_and_the_network_goes_on() -> None:
    cluster = Cluster()
    cluster.toys[2].fails_to_derive = True
    cluster.toys[1].observation_length = 10_000
    async with cluster.nodes(0, 1, 2, 3):
        await cluster.until(lambda: cluster.reach(5, 0, 1, 2, 3))
    assert "derive" in cluster.notes[2].failures
    assert "observe" in cluster.notes[1].failures


async def test_a_journal_that_fails_stops_the_runtime() -> None:
    cluster = Cluster()
    cluster.disks[0].broken = True
    with pytest.raises(ExceptionGroup) as caught:
        async with cluster.nodes(0, 1, 2, 3):
            await cluster.until(lambda: False)
    assert caught.group_contains(OSError)


async def test_rubbish_from_a_peer_is_counted_and_harmless() -> None:
    cluster = Cluster()
    async with cluster.nodes(0, 1, 2):
        for _ in range(20):
            cluster.running[0].receive(3, b"rubbish")
        await cluster.until(lambda: cluster.reach(3, 0, 1, 2))
    assert [peer for peer, _ in cluster.notes[0].faults] == [3] * 20


async def test_a_flood_from_one_peer_drops_its_own_oldest_and_nobody_elses() -> None:
    cluster = Cluster()
    async with cluster.nodes(0, 1, 2):
        for _ in range(300):
            cluster.running[0].receive(3, b"rubbish")
        assert cluster.notes[0].drops == 300 - 256
        await cluster.until(lambda: cluster.reach(3, 0, 1, 2))


async def test_what_is_no_peer_is_refused() -> None:
    cluster = Cluster()
    async with cluster.node(0) as runtime:
        for sender in (-1, 0, 4):
            with pytest.raises(HypothecError):
                runtime.receive(sender, b"")
        with pytest.raises(LimitError):
            runtime.set_query(bytes(65))


async def test_one_write_serves_a_whole_batch() -> None:
    cluster = Cluster()
    async with cluster.nodes(0, 1, 2, 3):
        await cluster.until(lambda: cluster.reach(20, 0, 1, 2, 3))
    rounds = max(cluster.toys[0].states)
    assert all(disk.appends <= 7 * rounds + 20 for disk in cluster.disks)
