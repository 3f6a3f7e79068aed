"""Chains that lie, stop, or leave an asset without a price: named, kept apart, and taken back when it is over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from chains.evm.proxy import Lie, LyingProxy
from chains.types import ChainId
from hypothec.client import AccountAnswer
from node.model.header import ChainStatus, Header
from node.model.health import HealthStatus
from node.testnet.chain import ETHER
from node.testnet.deployment import BTC, ETH, Deployment
from node.testnet.nodes import NodeHandle
from node.testnet.waiting import until
from tests.integration.chaos.harness import Chaos
from tests.integration.chaos.people import PATIENCE_S, UNPRICED, Customer, held, owes, reserved, seized

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]

LIES = (
    ((Lie.ALTERED_VALUE, "WRONG_VALUE"), (Lie.ALTERED_PROOF, "BAD_PROOF")),
    ((Lie.OTHER_BLOCK, "WRONG_BLOCK"), (Lie.MISSING_LOG, "MISSING_LOG")),
    ((Lie.ALTERED_HEADER, "WRONG_HEADER"), (Lie.FORGED_HEADER, "DISAGREES")),
    ((Lie.STALE_HEAD, "STALE_HEAD"), (Lie.MISSING_RECEIPT, "MISSING_LOG")),
    ((Lie.HTTP_500, "HTTP_ERROR"), (Lie.NOT_JSON, "MALFORMED_ANSWER")),
    ((Lie.HANG, "TIMEOUT"), (Lie.RPC_ERROR, "RPC_ERROR")),
)
"""What is told on the first chain and on the second at the same time, and the name that it must get."""
FRONTS = 3
_SLOW_S = 0.1
_AMOUNT = 7
_AGAIN_S = 10
"""Until the next deposit, if a liar was not named by everybody."""


class Front(LyingProxy):
    """An endpoint that answers later while `slow`: nodes ask the fastest first, and it is the liar they must ask."""

    slow = True

    async def _forward(self, body: bytes) -> bytes:
        if self.slow:
            await asyncio.sleep(_SLOW_S)
        return await super()._forward(body)


@asynccontextmanager
async def fronts(chaos: Chaos) -> AsyncIterator[dict[ChainId, list[Front]]]:
    """Nodes that ask nobody but fronts, for as long as the block lasts."""
    async with AsyncExitStack() as opened:
        made: dict[ChainId, list[Front]] = {}
        for item in chaos.net.deployments:
            proxies = [Front(item.chain.url) for _ in range(FRONTS)]
            made[item.chain_id] = [await opened.enter_async_context(proxy) for proxy in proxies]
        before = {node.index: node.config.read_text() for node in chaos.net.nodes}
        for node in chaos.net.nodes:
            text = before[node.index]
            for item in chaos.net.deployments:
                asked = ", ".join(f'"{proxy.url}"' for proxy in made[item.chain_id])
                own = ", ".join(f'"{url}"' for url in item.chain.endpoints)
                assert own in text
                text = text.replace(f"endpoints = [{own}]", f'endpoints = [{asked}]\nsubmit = "{item.chain.url}"')
            node.config.write_text(text)
        await chaos.rebooted()
        try:
            yield made
        finally:
            for node in chaos.net.nodes:
                node.config.write_text(before[node.index])
            await chaos.rebooted()


# === One liar of three ===


async def test_whoever_lies_is_named_and_the_state_goes_on_with_the_truth(chaos: Chaos) -> None:
    """Each endpoint of each chain lies in turn, every time in another way, while deposits come in."""
    (customer,) = await chaos.customers(1, {chaos.one.chain_id: 1, chaos.two.chain_id: 1})
    total = dict.fromkeys((chaos.one.chain_id, chaos.two.chain_id), ETHER)
    async with fronts(chaos) as asked:
        for turn, lies in enumerate(LIES):
            if turn == FRONTS:
                await chaos.rebooted()  # a proven liar is set aside for long: let every endpoint be new again
            liars = [(asked[item.chain_id][turn % FRONTS], item) for item in chaos.net.deployments]
            for (liar, _), (lie, _) in zip(liars, lies, strict=True):
                liar.slow, liar.lie = False, lie
            naming = asyncio.gather(
                *(
                    _named(chaos, node, item, liar, lie, reason)
                    for (liar, item), (lie, reason) in zip(liars, lies, strict=True)
                    for node in chaos.net.nodes
                )
            )
            while not naming.done():  # who did not ask the liar about one deposit asks it about a later one
                await asyncio.gather(*(customer.deposit(item, ETH, _AMOUNT) for _, item in liars))
                total = {chain: amount + _AMOUNT for chain, amount in total.items()}
                await asyncio.wait({naming}, timeout=_AGAIN_S)
            await naming
            await chaos.health(customer, partial(_has_eth, total), f"the deposits in spite of {lies}")
            for liar, _ in liars:
                liar.slow, liar.lie = True, None
        assert total == {item.chain_id: await _booked_eth(chaos, item, customer) for item in chaos.net.deployments}


async def _named(chaos: Chaos, node: NodeHandle, item: Deployment, liar: Front, lie: Lie, reason: str) -> None:
    """The endpoint and the reason are in the node's metrics, and in its log."""
    name = liar.url.removeprefix("http://")
    labels = {"chain": str(item.chain_id), "endpoint": name, "reason": reason}
    seen: list[object] = []

    async def counted() -> bool | None:
        faults = await chaos.events(node, "endpoint.fault")
        seen[:] = [dict(fault) for fault in faults]
        return tuple(sorted(labels.items())) in faults or None

    try:
        await until(counted, f"for {lie.name} of {name} to be named {reason}", within=PATIENCE_S, every=0.3)
    except Exception as error:
        raise AssertionError(f"{node.name}: {error}\nit named: {seen}") from error
    assert any(_is_fault(line, name, reason) for line in node.process.log.read_text().splitlines())


