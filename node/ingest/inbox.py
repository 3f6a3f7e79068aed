"""What venues and owners hand in: checked, written down, passed on, and offered to the network until it is agreed.

A submission is answered only when it is on disk, and told again as long as nothing comes of it. What is held here has
been verified as far as a single node can, and can be decided; `checks` says what that means. Must not know rounds; the
transition decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chains.errors import EquivocationError, HypothecError, InputError, LimitError, SignatureError, StaleError
from chains.types import AccountId, Hash32
from node.consensus.outcome.observation import MAX_HEADS, MAX_REQUESTS, HeadObservation
from node.consensus.outcome.reports import has_room
from node.ingest.checks import (
    MAX_NONCES_AHEAD,
    MAX_REQUEST_BYTES,
    UnknownAccount,
    check_report,
    check_request,
    check_timely,
    nonce_of,
    record_of,
)
from node.ingest.ports import Bodies, Gossip, Meter
from node.ingest.waiting import Waiting
from node.margin.policy import Policy
from node.model.network import Network
from node.model.reports import MAX_REPORT_BYTES, Report
from node.model.requests import (
    OwnerRequest,
    PolicyActivation,
    Request,
    VenueEquivocation,
    decode_request,
    encode_request,
)
from node.model.state import State, VenueHead

MAX_AHEAD = 4 * MAX_HEADS
"""How far beyond the adopted head a venue's reports are held."""
MAX_BYTES_AHEAD = 4 * MAX_REPORT_BYTES
"""And how many bytes of them."""
MAX_HELD_REQUESTS = 8 * MAX_REQUESTS
MAX_EARLY_REQUESTS = 2 * MAX_REQUESTS
"""Requests whose account's earlier ones are not here: they may never come."""
MAX_EVIDENCE = 8
"""Pairs of reports that are held against one venue; one that enough nodes hold freezes it."""
RETELL_AFTER = 5
"""States for which something may be undecided before the peers are told again: a frame of gossip may be lost."""
RETOLD_BYTES = 1 << 20
"""What is told again after one state, and the rest of the submission that goes beyond."""


class OutOfSequence(InputError):
    """A report that does not continue what this node holds of its venue."""

    reason = "OUT_OF_SEQUENCE"


class TooMuchOpen(LimitError):
    """The venue would have more open than the policy allows it; what is beyond would change nothing."""

    reason = "TOO_MUCH_OPEN"


class VenueFrozen(InputError):
    """The venue signed two histories; its reports count no more."""

    reason = "VENUE_FROZEN"


@dataclass(slots=True)
class _HeldReport:
    """`told_at` is the sequence of the state at which the peers were last told."""

    digest: Hash32
    report: Report
    size: int
    told_at: int


@dataclass(slots=True)
class _HeldRequest:
    request: Request
    told_at: int


