"""The demo: an account is secured on every chain, prices fall, the network liquidates it, collateral moves.

Owns the plot and its figures. Every figure that it tells is verified by the client or read from a chain.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from web3.types import FilterParams

from chains.errors import RetryError
from chains.proofs.keccak import keccak
from chains.types import ChainId
from hypothec.client import AccountAnswer, AttestedRelease
from node.margin import evaluate
from node.model.health import Health, HealthStatus, Interval
from node.model.ledger import AccountRecord
from node.model.reports import ReportEntry
from node.relay.endpoint import asked
from node.testnet.deployment import BTC, ETH, DemoAsset, Deployment
from node.testnet.errors import NotInTime
from node.testnet.files import VENUE, key_address
from node.testnet.lag import Lag, measure
from node.testnet.network import Say, Testnet
from node.testnet.outcome import Outcome, Percentiles, Seizure
from node.testnet.people import USD, Perpetual
from node.testnet.waiting import until

POSITION = Perpetual(50, ETH.start_usd)
LIMIT_USD = 60_000
FEE_BPS = 100
FALL = ((2_900, 2_800, 2_680), (2_580, 2_480))
"""ETH in USD: first into the margin call, then below maintenance. Each step is within the policy's spread, since for a
moment the chains' feeds are a step apart."""
_STEP_S = 1.2
_DEPOSITS = {ETH.id: 10 * 10**18, BTC.id: 5 * 10**7}
_WAIT_S = 60.0
_SEIZED = keccak(b"Seized(bytes32,address,address,uint256,uint64,bytes32)")


@dataclass(frozen=True, slots=True)
class _Deposit:
    item: Deployment
    asset: DemoAsset
    amount: int


