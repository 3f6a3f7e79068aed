"""OwnerService: signed requests in, proven decisions and attestations out.

A request proves by its signatures who asks, so the caller needs no identity. Must not know gRPC (the guard does), nor
whether a request will be granted.
"""

from __future__ import annotations

from chains.errors import InputError
from chains.types import AccountId, Hash32
from hypothec.v1 import owner_service_pb2 as pb
from hypothec.v1.state_pb2 import SignedState
from node.attestation.answer import account_entry
from node.attestation.describe import describe_release, describe_state, exactly
from node.model.digests import ReleaseKind
from node.model.identity import Role
from node.model.ledger import AccountRecord, Decision, Verdict, decode_record
from node.model.network import Network
from node.model.requests import (
    AuthorizeVenue,
    Link,
    LinkWallet,
    RevokeVenue,
    Unlink,
    WatchWallet,
    WithdrawalRequest,
    decode_request,
)
from node.rpc.answers import Answers
from node.rpc.errors import NoState, NotFound
from node.rpc.guard import Caller, Rule
from node.rpc.ports import Attestations, Inbox, PolicyReader, StateReader
from node.rpc.venue import policy_body

SERVICE = pb.DESCRIPTOR.services_by_name["OwnerService"]
_SUBMISSION_BYTES = 32 << 10
_ANYBODY = frozenset({Role.OWNER, Role.VENUE, Role.OPERATOR})
_SUBMISSION = Rule(_ANYBODY, _SUBMISSION_BYTES, cost=lambda _: 100)
"""A submission costs a durable write and a place in the inbox of every node, a hundred times a look-up."""
RULES = {
    "SubmitLink": _SUBMISSION,
    "AuthorizeVenue": _SUBMISSION,
    "RevokeVenue": _SUBMISSION,
    "RequestWithdrawal": _SUBMISSION,
    "GetDecision": Rule(_ANYBODY),
    "GetWithdrawalAttestation": Rule(_ANYBODY),
    "GetAccountHealth": Rule(_ANYBODY),
    "GetPolicyFile": Rule(_ANYBODY),
}
_STATUS = {Verdict.GRANTED: pb.DECISION_STATUS_GRANTED, Verdict.REFUSED: pb.DECISION_STATUS_REFUSED}


class OwnerService:
    """See owner_service.proto."""

    def __init__(
        self,
        network: Network,
        states: StateReader,
        answers: Answers,
        inbox: Inbox,
        attestations: Attestations,
        policies: PolicyReader,
    ) -> None:
        self._network = network
        self._states = states
        self._answers = answers
        self._inbox = inbox
        self._attestations = attestations
        self._policies = policies

    async def submit_link(self, request: pb.SubmitLinkRequest, _: Caller) -> pb.SubmitLinkResponse:
        return pb.SubmitLinkResponse(digest=await self._submit(request.request, Link, LinkWallet, Unlink, WatchWallet))

    async def authorize_venue(self, request: pb.AuthorizeVenueRequest, _: Caller) -> pb.AuthorizeVenueResponse:
        return pb.AuthorizeVenueResponse(digest=await self._submit(request.request, AuthorizeVenue))

    async def revoke_venue(self, request: pb.RevokeVenueRequest, _: Caller) -> pb.RevokeVenueResponse:
        return pb.RevokeVenueResponse(digest=await self._submit(request.request, RevokeVenue))

    async def request_withdrawal(self, request: pb.RequestWithdrawalRequest, _: Caller) -> pb.RequestWithdrawalResponse:
        return pb.RequestWithdrawalResponse(digest=await self._submit(request.request, WithdrawalRequest))

    async def _submit(self, raw: bytes, *kinds: type) -> Hash32:
        request = decode_request(raw)
        if not isinstance(request, kinds):
            raise InputError(
                "send each kind of request to its own method",
                field="request",
                wanted=[kind.__name__ for kind in kinds],
                given=type(request).__name__,
            )
        await self._inbox.submit_request(raw)
        return request.digest(self._network.network_id)

    async def get_decision(self, request: pb.GetDecisionRequest, _: Caller) -> pb.GetDecisionResponse:
        account = AccountId(exactly(request.account, 32, "account"))
        digest = Hash32(exactly(request.request, 32, "request"))
        latest = self._states.latest()
        if latest is None:
            raise NoState("wait for this node's first committed state")
        header = latest.state.header
        entry = account_entry(latest.state, account)
        answer = pb.GetDecisionResponse(
            state=SignedState(header=header.encode(), certificate=latest.certificate.encode()),
            summary=describe_state(header),
            account=entry,
        )
        record = decode_record(latest.state.accounts.get(account))
        decision = _decision(record, digest) if record is not None else None
        if decision is not None:
            answer.status = _STATUS[decision.verdict]
            answer.reason = decision.reason
            answer.sequence = decision.sequence
        elif self._inbox.holds_request(digest):
            answer.status = pb.DECISION_STATUS_PENDING
        else:
            answer.status = pb.DECISION_STATUS_UNKNOWN
        return answer

    async def get_withdrawal_attestation(
        self, request: pb.GetWithdrawalAttestationRequest, _: Caller
    ) -> pb.GetWithdrawalAttestationResponse:
        account = AccountId(exactly(request.account, 32, "account"))
        digest = Hash32(exactly(request.request, 32, "request"))
        for attested in self._attestations.open_releases(account, ReleaseKind.WITHDRAWAL):
            if attested.release.reference == digest:
                return pb.GetWithdrawalAttestationResponse(release=describe_release(attested))
        raise NotFound("no release of this withdrawal is open: see its decision", account=account, request=digest)

    async def get_account_health(self, request: pb.GetAccountHealthRequest, _: Caller) -> bytes:
        answers = self._answers.current()
        record = answers.record(AccountId(exactly(request.account, 32, "account")))
        return answers.response([record])

    async def get_policy_file(self, request: pb.GetPolicyFileRequest, _: Caller) -> pb.GetPolicyFileResponse:
        return pb.GetPolicyFileResponse(policy=policy_body(self._policies, request.policy_hash))


def _decision(record: AccountRecord, digest: Hash32) -> Decision | None:
    return next((decision for decision in record.decisions if decision.request == digest), None)
