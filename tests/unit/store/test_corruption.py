"""A stored value that changed on disk is found out, not served."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from chains.types import Hash32
from node.consensus.protocol.journal import EpochRecord
from node.store.errors import StoreCorrupt
from node.store.sqlite.store import initialise, open_store
from tests.conformance.store.samples import certified, state, statement
from tests.conformance.store.test_journal import CONFIG
from tests.kit import NETWORK_ID, Owner, Venue


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with something in every table."""
    path = tmp_path / "node.db"
    initialise(path, NETWORK_ID)
    async with open_store(path, NETWORK_ID) as store:
        await store.states.save(state(1), certified(state(1)))
        await store.states.save(state(2), certified(state(2)), ((0, b"seen"),))
        await store.journal(CONFIG).append([EpochRecord(1)])
        await store.bodies.save_report(Hash32(bytes(32)), Venue().report())
        await store.bodies.save_request(Hash32(bytes(32)), Owner().link())
        await store.attestations.save(statement(2), b"packed")
    return path


def tamper(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE leaves SET value = x'00' WHERE map = 'accounts' AND key = (SELECT min(key) FROM leaves)",
        "UPDATE leaves SET key = randomblob(32) WHERE map = 'obligations'",
        "DELETE FROM leaves WHERE map = 'chain:1'",
        "DELETE FROM leaves WHERE map = 'frame'",
        "UPDATE leaves SET value = x'ff' WHERE map = 'frame'",
        "UPDATE leaves SET key = randomblob(32) WHERE map = 'frame'",
        "INSERT INTO leaves VALUES ('accounts', randomblob(32), x'01')",
        "INSERT INTO leaves VALUES ('chain:99', randomblob(32), x'01')",
        "UPDATE control SET body = x'01'",
        "UPDATE control SET body = CAST(substr(body, 1, 8) || x'07' || substr(body, 10) AS BLOB)",
        "UPDATE control SET sequence = 1",
        "DELETE FROM headers",
        "UPDATE headers SET header = CAST(substr(header, 1, 40) || x'7f' || substr(header, 42) AS BLOB)",
        "UPDATE headers SET header = x''",
        "UPDATE headers SET certificate = x'01'",
        "UPDATE headers SET observations = x'0102'",
    ],
)
async def test_a_changed_state_is_not_loaded(path: Path, change: str) -> None:
    tamper(path, change)
    async with open_store(path, NETWORK_ID) as store:
        with pytest.raises(StoreCorrupt, match="move the store away"):
            await store.states.load()


async def test_an_unchanged_state_is_loaded(path: Path) -> None:
    async with open_store(path, NETWORK_ID) as store:
        assert await store.states.load() is not None


async def test_a_changed_journal_is_not_taken_for_an_intact_one(path: Path) -> None:
    tamper(path, "UPDATE journal_latest SET record = x'02ff'")
    async with open_store(path, NETWORK_ID) as store:
        with pytest.raises(StoreCorrupt):
            await store.journal(CONFIG).load()


async def test_changed_bodies_are_not_served(path: Path) -> None:
    tamper(path, "UPDATE reports SET body = x'01'")
    tamper(path, "UPDATE requests SET body = x'01'")
    tamper(path, "UPDATE attestations SET statement = x'01'")
    async with open_store(path, NETWORK_ID) as store:
        for call in (store.bodies.reports({"demo": 0}), store.bodies.requests(), store.attestations.since(0, 9)):
            with pytest.raises(StoreCorrupt):
                await call


def damage(path: Path, page: int) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * page : 4096 * page + 200] = b"\xa5" * 200
    path.write_bytes(data)


async def read_everything(path: Path) -> None:
    async with open_store(path, NETWORK_ID) as store:
        await store.states.load()
        await store.journal(CONFIG).load()
        await store.bodies.reports({"demo": 0})
        await store.bodies.requests()
        await store.attestations.since(0, 9)


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_damaged_file_is_a_typed_error(path: Path, page: int) -> None:
    await read_everything(path)
    damage(path, page)
    with pytest.raises(StoreCorrupt):
        await read_everything(path)
