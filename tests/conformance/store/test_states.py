"""A state comes back as it was saved, or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from chains.types import ChainId, Hash32, UnixSeconds
from node.attestation.attestor import ChainSlot
from node.attestation.statements import Statement
from node.consensus.protocol.effects import Attributed
from node.model.certificate import CommitCertificate
from node.model.frame import Frame
from node.model.merkle import MerkleMap
from node.model.state import State, VenueHead
from node.model.transactions import Attempt, Transaction, TxStatus
from node.store.errors import SlotPassed, StateConflict
from node.store.ports import CertifiedHeader, Store
from tests.conformance.store.conftest import Backend
from tests.conformance.store.samples import certified, state, statement
from tests.kit import Owner, Venue, entry


async def save(store: Store, *states: State, observations: Attributed = ()) -> None:
    for each in states:
        await store.states.save(each, certified(each), observations)


async def test_before_the_first_there_is_none(store: Store) -> None:
    assert await store.states.load() is None
    assert await store.states.header(1) is None
    assert await store.states.headers(0, 10) == ()


async def test_the_latest_state_is_loaded_whole_after_a_restart(backend: Backend) -> None:
    backend.initialise()
    observations = ((0, b"what node 0 saw"), (2, b""))
    async with backend.open() as store:
        await save(store, state(1), state(2))
        await save(store, state(3), observations=observations)
    async with backend.open() as store:
        loaded = await store.states.load()
        assert loaded is not None
        assert_same(loaded[0], state(3))
        assert loaded[1] == CertifiedHeader(state(3).header, certified(state(3)), observations)


async def test_what_changed_is_saved_whatever_is_known_of_what_is_stored(backend: Backend) -> None:
    """With the previous state at hand, after a load, and by a fresh process that loaded nothing."""
    backend.initialise()
    first = state(1, accounts={b"\x01": b"a", b"\x02": b"b"}, book={b"\x01": b"10"})
    second = state(2, accounts={b"\x01": b"a", b"\x03": b"c"}, book={b"\x02": b"20"})
    third = state(3, accounts={b"\x04": b"d"}, book={b"\x09": b"1"}, chain=ChainId(10))
    async with backend.open() as store:
        await save(store, first, second)
    async with backend.open() as store:
        loaded = await store.states.load()
        assert loaded is not None
        assert_same(loaded[0], second)
        await save(store, third)
    async with backend.open() as store:
        await save(store, state(4, accounts={b"\x05": b"e"}))
    async with backend.open() as store:
        loaded = await store.states.load()
        assert loaded is not None
        assert_same(loaded[0], state(4, accounts={b"\x05": b"e"}))


async def test_a_save_whose_caller_was_cancelled_does_not_spoil_the_next(store: Store) -> None:
    await save(store, state(1))
    abandoned = asyncio.create_task(save(store, state(2, accounts={b"\x07": b"only here"})))
    await asyncio.sleep(0)
    abandoned.cancel()
    await asyncio.gather(abandoned, return_exceptions=True)
    await save(store, state(3))
    loaded = await store.states.load()
    assert loaded is not None
    assert_same(loaded[0], state(3))


async def test_the_same_state_again_is_fine(store: Store) -> None:
    await save(store, state(1), state(1))
    assert [found.header.sequence for found in await store.states.headers(0, 10)] == [1]


async def test_an_older_state_another_one_and_a_foreign_certificate_are_refused(store: Store) -> None:
    await save(store, state(5))
    with pytest.raises(StateConflict):
        await save(store, state(4))
    with pytest.raises(StateConflict):
        await save(store, state(5, accounts={b"\x01": b"other"}))
    for certificate in (certified(state(7)), replace(certified(state(6)), outcome_digest=Hash32(bytes(32)))):
        with pytest.raises(StateConflict):
            await store.states.save(state(6), certificate)
    loaded = await store.states.load()
    assert loaded is not None
    assert_same(loaded[0], state(5))
    await save(store, state(6))


async def test_headers_are_found_by_sequence_with_gaps_where_states_were_skipped(store: Store) -> None:
    await save(store, state(1), state(2), state(5), state(6))
    assert [found.header.sequence for found in await store.states.headers(2, 2)] == [2, 5]
    found = await store.states.header(5)
    assert found == CertifiedHeader(state(5).header, certified(state(5)), ())
    assert await store.states.header(3) is None


# === Pruning ===


async def test_pruning_keeps_the_latest_and_refuses_to_sign_for_what_it_forgot(store: Store) -> None:
    for sequence in range(1, 11):
        await save(store, state(sequence))
        await store.chain_signatures.sign_once([chain_slot(sequence)])
        await store.attestations.save(statement(sequence), b"packed")
    await store.prune(keep=3)
    assert [found.header.sequence for found in await store.states.headers(0, 99)] == [8, 9, 10]
    assert [bound.statement.sequence for bound in await store.attestations.since(0, 99)] == [8, 9, 10]
    await store.chain_signatures.sign_once([chain_slot(8)])
    with pytest.raises(SlotPassed):
        await store.chain_signatures.sign_once([chain_slot(7)])
    await store.prune(keep=5)  # what was forgotten does not come back into reach
    with pytest.raises(SlotPassed):
        await store.chain_signatures.sign_once([chain_slot(7)])
    assert await store.states.load() is not None


async def test_pruning_keeps_what_belongs_to_an_open_reservation(store: Store) -> None:
    for sequence in range(1, 10):
        await save(store, state(sequence))
    await save(store, state(10, issued=((4, Hash32(bytes(32))), (7, Hash32(bytes(32))))))
    await store.prune(keep=2)
    assert [found.header.sequence for found in await store.states.headers(0, 99)] == [4, 5, 6, 7, 8, 9, 10]
    await store.chain_signatures.sign_once([chain_slot(4)])
    with pytest.raises(SlotPassed):
        await store.chain_signatures.sign_once([chain_slot(3)])


async def test_pruning_forgets_old_reports_of_each_venue(store: Store) -> None:
    venue, account = Venue(), Owner().account
    reports = [venue.report(entry(account, 1, size)) for size in range(10)]
    for report in reports:
        await store.bodies.save_report(report.digest(Hash32(bytes(32))), report)
    await save(store, state(1, venues=(VenueHead("demo", 8, Hash32(bytes(32)), frozen=False),)))
    await store.prune(keep=2)
    assert len(await store.bodies.reports({"demo": 0})) == 10  # there are no two states yet
    await save(store, state(5, venues=(VenueHead("demo", 8, Hash32(bytes(32)), frozen=False),)))
    await store.prune(keep=3)
    assert [report.sequence for report in await store.bodies.reports({"demo": 0})] == [6, 7, 8, 9, 10]


async def test_pruning_forgets_settled_transactions_but_no_nonce(store: Store) -> None:
    for nonce in range(6):
        purpose = Hash32(bytes([nonce]) * 32)
        attempt = Attempt(b"raw", purpose)
        await store.outbox.add(Transaction(ChainId(1), purpose, nonce + 1, statement(1).contract, nonce, (attempt,)))
        if nonce != 2:
            await store.outbox.settle(ChainId(1), purpose, TxStatus.CONFIRMED)
    await save(store, state(100))
    await store.prune(keep=1)
    left = [await store.outbox.get(ChainId(1), Hash32(bytes([nonce]) * 32)) for nonce in range(6)]
    assert [found.nonce for found in left if found is not None] == [2, 5]
    assert await store.outbox.next_nonce(ChainId(1), statement(1).contract) == 6


def chain_slot(sequence: int) -> ChainSlot:
    said: Statement = statement(sequence)
    return ChainSlot(
        state(1).header.config_digest, sequence, said.purpose, said.chain_id, said.contract, said.account, said.digest
    )


def assert_same(found: State, expected: State) -> None:
    assert found.header == expected.header
    assert found.control == expected.control
    assert dict(found.frame.prices) == dict(expected.frame.prices)
    assert list(found.frame.map) == list(expected.frame.map)
    assert {name: list(book) for name, book in found.maps()} == {name: list(book) for name, book in expected.maps()}


def test_the_samples_are_not_all_alike() -> None:
    assert isinstance(state(1).frame, Frame)
    assert state(1).accounts.root != MerkleMap().root
    assert isinstance(certified(state(1)), CommitCertificate)
    assert state(1).frame.prices["ETH"].published_at != UnixSeconds(0)
