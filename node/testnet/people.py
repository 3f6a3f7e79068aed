"""The demo's owner and the demo's venue: each has its keys, and asks whichever node answers.

Owns what they sign and send. Must not know when: that is the story's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from chains.errors import QuorumError, StaleError
from chains.types import AccountId, Address, ChainId, Hash32
from hypothec.client import (
    AccountAnswer,
    AttestedRelease,
    LocalKey,
    OwnerClient,
    ReportChain,
    ServiceRefused,
    ServiceUnavailable,
    VenueClient,
    authorize_venue,
    link,
    watch_wallet,
)
from node.model.digests import account_id
from node.model.identity import Identity, Role, TlsMaterial
from node.model.ledger import Decision, Verdict
from node.model.network import Network
from node.model.reports import Position, ReportEntry
from node.model.requests import OwnerRequest
from node.testnet.chain import Wallet
from node.testnet.deployment import ASSETS, BTC, DemoAsset, Deployment
from node.testnet.errors import NotInTime
from node.testnet.files import VENUE
from node.testnet.nodes import NodeHandle
from node.testnet.waiting import until

USD = 10**12
"""One US dollar in 1e-12 USD."""
_NO_SALT = Hash32(bytes(32))
_DECIDED_S = 30.0
_C = TypeVar("_C", OwnerClient, VenueClient)
_T = TypeVar("_T")


class _Anyone(Generic[_C]):
    """Clients of all nodes; a call goes to the first running node that answers."""

    def __init__(self, nodes: Sequence[NodeHandle], client: Callable[[NodeHandle], _C]) -> None:
        self._nodes = nodes
        self._client: Callable[[NodeHandle], _C] = client
        self._opened = AsyncExitStack()
        self._clients: dict[int, _C] = {}

    async def open(self) -> None:
        for node in self._nodes:
            self._clients[node.index] = await self._opened.enter_async_context(self._client(node))

    async def close(self) -> None:
        await self._opened.aclose()

    async def ask(self, call: Callable[[_C], Awaitable[_T]]) -> _T:
        """Raises the last node's ServiceUnavailable or StaleError when none answers."""
        last: ServiceUnavailable | StaleError | None = None
        for node in self._nodes:
            if not node.running:
                continue
            try:
                return await call(self._clients[node.index])
            except (ServiceUnavailable, StaleError) as error:
                last = error
        raise last or NotInTime("start a node: none runs")


class Owner:
    """Owns one margin account, and a wallet on every chain. Its requests have rising nonces."""

    def __init__(
        self, secret: bytes, network: Network, nodes: Sequence[NodeHandle], wallets: Mapping[ChainId, Wallet], ca: bytes
    ) -> None:
        self._key = LocalKey(secret)
        self._network_id = network.network_id
        self._wallets = wallets
        self._nonce = 0
        self._anyone: _Anyone[OwnerClient] = _Anyone(
            nodes,
            lambda node: OwnerClient(node.owners, network, ca, server_name=_server_name(node)),
        )
        self.account: AccountId = account_id(network.network_id, self._key.address, _NO_SALT)

    @property
    def address(self) -> Address:
        return self._key.address

    async def __aenter__(self) -> Self:
        await self._anyone.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._anyone.close()

    async def link(self) -> Decision:
        """Open the account, every asset of the demo admitted as collateral. Raises NotInTime."""
        assets = [asset.id for asset in ASSETS]
        return await self._decided(link(self._network_id, self._key, assets, self._next_nonce()))

    async def authorize(self, limit_usd: int, payees: Mapping[ChainId, Address]) -> Decision:
        """Let the demo venue claim up to a limit. Raises NotInTime."""
        limit = limit_usd * USD
        return await self._decided(
            authorize_venue(self._network_id, self._key, self.account, VENUE, limit, payees, self._next_nonce())
        )

    async def watch(self, chain_id: ChainId) -> Decision:
        """Have it reported what its own wallet holds on a chain. Raises NotInTime."""
        request = watch_wallet(
            self._network_id, self._key, self.account, chain_id, self._key.address, self._next_nonce()
        )
        return await self._decided(request)

    async def deposit(self, item: Deployment, asset: DemoAsset, amount: int) -> int:
        """Put base units of an asset into a chain's vault, out of nowhere if need be; the block that it is in."""
        wallet = self._wallets[item.chain_id]
        deposit = item.vault.functions
        if asset is not BTC:
            receipt = await wallet.send(deposit.depositNative(self.account), amount)
        else:
            token = item.token.functions
            await item.treasury.send(token.mint(wallet.checksum, amount))
            await wallet.send(token.approve(item.vault.address, amount))
            receipt = await wallet.send(deposit.deposit(self.account, item.token.address, amount))
        return int(receipt["blockNumber"])

    def _next_nonce(self) -> int:
        self._nonce += 1
        return self._nonce

    async def _decided(self, request: OwnerRequest) -> Decision:
        digest = await self._anyone.ask(lambda client: client.submit(request))

        async def decision() -> Decision | None:
            status = await self._anyone.ask(lambda client: client.get_decision(self.account, digest))
            return status.decision

        found = await until(decision, f"for a decision on {type(request).__name__}", within=_DECIDED_S)
        if found.verdict is not Verdict.GRANTED:
            raise NotInTime(f"{type(request).__name__} was refused", reason=found.reason, sequence=found.sequence)
        return found


class Venue:
    """A derivative venue: reports its customers' positions, asks for their health and for attestations."""

    def __init__(self, secret: bytes, network: Network, nodes: Sequence[NodeHandle], tls: TlsMaterial) -> None:
        self._reports = ReportChain(network.network_id, VENUE, LocalKey(secret))
        self._anyone: _Anyone[VenueClient] = _Anyone(
            nodes,
            lambda node: VenueClient(node.venues, network, tls, server_name=_server_name(node)),
        )

    async def __aenter__(self) -> Self:
        await self._anyone.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._anyone.close()

    async def report(self, *entries: ReportEntry) -> None:
        """Hand in the next report; returns when a node holds it durably."""
        report = self._reports.next(entries, time.time_ns() // 1_000_000)
        await self._anyone.ask(lambda client: client.report_positions(report))

    async def health(self, account: AccountId) -> AccountAnswer:
        """Verified here."""
        return await self._anyone.ask(lambda client: client.get_health(account))

    async def attestation(self, account: AccountId) -> tuple[AttestedRelease, ...]:
        """The legs of the open liquidation, verified here; empty while there is none, or it lacks signatures."""
        try:
            return await self._anyone.ask(lambda client: client.get_liquidation_attestation(account))
        except (ServiceUnavailable, QuorumError):
            return ()
        except ServiceRefused as refused:
            if refused.service_status != "NOT_FOUND":
                raise
            return ()


@dataclass(frozen=True, slots=True)
class Perpetual:
    """A position of the demo: whole units of ETH, long, at an entry price in USD."""

    size: int
    entry_usd: int

    def pnl_usd(self, price_usd: int) -> int:
        return self.size * (price_usd - self.entry_usd)

    def entry(self, account: AccountId) -> ReportEntry:
        """As the venue reports it."""
        position = Position("ETH-PERP", self.size * 10**18, self.entry_usd * USD)
        return ReportEntry(account, (position,), 0, 0)


def _server_name(node: NodeHandle) -> str:
    return Identity(Role.NODE, node.name).server_name
