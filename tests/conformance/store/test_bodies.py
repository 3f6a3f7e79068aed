"""What was answered for is there after a restart: reports, requests, policies, evidence, attestations, transactions."""

from __future__ import annotations

import asyncio

import pytest

from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, ChainId, Hash32
from node.consensus.protocol.statements import Evidence, Kind, SignedStatement
from node.consensus.protocol.statements import Statement as Said
from node.ingest.ports import Bodies as IngestBodies
from node.model.requests import Request
from node.model.transactions import Attempt, Transaction, TxStatus
from node.relay.ports import Outbox as RelayOutbox
from node.store.errors import OutboxConflict
from node.store.ports import BoundStatement, Store
from tests.conformance.store.conftest import Backend
from tests.conformance.store.samples import statement
from tests.kit import NETWORK_ID, Owner, Venue, entry

ONE, TEN = ChainId(1), ChainId(10)
SENDER, OTHER_SENDER = Address(b"\x01" * 20), Address(b"\x02" * 20)


def digest(text: str) -> Hash32:
    return Hash32(keccak(text.encode()))


async def test_reports_come_back_in_the_order_of_their_chains(backend: Backend) -> None:
    backend.initialise()
    account = Owner().account
    ours, theirs, fork = Venue(), Venue("another"), Venue()
    reports = [theirs.report(), *(ours.report(entry(account, 5, 2000)) for _ in range(3)), fork.report()]
    async with backend.open() as store:
        for report in reversed(reports + reports[:1]):
            await store.bodies.save_report(report.digest(NETWORK_ID), report)
    async with backend.open() as store:
        found = await store.bodies.reports({"demo": 0, "another": 0})
        assert [(report.venue, report.sequence) for report in found] == [
            ("another", 1), ("demo", 1), ("demo", 1), ("demo", 2), ("demo", 3)
        ]  # fmt: skip
        assert {report.encode() for report in found} == {report.encode() for report in reports}
        assert [report.sequence for report in await store.bodies.reports({"demo": 1})] == [2, 3]
        assert await store.bodies.reports({}) == ()
        assert await store.bodies.report(reports[4].digest(NETWORK_ID)) == reports[4]
        assert await store.bodies.report(digest("none")) is None


async def test_requests_stay_until_they_are_forgotten(backend: Backend) -> None:
    backend.initialise()
    owner = Owner()
    requests: list[Request] = [owner.link(), owner.authorize(), owner.withdraw(5), owner.revoke()]
    names = [request.digest(NETWORK_ID) for request in requests]
    async with backend.open() as store:
        for name, request in zip(names, requests, strict=True):
            await store.bodies.save_request(name, request)
        await store.bodies.save_request(names[0], requests[0])
        await store.bodies.forget_requests([names[1], digest("none")])
        await store.bodies.forget_requests([])
    async with backend.open() as store:
        assert await store.bodies.requests() == (requests[0], requests[2], requests[3])
        assert await store.bodies.request(names[2]) == requests[2]
        assert await store.bodies.request(names[1]) is None


async def test_policies_and_evidence_come_back_in_order(backend: Backend) -> None:
    backend.initialise()
    evidence = [
        Evidence.of(
            node,
            SignedStatement(Said(Kind.COMMIT, 1, 2, digest("one")), bytes(64)),
            SignedStatement(Said(Kind.COMMIT, 1, 2, digest("another")), bytes(64)),
        )
        for node in (3, 1)
    ]
    async with backend.open() as store:
        for body in (b"first", b"second", b"first"):
            await store.bodies.save_policy(Hash32(keccak(body)), body)
        for each in (*evidence, evidence[0]):
            await store.bodies.save_evidence(each)
    async with backend.open() as store:
        assert await store.bodies.policies() == (b"first", b"second")
        assert await store.bodies.policy(digest("second")) == b"second"
        assert await store.bodies.policy(digest("none")) is None
        assert await store.bodies.evidence() == tuple(evidence)


