"""A simulated beacon chain over a local chain, and how nodes are told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chains.proofs.header import verify_header
from chains.types import ChainId, Hash32
from node.testnet.beacon.server import BeaconServer, simulated_network
from node.testnet.chain import LocalChain
from node.testnet.ports import HOST

MAX_AGE_S = 60
_NO_TRANSACTIONS = False


@dataclass(frozen=True, slots=True)
class LocalBeacon:
    """A running beacon node, and the block of it that nodes are told to trust."""

    chain_id: ChainId
    server: BeaconServer
    checkpoint: Hash32

    def toml(self) -> str:
        """A chain's beacon table, as `config.BeaconTable` reads it."""
        network = self.server.config
        forks = ", ".join(
            f'{fork.fork.name.lower()} = {{ epoch = {fork.epoch}, version = "0x{fork.version.hex()}" }}'
            for fork in network.forks
        )
        return f"""
[chains.beacon]
endpoints = ["{self.server.url}"]
checkpoint = "0x{self.checkpoint.hex()}"
max_age_s = {MAX_AGE_S}

[chains.beacon.network]
genesis_time = {network.genesis_time}
genesis_validators_root = "0x{network.genesis_validators_root.hex()}"
genesis_fork_version = "0x{network.genesis_version.hex()}"
seconds_per_slot = {network.seconds_per_slot}
slots_per_epoch = {network.slots_per_epoch}
epochs_per_sync_committee_period = {network.epochs_per_period}
sync_committee_size = {network.committee_size}
forks = {{ {forks} }}
"""


@asynccontextmanager
async def run_beacon(chain: LocalChain) -> AsyncIterator[LocalBeacon]:
    """A beacon node over `chain`, which mines a block a second from now on."""
    newest = verify_header(await chain.rpc("eth_getBlockByNumber", "latest", _NO_TRANSACTIONS))
    network = simulated_network(newest.number, newest.timestamp)
    async with BeaconServer(chain.url, network, newest.number, host=HOST) as server:
        yield LocalBeacon(chain.chain_id, server, await server.checkpoint())
