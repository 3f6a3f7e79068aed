"""Owners and venues of these tests: more of them than the demo has, and stubborn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from chains.errors import QuorumError, RetryError
from chains.proofs.keccak import keccak
from chains.types import ChainId
from hypothec.client import (
    AccountAnswer,
    AttestedRelease,
    LocalKey,
    ReportChain,
    ServiceUnavailable,
    VenueClient,
    authorize_venue,
    link,
)
from node.model.identity import Identity, Role, TlsMaterial
from node.model.reports import Position, Report, ReportEntry
from node.peers.identity import issue
from node.testnet.files import VENUE, key_address
from node.testnet.network import Testnet
from node.testnet.people import USD, Owner, _Anyone, _server_name
from node.testnet.waiting import until

OTHER_VENUE = "other"
OTHER_KEY = keccak(b"the other venue")
PAYEE = key_address(keccak(b"the payee of every seizure"))
UNPRICED = "DOGE"
"""The second chain's token stands for it: it is admitted, and no feed quotes it."""
PATIENCE_S = 45.0
_T = TypeVar("_T")


class Customer(Owner):
    """An owner of one account, who admits every asset as collateral and lets the venues claim."""

    async def open(self, venues: Sequence[str] = (VENUE,), limit_usd: int = 10**6) -> None:
        await self._decided(link(self._network_id, self._key, ["BTC", UNPRICED, "ETH"], self._next_nonce()))
        for venue in venues:
            await self.allow(venue, limit_usd)

    async def allow(self, venue: str, limit_usd: int) -> None:
        payees = dict.fromkeys(self._wallets, PAYEE)
        await self._decided(
            authorize_venue(
                self._network_id, self._key, self.account, venue, limit_usd * USD, payees, self._next_nonce()
            )
        )


class Reporter:
    """A venue that never skips a report: what it made is handed in until some node says that it holds it."""

    def __init__(self, name: str, chain: ReportChain, anyone: _Anyone[VenueClient]) -> None:
        self.name = name
        self.chain = chain
        self.anyone = anyone
        self._handing_in = asyncio.Lock()

    def make(self, *entries: ReportEntry) -> Report:
        """The next report, not handed in yet."""
        return self.chain.next(entries, time.time_ns() // 1_000_000)

    async def report(self, *entries: ReportEntry) -> Report:
        """Returns once a node answered that it holds it."""
        async with self._handing_in:
            report = self.make(*entries)

            async def taken() -> bool | None:
                try:
                    await self.anyone.ask(lambda client: client.report_positions(report))
                except RetryError:
                    return None
                return True

            await until(taken, f"that a node takes {self.name}'s report {report.sequence}", within=PATIENCE_S)
            return report

    async def ask(self, call: Callable[[VenueClient], Awaitable[_T]]) -> _T:
        return await self.anyone.ask(call)

    async def health(self, customer: Owner) -> AccountAnswer:
        return await self.anyone.ask(lambda client: client.get_health(customer.account))

    async def attestation(self, customer: Owner) -> tuple[AttestedRelease, ...]:
        try:
            return await self.anyone.ask(lambda client: client.get_liquidation_attestation(customer.account))
        except (ServiceUnavailable, QuorumError):
            return ()


def long(customer: Owner, size: int, entry_usd: int, cash_usd: int = 0) -> ReportEntry:
    """A position of whole units of ETH."""
    position = Position("ETH-PERP", size * 10**18, entry_usd * USD)
    return ReportEntry(customer.account, (position,), cash_usd * USD, 0)


def owes(customer: Owner, usd: int) -> ReportEntry:
    """A debt and no position."""
    return ReportEntry(customer.account, (), -usd * USD, 0)


def venue_tls(net: Testnet, name: str) -> TlsMaterial:
    """A certificate for a venue."""
    return issue(net.folder._authority, Identity(Role.VENUE, name), (), datetime.now(UTC))


def other_venue(net: Testnet) -> Reporter:
    """The second venue of the policy. Its clients are not open yet."""
    tls = venue_tls(net, OTHER_VENUE)
    anyone: _Anyone[VenueClient] = _Anyone(
        net.nodes, lambda node: VenueClient(node.venues, net.network, tls, server_name=_server_name(node))
    )
    return Reporter(OTHER_VENUE, ReportChain(net.network.network_id, OTHER_VENUE, LocalKey(OTHER_KEY)), anyone)


def held(answer: AccountAnswer, asset: str) -> dict[ChainId, int]:
    """What the state says the account has of an asset, by chain."""
    return {line.chain_id: line.amount for line in answer.health.holdings if line.asset == asset and line.amount}


def reserved(answer: AccountAnswer) -> int:
    """How many releases of the account are open."""
    return len(answer.view.record.reservations) if answer.view.record is not None else 0


def seized(answer: AccountAnswer) -> int:
    """All that was ever seized from the account, or is reserved for it, in 1e-12 USD."""
    record = answer.view.record
    return sum(item.seized for item in record.authorizations) if record is not None else 0


def reported(answer: AccountAnswer) -> int:
    """The sequence of the last report that counts for the account."""
    venues = answer.view.obligations.venues if answer.view.obligations is not None else ()
    return max((item.sequence for item in venues), default=0)


def told(answer: AccountAnswer) -> str:
    """An answer in a line, for whoever reads why a test failed."""
    health = answer.health
    chains = {chain.cut.chain_id: (chain.cut.height, chain.status.name) for chain in answer.header.chains}
    low, high = (end / USD for end in (health.maintenance_excess.low, health.maintenance_excess.high))
    lines = [(line.chain_id, line.asset, line.amount, [str(item) for item in line.reasons]) for line in health.holdings]
    return (
        f"state {answer.header.sequence}: {health.status.name} {[str(reason) for reason in health.reasons]}, "
        f"excess [{low:,.0f}, {high:,.0f}], {reserved(answer)} reserved, report {reported(answer)}, "
        f"holdings {lines}, chains {chains}"
    )
