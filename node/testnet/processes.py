"""Child processes that never outlive the testnet, each with its own log file.

Every child is its own session: Ctrl-C reaches the testnet alone, which then ends its children in order; should it be
killed itself, `lifeline` takes them along. Must not know what the children do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from node.testnet.errors import ProcessDied

_LIFELINE = Path(__file__).with_name("lifeline.py")
_TAIL_BYTES = 1 << 14
_TAIL_LINES = 15
_GRACE_S = 4.0


class Child:
    """One process that can be started again after it ended. Start it on the event loop's own thread, the main one.

    `on_death` hears of every end that was not asked for.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        on_death: Callable[[ProcessDied], None],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._wanted = False

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; it appends to its log."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _LIFELINE, str(os.getpid()), *self._command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(self._env or {})},
                start_new_session=True,
            )
        self._wanted = True
        self._watcher = asyncio.create_task(self._watch(self._process), name=f"watch {self.name}")

    async def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it in time."""
        await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> None:
        self._wanted = False
        process, watcher = self._process, self._watcher
        if process is None or watcher is None:
            return
        if process.returncode is None:
            _signal(process, how)
        try:
            async with asyncio.timeout(_GRACE_S):
                await asyncio.shield(watcher)
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await watcher

    def tail(self) -> str:
        """The end of its log."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        if self._wanted:
            how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
            self._on_death(ProcessDied(f"{self.name} ended by itself ({how})", self.tail(), log=self.log))


def _signal(process: asyncio.subprocess.Process, how: signal.Signals) -> None:
    try:
        os.killpg(process.pid, how)  # it leads its own session, and so its own group
    except ProcessLookupError:
        return
