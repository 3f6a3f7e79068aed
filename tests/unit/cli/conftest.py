"""The command as a user has it: arguments in; exit status, stdout and stderr out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from node.cli import main


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Hypothec = Callable[..., Ran]


@pytest.fixture
def hypothec(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hypothec:
    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["hypothec", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run
