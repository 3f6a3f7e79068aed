"""All that the adapter of one EVM chain asks, opened and closed together.

Owns the HTTP session, the pools of endpoints, of beacon nodes and of a rollup's L1, and the tasks that follow the light
client and the settlement in the background. Must not know what is asked about the chain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import aiohttp

from chains.adapter import Endpoints, FaultSink, Rollup, Terms
from chains.errors import ConfigError
from chains.evm.beacon import questions as beacon
from chains.evm.beacon.client import LightClient, node_names
from chains.evm.disagreements import Disagreements
from chains.evm.endpoint import Endpoint, Limits, endpoint_names, open_session
from chains.evm.finality import FinalitySource
from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool, Quarantine
from chains.evm.rollup.settlement import SettlementFollower
from chains.types import ChainId, Disagreement, EndpointStanding

_L1 = "l1 "
"""What the names of a rollup's L1 endpoints begin with."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How endpoints are treated. `patience`: see `TrustedHeads`.

    `clock` gives monotonic seconds, and times endpoints; `now` gives seconds since 1970, for the light client and for
    the record of disagreements alone.
    """

    limits: Limits = field(default_factory=Limits)
    quarantine: Quarantine = field(default_factory=Quarantine)
    patience: float = 10.0
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time


@runtime_checkable
class Follows(Protocol):
    """What the adapter of a chain offers to that of a rollup on it."""

    @property
    def finality(self) -> FinalitySource: ...


class Connections:
    """Of one chain; `async with` opens them, and raises ConfigError for what cannot be used."""

    pool: EndpointPool
    finality: FinalitySource
    settlement: SettlementFollower | None = None

    def __init__(self, chain_id: ChainId, endpoints: Endpoints, faults: FaultSink, manners: Manners) -> None:
        self._chain_id = chain_id
        self._endpoints = endpoints
        self._names = endpoint_names(endpoints.urls)
        self._faults = faults
        self._manners = manners
        self._record = Disagreements(manners.now)
        self._l1_record = Disagreements(manners.now)
        self._session: aiohttp.ClientSession
        self._pools: list[EndpointPool] = []
        self._following: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._session = open_session()
        try:
            self.pool = self._pool(self._endpoints.urls, self._names)
            self.finality = self._finality()
            self.settlement = self._settlement()
        except ConfigError:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        self._following.clear()
        await self._session.close()

    def standings(self) -> tuple[EndpointStanding, ...]:
        """Of the chain's endpoints, then its beacon nodes, then the endpoints that it alone has of its L1."""
        return tuple(standing for pool in self._pools for standing in pool.standings())

    def disagreements(self) -> tuple[Disagreement, ...]:
        """Those of the chain's endpoints, then those of its L1's, each oldest first."""
        return (*self._record.kept(), *map(_of_l1, self._l1_record.kept()))

    def _pool(self, urls: Sequence[str], names: Sequence[str], limits: Limits | None = None) -> EndpointPool:
        manners, terms = self._manners, [self._endpoints.terms.get(url, Terms()) for url in urls]
        endpoints = [
            Endpoint(self._session, url, name, replace(limits or manners.limits, per_second=each.per_second))
            for url, name, each in zip(urls, names, terms, strict=True)
        ]
        weights = {endpoint: each.weight for endpoint, each in zip(endpoints, terms, strict=True)}
        pool = EndpointPool(self._chain_id, endpoints, self._faults, manners.clock, manners.quarantine, weights=weights)
        self._pools.append(pool)
        return pool

    def _heads(self) -> TrustedHeads:
        manners = self._manners
        return TrustedHeads(
            self._chain_id, self.pool, self._endpoints.quorum, manners.clock, manners.patience, record=self._record
        )

    def _finality(self) -> FinalitySource:
        """What says which blocks are final; with beacon nodes, the light client begins to follow."""
        self._heads()  # a quorum that cannot be is refused at once
        found = FinalitySource(self._chain_id, self.pool, self._heads, self._faults, self._manners.now)
        source = self._endpoints.beacon
        if source is None:
            return found
        nodes = self._pool(source.urls, node_names(source.urls), beacon.LIMITS)
        light = LightClient(self._chain_id, source, nodes, self._faults, self._manners.now)
        self._following.append(asyncio.create_task(light.run(), name=f"light client of {self._chain_id}"))
        return replace(found, light=light, max_age=source.max_age)

    def _settlement(self) -> SettlementFollower | None:
        """What follows the chain's claims on its L1, from now on; None if it is no rollup."""
        rollup = self._endpoints.rollup
        if rollup is None:
            return None
        l1 = self._l1_of(rollup)
        # It asks at any time, so it has its own idea of the rollup's head.
        own = self.pool, self._heads()
        follower = SettlementFollower(self._chain_id, rollup, (l1.pool, l1.heads()), own, self._faults)
        self._following.append(asyncio.create_task(follower.run(), name=f"settlement of {self._chain_id}"))
        return follower

    def _l1_of(self, rollup: Rollup) -> FinalitySource:
        """Who says what is final on L1: whoever does for this node's own view of it, and the endpoints that are given.

        What those are caught at is told as of the rollup: nobody else asks them.
        """
        l1 = rollup.l1
        followed = l1.finality if l1 is not None and isinstance(l1, Follows) else None
        if not rollup.urls:
            if followed is None:
                raise ConfigError(
                    "Give a rollup endpoints of its L1, which this node does not follow", l1=rollup.chain_id
                )
            return followed
        pool = self._pool(rollup.urls, [_L1 + name for name in endpoint_names(rollup.urls)])

        def heads() -> TrustedHeads:
            manners = self._manners
            return TrustedHeads(
                rollup.chain_id, pool, rollup.quorum, manners.clock, manners.patience, record=self._l1_record
            )

        light, max_age = (followed.light, followed.max_age) if followed is not None else (None, 0)
        return FinalitySource(rollup.chain_id, pool, heads, self._faults, self._manners.now, light, max_age)


def _of_l1(found: Disagreement) -> Disagreement:
    """With whoever said it named as of the L1."""
    return replace(found, said=tuple((_L1 + name.removeprefix(_L1), block) for name, block in found.said))
