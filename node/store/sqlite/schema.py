"""The tables, as numbered migrations, and what makes a file a store of ours.

A migration is never edited once released; a change is a further entry. Must not know what the tables are used for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from node.store.errors import StoreForeign, StoreTooNew

APPLICATION_ID = 0x48595054
"""SQLite's application_id of our files: "HYPT"."""

_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    # --- what was signed ---
    """CREATE TABLE journal_slots (
        config BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL,
        digest BLOB NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (config, epoch, seq, kind)) WITHOUT ROWID""",
    """CREATE TABLE journal_latest (
        config BLOB NOT NULL, key TEXT NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (config, key)) WITHOUT ROWID""",
    """CREATE TABLE journal_floor (
        config BLOB PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE chain_slots (
        config BLOB NOT NULL, sequence INTEGER NOT NULL, purpose TEXT NOT NULL, chain_id INTEGER NOT NULL,
        contract BLOB NOT NULL, account BLOB NOT NULL, digest BLOB NOT NULL,
        PRIMARY KEY (config, sequence, purpose, chain_id, contract, account)) WITHOUT ROWID""",
    "CREATE TABLE chain_floor (config BLOB PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID",
    # --- the certified state ---
    """CREATE TABLE headers (
        sequence INTEGER PRIMARY KEY, header BLOB NOT NULL, certificate BLOB NOT NULL, observations BLOB NOT NULL)""",
    "CREATE TABLE control (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL, body BLOB NOT NULL)",
    """CREATE TABLE leaves (
        map TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (map, key)) WITHOUT ROWID""",
    # --- bodies ---
    """CREATE TABLE reports (
        digest BLOB PRIMARY KEY, venue TEXT NOT NULL, sequence INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE INDEX reports_by_venue ON reports (venue, sequence)",
    "CREATE TABLE requests (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL)",
    "CREATE TABLE policies (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL)",
    "CREATE TABLE evidence (number INTEGER PRIMARY KEY, body BLOB NOT NULL UNIQUE)",
    """CREATE TABLE attestations (
        digest BLOB PRIMARY KEY, sequence INTEGER NOT NULL, account BLOB NOT NULL,
        statement BLOB NOT NULL, packed BLOB NOT NULL)""",
    "CREATE INDEX attestations_by_sequence ON attestations (sequence)",
    "CREATE INDEX attestations_by_account ON attestations (account, sequence)",
    # --- transactions under way ---
    """CREATE TABLE outbox (
        chain_id INTEGER NOT NULL, purpose BLOB NOT NULL, sequence INTEGER NOT NULL, sender BLOB NOT NULL,
        nonce INTEGER NOT NULL, status INTEGER NOT NULL,
        PRIMARY KEY (chain_id, purpose), UNIQUE (chain_id, sender, nonce)) WITHOUT ROWID""",
    """CREATE TABLE outbox_attempts (
        chain_id INTEGER NOT NULL, purpose BLOB NOT NULL, number INTEGER NOT NULL,
        raw BLOB NOT NULL, tx_hash BLOB NOT NULL,
        PRIMARY KEY (chain_id, purpose, number)) WITHOUT ROWID""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Migration i takes version i to version i + 1."""


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of a file; 0 for an empty one. Raises StoreForeign for a database of another program."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, bool(version)) != (APPLICATION_ID, True) and (application, version, tables) != (0, 0, 0):
        raise StoreForeign("point the node at a store of its own", application_id=application, version=version)
    return int(version)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the schema up to date, inside the caller's transaction.

    Raises StoreTooNew for a version that this program does not know, StoreForeign for a database of another program.
    """
    version = version_of(connection)
    if version > len(migrations):
        raise StoreTooNew("run the program that wrote the store, or a newer one", found=version, known=len(migrations))
    if version == len(migrations):
        return
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
