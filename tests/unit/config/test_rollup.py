"""The rollup part of a chain's table: what the example shows is accepted, and each mistake in it is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chains.errors import ConfigError
from chains.proofs.rollup.layout import (
    BOLD,
    GAMES,
    IMPLEMENTATION,
    NODES,
    ORACLES,
    REGISTRIES,
    SECOND_IMPLEMENTATION,
    AssertionsRecipe,
    GamesRecipe,
    NodesRecipe,
    OracleRecipe,
    PinnedContract,
)
from chains.types import Address, Hash32, ProxyRecipe
from node.config import NodeConfig, RollupTable
from tests.shared import REPOSITORY

NOBODY, NOTHING = Address(bytes(20)), Hash32(bytes(32))
PIN = f'address = "0x{"00" * 20}"\ncode_hash = "0x{"00" * 32}"'
GAMES_HEAD = "[chains.rollup.games]"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The example, all of its parts in force."""
    folder = Path(shutil.copytree(REPOSITORY / "deploy" / "example", tmp_path / "node"))
    path = folder / "node.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.removeprefix("#") if line[:2] != "# " else line for line in lines))
    return path


def changed(file: Path, old: str, new: str) -> RollupTable:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    table = NodeConfig.load(file).file.chains[1].rollup
    assert table is not None
    return table


def another_way(file: Path, text: str) -> RollupTable:
    """The example with this instead of its games."""
    before = file.read_text()
    file.write_text(before[: before.index(GAMES_HEAD)])
    return changed(file, "[chains.rollup]", f"{text}\n[chains.rollup]")


def test_the_example_follows_dispute_games(file: Path) -> None:
    found = changed(file, "silence_s = 3600", "silence_s = 7").rollup
    behind = (ProxyRecipe(IMPLEMENTATION, NOBODY, NOTHING),)
    assert isinstance(found.contracts, GamesRecipe)
    assert found.contracts.factory == found.contracts.registry == PinnedContract(NOBODY, NOTHING, behind)
    assert found.contracts.registry_layout == REGISTRIES["anchor-state-registry"]
    assert found.contracts.games == {NOBODY: GAMES["fault-2"]}
    assert (found.chain_id, found.urls, found.silence, found.contracts.delay) == (1, (), 7, 302400)
    own = changed(file, "silence_s = 7", 'endpoints = ["http://a", "http://b", "http://c"]\nquorum = 2').rollup
    assert (own.urls, own.quorum) == (("http://a", "http://b", "http://c"), 2)


def test_the_other_ways(file: Path) -> None:
    text = file.read_text()
    oracle = another_way(
        file, f'[chains.rollup.oracle]\nlayout = "stored"\ndelay_s = 9\n[chains.rollup.oracle.oracle]\n{PIN}'
    )
    assert oracle.rollup.contracts == OracleRecipe(PinnedContract(NOBODY, NOTHING), ORACLES["stored"], 9)
    file.write_text(text)
    second = f'second = "0x{"00" * 20}"\nsecond_code_hash = "0x{"00" * 32}"'
    bold = another_way(file, f"[chains.rollup.assertions.rollup]\n{PIN}\n{second}")
    behind = (ProxyRecipe(SECOND_IMPLEMENTATION, NOBODY, NOTHING),)
    assert bold.rollup.contracts == AssertionsRecipe(PinnedContract(NOBODY, NOTHING, behind), BOLD)
    file.write_text(text)
    before = another_way(file, f"[chains.rollup.nodes.rollup]\n{PIN}\n{second}")
    assert before.rollup.contracts == NodesRecipe(PinnedContract(NOBODY, NOTHING, behind), NODES)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("l1 = 1", "l1 = 0", "l1"),
        ("silence_s = 3600", "silence_s = 0", "silence_s"),
        ("silence_s = 3600", "silence = 1", "silence"),
        ("silence_s = 3600", 'endpoints = ["http://a", "http://b"]\nquorum = 1', "majority"),
        ("silence_s = 3600", 'endpoints = ["http://a", "http://b"]\nquorum = 3', "majority"),
        ("silence_s = 3600", 'endpoints = ["http://a", "http://b"]', "majority"),
        ("silence_s = 3600", "quorum = 1", "majority"),
        ("l1 = 1", "l1 = 2", "endpoints of its L1, 2, which has no table"),
        ('layout = "fault-2"', 'layout = "fault-9"', "layout"),
        ('"anchor-state-registry"', '"portal"', "registry_layout"),
        ("delay_s = 302400", "", "delay_s"),
        (f'implementation_code_hash = "0x{"00" * 32}"', "", "with its code hash"),
        (GAMES_HEAD, f"[chains.rollup.assertions.rollup]\n{PIN}\n{GAMES_HEAD}", "one of games"),
        ("[chains.rollup.games.factory]\naddress", "[chains.rollup.games.factory]\nat", "factory"),
    ],
)
def test_a_mistake_is_named(file: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        changed(file, old, new)
