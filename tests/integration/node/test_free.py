"""Four whole nodes report what an owner's wallet holds, for as long as the owner has it watched."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from chains.types import Hash32
from hypothec.client import AccountAnswer, OwnerClient, VenueClient
from node.cli import app
from node.config import load_network
from node.model.network import Network
from node.model.requests import OwnerRequest
from tests import kit
from tests.integration.node.harness import Net, network_of_nodes
from tests.integration.node.test_network import eventually, reaches
from tests.kit import ETHER, ONE, TEN, TOKEN

FREE = kit.policy(text={"policy_timelock = 60": "policy_timelock = 0", **kit.FREE})
OWN, SHARED = kit.address("alice"), kit.address("shared")


def network(net: Net) -> Network:
    return load_network(net.places[0].folder.parent / "network.toml")


async def ask(net: Net, request: OwnerRequest) -> None:
    """Hand a request in at one node, and wait until the network granted it."""
    async with OwnerClient(net.operator(1), network(net), None) as node:
        digest: Hash32 = await node.submit(request)
        decided = await eventually(lambda: node.get_decision(request.account, digest), lambda found: not found.pending)
    assert decided.decision is not None
    assert decided.decision.reason == ""


async def shown(net: Net, index: int, owner: kit.Owner, *expected: tuple[int, bytes, int]) -> AccountAnswer:
    """The node's verified answer once it shows so much, by chain, wallet and amount."""

    def free(answer: AccountAnswer) -> list[tuple[int, bytes | None, int]]:
        return [(line.chain_id, line.wallet, line.amount) for line in answer.health.free]

    async with VenueClient(net.operator(index), network(net), None) as node:
        return await eventually(lambda: node.get_health(owner.account), lambda found: free(found) == list(expected))


async def test_what_a_watched_wallet_holds_is_in_every_nodes_answer(tmp_path: Path) -> None:
    owner = kit.Owner()
    async with network_of_nodes(tmp_path, policy=FREE) as net:
        await reaches(net, 0, 2)
        one, ten = net.chains[ONE], net.chains[TEN]
        one.deposit(owner.account, TOKEN, ETHER)
        for wallet, chain, amount in ((OWN, one, 3 * ETHER), (OWN, ten, 5), (SHARED, one, 7)):
            chain.give(wallet, TOKEN, amount)
        await ask(net, owner.link())
        await ask(net, owner.link("shared"))
        async with VenueClient(net.operator(0), network(net), None) as node:
            await eventually(lambda: node.get_health(owner.account), lambda found: bool(found.health.holdings))
        await ask(net, owner.watch(OWN))
        await shown(net, 0, owner, (ONE, OWN, 3 * ETHER))
        await ask(net, owner.watch(SHARED))
        await ask(net, owner.watch(OWN, TEN))
        both = sorted([(ONE, OWN, 3 * ETHER), (ONE, SHARED, 7)])
        for index in range(4):
            await shown(net, index, owner, *both, (TEN, OWN, 5))
        one.give(OWN, TOKEN, -ETHER)  # spent, and nobody could have helped it
        spent = sorted([(ONE, OWN, 2 * ETHER), (ONE, SHARED, 7)])
        found = await shown(net, 2, owner, *spent, (TEN, OWN, 5))
        assert found.health.maintenance_excess.high == 1_800 * kit.USD  # what is in the vault, and nothing else
        asked = ["query", "health", "0x" + owner.account.hex(), "--node", net.operator(3)]
        asked += ["--network", str(tmp_path / "network.toml"), "--save", str(tmp_path / "answer.json")]
        ran = await asyncio.to_thread(CliRunner().invoke, app, asked)
        amounts = [str(line.amount) for line in found.health.free]
        assert [line["amount"] for line in json.loads(ran.stdout)["free"]] == amounts
        saved = ["verify", str(tmp_path / "answer.json"), "--network", str(tmp_path / "network.toml")]
        offline = CliRunner().invoke(app, saved)
        assert [line["amount"] for line in json.loads(offline.stdout)["accounts"][0]["free"]] == amounts
        await ask(net, owner.unlink(SHARED))
        await ask(net, owner.watch(OWN, watched=False))
        await shown(net, 3, owner, (TEN, OWN, 5))


async def test_a_node_that_was_away_votes_with_the_others_again(tmp_path: Path) -> None:
    owner = kit.Owner()
    async with network_of_nodes(tmp_path, policy=FREE) as net:
        await reaches(net, 0, 2)
        net.chains[ONE].deposit(owner.account, TOKEN, ETHER)
        net.chains[ONE].give(OWN, TOKEN, 3)
        await ask(net, owner.link())
        async with VenueClient(net.operator(0), network(net), None) as node:
            await eventually(lambda: node.get_health(owner.account), lambda found: bool(found.health.holdings))
        await net.stop(2)
        await ask(net, owner.watch(OWN))
        await shown(net, 0, owner, (ONE, OWN, 3))
        await net.start(2)
        await reaches(net, 2, 0)
        await shown(net, 2, owner, (ONE, OWN, 3))
        await net.stop(3)  # now it takes the vote of the one that was away
        net.chains[ONE].give(OWN, TOKEN, 4)
        await shown(net, 2, owner, (ONE, OWN, 7))
