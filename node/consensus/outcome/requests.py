"""Owners' requests, applied in an order that every node derives: by account, then by the owner's own nonce.

A request is considered when f+1 observers hold it, so at least one honest node has checked its signatures. It is
either granted, or refused with a reason that stays in the account's record: a refusal is signed like an answer. One
that is not next in its account's order stays where it is. Must not know how requests arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from chains.errors import ConfigError
from chains.types import NATIVE_COIN, AccountId, Address, Amount, ChainRecipe, Hash32
from node.consensus.outcome.draft import ANY_CHAIN, Draft
from node.consensus.outcome.observation import Observation
from node.margin import MarginContext, evaluate, withdrawal_refusal
from node.margin.outflow import Outflow
from node.margin.policy import Policy
from node.model.digests import ReleaseItem, ReleaseKind
from node.model.ledger import AccountRecord, Authorization, Decision, Reservation, Verdict
from node.model.network import Network
from node.model.requests import (
    AuthorizeVenue,
    Link,
    LinkWallet,
    OwnerRequest,
    PolicyActivation,
    RevokeVenue,
    Unlink,
    WatchWallet,
    WithdrawalRequest,
)
from node.model.state import Control, PolicyChange

KEPT_DECISIONS = 8
"""How many of an account's last decisions its record keeps."""
MAX_LINKED = 64
"""Addresses of one account."""
MAX_AUTHORIZED = 64
"""Venues that one account authorises at a time."""
NO_MINIMUM = Amount(0)
"""Of a withdrawal: whatever the vault pays for it, in a shortfall the owner's share and no more is gone."""
MAX_WATCHED_OF_ONE = 8
"""Addresses of one account that are watched on one chain: there are only so many places for all."""
MAX_POLICY_DELAY = 90 * 86_400
"""Seconds from the agreement on a policy to its activation, at most: a waiting one keeps all others out."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What requests are judged by: the market and chains of the state being derived, and its sequence.

    `outflow` counts what is under way, and what is granted.
    """

    margin: MarginContext
    sequence: int
    outflow: Outflow

    @property
    def policy(self) -> Policy:
        return self.margin.policy

    @property
    def now(self) -> int:
        """State time in unix seconds."""
        return self.margin.time_ms // 1000


def offered(observations: Mapping[int, Observation], network: Network) -> tuple[Hash32, ...]:
    """The digests of the requests that f+1 observers hold, ascending."""
    tally = Counter(digest for observation in observations.values() for digest in observation.requests)
    return tuple(sorted(digest for digest, count in tally.items() if count >= network.weak_quorum))


def apply_owner_requests(
    draft: Draft, requests: Iterable[tuple[Hash32, OwnerRequest]], context: RequestContext
) -> None:
    """Decide each request that is its account's next one."""
    for digest, request in sorted(requests, key=lambda item: (item[1].account, item[1].nonce, item[0])):
        record = draft.record(request.account)
        if request.nonce != (record.nonce if record is not None else 0) + 1:
            continue
        if record is None:
            if isinstance(request, Link) and request.linked == request.owner:
                _open_account(draft, digest, request, context)
            continue
        reason = _decide(draft, digest, request, record, context)
        _record_decision(draft, request.account, request.nonce, digest, reason, context.sequence)


def _open_account(draft: Draft, digest: Hash32, request: Link, context: RequestContext) -> None:
    if _is_linked_elsewhere(draft, request.owner, request.account, context):
        return  # the first agreed link of an address wins, and there is no record to refuse in
    draft.put_link(request.owner, request.account)
    draft.put_record(request.account, AccountRecord(request.owner, 0, (request.owner,), request.collateral, (), (), ()))
    _record_decision(draft, request.account, request.nonce, digest, None, context.sequence)


def _record_decision(
    draft: Draft, account: AccountId, nonce: int, digest: Hash32, reason: str | None, sequence: int
) -> None:
    record = draft.record(account)
    assert record is not None  # noqa: S101 - decided requests have a record
    verdict = Verdict.GRANTED if reason is None else Verdict.REFUSED
    decision = Decision(digest, verdict, reason or "", sequence)
    draft.put_record(account, replace(record, nonce=nonce, decisions=(*record.decisions, decision)[-KEPT_DECISIONS:]))


def _decide(
    draft: Draft, digest: Hash32, request: OwnerRequest, record: AccountRecord, context: RequestContext
) -> str | None:
    """Carry the request out in the draft, or say why not."""
    match request:
        case Link():
            return _link(draft, request, record, context)
        case LinkWallet():
            return _link_wallet(draft, request, record, context)
        case Unlink():
            return _unlink(draft, request, record)
        case WatchWallet():
            return _watch(draft, request, record, context)
        case AuthorizeVenue():
            return _authorize(draft, request, record, context)
        case RevokeVenue():
            return _revoke(draft, request, record, context)
        case WithdrawalRequest():
            return _withdraw(draft, digest, request, record, context)


