"""What must never be seen, looked for all the time: a client's history that goes back or splits, two signatures."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from chains.errors import EquivocationError, HypothecError
from chains.types import Hash32
from hypothec.client import VenueClient
from hypothec.client.errors import SequenceRegressed
from node.model.identity import TlsMaterial
from node.testnet.network import Testnet
from node.testnet.nodes import NodeHandle
from node.testnet.people import _server_name

_EVERY_S = 0.4


class Watcher:
    """A client of every node, asking for the newest state all the time, for as long as `async with` lasts."""

    def __init__(self, net: Testnet, tls: TlsMaterial) -> None:
        self._net = net
        self._tls = tls
        self._tasks: list[asyncio.Task[None]] = []
        self.states: dict[int, Hash32] = {}
        """By sequence, whoever answered."""
        self.contradictions: list[str] = []
        self.answers = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._watch(node), name=f"watch {node.name}") for node in self._net.nodes]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, node: NodeHandle) -> None:
        network = self._net.network
        client = VenueClient(node.venues, network, self._tls, server_name=_server_name(node), max_age_ms=None)
        async with client:
            while True:
                try:
                    header = await client.get_margin_state()
                except (SequenceRegressed, EquivocationError) as error:
                    self.contradictions.append(f"{node.name}: {error}")
                except HypothecError:
                    pass  # it is down, or has no state yet
                else:
                    self.answers += 1
                    found = self.states.setdefault(header.sequence, header.hash())
                    if found != header.hash():
                        self.contradictions.append(f"{node.name} has another state {header.sequence} than others had")
                await asyncio.sleep(_EVERY_S)


class Journals:
    """What the nodes' stores said they signed, at every time that somebody looked."""

    def __init__(self) -> None:
        self._signed: dict[tuple[object, ...], bytes] = {}
        self._for_chains: dict[tuple[object, ...], bytes] = {}

    def look_into(self, node: NodeHandle) -> None:
        """Copy what a node that does not run signed. Two digests in one slot, at whatever times, fail.

        What was signed for a chain must also be the same at every node: there is one state of a sequence number.
        """
        for slot, digest in _signatures(store_of(node)).items():
            stands = self._signed.setdefault((node.index, *slot), digest)
            assert stands == digest, f"{node.name} signed twice in {slot}"
            if slot[0] == "chain":
                agreed = self._for_chains.setdefault(slot, digest)
                assert agreed == digest, f"{node.name} signed something else than another node in {slot}"

    @property
    def slots(self) -> int:
        return len(self._signed)


def store_of(node: NodeHandle) -> Path:
    """The file of a node's store."""
    return node.config.parent / "data" / "node.sqlite"


def consensus_slots(store: Path) -> set[tuple[object, ...]]:
    """The slots of agreement in which the store says its node signed."""
    return {slot for slot in _signatures(store) if slot[0] == "consensus"}


def _signatures(store: Path) -> dict[tuple[object, ...], bytes]:
    """Every slot in which the store says its node signed, and the digest. The store itself is left alone."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / store.name
        for suffix in ("", "-wal"):
            source = store.with_name(store.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as connection:
            consensus = connection.execute("SELECT 'consensus', epoch, seq, kind, digest FROM journal_slots")
            rows = consensus.fetchall()
            rows += connection.execute(
                "SELECT 'chain', sequence, purpose, chain_id, contract, account, digest FROM chain_slots"
            ).fetchall()
    return {tuple(row[:-1]): bytes(row[-1]) for row in rows}
