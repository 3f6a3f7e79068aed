"""After everything else: what the nodes' stores and the chains say of the whole run."""

from __future__ import annotations

import asyncio
from collections import Counter

import psutil
import pytest
from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from web3.types import FilterParams

from chains.proofs.keccak import keccak
from node.config import read_secret
from node.store.sqlite.store import open_store
from node.testnet.files import key_address
from node.testnet.nodes import NodeHandle
from tests.integration.chaos.harness import SEIZED, Chaos
from tests.integration.chaos.watch import store_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

_IDLE_S = 5.0
_WITHDRAWN = keccak(b"Withdrawn(bytes32,address,address,uint256,uint64,bytes32)")


async def test_what_a_node_costs_is_told(chaos: Chaos) -> None:
    await asyncio.gather(*(_cost(chaos, node) for node in chaos.net.nodes))


async def _cost(chaos: Chaos, node: NodeHandle) -> None:
    pid = node.process.pid
    assert pid is not None
    process = psutil.Process(pid)
    process.cpu_percent()
    await asyncio.sleep(_IDLE_S)
    chaos.figure(f"% of a core at a round each {chaos.net.options.round_ms} ms", process.cpu_percent())
    chaos.figure("resident MB of a node", process.memory_info().rss / 1e6)


async def test_nobody_signed_twice_and_nothing_was_done_twice(chaos: Chaos) -> None:
    """The stores, with no node running; then the chains."""
    await asyncio.gather(*(node.stop() for node in chaos.net.nodes))
    for node in chaos.net.nodes:
        chaos.journals.look_into(node)
        await _store_is_sound(chaos, node)
    chaos.figure("slots that were compared", chaos.journals.slots)
    chaos.figure("states that clients saw", len(chaos.watcher.states))
    for item in chaos.net.deployments:
        releases: Counter[tuple[bytes, ...]] = Counter()
        for event in (SEIZED, _WITHDRAWN):
            wanted: FilterParams = {
                "address": item.vault.address,
                "fromBlock": 0,
                "topics": [HexStr("0x" + event.hex())],
            }
            for log in await item.chain.web3.eth.get_logs(wanted):
                account, token = (bytes(topic) for topic in log["topics"][1:3])
                releases[account, token, bytes(log["data"])[32:64]] += 1  # by nonce
        assert releases, "the run had seizures"
        assert set(releases.values()) == {1}


async def _store_is_sound(chaos: Chaos, node: NodeHandle) -> None:
    async with open_store(store_of(node), chaos.net.network.network_id) as store:
        assert await store.bodies.evidence() == (), f"{node.name} has evidence of a double signature"
        loaded = await store.states.load()
        assert loaded is not None
        for sequence, state in chaos.watcher.states.items():
            kept = await store.states.header(sequence)
            assert kept is None or kept.header.hash() == state, f"{node.name} has another state {sequence}"
        sender = key_address(read_secret(node.config.parent / "keys" / "relay.key"))
        for item in chaos.net.deployments:
            sent = await item.chain.web3.eth.get_transaction_count(to_checksum_address(sender))
            written = await store.outbox.next_nonce(item.chain_id, sender)
            # What is written down has one purpose a nonce. Nothing is, when the store was lost and none was sent since.
            assert sent <= written or not written, f"{node.name} sent what it had not written down"
