"""Nothing is signed twice, whatever is forgotten, restarted, lost or restored."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, ChainId, Hash32
from node.attestation.attestor import ChainSlot
from node.consensus.protocol.certified import Prepared
from node.consensus.protocol.config import ConsensusConfig, Limits
from node.consensus.protocol.errors import SlotConflict
from node.consensus.protocol.journal import (
    DecidedRecord,
    EpochRecord,
    JournalState,
    PreparedRecord,
    Record,
    RecoveryRecord,
    SignedRecord,
)
from node.consensus.protocol.proposal import Proposal, SignedObservation
from node.consensus.protocol.statements import Kind, Slot
from node.model.certificate import CommitCertificate
from node.store.errors import DoubleSignError, SlotPassed
from node.store.ports import Origin, Store
from tests import kit
from tests.conformance.store.conftest import Backend

CONFIG = ConsensusConfig(
    kit.network().digest, tuple(node.consensus_key for node in kit.network().nodes), 1, Limits(max_observation=1 << 16)
)
OTHER = replace(CONFIG, config_digest=Hash32(keccak(b"after a rotation")))


def signed(epoch: int, seq: int, kind: Kind = Kind.COMMIT, content: bytes = b"one") -> SignedRecord:
    return SignedRecord(Slot(epoch, seq, kind), Hash32(keccak(content)), b"message " + content)


def decided(seq: int, epoch: int = 1) -> DecidedRecord:
    outcome = Hash32(keccak(b"outcome %d" % seq))
    return DecidedRecord(CommitCertificate(CONFIG.config_digest, epoch, seq, outcome, 0b111, (bytes(64),) * 3))


def prepared(seq: int) -> PreparedRecord:
    observations = tuple(SignedObservation(node, b"seen", bytes(64)) for node in range(3))
    proposal = Proposal(1, seq, Hash32(bytes(32)), observations)
    return PreparedRecord(Prepared(1, Hash32(keccak(b"outcome")), 0b111, (bytes(64),) * 3, proposal, None))


async def test_a_store_made_with_its_key_is_intact_and_empty(store: Store) -> None:
    assert store.origin is Origin.CREATED
    assert await store.journal(CONFIG).load() == JournalState.empty()


async def test_what_was_appended_is_there_after_a_restart(backend: Backend) -> None:
    backend.initialise()
    records: list[Record] = [
        EpochRecord(2),
        prepared(7),
        decided(6),
        signed(2, 7),
        signed(2, 7, Kind.PREPARE),
        signed(3, 0, Kind(3)),
    ]
    async with backend.open() as store:
        await store.journal(CONFIG).append(records)
    async with backend.open() as store:
        assert await store.journal(CONFIG).load() == JournalState.replay(records)


async def test_the_latest_record_of_a_key_counts(store: Store) -> None:
    journal = store.journal(CONFIG)
    await journal.append([EpochRecord(1), prepared(1)])
    await journal.append([EpochRecord(2), prepared(2), RecoveryRecord(silent=False)])
    state = await journal.load()
    assert (state.epoch, state.prepared) == (2, prepared(2).prepared)


async def test_a_second_message_in_a_slot_is_refused_and_nothing_of_the_call_is_kept(backend: Backend) -> None:
    backend.initialise()
    async with backend.open() as store:
        await store.journal(CONFIG).append([signed(1, 1)])
    async with backend.open() as store:
        journal = store.journal(CONFIG)
        with pytest.raises(DoubleSignError):
            await journal.append([EpochRecord(1), signed(1, 2), signed(1, 1, content=b"another")])
        assert await journal.load() == JournalState.replay([signed(1, 1)])
        assert issubclass(DoubleSignError, SlotConflict)


async def test_the_same_message_again_is_fine(store: Store) -> None:
    await store.journal(CONFIG).append([signed(1, 1)])
    await store.journal(CONFIG).append([signed(1, 1), signed(1, 2)])
    assert len((await store.journal(CONFIG).load()).signed) == 2


async def test_slots_differ_by_epoch_sequence_kind_and_configuration(store: Store) -> None:
    await store.journal(CONFIG).append(
        [
            signed(1, 1),
            signed(1, 1, Kind.PREPARE, b"2"),
            signed(1, 2, content=b"3"),
            signed(2, 1, content=b"4"),
            signed(1, 0, Kind.EPOCH_START, b"5"),
        ]
    )
    await store.journal(OTHER).append([signed(1, 1, content=b"6")])
    assert len((await store.journal(CONFIG).load()).signed) == 5
    assert len((await store.journal(OTHER).load()).signed) == 1


@pytest.mark.parametrize("content", [b"one", b"another"])
@pytest.mark.parametrize("slot", [(1, 5), (1, 4), (2, 5), (1, 0)])
async def test_nothing_is_signed_in_a_slot_that_was_forgotten(
    backend: Backend, slot: tuple[int, int], content: bytes
) -> None:
    backend.initialise()
    async with backend.open() as store:
        await store.journal(CONFIG).append([signed(1, 5), signed(1, 0), EpochRecord(2), decided(5)])
        await store.journal(CONFIG).append([decided(3)])  # going back opens nothing
    async with backend.open() as store:
        with pytest.raises(SlotPassed):
            await store.journal(CONFIG).append([signed(*slot, content=content)])
        await store.journal(CONFIG).append([signed(2, 0), signed(2, 6)])
        await store.journal(OTHER).append([signed(*slot, content=content)])


async def test_what_is_decided_is_forgotten(store: Store) -> None:
    journal = store.journal(CONFIG)
    for seq in range(1, 50):
        await journal.append([signed(1, seq, Kind.PREPARE), signed(1, seq), decided(seq)])
    state = await journal.load()
    assert (state.signed, state.decided) == ((), decided(49).certificate)


async def test_without_a_store_the_node_is_silent_until_it_recorded_otherwise(backend: Backend) -> None:
    async with backend.open() as store:
        assert store.origin is Origin.MISSING
        assert await store.journal(CONFIG).load() == JournalState.missing()
    async with backend.open() as store:
        assert not (await store.journal(CONFIG).load()).intact
        await store.journal(CONFIG).append([RecoveryRecord(silent=False)])
    async with backend.open() as store:
        assert (await store.journal(CONFIG).load()).intact
        assert not (await store.journal(OTHER).load()).intact


async def test_an_imported_store_is_silent_but_forgets_nothing(backend: Backend) -> None:
    backend.initialise()
    async with backend.open() as store:
        await store.journal(CONFIG).append([RecoveryRecord(silent=False), EpochRecord(1), decided(4), signed(1, 5)])
    backend.mark_imported()
    async with backend.open() as store:
        assert store.origin is Origin.IMPORTED
        state = await store.journal(CONFIG).load()
        assert (state.intact, state.epoch, state.decided) == (False, 1, decided(4).certificate)
        with pytest.raises(DoubleSignError):
            await store.journal(CONFIG).append([signed(1, 5, content=b"another")])


async def test_calls_at_once_are_all_kept_and_one_that_is_refused_spoils_no_other(store: Store) -> None:
    journal = store.journal(CONFIG)
    calls = [journal.append([signed(1, seq)]) for seq in range(1, 200)]
    calls.insert(100, journal.append([signed(1, 500), signed(1, 1, content=b"another")]))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [DoubleSignError]
    assert [record.slot.seq for record in (await journal.load()).signed] == list(range(1, 200))


# === Chain signatures ===


def slot(sequence: int = 1, digest: bytes = b"one", purpose: str = "state", account: bytes = bytes(32)) -> ChainSlot:
    contract = Address(b"\x07" * 20)
    return ChainSlot(
        CONFIG.config_digest, sequence, purpose, ChainId(1), contract, AccountId(account), Hash32(keccak(digest))
    )


async def test_a_second_digest_for_a_chain_is_refused_and_nothing_of_the_call_is_kept(backend: Backend) -> None:
    backend.initialise()
    async with backend.open() as store:
        await store.chain_signatures.sign_once([slot(1), slot(2)])
    async with backend.open() as store:
        await store.chain_signatures.sign_once([slot(1)])
        with pytest.raises(DoubleSignError):
            await store.chain_signatures.sign_once([slot(3), slot(2, b"another")])
        await store.chain_signatures.sign_once([slot(3, b"the first of its slot")])
        await store.chain_signatures.sign_once([])


@pytest.mark.parametrize(
    "other",
    [
        {"config_digest": Hash32(bytes(32))},
        {"sequence": 2},
        {"purpose": "seizure"},
        {"chain_id": ChainId(2)},
        {"contract": Address(bytes(20))},
        {"account": AccountId(b"\x01" * 32)},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_every_part_of_a_chain_slot_counts(store: Store, other: dict[str, object]) -> None:
    await store.chain_signatures.sign_once([slot()])
    await store.chain_signatures.sign_once([replace(slot(digest=b"another"), **other)])  # type: ignore[arg-type]
