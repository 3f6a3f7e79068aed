"""What venues and owners hand in: taken once, on disk before it is answered, refused with a reason otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.errors import EquivocationError, HypothecError, LimitError, SignatureError
from chains.types import Hash32
from node.consensus.outcome.reports import ACCOUNT_OPEN
from node.ingest.checks import MAX_NONCES_AHEAD, NonceUsed, UnknownAccount, UnknownVenue
from node.ingest.inbox import Inbox, OutOfSequence, TooMuchOpen, VenueFrozen
from node.model.codec import Malformed
from node.model.ledger import AccountRecord
from node.model.reports import MAX_REPORT_BYTES
from node.model.requests import PolicyActivation, VenueEquivocation, encode_request
from node.model.signatures import sign
from tests import kit
from tests.kit import ETHER, NETWORK_ID, NOW_MS, Owner, Venue
from tests.unit.ingest.desk import Desk, Disk, Events, Peers


async def test_a_report_is_saved_told_and_offered(desk: Desk) -> None:
    first, second = desk.report(), desk.report()
    for report in (first, second):
        assert await desk.inbox.submit_report(report.encode(), "demo") == report.digest(NETWORK_ID)
    assert desk.disk.saved == [first.digest(NETWORK_ID), second.digest(NETWORK_ID)]
    assert desk.peers.told == [first.encode(), second.encode()]
    assert [head.digests for head in desk.inbox.heads()] == [tuple(desk.disk.saved)]


async def test_the_same_report_again_is_no_error_and_is_told_once(desk: Desk) -> None:
    raw = desk.report().encode()
    await desk.inbox.submit_report(raw)
    await desk.inbox.submit_report(raw)
    assert len(desk.peers.told) == len(desk.disk.saved) == 1


async def test_reports_that_come_out_of_order_are_offered_once_they_link_up(desk: Desk) -> None:
    first, second = desk.report(), desk.report()
    await desk.inbox.submit_report(second.encode())
    assert desk.inbox.heads() == ()
    await desk.inbox.submit_report(first.encode())
    assert len(desk.inbox.heads()[0].digests) == 2


async def test_two_reports_for_one_sequence_are_kept_as_proof_against_the_venue(desk: Desk) -> None:
    twin = replace(desk.venue)
    await desk.inbox.submit_report(desk.report().encode())
    other = twin.report(kit.entry(desk.alice.account, 2 * ETHER, 2000))
    with pytest.raises(EquivocationError):
        await desk.inbox.submit_report(other.encode())
    (offered,) = desk.inbox.offered_requests()
    assert isinstance(desk.inbox.request(offered), VenueEquivocation)
    assert desk.events.seen == ["venue.equivocated"]


async def test_bad_reports_are_refused_each_with_its_reason(desk: Desk) -> None:
    good = desk.report()
    forged = replace(good, signature=sign(kit.key("mallory"), good.digest(NETWORK_ID)))
    far = replace(Venue(sequence=1000)).report()
    stranger = Venue("stranger").report()
    cases: list[tuple[bytes, type[HypothecError]]] = [
        (b"", Malformed),
        (good.encode()[:-1], Malformed),
        (good.encode() + b"\0", Malformed),
        (forged.encode(), SignatureError),
        (far.encode(), OutOfSequence),
        (stranger.encode(), UnknownVenue),
        (bytes(MAX_REPORT_BYTES + 1), LimitError),
    ]
    for raw, expected in cases:
        with pytest.raises(expected):
            await desk.inbox.submit_report(raw)
    with pytest.raises(SignatureError):
        await desk.inbox.submit_report(good.encode(), "another venue")
    assert desk.disk.saved == []
    assert desk.peers.told == []


async def test_a_report_must_follow_the_adopted_head(desk: Desk) -> None:
    await desk.head_at(7, Hash32(bytes(31) + b"\7"))
    wrong = Venue(sequence=7, previous=Hash32(bytes(32))).report()
    with pytest.raises(OutOfSequence):
        await desk.inbox.submit_report(wrong.encode())
    right = Venue(sequence=7, previous=Hash32(bytes(31) + b"\7")).report()
    await desk.inbox.submit_report(right.encode())
    with pytest.raises(OutOfSequence):
        await desk.inbox.submit_report(desk.report().encode())


async def test_a_frozen_venue_is_refused(desk: Desk) -> None:
    await desk.head_at(0, Hash32(bytes(32)), frozen=True)
    with pytest.raises(VenueFrozen):
        await desk.inbox.submit_report(desk.report().encode())


async def test_a_venue_that_would_have_too_much_open_is_told_so_and_its_report_is_not_taken(desk: Desk) -> None:
    body = kit.policy(text={'id = "demo"\n': f'id = "demo"\nmax_open = {ACCOUNT_OPEN}\n'}).body
    policy = await desk.inbox.admit_policy(body)
    desk.disk.saved.clear()
    desk.state = replace(desk.state, header=replace(desk.state.header, policy_hash=policy.hash))
    await desk.inbox.committed(desk.state)
    report = desk.report()
    with pytest.raises(TooMuchOpen) as caught:
        await desk.inbox.submit_report(report.encode(), "demo")
    assert (caught.value.status, caught.value.reason) == ("RESOURCE_EXHAUSTED", "TOO_MUCH_OPEN")
    assert (desk.disk.saved, desk.peers.told) == ([], [])
    assert desk.events.seen == ["venue.too_much_open"]
    await desk.inbox.submit_report(report.encode())  # a peer took it, when there was room: the network decides


async def test_a_request_is_saved_told_offered_and_forgotten_when_decided(desk: Desk) -> None:
    request = desk.alice.authorize()
    digest = await desk.inbox.submit_request(encode_request(request))
    assert desk.inbox.offered_requests() == (digest,)
    assert desk.inbox.holds_request(digest)
    leaf = desk.state.accounts.get(desk.alice.account)
    assert leaf is not None
    decided = replace(AccountRecord.decode(leaf), nonce=request.nonce).encode()
    accounts = desk.state.accounts.updated({desk.alice.account: decided})
    await desk.inbox.committed(replace(desk.state, accounts=accounts))
    assert desk.inbox.offered_requests() == ()
    assert desk.disk.forgotten == [digest]


async def test_bad_requests_are_refused_each_with_its_reason(desk: Desk) -> None:
    late = replace(desk.alice, nonce=0).authorize()
    early = replace(desk.alice, nonce=1 + MAX_NONCES_AHEAD).authorize()
    nobody = Owner("nobody").authorize()
    good = desk.alice.authorize()
    forged = replace(good, signature=sign(kit.key("mallory"), good.digest(NETWORK_ID)))
    raised = replace(good, limit=good.limit + 1)
    half_linked = replace(Owner("bob").link("carol"), linked_signature=Owner("bob").link().owner_signature)
    stolen = replace(Owner("bob").link(), account=desk.alice.account)
    cases: list[tuple[bytes, type[HypothecError]]] = [
        (b"", Malformed),
        (b"\x09", Malformed),
        (encode_request(good)[:-1], Malformed),
        (encode_request(late), NonceUsed),
        (encode_request(early), LimitError),
        (encode_request(nobody), UnknownAccount),
        (encode_request(forged), SignatureError),
        (encode_request(raised), SignatureError),
        (encode_request(half_linked), SignatureError),
        (encode_request(stolen), SignatureError),
    ]
    for raw, expected in cases:
        with pytest.raises(expected):
            await desk.inbox.submit_request(raw)
    assert desk.inbox.offered_requests() == ()
    assert desk.disk.saved == []


async def test_a_request_of_another_network_does_not_verify(desk: Desk) -> None:
    request = desk.alice.authorize()
    elsewhere = replace(request, signature=sign(kit.key("alice"), request.digest(Hash32(bytes(32)))))
    with pytest.raises(SignatureError):
        await desk.inbox.submit_request(encode_request(elsewhere))


async def test_a_policy_needs_its_signers_and_is_kept_with_its_activation(desk: Desk) -> None:
    policy = kit.policy(2)
    activation = PolicyActivation(2, policy.body, NOW_MS // 1000 + 100)
    digest = activation.digest(NETWORK_ID)
    alone = replace(activation, signatures=(sign(kit.key("policy a"), digest),))
    with pytest.raises(SignatureError):
        await desk.inbox.submit_request(encode_request(alone))
    signatures = tuple(sign(kit.key(name), digest) for name in ("policy a", "policy b"))
    await desk.inbox.submit_request(encode_request(replace(activation, signatures=signatures)))
    assert desk.inbox.policy(policy.hash) == policy


async def test_false_evidence_against_a_venue_is_refused(desk: Desk) -> None:
    one = desk.report()
    with pytest.raises(HypothecError, match="different"):
        await desk.inbox.submit_request(encode_request(VenueEquivocation(one, one)))
    forged = replace(one, time_ms=1, signature=sign(kit.key("mallory"), one.digest(NETWORK_ID)))
    with pytest.raises(SignatureError):
        await desk.inbox.submit_request(encode_request(VenueEquivocation(one, forged)))


async def test_what_was_on_disk_is_offered_again(desk: Desk) -> None:
    report, request = desk.report(), desk.alice.authorize()
    again = Inbox(kit.network(), Disk(), Peers(Disk()), Events())
    again.restore([report], [request], [kit.policy()])
    await again.committed(desk.state)
    assert again.heads()[0].digests == (report.digest(NETWORK_ID),)
    assert again.offered_requests() == (request.digest(NETWORK_ID),)
