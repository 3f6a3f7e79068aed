"""One SQLite file behind one thread: calls queue up, and all that wait are committed with one sync to disk.

Owns the thread, the transactions and the translation of SQLite's errors. A call is acknowledged after the commit that
holds it; one that raises is rolled back alone. Must not know any table.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

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

_T = TypeVar("_T")

MAX_QUEUED = 1024
"""Calls that may wait; a further one waits for its turn to wait."""
_MAX_BATCH = 64
_ROWS_BETWEEN_CHECKPOINTS = 2_000
_PRIMARY = 0xFF
"""Mask of SQLite's primary result code within an extended one."""


@dataclass(slots=True)
class _Call:
    job: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Database:
    """An open file. `run` from any task of one event loop; `close` once, after which the thread is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._room = asyncio.Semaphore(MAX_QUEUED)
        self._closed = False
        self._failure: HypothecError | None = None
        self._rows_at_checkpoint = 0
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `job` returns, once all that it wrote is on disk.

        `job` runs in the store's thread, in a transaction of which it alone is undone when it raises. It must not
        commit. When the caller is cancelled the job may still take place.
        """
        async with self._room:
            if self._closed:
                raise StoreClosed("do not use a store after closing it", path=self._path)
            loop = asyncio.get_running_loop()
            call = _Call(job, loop.create_future(), loop)
            self._queue.put(call)
            result: _T = await call.future
            return result

    async def close(self) -> None:
        """Finish what is queued, then let go of the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    # === in the thread ===

    def _work(self) -> None:
        stopping = False
        while not stopping:
            taken = [self._queue.get()]
            with suppress(Empty):
                while len(taken) < _MAX_BATCH:
                    taken.append(self._queue.get_nowait())
            stopping = None in taken
            calls = [call for call in taken if call is not None]
            if calls:
                self._commit(calls)
                _acknowledge(calls)
                self._checkpoint()
        self._connection.close()

    def _commit(self, calls: list[_Call]) -> None:
        if self._failure is None:
            try:
                self._transact(calls)
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
                self._give_up(calls, error)
        if self._failure is not None:
            for call in calls:
                call.error = call.error or self._failure

    def _transact(self, calls: list[_Call]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        if len(calls) == 1:  # every statement less is one wait less for the interpreter's lock
            calls[0].result = calls[0].job(connection)
        else:
            for call in calls:
                self._attempt(call)
        connection.execute("COMMIT")

    def _attempt(self, call: _Call) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT call")
        try:
            call.result = call.job(connection)
        except Exception as error:
            if not connection.in_transaction:  # SQLite has undone all of it, earlier calls included
                raise
            call.error = self._translated(error)
            connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")

    def _give_up(self, calls: list[_Call], error: Exception) -> None:
        """None of the calls took place, as far as anybody may rely on."""
        translated = self._translated(error)
        for call in calls:
            call.error = call.error or translated
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as second:
            self._failure = self._failure or StoreFailed("check the disk, restart the node", error=second)

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, sqlite3.Error):
            translated = translate(error, self._path)
            if isinstance(translated, (StoreFailed, StoreCorrupt)):
                # After a failed sync nobody knows what is on disk, and trying again would not tell.
                self._failure = translated
            translated.__cause__ = error
            return translated
        if isinstance(error, OverflowError):
            return LimitError("keep numbers that are stored below 2**63", error=error)
        return error

    def _checkpoint(self) -> None:
        """Move the log into the file between calls, not in the middle of a commit that somebody waits for."""
        rows = self._connection.total_changes
        if rows - self._rows_at_checkpoint < _ROWS_BETWEEN_CHECKPOINTS or self._failure is not None:
            return
        self._rows_at_checkpoint = rows
        with suppress(sqlite3.Error):  # the log only stays longer; what is wrong with the disk the next commit tells
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _acknowledge(calls: list[_Call]) -> None:
    def resolve_all() -> None:
        for call in calls:
            call.resolve()

    with suppress(RuntimeError):  # the loop has ended, and with it everybody who waited
        calls[0].loop.call_soon_threadsafe(resolve_all)


def connect(path: Path) -> sqlite3.Connection:
    """An open connection that syncs every commit. Raises StoreUnwritable, StoreForeign or StoreCorrupt."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # SQLite would let others read it
        os.close(descriptor)
    except OSError as error:
        raise StoreUnwritable("let the node write its store", path=path, error=error) from error
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA trusted_schema = OFF")
    except sqlite3.Error as error:
        connection.close()
        raise translate(error, path) from error
    return connection


def translate(error: sqlite3.Error, path: Path) -> HypothecError:
    """Our error for one of SQLite's."""
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
    match primary:
        case sqlite3.SQLITE_FULL:
            return StoreFull("free space on the disk of the store", path=path, error=error)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreUnwritable("let the node write its store", path=path, error=error)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked("keep other programs from writing to the store", path=path, error=error)
        case sqlite3.SQLITE_NOTADB:
            return StoreForeign("point the node at a store of its own", path=path, error=error)
        case sqlite3.SQLITE_CORRUPT:
            return StoreCorrupt(
                "move the damaged store away and start without one: the node keeps silent until its peers have told "
                "how far it got, and fetches the state from them",
                path=path,
                error=error,
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
            return StoreFailed("check the disk, then restart the node", path=path, error=error)
        case _:
            return HypothecError("report this as a bug of the store", path=path, error=error)
