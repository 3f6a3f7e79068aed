"""Nodes that are killed at random moments, one by one and all at once: nothing answered for is lost, or done twice."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from itertools import count

import pytest

from chains.types import ChainId
from hypothec.client import AccountAnswer, authorize_venue
from node.model.ledger import Verdict
from node.testnet.chain import ETHER
from node.testnet.deployment import ETH
from node.testnet.files import VENUE
from node.testnet.nodes import NodeHandle
from node.testnet.people import USD
from node.testnet.waiting import until
from tests.integration.chaos.harness import Chaos
from tests.integration.chaos.people import PATIENCE_S, PAYEE, Customer, held, owes, reported, reserved, seized
from tests.integration.chaos.watch import consensus_slots, store_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

KILLS = 12
AWAY = 50
"""States."""
SILENCE_S = 6.0


# === One after another ===


async def test_nothing_is_lost_or_done_twice_while_nodes_are_killed(chaos: Chaos) -> None:
    """Deposits, requests, reports, price moves and a liquidation go on, while a node is killed every few seconds."""
    everywhere = {chaos.one.chain_id: 3, chaos.two.chain_id: 3}
    *busy, victim = await chaos.customers(4, everywhere)
    await chaos.demo.report(owes(victim, 1_000))
    dice = random.Random(7)
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        deposits = [group.create_task(_deposits(chaos, customer, over)) for customer in busy[:2]]
        requests = group.create_task(_requests(busy[2], over))
        reports = group.create_task(_reports(chaos, busy, over))
        group.create_task(_prices(chaos, over, dice))
        for kill in range(KILLS):
            if kill == KILLS // 2:
                await chaos.demo.report(owes(victim, 17_000))  # of 18,000 less what it may lose
            node = dice.choice(chaos.net.nodes)
            await chaos.kill(node)
            await asyncio.sleep(dice.random())
            chaos.figure("seconds from a node's start to its being in agreement", await chaos.back(node))
            await asyncio.sleep(dice.random())
        over.set()
    await chaos.price("ETH", ETH.start_usd, chaos.one, chaos.two)

    for customer, deposited in zip(busy[:2], [await task for task in deposits], strict=True):
        total = {chain: 3 * ETHER + deposited.get(chain, 0) for chain in everywhere}
        await chaos.health(customer, partial(_holds, total), "all that was deposited")
    assert await requests > 3, "requests went on"
    last = await reports
    answer = await chaos.health(busy[0], lambda answer: reported(answer) == last, f"report {last} to count")
    assert answer.health.venues[0].claim.low == last * USD
    await _seized_once(chaos, victim)


def _holds(total: dict[ChainId, int], answer: AccountAnswer) -> bool:
    return held(answer, ETH.id) == total


async def _deposits(chaos: Chaos, customer: Customer, over: asyncio.Event) -> dict[ChainId, int]:
    """Small deposits on both chains in turn; what they come to on each."""
    total: dict[ChainId, int] = {}
    while not over.is_set():
        for item in chaos.net.deployments:
            amount = len(total) + 1
            await customer.deposit(item, ETH, amount)
            total[item.chain_id] = total.get(item.chain_id, 0) + amount
    return total


async def _requests(customer: Customer, over: asyncio.Event) -> int:
    """Requests one after another, each of which must be decided; how many."""
    for done in count():
        if over.is_set():
            return done
        await customer.allow(VENUE, 10**6 + done)
    raise AssertionError


async def _reports(chaos: Chaos, customers: list[Customer], over: asyncio.Event) -> int:
    """Reports one after another, in which everybody owes as many dollars as the report's number; the last number."""
    while True:
        number = chaos.demo.chain.sequence + 1
        report = await chaos.demo.report(*(owes(customer, number) for customer in customers))
        if over.is_set() and report.sequence == number:
            return number
        await asyncio.sleep(0.5)


async def _prices(chaos: Chaos, over: asyncio.Event, dice: random.Random) -> None:
    while not over.is_set():
        await chaos.price("ETH", ETH.start_usd + dice.randint(-40, 40), chaos.one, chaos.two)
        await asyncio.sleep(0.5)


async def _seized_once(chaos: Chaos, victim: Customer) -> None:
    """The victim's liquidation is over, on both chains, and each leg was carried out once."""
    await chaos.health(victim, lambda answer: seized(answer) > 0 and not reserved(answer), "settled seizures")
    for item in chaos.net.deployments:
        found = await chaos.seizures(item, victim)
        assert len(found) == 1, f"{len(found)} seizures on chain {item.chain_id}"
        assert await item.vault.functions.nonces(victim.account).call() == 1


# === The leader ===


async def test_a_killed_leader_is_replaced(chaos: Chaos) -> None:
    for _ in range(2):
        status = await chaos.net.operators[(await _leader(chaos) + 1) % 4].status()
        leader = chaos.net.nodes[status.leader]
        before, started = await chaos.newest(), time.monotonic()
        await chaos.kill(leader)
        witness = next(node for node in chaos.net.nodes if node is not leader)
        await chaos.reaches(witness, before + 2)  # one may have been decided already
        gap = time.monotonic() - started
        chaos.figure("seconds from a leader's death to the second state after it", gap)
        chaos.figure("rounds lost by that", gap / (chaos.net.options.round_ms / 1000) - 2)
        await chaos.advances()
        status = await chaos.net.operators[witness.index].status()
        assert status.leader != leader.index
        await chaos.back(leader)


