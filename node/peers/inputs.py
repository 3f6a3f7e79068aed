"""Asks the other nodes for what this one lacks, one after the other. Must not know how they answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chains.errors import HypothecError, RetryError
from chains.types import Hash32
from hypothec.v1 import peer_service_pb2 as pb
from node.consensus.outcome.transition import InputKind, InputRef
from node.model.certificate import CommitCertificate
from node.model.state import State

_KINDS = {
    InputKind.REPORT: pb.BODY_KIND_REPORT,
    InputKind.REQUEST: pb.BODY_KIND_REQUEST,
    InputKind.POLICY: pb.BODY_KIND_POLICY,
    InputKind.BOOK: pb.BODY_KIND_BOOK,
}


class Source(Protocol):
    """One question to one peer. Each raises a HypothecError when the peer is of no help."""

    async def fetch_body(self, peer: int, kind: pb.BodyKind.ValueType, digest: Hash32) -> bytes: ...

    async def fetch_state(self, peer: int, min_sequence: int) -> tuple[State, CommitCertificate]: ...


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Implements the application's PeerFetcher. `others` are the indices of all other nodes."""

    source: Source
    others: Sequence[int]

    async def fetch_input(self, ref: InputRef, take: Callable[[bytes], Awaitable[None]]) -> None:
        last: HypothecError | None = None
        # Inputs begin with different peers: one that is away or lies is not always the first.
        first = ref.digest[0] % len(self.others) if self.others else 0
        for peer in [*self.others[first:], *self.others[:first]]:
            try:
                await take(await self.source.fetch_body(peer, _KINDS[ref.kind], ref.digest))
            except HypothecError as error:
                last = error
            else:
                return
        raise RetryError(f"find a peer that has the input: {last}", kind=ref.kind, digest=ref.digest)

    async def fetch_state(self, holders: Sequence[int], min_sequence: int) -> tuple[State, CommitCertificate]:
        last: HypothecError | None = None
        for peer in sorted(self.others, key=lambda peer: peer not in holders):
            try:
                return await self.source.fetch_state(peer, min_sequence)
            except HypothecError as error:
                last = error
        raise RetryError(f"find a peer that has the state: {last}", sequence=min_sequence)
