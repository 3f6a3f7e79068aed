"""What peers gossip, and what becomes binding: bounded, in turn, and offered again to those who pay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from chains.errors import HypothecError, InputError
from chains.types import Amount, Hash32
from hypothec.v1 import peer_service_pb2 as pb
from node import serving
from node.attestation.statements import Statement, statements
from node.consensus.outcome.transition import genesis
from node.consensus.protocol.statements import Evidence
from node.ingest.inbox import Inbox
from node.model.digests import ReleaseItem, ReleaseKind
from node.model.ledger import AccountRecord, Reservation
from node.model.state import State
from node.relay.calls import Job
from node.serving import OFFER_EVERY, PeerFrames, ReleaseBoard
from node.status import KEPT_EVIDENCE, keep_in_background
from node.store.ports import BoundStatement, CertifiedHeader
from tests import kit
from tests.integration.node.harness import until
from tests.kit import ETHER, ONE, TOKEN
from tests.unit.ingest.desk import Desk, Events

REPORT, REQUEST = pb.FRAME_KIND_GOSSIP_REPORT, pb.FRAME_KIND_GOSSIP_REQUEST


class Slow(Inbox):
    """Notes what it was handed, in order; waits until it is let."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(kit.network(), desk.disk, desk.peers, desk.events)
        self.seen: list[bytes] = []

    async def submit_report(self, raw: bytes, venue: str | None = None) -> Hash32:
        self.seen.append(raw)
        raise InputError("no report")

    async def submit_request(self, raw: bytes) -> Hash32:
        return await self.submit_report(raw)


def frames_of(desk: Desk) -> tuple[PeerFrames, Slow]:
    inbox = Slow(desk)
    return PeerFrames(None, None, inbox, desk.events), inbox  # type: ignore[arg-type]


async def test_a_peer_that_floods_fills_its_own_queue_and_no_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_GOSSIP", 3)
    monkeypatch.setattr(serving, "MAX_GOSSIP_BYTES", 100)
    frames, inbox = frames_of(desk)
    for number in range(10):
        frames.received(1, REPORT, b"flood %d" % number)
    frames.received(2, REPORT, bytes(90))
    frames.received(2, REPORT, bytes(90))
    frames.received(3, REQUEST, b"one request")
    assert desk.events.seen == ["gossip.dropped"] * 8
    run = asyncio.create_task(frames.run())
    await until(lambda: len(inbox.seen) == 5)
    assert inbox.seen[:3] == [b"flood 0", bytes(90), b"one request"]
    frames.received(1, REPORT, b"later")
    await until(lambda: inbox.seen[-1] == b"later")
    run.cancel()


@dataclass
class Kept:
    """Statements and headers on disk."""

    bound: dict[Hash32, BoundStatement] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    async def save(self, statement: Statement, packed: bytes) -> None:
        self.bound[statement.digest] = BoundStatement(statement, packed)

    async def get(self, digest: Hash32) -> BoundStatement | None:
        return self.bound.get(digest)

    async def header(self, sequence: int) -> CertifiedHeader | None:
        self.asked.append(sequence)
        return None


def state_with_withdrawal(sequence: int, *, is_open: bool = True) -> State:
    state = genesis(kit.network(), kit.policy())
    account = kit.Owner().account
    items = (ReleaseItem(TOKEN, Amount(ETHER), Amount(ETHER)),)
    reservation = Reservation(
        ReleaseKind.WITHDRAWAL, ONE, kit.vault(ONE), 1, kit.address("payee"), items, Hash32(b"r" * 32), 3, 100
    )
    open_ones = (reservation,) if is_open else ()
    record = AccountRecord(kit.address("alice"), 1, (kit.address("alice"),), (), (), open_ones, ())
    control = replace(
        state.control, reserved=(account,) if is_open else (), issued=((3, Hash32(b"h" * 32)),) if is_open else ()
    )
    header = replace(state.header, sequence=sequence, time_ms=sequence)
    return replace(state, header=header, accounts=state.accounts.updated({account: record.encode()}), control=control)


async def test_open_releases_are_offered_again_until_they_are_no_longer_open() -> None:
    jobs: list[Job] = []
    kept = Kept()
    board = ReleaseBoard(kit.network(), kept, kept, 60, jobs.append)
    board.on_state(state_with_withdrawal(4), kit.policy())
    (release,) = (
        item for item in statements(state_with_withdrawal(4), kit.network(), kit.policy()) if item.release is not None
    )
    board.on_bound(release, b"packed")
    run = asyncio.create_task(board.run())
    await until(lambda: jobs)
    for sequence in range(5, 5 + 2 * OFFER_EVERY):
        board.on_state(state_with_withdrawal(sequence), kit.policy())
    assert [job.purpose for job in jobs] == [release.digest] * 3
    for sequence in range(100_001, 100_001 + 2 * OFFER_EVERY):  # past its expiry, with no cut yet to prove it
        board.on_state(state_with_withdrawal(sequence), kit.policy())
    for sequence in range(20, 20 + 2 * OFFER_EVERY):
        board.on_state(state_with_withdrawal(sequence, is_open=False), kit.policy())
    assert len(jobs) == 3
    run.cancel()


async def test_after_a_restart_a_release_is_shown_with_the_state_that_issued_it() -> None:
    kept = Kept()
    (release,) = (
        item for item in statements(state_with_withdrawal(4), kit.network(), kit.policy()) if item.release is not None
    )
    await kept.save(release, b"packed")
    board = ReleaseBoard(kit.network(), kept, kept, 60, lambda _: None)
    board.on_state(state_with_withdrawal(9), kit.policy())
    run = asyncio.create_task(board.run())
    await until(lambda: kept.asked)
    assert kept.asked == [3]
    (shown,) = board.open_releases(kit.Owner().account, ReleaseKind.WITHDRAWAL)
    assert shown.signatures == b"packed"
    run.cancel()


# === Evidence ===


@dataclass
class Bodies:
    kept: list[Evidence] = field(default_factory=list)
    trouble: HypothecError | None = None

    async def save_evidence(self, evidence: Evidence) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.kept.append(evidence)


@dataclass
class Proof:
    signer: int


async def saved(bodies: Bodies, events: Events, signers: Sequence[int]) -> None:
    tasks: set[asyncio.Task[None]] = set()
    keep = keep_in_background(bodies, events, tasks)  # type: ignore[arg-type]
    for signer in signers:
        keep(Proof(signer))  # type: ignore[arg-type]
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_of_a_node_that_equivocates_without_end_enough_is_kept() -> None:
    bodies = Bodies()
    await saved(bodies, Events(), [1] * (KEPT_EVIDENCE + 10) + [2])
    assert [item.signer for item in bodies.kept] == [1] * KEPT_EVIDENCE + [2]


async def test_evidence_that_could_not_be_kept_is_heard_of() -> None:
    events = Events()
    await saved(Bodies(trouble=InputError("disk full")), events, [1])
    assert events.seen == ["evidence.not_kept"]
