"""The two tables that keep a node from signing twice: consensus slots and chain slots.

Rule: a digest goes into a slot once; what is forgotten lies below a floor, and nothing is accepted there any more.
Must not know how a digest came about.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from chains.types import Hash32
from node.attestation.attestor import ChainSlot
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.journal import (
    DecidedRecord,
    EpochRecord,
    JournalState,
    PreparedRecord,
    Record,
    RecoveryRecord,
    SignedRecord,
    decode_record,
    encode_record,
)
from node.model.codec import Malformed
from node.store.errors import DoubleSignError, SlotPassed, StoreCorrupt
from node.store.ports import Origin
from node.store.sqlite.database import Database
from node.store.sqlite.meta import origin_of


class SqliteJournal:
    """The consensus journal of one configuration."""

    def __init__(self, database: Database, config: ConsensusConfig) -> None:
        self._database = database
        self._config = config

    async def append(self, records: Sequence[Record]) -> None:
        encoded = [(record, encode_record(record)) for record in records]
        await self._database.run(lambda connection: self._append(connection, encoded))

    async def load(self) -> JournalState:
        return await self._database.run(self._load)

    def _append(self, connection: sqlite3.Connection, encoded: list[tuple[Record, bytes]]) -> None:
        config = self._config.config_digest
        before = floor = self._floor(connection)
        for record, data in encoded:
            if isinstance(record, SignedRecord):
                _take_slot(connection, config, floor, record, data)
                continue
            connection.execute("REPLACE INTO journal_latest VALUES (?, ?, ?)", (config, record.key, data))
            match record:
                case EpochRecord(epoch):
                    floor = (max(floor[0], epoch), floor[1])
                case DecidedRecord(certificate):
                    floor = (floor[0], max(floor[1], certificate.seq))
                case PreparedRecord() | RecoveryRecord():
                    pass
        if floor != before:
            connection.execute("REPLACE INTO journal_floor VALUES (?, ?, ?)", (config, *floor))
            connection.execute(
                "DELETE FROM journal_slots WHERE config = ? AND (epoch < ? OR seq BETWEEN 1 AND ?)", (config, *floor)
            )

    def _floor(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """The epoch entered and the sequence number decided: slots of earlier epochs, or up to it, are past."""
        query = "SELECT epoch, seq FROM journal_floor WHERE config = ?"
        found = connection.execute(query, (self._config.config_digest,)).fetchone()
        return found or (0, 0)

    def _load(self, connection: sqlite3.Connection) -> JournalState:
        config = self._config.config_digest
        rows = connection.execute(
            "SELECT record FROM journal_latest WHERE config = ? UNION ALL SELECT record FROM journal_slots "
            "WHERE config = ?",
            (config, config),
        ).fetchall()
        try:
            records = [decode_record(data, self._config) for (data,) in rows]
        except Malformed as error:
            raise StoreCorrupt("move the damaged store away and start without one", error=error) from error
        settled = any(isinstance(record, RecoveryRecord) for record in records)
        if not settled and origin_of(connection) is not Origin.CREATED:
            records.append(RecoveryRecord(silent=True))
        return JournalState.replay(records)


def _take_slot(
    connection: sqlite3.Connection, config: Hash32, floor: tuple[int, int], record: SignedRecord, data: bytes
) -> None:
    slot = record.slot
    if slot.epoch < floor[0] or 0 < slot.seq <= floor[1]:
        raise SlotPassed("never sign below what was decided", slot=slot, epoch=floor[0], decided=floor[1])
    key = (config, slot.epoch, slot.seq, slot.kind)
    try:
        connection.execute("INSERT INTO journal_slots VALUES (?, ?, ?, ?, ?, ?)", (*key, record.digest, data))
    except sqlite3.IntegrityError:
        query = "SELECT digest FROM journal_slots WHERE (config, epoch, seq, kind) = (?, ?, ?, ?)"
        (stands,) = connection.execute(query, key).fetchone()
        if stands != record.digest:
            raise DoubleSignError(
                "never sign a second message in one slot", slot=slot, stands=stands, refused=record.digest
            ) from None


class SqliteChainSignatures:
    """The slots in which this node has signed for chains."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sign_once(self, slots: Sequence[ChainSlot]) -> None:
        if slots:
            await self._database.run(lambda connection: _sign_once(connection, slots))


def _sign_once(connection: sqlite3.Connection, slots: Sequence[ChainSlot]) -> None:
    floors: dict[bytes, int] = dict(connection.execute("SELECT config, sequence FROM chain_floor"))
    for slot in slots:
        if slot.sequence < floors.get(slot.config_digest, 0):
            raise SlotPassed("never sign for a state whose records were forgotten", slot=slot, floor=floors)
        key = (slot.config_digest, slot.sequence, slot.purpose, slot.chain_id, slot.contract, slot.account)
        try:
            connection.execute("INSERT INTO chain_slots VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, slot.digest))
        except sqlite3.IntegrityError:
            query = (
                "SELECT digest FROM chain_slots WHERE (config, sequence, purpose, chain_id, contract, account) = "
                "(?, ?, ?, ?, ?, ?)"
            )
            (stands,) = connection.execute(query, key).fetchone()
            if stands != slot.digest:
                raise DoubleSignError("never sign a second digest in one slot", slot=slot, stands=stands) from None


def prune_chain_slots(connection: sqlite3.Connection, config: Hash32, below: int) -> None:
    """Forget what was signed for states before `below`, and let nothing more be signed for them."""
    connection.execute("DELETE FROM chain_slots WHERE config = ? AND sequence < ?", (config, below))
    connection.execute(
        "INSERT INTO chain_floor VALUES (?, ?) ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)",
        (config, below),
    )
