"""What a store file says of itself: whose it is, and what is known of its past. Must not know what else it holds."""

from __future__ import annotations

import sqlite3

from chains.types import Hash32
from node.store.errors import StoreForeign
from node.store.ports import Origin


def write_identity(connection: sqlite3.Connection, network_id: Hash32, origin: Origin, inode: int) -> None:
    """Mark a new file."""
    rows = [("network", network_id), ("origin", origin.value), ("inode", str(inode))]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)


def check_identity(connection: sqlite3.Connection, network_id: Hash32, inode: int) -> None:
    """Raise StoreForeign for the store of another network. A file that is not where it was made counts as imported.

    A copy, and so a restored backup, has another inode; one that was written over the old file in place has not, and
    has to be declared by `mark_imported`.
    """
    if (found := _get(connection, "network")) != network_id:
        raise StoreForeign("point the node at the store of its network", found=found, expected=network_id)
    if _get(connection, "inode") != str(inode):
        mark_imported(connection, inode)


def mark_imported(connection: sqlite3.Connection, inode: int) -> None:
    """From now on nobody relies on the store holding all that the key has signed, until peers have been heard."""
    connection.execute("REPLACE INTO meta VALUES ('origin', ?)", (Origin.IMPORTED.value,))
    connection.execute("REPLACE INTO meta VALUES ('inode', ?)", (str(inode),))
    connection.execute("DELETE FROM journal_latest WHERE key = 'recovery'")


def origin_of(connection: sqlite3.Connection) -> Origin:
    """What is known of the past of the store."""
    return Origin(str(_get(connection, "origin")))


def _get(connection: sqlite3.Connection, key: str) -> object:
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return found[0] if found else None
