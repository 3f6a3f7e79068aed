"""The execution blocks of a real node, as the payloads of beacon blocks.

Owns the mapping from blocks to slots. A block has the slot of its timestamp, but one of its own: of blocks of the same
second, the later ones are ahead of their time. Those up to a certain height, which may have been mined in no time, have
the slots of their numbers. A slot without a new block has the newest one before it once more, which no light client
minds. Must not know who is told.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import Any

import aiohttp

from chains.errors import RetryError
from chains.proofs import parse
from chains.proofs.header import Header, verify_header
from chains.proofs.lightclient.config import BeaconConfig, Slot
from chains.proofs.lightclient.containers import ExecutionHeader
from chains.types import Hash32, Height

_A_REQUEST = 128
_NO_TRANSACTIONS = False


class Blocks:
    """All blocks of the node at `url`, as of the last `look`. Up to height `numbered`, slots are numbers."""

    def __init__(self, session: aiohttp.ClientSession, url: str, config: BeaconConfig, numbered: Height) -> None:
        self._session = session
        self._url = url
        self._config = config
        self._numbered = numbered
        self._payloads: list[ExecutionHeader] = []
        self._slots: list[Slot] = []  # of each, ascending
        self._final = 0

    @property
    def newest(self) -> Slot:
        """The slot of the newest block."""
        return self._slots[-1]

    @property
    def final(self) -> Slot:
        """The slot of the newest block that the node calls final."""
        return self._slots[self._final]

    def payload(self, slot: Slot) -> ExecutionHeader:
        """The newest block up to `slot`, or the first one of all."""
        return self._payloads[max(bisect_right(self._slots, slot) - 1, 0)]

    async def look(self) -> None:
        """Take in what is new. Raises RetryError."""
        newest, final = await self._blocks(["latest", "finalized"])
        height = parse.quantity(newest["number"], "number")
        known = self._payloads
        if len(known) > height and known[height].block_hash != parse.hash32(newest["hash"], "hash"):
            self._cut(0)
        self._cut(height + 1)
        while len(known) <= height:
            numbers = range(len(known), min(height + 1, len(known) + _A_REQUEST))
            for block in await self._blocks([hex(number) for number in numbers]):
                made = _payload(block)
                if known and made.parent_hash != known[-1].block_hash:
                    self._cut(0)  # the node went back on what it said: begin again
                    break
                self._add(made)
        self._final = parse.quantity(final["number"], "number")

    def _cut(self, count: int) -> None:
        del self._payloads[count:], self._slots[count:]

    def _add(self, payload: ExecutionHeader) -> None:
        slot = (payload.timestamp - self._config.genesis_time) // self._config.seconds_per_slot
        if payload.block_number <= self._numbered:
            slot = payload.block_number
        self._slots.append(Slot(max(slot, self._slots[-1] + 1 if self._slots else 0)))
        self._payloads.append(payload)

    async def _blocks(self, names: list[str]) -> list[Any]:
        calls = [
            {"jsonrpc": "2.0", "id": at, "method": "eth_getBlockByNumber", "params": [name, _NO_TRANSACTIONS]}
            for at, name in enumerate(names)
        ]
        try:
            async with self._session.post(self._url, json=calls) as response:
                answers = {item["id"]: item["result"] for item in json.loads(await response.read())}
        except (aiohttp.ClientError, OSError) as error:
            raise RetryError(f"ask again when the chain answers: {error}", url=self._url) from error
        return [answers[at] for at in range(len(names))]


def _payload(block: dict[str, Any]) -> ExecutionHeader:
    """The execution payload header of a block. Its two list roots are those of the block's own tries, for the looks."""
    header: Header = verify_header(block)
    return ExecutionHeader(
        parent_hash=header.parent_hash,
        fee_recipient=header.miner,
        state_root=header.state_root,
        receipts_root=header.receipts_root,
        logs_bloom=header.logs_bloom,
        prev_randao=header.mix_hash,
        block_number=header.number,
        gas_limit=header.gas_limit,
        gas_used=header.gas_used,
        timestamp=header.timestamp,
        extra_data=header.extra_data[:32],
        base_fee_per_gas=header.base_fee or 0,
        block_hash=header.hash,
        transactions_root=header.transactions_root,
        withdrawals_root=header.withdrawals_root or Hash32(bytes(32)),
        blob_gas_used=parse.quantity(block.get("blobGasUsed") or "0x0", "blobGasUsed", 64),
        excess_blob_gas=parse.quantity(block.get("excessBlobGas") or "0x0", "excessBlobGas", 64),
    )
