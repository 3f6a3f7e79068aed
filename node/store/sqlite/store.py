"""Opening, locking and pruning one node's SQLite file, and the groups of tables behind their ports."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from chains.types import Hash32
from node.consensus.protocol.config import ConsensusConfig
from node.model.state import Control
from node.store.errors import StoreExists, StoreUnwritable
from node.store.lock import ProcessLock
from node.store.ports import Origin
from node.store.sqlite import meta
from node.store.sqlite.bodies import SqliteAttestations, SqliteBodies, prune_bodies
from node.store.sqlite.database import Database, connect, translate
from node.store.sqlite.journal import SqliteChainSignatures, SqliteJournal, prune_chain_slots
from node.store.sqlite.outbox import SqliteOutbox, prune_outbox
from node.store.sqlite.schema import migrate, version_of
from node.store.sqlite.states import SqliteStates, latest_header

MAX_KEPT_REPORTS = 256
"""Of each venue below its adopted head, however many states are kept: a report may be megabytes, and these serve only
peers that fell behind a little."""


class SqliteStore:
    """One node's store. Made by `open_store`."""

    def __init__(self, database: Database, origin: Origin) -> None:
        self._database = database
        self.origin = origin
        self.chain_signatures = SqliteChainSignatures(database)
        self.states = SqliteStates(database)
        self.bodies = SqliteBodies(database)
        self.attestations = SqliteAttestations(database)
        self.outbox = SqliteOutbox(database)

    def journal(self, config: ConsensusConfig) -> SqliteJournal:
        return SqliteJournal(self._database, config)

    async def prune(self, keep: int) -> None:
        await self._database.run(lambda connection: _prune(connection, keep))


def initialise(path: Path, network_id: Hash32) -> None:
    """Make the store of a key that has never signed anything: it is intact, and empty.

    Raises StoreExists, StoreLocked or StoreUnwritable.
    """
    with _exclusive(path) as connection:
        if version_of(connection):
            raise StoreExists("keep the store that is there, or move it away with its key", path=path)
        _make(connection, network_id, Origin.CREATED, path)


def mark_imported(path: Path, network_id: Hash32) -> None:
    """Declare a store restored from a backup, or copied: its node keeps silent until peers have told how far it got.

    Raises StoreLocked, StoreForeign, StoreTooNew or StoreUnwritable.
    """
    with _exclusive(path) as connection:
        _settle_in(connection, network_id, path)
        meta.mark_imported(connection, path.stat().st_ino)


@asynccontextmanager
async def open_store(path: Path, network_id: Hash32) -> AsyncIterator[SqliteStore]:
    """The store at `path`, locked for this process; its schema is brought up to date.

    Where there is none, one is made with the origin MISSING, and the node will keep silent until peers have reported.
    Raises StoreLocked, StoreForeign, StoreTooNew, StoreUnwritable or StoreCorrupt.
    """
    with _lock(path):
        with _transaction(path) as connection:
            _settle_in(connection, network_id, path)
            origin = meta.origin_of(connection)
        database = Database(path)
        try:
            yield SqliteStore(database, origin)
        finally:
            await database.close()


def _lock(path: Path) -> ProcessLock:
    return ProcessLock(path.with_name(path.name + ".lock"))


@contextmanager
def _exclusive(path: Path) -> Iterator[sqlite3.Connection]:
    with _lock(path), _transaction(path) as connection:
        yield connection


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translate(error, path) from error
    finally:
        connection.close()  # undoes what was not committed


def _settle_in(connection: sqlite3.Connection, network_id: Hash32, path: Path) -> None:
    if not version_of(connection):
        _make(connection, network_id, Origin.MISSING, path)
        return
    migrate(connection)
    meta.check_identity(connection, network_id, _inode(path))


def _make(connection: sqlite3.Connection, network_id: Hash32, origin: Origin, path: Path) -> None:
    migrate(connection)
    meta.write_identity(connection, network_id, origin, _inode(path))


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError as error:
        raise StoreUnwritable("leave the store where it is while it is open", path=path, error=error) from error


def _prune(connection: sqlite3.Connection, keep: int) -> None:
    header = latest_header(connection)
    if header is None:
        return
    (body,) = connection.execute("SELECT body FROM control").fetchone()
    control = Control.decode(body)
    below = min([header.sequence - keep + 1, *(sequence for sequence, _ in control.issued)])
    if below <= 0:
        return
    connection.execute("DELETE FROM headers WHERE sequence < ?", (below,))
    prune_chain_slots(connection, header.config_digest, below)
    prune_outbox(connection, below)
    prune_bodies(
        connection, below, {head.venue: head.sequence - min(keep, MAX_KEPT_REPORTS) + 1 for head in control.venues}
    )
