"""What the testnet writes is what nodes read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from chains.errors import ConfigError
from chains.types import NATIVE_COIN, ChainId, Hash32
from node.config import NodeConfig, load_network, read_secret
from node.margin.policy import Policy
from node.testnet.chain import LocalChain
from node.testnet.deployment import ASSETS, FIRST_ANSWERS, DemoAsset, Deployment
from node.testnet.files import NetworkFolder, NodeSecrets, key_address, network_toml, new_network, policy_toml
from node.testnet.ports import NodePorts

CODE_HASH = Hash32(b"\x07" * 32)
PORTS = [NodePorts(*range(first, first + 5)) for first in (100, 200, 300, 400)]


@dataclass(frozen=True)
class FakeContract:
    address: str


@dataclass(frozen=True)
class FakeChain:
    chain_id: ChainId
    endpoints: tuple[str, ...] = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")


@dataclass(frozen=True)
class FakeDeployment:
    chain_id: ChainId
    from_height: int = 3
    verifier: FakeContract = FakeContract("0x" + "aB" * 20)
    vault: FakeContract = FakeContract("0x" + "cD" * 20)
    vault_code_hash: Hash32 = CODE_HASH
    token_code_hash: Hash32 = CODE_HASH

    @property
    def feeds(self) -> dict[str, FakeContract]:
        return {name: FakeContract("0x" + f"{number:02x}" * 20) for number, name in enumerate(FIRST_ANSWERS, 1)}

    @property
    def feed_code_hash(self) -> dict[str, Hash32]:
        return dict.fromkeys(FIRST_ANSWERS, CODE_HASH)

    def place(self, asset: DemoAsset) -> bytes:
        return NATIVE_COIN if asset is ASSETS[0] else b"\x09" * 20


def deployments(*chains: int) -> list[Deployment]:
    return cast("list[Deployment]", [FakeDeployment(ChainId(chain)) for chain in chains])


@pytest.fixture
def keys() -> list[NodeSecrets]:
    return [NodeSecrets.new() for _ in range(4)]


def test_a_network_reads_back_as_it_was(tmp_path: Path, keys: list[NodeSecrets]) -> None:
    network = new_network(keys, 250)
    (tmp_path / "network.toml").write_text(network_toml(network))
    read = load_network(tmp_path / "network.toml")
    assert read == network
    assert read.digest == network.digest
    assert (read.n, read.f, read.round_ms) == (4, 1, 250)


def test_two_sources_price_each_asset_where_there_are_two_chains() -> None:
    venue = key_address(b"\x01" * 32)
    policy = Policy.parse(policy_toml(deployments(5, 6), venue).encode())
    assert policy.venue_by_id["demo"].signer == venue
    assert {asset.min_sources for asset in policy.assets} == {2}
    recipe = policy.recipe_by_chain[ChainId(6)]
    assert (recipe.kind, recipe.from_height, recipe.vault) == ("evm", 3, b"\xcd" * 20)
    assert [feed.source for feed in recipe.feeds] == ["ETH-6", "BTC-6", "ETH-VOL-6"]
    assert policy.margin is not None
    assert policy.asset_by_id["ETH"].volatility == "ETH-VOL"
    assert policy.contract("ETH-25DEC26-3000-C") is not None
    assert {asset.min_sources for asset in Policy.parse(policy_toml(deployments(5), venue).encode()).assets} == {1}


def test_a_network_of_one_has_no_peers(tmp_path: Path) -> None:
    keys = [NodeSecrets.new()]
    folder = NetworkFolder(tmp_path)
    folder.write_network(new_network(keys, 500))
    folder.write_policy(deployments(5), key_address(b"\x01" * 32))
    chains = cast("list[LocalChain]", [FakeChain(ChainId(5))])
    path = folder.write_node(0, keys[0], PORTS[:1], chains, new_network(keys, 500))
    assert NodeConfig.load(path).file.peers == ()


def test_a_nodes_folder_is_all_that_it_needs(tmp_path: Path, keys: list[NodeSecrets]) -> None:
    network = new_network(keys, 500)
    chains: Any = [FakeChain(ChainId(5)), FakeChain(ChainId(6))]
    folder = NetworkFolder(tmp_path)
    folder.write_network(network)
    folder.write_policy(deployments(5, 6), key_address(b"\x01" * 32))
    path = folder.write_node(2, keys[2], PORTS, cast("list[LocalChain]", chains), network)
    config = NodeConfig.load(path)
    assert (config.file.name, config.file.index, config.network) == ("node-2", 2, network)
    assert config.file.listen.operator == "127.0.0.1:303"
    assert [peer.address for peer in config.file.peers] == ["127.0.0.1:100", "127.0.0.1:200", "127.0.0.1:400"]
    assert config.file.chains[0].urls == chains[0].endpoints
    assert read_secret(config.path(config.file.consensus_key)) == keys[2].consensus
    assert read_secret(config.path(config.file.chain_key)) == keys[2].chain
    assert config.path(config.file.data_dir).joinpath("node.sqlite").is_file()
    with pytest.raises(ConfigError, match="never overwritten"):
        folder.write_node(2, keys[2], PORTS, cast("list[LocalChain]", chains), network)
