"""The writer thread: what is acknowledged is committed, what raises is undone alone, failures say whose they are."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chains.errors import HypothecError, LimitError
from node.store.errors import (
    StoreClosed,
    StoreCorrupt,
    StoreFailed,
    StoreForeign,
    StoreFull,
    StoreLocked,
    StoreUnwritable,
)
from node.store.sqlite.database import MAX_QUEUED, Database, connect, translate


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "some.db")
    await opened.run(lambda c: c.execute("CREATE TABLE kept (number INTEGER PRIMARY KEY, body BLOB)"))
    yield opened
    await opened.close()


async def insert(database: Database, number: int, body: bytes = b"") -> None:
    await database.run(lambda c: c.execute("INSERT INTO kept VALUES (?, ?)", (number, body)))


async def numbers(database: Database) -> list[int]:
    rows = await database.run(lambda c: c.execute("SELECT number FROM kept ORDER BY number").fetchall())
    return [number for (number,) in rows]


async def test_every_commit_is_synced_to_disk(database: Database) -> None:
    found = await database.run(lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in SETTINGS])
    assert dict(zip(SETTINGS, found, strict=True)) == SETTINGS


SETTINGS = {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0, "trusted_schema": 0}


async def test_what_is_acknowledged_another_connection_sees(database: Database, tmp_path: Path) -> None:
    await insert(database, 1)
    with sqlite3.connect(tmp_path / "some.db") as other:
        assert other.execute("SELECT number FROM kept").fetchall() == [(1,)]
    other.close()


async def test_a_call_that_raises_is_undone_alone(database: Database) -> None:
    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO kept VALUES (100, NULL)")
        raise LimitError("stop in the middle")

    with pytest.raises(LimitError):
        await database.run(half_done)
    calls = [insert(database, 1), database.run(half_done), insert(database, 2), insert(database, 1)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), LimitError, type(None), HypothecError]
    assert await numbers(database) == [1, 2]


async def test_more_calls_than_may_queue_all_take_place(database: Database) -> None:
    await asyncio.gather(*(insert(database, number) for number in range(2 * MAX_QUEUED)))
    assert len(await numbers(database)) == 2 * MAX_QUEUED


async def test_a_cancelled_caller_does_not_disturb_the_others(database: Database) -> None:
    tasks = [asyncio.create_task(insert(database, number)) for number in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert set(await numbers(database)) >= {0, 1, 2, 4, 5, 6, 7, 8, 9}


async def test_closing_finishes_what_is_queued_and_refuses_the_rest(tmp_path: Path) -> None:
    database = Database(tmp_path / "some.db")
    await database.run(lambda c: c.execute("CREATE TABLE kept (number INTEGER PRIMARY KEY, body BLOB)"))
    queued = [asyncio.create_task(insert(database, number)) for number in range(50)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*queued)
    with pytest.raises(StoreClosed):
        await insert(database, 99)
    await database.close()


async def test_a_number_that_sqlite_cannot_hold_is_a_typed_error(database: Database) -> None:
    with pytest.raises(LimitError):
        await insert(database, 2**63)
    await insert(database, 2**63 - 1)


async def test_a_full_disk_is_told_stores_nothing_of_the_call_and_passes(database: Database) -> None:
    await insert(database, 1)
    pages = await database.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await database.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    with pytest.raises(StoreFull):
        await insert(database, 2, os.urandom(1 << 16))
    small, large = insert(database, 3), insert(database, 4, os.urandom(1 << 16))
    outcomes = await asyncio.gather(small, large, return_exceptions=True)
    assert isinstance(outcomes[1], StoreFull)
    acknowledged = [1] + ([3] if outcomes[0] is None else [])
    assert await numbers(database) == acknowledged
    await database.run(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
    await insert(database, 5, os.urandom(1 << 16))
    assert await numbers(database) == [*acknowledged, 5]


async def test_after_a_failed_write_nothing_more_is_acknowledged(database: Database) -> None:
    """A failed sync cannot be tried again: the kernel may have dropped the pages. A restart tells what is there."""

    def fail(_: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    with pytest.raises(StoreFailed):
        await database.run(fail)
    with pytest.raises(StoreFailed):
        await insert(database, 1)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreUnwritable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnwritable),
        (sqlite3.SQLITE_NOTADB, StoreForeign),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorrupt),
        (sqlite3.SQLITE_IOERR_WRITE, StoreFailed),
        (sqlite3.SQLITE_BUSY, StoreLocked),
        (sqlite3.SQLITE_CONSTRAINT, HypothecError),
    ],
)
def test_every_failure_of_sqlite_has_a_type_of_ours(code: int, expected: type[HypothecError]) -> None:
    error = sqlite3.OperationalError("whatever")
    error.sqlite_errorcode = code
    assert type(translate(error, Path("node.db"))) is expected


async def test_the_log_does_not_grow_without_end(database: Database, tmp_path: Path) -> None:
    """Nobody waits for a checkpoint, so it has to come by itself."""
    for start in range(0, 20_000, 1000):
        await database.run(
            lambda c, start=start: c.executemany(  # type: ignore[misc]
                "INSERT INTO kept VALUES (?, ?)", ((number, bytes(100)) for number in range(start, start + 1000))
            )
        )
    assert (tmp_path / "some.db-wal").stat().st_size < (tmp_path / "some.db").stat().st_size


def test_only_the_owner_of_the_process_may_read_the_file(tmp_path: Path) -> None:
    connect(tmp_path / "some.db").close()
    assert (tmp_path / "some.db").stat().st_mode & 0o077 == 0
