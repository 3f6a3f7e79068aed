"""How far an L1 has settled a rollup: its claims, held against the blocks that the rollup's endpoints agree on.

Owns the comparison, the tie to the cuts that values were proven at, and the notice that the sequencer has halted. A
claim whose root is another than that of the rollup's own block settles nothing: as long as it can be challenged it is
garbage, which anybody can post. One that has passed its challenge cannot be: then it is the endpoints that are wrong,
or the L1, and the chain is disputed. Must not know how claims are proven.

Anybody can also claim something, true or false, of any old block. Such a claim must not stop the others, pass for the
newest, or have an endpoint blamed for what it need not keep. So no failure to answer about a block that a claim has
chosen is an endpoint's fault, a claim that cannot be held against the rollup is passed over, and the newest is that of
the highest block: the search ends at claims that were made before the highest block so far.

The preimage of an OP-stack root takes a proof of the rollup's state, which endpoints serve for some 1,000 blocks only
(from Isthmus on the header has all of it). So it is captured when the claim is first seen, and kept until it counts.

SEQUENCER_SIGNED is the class of what nobody has claimed on L1 yet. That a sequencer signed it is what the rollup's own
nodes require of a block that comes by gossip, before they serve it; JSON-RPC gives no signature to check, so none is
checked here. What the class says is who could still make it another block, and nothing is proven by it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from chains.adapter import DisputedError, FaultSink, Rollup, Settled, Settlement
from chains.errors import HypothecError, ProofError, QuorumError, RetryError
from chains.evm.endpoint import Endpoint
from chains.evm.errors import UnknownBlock
from chains.evm.finality import FinalHeads
from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool
from chains.evm.questions import Contract, ancestors, header_of, proofs
from chains.evm.rollup.captured import Captures
from chains.evm.rollup.claims import Claims, Found
from chains.proofs.header import Header
from chains.proofs.mpt import NodeStore
from chains.proofs.output_root import MESSAGE_PASSER, Output, RollupFinality, told_storage_root
from chains.proofs.rollup.assertions import AssertedBlock
from chains.proofs.rollup.errors import AnotherRoot, NotSettled, Overtaken, StillToCome, Unproven
from chains.proofs.rollup.state import Claim
from chains.types import ChainId, Cut, EndpointFault, Hash32, Height, UnixSeconds

MAX_DESCENT: Final = 65_536
"""Blocks between a settled block and the cut above it that are linked by parent hashes; 36 hours of 2 seconds each."""

TRIES: Final = 3
"""Looks at which a proposal is tried that no endpoint lets be held against the rollup; then it has to pass first."""

PROOF_WINDOW: Final = 1_000
"""Blocks for which endpoints are expected to prove the rollup's state: so long, a proposal is tried at every look."""

_REFUSED = 16
_KEPT = 2_048
_HEADERS_A_REQUEST = 128


class SequencerHalted(HypothecError):
    """The rollup makes no blocks any more, while its L1 does."""

    reason = "SEQUENCER_HALTED"
    status = "UNAVAILABLE"


