"""What a rollup's settlement rests on: its L1's light client where the node has one, else a quorum, as it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from chains.adapter import Beacon, Endpoints, Rollup, Settlement
from chains.errors import ConfigError
from chains.evm.adapter import EvmAdapter
from chains.evm.endpoint import Limits
from chains.evm.pool import Quarantine
from chains.evm.proxy import Lie, LyingProxy
from chains.types import Address, Assurance, ChainId, ChainRecipe, EndpointFault, Hash32, Height, UnixSeconds
from node.testnet.beacon.server import BeaconLie, BeaconServer, simulated_network
from tests.integration.evm.harness import FINALITY
from tests.integration.evm.l1 import L1_ID, L2_ID, Layers, running

pytestmark = pytest.mark.timeout(180)  # the first compiles the contracts

MAX_AGE = 60
PATIENCE = 20.0
_NOBODY = Address(bytes(20))
PROVEN, ATTESTED = Assurance.PROVEN, Assurance.ATTESTED


@pytest.fixture
def layers() -> Iterator[Layers]:
    with running(L1_ID) as l1, running(L2_ID) as l2:
        found = Layers(*l1, *l2)
        found.resolve(found.play(4))
        found.pass_delay()
        yield found


def recipe(chain_id: ChainId) -> ChainRecipe:
    """Of a vault that nobody asks about here."""
    return ChainRecipe(chain_id, "evm", _NOBODY, Hash32(bytes(32)), _NOBODY, Height(0), 1, (), ())


@dataclass
class Node:
    """A node's adapters, of the rollup and perhaps of its L1. Time is the beacon chain's, plus `late` seconds."""

    layers: Layers
    beacon: BeaconServer
    checkpoint: Hash32
    folder: Path
    faults: list[EndpointFault] = field(default_factory=list)
    late: int = 0

    def now(self) -> float:
        return float(self.beacon.time + self.late)

    @asynccontextmanager
    async def follows(self, *l1_urls: str, light: bool = True) -> AsyncIterator[EvmAdapter]:
        """The rollup's adapter. Without `l1_urls`, those of the L1's own adapter are asked."""
        limits, quarantine = Limits(seconds=10.0, answer_bytes=1 << 20), Quarantine(0.05, 0.05, 0.05)
        adapter = partial(EvmAdapter, faults=self.faults.append, limits=limits, quarantine=quarantine, now=self.now)
        async with AsyncExitStack() as opened:
            l1 = None
            if light:
                source = Beacon(
                    (self.beacon.url,),
                    self.beacon.config,
                    self.checkpoint,
                    self.folder / "state.json",
                    b"\7" * 32,
                    MAX_AGE,
                )
                endpoints = Endpoints((self.layers.l1_url,), 1, beacon=source)
                l1 = await opened.enter_async_context(adapter(recipe(L1_ID), endpoints))
            quorum = len(l1_urls) // 2 + 1 if l1_urls else 0
            rollup = Rollup(L1_ID, l1_urls, quorum, self.layers.by_games, every=0.05, l1=l1)
            endpoints = Endpoints((self.layers.l2_url,), 1, rollup=rollup)
            yield await opened.enter_async_context(adapter(recipe(L2_ID), endpoints))


@pytest.fixture
async def node(layers: Layers, tmp_path: Path) -> AsyncIterator[Node]:
    height = Height(layers.l1.web3.eth.block_number)
    network = simulated_network(height, UnixSeconds(layers.l1.now()))
    async with BeaconServer(layers.l1_url, network, height) as beacon:
        yield Node(layers, beacon, await beacon.checkpoint(), tmp_path)


async def until(adapter: EvmAdapter, holds: Callable[[Settlement], bool]) -> Settlement:
    async with asyncio.timeout(PATIENCE):
        while (found := adapter.settlement) is None or not holds(found):  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(0.05)
        return found


def mine(layers: Layers) -> None:
    layers.l1.pass_to(layers.l1.now() + 2)
    layers.l1.rpc("anvil_mine", hex(FINALITY))


def final(layers: Layers) -> int:
    return int(layers.l1.web3.eth.block_number) - FINALITY


async def test_what_l1_has_settled_is_proven_where_the_node_has_its_light_client(node: Node) -> None:
    async with node.follows() as adapter:
        mine(node.layers)
        height = final(node.layers)
        found = await until(adapter, lambda found: found.l1_height == height)
        assert found.l1_assurance is PROVEN
        assert found.passed is not None
        assert found.passed.height == 4
        assert len(adapter.standings()) == 1, "the L1's endpoints stand with the L1"
    assert node.faults == []


async def test_a_lying_quorum_of_l1_endpoints_is_caught_named_and_not_followed(node: Node) -> None:
    async with LyingProxy(node.layers.l1_url) as one, LyingProxy(node.layers.l1_url) as two:
        one.lie = two.lie = Lie.FORGED_HEADER
        urls = one.url, two.url, node.layers.l1_url
        async with node.follows(*urls) as adapter:
            mine(node.layers)
            height = final(node.layers)
            found = await until(adapter, lambda found: found.l1_height == height)
            assert (found.l1_assurance, found.passed is not None) == (PROVEN, True)
            liars = {"l1 " + url.removeprefix("http://") for url in urls[:2]}
            async with asyncio.timeout(PATIENCE):
                while not liars <= {fault.endpoint for fault in node.faults if fault.chain_id == L2_ID}:
                    mine(node.layers)
                    await asyncio.sleep(0.1)
            standings = {each.name: each for each in adapter.standings()}
            assert liars < set(standings)
            assert all(standings[name].lies for name in liars)
    assert {fault.reason for fault in node.faults} == {"WRONG_HEADER"}


async def test_without_its_beacon_node_a_quorum_attests_l1_and_it_says_so(node: Node) -> None:
    async with node.follows() as adapter:
        await until(adapter, lambda found: found.l1_assurance is PROVEN)
        node.beacon.lie = BeaconLie.HTTP_500
        node.late = MAX_AGE + 1
        mine(node.layers)
        height = final(node.layers)
        found = await until(adapter, lambda found: found.l1_height == height)
        assert (found.l1_assurance, found.passed is not None) == (ATTESTED, True)
        assert "LIGHT_CLIENT_BEHIND" in {fault.reason for fault in node.faults}
        node.beacon.lie, node.late = None, 0
        mine(node.layers)
        height = final(node.layers)
        await until(adapter, lambda found: found.l1_height == height and found.l1_assurance is PROVEN)


async def test_without_a_light_client_l1_is_attested_and_who_said_what_is_kept(node: Node) -> None:
    async with LyingProxy(node.layers.l1_url) as liar:
        liar.lie = Lie.FORGED_HEADER
        urls = liar.url, node.layers.l1_url, node.layers.l1_url.replace("127.0.0.1", "localhost")
        async with node.follows(*urls, light=False) as adapter:
            assert (await until(adapter, lambda _: True)).l1_assurance is ATTESTED
            (differed,) = adapter.disagreements()
            assert [name for name, block in differed.said if block != differed.agreed] == [
                "l1 " + liar.url.removeprefix("http://")
            ]
            assert all(name.startswith("l1 ") for name, _ in differed.said)
            assert [(fault.endpoint, fault.reason) for fault in node.faults] == [
                ("l1 " + liar.url.removeprefix("http://"), "DISAGREES")
            ]


async def test_a_rollup_whose_l1_nobody_follows_needs_endpoints_of_it(node: Node) -> None:
    with pytest.raises(ConfigError, match="endpoints of its L1"):
        async with node.follows(light=False):
            pass
