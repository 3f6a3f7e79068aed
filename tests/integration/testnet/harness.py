"""The command as its own process, and every process that it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

HYPOTHEC = (sys.executable, "-P", "-m", "node.cli")
_SETTLE_S = 15.0


@dataclass
class Command:
    """`hypothec` with its output going to files."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        return self.err_file.read_text()

    def family(self) -> list[psutil.Process]:
        """Everything that it has started and that still runs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait_for(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """Until it has printed it, wherever."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.out + self.err):
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"never printed {pattern!r}:\n{self.out}\n{self.err}")

    def ended(self, seconds: float = 30.0) -> int:
        return self.process.wait(seconds)


@contextmanager
def started(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Command]:
    out, err = folder / "out", folder / "err"
    with out.open("wb") as out_file, err.open("wb") as err_file:
        process = subprocess.Popen(
            [*HYPOTHEC, *arguments], stdout=out_file, stderr=err_file, env={**os.environ, **(env or {})}, cwd=folder
        )
    try:
        yield Command(process, out, err)
    finally:
        process.kill()
        process.wait()


def ran(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HYPOTHEC, *arguments], capture_output=True, text=True, check=False, cwd=cwd)


def survivors(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those of a family that are still there after a while; the dead that nobody has buried do not count."""
    _, alive = psutil.wait_procs(family, timeout=_SETTLE_S)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