class SettlementFollower:
    """What L1 says of one rollup, whose endpoints are `l2` and whose L1's endpoints are `l1`, each with their heads."""

    def __init__(
        self,
        chain_id: ChainId,
        rollup: Rollup,
        l1: tuple[EndpointPool, FinalHeads],
        l2: tuple[EndpointPool, TrustedHeads],
        faults: FaultSink,
    ) -> None:
        self._chain_id = chain_id
        self._rollup = rollup
        self._l1_heads = l1[1]
        self._captures = Captures(chain_id, rollup)
        self._claims = Claims(chain_id, rollup.contracts, *l1, self._captures)
        self._pool, self._heads = l2
        self._faults = faults
        self._store = NodeStore(256)
        self._seen: OrderedDict[str, NotSettled | Height] = OrderedDict()  # proposed claims that were compared
        self._heights: OrderedDict[UnixSeconds, Height] = OrderedDict()  # of the newest block up to a time
        self._tried: Counter[str] = Counter()
        self._missing: dict[str, UnixSeconds] = {}  # assertions whose block nobody has, and since when on L1
        self._disputed = ""  # the claim by which there is a dispute
        self._ties: OrderedDict[Hash32, None] = OrderedDict()  # settled blocks that a cut descends from
        self._loaded = False
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
        if not self._loaded:
            self._loaded = True
            try:
                await self._captures.load()
            except ProofError as error:
                self._tell(error)
        top, tip = await self._l1_heads.head(), await self._heads.head()
        silent = max(0, top.timestamp - tip.timestamp)
        if halted := silent > self._rollup.silence:
            self._tell(SequencerHalted("The rollup's blocks have stopped", final=tip.number, since=tip.timestamp))
        look = _Look(tip, top.timestamp, halted)
        async with aclosing(self._claims.at(top)) as claims:
            async for found in claims:
                if look.ends_at(found):
                    break
                look.listed.append(found)
                if not isinstance(found, NotSettled) and found.finality is RollupFinality.CHALLENGE_PASSED:
                    await self._judge_final(found, look)
        newest = await self._newest_proposed(look)
        passed = await self._tied(look.passed)
        proposed = passed if newest is look.passed else await self._tied(newest)
        self._missing = {claim: since for claim, since in self._missing.items() if claim in look.missing}
        if self._disputed not in look.undecided:  # else it may only be hidden
            self.dispute = None
        self.latest = Settlement(
            top.number, self._l1_heads.assurance(top), passed, proposed, self._refusals(look), silent, halted
        )
        await self._captures.save()
        if not halted:
            self._told = ""
        return self.latest

    def proved(self, cut: Cut) -> None:
        """Values were proven at `cut`, which descends from those before it: what L1 settles is held against it."""
        self._captures.add_cut(cut)

    # === Comparison ===

    async def _judge_final(self, found: Claim | AssertedBlock, look: _Look) -> None:
        """Take a claim that has passed its challenge for the newest one, if it is. Raises DisputedError."""
        try:
            header = await self._compare(found, look, above=look.passed)
        except AnotherRoot as error:
            self.dispute = DisputedError(
                "L1 has settled another block than the rollup's endpoints serve", chain=self._chain_id, **error.values
            )
            self._disputed = found.where
            raise self.dispute from error
        except NotSettled as error:
            if isinstance(error, Unproven):
                look.undecided.add(found.where)
            look.reasons[found.where] = error
        else:
            look.passed = Settled(header.number, header.hash, found.finality, found.where)
            look.passed_time = header.timestamp

    async def _newest_proposed(self, look: _Look) -> Settled | None:
        """The highest block that is claimed at all. Each claim is compared once, and its preimage so captured."""
        newest = look.passed
        for found in look.listed:
            if isinstance(found, NotSettled) or found.finality is RollupFinality.CHALLENGE_PASSED:
                continue
            known = self._seen.get(found.where)
            if isinstance(known, NotSettled):
                look.reasons[found.where] = known
            elif known is None or newest is None or known > newest.height:
                try:
                    header = await self._compare(found, look, above=look.passed)
                except NotSettled as error:
                    look.reasons[found.where] = error
                    self._refuse(found, error, look)
                else:
                    self._see(found.where, header.number)
                    if newest is None or header.number > newest.height:
                        newest = Settled(header.number, header.hash, found.finality, found.where)
        return newest

    def _refuse(self, found: Claim | AssertedBlock, error: NotSettled, look: _Look) -> None:
        """Do not compare a claim again that is false, or that was tried often enough."""
        height = found.height if isinstance(found, Claim) else None
        recent = height is not None and height > look.tip.number - PROOF_WINDOW
        if isinstance(error, Unproven) and not isinstance(error, StillToCome) and not recent:
            self._tried[found.where] += 1
        if isinstance(error, AnotherRoot) or self._tried[found.where] >= TRIES:
            self._see(found.where, error)

    async def _compare(self, found: Claim | AssertedBlock, look: _Look, above: Settled | None) -> Header:
        """The rollup's block that a claim is of. Raises AnotherRoot, Overtaken if it is not `above`, or Unproven."""
        try:
            if isinstance(found, AssertedBlock):
                height = (await self._asserted(found, look)).number
            else:
                height = found.height if found.height is not None else await self._height_at(found, look)
            if above is not None and height <= above.height:
                raise Overtaken("A claim is of no block above one that has passed", claim=found.where, height=height)
            if height > look.tip.number:
                raise StillToCome("A claim is of a block that is still to come", claim=found.where, height=height)
            (header,) = await self._heads.at([height], (RetryError,))
            if isinstance(found, AssertedBlock):
                found.check(header)
            elif (root := (await self._output(header)).root()) != found.root:
                self._heads.forget(height)
                raise AnotherRoot(
                    "A claim is of another root than that of the rollup's block",
                    claim=found.where,
                    height=height,
                    claimed=found.root,
                    root=root,
                )
        except QuorumError:
            raise  # they have the block, and differ
        except (RetryError, ProofError) as error:
            raise Unproven("No endpoint lets a claim be checked", claim=found.where, cause=error.reason) from error
        return header

    async def _height_at(self, found: Claim, look: _Look) -> Height:
        """That of the newest block up to the time that a claim is of. Blocks come at a steady pace, as a rule."""
        time, tip = found.time, look.tip
        assert time is not None  # noqa: S101 - a claim has a height or a time
        if time in self._heights:
            return self._heights[time]
        if time >= tip.timestamp:
            raise StillToCome("A claim is of a time that is still to come", claim=found.where, time=time)

        async def made(height: int) -> int:
            (header,) = await self._heads.at([Height(height)], (RetryError,))
            return header.timestamp

        pace = max(1, tip.timestamp - await made(max(0, tip.number - 1)))
        low = max(0, tip.number + (time - tip.timestamp) // pace)
        high, step = low + 1, 1
        while low > 0 and await made(low) > time:
            low, high, step = max(0, low - step), low, 2 * step
        while high < tip.number and await made(high) <= time:
            low, high, step = high, min(tip.number, high + step), 2 * step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await made(middle) <= time else (low, middle)
        self._heights[time] = Height(low)
        while len(self._heights) > _KEPT:
            self._heights.popitem(last=False)
        return Height(low)

    async def _asserted(self, found: AssertedBlock, look: _Look) -> Header:
        """The block with the hash that is asserted; any endpoint that has it will do, since its hash is known.

        Raises StillToCome, and AnotherRoot if for as long as a sequencer may be silent most of them say there is none:
        an assertion is made of what is on L1 already, so whoever has not stopped would have had to come across it.
        """
        good, aside = self._pool.ranked()
        answers = await self._pool.ask_all((*good, *aside), partial(_known, found))
        if header := next((each for each in answers.values() if each is not None), None):
            return header
        look.missing.add(found.where)
        since = self._missing.setdefault(found.where, look.l1_time)
        if look.halted or 2 * len(answers) <= len(self._pool) or look.l1_time - since < self._rollup.silence:
            raise StillToCome("Endpoints do not have the block of a claim yet", claim=found.where, since=since)
        raise AnotherRoot("An assertion is of a block that the rollup does not have", asserted=found.block_hash)

    async def _output(self, header: Header) -> Output:
        """What the root of a block commits to. Raises a RetryError that nobody is blamed for, or ProofError."""
        root = told_storage_root(header) or self._captures.storage_root(header.hash)
        if root is None:
            question = partial(proofs, header=header, contracts=(Contract(MESSAGE_PASSER),), store=self._store)
            (proven,) = await self._pool.ask(question, (RetryError,))
            if proven.account is None:
                raise AnotherRoot("The rollup's state has no message passer", block=header.hash, height=header.number)
            root = proven.account.storage_hash
            self._captures.add_storage_root(header.hash, root)
        return Output(header.state_root, root, header.hash)

    def _see(self, claim: str, found: NotSettled | Height) -> None:
        self._seen[claim] = found
        self._tried.pop(claim, None)
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)

    def _refusals(self, look: _Look) -> tuple[str, ...]:
        found = (each if isinstance(each, NotSettled) else look.reasons.get(each.where) for each in look.listed)
        return tuple(str(each) for each in found if each is not None)[:_REFUSED]

    async def _tied(self, settled: Settled | None) -> Settled | None:
        """`settled`, and whether a cut descends from it by parent hashes; DisputedError if that is on another chain.

        What was found once stays so; a cut that is still to come, or blocks that nobody serves now, leave it open.
        """
        if settled is None or (cut := self._captures.cut_above(settled.height)) is None:
            return settled
        height, block_hash = cut
        if settled.block_hash not in self._ties and height - settled.height <= MAX_DESCENT:
            try:
                (top,) = await self._heads.at([height])
                if top.hash != block_hash:  # the endpoints once agreed on another, and the node has gone on without
                    self._captures.forget_cut(height)
                    return settled
                found = await self._ancestor(top, settled.height)
            except RetryError:
                return settled
            if found != settled.block_hash:
                self._disputed = settled.claim
                self.dispute = DisputedError(
                    "L1 has settled another chain than that of a cut",
                    chain=self._chain_id,
                    height=height,
                    cut=block_hash,
                    settled=settled.block_hash,
                )
                raise self.dispute
            self._ties[settled.block_hash] = None
            while len(self._ties) > _KEPT:
                self._ties.popitem(last=False)
        return replace(settled, tied=settled.block_hash in self._ties)

    async def _ancestor(self, child: Header, height: Height) -> Hash32:
        """The hash of the block at `height` that `child` descends from."""
        while child.number > height:
            count = min(child.number - height, _HEADERS_A_REQUEST)
            child = (await self._pool.ask(partial(ancestors, child=child, count=count)))[-1]
        return child.hash

    def _tell(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, HypothecError) else HypothecError.reason
        if reason != self._told:
            self._told = reason
            self._faults(EndpointFault(self._chain_id, "settlement", reason, str(error) or repr(error)))


@dataclass(slots=True)
class _Look:
    """What one look has found so far, the rollup's final block being `tip`."""

    tip: Header
    l1_time: UnixSeconds
    halted: bool
    listed: list[Found] = field(default_factory=list)
    """Every claim that was looked at, newest first."""
    reasons: dict[str, NotSettled] = field(default_factory=dict)
    passed: Settled | None = None
    passed_time: int = 0
    """When that block was made, in Unix seconds."""
    undecided: set[str] = field(default_factory=set)
    """Claims that have passed their challenge and could not be held against the rollup."""
    missing: set[str] = field(default_factory=set)
    """Assertions whose block no endpoint has."""

    def ends_at(self, found: Found) -> bool:
        """Whether neither `found` nor what was claimed before it can be of a higher block than what has passed."""
        return self.passed is not None and isinstance(found, Claim) and found.made_at <= self.passed_time


async def _known(found: AssertedBlock, endpoint: Endpoint) -> Header | None:
    """The endpoint's header with the hash that is asserted; None if it says that it has none."""
    try:
        return await header_of(endpoint, found.block_hash)
    except UnknownBlock:
        return None
