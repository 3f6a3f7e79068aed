"""What a node says when its disk does not let it write. Real files, real limits of the operating system."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store.sqlite.store import initialise, open_store
from tests.kit import NETWORK_ID
from tests.shared import REPOSITORY

OPEN = """
import asyncio, os, resource, sys
from pathlib import Path
from chains.types import Hash32
from node.store.sqlite.store import open_store
from tests.kit import NETWORK_ID

path, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
elif os.geteuid() == 0:
    os.setuid(65534)  # nothing is read-only for root

async def main():
    stored = 0
    try:
        async with open_store(path, NETWORK_ID) as store:
            for stored in range(1000):
                await store.bodies.save_policy(Hash32(stored.to_bytes(32, "big")), os.urandom(1 << 14))
    except Exception as error:
        print(type(error).__name__, stored)
    else:
        print("fine", stored)

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)
        Path(made).chmod(0o777)


async def attempt(path: Path, limit: int = 0) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPEN, str(path), str(limit),
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'proto'}", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode().strip()


def made(folder: Path) -> Path:
    path = folder / "node.db"
    initialise(path, NETWORK_ID)
    for each in folder.iterdir():
        each.chmod(0o666)
    return path


async def test_a_store_that_may_not_be_written_is_refused(folder: Path) -> None:
    path = made(folder)
    path.chmod(0o444)
    assert await attempt(path) == "StoreUnwritable 0"


async def test_a_folder_that_may_not_be_written_is_refused(folder: Path) -> None:
    path = made(folder)
    folder.chmod(0o555)  # noqa: ASYNC240 - it takes no time
    assert await attempt(path) == "StoreUnwritable 0"


async def test_a_file_that_cannot_grow_is_told_and_what_was_acknowledged_stays(folder: Path) -> None:
    path = made(folder)
    what, stored = (await attempt(path, limit=1 << 20)).split()
    assert what in ("StoreFull", "StoreFailed")
    assert 10 < int(stored) < 100
    async with open_store(path, NETWORK_ID) as store:
        assert len(await store.bodies.policies()) == int(stored)