async def test_attestations_come_back_as_they_were_first_saved(backend: Backend) -> None:
    backend.initialise()
    account = AccountId(b"\x09" * 32)
    said = [statement(1), statement(2, account), statement(3, account), statement(4)]
    async with backend.open() as store:
        for each in said:
            await store.attestations.save(each, b"packed of %d" % each.sequence)
        await store.attestations.save(said[0], b"other signatures")
    async with backend.open() as store:
        assert await store.attestations.get(said[0].digest) == BoundStatement(said[0], b"packed of 1")
        assert await store.attestations.get(digest("none")) is None
        assert [bound.statement for bound in await store.attestations.of_account(account, 9)] == [said[2], said[1]]
        assert [bound.statement for bound in await store.attestations.of_account(account, 1)] == [said[2]]
        assert [bound.statement for bound in await store.attestations.since(2, 2)] == said[1:3]


# === Outbox ===


def transaction(purpose: str, nonce: int, chain_id: ChainId = ONE, sender: Address = SENDER) -> Transaction:
    made = Attempt(f"{purpose} at {nonce}".encode(), digest(f"hash of {purpose} at {nonce}"))
    return Transaction(chain_id, digest(purpose), 7, sender, nonce, (made,))


async def test_a_purpose_is_written_down_once(backend: Backend) -> None:
    backend.initialise()
    async with backend.open() as store:
        assert await store.outbox.add(transaction("seize", 0)) == transaction("seize", 0)
    async with backend.open() as store:
        assert await store.outbox.add(transaction("seize", 1)) == transaction("seize", 0)
        assert await store.outbox.pending(ONE) == (transaction("seize", 0),)
        assert await store.outbox.add(transaction("seize", 1, TEN)) == transaction("seize", 1, TEN)


async def test_of_two_that_add_one_purpose_at_once_one_wins(store: Store) -> None:
    offered = [transaction("seize", nonce) for nonce in range(8)]
    stored = await asyncio.gather(*(store.outbox.add(each) for each in offered))
    assert set(stored) == {offered[0]}


async def test_a_nonce_serves_one_purpose(store: Store) -> None:
    await store.outbox.add(transaction("seize", 0))
    with pytest.raises(OutboxConflict):
        await store.outbox.add(transaction("withdraw", 0))
    assert await store.outbox.get(ONE, digest("withdraw")) is None
    await store.outbox.add(transaction("withdraw", 0, TEN))
    await store.outbox.add(transaction("publish", 0, sender=OTHER_SENDER))


async def test_attempts_keep_the_nonce_and_their_order(backend: Backend) -> None:
    backend.initialise()
    more = [Attempt(b"dearer", digest("dearer")), Attempt(b"dearest", digest("dearest"))]
    async with backend.open() as store:
        first = await store.outbox.add(transaction("seize", 4))
        for attempt in (*more, more[0]):
            await store.outbox.replace(ONE, digest("seize"), attempt)
    async with backend.open() as store:
        found = await store.outbox.get(ONE, digest("seize"))
        assert found is not None
        assert (found.nonce, found.attempts) == (4, (*first.attempts, *more))


async def test_what_is_settled_is_no_longer_pending_nor_replaced(store: Store) -> None:
    for nonce, purpose in enumerate(("a", "b", "c")):
        await store.outbox.add(transaction(purpose, 2 - nonce))
    await store.outbox.settle(ONE, digest("b"), TxStatus.FAILED)
    assert [found.nonce for found in await store.outbox.pending(ONE)] == [0, 2]
    found = await store.outbox.get(ONE, digest("b"))
    assert found is not None
    assert found.status is TxStatus.FAILED
    with pytest.raises(OutboxConflict):
        await store.outbox.replace(ONE, digest("b"), Attempt(b"", digest("")))
    with pytest.raises(OutboxConflict):
        await store.outbox.settle(ONE, digest("none"), TxStatus.FAILED)


async def test_the_next_nonce_is_one_above_the_highest_of_the_sender(store: Store) -> None:
    assert await store.outbox.next_nonce(ONE, SENDER) == 0
    await store.outbox.add(transaction("a", 6))
    await store.outbox.add(transaction("b", 3))
    await store.outbox.settle(ONE, digest("a"), TxStatus.CONFIRMED)
    assert await store.outbox.next_nonce(ONE, SENDER) == 7
    assert await store.outbox.next_nonce(TEN, SENDER) == 0
    assert await store.outbox.next_nonce(ONE, OTHER_SENDER) == 0


async def test_the_groups_are_what_their_users_ask_for(store: Store) -> None:
    ingest: IngestBodies = store.bodies
    relay: RelayOutbox = store.outbox
    assert (ingest, relay) == (store.bodies, store.outbox)
