"""VenueService: health with its proofs, streams of it, reports in, attestations out.

Must not know gRPC (the guard does), nor how a state comes about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from chains.errors import InputError
from chains.types import AccountId, Hash32
from hypothec.v1 import venue_service_pb2 as pb
from node.attestation.describe import describe_release, exactly
from node.model.digests import ReleaseKind
from node.model.health import Health
from node.model.identity import Role
from node.model.network import Network
from node.model.reports import MAX_REPORT_BYTES, Report
from node.rpc.answers import Answers, StateAnswers, nested
from node.rpc.errors import NotFound, RoleDenied
from node.rpc.guard import Caller, Rule
from node.rpc.ports import Attestations, Inbox, PolicyReader

SERVICE = pb.DESCRIPTOR.services_by_name["VenueService"]
MAX_ACCOUNTS = 1_000
"""Of one batch or stream."""
_YIELD_EVERY = 32
"""Accounts evaluated before other tasks of the node get their turn."""

_READERS = frozenset({Role.VENUE, Role.OPERATOR})
_BATCH_BYTES = MAX_ACCOUNTS * 40
RULES = {
    "GetHealth": Rule(_READERS),
    "BatchGetHealth": Rule(_READERS, _BATCH_BYTES, cost=lambda request: len(request.accounts)),
    "WatchHealth": Rule(_READERS, _BATCH_BYTES, cost=lambda request: len(request.accounts), deadline=False),
    "ReportPositions": Rule(
        # What a report costs to check, keep and pass on grows with its size; the largest must fit a full bucket.
        frozenset({Role.VENUE}),
        MAX_REPORT_BYTES + 64,
        cost=lambda request: 1 + len(request.report) // 1000,
    ),
    "GetMarginState": Rule(_READERS),
    "GetLiquidationAttestation": Rule(_READERS),
    "GetPolicy": Rule(_READERS),
}


class VenueService:
    """See venue_service.proto. Every venue may ask about every account; it reports only under its own name."""

    def __init__(
        self, network: Network, answers: Answers, inbox: Inbox, attestations: Attestations, policies: PolicyReader
    ) -> None:
        self._network = network
        self._answers = answers
        self._inbox = inbox
        self._attestations = attestations
        self._policies = policies

    async def get_health(self, request: pb.GetHealthRequest, _: Caller) -> bytes:
        answers = self._answers.current()
        record = answers.record(AccountId(exactly(request.account, 32, "account")))
        return answers.response([record])

    async def batch_get_health(self, request: pb.BatchGetHealthRequest, _: Caller) -> bytes:
        accounts, answers = _accounts(request.accounts), self._answers.current()
        records = []
        for at, account in enumerate(accounts):
            records.append(answers.record(account))
            if at % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
        return answers.response(records)

    async def watch_health(self, request: pb.WatchHealthRequest, _: Caller) -> AsyncIterator[bytes]:
        accounts = _accounts(request.accounts)
        told: dict[AccountId, Health] = {}
        sequence = 0
        while True:
            answers = await self._answers.newer_than(sequence)
            sequence = answers.sequence
            changed = await self._changed(answers, accounts, told)
            told |= {account: answers.record(account).health for account in changed}
            for answer, complete in answers.answers([answers.record(account) for account in changed]):
                encoded = nested(pb.WatchHealthResponse.ANSWER_FIELD_NUMBER, answer)
                yield encoded + pb.WatchHealthResponse(complete=complete).SerializeToString()

    async def _changed(
        self, answers: StateAnswers, accounts: Iterable[AccountId], told: dict[AccountId, Health]
    ) -> list[AccountId]:
        changed = []
        for at, account in enumerate(accounts):
            if told.get(account) != answers.record(account).health:
                changed.append(account)
            if at % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
        return changed

    async def report_positions(self, request: pb.ReportPositionsRequest, caller: Caller) -> pb.ReportPositionsResponse:
        report = Report.decode(request.report)
        if report.venue != caller.name:
            raise RoleDenied("report under your own name only", caller=str(caller), venue=report.venue)
        await self._inbox.submit_report(request.report, caller.name)
        return pb.ReportPositionsResponse(digest=report.digest(self._network.network_id), sequence=report.sequence)

    async def get_margin_state(self, _: pb.GetMarginStateRequest, __: Caller) -> bytes:
        return self._answers.current().margin_state

    async def get_liquidation_attestation(
        self, request: pb.GetLiquidationAttestationRequest, _: Caller
    ) -> pb.GetLiquidationAttestationResponse:
        account = AccountId(exactly(request.account, 32, "account"))
        legs = self._attestations.open_releases(account, ReleaseKind.SEIZURE)
        if not legs:
            raise NotFound("no liquidation of this account is open", account=account)
        return pb.GetLiquidationAttestationResponse(legs=[describe_release(leg) for leg in legs])

    async def get_policy(self, request: pb.GetPolicyRequest, _: Caller) -> pb.GetPolicyResponse:
        return pb.GetPolicyResponse(policy=policy_body(self._policies, request.policy_hash))


def policy_body(policies: PolicyReader, policy_hash: bytes) -> bytes:
    """The file that the hash names. Raises InputError, NotFound."""
    policy = policies.policy(Hash32(exactly(policy_hash, 32, "policy_hash")))
    if policy is None:
        raise NotFound("no policy of this hash is here", policy_hash=policy_hash)
    return policy.body


def _accounts(accounts: Iterable[bytes]) -> list[AccountId]:
    found = [AccountId(exactly(account, 32, "accounts")) for account in accounts]
    if not 0 < len(found) <= MAX_ACCOUNTS:
        raise InputError("name 1 to 1000 accounts", field="accounts", count=len(found))
    if len(set(found)) != len(found):
        raise InputError("name every account once", field="accounts", count=len(found))
    return found
