from __future__ import annotations

from pathlib import Path

import pytest

from node.testnet import tools
from node.testnet.errors import ToolMissing


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without anvil; returns an empty folder."""
    monkeypatch.delenv(tools.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(tools, "_folders", lambda: iter([tmp_path]))
    return tmp_path


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def npm(folder: Path) -> Path:
    return folder / "node_modules" / "@foundry-rs" / tools._package() / "bin" / "anvil"


@pytest.mark.usefixtures("nothing")
def test_without_anvil_it_says_how_to_get_it() -> None:
    with pytest.raises(ToolMissing, match=r"anvil is missing.*npm ci.*HYPOTHEC_ANVIL"):
        tools.find_anvil()


def test_the_binary_of_npm_comes_before_the_path(nothing: Path) -> None:
    on_path = program(nothing / "bin" / "anvil")
    assert tools.find_anvil() == on_path
    assert tools.find_anvil() != program(npm(nothing))
    assert tools.find_anvil() == npm(nothing)


def test_the_variable_comes_first(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(npm(nothing))
    monkeypatch.setenv(tools.VARIABLE, str(program(nothing / "mine")))
    assert tools.find_anvil() == nothing / "mine"


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_variable_that_names_no_program_is_no_program(
    nothing: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    program(npm(nothing))
    if mode is not None:
        program(nothing / "mine", mode)
    monkeypatch.setenv(tools.VARIABLE, str(nothing / "mine"))
    with pytest.raises(ToolMissing, match="mine"):
        tools.find_anvil()
