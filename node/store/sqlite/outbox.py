"""Transactions under way, written down before they are sent. Must not know what they do, or whether they were mined."""

from __future__ import annotations

import sqlite3

from chains.types import Address, ChainId, Hash32
from node.model.transactions import Attempt, Transaction, TxStatus
from node.store.errors import OutboxConflict
from node.store.sqlite.database import Database


class SqliteOutbox:
    """Transactions by chain and purpose."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transaction: Transaction) -> Transaction:
        def job(connection: sqlite3.Connection) -> Transaction:
            chain_id, purpose = transaction.chain_id, transaction.purpose
            if (there := _get(connection, chain_id, purpose)) is not None:
                return there
            sender, nonce = transaction.sender, transaction.nonce
            row = (chain_id, purpose, transaction.sequence, sender, nonce, transaction.status)
            try:
                connection.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError:
                raise OutboxConflict(
                    "take the next nonce of the sender", chain_id=chain_id, sender=sender, nonce=nonce
                ) from None
            for number, attempt in enumerate(transaction.attempts):
                _add_attempt(connection, chain_id, purpose, number, attempt)
            return transaction

        return await self._database.run(job)

    async def replace(self, chain_id: ChainId, purpose: Hash32, attempt: Attempt) -> Transaction:
        def job(connection: sqlite3.Connection) -> Transaction:
            there = _get(connection, chain_id, purpose)
            if there is None or there.status is not TxStatus.PENDING:
                raise OutboxConflict("replace only what is pending", chain_id=chain_id, purpose=purpose)
            if attempt not in there.attempts:
                _add_attempt(connection, chain_id, purpose, len(there.attempts), attempt)
            found = _get(connection, chain_id, purpose)
            return found or there

        return await self._database.run(job)

    async def settle(self, chain_id: ChainId, purpose: Hash32, status: TxStatus) -> None:
        def job(connection: sqlite3.Connection) -> None:
            update = "UPDATE outbox SET status = ? WHERE chain_id = ? AND purpose = ?"
            if not connection.execute(update, (status, chain_id, purpose)).rowcount:
                raise OutboxConflict("settle only what was added", chain_id=chain_id, purpose=purpose)

        await self._database.run(job)

    async def get(self, chain_id: ChainId, purpose: Hash32) -> Transaction | None:
        return await self._database.run(lambda connection: _get(connection, chain_id, purpose))

    async def pending(self, chain_id: ChainId) -> tuple[Transaction, ...]:
        def job(connection: sqlite3.Connection) -> tuple[Transaction, ...]:
            query = "SELECT purpose FROM outbox WHERE chain_id = ? AND status = ? ORDER BY nonce"
            purposes = connection.execute(query, (chain_id, TxStatus.PENDING)).fetchall()
            found = (_get(connection, chain_id, Hash32(purpose)) for (purpose,) in purposes)
            return tuple(transaction for transaction in found if transaction is not None)

        return await self._database.run(job)

    async def next_nonce(self, chain_id: ChainId, sender: Address) -> int:
        query = "SELECT coalesce(max(nonce) + 1, 0) FROM outbox WHERE chain_id = ? AND sender = ?"
        (nonce,) = await self._database.run(lambda c: c.execute(query, (chain_id, sender)).fetchone())
        return int(nonce)


def _get(connection: sqlite3.Connection, chain_id: ChainId, purpose: Hash32) -> Transaction | None:
    query = "SELECT sequence, sender, nonce, status FROM outbox WHERE chain_id = ? AND purpose = ?"
    found = connection.execute(query, (chain_id, purpose)).fetchone()
    if found is None:
        return None
    sequence, sender, nonce, status = found
    query = "SELECT raw, tx_hash FROM outbox_attempts WHERE chain_id = ? AND purpose = ? ORDER BY number"
    attempts = tuple(Attempt(raw, Hash32(made)) for raw, made in connection.execute(query, (chain_id, purpose)))
    return Transaction(chain_id, purpose, sequence, Address(sender), nonce, attempts, TxStatus(status))


def _add_attempt(
    connection: sqlite3.Connection, chain_id: ChainId, purpose: Hash32, number: int, attempt: Attempt
) -> None:
    row = (chain_id, purpose, number, attempt.raw, attempt.tx_hash)
    connection.execute("INSERT INTO outbox_attempts VALUES (?, ?, ?, ?, ?)", row)


def prune_outbox(connection: sqlite3.Connection, below: int) -> None:
    """Forget settled transactions of states before `below`, but not the one with a sender's highest nonce."""
    connection.execute(
        "DELETE FROM outbox WHERE sequence < ? AND status <> ? AND nonce < "
        "(SELECT max(nonce) FROM outbox later WHERE later.chain_id = outbox.chain_id AND later.sender = outbox.sender)",
        (below, TxStatus.PENDING),
    )
    connection.execute(
        "DELETE FROM outbox_attempts WHERE (chain_id, purpose) NOT IN (SELECT chain_id, purpose FROM outbox)"
    )
