"""How far an L1 has settled a rollup: its claims, held against the blocks that the rollup's endpoints agree on.

Owns the comparison, the class of a cut, and the notice that the sequencer has halted. A claim whose root is another
than that of the rollup's own block settles nothing: as long as it can be challenged it is garbage, which anybody can
post. One that has passed its challenge cannot be: then it is the endpoints that are wrong, or the L1, and the chain is
disputed. Must not know how claims are proven.

The preimage of an OP-stack root takes a proof of the rollup's state, which endpoints serve for some 1,000 blocks only
(from Isthmus on the header has all of it). So it is captured when the claim is first seen, and kept until it counts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import aclosing
from functools import partial
from typing import Final

from chains.adapter import DisputedError, FaultSink, Rollup, Settled, Settlement
from chains.errors import HypothecError, LimitError
from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool
from chains.evm.questions import Contract, ancestors, header_of, proofs
from chains.evm.rollup.claims import Claims, Found
from chains.proofs.header import Header
from chains.proofs.mpt import NodeStore
from chains.proofs.output_root import MESSAGE_PASSER, Output, RollupFinality, told_storage_root
from chains.proofs.rollup.assertions import AssertedBlock
from chains.proofs.rollup.errors import AnotherRoot, NotSettled
from chains.proofs.rollup.state import Claim
from chains.types import ChainId, Cut, EndpointFault, Hash32

MAX_DESCENT: Final = 65_536
"""Blocks between a cut and the settled one above it that are linked by parent hashes; 36 hours of 2 seconds each."""

_REFUSED = 16
_KEPT = 2_048
_HEADERS_A_REQUEST = 128


class SequencerHalted(HypothecError):
    """The rollup makes no blocks any more, while its L1 does."""

    reason = "SEQUENCER_HALTED"
    status = "UNAVAILABLE"


class SettlementFollower:
    """What L1 says of one rollup, whose endpoints are `pool` and whose final headers `heads` gives."""

    def __init__(
        self,
        chain_id: ChainId,
        rollup: Rollup,
        l1: tuple[EndpointPool, TrustedHeads],
        l2: tuple[EndpointPool, TrustedHeads],
        faults: FaultSink,
    ) -> None:
        self._chain_id = chain_id
        self._rollup = rollup
        self._l1_heads = l1[1]
        self._claims = Claims(rollup.contracts, *l1)
        self._pool, self._heads = l2
        self._faults = faults
        self._store = NodeStore(256)
        self._outputs: OrderedDict[Hash32, Output] = OrderedDict()  # by block
        self._seen: OrderedDict[str, NotSettled | None] = OrderedDict()  # proposed claims that were compared
        self._told = ""
        self.latest: Settlement | None = None
        self.dispute: DisputedError | None = None
        """Set while L1 has settled another chain than the endpoints serve."""

    async def run(self) -> None:
        """Look for ever. Errors end nothing, whatever they are: the sink hears each once, the last settlement stands.

        What endpoints answer goes through much code, and what breaks it must not leave a dispute standing unseen.
        """
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - see above
                self._tell(error)
            await asyncio.sleep(self._rollup.every)

    async def look(self) -> Settlement:
        """What L1 has settled as of its newest final block.

        Raises DisputedError if that is another chain than the endpoints serve, NotSettled if the contracts there are
        not those of the recipe, RetryError when too few endpoints answer, and ProofError if all lie.
        """
        top, tip = await self._l1_heads.head(), await self._heads.head()
        silent = max(0, top.timestamp - tip.timestamp)
        if halted := silent > self._rollup.silence:
            self._tell(SequencerHalted("The rollup's blocks have stopped", final=tip.number, since=tip.timestamp))
        proposed: Settled | None = None
        passed: Settled | None = None
        refused: list[NotSettled] = []
        async with aclosing(self._claims.at(top)) as claims:
            async for found in claims:
                settled = await self._judge(found, tip, refused, enough=proposed is not None)
                proposed = proposed or settled
                if settled is not None and settled.finality is RollupFinality.CHALLENGE_PASSED:
                    passed = settled
                    break
        self.dispute = None
        if not halted:
            self._told = ""
        reasons = tuple(map(str, refused[:_REFUSED]))
        self.latest = Settlement(top.number, passed, proposed, reasons, silent, halted)
        return self.latest

    async def finality_of(self, cut: Cut) -> RollupFinality:
        """How far L1 has settled the chain up to `cut`, by the last look: by parent hashes down from what it settled.

        Raises DisputedError if the cut is on another chain than that, LimitError if it is too far below, RetryError.
        """
        latest = self.latest
        for settled in (latest.passed, latest.proposed) if latest is not None else ():
            if settled is not None and cut.height <= settled.height:
                await self._link(settled, cut)
                return settled.finality
        return RollupFinality.SEQUENCER_SIGNED

    # === Comparison ===

    async def _judge(self, found: Found, tip: Header, refused: list[NotSettled], *, enough: bool) -> Settled | None:
        """What a claim settles, or the reason in `refused`; `enough` if another that is only proposed is not needed."""
        if isinstance(found, NotSettled):
            refused.append(found)
            return None
        final = found.finality is RollupFinality.CHALLENGE_PASSED
        if not final and found.where in self._seen:
            before = self._seen[found.where]
            if before is not None:
                refused.append(before)
            if before is not None or enough:
                return None
        try:
            settled = await self._compare(found, tip)
        except NotSettled as error:
            if final:
                self.dispute = _dispute(self._chain_id, error)
                raise self.dispute from error
            self._see(found.where, error)
            refused.append(error)
            return None
        if settled is not None:
            self._see(found.where, None)
        return settled

    def _see(self, claim: str, refusal: NotSettled | None) -> None:
        self._seen[claim] = refusal
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)

    async def _compare(self, found: Claim | AssertedBlock, tip: Header) -> Settled | None:
        """The block that a claim is of, if the rollup has it; None if it is still to come. Raises AnotherRoot."""
        if isinstance(found, AssertedBlock):
            asserted: Header = await self._pool.ask(partial(header_of, block_hash=found.block_hash))
            height, where = asserted.number, found.where
        else:
            height, where = found.height, found.where
        if height > tip.number:
            return None
        (header,) = await self._heads.at([height])
        if isinstance(found, AssertedBlock):
            found.check(header)
        elif (root := (await self._output(header)).root()) != found.root:
            self._heads.forget(height)
            raise AnotherRoot(
                "A claim is of another root than that of the rollup's block",
                claim=where,
                height=height,
                claimed=found.root,
                root=root,
            )
        return Settled(height, header.hash, found.finality, where)

    async def _output(self, header: Header) -> Output:
        """What the root of a block commits to."""
        if (known := self._outputs.get(header.hash)) is not None:
            return known
        storage_root = told_storage_root(header)
        if storage_root is None:
            contracts = (Contract(MESSAGE_PASSER),)
            (proven,) = await self._pool.ask(partial(proofs, header=header, contracts=contracts, store=self._store))
            if proven.account is None:
                raise AnotherRoot("The rollup's state has no message passer", block=header.hash, height=header.number)
            storage_root = proven.account.storage_hash
        output = self._outputs[header.hash] = Output(header.state_root, storage_root, header.hash)
        while len(self._outputs) > _KEPT:
            self._outputs.popitem(last=False)
        return output

    async def _link(self, settled: Settled, cut: Cut) -> None:
        if settled.height - cut.height > MAX_DESCENT:
            raise LimitError("A cut is too far below what is settled", cut=cut.height, settled=settled.height)
        child: Header = await self._pool.ask(partial(header_of, block_hash=settled.block_hash))
        while child.number > cut.height:
            count = min(child.number - cut.height, _HEADERS_A_REQUEST)
            child = (await self._pool.ask(partial(ancestors, child=child, count=count)))[-1]
        if child.hash != cut.block_hash:
            raise DisputedError(
                "L1 has settled another chain than that of the cut",
                chain=self._chain_id,
                height=cut.height,
                cut=cut.block_hash,
                settled=child.hash,
            )

    def _tell(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, HypothecError) else HypothecError.reason
        if reason != self._told:
            self._told = reason
            self._faults(EndpointFault(self._chain_id, "settlement", reason, str(error) or repr(error)))


def _dispute(chain_id: ChainId, error: NotSettled) -> DisputedError:
    return DisputedError(
        "L1 has settled another block than the rollup's endpoints serve", chain=chain_id, **error.values
    )
