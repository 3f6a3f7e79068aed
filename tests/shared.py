"""Real data that nobody here made, read where it lies: beside the repository or where HYPOTHEC_SHARED says.

Owns the one rule for what a machine may lack: without it a test is skipped, except under CI, where it fails.
"""

import os
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


class MissingRequirement(Exception):
    """Under CI: what a test needs is not on this machine."""


def unavailable(what: str) -> NoReturn:
    """Skip the calling test or module because of `what`; with CI=true raise MissingRequirement instead."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        raise MissingRequirement(what)
    pytest.skip(what, allow_module_level=True)


def shared(name: str) -> Path:
    """Return the path of a shared file or folder, such as "vectors/proofs".

    Unavailable when there is no shared folder at all; a name that it does not have is a mistake in the test, and
    raises FileNotFoundError.
    """
    root = Path(os.environ.get("HYPOTHEC_SHARED") or REPOSITORY.parent / "shared")
    if not root.is_dir():
        unavailable(f"no shared data at {root}; set HYPOTHEC_SHARED to the folder that holds vectors/")
    path = root / name
    if not path.exists():
        raise FileNotFoundError(f"{root} has no {name}")
    return path
