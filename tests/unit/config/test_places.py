"""Addresses, names and keys that do not belong together are found before anything is opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chains.errors import ConfigError
from node.app import run_node
from node.config import NodeConfig
from tests import kit
from tests.integration.node.harness import secret, write_network


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_network(tmp_path, 100)[0].config


def refusal(path: Path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        NodeConfig.load(path)
    return str(refused.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", ":1", "a b:1", ""])
def test_an_address_is_a_host_and_a_port(config: Path, address: str) -> None:
    known = NodeConfig.load(config).file.listen.venues
    assert "listen.venues: Value error, write host:port" in refusal(config, f'"{known}"', f'"{address}"')


def test_two_listeners_cannot_share_an_address(config: Path) -> None:
    listen = NodeConfig.load(config).file.listen
    assert f"not {listen.peers} twice" in refusal(config, f'"{listen.metrics}"', f'"{listen.peers}"')


def test_port_zero_is_whichever_is_free(config: Path) -> None:
    listen = NodeConfig.load(config).file.listen
    text = config.read_text()
    for address in (listen.metrics, listen.operator):
        text = text.replace(f'"{address}"', '"127.0.0.1:0"', 1)
    config.write_text(text)
    NodeConfig.load(config)


def test_a_peer_is_called_by_its_name_in_the_network(config: Path) -> None:
    assert "by its name in the network" in refusal(config, 'name = "node-2"', 'name = "node-3"')


def test_a_number_that_nobody_can_read_is_named(config: Path) -> None:
    assert "write TOML" in refusal(config, "index = 0", f"index = {'9' * 5000}")


async def test_a_chain_key_that_is_another_nodes_is_refused(config: Path) -> None:
    secret(config.parent / "chain.key", kit.key("node 1").secret)
    with pytest.raises(ConfigError, match="chain key"):
        await run_node(NodeConfig.load(config), asyncio.Event())