class Inbox:
    """Reports and requests that wait for agreement. Implements the transition's `report`, `request` and `policy`."""

    def __init__(self, network: Network, bodies: Bodies, gossip: Gossip, meter: Meter) -> None:
        self._network = network
        self._bodies = bodies
        self._gossip = gossip
        self._meter = meter
        self._reports: dict[str, dict[int, _HeldReport]] = {}
        self._requests: dict[Hash32, _HeldRequest] = {}
        self._waiting = Waiting()
        self._nonces: dict[AccountId, int] = {}
        self._agreed: dict[Hash32, Report | Request] = {}
        self._policies: dict[Hash32, Policy] = {}
        self._state: State | None = None
        # Each check holds until what was checked is written down and in place.
        self._taking_report = asyncio.Lock()
        self._taking_request = asyncio.Lock()

    # === What the network has decided ===

    def restore(self, reports: Iterable[Report], requests: Iterable[Request], policies: Iterable[Policy]) -> None:
        """Take back what was on disk."""
        for policy in policies:
            self._policies[policy.hash] = policy
        for report in reports:
            held = _HeldReport(report.digest(self._network_id), report, len(report.encode()), 0)
            self._reports.setdefault(report.venue, {}).setdefault(report.sequence, held)
        for request in requests:
            self._keep(request.digest(self._network_id), request, 0)

    async def committed(self, state: State) -> None:
        """A new state stands: forget what it decided, and tell again what it ought to have decided."""
        self._state = state
        self._agreed.clear()
        for head in state.control.venues:
            held = self._reports.get(head.venue, {})
            for sequence in [sequence for sequence in held if sequence <= head.sequence - MAX_HEADS]:
                del held[sequence]  # a margin is kept: a second history is known by it, and a repetition
        self._nonces.clear()
        moot = self._forget_moot()
        if moot:
            await self._bodies.forget_requests(moot)
        self._tell_again(state.header.sequence)

    # === What is handed in ===

    async def submit_report(self, raw: bytes, venue: str | None = None) -> Hash32:
        """Accept a venue's report (from `venue` itself, or from a peer when None) and return its digest.

        Raises InputError for one that cannot be used, EquivocationError when it contradicts one that is held.
        """
        report = self._decoded_report(raw)
        if venue is not None and report.venue != venue:
            raise SignatureError("let a venue report for itself only", venue=venue, reported=report.venue)
        digest = report.digest(self._network_id)
        async with self._taking_report:
            held = self._reports.get(report.venue, {})
            if (other := held.get(report.sequence)) is not None:
                if other.digest != digest:
                    check_report(report, self._network, self._policy_in_force())
                    await self._witness(other.report, report)
                    raise EquivocationError(
                        "never sign two reports for one sequence", venue=report.venue, digest=digest
                    )
                return digest
            check_report(report, self._network, self._policy_in_force())
            self._check_sequence(report, len(raw), held)
            if venue is not None:  # peers pass on what one of them took, and the network leaves out what is beyond
                self._check_open(report)
            await self._bodies.save_report(digest, report)
            entry = _HeldReport(digest, report, len(raw), self._current().header.sequence)
            self._reports.setdefault(report.venue, {})[report.sequence] = entry
        self._gossip.report(raw)
        return digest

    async def submit_request(self, raw: bytes) -> Hash32:
        """Accept an owner's or policy signers' request and return its digest: the name under which it is decided.

        Raises SignatureError, UnknownAccount, NonceUsed, InputError or LimitError.
        """
        request = self._decoded_request(raw)
        digest = request.digest(self._network_id)
        async with self._taking_request:
            if digest in self._requests:
                return digest
            state, policy = self._current(), self._policy_in_force()
            check_request(request, digest, self._network, state, policy)
            check_timely(request, state, policy)
            self._check_room(request)
            if isinstance(request, PolicyActivation):
                await self.admit_policy(request.body)
            await self._bodies.save_request(digest, request)
            self._keep(digest, request, state.header.sequence)
        self._gossip.request(raw)
        return digest

    async def admit_policy(self, body: bytes) -> Policy:
        """Keep a policy file under its hash, which is all that makes it a policy. Raises ConfigError."""
        policy = Policy.parse(body)
        await self._bodies.save_policy(policy.hash, body)
        self._policies[policy.hash] = policy
        return policy

    # === What the others agreed on, and this node lacks ===

    def take_report(self, raw: bytes) -> None:
        """Keep a report until the next state stands. That it is authentic is enough, whatever else is held here."""
        report = self._decoded_report(raw)
        check_report(report, self._network, self._policy_in_force())
        self._agreed[report.digest(self._network_id)] = report

    def take_request(self, raw: bytes) -> None:
        """Likewise."""
        request = self._decoded_request(raw)
        digest = request.digest(self._network_id)
        check_request(request, digest, self._network, self._current(), self._policy_in_force())
        self._agreed[digest] = request

    # === What is offered and looked up ===

    def heads(self) -> tuple[HeadObservation, ...]:
        """Per venue, the digests that this node holds beyond the adopted head, in sequence."""
        offers = ((head.venue, tuple(entry.digest for entry in self._run(head))) for head in self._heads())
        return tuple(HeadObservation(venue, digests) for venue, digests in offers if digests)

    def offered_requests(self) -> tuple[Hash32, ...]:
        """Digests of the requests that can be decided now, ascending."""
        others = [digest for digest, held in self._requests.items() if not isinstance(held.request, OwnerRequest)]
        return tuple(sorted((sorted(others) + sorted(self._waiting.ready(self._used)))[:MAX_REQUESTS]))

    def holds_request(self, digest: Hash32) -> bool:
        """Whether a request is here and not decided yet."""
        return digest in self._requests

    def report(self, digest: Hash32) -> Report | None:
        agreed = self._agreed.get(digest)
        if isinstance(agreed, Report):
            return agreed
        entries = (entry for held in self._reports.values() for entry in held.values())
        return next((entry.report for entry in entries if entry.digest == digest), None)

    def request(self, digest: Hash32) -> Request | None:
        held, agreed = self._requests.get(digest), self._agreed.get(digest)
        if held is not None:
            return held.request
        return None if isinstance(agreed, Report) else agreed

    def policy(self, digest: Hash32) -> Policy | None:
        return self._policies.get(digest)

    # === Checks ===

    @property
    def _network_id(self) -> Hash32:
        return self._network.network_id

    def _current(self) -> State:
        if self._state is None:
            raise StaleError("wait until this node has a state")
        return self._state

    def _policy_in_force(self) -> Policy:
        wanted = self._current().header.policy_hash
        if wanted not in self._policies:
            raise StaleError("wait until this node has the policy in force", policy=wanted)
        return self._policies[wanted]

    def _decoded_report(self, raw: bytes) -> Report:
        if len(raw) > MAX_REPORT_BYTES:
            raise LimitError("keep a report within its bound", length=len(raw), bound=MAX_REPORT_BYTES)
        return Report.decode(raw)

    def _decoded_request(self, raw: bytes) -> Request:
        if len(raw) > MAX_REQUEST_BYTES:
            raise LimitError("keep a request within its bound", length=len(raw), bound=MAX_REQUEST_BYTES)
        return decode_request(raw)

    def _check_sequence(self, report: Report, size: int, held: dict[int, _HeldReport]) -> None:
        head = next(item for item in self._heads() if item.venue == report.venue)
        if head.frozen:
            raise VenueFrozen("resolve the two histories with the policy signers", venue=report.venue)
        if not head.sequence < report.sequence <= head.sequence + MAX_AHEAD:
            raise OutOfSequence(
                "send the next report of the chain",
                venue=report.venue,
                sequence=report.sequence,
                adopted=head.sequence,
            )
        before = held.get(report.sequence - 1)
        expected = head.digest if report.sequence == head.sequence + 1 else before.digest if before else None
        if expected is not None and report.previous != expected:
            raise OutOfSequence(
                "chain a report to the one before it", venue=report.venue, previous=report.previous, expected=expected
            )
        ahead = size + sum(entry.size for sequence, entry in held.items() if sequence > head.sequence)
        if ahead > MAX_BYTES_AHEAD:
            raise LimitError("wait until earlier reports are adopted", venue=report.venue, bytes=ahead)

    def _check_open(self, report: Report) -> None:
        most = self._policy_in_force().venue_by_id[report.venue].max_open
        if not has_room(self._current(), report, most):
            self._meter.count("venue.too_much_open", venue=report.venue, sequence=report.sequence)
            raise TooMuchOpen(
                "close positions before others are opened, or have the policy allow more",
                venue=report.venue,
                bound=most,
            )

    def _check_room(self, request: Request) -> None:
        """Raise LimitError, or UnknownAccount, for what could be in the way of others for nobody knows how long."""
        if len(self._requests) >= MAX_HELD_REQUESTS:
            raise LimitError("wait until held requests are decided", held=len(self._requests))
        if isinstance(request, VenueEquivocation) and len(self._evidence(request.first.venue)) >= MAX_EVIDENCE:
            raise LimitError("there is evidence enough against the venue", venue=request.first.venue)
        if not isinstance(request, OwnerRequest):
            return
        account, waiting = request.account, self._waiting
        if waiting.count(account) >= MAX_NONCES_AHEAD:
            raise LimitError("wait until the account's requests are decided", account=account)
        if not waiting.is_early(account, request.nonce, self._used(account)):
            return
        if record_of(self._current(), account) is None:
            raise UnknownAccount("open the account before anything else", account=account)
        if len(waiting) - sum(1 for _ in waiting.ready(self._used)) >= MAX_EARLY_REQUESTS:
            raise LimitError("hand in the account's earlier requests first", account=account)

    async def _witness(self, first: Report, second: Report) -> None:
        self._meter.count("venue.equivocated", venue=first.venue, sequence=first.sequence)
        if not self._evidence(first.venue):
            await self.submit_request(encode_request(VenueEquivocation(first, second)))

    def _evidence(self, venue: str) -> list[VenueEquivocation]:
        requests = (held.request for held in self._requests.values())
        return [item for item in requests if isinstance(item, VenueEquivocation) and item.first.venue == venue]

    # === What is held ===

    def _keep(self, digest: Hash32, request: Request, told_at: int) -> None:
        self._requests[digest] = _HeldRequest(request, told_at)
        if isinstance(request, OwnerRequest):
            self._waiting.add(request.account, request.nonce, digest)

    def _used(self, account: AccountId) -> int:
        """The account's last decided nonce; looked up once a state."""
        if account not in self._nonces:
            self._nonces[account] = nonce_of(self._current(), account)
        return self._nonces[account]

    def _heads(self) -> Iterator[VenueHead]:
        """The adopted heads of the policy's venues."""
        admitted = self._policy_in_force().venue_by_id
        return (head for head in self._current().control.venues if head.venue in admitted)

    def _run(self, head: VenueHead) -> list[_HeldReport]:
        """The venue's reports that continue the adopted head."""
        held = self._reports.get(head.venue, {})
        run: list[_HeldReport] = []
        previous = head.digest
        for sequence in range(head.sequence + 1, head.sequence + 1 + MAX_HEADS):
            entry = held.get(sequence)
            if head.frozen or entry is None or entry.report.previous != previous:
                break
            previous = entry.digest
            run.append(entry)
        return run

    def _forget_moot(self) -> list[Hash32]:
        """Drop the requests that can no longer be decided, and say which."""
        moot = [digest for digest, held in self._requests.items() if self._is_moot(digest, held.request)]
        for digest in moot:
            request = self._requests.pop(digest).request
            if isinstance(request, OwnerRequest):
                self._waiting.remove(request.account, request.nonce, digest)
        return moot

    def _is_moot(self, digest: Hash32, request: Request) -> bool:
        state, policy = self._current(), self._policy_in_force()
        try:
            check_timely(request, state, policy)
            if isinstance(request, VenueEquivocation):
                check_request(request, digest, self._network, state, policy)  # the venue may have another key by now
        except HypothecError:
            return True
        return False

    def _tell_again(self, sequence: int) -> None:
        budget = RETOLD_BYTES
        for entry in (entry for head in self._heads() for entry in self._run(head)):
            if budget > 0 and entry.told_at + RETELL_AFTER <= sequence:
                entry.told_at = sequence
                budget -= entry.size
                self._gossip.report(entry.report.encode())
        for held in (self._requests[digest] for digest in self.offered_requests()):
            if budget > 0 and held.told_at + RETELL_AFTER <= sequence:
                held.told_at = sequence
                raw = encode_request(held.request)
                budget -= len(raw)
                self._gossip.request(raw)