class Story:
    """One run of the demo on a testnet. `say` gets a line at each step."""

    def __init__(self, net: Testnet, say: Say) -> None:
        self._net = net
        self._say = say
        self._statuses: list[str] = []
        self._payee = key_address(secrets.token_bytes(32))
        self._marks: list[tuple[str, float]] = [("start", time.monotonic())]
        self._first_round = [0] * len(net.nodes)

    async def run(self) -> Outcome:
        """From the first link to the acknowledged seizure. Raises NotInTime where something does not happen."""
        net = self._net
        self._first_round = [len(rounds) for rounds in await self._rounds()]
        lag, _ = await asyncio.gather(self._secure(), self._authorise())
        self._mark("secured")
        await self._lever()
        before = await self._balances()
        await self._fall()
        legs, answer = await self._attested()
        self._mark("attested")
        seizures = await self._seized(legs, before)
        self._mark("seized")
        acknowledged, later = await self._acknowledge(answer, before)
        self._mark("acknowledged")
        durations = [
            duration
            for rounds, first in zip(await self._rounds(), self._first_round, strict=True)
            for duration in rounds[first:]
        ]
        return Outcome(
            net.options.nodes,
            net.options.chains,
            "0x" + net.owner.account.hex(),
            Percentiles.of(durations),
            lag,
            tuple(self._statuses),
            bool(legs),
            legs[0].release.sequence,
            (*seizures, *later),
            _usd(acknowledged),
            {name: round(at - self._marks[index][1], 1) for index, (name, at) in enumerate(self._marks[1:])},
        )

    # === The acts ===

    async def _authorise(self) -> None:
        decision = await self._net.owner.link()
        self._say(f"the owner opened account 0x{self._net.owner.account.hex()[:8]}…: state {decision.sequence}")
        payees = {item.chain_id: self._payee for item in self._net.deployments}
        decision = await self._net.owner.authorize(LIMIT_USD, payees)
        self._say(f"the owner authorised venue {VENUE} up to ${LIMIT_USD:,}: state {decision.sequence}")

    async def _secure(self) -> int:
        deposits = self._deposits()
        heights = await asyncio.gather(
            *(self._net.owner.deposit(deposit.item, deposit.asset, deposit.amount) for deposit in deposits)
        )
        for deposit, height in zip(deposits, heights, strict=True):
            amount = f"{deposit.amount / 10**deposit.asset.token_decimals:g} {deposit.asset.id}"
            self._say(f"the owner deposited {amount} on chain {deposit.item.chain_id}: block {height}")
        quorum = self._net.network.strong_quorum
        lags = [Lag(deposit.item.chain_id, height, quorum) for deposit, height in zip(deposits, heights, strict=True)]
        rounds = await measure(self._net.operators, lags)
        self._say(f"every deposit is in a certified state, {max(rounds)} rounds after 2f+1 nodes had proven it")
        return max(rounds)

    async def _lever(self) -> None:
        await self._net.venue.report(POSITION.entry(self._net.owner.account))
        answer = await self._health(lambda answer: bool(answer.health.venues), "for the position to count")
        self._say(f"the venue reported {POSITION.size} ETH-PERP long at ${POSITION.entry_usd:,}: {_told(answer)}")

    async def _fall(self) -> None:
        into_call, below = FALL
        await self._step_down(into_call)
        answer = await self._health(
            lambda answer: answer.health.status is HealthStatus.MARGIN_CALL, "for a margin call"
        )
        self._say(_told(answer))
        await self._step_down(below)

    async def _step_down(self, prices: Iterable[int]) -> None:
        for price in prices:
            await asyncio.gather(self._net.feeds.set(ETH.id, price), asyncio.sleep(_STEP_S))
            self._say(f"ETH falls to ${price:,}")

    async def _attested(self) -> tuple[tuple[AttestedRelease, ...], AccountAnswer]:
        """The plan's legs with their signatures, and the state's answer that has the reservations."""
        answer = await self._health(lambda answer: bool(_reservations(answer)), "for a liquidation to be agreed")
        judged = _without_plan(answer)
        self._noted(judged.status)
        self._say(
            f"{_status(judged)}: state {answer.header.sequence} reserves "
            f"{_reservations(answer)} seizures, {_excess(judged.maintenance_excess)} short of maintenance"
        )

        return await self._legs(answer), answer

    async def _legs(self, answer: AccountAnswer) -> tuple[AttestedRelease, ...]:
        """The legs that a state reserves, once enough nodes have signed them."""

        async def legs() -> tuple[AttestedRelease, ...] | None:
            found = await self._net.venue.attestation(self._net.owner.account)
            return found if len(found) == _reservations(answer) else None

        found = await until(legs, "for the seizures to be attested", within=_WAIT_S)
        quorum = self._net.network.quorum
        self._say(
            f"{len(found)} seizures attested by {quorum} of {self._net.network.n} nodes; the client verified them"
        )
        return found

    async def _seized(
        self, legs: tuple[AttestedRelease, ...], before: dict[ChainId, dict[str, str]]
    ) -> tuple[Seizure, ...]:
        found = []
        for leg in legs:
            item = next(item for item in self._net.deployments if item.chain_id == leg.release.chain_id)
            tx = await until(
                lambda item=item, leg=leg: self._seizure(item, leg.release.nonce),  # type: ignore[misc]
                f"for the seizure on chain {item.chain_id}",
                within=_WAIT_S,
            )
            after = (await self._balances())[item.chain_id]
            moved = ", ".join(
                f"{name} {before[item.chain_id][name]} → {after[name]}"
                for name in after
                if before[item.chain_id][name] != after[name]
            )
            self._say(f"seized on chain {item.chain_id} in {tx[:10]}…: {moved}")
            found.append(Seizure(item.chain_id, tx, before[item.chain_id], after))
        return tuple(found)

    async def _acknowledge(
        self, attested: AccountAnswer, before: dict[ChainId, dict[str, str]]
    ) -> tuple[int, tuple[Seizure, ...]]:
        """The venue closes the position at the last price and books what it got; returns that, in 1e-12 USD.

        A plan takes what is certain when it is made. What was not (a chain that was late, a price that was stale)
        may come with a later plan: its seizures are returned as well.
        """
        price = self._net.feeds.price(ETH.id)
        fee = POSITION.size * price * FEE_BPS * USD // 10_000
        cash = POSITION.pnl_usd(price) * USD - fee
        answer, later = attested, list[Seizure]()
        while True:
            seized = _all_seized(answer)
            await self._net.venue.report(ReportEntry(self._net.owner.account, (), cash + seized, seized))
            answer = await self._health(
                lambda found, seized=seized: _all_seized(found) > seized or _is_settled(found),  # type: ignore[misc]
                "for the seizure to be acknowledged and settled",
            )
            if _all_seized(answer) == seized:
                self._say(f"the venue closed the position and acknowledged ${_usd(seized)}: {_told(answer)}")
                return seized, tuple(later)
            self._say(f"a later plan seizes more: ${_usd(_all_seized(answer))} in all")
            later += await self._seized(await self._legs(answer), before)

    # === Looking ===

    def _deposits(self) -> list[_Deposit]:
        """The native coin on the first chain, the token on the second (or the only one); no more is needed."""
        items = self._net.deployments
        return [
            _Deposit(items[0], ETH, _DEPOSITS[ETH.id]),
            _Deposit(items[1 % len(items)], BTC, _DEPOSITS[BTC.id]),
        ]

    async def _health(self, wanted: Callable[[AccountAnswer], bool], what: str) -> AccountAnswer:
        last = "nobody answered"

        async def answer() -> AccountAnswer | None:
            nonlocal last
            try:
                found = await self._net.venue.health(self._net.owner.account)
            except RetryError as error:
                last = str(error)
                return None
            if found.health.venues and not _reservations(found):
                self._noted(found.health.status)
            receivable = sum(line.receivable for line in found.health.venues)
            last = f"{_told(found)}, {_reservations(found)} seizures reserved, ${_usd(receivable)} not acknowledged"
            return found if wanted(found) else None

        try:
            return await until(answer, what, within=_WAIT_S, every=0.2)
        except NotInTime as error:
            raise NotInTime(error.message, last=last) from error

    def _noted(self, status: HealthStatus) -> None:
        if self._statuses[-1:] != [status.name]:
            self._statuses.append(status.name)

    async def _balances(self) -> dict[ChainId, dict[str, str]]:
        """By chain: what the vault's books hold for the account, and what the payee has."""
        found: dict[ChainId, dict[str, str]] = {}
        for item in self._net.deployments:
            payee, books = to_checksum_address(self._payee), item.vault.functions
            coins = await asked(item.chain.web3.eth.get_balance(payee))
            tokens = await asked(item.token.functions.balanceOf(payee).call())
            for asset, paid in ((ETH, coins), (BTC, tokens)):
                place = to_checksum_address(item.place(asset))
                booked = await asked(books.balances(self._net.owner.account, place).call())
                values = found.setdefault(item.chain_id, {})
                values[f"vault {asset.id}"] = _units(booked, asset)
                values[f"payee {asset.id}"] = _units(paid, asset)
        return found

    async def _seizure(self, item: Deployment, nonce: int) -> str | None:
        wanted: FilterParams = {
            "address": item.vault.address,
            "fromBlock": 0,
            "topics": [HexStr("0x" + _SEIZED.hex()), HexStr("0x" + self._net.owner.account.hex())],
        }
        logs = await asked(item.chain.web3.eth.get_logs(wanted))
        nonces = [int.from_bytes(log["data"][32:64]) for log in logs]  # (amount, nonce, reference)
        return logs[nonces.index(nonce)]["transactionHash"].to_0x_hex() if nonce in nonces else None

    async def _rounds(self) -> list[list[float]]:
        async def of(index: int) -> list[float]:
            try:
                return await self._net.nodes[index].rounds()
            except RetryError:
                return []

        return list(await asyncio.gather(*(of(index) for index in range(len(self._net.nodes)))))

    def _mark(self, name: str) -> None:
        self._marks.append((name, time.monotonic()))


