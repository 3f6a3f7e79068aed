"""A running testnet and what is done to it: nodes killed, chains stopped, endpoints lying.

Owns the killing and looking at nodes from outside: metrics, logs, what their stores say they signed. The demo's policy
is used with shorter times, a second venue, and an asset that nothing prices.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import aiohttp
from eth_utils.address import to_checksum_address
from prometheus_client.parser import text_string_to_metric_families
from web3.types import TxParams, Wei

from chains.errors import HypothecError, RetryError
from chains.proofs.keccak import keccak
from chains.types import Address, ChainId, Hash32
from hypothec.client import AccountAnswer
from node.model.header import ChainStatus, Header
from node.testnet import files
from node.testnet.chain import ETHER, Wallet
from node.testnet.deployment import ETH, PRICE_DECIMALS, Deployment
from node.testnet.files import VENUE, key_address
from node.testnet.network import Options, Testnet
from node.testnet.nodes import NodeHandle
from node.testnet.waiting import until
from tests.integration.chaos.people import (
    OTHER_KEY,
    OTHER_VENUE,
    PATIENCE_S,
    UNPRICED,
    Customer,
    Reporter,
    held,
    other_venue,
    told,
    venue_tls,
)
from tests.integration.chaos.watch import Journals, Watcher

SHORT = {
    "max_price_age = 30": "max_price_age = 15",
    "max_cut_age = 60": "max_cut_age = 12",
    "pending_cut_timeout_ms = 10000": "pending_cut_timeout_ms = 6000",
    "min_sources = 2": "min_sources = 1",  # one chain alone still makes a price
}
SEIZED = keccak(b"Seized(bytes32,address,address,uint256,uint64,bytes32)")
_TOKEN = re.compile(r'(\[\[chains\.tokens\]\]\ntoken = "0x\w+"\nasset = )"BTC"')
_policy_toml = files.policy_toml


def shortened(policy: str) -> str:
    """The demo's policy with this file's changes; fails when one of them finds nothing to change."""
    for old, new in SHORT.items():
        assert old in policy, f"the demo's policy has no {old!r} any more"
        policy = policy.replace(old, new)
    chains, last = policy.rsplit("[[chains]]", 1)
    last, changed = _TOKEN.subn(rf'\g<1>"{UNPRICED}"', last)
    assert changed == 1, "the demo's last chain has no token for BTC any more"
    return (
        f"{chains}[[chains]]{last}"
        f'\n[[venues]]\nid = "{OTHER_VENUE}"\nsigner = "0x{key_address(OTHER_KEY).hex()}"\n'
        f'\n[[assets]]\nid = "{UNPRICED}"\n'
        "min_value_micro_usd = 1000000\nmin_sources = 1\nmax_spread_bps = 500\n"
    )


@dataclass
class Chaos:
    """The testnet with handles to hurt it, and what was noticed on the way."""

    net: Testnet
    demo: Reporter
    other: Reporter
    watcher: Watcher
    journals: Journals = field(default_factory=Journals)
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    """What lives as long as the network."""
    funding: asyncio.Lock = field(default_factory=asyncio.Lock)
    figures: dict[str, list[float]] = field(default_factory=dict)
    """What is told at the end of the run."""

    @property
    def one(self) -> Deployment:
        return self.net.deployments[0]

    @property
    def two(self) -> Deployment:
        return self.net.deployments[1]

    # --- people ---

    async def customers(
        self, count: int, eth: Mapping[ChainId, int], venues: Sequence[str] = (VENUE,)
    ) -> list[Customer]:
        """New accounts with deposits of whole ETH by chain, all in a state."""
        made = await asyncio.gather(*(self._customer(eth, venues) for _ in range(count)))
        wanted = {chain: amount * ETHER for chain, amount in eth.items() if amount}
        for customer in made:
            await self.health(customer, lambda answer: held(answer, ETH.id) == wanted, "its deposits in a state")
        return list(made)

    async def _customer(self, eth: Mapping[ChainId, int], venues: Sequence[str]) -> Customer:
        secret = secrets.token_bytes(32)
        wallets = await asyncio.gather(*(self._wallet(item, secret) for item in self.net.deployments))
        authority = (self.net.folder.folder / "tls/authority/authority.pem").read_bytes()
        by_chain = dict(zip((item.chain_id for item in self.net.deployments), wallets, strict=True))
        customer = Customer(secret, self.net.network, self.net.nodes, by_chain, authority)
        await self.opened.enter_async_context(customer)
        deposits = [customer.deposit(item, ETH, eth[item.chain_id] * ETHER) for item in self._with(eth)]
        await asyncio.gather(customer.open(venues), *deposits)
        return customer

    async def _wallet(self, item: Deployment, secret: bytes) -> Wallet:
        web3 = item.chain.web3
        payment: TxParams = {"to": to_checksum_address(key_address(secret)), "value": Wei(100 * ETHER)}
        async with self.funding:  # anvil gives two payments of one moment one nonce
            payment["from"] = (await web3.eth.accounts)[0]
            paid = await web3.eth.send_transaction(payment)
        await web3.eth.wait_for_transaction_receipt(paid, poll_latency=0.1)
        return Wallet(web3, item.chain_id, secret)

    def _with(self, eth: Mapping[ChainId, int]) -> list[Deployment]:
        return [item for item in self.net.deployments if eth.get(item.chain_id)]

    async def health(
        self, customer: Customer, wanted: Callable[[AccountAnswer], bool], what: str, within: float = PATIENCE_S
    ) -> AccountAnswer:
        """The account's verified health once it is as wanted; else fails with the last one."""
        last: list[object] = ["no answer"]

        async def answer() -> AccountAnswer | None:
            try:
                found = await self.demo.health(customer)
            except HypothecError as error:
                last[0] = error
                return None
            last[0] = told(found)
            return found if wanted(found) else None

        try:
            return await until(answer, what, within=within, every=0.2)
        except HypothecError as error:
            raise AssertionError(f"{error}\nthe last answer was: {last[0]}") from error

    # --- nodes ---

    async def metric(self, node: NodeHandle, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """A metric's samples of one node by labels. Raises RetryError when it does not answer."""
        try:
            timeout = aiohttp.ClientTimeout(total=2)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{node.metrics}/metrics") as got:
                text = await got.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryError("ask again when the node answers", node=node.name) from error
        return {
            tuple(sorted((key, value) for key, value in sample.labels.items() if value)): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }

    async def events(self, node: NodeHandle, event: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Counts of one event at one node, by its other labels."""
        found = await self.metric(node, "hypothec_events_total")
        return {
            tuple(item for item in labels if item[0] != "event"): count
            for labels, count in found.items()
            if dict(labels).get("event") == event
        }

    async def sequence(self, node: NodeHandle) -> int:
        """Of its newest state; -1 while it does not answer."""
        try:
            return int((await self.metric(node, "hypothec_state_sequence"))[()])
        except RetryError:
            return -1

    async def newest(self) -> int:
        return max(await asyncio.gather(*(self.sequence(node) for node in self.net.nodes if node.running)))

    async def reaches(self, node: NodeHandle, sequence: int, within: float = PATIENCE_S) -> None:
        async def there() -> bool | None:
            return await self.sequence(node) >= sequence or None

        await until(there, f"state {sequence} at {node.name}", within=within, every=0.05)

    async def advances(self, rounds: int = 3, within: float = PATIENCE_S) -> None:
        """Every running node gets that many states further."""
        target = await self.newest() + rounds
        await asyncio.gather(*(self.reaches(node, target, within) for node in self.net.nodes if node.running))

    async def kill(self, node: NodeHandle) -> None:
        """SIGKILL, and note what it had signed by then."""
        await node.kill()
        self.journals.look_into(node)

    async def back(self, node: NodeHandle) -> float:
        """Start it; seconds until it has what the others had at that moment, and one state more."""
        started = time.monotonic()
        await node.start()
        running = [other for other in self.net.nodes if other.running and other is not node]
        target = max([0, *await asyncio.gather(*(self.sequence(other) for other in running))]) + 1
        await self.reaches(node, target)
        return time.monotonic() - started

    def unharmed(self) -> None:
        """No process ended by itself, and no client saw a history that contradicts another."""
        if self.net._death.done():
            raise self.net._death.result()
        assert not self.watcher.contradictions, self.watcher.contradictions

    async def rebooted(self) -> None:
        """Every node stops and starts."""
        await asyncio.gather(*(node.stop() for node in self.net.nodes))
        await asyncio.gather(*(self.back(node) for node in self.net.nodes))

    async def recovered(self) -> None:
        """Undo all that was done, and wait until every node is in agreement and every chain is live again."""
        for item in self.net.deployments:
            self.resume(item)
            for proxy in item.chain.proxies:
                proxy.lie = None
        self.net.feeds.frozen.clear()
        await asyncio.gather(*(self.back(node) for node in self.net.nodes if not node.running))
        await self.advances()
        await self.header(
            lambda header: all(chain.status is ChainStatus.LIVE for chain in header.chains), "live chains"
        )

    async def header(self, wanted: Callable[[Header], bool], what: str, within: float = PATIENCE_S) -> Header:
        """The newest certified header once it is as wanted."""

        async def newest() -> Header | None:
            try:
                found = await self.demo.ask(lambda client: client.get_margin_state())
            except HypothecError:
                return None
            return found if wanted(found) else None

        return await until(newest, what, within=within, every=0.2)

    def figure(self, name: str, value: float) -> None:
        """Have a measured value told at the end."""
        self.figures.setdefault(name, []).append(round(value, 2))

    # --- chains ---

    def suspend(self, item: Deployment) -> None:
        """Stop a chain: it neither makes blocks nor answers."""
        _signal(item, signal.SIGSTOP)

    def resume(self, item: Deployment) -> None:
        """Let it go on."""
        _signal(item, signal.SIGCONT)

    async def seizures(self, item: Deployment, customer: Customer) -> list[Hash32]:
        """The transactions that seized from the account, one a log."""
        logs = await item.chain.web3.eth.get_logs(
            {
                "address": item.vault.address,
                "fromBlock": 0,
                "topics": ["0x" + SEIZED.hex(), "0x" + customer.account.hex()],
            }
        )
        return [Hash32(bytes(log["transactionHash"])) for log in logs]

    async def booked(self, item: Deployment, customer: Customer, token: Address) -> int:
        return int(await item.vault.functions.balances(customer.account, to_checksum_address(token)).call())

    async def price(self, asset: str, usd: int, *items: Deployment) -> None:
        """Change a price on these chains only."""
        self.net.feeds._answers[asset] = usd * 10**PRICE_DECIMALS
        await asyncio.gather(*(self.net.feeds._post(item, asset) for item in items))


def _live(header: Header) -> bool:
    return all(chain.status is ChainStatus.LIVE for chain in header.chains)


def _signal(item: Deployment, how: signal.Signals) -> None:
    pid = item.chain.process.pid
    assert pid is not None, f"{item.chain.name} does not run"
    os.kill(pid, how)


@asynccontextmanager
async def chaos_network(directory: Path) -> AsyncIterator[Chaos]:
    """A testnet with this file's policy, watched."""
    async with AsyncExitStack() as opened:
        # Only while it starts: the network outlives many tests, and theirs are to have the policy of the demo.
        with mock.patch.object(files, "policy_toml", lambda *given: shortened(_policy_toml(*given))):
            net = await opened.enter_async_context(Testnet.start(Options(directory=directory)))
        other = other_venue(net)
        await other.anyone.open()
        opened.push_async_callback(other.anyone.close)
        demo = Reporter(VENUE, net.venue._reports, net.venue._anyone)
        watcher = await opened.enter_async_context(Watcher(net, venue_tls(net, VENUE)))
        yield Chaos(net, demo, other, watcher, opened=opened)
