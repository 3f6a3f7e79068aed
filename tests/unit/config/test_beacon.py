"""The beacon part of a chain's table: what the example shows is accepted, and each mistake in it is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chains.errors import ConfigError
from chains.proofs.lightclient.config import MAINNET, Fork
from node.config import NodeConfig
from tests.shared import REPOSITORY

ROOT = "0x" + "00" * 32
CUSTOM = (
    f'network = {{ genesis_time = 1700000000, genesis_validators_root = "{ROOT}", genesis_fork_version = "0x00000001", '
    "seconds_per_slot = 6, slots_per_epoch = 8, epochs_per_sync_committee_period = 8, sync_committee_size = 32, "
    'forks = { altair = { epoch = 0, version = "0x01000001" }, electra = { epoch = 4, version = "0x05000001" } } }'
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The example, its beacon part in force."""
    folder = Path(shutil.copytree(REPOSITORY / "deploy" / "example", tmp_path / "node"))
    path = folder / "node.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.removeprefix("#") if line[:2] != "# " else line for line in lines))
    return path


def changed(file: Path, old: str, new: str) -> NodeConfig:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return NodeConfig.load(file)


def test_the_example_follows_mainnet(file: Path) -> None:
    table = NodeConfig.load(file).file.chains[0].beacon
    assert table is not None
    assert table.network == MAINNET
    assert table.checkpoint == bytes(32)
    assert (len(table.endpoints), table.max_age_s) == (2, 2400)


def test_a_network_of_ones_own_is_a_table(file: Path) -> None:
    table = changed(file, 'network = "mainnet"', CUSTOM).file.chains[0].beacon
    assert table is not None
    assert table.network.committee_size == 32
    assert [(fork.fork, fork.epoch) for fork in table.network.forks] == [(Fork.ALTAIR, 0), (Fork.ELECTRA, 4)]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('network = "mainnet"', 'network = "sepolia"', "chain 11155111, not of 1"),
        ('network = "mainnet"', 'network = "holesky"', "no network that is known"),
        ('network = "mainnet"', "network = 1", "network"),
        ('network = "mainnet"', CUSTOM.replace("altair", "bellatrix"), "from Altair on"),
        ('network = "mainnet"', CUSTOM.replace("electra", "osaka"), "osaka"),
        ('network = "mainnet"', CUSTOM.replace("size = 32", "size = 31"), "8, 16"),
        ('network = "mainnet"', "", "network"),
        (f'checkpoint = "{ROOT}"', 'checkpoint = "0x00"', "checkpoint"),
        (f'checkpoint = "{ROOT}"', "", "checkpoint"),
        ("max_age_s = 2400", "max_age_s = 0", "max_age_s"),
        ("max_age_s = 2400", "max_age = 1", "max_age"),
        ('endpoints = ["http://127.0.0.1:5052", "https://beacon.one.example"]', "endpoints = []", "endpoints"),
    ],
)
def test_a_mistake_is_named(file: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        changed(file, old, new)
