"""Real tools for tests: anvil from npm, free ports. Nothing here outlives the test that asked for it."""

import asyncio
import os
import platform
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import aiohttp

from tests.shared import REPOSITORY, unavailable

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "arm64": "arm64", "aarch64": "arm64"}
_LISTENING = re.compile(r"^Listening on 127\.0\.0\.1:(\d+)$", re.MULTILINE)
_START_SECONDS = 20.0
_LOG_BYTES = 1 << 16  # what it prints before it listens is under 4 kB


class AnvilFailed(Exception):
    """anvil ended, or did not answer, while it was being started; holds what it printed."""


def anvil_binary(root: Path = REPOSITORY) -> Path:
    """Return the native anvil that npm installed under `root`, without the Node.js wrapper around it."""
    machine = platform.machine().lower()
    package = f"anvil-{sys.platform}-{_MACHINES.get(machine, machine)}"
    binary = root / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"
    if not binary.is_file():
        unavailable(f"no anvil at {binary}; ./run setup installs it")
    return binary


@asynccontextmanager
async def anvil(chain_id: int, *extra_args: str, port: int = 0) -> AsyncIterator[str]:
    """Run a real anvil on 127.0.0.1 and yield its URL once it answers; it is dead when the block is left.

    `port` 0 lets anvil take a free one. Raises AnvilFailed if it does not come up.
    """
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            anvil_binary(), "--port", str(port), "--chain-id", str(chain_id), *extra_args, stdout=log, stderr=log
        )
        try:
            yield await _answering(process, log, chain_id)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _answering(process: asyncio.subprocess.Process, log: IO[bytes], chain_id: int) -> str:
    """Wait until anvil has said where it listens and answers there with our chain id; return its URL."""
    try:
        async with asyncio.timeout(_START_SECONDS):
            while (listening := _LISTENING.search(_printed(log))) is None:
                if process.returncode is not None:
                    raise AnvilFailed(f"anvil ended with status {process.returncode}:\n{_printed(log)}")
                await asyncio.sleep(0.01)
            url = f"http://127.0.0.1:{listening[1]}"
            request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
            async with aiohttp.ClientSession() as session, session.post(url, json=request) as response:
                answer = await response.json()
    except (TimeoutError, aiohttp.ClientError) as error:
        raise AnvilFailed(f"anvil does not answer ({error!r}):\n{_printed(log)}") from error
    if answer.get("result") != hex(chain_id):
        raise AnvilFailed(f"asked for chain {chain_id}, {url} answered {answer}")
    return url


def _printed(log: IO[bytes]) -> str:
    # pread, because the child shares our file offset: a seek here would move where it writes.
    return os.pread(log.fileno(), _LOG_BYTES, 0).decode(errors="replace")
