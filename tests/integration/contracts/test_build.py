"""The checked-in artifacts are what the sources give, and a stale one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from chains.evm.contracts import build

HEAD = "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n"
WRONG = HEAD + "contract Sample { uint256 x = true; }"
DOUBTFUL = HEAD + "contract Sample { function f() external { uint256 unused; } }"
SOUND = HEAD + "contract Sample { struct S { uint8 a; } uint256 public immutable x = 1; mapping(uint256 => S) m; }"


@pytest.fixture(scope="module")
def wanted() -> dict[Path, str]:
    return build.build()


@pytest.mark.slow
def test_they_are_current(wanted: dict[Path, str]) -> None:
    assert build.stale(wanted) == []


@pytest.mark.slow
def test_stale_missing_and_foreign_ones_are_told(
    wanted: dict[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "ARTIFACTS", tmp_path)
    texts = {tmp_path / path.name: text for path, text in wanted.items()}
    monkeypatch.setattr(build, "build", lambda: texts)
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0
    (tmp_path / "PriceFeed.json").write_text("{}")
    (tmp_path / "TestToken.json").unlink()
    (tmp_path / "Foreign.json").write_text("{}")
    capsys.readouterr()
    assert build.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "PriceFeed.json, TestToken.json, Foreign.json" in told
    assert "run `python -m chains.evm.contracts.build`" in told
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0


def test_unknown_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--chekc"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("source", [WRONG, DOUBTFUL], ids=["error", "warning"])
def test_errors_and_warnings_stop_the_build(source: str) -> None:
    with pytest.raises(build.BuildError, match=r"Sample\.sol:3"):
        build.compile_sources({"Sample.sol": source})


def test_node_numbers_are_left_out() -> None:
    compiled = build.compile_sources({"Sample.sol": SOUND})["Sample"]
    assert list(compiled["immutables"]) == ["x"]
    (variable,) = compiled["storage"]
    assert variable["type"] == "mapping(uint256 => struct Sample.S)"
    assert [member["label"] for member in variable["members"]] == ["a"]


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "NODE_MODULES", tmp_path)
    with pytest.raises(build.BuildError, match="npm ci"):
        build.compile_sources({})
