"""How long the user's first minute takes: the testnet's command as a user types it, anew and once installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chains.errors import HypothecError

_ARGUMENTS = ("--json", "--exit-when-done", "--base-port", "0")
_INSTALLED_WITHIN_S = 300
_FRESH_WITHIN_S = 1_200


class RunFailed(HypothecError):
    """The command that is measured did not succeed."""

    reason = "RUN_FAILED"


@dataclass(frozen=True, slots=True)
class Run:
    """Wall-clock seconds from the command to its end, everything cleaned up, and the outcome that it printed."""

    seconds: float
    outcome: dict[str, Any]


def installed() -> Run:
    """`hypothec testnet up` in this environment. Raises RunFailed."""
    return _timed(
        [sys.executable, "-P", "-m", "node.cli", "testnet", "up", *_ARGUMENTS], Path.cwd(), _INSTALLED_WITHIN_S
    )


def checkout() -> Path | None:
    """The git checkout that this code is in; None when it is installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / ".git").exists() and (root / "run").is_file() else None


def fresh(root: Path) -> Run:
    """Clone the checkout's HEAD and run its testnet, with every download. Raises RunFailed."""
    with tempfile.TemporaryDirectory(prefix="hypothec-fresh-") as folder:
        clone = Path(folder) / "hypothec"
        started = time.monotonic()
        _checked(["git", "clone", "--quiet", str(root), str(clone)], Path(folder), _FRESH_WITHIN_S)
        cloned = time.monotonic() - started
        run = _timed(["./run", "testnet", *_ARGUMENTS], clone, _FRESH_WITHIN_S)
        return Run(round(cloned + run.seconds, 1), run.outcome)


def _timed(command: Sequence[str], folder: Path, within_s: float) -> Run:
    started = time.monotonic()
    printed = _checked(command, folder, within_s)
    seconds = round(time.monotonic() - started, 1)
    return Run(seconds, json.loads(printed))


def _checked(command: Sequence[str], folder: Path, within_s: float) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise RunFailed(f"{command[0]} took longer than {within_s:g} s", command=" ".join(command)) from error
    if done.returncode != 0:
        raise RunFailed(f"{command[0]} failed: {done.stderr.strip()[-2000:]}", status=done.returncode)
    return done.stdout
