"""Which endpoint of a chain to ask next: rank, quarantine, and the blame for what went wrong.

Owns the standing of each endpoint. Must not know what is asked. An endpoint that fails is set aside for a while, one
that lies for a long while; when nobody else is left they are asked all the same, since an answer is verified anyway.
Of those in good standing, one that is behind the agreed head comes last: it lacks what is mostly asked for.
One that takes longer than it used to is not waited for alone: the next is asked as well, and the first answer that
verifies is taken.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chains.adapter import FaultSink
from chains.errors import ConfigError, HypothecError, ProofError, RetryError
from chains.evm.endpoint import Endpoint
from chains.evm.errors import fault_reason
from chains.types import ChainId, EndpointFault, EndpointStanding, Height

T = TypeVar("T")
Question = Callable[[Endpoint], Awaitable[T]]
"""Fetches from one endpoint and verifies; raises RetryError or ProofError when that endpoint will not do."""

_FAULTS = (RetryError, ProofError)
"""What an endpoint is blamed for. Anything else is not its doing and goes up at once."""

Excused = tuple[type[HypothecError], ...]
"""Faults that are nobody's with one question."""

_LATENCY_WEIGHT = 0.2
_LATE = 4
"""Times the usual latency after which an endpoint is late."""
_AT_ONCE = 2
"""Endpoints that one question is put to at the same time."""
_HEARD_FOR = 60.0
"""Seconds for which counts what an endpoint said is final: it is not asked while it is set aside, or a block proven."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Seconds an endpoint is set aside after its first failure or lie; each further one doubles them, to `longest`."""

    failure: float = 1.0
    lie: float = 30.0
    longest: float = 600.0


@dataclass(slots=True)
class _Standing:
    failures: int = 0  # since the last success
    lies: int = 0  # ever: honesty is not won back by an honest answer
    latency: float = 0.0
    blocked_until: float = 0.0
    blocked_for: str = ""
    final: Height | None = None
    heard_at: float = -math.inf