def _link(draft: Draft, request: Link, record: AccountRecord, context: RequestContext) -> str | None:
    if request.owner != record.owner:
        return "NOT_THE_OWNER"
    if _is_linked_elsewhere(draft, request.linked, request.account, context):
        return "LINKED_ELSEWHERE"
    if not set(record.collateral) <= set(request.collateral) and _is_claimed(draft, request.account, record):
        return "VENUE_HAS_CLAIM"  # collateral that a venue relies on cannot be opted out
    linked = tuple(sorted({*record.linked, request.linked}))
    if len(linked) + len(record.wallets) > MAX_LINKED:
        return "TOO_MANY_LINKS"
    draft.put_link(request.linked, request.account)
    draft.put_record(request.account, replace(record, linked=linked, collateral=request.collateral))
    return None


def _is_linked_elsewhere(draft: Draft, address: Address, account: AccountId, context: RequestContext) -> bool:
    """Whether the address belongs to another account: by its key, or as a contract of any chain."""
    holders = {draft.account_of(address), *(draft.account_of(address, each) for each in context.policy.recipe_by_chain)}
    return bool(holders - {None, account})


def _link_wallet(draft: Draft, request: LinkWallet, record: AccountRecord, context: RequestContext) -> str | None:
    # SECURITY: a contract is one of its chain alone. Whoever deploys at the same address elsewhere is somebody else.
    if request.chain_id not in context.policy.recipe_by_chain:
        return "UNKNOWN_CHAIN"
    holders = {draft.account_of(request.wallet), draft.account_of(request.wallet, request.chain_id)}
    if holders - {None, request.account}:
        return "LINKED_ELSEWHERE"
    if not draft.joins(request.account, request.chain_id, request.wallet):
        return "NOT_IN_REGISTRY"
    wallets = tuple(sorted({*record.wallets, (request.chain_id, request.wallet)}))
    if len(record.linked) + len(wallets) > MAX_LINKED:
        return "TOO_MANY_LINKS"
    draft.put_link(request.wallet, request.account, request.chain_id)
    draft.put_record(request.account, replace(record, wallets=wallets))
    return None


def _is_claimed(draft: Draft, account: AccountId, record: AccountRecord) -> bool:
    """Whether any venue has a claim, or may have: what it said last stays, as a seizure was acknowledged in it."""
    obligations = draft.obligations(account)
    if obligations is None:
        return False
    seized = {item.venue: item.seized for item in record.authorizations}
    seizing = {item.venue for item in record.reservations}
    return any(item.venue in seizing or not item.is_settled(seized.get(item.venue, 0)) for item in obligations.venues)


def _unlink(draft: Draft, request: Unlink, record: AccountRecord) -> str | None:
    """Not while anything depends on it: a venue relies on whose account it is, and so does a release under way."""
    if request.chain_id == ANY_CHAIN and request.linked == record.owner:
        return "IS_THE_OWNER"
    by_key = request.chain_id == ANY_CHAIN
    if request.linked not in record.linked if by_key else (request.chain_id, request.linked) not in record.wallets:
        return "NOT_LINKED"
    if _is_claimed(draft, request.account, record):
        return "VENUE_HAS_CLAIM"
    if record.reservations:
        return "OPEN_RESERVATION"
    draft.drop_link(request.linked, request.chain_id)
    linked = tuple(each for each in record.linked if not by_key or each != request.linked)
    wallets = tuple(each for each in record.wallets if each != (request.chain_id, request.linked))
    left = replace(record, linked=linked, wallets=wallets)
    watched = tuple(each for each in left.watched if left.is_linked(*each))
    draft.put_record(request.account, replace(left, watched=watched))
    return None


def _watch(draft: Draft, request: WatchWallet, record: AccountRecord, context: RequestContext) -> str | None:
    place = request.chain_id, request.wallet
    if not request.watched:
        if place not in record.watched:
            return "NOT_WATCHED"
        watched = tuple(each for each in record.watched if each != place)
        draft.put_record(request.account, replace(record, watched=watched))
        return None
    recipe = context.policy.recipe_by_chain.get(request.chain_id)
    if recipe is None:
        return "UNKNOWN_CHAIN"
    if not record.is_linked(*place):
        return "NOT_LINKED"
    others = [item for item in draft.watched if item[0] == request.chain_id and item[2] != request.wallet]
    own = sum(account == request.account for _, account, _ in others)
    if len(others) >= recipe.max_watched or own >= MAX_WATCHED_OF_ONE:
        return "TOO_MANY_WATCHED"
    # SECURITY: accounts cost nothing to open. Without something at stake, anybody could take all the places there are.
    if not any(line.value.high > 0 for line in evaluate(draft.view(request.account), context.margin).holdings):
        return "NOTHING_PLEDGED"
    draft.put_record(request.account, replace(record, watched=tuple(sorted({*record.watched, place}))))
    return None


