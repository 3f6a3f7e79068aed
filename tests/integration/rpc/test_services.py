"""Venues, owners and operators over real connections, through the client that checks everything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from chains.adapter import Settled, Settlement
from chains.errors import ClaimMismatch, ProofInvalid, QuorumError
from chains.proofs.output_root import RollupFinality
from chains.types import Address, Amount, Assurance, Hash32, Height
from hypothec.client import (
    AnswerMismatch,
    LocalKey,
    Payment,
    ReportChain,
    SequenceRegressed,
    ServiceRefused,
    ServiceUnavailable,
    TooOld,
    VenueClient,
    authorize_venue,
    link,
    load_answer,
    revoke_venue,
    withdrawal,
)
from hypothec.v1 import operator_service_pb2, owner_service_pb2, venue_service_pb2
from hypothec.v1.operator_service_pb2_grpc import OperatorServiceStub
from hypothec.v1.owner_service_pb2_grpc import OwnerServiceStub
from hypothec.v1.state_pb2 import ROLLUP_FINALITY_CHALLENGE_PASSED
from hypothec.v1.venue_service_pb2_grpc import VenueServiceStub
from node.attestation.release import AttestedRelease
from node.model.digests import ReleaseKind
from node.model.health import HealthStatus
from node.model.identity import Role
from node.model.ledger import Verdict
from node.model.reports import ReportEntry
from node.model.requests import decode_request, encode_request
from node.rpc.server import Audience
from tests.integration.rpc.conftest import Served
from tests.unit.rpc.world import (
    ACCOUNT,
    EAST,
    ETH_TOKEN,
    NETWORK,
    OWNER,
    OWNER_KEY,
    POLICY,
    RECORD,
    STRANGER,
    TIME_MS,
    VAULT,
    VENUE_KEY,
    attested,
    certified,
    other_account,
    state_at,
)

VENUE, OWNER_SIGNER = LocalKey(VENUE_KEY.secret), LocalKey(OWNER_KEY.secret)


def doctored(honest: Callable[..., Awaitable[Any]], change: Callable[[Any], object]) -> Callable[..., Awaitable[Any]]:
    """A method of a node that changes its answers before it gives them."""

    async def method(request: Message, timeout: float) -> Message:  # noqa: ASYNC109 - gRPC's name for it
        answer: Message = await honest(request, timeout=timeout)
        change(answer)
        return answer

    return method


def change_holdings(answer: venue_service_pb2.GetHealthResponse) -> None:
    entry = answer.answer.accounts[0].ledger[2]
    entry.leaf = entry.leaf[:-1] + bytes([entry.leaf[-1] ^ 1])


# === Venues ===


async def test_a_venue_gets_health_that_it_verified_and_can_keep(served: Served, tmp_path: Path) -> None:
    async with served.venue() as client:
        answer = await client.get_health(ACCOUNT)
        assert answer.health.status is HealthStatus.HEALTHY
        assert answer.header == served.node.current.state.header  # type: ignore[union-attr]
        answer.save(tmp_path / "health.json")
    assert load_answer(tmp_path / "health.json").verify(NETWORK).accounts[ACCOUNT].health == answer.health


async def test_an_unknown_account_is_healthy_and_empty(served: Served) -> None:
    async with served.venue() as client:
        answer = await client.get_health(STRANGER)
    assert (answer.health.status, answer.view.record) == (HealthStatus.HEALTHY, None)


async def test_a_batch_is_of_one_state(served: Served) -> None:
    accounts = [ACCOUNT, STRANGER, *(other_account(number) for number in range(40))]
    async with served.venue() as client:
        answer = await client.batch_get_health(accounts)
    assert list(answer.accounts) == accounts
    assert answer.header.sequence == 10


async def test_the_policy_is_fetched_once(served: Served) -> None:
    async with served.venue() as client:
        for _ in range(3):
            await client.get_health(ACCOUNT)
        assert await client.get_policy(POLICY.hash) == POLICY.body
    assert served.counted("GetPolicy", "OK") == 2


async def test_a_watcher_gets_everything_once_and_then_what_changed(served: Served) -> None:
    accounts = [ACCOUNT, STRANGER, other_account(1)]
    async with served.venue() as client:
        stream = client.watch_health(accounts)
        first = await anext(stream)
        assert list(first.accounts) == accounts
        served.node.install(certified(11))
        nothing = await anext(stream)
        assert (nothing.header.sequence, dict(nothing.accounts)) == (11, {})
        served.node.install(certified(12, eth_usd=1_200))
        fallen = await anext(stream)
        assert set(fallen.accounts) == {ACCOUNT, other_account(1)}
        assert fallen.accounts[ACCOUNT].health.status is HealthStatus.LIQUIDATABLE
        served.node.install(certified(15, eth_usd=1_200))
        served.node.install(certified(16, eth_usd=1_200))
        assert (await anext(stream)).header.sequence == 16
        await stream.aclose()  # type: ignore[attr-defined]


async def test_a_state_too_large_for_one_message_comes_in_several(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.rpc.answers.MAX_ANSWER_BYTES", 20_000)
    accounts = [other_account(number) for number in range(40)]
    seen: list[bytes] = []
    complete: list[bool] = []
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        call = VenueServiceStub(channel).WatchHealth(venue_service_pb2.WatchHealthRequest(accounts=accounts))
        while len(seen) < 40:
            message = await call.read()
            assert isinstance(message, venue_service_pb2.WatchHealthResponse)
            seen += [account.account for account in message.answer.accounts]
            complete.append(message.complete)
        call.cancel()
    assert seen == accounts
    assert len(complete) > 1
    assert complete == [False] * (len(complete) - 1) + [True]


async def test_the_margin_state_is_certified(served: Served) -> None:
    async with served.venue() as client:
        assert (await client.get_margin_state()).sequence == 10
        assert client.verifier.sequence == 10


async def test_what_l1_has_settled_of_a_rollup_is_told_beside_the_state(served: Served) -> None:
    async with served.venue() as client:
        assert await client.get_settlements() == ()
        cut = certified(11).state.header.chains[0].cut
        passed = Settled(cut.height, cut.block_hash, RollupFinality.CHALLENGE_PASSED, "a game")
        served.node.settled = {
            cut.chain_id: Settlement(Height(77), Assurance.PROVEN, passed, None, (), 0, halted=False)
        }
        served.node.install(certified(11))
        (found,) = await client.get_settlements()
        assert (found.chain_id, found.passed_height) == (cut.chain_id, cut.height)
        assert found.certified_finality == ROLLUP_FINALITY_CHALLENGE_PASSED
        assert (await client.get_health(ACCOUNT)).header.sequence == 11, "and the answer holds as ever"


async def test_a_report_is_handed_in_as_the_bytes_that_were_signed(served: Served) -> None:
    chain = ReportChain(NETWORK.network_id, "venue-a", VENUE)
    report = chain.next([ReportEntry(ACCOUNT, (), 5, 0)], TIME_MS)
    async with served.venue() as client:
        assert await client.report_positions(report) == chain.previous
    assert served.node.reports == [report.encode()]


async def test_a_venue_reports_only_under_its_own_name(served: Served) -> None:
    report = ReportChain(NETWORK.network_id, "venue-a", VENUE).next([], TIME_MS)
    async with served.venue(name="venue-b") as client:
        with pytest.raises(ServiceRefused) as caught:
            await client.report_positions(report)
    assert (caught.value.service_reason, caught.value.service_status) == ("ROLE_DENIED", "PERMISSION_DENIED")
    assert caught.value.details["venue"] == "venue-a"
    assert served.node.reports == []


async def test_the_legs_of_a_liquidation_come_with_signatures_and_state(served: Served) -> None:
    leg = attested(ReleaseKind.SEIZURE, state_at(9))
    bare = AttestedRelease(leg.release, leg.signatures)
    served.node.releases = {ReleaseKind.SEIZURE: (leg, bare)}
    async with served.venue() as client:
        assert await client.get_liquidation_attestation(ACCOUNT) == (leg, bare)
        with pytest.raises(ServiceRefused) as caught:
            await client.get_liquidation_attestation(STRANGER)
        assert caught.value.service_reason == "NOT_FOUND"
        served.node.raises = QuorumError("wait", have=1, need=3)
        with pytest.raises(ServiceUnavailable) as later:
            await client.get_liquidation_attestation(ACCOUNT)
        assert later.value.service_reason == "QUORUM_NOT_MET"


async def test_a_release_that_does_not_hold_is_refused_by_the_client(served: Served) -> None:
    leg, other = attested(ReleaseKind.SEIZURE, state_at(9)), attested(ReleaseKind.SEIZURE, state_at(8))
    async with served.venue() as client:
        served.node.releases = {ReleaseKind.SEIZURE: (attested(ReleaseKind.SEIZURE, state_at(9), signers=(0, 1)),)}
        with pytest.raises(QuorumError):
            await client.get_liquidation_attestation(ACCOUNT)
        mixed = AttestedRelease(leg.release, leg.signatures, other.header, other.certificate)
        served.node.releases = {ReleaseKind.SEIZURE: (mixed,)}
        with pytest.raises(ClaimMismatch):
            await client.get_liquidation_attestation(ACCOUNT)
        served.node.releases = {ReleaseKind.SEIZURE: (attested(ReleaseKind.WITHDRAWAL, state_at(9)),)}
        with pytest.raises(AnswerMismatch):
            await client.get_liquidation_attestation(ACCOUNT)


async def test_states_do_not_go_back_nor_grow_too_old(served: Served) -> None:
    async with served.venue(max_age_ms=2_000) as client:
        await client.get_health(ACCOUNT)
        served.node.install(certified(9))
        with pytest.raises(TooOld):
            await client.get_health(ACCOUNT)
        with pytest.raises(SequenceRegressed):
            await client.get_health(ACCOUNT, max_age_ms=60_000)
        with pytest.raises(SequenceRegressed):
            await client.get_margin_state(max_age_ms=60_000)


async def test_an_answer_about_something_else_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served.venue() as client:
        honest = client._stub.GetHealth
        stranger = venue_service_pb2.GetHealthRequest(account=STRANGER)
        monkeypatch.setattr(client._stub, "GetHealth", lambda _, timeout: honest(stranger, timeout=timeout))
        with pytest.raises(AnswerMismatch):
            await client.get_health(ACCOUNT)


async def test_a_lying_node_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served.venue() as client:
        monkeypatch.setattr(client._stub, "GetHealth", doctored(client._stub.GetHealth, change_holdings))
        with pytest.raises(ProofInvalid):
            await client.get_health(ACCOUNT)


async def test_a_batch_or_stream_about_other_accounts_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served.venue() as client:
        monkeypatch.setattr(
            client._stub,
            "BatchGetHealth",
            doctored(client._stub.BatchGetHealth, lambda answer: answer.answer.accounts.pop()),
        )
        with pytest.raises(AnswerMismatch):
            await client.batch_get_health([ACCOUNT, STRANGER])
        honest = client._stub.WatchHealth
        unasked = venue_service_pb2.WatchHealthRequest(accounts=[STRANGER])
        monkeypatch.setattr(client._stub, "WatchHealth", lambda _: honest(unasked))
        with pytest.raises(AnswerMismatch):
            await anext(client.watch_health([ACCOUNT]))


async def test_a_client_does_not_talk_to_another_server_than_it_means(served: Served) -> None:
    tls = served.venue()._connection._tls
    async with VenueClient(served.target(Audience.VENUES), NETWORK, tls, server_name="node-1.node.hypothec") as client:  # type: ignore[arg-type]
        with pytest.raises(ServiceUnavailable):
            await client.get_margin_state()


async def test_the_stream_outlives_a_break(served: Served) -> None:
    async with served.venue() as client:
        stream = client.watch_health([ACCOUNT])
        await anext(stream)
        served.node.policies = {}
        served.node.install(certified(11))  # the node has not the policy yet: NO_STATE
        following = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.2)
        served.node.policies = {POLICY.hash: POLICY}
        assert (await asyncio.wait_for(following, 5)).header.sequence == 11
        await stream.aclose()  # type: ignore[attr-defined]


# === Owners ===


async def test_every_request_goes_its_own_way_as_the_bytes_that_were_signed(served: Served) -> None:
    network = NETWORK.network_id
    requests = (
        link(network, OWNER_SIGNER, ["ETH"], 1),
        authorize_venue(network, OWNER_SIGNER, ACCOUNT, "venue-a", 10, {EAST: OWNER}, 2),
        revoke_venue(network, OWNER_SIGNER, ACCOUNT, "venue-a", 3),
        withdrawal(network, OWNER_SIGNER, ACCOUNT, Payment(EAST, VAULT, ETH_TOKEN, Amount(1), OWNER), 4, 2_000_000_000),
    )
    async with served.owner() as client:
        for request in requests:
            assert await client.submit(request) == request.digest(network)
    assert served.node.requests == [encode_request(request) for request in requests]
    assert [type(decode_request(raw)) for raw in served.node.requests] == [type(request) for request in requests]


async def test_decisions_are_proven_by_the_accounts_own_leaf(served: Served) -> None:
    refused, unknown = RECORD.decisions[0].request, Hash32(b"\5" * 32)
    async with served.owner() as client:
        found = await client.get_decision(ACCOUNT, refused)
        assert found.decision is not None
        assert (found.decision.verdict, found.decision.reason) == (Verdict.REFUSED, "BELOW_INITIAL_MARGIN")
        assert found.record == RECORD
        undecided = await client.get_decision(ACCOUNT, unknown)
        assert (undecided.decision, undecided.pending) == (None, False)
        served.node.held.add(unknown)
        assert (await client.get_decision(ACCOUNT, unknown)).pending
        nobody = await client.get_decision(STRANGER, unknown)
        assert (nobody.record, nobody.pending) == (None, True)


@pytest.mark.parametrize(
    "lie",
    [
        lambda answer: setattr(answer, "status", owner_service_pb2.DECISION_STATUS_GRANTED),
        lambda answer: setattr(answer, "status", owner_service_pb2.DECISION_STATUS_PENDING),
        lambda answer: setattr(answer, "reason", "UNKNOWN_ACCOUNT"),
        lambda answer: setattr(answer, "sequence", 4),
        lambda answer: setattr(answer.summary, "time_ms", 4),
    ],
)
async def test_a_decision_that_is_not_the_proven_one_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch, lie: Callable[[Any], object]
) -> None:
    async with served.owner() as client:
        monkeypatch.setattr(client._stub, "GetDecision", doctored(client._stub.GetDecision, lie))
        with pytest.raises(ClaimMismatch):
            await client.get_decision(ACCOUNT, RECORD.decisions[0].request)


async def test_the_release_of_a_withdrawal_is_verified(served: Served) -> None:
    release = attested(ReleaseKind.WITHDRAWAL, state_at(9))
    served.node.releases = {ReleaseKind.WITHDRAWAL: (release,)}
    async with served.owner() as client:
        assert await client.get_withdrawal_attestation(ACCOUNT, release.release.reference) == release
        with pytest.raises(ServiceRefused) as caught:
            await client.get_withdrawal_attestation(ACCOUNT, Hash32(bytes(32)))
        assert caught.value.service_reason == "NOT_FOUND"


async def test_an_owner_sees_the_health_that_venues_see(served: Served) -> None:
    async with served.owner() as owner, served.venue() as venue:
        assert (await owner.get_health(ACCOUNT)).answer == (await venue.get_health(ACCOUNT)).answer


async def test_a_request_sent_to_the_method_of_another_kind_is_refused(served: Served) -> None:
    raw = encode_request(link(NETWORK.network_id, OWNER_SIGNER, ["ETH"], 1))
    async with served.owner() as client:
        with pytest.raises(ServiceRefused) as caught:
            await client._connection.call(client._stub.RevokeVenue, owner_service_pb2.RevokeVenueRequest(request=raw))
    assert caught.value.details["given"] == "Link"
    assert served.node.requests == []


async def test_venues_may_hand_in_what_owners_signed(served: Served) -> None:
    raw = encode_request(link(NETWORK.network_id, OWNER_SIGNER, ["ETH"], 1))
    async with served.channel(Audience.VENUES, Role.VENUE) as channel:
        await OwnerServiceStub(channel).SubmitLink(owner_service_pb2.SubmitLinkRequest(request=raw), timeout=3)
    assert served.node.requests == [raw]
    assert decode_request(raw).owner == Address(OWNER)  # type: ignore[union-attr]


# === Operators ===


async def test_operators_see_status_evidence_and_health_without_a_certificate(served: Served) -> None:
    async with served.channel(Audience.OPERATORS, None) as channel:
        stub = OperatorServiceStub(channel)
        status = await stub.GetStatus(operator_service_pb2.GetStatusRequest(), timeout=3)
        assert (status.node, list(status.advice)) == (2, ["all is well"])
        evidence = await stub.ListEvidence(operator_service_pb2.ListEvidenceRequest(page_size=5_000), timeout=3)
        assert evidence.evidence[0].against == "node:3"
        await stub.ListEvidence(operator_service_pb2.ListEvidenceRequest(page_token="x"), timeout=3)
        assert served.node.asked_evidence == [(1_000, ""), (100, "x")]
    async with VenueClient(served.target(Audience.OPERATORS), NETWORK, None, max_age_ms=None) as client:
        assert (await client.get_health(ACCOUNT)).health.status is HealthStatus.HEALTHY
        with pytest.raises(ServiceRefused) as caught:
            await client.report_positions(ReportChain(NETWORK.network_id, "venue-a", VENUE).next([], TIME_MS))
        assert caught.value.service_reason == "ROLE_DENIED"
