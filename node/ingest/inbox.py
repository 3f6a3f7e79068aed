"""What venues and owners hand in: checked, written down, passed on, and offered to the network until it is agreed.

A submission is answered only when it is on disk. What is held here has been verified as far as a single node can:
signatures, chains of reports, nonces against the latest state. Must not know rounds; the transition decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from chains.errors import EquivocationError, InputError, LimitError, SignatureError, StaleError
from chains.types import Hash32
from node.consensus.outcome.observation import MAX_HEADS, MAX_REQUESTS, HeadObservation
from node.ingest.ports import Bodies, Gossip, Meter
from node.model.ledger import AccountRecord
from node.model.network import Network
from node.model.policy import Policy
from node.model.reports import MAX_REPORT_BYTES, Report
from node.model.requests import (
    Link,
    OwnerRequest,
    PolicyActivation,
    Request,
    VenueEquivocation,
    decode_request,
    encode_request,
)
from node.model.signatures import recover
from node.model.state import State

MAX_AHEAD = 4 * MAX_HEADS
"""How far beyond the adopted head a venue's reports are held."""
MAX_HELD_REQUESTS = 16 * MAX_REQUESTS
MAX_NONCES_AHEAD = 16
"""How many requests of one account may wait for their turn."""
MAX_REQUEST_BYTES = 1 << 21


class UnknownVenue(InputError):
    """The policy in force admits no such venue."""

    reason = "UNKNOWN_VENUE"


class UnknownAccount(InputError):
    """No such account: link it first."""

    reason = "UNKNOWN_ACCOUNT"


class OutOfSequence(InputError):
    """A report that does not continue what this node holds of its venue."""

    reason = "OUT_OF_SEQUENCE"


class VenueFrozen(InputError):
    """The venue signed two histories; its reports count no more."""

    reason = "VENUE_FROZEN"


class NonceUsed(StaleError):
    """The request's nonce was used already: it was decided before, or another one was."""

    reason = "NONCE_USED"
    status = "FAILED_PRECONDITION"


