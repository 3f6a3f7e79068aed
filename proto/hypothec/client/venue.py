"""The client of a derivative venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

from chains.types import AccountId, Hash32
from hypothec.client.connection import Connection
from hypothec.client.errors import AnswerMismatch, ServiceUnavailable
from hypothec.client.health import AccountAnswer, believe, believe_one
from hypothec.client.verifier import Verifier, now_ms
from hypothec.v1 import venue_service_pb2 as pb
from hypothec.v1.state_pb2 import RollupSettlement
from hypothec.v1.venue_service_pb2_grpc import VenueServiceStub
from node.attestation.answer import VerifiedAnswer
from node.attestation.describe import read_release
from node.attestation.release import AttestedRelease
from node.model.digests import ReleaseKind
from node.model.header import Header
from node.model.identity import TlsMaterial
from node.model.network import Network
from node.model.reports import Report


class VenueClient:
    """Asks one node, for as long as `async with` lasts, and refuses what does not hold under `network`.

    Every method raises ServiceRefused or ServiceUnavailable when the node gives no answer, and a ProofError,
    SignatureError, QuorumError or InputError that names what is wrong with an answer that does not hold. A state older
    than `max_age_ms` raises TooOld, one before a state that this client has seen SequenceRegressed.
    """

    def __init__(
        self,
        target: str,
        network: Network,
        tls: TlsMaterial | None,
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
        self._stub = VenueServiceStub(self._connection.channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def get_health(self, account: AccountId, *, max_age_ms: int | None = None) -> AccountAnswer:
        """One account's health. An account that nobody knows is healthy, and proven to have and owe nothing."""
        answer = await self._connection.call(self._stub.GetHealth, pb.GetHealthRequest(account=account))
        return await believe_one(self.verifier, self._policy, answer.answer, account, max_age_ms)

    async def batch_get_health(self, accounts: Sequence[AccountId], *, max_age_ms: int | None = None) -> VerifiedAnswer:
        """Up to 1000 accounts in one state. Raises AnswerMismatch unless the answer is about exactly these."""
        answer = await self._connection.call(self._stub.BatchGetHealth, pb.BatchGetHealthRequest(accounts=accounts))
        verified, _ = await believe(self.verifier, self._policy, answer.answer, max_age_ms)
        if set(verified.accounts) != set(accounts):
            raise AnswerMismatch(
                "refuse other accounts than asked for", asked=len(accounts), given=len(verified.accounts)
            )
        return verified

    async def watch_health(self, accounts: Sequence[AccountId]) -> AsyncIterator[VerifiedAnswer]:
        """All the accounts at once, then with every state those that changed; reconnects when the node goes away.

        An answer without accounts says that a state was certified in which the node reports no change. That nothing was
        left out is only the node's word: ask for an account that matters.
        """
        watched = frozenset(accounts)
        while True:
            try:
                request = pb.WatchHealthRequest(accounts=accounts)
                async for message in self._connection.stream(self._stub.WatchHealth, request):
                    verified, _ = await believe(self.verifier, self._policy, message.answer, None)
                    if not watched.issuperset(verified.accounts):
                        raise AnswerMismatch("refuse accounts that are not watched", given=len(verified.accounts))
                    yield verified
            except ServiceUnavailable as error:
                await asyncio.sleep(error.retry_after_ms / 1000)

    async def report_positions(self, report: Report) -> Hash32:
        """Hand in a signed report; returns its digest once the node holds it durably."""
        answer = await self._connection.call(
            self._stub.ReportPositions, pb.ReportPositionsRequest(report=report.encode())
        )
        digest = report.digest(self.verifier.network.network_id)
        if answer.digest != digest:
            raise AnswerMismatch("refuse the receipt of another report", sent=digest, given=answer.digest)
        return digest

    async def get_margin_state(self, *, max_age_ms: int | None = None) -> Header:
        """The newest certified state's header."""
        answer = await self._connection.call(self._stub.GetMarginState, pb.GetMarginStateRequest())
        return self.verifier.state(answer.state, answer.summary, max_age_ms)

    async def get_settlements(self) -> tuple[RollupSettlement, ...]:
        """How far L1 has settled each rollup that the node looks at: the word of that node, which nobody signed."""
        answer = await self._connection.call(self._stub.GetMarginState, pb.GetMarginStateRequest())
        return tuple(answer.settlements)

    async def get_liquidation_attestation(self, account: AccountId) -> tuple[AttestedRelease, ...]:
        """The legs of the open liquidation of an account, each signed by a quorum and fit to be executed alone."""
        request = pb.GetLiquidationAttestationRequest(account=account)
        answer = await self._connection.call(self._stub.GetLiquidationAttestation, request)
        legs = tuple(read_release(leg) for leg in answer.legs)
        for leg in legs:
            leg.check(self.verifier.network)
            if (leg.release.kind, leg.release.account) != (ReleaseKind.SEIZURE, account):
                raise AnswerMismatch("refuse a release of something else", account=leg.release.account)
        return legs

    async def get_policy(self, policy_hash: Hash32) -> bytes:
        """The policy file that a header names; see Verifier.learn_policy, which checks it."""
        return await self._policy(policy_hash)

    async def _policy(self, policy_hash: Hash32) -> bytes:
        answer = await self._connection.call(self._stub.GetPolicy, pb.GetPolicyRequest(policy_hash=policy_hash))
        return answer.policy