def _is_fault(line: str, endpoint: str, reason: str) -> bool:
    if not line.startswith("{"):
        return False
    entry: dict[str, Any] = json.loads(line)
    return (entry.get("event"), entry.get("endpoint"), entry.get("reason")) == ("endpoint.fault", endpoint, reason)


def _has_eth(total: dict[ChainId, int], answer: AccountAnswer) -> bool:
    return held(answer, ETH.id) == total


async def _booked_eth(chaos: Chaos, item: Deployment, customer: Customer) -> int:
    return await chaos.booked(item, customer, item.place(ETH))


# === A chain that cannot be followed ===


async def test_a_chain_that_a_majority_lies_about_is_left_alone(chaos: Chaos) -> None:
    async with fronts(chaos) as asked:
        straddling, secured = await _two_customers(chaos)
        await chaos.advances()
        for liar in asked[chaos.two.chain_id][:2]:
            liar.lie = Lie.FORGED_HEADER
        await _only_one_goes_on(chaos, straddling, secured)
        for liar in asked[chaos.two.chain_id]:
            liar.lie = None
        await _both_go_on(chaos, straddling)


async def test_a_chain_that_halts_stops_nobody_else(chaos: Chaos) -> None:
    straddling, secured = await _two_customers(chaos)
    (debtor,) = await chaos.customers(1, {chaos.one.chain_id: 3})
    chaos.suspend(chaos.two)
    answer = await _only_one_goes_on(chaos, straddling, secured)
    assert "CHAIN_HALTED" in [str(reason) for reason in answer.health.reasons]
    await chaos.demo.report(owes(debtor, 8_500))  # of 9,000 less what it may lose
    await chaos.health(debtor, lambda answer: seized(answer) > 0 and not reserved(answer), "a liquidation on one chain")
    assert len(await chaos.seizures(chaos.one, debtor)) == 1
    chaos.resume(chaos.two)
    await _both_go_on(chaos, straddling)


async def _two_customers(chaos: Chaos) -> tuple[Customer, Customer]:
    """One who needs what is on both chains, and one to whom what is on the first is enough."""
    both = {chaos.one.chain_id: 2, chaos.two.chain_id: 2}
    straddling, secured = await chaos.customers(2, both)
    await chaos.demo.report(owes(straddling, 8_000), owes(secured, 1_000))
    await chaos.health(straddling, partial(_is, HealthStatus.HEALTHY), "everything to count")
    return straddling, secured