class Inbox:
    """Reports and requests that wait for agreement. Implements the transition's `report`, `request` and `policy`."""

    def __init__(self, network: Network, bodies: Bodies, gossip: Gossip, meter: Meter) -> None:
        self._network = network
        self._bodies = bodies
        self._gossip = gossip
        self._meter = meter
        self._reports: dict[str, dict[int, tuple[Hash32, Report]]] = {}
        self._requests: dict[Hash32, Request] = {}
        self._policies: dict[Hash32, Policy] = {}
        self._state: State | None = None

    # === What the network has decided ===

    def restore(self, reports: Iterable[Report], requests: Iterable[Request], policies: Iterable[Policy]) -> None:
        """Take back what was on disk."""
        for policy in policies:
            self._policies[policy.hash] = policy
        for report in reports:
            self._reports.setdefault(report.venue, {})[report.sequence] = (report.digest(self._network_id), report)
        for request in requests:
            self._requests[request.digest(self._network_id)] = request

    async def committed(self, state: State) -> None:
        """A new state stands: forget what it decided."""
        self._state = state
        for head in state.control.venues:
            held = self._reports.get(head.venue, {})
            for sequence in [sequence for sequence in held if sequence <= head.sequence - MAX_HEADS]:
                del held[sequence]  # a margin is kept for peers that still fetch what was adopted last
        done = [digest for digest, request in self._requests.items() if self._decided(request, state)]
        for digest in done:
            del self._requests[digest]
        if done:
            await self._bodies.forget_requests(done)

    # === What is handed in ===

    async def submit_report(self, raw: bytes, venue: str | None = None) -> Hash32:
        """Accept a venue's report (from `venue` itself, or from a peer when None) and return its digest.

        Raises InputError for one that cannot be used, EquivocationError when it contradicts one that is held.
        """
        if len(raw) > MAX_REPORT_BYTES:
            raise LimitError("keep a report within its bound", length=len(raw), bound=MAX_REPORT_BYTES)
        report = Report.decode(raw)
        if venue is not None and report.venue != venue:
            raise SignatureError("let a venue report for itself only", venue=venue, reported=report.venue)
        known = self._policy_in_force().venue_by_id.get(report.venue)
        if known is None:
            raise UnknownVenue("report as a venue that the policy admits", venue=report.venue)
        report.check(self._network_id, known.signer)
        digest = report.digest(self._network_id)
        held = self._reports.setdefault(report.venue, {})
        if (other := held.get(report.sequence)) is not None:
            if other[0] != digest:
                await self._witness(other[1], report)
                raise EquivocationError("never sign two reports for one sequence", venue=report.venue, digest=digest)
            return digest
        self._check_sequence(report, held)
        await self._bodies.save_report(digest, report)
        held[report.sequence] = (digest, report)
        self._gossip.report(raw)
        return digest

    async def submit_request(self, raw: bytes) -> Hash32:
        """Accept an owner's or policy signers' request and return its digest: the name under which it is decided.

        Raises SignatureError, UnknownAccount, NonceUsed, InputError or LimitError.
        """
        if len(raw) > MAX_REQUEST_BYTES:
            raise LimitError("keep a request within its bound", length=len(raw), bound=MAX_REQUEST_BYTES)
        request = decode_request(raw)
        digest = request.digest(self._network_id)
        if digest in self._requests:
            return digest
        if len(self._requests) >= MAX_HELD_REQUESTS:
            raise LimitError("wait until held requests are decided", held=len(self._requests))
        self._check_request(request, digest)
        if isinstance(request, PolicyActivation):
            await self.admit_policy(request.body)
        await self._bodies.save_request(digest, request)
        self._requests[digest] = request
        self._gossip.request(raw)
        return digest

    async def admit_policy(self, body: bytes) -> Policy:
        """Keep a policy file under its hash, which is all that makes it a policy. Raises ConfigError."""
        policy = Policy.parse(body)
        await self._bodies.save_policy(policy.hash, body)
        self._policies[policy.hash] = policy
        return policy

    # === What is offered and looked up ===

    def heads(self) -> tuple[HeadObservation, ...]:
        """Per venue, the digests that this node holds beyond the adopted head, in sequence."""
        offers = []
        for head in self._current().control.venues:
            held = self._reports.get(head.venue, {})
            digests: list[Hash32] = []
            previous = head.digest
            for sequence in range(head.sequence + 1, head.sequence + 1 + MAX_HEADS):
                entry = held.get(sequence)
                if entry is None or entry[1].previous != previous:
                    break
                previous = entry[0]
                digests.append(previous)
            if digests and not head.frozen:
                offers.append(HeadObservation(head.venue, tuple(digests)))
        return tuple(offers)

    def offered_requests(self) -> tuple[Hash32, ...]:
        """Digests of the requests that wait for a decision."""
        return tuple(sorted(self._requests)[:MAX_REQUESTS])

    def holds_request(self, digest: Hash32) -> bool:
        """Whether a request is here and not decided yet."""
        return digest in self._requests

    def report(self, digest: Hash32) -> Report | None:
        return next((body for held in self._reports.values() for name, body in held.values() if name == digest), None)

    def request(self, digest: Hash32) -> Request | None:
        return self._requests.get(digest)

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
        return self._policies[self._current().header.policy_hash]

    def _check_sequence(self, report: Report, held: dict[int, tuple[Hash32, Report]]) -> None:
        head = next((item for item in self._current().control.venues if item.venue == report.venue), None)
        adopted = head.sequence if head is not None else 0
        if head is not None and head.frozen:
            raise VenueFrozen("resolve the two histories with the policy signers", venue=report.venue)
        if not adopted < report.sequence <= adopted + MAX_AHEAD:
            raise OutOfSequence(
                "send the next report of the chain", venue=report.venue, sequence=report.sequence, adopted=adopted
            )
        before = held.get(report.sequence - 1)
        expected = before[0] if before is not None else head.digest if head and report.sequence == adopted + 1 else None
        if expected is not None and report.previous != expected:
            raise OutOfSequence(
                "chain a report to the one before it", venue=report.venue, previous=report.previous, expected=expected
            )

    def _check_request(self, request: Request, digest: Hash32) -> None:
        match request:
            case PolicyActivation():
                signers = request.signers(self._network_id) & set(self._network.policy_signers)
                if len(signers) < self._network.policy_threshold:
                    raise SignatureError("have enough policy signers sign", have=len(signers))
                if request.version <= self._current().control.policy_version:
                    raise NonceUsed("raise the version of the policy", version=request.version)
            case VenueEquivocation():
                self._check_equivocation(request)
            case _:
                self._check_owner_request(request, digest)

    def _check_owner_request(self, request: OwnerRequest, digest: Hash32) -> None:
        leaf = self._current().accounts.get(request.account)
        record = AccountRecord.decode(leaf) if leaf is not None else None
        if isinstance(request, Link):
            request.check(self._network_id)
        elif record is None:
            raise UnknownAccount("link the account before anything else", account=request.account)
        elif (signer := recover(digest, request.signature)) != record.owner:
            raise SignatureError("let the owner of the account sign", owner=record.owner, signer=signer)
        used = record.nonce if record is not None else 0
        if request.nonce <= used:
            raise NonceUsed("use the account's next nonce", account=request.account, used=used, nonce=request.nonce)
        if request.nonce > used + MAX_NONCES_AHEAD:
            raise LimitError("wait for earlier requests of the account", used=used, nonce=request.nonce)

    def _check_equivocation(self, request: VenueEquivocation) -> None:
        first, second = request.first, request.second
        venue = self._policy_in_force().venue_by_id.get(first.venue)
        if venue is None or second.venue != first.venue:
            raise UnknownVenue("show two reports of one admitted venue", venue=first.venue)
        first.check(self._network_id, venue.signer)
        second.check(self._network_id, venue.signer)
        if first.sequence != second.sequence or first.digest(self._network_id) == second.digest(self._network_id):
            raise InputError("show two different reports for one sequence", venue=first.venue)
        if any(head.venue == first.venue and head.frozen for head in self._current().control.venues):
            raise NonceUsed("the venue is frozen already", venue=first.venue)

    async def _witness(self, first: Report, second: Report) -> None:
        self._meter.count("venue.equivocated", venue=first.venue, sequence=first.sequence)
        await self.submit_request(encode_request(VenueEquivocation(first, second)))

    def _decided(self, request: Request, state: State) -> bool:
        """Whether `state` has decided the request, or made it moot."""
        match request:
            case PolicyActivation():
                waiting = state.control.policy_change
                return request.version <= state.control.policy_version or waiting is not None
            case VenueEquivocation():
                return any(head.venue == request.first.venue and head.frozen for head in state.control.venues)
            case _:
                leaf = state.accounts.get(request.account)
                return leaf is not None and request.nonce <= AccountRecord.decode(leaf).nonce
