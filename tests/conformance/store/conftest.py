"""Every store that there is, for the one suite that holds for all of them. A new one is a further `Backend`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.store.ports import Store
from node.store.sqlite.store import initialise, mark_imported, open_store
from tests.kit import NETWORK_ID


@dataclass(frozen=True)
class Backend:
    """How one kind of store is made, opened, and declared to be imported."""

    initialise: Callable[[], None]
    open: Callable[[], AbstractAsyncContextManager[Store]]
    mark_imported: Callable[[], None]


def sqlite(folder: Path) -> Backend:
    path = folder / "node.db"
    return Backend(
        lambda: initialise(path, NETWORK_ID),
        lambda: open_store(path, NETWORK_ID),
        lambda: mark_imported(path, NETWORK_ID),
    )


@pytest.fixture(params=[sqlite])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A place where no store is yet."""
    make: Callable[[Path], Backend] = request.param
    return make(tmp_path)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    """An open store, made together with its key."""
    backend.initialise()
    async with backend.open() as opened:
        yield opened
