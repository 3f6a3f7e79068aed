"""Brings states and releases to one chain: once, in order, at a fair price, whatever crashes in between.

A transaction is in the outbox before it is sent, with its nonce and its bytes; after a restart it is those bytes that
are sent again, never new ones. Nodes take turns: each gives the ones before it in a statement's own order time to do
it, and looks at the chain before it pays. Must not know how statements come to be signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.types import Nonce, TxParams, Wei

from chains.errors import LimitError, RetryError
from chains.proofs.keccak import keccak
from chains.types import Address, ChainId, Hash32
from node.ingest.ports import Meter
from node.model.transactions import Attempt, Transaction, TxStatus
from node.relay.calls import Job, already_done, execution, progress_question, refusal
from node.relay.endpoint import HttpProvider, NotMined, Refused, Reverts, asked
from node.relay.ports import Outbox, Turn

MAX_JOBS = 1024
"""Jobs of one chain that wait or are under way; the next one is refused and told again by a later state."""
_GAS_MARGIN_PERCENT = 25
"""More gas than the estimate, since books may change between estimate and inclusion."""
_RAISE_PERCENT = 25
"""How much more each further attempt offers."""
_LEAST_RAISE_PERCENT = 10
"""How much more nodes demand."""
MAX_RAISES = 8
"""Attempts that only offer more, when the chain itself did not become dearer: it may have halted."""
MAX_FEE_WEI = 500 * 10**9
"""For one gas, tip included, unless the operator says otherwise. What endpoints say of fees is not to be trusted."""
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RelayTiming:
    """Waits of a relayer, in seconds."""

    stagger: float = 2.0
    """How long each node in turn is given before the next one takes over."""
    poll: float = 1.0
    raise_after: float = 15.0
    """How long a transaction may stay unmined before a higher fee is offered."""
    retry: float = 2.0
    """Pause after an endpoint failed."""


class ChainRelay:
    """The relayer of one chain. Its lifetime is one `async with`; jobs that were pending are taken up again."""

    def __init__(
        self,
        chain_id: ChainId,
        url: str,
        key: bytes,
        outbox: Outbox,
        turn: Turn,
        meter: Meter,
        timing: RelayTiming | None = None,
        max_fee_wei: int = MAX_FEE_WEI,
    ) -> None:
        self._chain_id = chain_id
        self._account: LocalAccount = Account.from_key(key)
        self._outbox = outbox
        self._turn = turn
        self._meter = meter
        self._timing = timing or RelayTiming()
        self._max_fee = max_fee_wei
        self._provider = HttpProvider(url, _REQUEST_SECONDS)
        self._web3 = AsyncWeb3(self._provider)
        self._sending = asyncio.Lock()
        self._tasks: dict[Hash32, asyncio.Task[None]] = {}
        self._newest_state = 0

    async def __aenter__(self) -> Self:
        for transaction in await self._outbox.pending(self._chain_id):
            self._start(transaction.purpose, self._resume(transaction))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._provider.disconnect()

    def submit(self, job: Job) -> None:
        """Take a job; a job that is under way already is left alone. Raises LimitError when too many wait."""
        if job.purpose in self._tasks:
            return
        if len(self._tasks) >= MAX_JOBS:
            raise LimitError("let the chain work off what waits", chain_id=self._chain_id, waiting=len(self._tasks))
        if job.statement.release is None:
            self._newest_state = max(self._newest_state, job.statement.sequence)
        self._start(job.purpose, self._carry_out(job))

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # === One job ===

    def _start(self, purpose: Hash32, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"relay {self._chain_id} {purpose.hex()[:8]}")
        self._tasks[purpose] = task
        task.add_done_callback(lambda done: self._ended(purpose, done))

    def _ended(self, purpose: Hash32, task: asyncio.Task[None]) -> None:
        del self._tasks[purpose]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._meter.fault("relay.job_failed", error, chain=self._chain_id, purpose=purpose.hex())

    async def _carry_out(self, job: Job) -> None:
        known = await self._outbox.get(self._chain_id, job.purpose)
        if known is not None:
            if known.status is TxStatus.PENDING:
                await self._resume(known)
            return
        transaction = await self._written_down(job)
        if transaction is not None:
            self._meter.count("relay.submitted", chain=self._chain_id, purpose=job.statement.purpose)
            await self._resume(transaction)

    async def _written_down(self, job: Job) -> Transaction | None:
        """The job's transaction, in the outbox; None when the job needs none any more."""
        turn_came = False
        while not self._is_superseded(job):
            try:
                if not turn_came:
                    await asked(self._web3.eth.chain_id)
                    await asyncio.sleep(self._turn.position(job.purpose) * self._timing.stagger)
                    turn_came = True
                if await self._is_done(job):
                    return None
                async with self._sending:
                    return await self._write_down(job)
            except Reverts as error:
                # A release is offered again while it is open: a cap may let it out later, a shortfall be made good.
                if not await self._is_done(job):
                    self._meter.fault(
                        "relay.reverts",
                        error,
                        chain=self._chain_id,
                        purpose=job.purpose.hex(),
                        account=job.statement.account.hex(),
                        refusal=refusal(error.data),
                    )
                return None
            except RetryError as error:
                # Those who are told that the chain is back are told all at once: turns begin anew.
                turn_came = False
                self._meter.fault("relay.retry", error, chain=self._chain_id)
                await asyncio.sleep(self._timing.retry)
        return None

    def _is_superseded(self, job: Job) -> bool:
        """Whether a newer state is to be published, which makes this one not worth its gas."""
        return job.statement.release is None and job.statement.sequence < self._newest_state

    async def _is_done(self, job: Job) -> bool:
        call: TxParams = {"to": to_checksum_address(job.to), "data": HexBytes(progress_question(job).data)}
        return already_done(job, await asked(self._web3.eth.call(call)))

    async def _write_down(self, job: Job) -> Transaction:
        """Make the transaction and put it into the outbox. Raises Reverts, RetryError."""
        call: TxParams = {
            "from": self._account.address,
            "to": to_checksum_address(job.to),
            "data": HexBytes(execution(job).data),
        }
        gas = await asked(self._web3.eth.estimate_gas(call))
        sender = Address(bytes.fromhex(self._account.address[2:]))
        on_chain = await asked(self._web3.eth.get_transaction_count(self._account.address))
        nonce = max(on_chain, await self._outbox.next_nonce(self._chain_id, sender))
        block = await asked(self._web3.eth.get_block("latest"))
        tip = min(await asked(self._web3.eth.max_priority_fee), self._max_fee)
        attempt = self._sign(
            {
                "chainId": self._chain_id,
                "nonce": Nonce(nonce),
                "to": call["to"],
                "data": call["data"],
                "value": Wei(0),
                "gas": gas * (100 + _GAS_MARGIN_PERCENT) // 100,
                "maxFeePerGas": Wei(min(2 * block.get("baseFeePerGas", 0) + tip, self._max_fee)),
                "maxPriorityFeePerGas": Wei(tip),
            }
        )
        return await self._outbox.add(
            Transaction(self._chain_id, job.purpose, job.statement.sequence, sender, nonce, (attempt,))
        )

    def _sign(self, fields: TxParams) -> Attempt:
        raw = bytes(self._account.sign_transaction(fields).raw_transaction)  # type: ignore[arg-type]
        return Attempt(raw, Hash32(keccak(raw)))

    # === What is in the outbox ===

    async def _resume(self, transaction: Transaction) -> None:
        """Send what was written down until one attempt is final."""
        sent_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                status = await self._settled(transaction)
                if status is not None:
                    await self._outbox.settle(self._chain_id, transaction.purpose, status)
                    self._meter.count("relay.settled", chain=self._chain_id, reason=status.name)
                    return
                if sent_at and loop.time() - sent_at > self._timing.raise_after:
                    transaction = await self._raise(transaction)
                    sent_at = 0.0
                if not sent_at:
                    await self._send(transaction.attempts[-1])
                    sent_at = loop.time()
            except RetryError as error:
                self._meter.fault("relay.retry", error, chain=self._chain_id)
                await asyncio.sleep(self._timing.retry)
            await asyncio.sleep(self._timing.poll)

    async def _settled(self, transaction: Transaction) -> TxStatus | None:
        """How it ended, once the block that decides it is final; None until then."""
        final = await asked(self._web3.eth.get_block("finalized"))
        for attempt in transaction.attempts:
            try:
                receipt = await asked(self._web3.eth.get_transaction_receipt(HexBytes(attempt.tx_hash)))
            except NotMined:
                continue
            if receipt["blockNumber"] > final["number"]:
                return None
            return TxStatus.CONFIRMED if receipt["status"] == 1 else TxStatus.FAILED
        used = await asked(
            self._web3.eth.get_transaction_count(to_checksum_address(transaction.sender), final["number"])
        )
        return TxStatus.ABANDONED if used > transaction.nonce else None

    async def _send(self, attempt: Attempt) -> None:
        try:
            await asked(self._web3.eth.send_raw_transaction(HexBytes(attempt.raw)))
        except (Refused, Reverts) as error:
            # The usual reasons are that it is known already, or its nonce is used: `_settled` finds out which.
            # The operator hears of it all the same: it may be that the account is out of funds.
            self._meter.fault("relay.send_refused", error, chain=self._chain_id)

    async def _raise(self, transaction: Transaction) -> Transaction:
        """A further attempt with the same nonce, for a higher fee; the same transaction where no more is to be paid."""
        base_fee = (await asked(self._web3.eth.get_block("latest"))).get("baseFeePerGas", 0)
        fields = TypedTransaction.from_bytes(HexBytes(transaction.attempts[-1].raw)).as_dict()
        offered = fields["maxFeePerGas"]
        tip = min(_raised(fields["maxPriorityFeePerGas"]), self._max_fee)
        fee = min(max(_raised(offered), 2 * base_fee + tip), self._max_fee)
        is_dear = len(transaction.attempts) > MAX_RAISES and base_fee <= offered
        if is_dear or fee * 100 < offered * (100 + _LEAST_RAISE_PERCENT):
            return transaction
        attempt = self._sign(
            {
                "chainId": fields["chainId"],
                "nonce": fields["nonce"],
                "to": to_checksum_address(fields["to"]),
                "data": fields["data"],
                "value": fields["value"],
                "gas": fields["gas"],
                "maxFeePerGas": Wei(fee),
                "maxPriorityFeePerGas": Wei(tip),
            }
        )
        self._meter.count("relay.fee_raised", chain=self._chain_id, nonce=transaction.nonce)
        return await self._outbox.replace(self._chain_id, transaction.purpose, attempt)


def _raised(fee: int) -> int:
    return fee * (100 + _RAISE_PERCENT) // 100 + 1
