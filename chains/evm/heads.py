"""Which headers of a chain to believe: those that a quorum of independent endpoints has, and says are final.

Owns that rule, and so the assurance ATTESTED. Must not know what is proven against the headers. Every header is
hashed from its own fields before it counts as a vote, so endpoints agree on content and not on a name.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence

from chains.errors import ConfigError, QuorumError, RetryError
from chains.evm.disagreements import Disagreements
from chains.evm.endpoint import Endpoint
from chains.evm.errors import Disagrees, StaleHead
from chains.evm.pool import EndpointPool, Excused
from chains.evm.questions import finalized_header, headers_at
from chains.proofs.header import Header
from chains.types import ChainId, Hash32, Height

_KEPT = 64
_FRESH = 0.2


class TrustedHeads:
    """Final headers of one chain that `quorum` endpoints agree on.

    `patience`: seconds for which an endpoint may lack a final block that a quorum has; `clock`: monotonic seconds.
    `record` keeps who said what where they differ, if that is wanted.
    """

    def __init__(
        self,
        chain_id: ChainId,
        pool: EndpointPool,
        quorum: int,
        clock: Callable[[], float],
        patience: float = 10.0,
        record: Disagreements | None = None,
    ) -> None:
        if not len(pool) < 2 * quorum <= 2 * len(pool):
            # SECURITY: with less than a majority, two different blocks could each find a quorum.
            raise ConfigError(
                "The quorum must be a majority of the chain's endpoints",
                chain=chain_id,
                quorum=quorum,
                endpoints=len(pool),
            )
        self._chain_id = chain_id
        self._pool = pool
        self._quorum = quorum
        self._record = record
        self._clock = clock
        self._patience = patience
        self._head: Header | None = None
        self._looked_at = float("-inf")
        self._known: OrderedDict[Height, Header] = OrderedDict()
        self._rises: deque[tuple[float, Height]] = deque()
        self._due = Height(0)  # what no endpoint may lack any more

    async def head(self) -> Header:
        """The newest trusted final header; looked for at most every 0.2 s. Its height never falls.

        Raises RetryError when too few endpoints answer, QuorumError when they disagree.
        """
        if self._head is None or self._clock() - self._looked_at > _FRESH:
            found = await self._look()
            if self._head is None or found.number > self._head.number:
                self._rises.append((self._clock(), found.number))
            self._head = found
            self._pool.agreed(found.number)
            self._keep(found)
            self._looked_at = self._clock()
        return self._head

    async def at(self, heights: Sequence[Height], excused: Excused = ()) -> list[Header]:
        """The trusted headers at `heights`; errors as `head`, and RetryError for what is not final yet.

        `excused`: see `EndpointPool.ask`.
        """
        head = await self.head()
        if any(height > head.number for height in heights):
            raise RetryError("A height is not final yet", chain=self._chain_id, wanted=max(heights), final=head.number)
        known = {height: self._known[height] for height in heights if height in self._known}
        missing = [height for height in heights if height not in known]
        if missing:
            for header in await self._vote_on(missing, excused):
                known[header.number] = header
                self._keep(header)
        return [known[height] for height in heights]

    def forget(self, height: Height) -> None:
        """Ask again when the header at `height` is needed next: nobody could prove anything against this one."""
        self._known.pop(height, None)
        if self._head is not None and self._head.number == height:
            self._looked_at = float("-inf")

    def differ(self, height: Height, said: Mapping[str, Hash32], agreed: Hash32 | None) -> None:
        """Keep who said what of `height`, if they differ."""
        if self._record is not None:
            self._record.note(height, said, agreed)

    async def _look(self) -> Header:
        good, aside = self._pool.ranked()
        finals = await self._finals(good)
        try:
            return await self._elect(finals)
        except RetryError:
            if not aside:
                raise
            return await self._elect({**finals, **await self._finals(aside)})

    async def _finals(self, endpoints: Sequence[Endpoint]) -> dict[Endpoint, Header]:
        finals = await self._pool.ask_all(endpoints, lambda endpoint: finalized_header(endpoint, self._chain_id))
        now = self._clock()
        while self._rises and self._rises[0][0] + self._patience <= now:
            self._due = self._rises.popleft()[1]
        for endpoint, header in finals.items():
            self._pool.heard(endpoint, header.number)
            if header.number < self._due:
                self._pool.report(
                    endpoint,
                    StaleHead(f"{endpoint.name} stays behind", final=header.number, expected=self._due),
                )
        return finals

    async def _elect(self, finals: Mapping[Endpoint, Header]) -> Header:
        """The header at the highest height that a quorum calls final."""
        if len(finals) < self._quorum:
            raise self._too_few(len(finals))
        height = sorted(header.number for header in finals.values())[-self._quorum]
        if self._head is not None and height < self._head.number:
            return self._head
        votes = {endpoint: header for endpoint, header in finals.items() if header.number == height}
        if len(votes) < self._quorum:
            ahead = [endpoint for endpoint, header in finals.items() if header.number > height]
            votes |= {endpoint: headers[0] for endpoint, headers in (await self._headers(ahead, [height])).items()}
        return self._winner(height, votes)

    async def _vote_on(self, heights: Sequence[Height], excused: Excused) -> list[Header]:
        good, aside = self._pool.ranked()
        answers = await self._headers(good, heights, excused)
        try:
            return self._winners(heights, answers)
        except RetryError:
            if not aside:
                raise
            return self._winners(heights, {**answers, **await self._headers(aside, heights, excused)})

    async def _headers(
        self, endpoints: Sequence[Endpoint], heights: Sequence[Height], excused: Excused = ()
    ) -> dict[Endpoint, list[Header]]:
        top = max(heights)
        finals = {endpoint: self._pool.final_of(endpoint) for endpoint in endpoints}
        able = [endpoint for endpoint, final in finals.items() if final is None or final >= top]
        return await self._pool.ask_all(able, lambda endpoint: headers_at(endpoint, heights), excused)

    def _winners(self, heights: Sequence[Height], answers: Mapping[Endpoint, Sequence[Header]]) -> list[Header]:
        return [
            self._winner(height, {endpoint: headers[index] for endpoint, headers in answers.items()})
            for index, height in enumerate(heights)
        ]

    def _winner(self, height: Height, votes: Mapping[Endpoint, Header]) -> Header:
        """The header that a quorum votes for. Endpoints that vote for another are reported."""
        tally = Counter(header.hash for header in votes.values()).most_common(1)
        agreed = next((block_hash for block_hash, count in tally if count >= self._quorum), None)
        self.differ(height, {endpoint.name: header.hash for endpoint, header in votes.items()}, agreed)
        if len(votes) < self._quorum:
            raise self._too_few(len(votes))
        if agreed is None:
            raise QuorumError(
                "Endpoints disagree on a final block",
                chain=self._chain_id,
                height=height,
                needed=self._quorum,
                **{f"{endpoint.name} has": header.hash for endpoint, header in votes.items()},
            )
        for endpoint, header in votes.items():
            if header.hash != agreed:
                self._pool.report(
                    endpoint,
                    Disagrees(
                        f"{endpoint.name} has another final block", height=height, its=header.hash, agreed=agreed
                    ),
                )
        return next(header for header in votes.values() if header.hash == agreed)

    def _keep(self, header: Header) -> None:
        self._known[header.number] = header
        self._known.move_to_end(header.number)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def _too_few(self, answered: int) -> RetryError:
        return RetryError(
            "Too few endpoints answer", chain=self._chain_id, answered=answered, needed=self._quorum, of=len(self._pool)
        )
