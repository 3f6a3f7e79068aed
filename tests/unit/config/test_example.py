"""The configuration that operators start from is one that a node accepts, and each mistake in it is named."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from chains.errors import ConfigError
from node.config import NodeConfig, load_network, read_secret
from tests.shared import REPOSITORY

EXAMPLE = REPOSITORY / "deploy" / "example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "node"))


def changed(folder: Path, file: str, old: str, new: str) -> Path:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    return folder / "node.toml"


def test_the_example_is_a_node_of_a_network_of_four() -> None:
    config = NodeConfig.load(EXAMPLE / "node.toml")
    assert (config.network.n, config.network.f, config.network.quorum) == (4, 1, 3)
    assert set(config.policy.recipe_by_chain) == {1, 10}
    assert config.path("data") == EXAMPLE / "data"
    assert load_network(EXAMPLE / "network.toml") == config.network


def test_an_endpoint_may_have_terms(folder: Path) -> None:
    old, new = '"https://rpc.two.example/key"]', '{url = "https://rpc.two.example/key", per_second = 20, weight = 2}]'
    chain = NodeConfig.load(changed(folder, "node.toml", old, new)).file.chains[0]
    assert chain.urls[-1] == "https://rpc.two.example/key"
    assert [(item.per_second, item.weight) for item in chain.endpoints] == [(math.inf, 1), (math.inf, 1), (20, 2)]


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("node.toml", "index = 0", "index = 1", "index"),
        ("node.toml", 'name = "node-a"', 'name = "node-z"', "index"),
        ("node.toml", "index = 3", "index = 2", "peer"),
        ("node.toml", "quorum = 2", "quorum = 4", "quorum"),
        ("node.toml", "id = 10", "id = 11", "endpoints"),
        ("node.toml", '"http://127.0.0.1:8545"', '{url = "http://x", per_second = 0}', "per_second"),
        ("node.toml", '"http://127.0.0.1:8545"', "{per_second = 1}", "url"),
        ("node.toml", '"http://127.0.0.1:8545"', "8545", "endpoints"),
        ("node.toml", "poll_ms = 1000", "poll_ms = 0", "poll_ms"),
        ("node.toml", 'data_dir = "data"', "", "data_dir"),
        ("node.toml", "schema_version = 1", "schema_version = 2", "schema_version"),
        ("node.toml", "schema_version = 1", "schema_version = 1\nunknown = 1", "unknown"),
        ("node.toml", "schema_version = 1", "schema_version = ", "TOML"),
        ("network.toml", "f = 1", "f = 2", "3f+1"),
        ("network.toml", "policy_threshold = 2", "policy_threshold = 3", "policy"),
        ("network.toml", 'consensus_key = "0x', 'consensus_key = "0', "consensus_key"),
        ("policy.toml", "version = 1", "version = 1.5", "version"),
        ("policy.toml", 'underlying = "ETH"', 'underlying = "BTC"', "BTC"),
    ],
)
def test_a_mistake_is_named(folder: Path, file: str, old: str, new: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("+", r"\+")):
        NodeConfig.load(changed(folder, file, old, new))


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "policy.toml").unlink()
    with pytest.raises(ConfigError, match=r"policy\.toml"):
        NodeConfig.load(folder / "node.toml")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_text("11" * 32)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_secret(path)
    path.chmod(0o600)
    assert read_secret(path) == b"\x11" * 32
    path.write_text("11" * 31)
    with pytest.raises(ConfigError, match="64 hex digits"):
        read_secret(path)
