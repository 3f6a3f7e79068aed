"""The latest certified state, leaf by leaf, and the recent headers with their certificates.

Owns how a state is spread over rows and put together again. A save writes what differs; a load trusts nothing that it
reads until the roots are those of the header. Must not know how states are derived.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from chains.errors import InputError, LimitError
from node.consensus.protocol.effects import Attributed
from node.model.certificate import CommitCertificate
from node.model.codec import Reader, Writer
from node.model.digests import name_word
from node.model.frame import Frame, FramePrice
from node.model.header import Header
from node.model.merkle import MerkleMap
from node.model.network import MAX_NODES
from node.model.state import Control, State
from node.store.errors import StateConflict, StoreCorrupt
from node.store.ports import CertifiedHeader
from node.store.sqlite.database import Database

_FRAME = "frame"
_VERSION = 1


class SqliteStates:
    """States of one network."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stored: State | None = None
        """What the rows are, when known; compared with the rows before it is relied on."""

    async def save(self, state: State, certificate: CommitCertificate, observations: Attributed = ()) -> None:
        if certificate.seq != state.header.sequence or certificate.outcome_digest != state.header.hash():
            raise StateConflict(
                "save a state with the certificate of its own header",
                sequence=state.header.sequence,
                certified=certificate.seq,
            )
        certified = CertifiedHeader(state.header, certificate, observations)
        await self._database.run(lambda connection: self._save(connection, state, certified))
        self._stored = state

    async def load(self) -> tuple[State, CertifiedHeader] | None:
        loaded = await self._database.run(_load)
        if loaded is not None:
            self._stored = loaded[0]
        return loaded

    async def header(self, sequence: int) -> CertifiedHeader | None:
        found = await self.headers(sequence, 1)
        return found[0] if found and found[0].header.sequence == sequence else None

    async def headers(self, first: int, limit: int) -> tuple[CertifiedHeader, ...]:
        query = "SELECT header, certificate, observations FROM headers WHERE sequence >= ? ORDER BY sequence LIMIT ?"
        rows = await self._database.run(lambda connection: connection.execute(query, (first, limit)).fetchall())
        return tuple(_certified(*row) for row in rows)

    def _save(self, connection: sqlite3.Connection, state: State, certified: CertifiedHeader) -> None:
        sequence = state.header.sequence
        latest = latest_header(connection)
        if latest is not None:
            if latest == state.header:
                return
            if latest.sequence >= sequence:
                raise StateConflict("save states in their order", sequence=sequence, stored=latest.sequence)
        base = self._stored if self._stored is not None and self._stored.header == latest else None
        if base is None:
            connection.execute("DELETE FROM leaves")
        _write_leaves(connection, base, state)
        connection.execute(
            "INSERT INTO headers VALUES (?, ?, ?, ?)",
            (
                sequence,
                state.header.encode(),
                certified.certificate.encode(),
                _encode_observations(certified.observations),
            ),
        )
        connection.execute("REPLACE INTO control VALUES (1, ?, ?)", (sequence, state.control.encode()))


def latest_header(connection: sqlite3.Connection) -> Header | None:
    """The header of the stored state. Raises StoreCorrupt."""
    query = "SELECT header FROM headers JOIN control USING (sequence)"
    found = connection.execute(query).fetchone()
    try:
        return Header.decode(found[0]) if found else None
    except InputError as error:
        raise _corrupt("the latest header", error=error) from error


def _maps(state: State) -> Iterator[tuple[str, MerkleMap]]:
    yield from state.maps()
    yield _FRAME, state.frame.map


def _write_leaves(connection: sqlite3.Connection, base: State | None, state: State) -> None:
    before = dict(_maps(base)) if base is not None else {}
    for name, after in _maps(state):
        changes = after.changes_since(before.pop(name, MerkleMap()))
        connection.executemany(
            "REPLACE INTO leaves VALUES (?, ?, ?)",
            ((name, key, value) for key, value in changes.items() if value is not None),
        )
        connection.executemany(
            "DELETE FROM leaves WHERE map = ? AND key = ?",
            ((name, key) for key, value in changes.items() if value is None),
        )
    for name in before:  # a chain that the policy no longer follows
        connection.execute("DELETE FROM leaves WHERE map = ?", (name,))


def _load(connection: sqlite3.Connection) -> tuple[State, CertifiedHeader] | None:
    query = "SELECT header, certificate, observations, body FROM headers JOIN control USING (sequence)"
    found = connection.execute(query).fetchone()
    if found is None:
        if connection.execute("SELECT count(*) FROM leaves").fetchone() != (0,):
            raise _corrupt("leaves without a header")
        return None
    certified = _certified(*found[:3])
    header = certified.header
    maps: dict[str, dict[bytes, bytes]] = {}
    for name, key, value in connection.execute("SELECT map, key, value FROM leaves"):
        maps.setdefault(name, {})[key] = value
    try:
        frame = _frame(maps.pop(_FRAME, {}))
        control = Control.decode(found[3])
    except (InputError, LimitError) as error:
        raise _corrupt("a stored value", error=error) from error
    state = State(
        header,
        {chain.cut.chain_id: MerkleMap.of(maps.pop(f"chain:{chain.cut.chain_id}", {})) for chain in header.chains},
        MerkleMap.of(maps.pop("obligations", {})),
        MerkleMap.of(maps.pop("accounts", {})),
        frame,
        control,
    )
    _check_roots(state)
    if maps:
        raise _corrupt("a map that the header does not know", maps=sorted(maps))
    return state, certified


def _frame(leaves: dict[bytes, bytes]) -> Frame:
    prices = [FramePrice.decode(leaf) for leaf in leaves.values()]
    if {name_word(price.asset) for price in prices} != set(leaves):
        raise _corrupt("a price under the name of another asset")
    return Frame({price.asset: price for price in sorted(prices, key=lambda price: price.asset)}, MerkleMap.of(leaves))


def _check_roots(state: State) -> None:
    header = state.header
    expected = {
        _FRAME: header.frame_root,
        "obligations": header.obligations_root,
        "accounts": header.accounts_root,
    } | {f"chain:{chain.cut.chain_id}": chain.root for chain in header.chains}
    for name, found in _maps(state):
        if found.root != expected[name]:
            raise _corrupt(f"map {name}", root=found.root, expected=expected[name])
    if state.control.hash() != header.control_hash:
        raise _corrupt("the control part", hash=state.control.hash(), expected=header.control_hash)


def _certified(header: bytes, certificate: bytes, observations: bytes) -> CertifiedHeader:
    try:
        decoded, certified = Header.decode(header), CommitCertificate.decode(certificate)
        attributed = _decode_observations(observations)
    except InputError as error:
        raise _corrupt("a stored header", error=error) from error
    if certified.outcome_digest != decoded.hash():
        raise _corrupt("a header that is not the certified one", sequence=decoded.sequence)
    return CertifiedHeader(decoded, certified, attributed)


def _encode_observations(observations: Attributed) -> bytes:
    return Writer().u8(_VERSION).many(observations, lambda w, item: w.u8(item[0]).var(item[1])).done()


def _decode_observations(data: bytes) -> Attributed:
    reader = Reader(data, "stored observations")
    reader.version(_VERSION)
    observations = reader.many(lambda r: (r.u8(), r.var()), MAX_NODES)
    reader.done()
    return observations


def _corrupt(what: str, **values: object) -> StoreCorrupt:
    return StoreCorrupt(
        f"{what} is not as it was stored: move the store away and start without one; the node keeps silent until its "
        "peers have told how far it got, and fetches the state from them",
        **values,
    )
