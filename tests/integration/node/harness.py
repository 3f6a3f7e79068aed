"""Whole nodes in one process: real stores, real mTLS links and services, simulated chains.

The processes and the real chains are the testnet's; this is for what must be provoked from inside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from chains.proofs.keccak import keccak
from chains.simulated.adapter import simulated
from chains.simulated.endpoint import SimulatedChain
from chains.types import ChainId
from node.app import STORE_FILE, run_node
from node.config import NodeConfig
from node.margin.policy import Policy
from node.model.identity import Identity, Role, TlsMaterial
from node.peers.identity import create_authority, issue
from node.store.sqlite.store import initialise
from node.testnet.ports import free_port
from tests import kit

POLICY = kit.policy(text={"policy_timelock = 60": "policy_timelock = 0"})
LISTENERS = ("peers", "venues", "owners", "operator", "metrics")


@dataclass
class Place:
    """Where one node keeps its files and listens."""

    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in LISTENERS})

    @property
    def config(self) -> Path:
        return self.folder / "node.toml"


@dataclass
class Net:
    """A network of nodes that can be stopped and started one by one."""

    places: list[Place]
    chains: dict[ChainId, SimulatedChain]
    running: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = field(default_factory=dict)

    price_usd: int = 2000

    async def beat(self) -> None:
        """Blocks with fresh prices, as fast as real time asks for them."""
        while True:
            for chain_id, chain in self.chains.items():
                while chain.head.time < time.time() and not chain.halted:
                    chain.post(f"feed-{chain_id}", self.price_usd * kit.USD)
                    chain.post(f"vol-{chain_id}", 6 * kit.USD // 10)  # for policies that have the index
                    chain.mine()
            await asyncio.sleep(0.2)

    def operator(self, index: int) -> str:
        return f"127.0.0.1:{self.places[index].ports['operator']}"

    async def start(self, index: int) -> None:
        stop = asyncio.Event()
        config = NodeConfig.load(self.places[index].config)
        task = asyncio.create_task(run_node(config, stop, {"simulated": simulated(self.chains)}))
        self.running[index] = stop, task

    async def stop(self, index: int) -> None:
        stop, task = self.running.pop(index)
        stop.set()
        await task


def write_network(folder: Path, round_ms: int, n: int = 4, f: int = 1, policy: Policy = POLICY) -> list[Place]:
    """Keys, certificates and configuration of `n` nodes."""
    network = kit.network(n, f)
    now = datetime.now(UTC)
    authority = create_authority("tests", now)
    nodes = "".join(
        f'[[nodes]]\nname = "node-{index}"\nconsensus_key = "0x{node.consensus_key.hex()}"\n'
        f'signer = "0x{node.signer.hex()}"\n'
        for index, node in enumerate(network.nodes)
    )
    signers = ", ".join(f'"0x{signer.hex()}"' for signer in network.policy_signers)
    (folder / "network.toml").write_text(
        f'schema_version = 1\nnetwork_id = "0x{network.network_id.hex()}"\nf = {f}\nround_ms = {round_ms}\n'
        f"policy_signers = [{signers}]\npolicy_threshold = {network.policy_threshold}\n{nodes}"
    )
    (folder / "policy.toml").write_bytes(policy.body)
    demo = issue(authority, Identity(Role.VENUE, "demo"), (), now)
    for name, part in (("authority", demo.authority), ("certificate", demo.certificate), ("key", demo.key)):
        (folder / f"venue-{name}.pem").write_bytes(part)
    places = [Place(folder / f"node-{index}") for index in range(n)]
    for index, place in enumerate(places):
        place.folder.mkdir()
        tls = issue(authority, Identity(Role.NODE, f"node-{index}"), ["127.0.0.1"], now)
        (place.folder / "authority.pem").write_bytes(tls.authority)
        (place.folder / "node.pem").write_bytes(tls.certificate)
        (place.folder / "node.key").write_bytes(tls.key)
        secret(place.folder / "consensus.key", keccak(b"node %d" % index))
        secret(place.folder / "chain.key", kit.key(f"node {index}").secret)
        (place.folder / "data").mkdir()
        initialise(place.folder / "data" / STORE_FILE, kit.NETWORK_ID)
        place.config.write_text(_node_toml(index, places))
    return places


def venue_tls(folder: Path) -> TlsMaterial:
    """The certificate of the kit's venue."""
    return TlsMaterial(*((folder / f"venue-{name}.pem").read_bytes() for name in ("authority", "certificate", "key")))


def secret(path: Path, key: bytes) -> None:
    path.write_text(key.hex())
    path.chmod(0o600)


def _node_toml(index: int, places: list[Place]) -> str:
    listen = "\n".join(f'{name} = "127.0.0.1:{port}"' for name, port in places[index].ports.items())
    peers = "".join(
        f'[[peers]]\nindex = {other}\nname = "node-{other}"\naddress = "127.0.0.1:{place.ports["peers"]}"\n'
        for other, place in enumerate(places)
        if other != index
    )
    chains = "".join(
        f'[[chains]]\nid = {chain_id}\nendpoints = ["http://127.0.0.1:1"]\nquorum = 1\npoll_ms = 50\n'
        for chain_id in (kit.ONE, kit.TEN)
    )
    return (
        f'schema_version = 1\nname = "node-{index}"\nindex = {index}\ndata_dir = "data"\n'
        'network = "../network.toml"\npolicy = "../policy.toml"\n'
        'consensus_key = "consensus.key"\nchain_key = "chain.key"\n'
        '[tls]\nauthority = "authority.pem"\ncertificate = "node.pem"\nkey = "node.key"\n'
        f"[listen]\n{listen}\n{peers}{chains}"
    )


@asynccontextmanager
async def network_of_nodes(folder: Path, round_ms: int = 100, policy: Policy = POLICY) -> AsyncIterator[Net]:
    """Four nodes on two simulated chains, all started; every one that still runs is stopped at the end."""
    start = int(time.time())
    chains = {chain_id: SimulatedChain(chain_id, start=start) for chain_id in (kit.ONE, kit.TEN)}
    net = Net(write_network(folder, round_ms, policy=policy), chains)
    beat = asyncio.create_task(net.beat())
    try:
        for index in range(len(net.places)):
            await net.start(index)
        yield net
    finally:
        for index in list(net.running):
            await net.stop(index)
        beat.cancel()


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `condition` holds; fail with it when it never does."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it never came about"
        await asyncio.sleep(0.02)