class EndpointPool:
    """The endpoints of one chain, best first. `clock` gives monotonic seconds; nobody is late before `hedge_after`.

    An endpoint of weight 2 is preferred to one that is not twice as fast; without a weight it has 1. A weight changes
    who is asked first, and never what is believed.
    """

    def __init__(
        self,
        chain_id: ChainId,
        endpoints: Sequence[Endpoint],
        faults: FaultSink,
        clock: Callable[[], float],
        quarantine: Quarantine | None = None,
        hedge_after: float = 0.25,
        weights: Mapping[Endpoint, float] | None = None,
    ) -> None:
        if not endpoints:
            raise ConfigError("A chain needs at least one endpoint", chain=chain_id)
        self._chain_id = chain_id
        self._standings = {endpoint: _Standing() for endpoint in endpoints}
        self._faults = faults
        self._clock = clock
        self._quarantine = quarantine or Quarantine()
        self._hedge_after = hedge_after
        self._weights = weights or {}
        self._agreed = Height(0)

    def __len__(self) -> int:
        return len(self._standings)

    def ranked(self) -> tuple[list[Endpoint], list[Endpoint]]:
        """Those in good standing, those that lag last, else fastest for their weight first; then those set aside.

        Of the latter, who comes back first is first.
        """
        now = self._clock()
        good = [each for each, standing in self._standings.items() if standing.blocked_until <= now]
        aside = [each for each, standing in self._standings.items() if standing.blocked_until > now]
        good.sort(
            key=lambda each: (bool(self._lag(each)), self._standings[each].latency / self._weights.get(each, 1.0))
        )
        aside.sort(key=lambda each: self._standings[each].blocked_until)
        return good, aside

    def heard(self, endpoint: Endpoint, final: Height) -> None:
        """`endpoint` says that this block is its newest final one."""
        self._standings[endpoint].final = final
        self._standings[endpoint].heard_at = self._clock()

    def agreed(self, final: Height) -> None:
        """This is the newest block that counts as final, whoever has it."""
        self._agreed = max(self._agreed, final)

    def final_of(self, endpoint: Endpoint) -> Height | None:
        """What `endpoint` said is its newest final block; None if it was not heard of late."""
        standing = self._standings[endpoint]
        return standing.final if standing.heard_at + _HEARD_FOR > self._clock() else None

    def standings(self) -> tuple[EndpointStanding, ...]:
        """Of all endpoints, in the order of configuration."""
        now = self._clock()
        return tuple(
            EndpointStanding(
                name=endpoint.name,
                trusted=standing.blocked_until <= now,
                latency=standing.latency,
                height=self.final_of(endpoint),
                lag=self._lag(endpoint),
                failures=standing.failures,
                lies=standing.lies,
                seconds_aside=max(0.0, standing.blocked_until - now),
                reason=standing.blocked_for,
            )
            for endpoint, standing in self._standings.items()
        )

    async def ask(self, question: Question[T], excused: Excused = ()) -> T:
        """The first answer that verifies. Endpoints that fail or lie on the way are reported and set aside.

        Not for what is `excused`: a question that strangers can choose may be one that no honest endpoint can answer.
        Raises the ProofError of the last one if every endpoint lied; if any just failed, its RetryError.
        """
        good, aside = self.ranked()
        waiting = deque((*good, *aside))
        running: dict[asyncio.Task[T], Endpoint] = {}
        failure: RetryError | None = None
        lie: ProofError | None = None
        try:
            while waiting or running:
                patience = None
                if waiting and len(running) < _AT_ONCE:
                    endpoint = waiting.popleft()
                    running[asyncio.create_task(self._timed(endpoint, question))] = endpoint
                    if waiting and len(running) < _AT_ONCE:
                        patience = max(self._hedge_after, _LATE * self._standings[endpoint].latency)
                done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    endpoint = running.pop(task)
                    try:
                        return task.result()
                    except _FAULTS as error:
                        if not isinstance(error, excused):
                            self.report(endpoint, error)
                        if isinstance(error, RetryError):
                            failure = error
                        else:
                            lie = error
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        final = failure or lie
        assert final is not None  # noqa: S101 - a pool is never empty
        raise final

    async def ask_all(
        self, endpoints: Sequence[Endpoint], question: Question[T], excused: Excused = ()
    ) -> dict[Endpoint, T]:
        """The answers that verify, of endpoints that are asked at the same time; the others are reported, as `ask`."""
        results = await asyncio.gather(
            *(self._timed(endpoint, question) for endpoint in endpoints), return_exceptions=True
        )
        answers: dict[Endpoint, T] = {}
        for endpoint, result in zip(endpoints, results, strict=True):
            if isinstance(result, _FAULTS):
                if not isinstance(result, excused):
                    self.report(endpoint, result)
            elif isinstance(result, BaseException):
                raise result
            else:
                answers[endpoint] = result
        return answers

    def report(self, endpoint: Endpoint, error: HypothecError) -> None:
        """Set `endpoint` aside for `error` and tell the sink; not again for the same while it is set aside."""
        standing = self._standings[endpoint]
        reason = fault_reason(error)
        now = self._clock()
        if isinstance(error, RetryError):
            standing.failures += 1
            first, times = self._quarantine.failure, standing.failures
        else:
            standing.lies += 1
            first, times = self._quarantine.lie, standing.lies
        known = standing.blocked_until > now and standing.blocked_for == reason
        until = now + min(first * 2 ** min(times - 1, 16), self._quarantine.longest)
        standing.blocked_until = max(standing.blocked_until, until)
        standing.blocked_for = reason
        if not known:
            self._faults(EndpointFault(self._chain_id, endpoint.name, reason, str(error)))

    def _lag(self, endpoint: Endpoint) -> int | None:
        final = self.final_of(endpoint)
        return None if final is None else max(0, self._agreed - final)

    async def _timed(self, endpoint: Endpoint, question: Question[T]) -> T:
        standing, started = self._standings[endpoint], self._clock()
        try:
            answer = await question(endpoint)
        except _FAULTS:
            raise  # how fast it fails says nothing
        except BaseException:
            self._note(standing, started)  # it was overtaken: it takes this long at least
            raise
        standing.failures = 0
        self._note(standing, started)
        return answer

    def _note(self, standing: _Standing, started: float) -> None:
        standing.latency += _LATENCY_WEIGHT * (self._clock() - started - standing.latency)
