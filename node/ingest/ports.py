"""What ingest needs of the rest of the node. Implemented by the store and the peers; ingest knows neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chains.types import Hash32
from node.model.reports import Report
from node.model.requests import Request


class Bodies(Protocol):
    """Durable keeping of what was accepted from venues and owners. A save returns when it is on disk."""

    async def save_report(self, digest: Hash32, report: Report) -> None: ...

    async def save_request(self, digest: Hash32, request: Request) -> None: ...

    async def save_policy(self, digest: Hash32, body: bytes) -> None: ...

    async def forget_requests(self, digests: Sequence[Hash32]) -> None: ...


class Gossip(Protocol):
    """Tells every peer, once, what this node accepted. Never blocks; a copy may be lost."""

    def report(self, raw: bytes) -> None: ...

    def request(self, raw: bytes) -> None: ...


class Meter(Protocol):
    """Counts and logs what operators should see; names are static."""

    def count(self, event: str, **labels: object) -> None: ...

    def fault(self, event: str, error: BaseException, **labels: object) -> None: ...
