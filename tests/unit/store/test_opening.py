"""Which files a node opens, which it refuses, and what it believes of their past."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from chains.types import Hash32
from node.store.errors import StoreExists, StoreForeign, StoreLocked, StoreTooNew, StoreUnwritable
from node.store.lock import ProcessLock
from node.store.ports import Origin
from node.store.sqlite.schema import APPLICATION_ID, MIGRATIONS, migrate, version_of
from node.store.sqlite.store import initialise, mark_imported, open_store
from tests.kit import NETWORK_ID

OTHER_NETWORK = Hash32(b"\x01" * 32)


# Files are small and on a local disk.
# ruff: noqa: ASYNC240


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


async def origin(path: Path) -> Origin:
    async with open_store(path, NETWORK_ID) as store:
        return store.origin


async def test_a_store_is_initialised_once(path: Path) -> None:
    initialise(path, NETWORK_ID)
    with pytest.raises(StoreExists):
        initialise(path, NETWORK_ID)
    assert await origin(path) is Origin.CREATED


async def test_a_file_that_was_never_finished_counts_as_missing(path: Path) -> None:
    """The process died between creating the file and committing the schema."""
    path.touch()
    assert await origin(path) is Origin.MISSING
    assert await origin(path) is Origin.MISSING
    with pytest.raises(StoreExists):
        initialise(path, NETWORK_ID)


async def test_a_copy_counts_as_imported_from_then_on(path: Path) -> None:
    initialise(path, NETWORK_ID)
    assert await origin(path) is Origin.CREATED
    shutil.copy(path, path.with_suffix(".backup"))
    path.with_suffix(".backup").replace(path)
    assert await origin(path) is Origin.IMPORTED
    assert await origin(path) is Origin.IMPORTED


async def test_a_store_restored_in_place_can_be_declared(path: Path) -> None:
    initialise(path, NETWORK_ID)
    mark_imported(path, NETWORK_ID)
    assert await origin(path) is Origin.IMPORTED


async def test_the_store_of_another_network_is_refused(path: Path) -> None:
    initialise(path, OTHER_NETWORK)
    with pytest.raises(StoreForeign):
        await origin(path)
    with pytest.raises(StoreForeign):
        mark_imported(path, NETWORK_ID)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look at: " * 40, b"short"])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreForeign):
        await origin(path)
    assert path.read_bytes() == content


async def test_the_database_of_another_program_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreForeign):
        await origin(path)
    with pytest.raises(StoreForeign):
        initialise(path, NETWORK_ID)


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    initialise(path, NETWORK_ID)
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    with pytest.raises(StoreTooNew) as refusal:
        await origin(path)
    assert refusal.value.values == {"found": len(MIGRATIONS) + 1, "known": len(MIGRATIONS)}


def test_migrations_are_applied_in_order_and_each_once(path: Path) -> None:
    steps = [["CREATE TABLE one (x)"], ["ALTER TABLE one ADD COLUMN y", "INSERT INTO one VALUES (1, 2)"]]
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, steps[:1])
    assert version_of(connection) == 1
    for _ in range(2):
        migrate(connection, steps)
    assert version_of(connection) == 2
    assert connection.execute("SELECT x, y FROM one").fetchall() == [(1, 2)]
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.close()


def test_a_migration_that_fails_leaves_the_version_before_it(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, [["CREATE TABLE one (x)"]])
    connection.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [["CREATE TABLE one (x)"], ["CREATE TABLE two (x)", "no such statement"]])
    connection.execute("ROLLBACK")
    assert version_of(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("one",)]
    connection.close()


async def test_a_missing_folder_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnwritable):
        await origin(tmp_path / "none" / "node.db")


async def test_a_folder_in_the_place_of_the_file_is_a_typed_error(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreUnwritable):
        await origin(path)


# === The lock ===


async def test_an_open_store_is_locked_and_the_refusal_names_the_process(path: Path) -> None:
    initialise(path, NETWORK_ID)
    async with open_store(path, NETWORK_ID):
        with pytest.raises(StoreLocked) as refusal:
            await origin(path)
        assert refusal.value.values["pid"] == str(os.getpid())
        with pytest.raises(StoreLocked):
            mark_imported(path, NETWORK_ID)
    assert await origin(path) is Origin.CREATED


async def test_a_store_that_could_not_be_opened_is_not_left_locked(path: Path) -> None:
    initialise(path, OTHER_NETWORK)
    with pytest.raises(StoreForeign):
        await origin(path)
    async with open_store(path, OTHER_NETWORK) as store:
        assert store.origin is Origin.CREATED


def test_a_lock_serves_any_path(tmp_path: Path) -> None:
    with ProcessLock(tmp_path / "key.lock") as held:
        with pytest.raises(StoreLocked):
            ProcessLock(tmp_path / "key.lock")
        held.release()
        ProcessLock(tmp_path / "key.lock").release()
