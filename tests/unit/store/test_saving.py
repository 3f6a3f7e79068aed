"""What a save costs follows what changed, not what exists."""

from __future__ import annotations

from pathlib import Path

from node.model.state import State
from node.store.sqlite.store import SqliteStore, initialise, open_store
from tests.conformance.store.samples import certified, state
from tests.kit import NETWORK_ID

MANY = {number.to_bytes(2, "big"): b"%d" % number for number in range(2000)}


async def rows_written(store: SqliteStore, following: State) -> int:
    before = await store._database.run(lambda connection: connection.total_changes)
    await store.states.save(following, certified(following))
    return await store._database.run(lambda connection: connection.total_changes) - before


async def test_only_what_changed_is_written_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    initialise(path, NETWORK_ID)
    async with open_store(path, NETWORK_ID) as store:
        assert await rows_written(store, state(1, accounts=MANY)) > len(MANY)
        assert await rows_written(store, state(2, accounts=MANY | {b"\0\x05": b"new"})) < 20
    async with open_store(path, NETWORK_ID) as store:
        await store.states.load()
        assert await rows_written(store, state(3, accounts=MANY)) < 20
