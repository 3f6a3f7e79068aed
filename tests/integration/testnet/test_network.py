"""A network that loses a node in the middle of the story, and what clients and the chains say afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from web3 import Web3
from web3.logs import DISCARD

from chains.errors import RetryError
from node.testnet.network import Options, Testnet
from node.testnet.outcome import Outcome
from node.testnet.story import Story
from node.testnet.waiting import until
from tests.integration.testnet.harness import ran


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_story_goes_on_without_a_node_that_comes_back(tmp_path: Path) -> None:
    lines: list[str] = []
    async with Testnet.start(Options(directory=tmp_path / "net"), lines.append) as net:
        victim = net.nodes[1]
        await victim.kill()
        story = asyncio.create_task(net.guard(Story(net, lines.append).run()))

        async def half_told() -> bool | None:
            return True if story.done() or any("the venue reported" in line for line in lines) else None

        await until(half_told, "for half of the story", within=90)
        await victim.start()
        outcome = await story
        await seizures_are_on_chain(net, outcome)
        await until(caught_up(net, 1), "for the node that was killed to catch up", within=30)
        await asyncio.to_thread(clients_agree, net, tmp_path)
        await the_owners_wallet_is_shown(net)


async def seizures_are_on_chain(net: Testnet, outcome: Outcome) -> None:
    assert [item.chain_id for item in outcome.seizures] == [chain.chain_id for chain in net.chains]
    for item, deployment in zip(outcome.seizures, net.deployments, strict=True):
        receipt = await deployment.chain.web3.eth.get_transaction_receipt(item.tx)  # type: ignore[arg-type]
        assert receipt["status"] == 1
        [seized] = deployment.vault.events.Seized().process_receipt(receipt, errors=DISCARD)
        assert seized["args"]["account"] == net.owner.account
        assert await deployment.vault.functions.nonces(net.owner.account).call() == 1
        sequence, *_ = await deployment.verifier.functions.latest().call()
        assert sequence > 0


def caught_up(net: Testnet, index: int) -> Callable[[], Awaitable[int | None]]:
    async def question() -> int | None:
        try:
            mine, others = await asyncio.gather(net.operators[index].status(), net.operators[0].status())
        except RetryError:  # it may still be starting
            return None
        return 1 if mine.state.sequence >= others.state.sequence - 1 else None

    return question


async def the_owners_wallet_is_shown(net: Testnet) -> None:
    """What is in its hands on the chain by now, in every node's answer, once it asked for that."""
    item = net.deployments[0]
    await net.owner.watch(item.chain_id)
    coins = await item.chain.web3.eth.get_balance(Web3.to_checksum_address(net.owner.address))
    command = ("query", "health", "0x" + net.owner.account.hex(), "--network", str(net.folder.network_file))

    async def shown(node: str) -> list[str] | None:
        done = await asyncio.to_thread(ran, *command, "--node", node)
        assert done.returncode == 0, done.stderr
        return [line["amount"] for line in json.loads(done.stdout)["free"]] or None

    for node in net.nodes:
        assert await until(partial(shown, node.operator), "for the owner's wallet to be shown", within=30) == [
            str(coins)
        ]


def clients_agree(net: Testnet, folder: Path) -> None:
    """The commands that a user tries next, at every listener."""
    account, network = "0x" + net.owner.account.hex(), str(net.folder.network_file)
    saved = folder / "answer.json"
    health = ("query", "health", account, "--network", network)
    done = ran(*health, "--node", net.nodes[1].operator, "--save", str(saved))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "HEALTHY"
    tls = str(net.folder.folder / "tls" / "venue")
    done = ran(*health, "--node", net.nodes[2].venues, "--tls", tls, "--name", "node-2")
    assert done.returncode == 0, done.stderr
    done = ran(*health, "--node", net.nodes[2].venues, "--tls", tls, "--name", "node-3")
    assert done.returncode == 1, "another node's name must not do"

    done = ran("verify", str(saved), "--network", network)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accounts"][0]["account"] == account
    saved.write_text(saved.read_text().replace("HEALTH_STATUS_HEALTHY", "HEALTH_STATUS_MARGIN_CALL"))
    assert ran("verify", str(saved), "--network", network).returncode == 1

    done = ran("query", "state", "--node", net.nodes[3].operator, "--network", network)
    assert [chain["status"] for chain in json.loads(done.stdout)["chains"]] == ["LIVE", "LIVE"]
    done = ran("query", "attestation", account, "--node", net.nodes[0].operator, "--network", network)
    assert done.returncode == 1
    assert "no liquidation of this account is open" in done.stderr
    done = ran("query", "status", "--node", net.nodes[0].operator)
    assert len(json.loads(done.stdout)["peers"]) == 3
    done = ran(*health, "--node", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("hypothec: ")
