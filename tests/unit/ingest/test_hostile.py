"""Those who want an inbox full, stuck or silent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from chains.errors import EquivocationError, HypothecError, LimitError
from chains.types import AccountId
from node.consensus.outcome.draft import link_key
from node.consensus.outcome.observation import MAX_REQUESTS
from node.ingest import inbox as module
from node.ingest.checks import MAX_NONCES_AHEAD, LinkedElsewhere, NonceUsed, TooLate, UnknownAccount
from node.ingest.inbox import MAX_EVIDENCE, RETELL_AFTER, Inbox
from node.margin.policy import Policy
from node.model.reports import MAX_REPORT_BYTES, Report
from node.model.requests import PolicyActivation, Request, VenueEquivocation, encode_request
from node.model.signatures import sign
from node.model.state import PolicyChange
from tests import kit
from tests.kit import ETHER, NETWORK_ID, NOW_MS, Owner, Venue
from tests.unit.ingest.desk import Desk, Disk, Events, Peers


async def hand_in(desk: Desk, *requests: Request) -> None:
    for request in requests:
        await desk.inbox.submit_request(encode_request(request))


async def at_sequence(desk: Desk, sequence: int) -> None:
    desk.state = replace(desk.state, header=replace(desk.state.header, sequence=sequence))
    await desk.inbox.committed(desk.state)


# === Requests that nobody can decide ===


async def test_an_account_is_opened_by_its_first_link_and_by_nothing_else(desk: Desk) -> None:
    with pytest.raises(UnknownAccount):
        await hand_in(desk, Owner("bob").link("carol"))
    with pytest.raises(UnknownAccount):
        await hand_in(desk, Owner("bob", nonce=1).link())
    bob = Owner("bob")
    await hand_in(desk, bob.link(), bob.link("carol"))
    assert len(desk.inbox.offered_requests()) == 2


async def test_an_address_of_another_account_opens_none(desk: Desk) -> None:
    taken = {link_key(kit.address("bob")): b"\x02" + desk.alice.account}
    late = Owner("carol").link()
    await hand_in(desk, late)
    desk.state = replace(desk.state, accounts=desk.state.accounts.updated(taken))
    await desk.inbox.committed(desk.state)
    with pytest.raises(LinkedElsewhere):
        await hand_in(desk, Owner("bob").link())
    taken = {link_key(kit.address("carol")): b"\x02" + desk.alice.account}
    await desk.inbox.committed(replace(desk.state, accounts=desk.state.accounts.updated(taken)))
    assert desk.disk.forgotten == [late.digest(NETWORK_ID)]
    assert desk.inbox.offered_requests() == ()


async def test_what_follows_an_account_that_cannot_be_opened_is_forgotten_with_it(desk: Desk) -> None:
    carol = Owner("carol")
    requests = [carol.link(), carol.link("dave"), carol.link("erin")]
    await hand_in(desk, *requests)
    taken = {link_key(kit.address("carol")): b"\x02" + desk.alice.account}
    await desk.inbox.committed(replace(desk.state, accounts=desk.state.accounts.updated(taken)))
    assert set(desk.disk.forgotten) == {request.digest(NETWORK_ID) for request in requests}


async def test_an_address_that_is_another_accounts_wallet_opens_none(desk: Desk) -> None:
    late = Owner("carol").link()
    await hand_in(desk, late)
    taken = {link_key(kit.address("carol"), kit.TEN): b"\x02" + desk.alice.account}
    desk.state = replace(desk.state, accounts=desk.state.accounts.updated(taken))
    await desk.inbox.committed(desk.state)
    assert desk.disk.forgotten == [late.digest(NETWORK_ID)]
    with pytest.raises(LinkedElsewhere):
        await hand_in(desk, Owner("carol").link())


async def test_what_waits_for_an_earlier_request_is_not_offered(desk: Desk) -> None:
    first, second, third = desk.alice.authorize(), desk.alice.revoke(), desk.alice.authorize()
    await hand_in(desk, third, first)
    assert desk.inbox.offered_requests() == (first.digest(NETWORK_ID),)
    await hand_in(desk, second)
    assert len(desk.inbox.offered_requests()) == 3


async def test_what_nobody_can_decide_keeps_nobody_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EARLY_REQUESTS", 2)
    gaps = replace(desk.alice, nonce=2)
    await hand_in(desk, gaps.authorize(), gaps.authorize())
    with pytest.raises(LimitError):
        await hand_in(desk, gaps.authorize())
    bob = Owner("bob").link()
    await hand_in(desk, bob)
    assert desk.inbox.offered_requests() == (bob.digest(NETWORK_ID),)


async def test_one_account_has_so_many_requests_waiting_and_no_more(desk: Desk) -> None:
    for limit in range(MAX_NONCES_AHEAD):  # all for one nonce: only one of them can ever be granted
        await hand_in(desk, replace(desk.alice).authorize(limit))
    with pytest.raises(LimitError):
        await hand_in(desk, replace(desk.alice).authorize(99))


async def test_more_than_fit_are_offered_in_an_order_that_all_nodes_share(desk: Desk) -> None:
    owners = [Owner(f"owner {number}") for number in range(MAX_REQUESTS + 5)]
    await hand_in(desk, *(owner.link() for owner in owners))
    digests = sorted(replace(owner, nonce=0).link().digest(NETWORK_ID) for owner in owners)
    assert list(desk.inbox.offered_requests()) == digests[:MAX_REQUESTS]


# === Policies ===


def activation(version: int = 2, activates_at: int = NOW_MS // 1000 + 100) -> PolicyActivation:
    unsigned = PolicyActivation(version, kit.policy(version).body, activates_at)
    digest = unsigned.digest(NETWORK_ID)
    return replace(unsigned, signatures=tuple(sign(kit.key(name), digest) for name in ("policy a", "policy b")))


async def test_a_policy_that_cannot_be_the_next_is_refused_and_forgotten_when_it_no_longer_can(desk: Desk) -> None:
    for version in (1, 3):
        with pytest.raises(NonceUsed):
            await hand_in(desk, activation(version))
    await hand_in(desk, activation())
    desk.state = replace(desk.state, header=replace(desk.state.header, time_ms=NOW_MS + 50_000))
    await desk.inbox.committed(desk.state)
    assert desk.disk.forgotten == [activation().digest(NETWORK_ID)]
    with pytest.raises(TooLate):
        await hand_in(desk, activation())
    change = PolicyChange(2, kit.policy(2).hash, 2**40)
    await desk.inbox.committed(replace(desk.state, control=replace(desk.state.control, policy_change=change)))
    with pytest.raises(NonceUsed):
        await hand_in(desk, activation(activates_at=2**40))


# === Venues ===


def histories(desk: Desk, count: int, sequence: int = 0) -> list[Report]:
    """So many different reports of the venue for one sequence."""
    sizes = range(1, count + 1)
    return [
        replace(desk.venue, sequence=sequence).report(kit.entry(desk.alice.account, size * ETHER, 2000))
        for size in sizes
    ]


async def test_two_histories_handed_in_at_once_are_still_two(desk: Desk) -> None:
    results = await asyncio.gather(
        *(desk.inbox.submit_report(report.encode()) for report in histories(desk, 2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [bytes, EquivocationError]
    assert len(desk.inbox.offered_requests()) == 1


async def test_one_proof_against_a_venue_is_made_and_a_few_are_kept(desk: Desk) -> None:
    made = histories(desk, 20)
    for report in made:
        try:
            await desk.inbox.submit_report(report.encode())
        except EquivocationError:
            continue
    assert len(desk.inbox.offered_requests()) == 1
    pairs = [VenueEquivocation(made[-1], other) for other in made[1:-1]]
    with pytest.raises(LimitError):
        await hand_in(desk, *pairs)
    assert len(desk.inbox.offered_requests()) == MAX_EVIDENCE


async def test_the_largest_reports_can_be_shown_as_proof(desk: Desk) -> None:
    accounts = (ETHER.to_bytes(16, "big") + number.to_bytes(16, "big") for number in range(10_000))
    entry = kit.entry(desk.alice.account, ETHER, 2000)
    wide = replace(entry, positions=tuple(replace(entry.positions[0], instrument=f"{at:0150}") for at in range(2)))
    entries = tuple(replace(wide, account=AccountId(account)) for account in accounts)
    large = [
        replace(Venue()).report(*(replace(item, cash=cash) for item in entries[: MAX_REPORT_BYTES // 570]))
        for cash in (1, 2)
    ]
    assert all(MAX_REPORT_BYTES * 9 // 10 < len(report.encode()) <= MAX_REPORT_BYTES for report in large)
    await desk.inbox.submit_report(large[0].encode())
    with pytest.raises(EquivocationError):
        await desk.inbox.submit_report(large[1].encode())
    assert len(desk.inbox.offered_requests()) == 1


async def test_a_venue_has_so_many_bytes_waiting_and_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = desk.report(), desk.report()
    monkeypatch.setattr(module, "MAX_BYTES_AHEAD", len(first.encode()) * 3 // 2)
    await desk.inbox.submit_report(first.encode())
    with pytest.raises(LimitError):
        await desk.inbox.submit_report(second.encode())


async def test_a_report_after_the_adopted_one_is_taken_whatever_was_held_instead(desk: Desk) -> None:
    ours, theirs = histories(desk, 2)
    await desk.inbox.submit_report(ours.encode())
    await desk.head_at(1, theirs.digest(NETWORK_ID))
    following = Venue(sequence=1, previous=theirs.digest(NETWORK_ID)).report()
    await desk.inbox.submit_report(following.encode())
    assert desk.inbox.heads()[0].digests == (following.digest(NETWORK_ID),)


async def test_what_the_others_agreed_on_is_taken_although_this_node_holds_something_else(desk: Desk) -> None:
    ours, theirs = histories(desk, 2)
    await desk.inbox.submit_report(ours.encode())
    desk.inbox.take_report(theirs.encode())
    assert desk.inbox.report(theirs.digest(NETWORK_ID)) == theirs
    assert desk.inbox.heads()[0].digests == (ours.digest(NETWORK_ID),)
    gap = replace(desk.alice, nonce=5).authorize()
    desk.inbox.take_request(encode_request(gap))
    assert desk.inbox.request(gap.digest(NETWORK_ID)) == gap
    assert desk.inbox.offered_requests() == ()
    await desk.inbox.committed(desk.state)
    assert desk.inbox.report(theirs.digest(NETWORK_ID)) is None
    assert desk.inbox.request(gap.digest(NETWORK_ID)) is None


async def test_what_is_taken_from_a_peer_must_be_authentic(desk: Desk) -> None:
    report, request = desk.report(), desk.alice.authorize()
    forged = replace(report, signature=sign(kit.key("mallory"), report.digest(NETWORK_ID)))
    with pytest.raises(HypothecError):
        desk.inbox.take_report(forged.encode())
    with pytest.raises(HypothecError):
        desk.inbox.take_request(encode_request(replace(request, signature=bytes(65))))
    assert desk.inbox.report(report.digest(NETWORK_ID)) is None
    assert desk.inbox.request(request.digest(NETWORK_ID)) is None


async def test_evidence_by_a_key_that_the_venue_no_longer_has_is_forgotten(desk: Desk) -> None:
    first, second = histories(desk, 2)
    await hand_in(desk, VenueEquivocation(first, second))
    new = kit.policy(2, {kit.address("demo venue").hex(): kit.address("another key").hex()})
    await desk.inbox.admit_policy(new.body)
    desk.state = replace(desk.state, header=replace(desk.state.header, policy_hash=new.hash))
    await desk.inbox.committed(desk.state)
    assert desk.inbox.offered_requests() == ()


# === Gossip that was lost ===


async def test_what_stays_undecided_is_told_again_and_again(desk: Desk) -> None:
    report, request = desk.report(), desk.alice.authorize()
    await desk.inbox.submit_report(report.encode())
    await hand_in(desk, request)
    once = [report.encode(), encode_request(request)]
    for sequence in range(1, 2 * RETELL_AFTER + 1):
        await at_sequence(desk, sequence)
        assert desk.peers.told == once * (1 + sequence // RETELL_AFTER)


async def test_no_more_is_told_again_at_once_than_links_can_carry(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETOLD_BYTES", 1)
    await hand_in(desk, desk.alice.authorize(), desk.alice.revoke())
    await at_sequence(desk, RETELL_AFTER)
    assert len(desk.peers.told) == 3
    await at_sequence(desk, RETELL_AFTER + 1)
    assert sorted(desk.peers.told[2:]) == sorted(desk.peers.told[:2])


async def test_what_can_only_be_decided_later_is_not_told_again(desk: Desk) -> None:
    await hand_in(desk, replace(desk.alice, nonce=3).authorize())
    await at_sequence(desk, RETELL_AFTER)
    assert len(desk.peers.told) == 1


async def test_what_was_on_disk_is_told_again_after_a_restart(desk: Desk) -> None:
    report, request = desk.report(), desk.alice.authorize()
    disk = Disk(saved=[report.digest(NETWORK_ID)])
    peers = Peers(disk)
    again = Inbox(kit.network(), disk, peers, Events())
    again.restore([report], [request], [kit.policy()])
    await again.committed(replace(desk.state, header=replace(desk.state.header, sequence=100)))
    assert peers.told == [report.encode(), encode_request(request)]


async def test_a_venue_that_the_policy_dropped_is_not_offered(desk: Desk) -> None:
    await desk.inbox.submit_report(desk.report().encode())
    body = kit.policy(2).body.decode()
    at = body.index("[[venues]]")
    without = Policy.parse(f"venues = []\n{body[:at]}{body[body.index('[[chains]]') :]}".encode())
    await desk.inbox.admit_policy(without.body)
    await desk.inbox.committed(replace(desk.state, header=replace(desk.state.header, policy_hash=without.hash)))
    assert desk.inbox.heads() == ()
