"""An inbox with a disk that forgets nothing and peers that listen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chains.types import Hash32
from node.consensus.outcome.transition import genesis
from node.ingest.inbox import Inbox
from node.model.ledger import AccountRecord
from node.model.reports import Report
from node.model.requests import Request
from node.model.state import State
from tests import kit
from tests.kit import ETHER, Owner, Venue


@dataclass
class Disk:
    """Bodies in a list, in the order in which they were saved."""

    saved: list[Hash32] = field(default_factory=list)
    forgotten: list[Hash32] = field(default_factory=list)

    async def save_report(self, digest: Hash32, report: Report) -> None:
        self.saved.append(digest)

    async def save_request(self, digest: Hash32, request: Request) -> None:
        self.saved.append(digest)

    async def save_policy(self, digest: Hash32, body: bytes) -> None:
        self.saved.append(digest)

    async def forget_requests(self, digests: Sequence[Hash32]) -> None:
        self.forgotten += digests


@dataclass
class Peers:
    """What was told to the others; each only after it was saved."""

    disk: Disk
    told: list[bytes] = field(default_factory=list)

    def report(self, raw: bytes) -> None:
        assert self.disk.saved
        self.told.append(raw)

    def request(self, raw: bytes) -> None:
        assert self.disk.saved
        self.told.append(raw)


class Events:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def count(self, event: str, **_: object) -> None:
        self.seen.append(event)

    def fault(self, event: str, error: BaseException, **_: object) -> None:
        self.seen.append(event)


@dataclass
class Desk:
    """An inbox in front of a state in which alice has an account."""

    disk: Disk = field(default_factory=Disk)
    events: Events = field(default_factory=Events)
    alice: Owner = field(default_factory=lambda: Owner("alice", nonce=1))
    venue: Venue = field(default_factory=Venue)

    def __post_init__(self) -> None:
        self.peers = Peers(self.disk)
        self.inbox = Inbox(kit.network(), self.disk, self.peers, self.events)
        record = AccountRecord(kit.address("alice"), 1, (kit.address("alice"),), ("ETH",), (), (), ())
        state = genesis(kit.network(), kit.policy())
        accounts = state.accounts.updated({self.alice.account: record.encode()})
        self.state: State = replace(state, accounts=accounts)

    async def open(self) -> Desk:
        await self.inbox.admit_policy(kit.policy().body)
        await self.inbox.committed(self.state)
        self.disk.saved.clear()
        return self

    async def head_at(self, sequence: int, digest: Hash32, *, frozen: bool = False) -> None:
        heads = tuple(
            replace(head, sequence=sequence, digest=digest, frozen=frozen) for head in self.state.control.venues
        )
        self.state = replace(self.state, control=replace(self.state.control, venues=heads))
        await self.inbox.committed(self.state)

    def report(self) -> Report:
        return self.venue.report(kit.entry(self.alice.account, ETHER, 2000))
