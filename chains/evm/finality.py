"""Final headers of one chain with how each is known: PROVEN under the light client, ATTESTED by a quorum beyond it.

Owns the choice between the two. A header is PROVEN if it is the one that the light client's final block names, or an
ancestor of it by parent hashes; any endpoint may serve it, since its hash is known. Where the light client's final
block is older than the bound, and a quorum of endpoints has a newer one, the quorum is followed and its headers are
ATTESTED, until the light client is back. A quorum that denies a proven block is not followed: then there is no head.

What a node says here, others need not say: a cut's root and block hash do not depend on it. Each vote for a root
carries the assurance with it, and the certified state has the grade that, of the nodes that computed this very root,
more than f reach or exceed: so at least one honest node did, and f liars can neither raise nor lower it alone
(`node.consensus.outcome.cuts`, and likewise `prices`). Nodes with a light client and nodes without agree on the bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from chains.adapter import FaultSink
from chains.errors import ProofError, QuorumError, RetryError
from chains.evm.beacon.client import NAME, FinalBlock, LightClient
from chains.evm.beacon.errors import Behind
from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool
from chains.evm.questions import ancestors, header_of
from chains.proofs.header import Header
from chains.types import Assurance, ChainId, EndpointFault, Hash32, Height

HEADERS_A_REQUEST = 128
"""Ancestors that are asked for together."""

MAX_DESCENT = 8192
"""How far below the proven block an ancestor is proven, in blocks; below that a quorum has to do."""

_KEPT = 256
_KEPT_HASHES = 4096


@dataclass(frozen=True, slots=True)
class FinalitySource:
    """Who says what is final on one chain, for each reader that needs heads of its own. `now`: seconds since 1970.

    `light` is None without beacon endpoints; `max_age`: seconds after which its final block counts as behind. `quorum`
    makes what stands in for it.
    """

    chain_id: ChainId
    pool: EndpointPool
    quorum: Callable[[], TrustedHeads]
    faults: FaultSink
    now: Callable[[], float]
    light: LightClient | None = None
    max_age: int = 0

    def heads(self) -> FinalHeads:
        """Heads for one task: what waits while another asks would not find its own."""
        return FinalHeads(self)


class FinalHeads:
    """The final headers of one chain, as `source` has them."""

    def __init__(self, source: FinalitySource) -> None:
        self._chain_id = source.chain_id
        self._pool = source.pool
        self._quorum = source.quorum()
        self._light = source.light
        self._faults = source.faults
        self._now = source.now
        self._max_age = source.max_age
        self._final: FinalBlock | None = None  # what `_top` is the header of
        self._top: Header | None = None
        self._below: dict[Height, Header] = {}  # `_top` and ancestors of it
        self._proven: OrderedDict[Hash32, None] = OrderedDict()  # what was proven once stays so
        self._behind = False

    async def head(self) -> Header:
        """The newest final header. It may fall by a few blocks where PROVEN follows on ATTESTED.

        Raises RetryError when too few endpoints answer, QuorumError when they disagree, with each other or with what
        is proven.
        """
        top = await self._proven_top()
        if top is None or self._final is None:
            return await self._attested_head()
        if self._now() - self._final.time <= self._max_age:
            self._behind = False
            return top
        try:
            head = await self._attested_head()
        except RetryError:
            return top  # old, and as true as ever
        if head.number <= top.number:
            return top  # nothing newer is final anywhere
        self._tell_behind(head, top)
        return head

    async def at(self, heights: Sequence[Height]) -> list[Header]:
        """The final headers at `heights`; errors as `head`, and RetryError for what is not final yet."""
        top = await self._proven_top()
        proven = {height for height in heights if top is not None and 0 <= top.number - height <= MAX_DESCENT}
        found = {height: self._below[height] for height in proven if height in self._below}
        if missing := sorted(proven - found.keys(), reverse=True):
            found |= await self._descend(missing)
        for height in sorted(found):
            self._keep(found[height])
        if beyond := [height for height in heights if height not in found]:
            headers = await self._quorum.at(beyond)
            await self._check_quorum(max(headers, key=lambda header: header.number))
            found |= zip(beyond, headers, strict=True)
        return [found[height] for height in heights]

    def assurance(self, header: Header) -> Assurance:
        """How a header that was given here is known. Of one that was proven long ago it may say less."""
        return Assurance.PROVEN if header.hash in self._proven else Assurance.ATTESTED

    def forget(self, height: Height) -> None:
        """Ask again when the header at `height` is needed next: nobody could prove anything against this one."""
        self._quorum.forget(height)

    # === Proven ===

    async def _proven_top(self) -> Header | None:
        """The header of the light client's final block; the last one that was there while endpoints lack the newest."""
        if self._light is None:
            return None
        await self._light.looked()  # or a node that has just started would follow whatever a quorum says
        final = self._light.final
        if final is not None and final != self._final:
            try:
                top = await self._pool.ask(partial(header_of, block_hash=final.hash))
            except (RetryError, ProofError):
                return self._top  # the sink has heard why of each
            self._final, self._top = final, top
            # SECURITY: what was below another top is not below this one unless its parents say so.
            self._below.clear()
            self._keep(top)
        return self._top

    async def _descend(self, heights: Sequence[Height]) -> dict[Height, Header]:
        """The ancestors of the top at `heights`, descending: each block is the parent of the one above it."""
        wanted, found = set(heights), dict[Height, Header]()
        start = min((known for known in self._below if known > heights[0]), default=None)
        assert start is not None  # noqa: S101 - the top itself is above whatever is not known
        child = self._below[start]
        while child.number > heights[-1]:
            count = min(child.number - heights[-1], HEADERS_A_REQUEST)
            headers = await self._pool.ask(partial(ancestors, child=child, count=count))
            found |= {header.number: header for header in headers if header.number in wanted}
            child = headers[-1]
        return found

    def _keep(self, header: Header) -> None:
        self._below[header.number] = header
        while len(self._below) > _KEPT:
            # The lowest goes: the top, from which all others are reached, is never it.
            del self._below[min(self._below)]
        self._proven[header.hash] = None
        self._proven.move_to_end(header.hash)
        while len(self._proven) > _KEPT_HASHES:
            self._proven.popitem(last=False)

    # === Attested ===

    async def _attested_head(self) -> Header:
        head = await self._quorum.head()
        await self._check_quorum(head)
        return head

    async def _check_quorum(self, head: Header) -> None:
        """Refuse a quorum's `head` if, where a block is proven, that quorum has another one. Raises QuorumError."""
        final = self._light.final if self._light is not None else None
        number = None if final is None else final.number
        block_hash = None if final is None else final.hash
        if self._final == final and self._top is not None:
            number = self._top.number
        if number is None or block_hash is None or number > head.number:
            return
        (theirs,) = await self._quorum.at([number])
        if theirs.hash != block_hash:
            self._quorum.differ(number, {NAME: block_hash, "quorum": theirs.hash}, block_hash)
            raise QuorumError(
                "A quorum of endpoints denies the final block that the light client has proven",
                chain=self._chain_id,
                height=number,
                proven=block_hash,
                theirs=theirs.hash,
            )

    def _tell_behind(self, head: Header, top: Header) -> None:
        if not self._behind:
            self._behind = True
            error = Behind(
                "The light client is behind; until it is back, a quorum of endpoints says what is final",
                proven=top.number,
                attested=head.number,
            )
            self._faults(EndpointFault(self._chain_id, NAME, error.reason, str(error)))