async def _only_one_goes_on(chaos: Chaos, straddling: Customer, secured: Customer) -> AccountAnswer:
    """The first chain is followed, the second is not, and health says so where it matters."""
    answer = await chaos.health(straddling, partial(_is, HealthStatus.UNKNOWN), "not to know any more")
    assert {str(reason) for reason in answer.health.reasons} & {"CHAIN_HALTED", "CHAIN_DISPUTED"}
    assert _statuses(answer.header)[chaos.two.chain_id] is not ChainStatus.LIVE
    assert _statuses(answer.header)[chaos.one.chain_id] is ChainStatus.LIVE
    kept, height = _heights(answer.header)[chaos.two.chain_id], _heights(answer.header)[chaos.one.chain_id]
    assert _is(HealthStatus.HEALTHY, await chaos.demo.health(secured)), "its low end suffices"
    header = await chaos.header(lambda header: _heights(header)[chaos.one.chain_id] > height + 2, "the other chain")
    assert _heights(header)[chaos.two.chain_id] == kept
    return answer


async def _both_go_on(chaos: Chaos, straddling: Customer) -> None:
    await chaos.health(straddling, partial(_is, HealthStatus.HEALTHY), "to know again")


def _is(status: HealthStatus, answer: AccountAnswer) -> bool:
    return answer.health.status is status


def _statuses(header: Header) -> dict[ChainId, ChainStatus]:
    return {chain.cut.chain_id: chain.status for chain in header.chains}


def _heights(header: Header) -> dict[ChainId, int]:
    return {chain.cut.chain_id: chain.cut.height for chain in header.chains}


# === An asset without a price ===


async def test_an_asset_whose_price_stops_gives_no_credit_and_dust_gives_no_immunity(chaos: Chaos) -> None:
    leaning, dusty, immune = await chaos.customers(3, {chaos.one.chain_id: 1})
    await asyncio.gather(
        leaning.deposit(chaos.one, BTC, 10**7),
        dusty.deposit(chaos.one, BTC, 800),  # half a dollar
        immune.deposit(chaos.two, BTC, 10**9),  # of what nothing prices
    )
    await chaos.demo.report(owes(leaning, 2_350), owes(dusty, 2_000), owes(immune, 2_000))
    for customer, asset in ((leaning, BTC.id), (dusty, BTC.id), (immune, UNPRICED)):
        await chaos.health(customer, partial(_has_and_is_healthy, asset), f"{asset} in a state")

    chaos.net.feeds.frozen.add(BTC.id)
    answer = await chaos.health(leaning, partial(_is, HealthStatus.MARGIN_CALL), "the credit for a stale price to end")
    assert [str(reason) for reason in answer.health.reasons] == ["STALE_PRICE"]
    initial, maintenance = answer.health.initial_excess, answer.health.maintenance_excess
    assert initial.high < 0 <= maintenance.low < maintenance.high  # no initial credit at either end
    for customer in (dusty, immune):
        health = (await chaos.demo.health(customer)).health
        assert (health.status, health.reasons) == (HealthStatus.HEALTHY, ())
        assert health.maintenance_excess.low == health.maintenance_excess.high

    await chaos.demo.report(owes(immune, 2_800))  # of 3,000 less what it may lose
    await chaos.health(immune, lambda answer: seized(answer) > 0 and not reserved(answer), "its liquidation")
    assert [len(await chaos.seizures(item, immune)) for item in chaos.net.deployments] == [1, 0]
    chaos.net.feeds.frozen.clear()
    await chaos.health(leaning, partial(_is, HealthStatus.HEALTHY), "the credit to come back")
    assert not await chaos.seizures(chaos.one, leaning)


def _has_and_is_healthy(asset: str, answer: AccountAnswer) -> bool:
    return bool(held(answer, asset)) and bool(answer.health.venues) and _is(HealthStatus.HEALTHY, answer)
