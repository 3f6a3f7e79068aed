"""Reports, requests, policies and evidence, by digest; and bound statements.

Must not know whether any of it was agreed upon.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from chains.errors import InputError, LimitError
from chains.types import AccountId, Hash32
from node.attestation.statements import Statement
from node.consensus.protocol.statements import Evidence
from node.model.reports import Report
from node.model.requests import Request, decode_request, encode_request
from node.store.errors import StoreCorrupt
from node.store.ports import BoundStatement
from node.store.sqlite.database import Database
from node.store.sqlite.statements import decode_statement, encode_statement

_T = TypeVar("_T")
_Row = tuple[object, ...]


class SqliteBodies:
    """What was accepted, and what was caught."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_report(self, digest: Hash32, report: Report) -> None:
        await self._write(
            "INSERT OR IGNORE INTO reports VALUES (?, ?, ?, ?)",
            (digest, report.venue, report.sequence, report.encode()),
        )

    async def save_request(self, digest: Hash32, request: Request) -> None:
        await self._write(
            "INSERT OR IGNORE INTO requests (digest, body) VALUES (?, ?)", (digest, encode_request(request))
        )

    async def save_policy(self, digest: Hash32, body: bytes) -> None:
        await self._write("INSERT OR IGNORE INTO policies (digest, body) VALUES (?, ?)", (digest, body))

    async def save_evidence(self, evidence: Evidence) -> None:
        await self._write("INSERT OR IGNORE INTO evidence (body) VALUES (?)", (evidence.encode(),))

    async def forget_requests(self, digests: Sequence[Hash32]) -> None:
        rows = [(digest,) for digest in digests]
        await self._database.run(lambda c: c.executemany("DELETE FROM requests WHERE digest = ?", rows))

    async def report(self, digest: Hash32) -> Report | None:
        return _one(await self._read("SELECT body FROM reports WHERE digest = ?", (digest,), Report.decode))

    async def reports(self, above: Mapping[str, int]) -> tuple[Report, ...]:
        query = "SELECT body FROM reports WHERE venue = ? AND sequence > ? ORDER BY sequence, digest"
        found = [await self._read(query, row, Report.decode) for row in sorted(above.items())]
        return tuple(report for reports in found for report in reports)

    async def request(self, digest: Hash32) -> Request | None:
        return _one(await self._read("SELECT body FROM requests WHERE digest = ?", (digest,), decode_request))

    async def requests(self) -> tuple[Request, ...]:
        return await self._read("SELECT body FROM requests ORDER BY number", (), decode_request)

    async def policy(self, digest: Hash32) -> bytes | None:
        return _one(await self._read("SELECT body FROM policies WHERE digest = ?", (digest,), bytes))

    async def policies(self) -> tuple[bytes, ...]:
        return await self._read("SELECT body FROM policies ORDER BY number", (), bytes)

    async def evidence(self) -> tuple[Evidence, ...]:
        return await self._read("SELECT body FROM evidence ORDER BY number", (), Evidence.decode)

    async def _write(self, statement: str, row: _Row) -> None:
        await self._database.run(lambda connection: connection.execute(statement, row))

    async def _read(self, query: str, row: _Row, decode: Callable[[bytes], _T]) -> tuple[_T, ...]:
        rows = await self._database.run(lambda connection: connection.execute(query, row).fetchall())
        return tuple(_decoded(body, decode) for (body,) in rows)


class SqliteAttestations:
    """Statements with a quorum of signatures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, statement: Statement, packed: bytes) -> None:
        row = (statement.digest, statement.sequence, statement.account, encode_statement(statement), packed)
        query = "INSERT OR IGNORE INTO attestations VALUES (?, ?, ?, ?, ?)"
        await self._database.run(lambda connection: connection.execute(query, row))

    async def get(self, digest: Hash32) -> BoundStatement | None:
        return _one(await self._read("SELECT statement, packed FROM attestations WHERE digest = ?", (digest,)))

    async def of_account(self, account: AccountId, limit: int) -> tuple[BoundStatement, ...]:
        query = "SELECT statement, packed FROM attestations WHERE account = ? ORDER BY sequence DESC, digest LIMIT ?"
        return await self._read(query, (account, limit))

    async def since(self, sequence: int, limit: int) -> tuple[BoundStatement, ...]:
        query = "SELECT statement, packed FROM attestations WHERE sequence >= ? ORDER BY sequence, digest LIMIT ?"
        return await self._read(query, (sequence, limit))

    async def _read(self, query: str, row: _Row) -> tuple[BoundStatement, ...]:
        rows = await self._database.run(lambda connection: connection.execute(query, row).fetchall())
        return tuple(BoundStatement(_decoded(body, decode_statement), packed) for body, packed in rows)


def prune_bodies(connection: sqlite3.Connection, below: int, reports_below: dict[str, int]) -> None:
    """Forget bound statements of states before `below`, and reports before a sequence number for each venue."""
    connection.execute("DELETE FROM attestations WHERE sequence < ?", (below,))
    connection.executemany("DELETE FROM reports WHERE venue = ? AND sequence < ?", reports_below.items())


def _one(found: tuple[_T, ...]) -> _T | None:
    return found[0] if found else None


def _decoded(data: bytes, decode: Callable[[bytes], _T]) -> _T:
    try:
        return decode(data)
    except (InputError, LimitError) as error:
        raise StoreCorrupt("move the damaged store away and start without one", error=error) from error
