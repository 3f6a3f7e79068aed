from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.unit.cli.conftest import Hypothec

HEAVY = ("grpc", "web3", "numpy", "aiohttp", "coincurve", "eth_account", "cryptography", "node.app")


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("testnet", "up"),
        ("node", "run"),
        ("node", "init"),
        ("keys", "consensus"),
        ("keys", "certificate"),
        ("query", "health"),
        ("verify",),
        ("proof", "verify"),
        ("bench", "e2e"),
        ("bench", "proofs"),
    ],
)
def test_every_command_explains_itself(hypothec: Hypothec, command: tuple[str, ...]) -> None:
    ran = hypothec(*command, "--help")
    assert (ran.status, ran.err) == (0, "")
    assert "Usage: hypothec" in ran.out


def test_help_loads_nothing_that_only_commands_need() -> None:
    ask = f"import sys, node.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_terminal_that_lacks_our_letters_shows_them_escaped() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    for command, letter in ((("margin", "profiles"), r"\u03a3"), (("proof", "verify", "--help"), r"\u2026")):
        ran = subprocess.run(
            [sys.executable, "-m", "node.cli", *command],
            env=environment,
            capture_output=True,
            encoding="latin-1",
            check=True,
        )
        assert letter in ran.stdout


def test_the_version_is_that_of_the_package(hypothec: Hypothec) -> None:
    assert hypothec("--version").out.strip() == version("hypothec")


def test_an_unknown_option_is_a_usage_error(hypothec: Hypothec) -> None:
    ran = hypothec("testnet", "up", "--nodse", "4")
    assert ran.status == 2
    assert "--nodse" in ran.err
