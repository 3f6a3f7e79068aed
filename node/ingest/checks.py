"""Whether what was handed in is what its author signed, and whether it can still come to something. Pure.

Two questions on purpose: a body that the others agreed on must be authentic, and nothing more, or a node that sees
things a little differently could not follow them. Must not know how anything is kept.
"""

from __future__ import annotations

from chains.errors import InputError, LimitError, SignatureError, StaleError
from chains.types import AccountId, Hash32
from node.consensus.outcome.draft import ANY_CHAIN, link_key
from node.consensus.outcome.requests import KEPT_DECISIONS
from node.margin.policy import Policy
from node.model.ledger import AccountRecord, decode_record
from node.model.network import Network
from node.model.reports import MAX_REPORT_BYTES, Report
from node.model.requests import Link, OwnerRequest, PolicyActivation, Request, VenueEquivocation
from node.model.signatures import recover
from node.model.state import State

MAX_NONCES_AHEAD = KEPT_DECISIONS
"""How many requests of one account may wait: if all are decided at once, the record still shows every decision."""
MAX_REQUEST_BYTES = 2 * MAX_REPORT_BYTES + 1024
"""Evidence against a venue holds two of its reports."""


class UnknownVenue(InputError):
    """The policy in force admits no such venue."""

    reason = "UNKNOWN_VENUE"


class UnknownAccount(InputError):
    """No such account: link it first."""

    reason = "UNKNOWN_ACCOUNT"


class LinkedElsewhere(InputError):
    """The address belongs to another account, so it cannot open one."""

    reason = "LINKED_ELSEWHERE"


class NonceUsed(StaleError):
    """The request's nonce was used already: it was decided before, or another one was."""

    reason = "NONCE_USED"
    status = "FAILED_PRECONDITION"


class TooLate(StaleError):
    """The time that the request names is too near, or past."""

    reason = "TOO_LATE"
    status = "FAILED_PRECONDITION"


def record_of(state: State, account: AccountId) -> AccountRecord | None:
    """The account's record, None before it is opened."""
    return decode_record(state.accounts.get(account))


def nonce_of(state: State, account: AccountId) -> int:
    """The account's last used nonce, 0 before it is opened."""
    record = record_of(state, account)
    return record.nonce if record is not None else 0


# === Is it authentic? ===


def check_report(report: Report, network: Network, policy: Policy) -> None:
    """Raise UnknownVenue or SignatureError."""
    venue = policy.venue_by_id.get(report.venue)
    if venue is None:
        raise UnknownVenue("report as a venue that the policy admits", venue=report.venue)
    report.check(network.network_id, venue.signer)


def check_request(request: Request, digest: Hash32, network: Network, state: State, policy: Policy) -> None:
    """Raise SignatureError, UnknownAccount, UnknownVenue or InputError."""
    match request:
        case PolicyActivation():
            signers = request.signers(network.network_id) & set(network.policy_signers)
            if len(signers) < network.policy_threshold:
                raise SignatureError("have enough policy signers sign", have=len(signers))
        case VenueEquivocation(first, second):
            if first.venue != second.venue:
                raise UnknownVenue("show two reports of one venue", venue=first.venue)
            check_report(first, network, policy)
            check_report(second, network, policy)
            if first.sequence != second.sequence or first.digest(network.network_id) == second.digest(
                network.network_id
            ):
                raise InputError("show two different reports for one sequence", venue=first.venue)
        case Link():
            request.check(network.network_id)
        case _:
            record = record_of(state, request.account)
            if record is None:
                raise UnknownAccount("link the account before anything else", account=request.account)
            if (signer := recover(digest, request.signature)) != record.owner:
                raise SignatureError("let the owner of the account sign", owner=record.owner, signer=signer)


# === Can it still be decided? ===


def check_timely(request: Request, state: State, policy: Policy) -> None:
    """Raise what says why `state` leaves nothing to decide about the request, now or ever."""
    match request:
        case PolicyActivation():
            _check_activation(request, state, policy)
        case VenueEquivocation():
            if any(head.venue == request.first.venue and head.frozen for head in state.control.venues):
                raise NonceUsed("the venue is frozen already", venue=request.first.venue)
        case _:
            _check_nonce(request, state, policy)


def _check_activation(request: PolicyActivation, state: State, policy: Policy) -> None:
    control = state.control
    if request.version != control.policy_version + 1:
        raise NonceUsed("activate the next version", version=request.version, in_force=control.policy_version)
    if control.policy_change is not None:
        raise NonceUsed("wait until the policy that waits is in force", version=control.policy_change.version)
    earliest = state.header.time_ms // 1000 + policy.timing.policy_timelock
    if request.activates_at < earliest:
        raise TooLate("keep the timelock", activates_at=request.activates_at, earliest=earliest)


def _check_nonce(request: OwnerRequest, state: State, policy: Policy) -> None:
    record = record_of(state, request.account)
    used = record.nonce if record is not None else 0
    if request.nonce <= used:
        raise NonceUsed("use the account's next nonce", account=request.account, used=used, nonce=request.nonce)
    if request.nonce > used + MAX_NONCES_AHEAD:
        raise LimitError("wait for earlier requests of the account", used=used, nonce=request.nonce)
    if record is None and isinstance(request, Link):
        if request.nonce == 1 and request.linked != request.owner:
            raise UnknownAccount("open the account with the owner's own address", account=request.account)
        # SECURITY: the transition passes over such a link without a word, and what follows it has no turn: they would
        # be held for ever, and be in everybody's way.
        chains = (ANY_CHAIN, *policy.recipe_by_chain)
        if any(state.accounts.get(link_key(request.owner, each)) is not None for each in chains):
            raise LinkedElsewhere("open an account with an address of its own", owner=request.owner)
