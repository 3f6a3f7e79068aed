"""The client of an owner of margin accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from chains.errors import ClaimMismatch
from chains.types import AccountId, Hash32
from hypothec.client.connection import Connection
from hypothec.client.errors import AnswerMismatch
from hypothec.client.health import AccountAnswer, believe_one
from hypothec.client.verifier import Verifier, now_ms
from hypothec.v1 import owner_service_pb2 as pb
from hypothec.v1.owner_service_pb2_grpc import OwnerServiceStub
from node.attestation.answer import verify_record
from node.attestation.describe import read_release
from node.attestation.release import AttestedRelease
from node.model.digests import ReleaseKind
from node.model.header import Header
from node.model.identity import TlsMaterial
from node.model.ledger import AccountRecord, Decision, Verdict
from node.model.network import Network
from node.model.requests import (
    AuthorizeVenue,
    Link,
    LinkWallet,
    OwnerRequest,
    RevokeVenue,
    Unlink,
    WatchWallet,
    WithdrawalRequest,
    encode_request,
)

_STATUS = {Verdict.GRANTED: pb.DECISION_STATUS_GRANTED, Verdict.REFUSED: pb.DECISION_STATUS_REFUSED}
_UNDECIDED = (pb.DECISION_STATUS_UNKNOWN, pb.DECISION_STATUS_PENDING)


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """Where a request stands. `decision` and `record` are proven; `pending` is only the node's word."""

    decision: Decision | None
    pending: bool
    record: AccountRecord | None
    header: Header


class OwnerClient:
    """Asks one node, for as long as `async with` lasts; see VenueClient for what it raises.

    `tls` is the PEM bytes of the authority behind the node's certificate (its owners' listener asks for none).
    """

    def __init__(
        self,
        target: str,
        network: Network,
        tls: TlsMaterial | bytes | None,
        *,
        server_name: str | None = None,
        max_age_ms: int | None = 10_000,
        timeout_s: float = 5.0,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._connection = Connection(target, tls, server_name, timeout_s)
        self.verifier = Verifier(network, max_age_ms, clock_ms)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        self._stub = OwnerServiceStub(self._connection.channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def submit(self, request: OwnerRequest) -> Hash32:
        """Hand in a signed request; returns its digest once the node holds it durably."""
        given = await self._submit(request, encode_request(request))
        digest = request.digest(self.verifier.network.network_id)
        if given != digest:
            raise AnswerMismatch("refuse the receipt of another request", sent=digest, given=given)
        return digest

    async def _submit(self, request: OwnerRequest, raw: bytes) -> bytes:
        call, stub = self._connection.call, self._stub
        match request:
            case Link() | LinkWallet() | Unlink() | WatchWallet():
                return (await call(stub.SubmitLink, pb.SubmitLinkRequest(request=raw))).digest
            case AuthorizeVenue():
                return (await call(stub.AuthorizeVenue, pb.AuthorizeVenueRequest(request=raw))).digest
            case RevokeVenue():
                return (await call(stub.RevokeVenue, pb.RevokeVenueRequest(request=raw))).digest
            case WithdrawalRequest():
                return (await call(stub.RequestWithdrawal, pb.RequestWithdrawalRequest(request=raw))).digest

    async def get_decision(
        self, account: AccountId, request: Hash32, *, max_age_ms: int | None = None
    ) -> RequestStatus:
        """What became of a request, by the account's own leaf. Raises ClaimMismatch where the node says otherwise."""
        query = pb.GetDecisionRequest(account=account, request=request)
        answer = await self._connection.call(self._stub.GetDecision, query)
        header = self.verifier.state(answer.state, answer.summary, max_age_ms)
        record = verify_record(header, account, answer.account)
        decisions = record.decisions if record is not None else ()
        decision = next((item for item in decisions if item.request == request), None)
        _check_claim(answer, decision)
        return RequestStatus(decision, answer.status == pb.DECISION_STATUS_PENDING, record, header)

    async def get_withdrawal_attestation(self, account: AccountId, request: Hash32) -> AttestedRelease:
        """The release of a granted withdrawal, signed by a quorum."""
        query = pb.GetWithdrawalAttestationRequest(account=account, request=request)
        answer = await self._connection.call(self._stub.GetWithdrawalAttestation, query)
        attested = read_release(answer.release)
        attested.check(self.verifier.network)
        release = attested.release
        if (release.kind, release.account, release.reference) != (ReleaseKind.WITHDRAWAL, account, request):
            raise AnswerMismatch("refuse a release of something else", account=release.account)
        return attested

    async def get_health(self, account: AccountId, *, max_age_ms: int | None = None) -> AccountAnswer:
        """One account's health, as venues see it."""
        query = pb.GetAccountHealthRequest(account=account)
        answer = await self._connection.call(self._stub.GetAccountHealth, query)
        return await believe_one(self.verifier, self._policy, answer.answer, account, max_age_ms)

    async def _policy(self, policy_hash: Hash32) -> bytes:
        query = pb.GetPolicyFileRequest(policy_hash=policy_hash)
        answer = await self._connection.call(self._stub.GetPolicyFile, query)
        return answer.policy


def _check_claim(answer: pb.GetDecisionResponse, decision: Decision | None) -> None:
    if decision is None:
        holds = answer.status in _UNDECIDED and not answer.reason and not answer.sequence
    else:
        claimed = (answer.status, answer.reason, answer.sequence)
        holds = claimed == (_STATUS[decision.verdict], decision.reason, decision.sequence)
    if not holds:
        raise ClaimMismatch("refuse a decision that is not the proven one", claimed=answer.status)
