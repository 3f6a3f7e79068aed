"""Finds anvil: the binary that npm installed, or whichever the user names."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from node.testnet.errors import ToolMissing

VARIABLE = "HYPOTHEC_ANVIL"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def find_anvil() -> Path:
    """$HYPOTHEC_ANVIL; else node_modules at or above the working folder or this file; else $PATH.

    The npm package's native binary is taken, not its Node.js wrapper, which would be a process more.
    Raises ToolMissing.
    """
    if named := os.environ.get(VARIABLE):
        if not _runs(Path(named)):
            raise ToolMissing(f"anvil is missing: let {VARIABLE} name an executable file, or unset it", value=named)
        return Path(named)
    for folder in _folders():
        if _runs(binary := folder / "node_modules" / "@foundry-rs" / _package() / "bin" / "anvil"):
            return binary
    if found := shutil.which("anvil"):
        return Path(found)
    raise ToolMissing(
        f"anvil is missing: run `npm ci` in the project's folder (./run setup does it), or set {VARIABLE} to its path",
        package=f"@foundry-rs/{_package()}",
    )


def _package() -> str:
    machine = platform.machine().lower()
    return f"anvil-{sys.platform}-{_MACHINES.get(machine, machine)}"


def _folders() -> Iterator[Path]:
    here, package = Path.cwd(), Path(__file__).resolve().parent
    yield from (here, *here.parents, *package.parents)


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