def _units(amount: int, asset: DemoAsset) -> str:
    """Base units as whole ones, exactly."""
    return f"{Decimal(amount).scaleb(-asset.token_decimals).normalize():f}"


def _reservations(answer: AccountAnswer) -> int:
    return len(answer.view.record.reservations) if answer.view.record is not None else 0


def _all_seized(answer: AccountAnswer) -> int:
    """What was ever seized of the account, in 1e-12 USD of credit."""
    return sum(item.seized for item in answer.view.record.authorizations) if answer.view.record is not None else 0


def _is_settled(answer: AccountAnswer) -> bool:
    return not _reservations(answer) and all(not line.receivable for line in answer.health.venues)


def _without_plan(answer: AccountAnswer) -> Health:
    """Health in the same state had nothing been reserved: what the network saw when it made the plan."""
    record = answer.view.record
    if record is None:
        return answer.health
    return evaluate(replace(answer.view, record=_unreserved(record)), answer.context)


def _unreserved(record: AccountRecord) -> AccountRecord:
    credit: dict[str, int] = {}
    for item in record.reservations:
        credit[item.venue] = credit.get(item.venue, 0) + item.credit
    authorizations = tuple(
        replace(item, seized=item.seized - credit.get(item.venue, 0)) for item in record.authorizations
    )
    return replace(record, reservations=(), authorizations=authorizations)


def _told(answer: AccountAnswer) -> str:
    health = answer.health
    return f"{_status(health)}, {_excess(health.maintenance_excess)} above maintenance (state {answer.header.sequence})"


def _status(health: Health) -> str:
    return health.status.name.replace("_", " ").lower()


def _excess(interval: Interval) -> str:
    low, high = abs(interval.low) // USD, abs(interval.high) // USD
    return f"${low:,}" if low == high else f"${min(low, high):,} to ${max(low, high):,}"


def _usd(amount: int) -> str:
    return f"{amount / USD:,.2f}"