def _authorize(draft: Draft, request: AuthorizeVenue, record: AccountRecord, context: RequestContext) -> str | None:
    if request.venue not in context.policy.venue_by_id:
        return "UNKNOWN_VENUE"
    if not {chain_id for chain_id, _ in request.payees} <= set(context.policy.recipe_by_chain):
        return "UNKNOWN_CHAIN"
    if any(_cannot_be_paid(payee, context.policy.recipe_by_chain[chain_id]) for chain_id, payee in request.payees):
        return "BAD_PAYEE"
    known = {item.venue: item for item in record.authorizations}
    if len({*known, request.venue}) > MAX_AUTHORIZED:
        return "TOO_MANY_VENUES"
    before = known.get(request.venue)
    seized = before.seized if before is not None else 0
    # SECURITY: what a venue has lent against can grow but not shrink, nor pay anybody else.
    weakened = before is not None and (request.limit < before.limit or request.payees != before.payees)
    if before is not None and weakened and _relied_on(draft, request.account, before):
        return "VENUE_HAS_CLAIM"
    known[request.venue] = Authorization(request.venue, request.limit, request.payees, seized, revoked=False)
    _put_authorizations(draft, request.account, record, known)
    return None


def _revoke(draft: Draft, request: RevokeVenue, record: AccountRecord, context: RequestContext) -> str | None:
    known = {item.venue: item for item in record.authorizations}
    before = known.get(request.venue)
    if before is None:
        return "UNKNOWN_VENUE"
    if _relied_on(draft, request.account, before):
        line = next(
            item for item in evaluate(draft.view(request.account), context.margin).venues if item.venue == before.venue
        )
        used = before.seized + max(line.claim.high, 0) + max(line.initial.high, 0)
        known[request.venue] = replace(before, limit=min(before.limit, used), revoked=True)
    else:
        del known[request.venue]
    _put_authorizations(draft, request.account, record, known)
    return None


def _relied_on(draft: Draft, account: AccountId, authorization: Authorization) -> bool:
    """Whether the venue has said anything of the account that still stands."""
    obligations = draft.obligations(account)
    return obligations is not None and any(item.venue == authorization.venue for item in obligations.venues)


def _put_authorizations(
    draft: Draft, account: AccountId, record: AccountRecord, known: Mapping[str, Authorization]
) -> None:
    ordered = tuple(known[venue] for venue in sorted(known))
    draft.put_record(account, replace(record, authorizations=ordered))


def _withdraw(
    draft: Draft, digest: Hash32, request: WithdrawalRequest, record: AccountRecord, context: RequestContext
) -> str | None:
    recipe = context.policy.recipe_by_chain.get(request.chain_id)
    if recipe is None or recipe.vault != request.vault:
        return "UNKNOWN_VAULT"
    if request.amount == 0:
        return "NOTHING_ASKED"
    if _cannot_be_paid(request.recipient, recipe):
        return "BAD_PAYEE"
    if request.expiry <= context.now:
        return "EXPIRED"
    view = draft.view(request.account)
    reason = withdrawal_refusal(view, context.margin, request.chain_id, request.token, request.amount, context.outflow)
    if reason is not None:
        return reason
    reservation = Reservation(
        kind=ReleaseKind.WITHDRAWAL,
        chain_id=request.chain_id,
        vault=request.vault,
        nonce=view.holdings[request.chain_id].nonce + 1,
        payee=request.recipient,
        items=(ReleaseItem(request.token, request.amount, NO_MINIMUM),),
        reference=digest,
        sequence=context.sequence,
        expiry=min(request.expiry, context.now + context.policy.timing.withdrawal_ttl),
    )
    context.outflow.add(reservation)
    draft.put_record(request.account, replace(record, reservations=(*record.reservations, reservation)))
    return None


def _cannot_be_paid(payee: Address, recipe: ChainRecipe) -> bool:
    """Whether the vault refuses to pay there, so that a release could never be executed."""
    return payee in (NATIVE_COIN, recipe.vault)


def scheduled_policy(
    control: Control,
    requests: Iterable[tuple[Hash32, PolicyActivation]],
    network: Network,
    timelock: int,
    now: int,
) -> PolicyChange | None:
    """The policy change that waits after these requests: the next version, properly signed, after the timelock."""
    waiting = control.policy_change
    if waiting is not None:
        return waiting
    for _, request in sorted(requests, key=lambda item: item[0]):
        signers = request.signers(network.network_id) & set(network.policy_signers)
        next_version = request.version == control.policy_version + 1
        in_time = now + timelock <= request.activates_at <= now + timelock + MAX_POLICY_DELAY
        if len(signers) >= network.policy_threshold and next_version and in_time:
            try:
                policy = Policy.parse(request.body)
            except ConfigError:
                continue  # signed by its signers, and still no policy
            if policy.version == request.version:
                return PolicyChange(request.version, policy.hash, request.activates_at)
    return None
