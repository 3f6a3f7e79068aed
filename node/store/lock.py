"""A lock that one process at a time can hold on a path: two processes with one key would sign twice.

The kernel drops it when the process ends, however it ends. Must not know what is being protected.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from node.store.errors import StoreLocked, StoreUnwritable


class ProcessLock:
    """Held from construction until `release`, or the end of the `with` block.

    Raises StoreLocked, with the pid of the holder, or StoreUnwritable. The file stays behind: removing it would let two
    processes hold locks on two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnwritable("let the node write its lock file", path=path, error=error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise StoreLocked("stop the process that holds the lock first", path=path, pid=holder) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next process in."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