async def _leader(chaos: Chaos) -> int:
    return int((await chaos.net.operators[0].status()).leader)


# === All at once ===


async def test_what_was_answered_for_survives_the_death_of_everybody(chaos: Chaos) -> None:
    """One node takes a request and a report while the others are dead, and dies before it could tell anybody."""
    (customer,) = await chaos.customers(1, {chaos.one.chain_id: 2})
    first, *others = chaos.net.nodes
    await asyncio.gather(*(chaos.kill(node) for node in others))
    request = authorize_venue(
        chaos.net.network.network_id,
        customer._key,
        customer.account,
        VENUE,
        2 * 10**6 * USD,
        dict.fromkeys((item.chain_id for item in chaos.net.deployments), PAYEE),
        customer._next_nonce(),
    )
    digest = await customer._anyone.ask(lambda client: client.submit(request))
    report = await chaos.demo.report(owes(customer, 77))
    await chaos.kill(first)
    await asyncio.gather(*(node.start() for node in chaos.net.nodes))

    await chaos.health(customer, lambda answer: reported(answer) == report.sequence, "the report to count")
    answer = await chaos.health(customer, lambda answer: _decided(answer, digest), "a decision on the request")
    assert answer.health.venues[0].claim.low == 77 * USD


def _decided(answer: AccountAnswer, digest: bytes) -> bool:
    record = answer.view.record
    return record is not None and any(
        item.request == digest and item.verdict is Verdict.GRANTED for item in record.decisions
    )


@pytest.mark.parametrize("after", ["a seizure is issued", "the first seizure is mined"])
async def test_a_liquidation_is_carried_out_once_though_everybody_dies(chaos: Chaos, after: str) -> None:
    (victim,) = await chaos.customers(1, {chaos.one.chain_id: 2, chaos.two.chain_id: 2})
    await chaos.demo.report(owes(victim, 11_000))  # of 12,000 less what it may lose
    if after == "a seizure is issued":
        await chaos.health(victim, lambda answer: reserved(answer) == 2, "two seizures to be issued")
    else:
        await until(lambda: _any_seizure(chaos, victim), "a first seizure", within=PATIENCE_S, every=0.02)
    await asyncio.gather(*(chaos.kill(node) for node in chaos.net.nodes))
    started = time.monotonic()
    await asyncio.gather(*(chaos.back(node) for node in chaos.net.nodes))
    chaos.figure("seconds from the start of all nodes to a state of all", time.monotonic() - started)
    await _seized_once(chaos, victim)


async def _any_seizure(chaos: Chaos, victim: Customer) -> bool | None:
    return any([bool(await chaos.seizures(item, victim)) for item in chaos.net.deployments]) or None


# === Away for long, and without a journal ===


async def test_a_node_that_was_away_for_long_is_taken_back(chaos: Chaos) -> None:
    away = chaos.net.nodes[3]
    await chaos.kill(away)
    before = await chaos.newest()
    (customer,) = await chaos.customers(1, {chaos.one.chain_id: 1})
    await chaos.advances(AWAY)
    seconds = await chaos.back(away)
    chaos.figure(f"seconds to catch up after more than {AWAY} states", seconds)
    assert await chaos.newest() > before + AWAY
    caught_up = await chaos.events(away, "state.caught_up")
    assert sum(caught_up.values()) >= 1, "it took a whole state and not every round"
    own = chaos.demo.anyone._clients[away.index]
    assert held(await own.get_health(customer.account), ETH.id) == {chaos.one.chain_id: ETHER}
    await _takes_part(chaos, away)


async def test_a_node_without_its_journal_keeps_silent_until_its_peers_have_told(chaos: Chaos) -> None:
    *intact, missing, forgetful = chaos.net.nodes
    await asyncio.gather(*(chaos.kill(node) for node in chaos.net.nodes))
    for file in store_of(forgetful).parent.iterdir():
        file.unlink()
    await asyncio.gather(*(node.start() for node in (*intact, forgetful)))
    await asyncio.gather(*(chaos.reaches(node, 0) for node in (*intact, forgetful)))
    before = await chaos.newest()
    await asyncio.sleep(SILENCE_S)
    # Three of four would go on (as they do whenever one is killed); two reports of three are not enough to speak.
    assert await chaos.newest() <= before + 1
    assert not consensus_slots(store_of(forgetful))

    started = time.monotonic()
    await missing.start()
    await _takes_part(chaos, forgetful)
    chaos.figure("seconds from the last report until a node without a journal takes part", time.monotonic() - started)


async def _takes_part(chaos: Chaos, node: NodeHandle) -> None:
    """Its signature is in a new state's certificate."""
    after = await chaos.newest()
    other = chaos.net.operators[(node.index + 1) % len(chaos.net.nodes)]

    async def signed() -> bool | None:
        status = await other.status()
        return any(peer.node == node.index and peer.sequence > after for peer in status.peers) or None

    await until(signed, f"for {node.name} to sign with the others", within=PATIENCE_S, every=0.2)
