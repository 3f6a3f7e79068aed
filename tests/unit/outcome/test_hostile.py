"""What liars, and owners and venues who work together, try on the transition: nothing stops it, nothing pays twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.types import NATIVE_COIN, AccountId, Address, Assurance, ChainId, Hash32, UnixSeconds
from node.consensus.outcome import reports, requests
from node.consensus.outcome.draft import link_key
from node.consensus.outcome.observation import (
    MAX_HEADS,
    MAX_OBSERVATION_BYTES,
    MAX_REQUESTS,
    ChainObservation,
    HeadObservation,
    Observation,
    QuoteObservation,
)
from node.consensus.outcome.transition import derive
from node.margin import MarginContext, evaluate, policy
from node.margin.policy import Policy
from node.model.codec import Malformed
from node.model.frame import PriceStatus
from node.model.header import ChainStatus
from node.model.health import HealthStatus
from node.model.ledger import Verdict, token_key
from node.model.requests import AuthorizeVenue, PolicyActivation
from node.model.signatures import sign
from node.model.state import MAX_CANDIDATES, ChainBook, RootVote
from tests import kit
from tests.kit import ETHER, NETWORK_ID, ONE, TEN, USD, Owner, Venue
from tests.unit.outcome.chain import Chain, Leveraged, activate

CLOSED = (0, 0)
"""Size and entry price of no position."""


def seized(chain: Chain, owner: Owner) -> int:
    return sum(item.seized for item in chain.record(owner).authorizations)


# === Owners and venues ===


def test_a_venue_that_is_settled_and_authorised_anew_under_an_open_seizure_stops_nothing(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    chain.world.set_price(1700)
    chain.round()
    credit = seized(chain, owner)
    assert credit > 0
    chain.world.submit(owner.revoke())
    chain.round()
    chain.world.publish(venue.report(kit.entry(owner.account, *CLOSED, acknowledged=credit)))
    chain.round()
    chain.world.submit(owner.authorize(100_000))
    chain.round(seconds=121)
    chain.settle(2, {owner.account: 10 * ETHER})  # nothing was executed: the credit goes back
    assert chain.record(owner).reservations == ()
    assert seized(chain, owner) == 0


def test_a_seizure_that_a_venue_acknowledged_in_advance_still_pays_its_claim(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    chain.world.publish(venue.report(kit.entry(owner.account, 100 * ETHER, 2000, acknowledged=10**9 * USD)))
    chain.world.set_price(1700)
    chain.round()
    record, health = chain.record(owner), chain.health(owner)
    assert record.reservations
    (line,) = health.venues
    assert line.receivable == seized(chain, owner)
    # Executed: nothing more is owed, so nothing more is taken.
    legs = {item.chain_id: item for item in record.reservations}
    for chain_id in (ONE, TEN):
        left = 10 * ETHER - legs[chain_id].items[0][1]
        chain.world.add_book(
            kit.book(kit.cut(chain_id, 2, chain.world.time_ms), {owner.account: left}, {owner.account: 1})
        )
    chain.round()
    chain.round()
    assert seized(chain, owner) == sum(item.credit for item in record.reservations)


def test_what_was_acknowledged_of_a_seizure_that_expired_is_taken_back(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    chain.world.set_price(1700)
    chain.round()
    credit = seized(chain, owner)
    chain.world.publish(venue.report(kit.entry(owner.account, 100 * ETHER, 2000, acknowledged=credit)))
    chain.round()
    chain.world.set_price(2000)
    chain.round(seconds=121)
    chain.settle(2, {owner.account: 10 * ETHER})
    obligations = chain.state.view(owner.account).obligations
    assert obligations is not None
    assert (seized(chain, owner), obligations.venues[0].acknowledged) == (0, 0)


def test_a_release_is_open_in_the_very_second_of_its_expiry(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    chain.world.submit(owner.withdraw(1))
    chain.round()
    expiry = chain.record(owner).reservations[0].expiry
    for height, time, is_open in ((2, expiry, True), (3, expiry + 1, False)):
        chain.world.time_ms = time * 1000
        chain.settle(height, {owner.account: 10 * ETHER})
        assert bool(chain.record(owner).reservations) is is_open


def test_an_account_has_so_many_addresses_and_no_more(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_LINKED", 3)
    owner = Owner()
    for other in ("alice", "b", "c", "d"):
        chain.world.submit(owner.link(other))
    chain.round()
    assert len(chain.record(owner).linked) == 3
    assert chain.record(owner).decisions[-1].reason == "TOO_MANY_LINKS"
    chain.world.submit(Owner("d").link())  # the address that was refused is still free
    chain.round()
    assert chain.record(Owner("d")).nonce == 1


def test_an_account_authorises_so_many_venues_and_no_more(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_AUTHORIZED", 0)
    owner = Owner()
    chain.world.submit(owner.link())
    chain.world.submit(owner.authorize())
    chain.round()
    assert chain.record(owner).decisions[-1].reason == "TOO_MANY_VENUES"
    assert chain.record(owner).authorizations == ()


@pytest.mark.parametrize("payee", [NATIVE_COIN, kit.vault(ONE)])
def test_nobody_is_to_be_paid_whom_the_vault_refuses(leveraged: Leveraged, payee: Address) -> None:
    chain, owner, _ = leveraged
    for request in (owner.authorize(200_000), owner.withdraw(1)):
        changed = (
            replace(request, payees=((ONE, payee),))
            if isinstance(request, AuthorizeVenue)
            else replace(request, recipient=payee)
        )
        chain.world.submit(changed)
        chain.round()
        assert chain.record(owner).decisions[-1].reason == "BAD_PAYEE"
    assert chain.record(owner).reservations == ()


@pytest.mark.parametrize("bound", ["MAX_ENTRIES_A_ROUND", "MAX_POSITIONS_A_ROUND"])
def test_one_outcome_takes_in_so_many_entries_and_positions_and_the_next_one_the_rest(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(reports, bound, 2)
    venue, owner = Venue(), Owner()
    for _ in range(4):
        chain.world.publish(venue.report(kit.entry(owner.account, ETHER, 2000)))
    assert [chain.round().control.venues[0].sequence for _ in range(2)] == [2, 4]


def limited(owners: int, most: int) -> tuple[Chain, list[Owner]]:
    """Owners, in the order of their accounts, who authorised a venue that may have so much open."""
    chain = Chain(kit.policy(text={'id = "demo"\n': f'id = "demo"\nmax_open = {most}\n'}))
    found = sorted((Owner(f"owner {each}") for each in range(owners)), key=lambda owner: owner.account)
    for step in (Owner.link, Owner.authorize):
        for owner in found:
            chain.world.submit(step(owner))
        chain.round()
    return chain, found


def open_by_account(chain: Chain) -> dict[AccountId, int]:
    """Positions, which a venue has open; the head says what they and their accounts count as."""
    views = (chain.state.view(AccountId(Hash32(key))) for key, _ in chain.state.obligations)
    found = {view.account: len(view.obligations.venues[0].positions) for view in views if view.obligations}
    assert chain.state.control.venues[0].open == sum(reports.ACCOUNT_OPEN + each for each in found.values())
    return found


@pytest.mark.parametrize("last_opens", [True, False])
def test_a_venue_has_no_more_open_than_the_policy_allows_and_what_closes_makes_room(last_opens: bool) -> None:
    """Or a venue and its customers could have a round judge as many accounts as they like, report after report."""
    most = 3 * (reports.ACCOUNT_OPEN + 1)
    chain, owners = limited(4, most)
    venue = Venue()
    *usual, other = owners if last_opens else owners[::-1]

    def report(*sizes: tuple[Owner, int]) -> bool:
        made = venue.report(*(kit.entry(owner.account, size * ETHER, 2000) for owner, size in sizes))
        fits = reports.has_room(chain.state, made, most)
        chain.world.publish(made)
        chain.round()
        assert chain.state.control.venues[0].sequence == made.sequence, "whatever comes of it, the chain goes on"
        return fits

    assert report(*((owner, 1) for owner in usual))
    assert open_by_account(chain).keys() == {owner.account for owner in usual}
    assert not report((other, 1), (usual[0], 5))
    assert open_by_account(chain).keys() == {owner.account for owner in usual}
    [left] = [chain.state.view(usual[0].account).obligations]
    assert left is not None
    assert left.venues[0].positions[0].size == 5 * ETHER, "what opens nothing more is taken in"
    assert report((other, 1), (usual[0], 0))
    assert open_by_account(chain).keys() == {owner.account for owner in (*usual[1:], other)}
    assert not report((usual[0], 1))
    assert report((usual[1], 0), (usual[2], 0), (other, 0))
    assert open_by_account(chain) == {}


def test_a_venue_that_has_more_open_than_a_new_policy_allows_may_change_and_close_it() -> None:
    chain, owners = limited(2, 2 * (reports.ACCOUNT_OPEN + 1))
    venue = Venue()
    chain.world.publish(venue.report(*(kit.entry(owner.account, ETHER, 2000) for owner in owners)))
    chain.round()
    text = {'id = "demo"\n': 'id = "demo"\nmax_open = 1\n'}
    activate(chain, kit.policy(2, text))
    changed = venue.report(*(kit.entry(owner.account, 2 * ETHER, 2000) for owner in owners))
    assert reports.has_room(chain.state, changed, 1)
    chain.world.publish(changed)
    chain.round()
    views = [chain.state.view(owner.account).obligations for owner in owners]
    assert [view.venues[0].positions[0].size for view in views if view is not None] == [2 * ETHER, 2 * ETHER]
    chain.world.publish(venue.report(*(kit.entry(owner.account, *CLOSED) for owner in owners)))
    chain.round()
    assert open_by_account(chain) == {}


# === Prices ===


def test_a_dispute_moves_no_price_that_a_stale_one_starts_from(chain: Chain) -> None:
    certified = chain.round().frame.prices["ETH"]
    chain.world.prices["feed-10"] = 2_000_000 * USD
    disputed = chain.round(seconds=20).frame.prices["ETH"]
    assert (disputed.status, disputed.low, disputed.high) == (PriceStatus.DISPUTED, 2000 * USD, 2_000_000 * USD)
    chain.world.prices.clear()
    stale = chain.round().frame.prices["ETH"]
    assert (stale.status, stale.price, stale.published_at) == (PriceStatus.STALE, 2000 * USD, certified.published_at)


def test_an_asset_that_was_only_ever_disputed_has_no_price_to_go_stale(chain: Chain) -> None:
    chain.world.set_price(2000, spread=1000)
    assert chain.round().frame.prices["ETH"].status is PriceStatus.DISPUTED
    chain.world.prices.clear()
    assert chain.round().frame.prices["ETH"].status is PriceStatus.MISSING


def test_a_quote_from_far_ahead_is_not_fresh(chain: Chain) -> None:
    chain.world.published_at = chain.world.time_ms // 1000 + 10_000
    assert chain.round().frame.prices["ETH"].status is PriceStatus.MISSING
    chain.world.published_at = chain.world.time_ms // 1000 + 5
    assert chain.round().frame.prices["ETH"].status is PriceStatus.FRESH


# === Chains ===


def test_of_more_nodes_than_3f_plus_1_no_two_disjoint_sets_can_each_certify() -> None:
    chain = Chain()
    chain.network = kit.network(6, 1)
    at = kit.cut(ONE, 1)
    chain.world.add_book(kit.book(at, {}))
    chain.round(tuple(range(6)))
    ours = chain.observations()[0]
    other = kit.book(at, {Owner().account: ETHER}).vote
    theirs = replace(ours, chains=tuple(replace(c, vote=other) if c.chain_id == ONE else c for c in ours.chains))
    split = {node: ours if node < 3 else theirs for node in range(6)}
    chain.state = derive(chain.state, split, chain.network, chain.world)
    assert chain.state.header.chain(ONE).cut.height == 0
    chain.state = derive(chain.state, {**split, 3: ours}, chain.network, chain.world)
    assert chain.state.header.chain(ONE).cut.height == 1


def test_a_cut_of_another_chain_is_no_candidate(chain: Chain) -> None:
    chain.world.candidates[ONE] = (kit.cut(TEN, 1),)
    with pytest.raises(Malformed, match="its own cuts"):
        Observation.decode(chain.world.observe({}).encode())


def test_a_venue_that_a_policy_leaves_out_keeps_its_last_claim_until_one_names_it_again(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    activate(chain, kit.policy(2, {'id = "demo"': 'id = "other"'}))
    before = chain.state.view(owner.account).obligations
    assert before is not None
    chain.world.publish(venue.report(kit.entry(owner.account, *CLOSED)))
    chain.round()
    assert chain.state.view(owner.account).obligations == before, "heard no more"
    assert [line.venue for line in chain.health(owner).venues] == [venue.name]
    chain.settle(2, {owner.account: 10 * ETHER})
    chain.world.set_price(1700)
    chain.round()
    assert {item.venue for item in chain.record(owner).reservations} == {venue.name}, "and paid all the same"
    activate(chain, kit.policy(3))
    chain.round()
    sequences = {head.venue: head.sequence for head in chain.state.control.venues}
    assert sequences[venue.name] == venue.sequence, "its reports go on where they were"


def test_another_vault_starts_empty_and_the_old_ones_releases_end_with_their_expiry(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    chain.world.set_price(1700)
    chain.round()
    legs = chain.record(owner).reservations
    moved = kit.policy(2, {kit.vault(ONE).hex(): "ab" * 20})
    activate(chain, moved)
    assert chain.state.view(owner.account).holdings.keys() == {TEN}
    assert chain.state.header.chain(ONE).status is ChainStatus.HALTED
    assert chain.state.header.chain(TEN).cut.height == 1
    assert chain.record(owner).reservations == legs
    chain.world.time_ms = (legs[0].expiry + 1) * 1000
    chain.round()
    assert [item.chain_id for item in chain.record(owner).reservations] == [TEN]
    assert seized(chain, owner) == sum(item.credit for item in legs)


def test_releases_on_a_chain_that_was_given_up_end_with_their_expiry(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    small = owner.withdraw(1, chain_id=TEN)
    chain.world.submit(small)
    chain.round()
    expiry = chain.record(owner).reservations[0].expiry
    body = kit.policy(2, {"min_sources = 2": "min_sources = 1"}).body.decode()
    activate(chain, Policy.parse(body[: body.rindex("[[chains]]")].encode()))
    assert set(chain.state.chains) == {ONE}
    assert chain.record(owner).reservations
    chain.world.time_ms = (expiry + 1) * 1000
    chain.round()
    assert chain.record(owner).reservations == ()


# === Policy ===


def test_a_policy_that_would_wait_for_years_keeps_no_other_out(chain: Chain) -> None:
    far = PolicyActivation(2, kit.policy(2).body, 2**63)
    digest = far.digest(NETWORK_ID)
    signatures = tuple(sign(kit.key(name), digest) for name in ("policy a", "policy b"))
    chain.world.submit(replace(far, signatures=signatures))
    assert chain.round().control.policy_change is None


def test_a_report_of_what_is_no_account_changes_nothing(chain: Chain) -> None:
    """Links and tokens have leaves of their own in the maps of accounts and holdings, under keys that anybody knows."""
    owner, venue = Owner(), Venue()
    chain.world.submit(owner.link())
    chain.round()
    chain.settle(1, {owner.account: ETHER})
    keys = (link_key(kit.address("alice")), token_key(kit.TOKEN))
    chain.world.publish(venue.report(*(kit.entry(AccountId(key), ETHER, 2000) for key in keys)))
    state = chain.round()
    assert next(head for head in state.control.venues if head.venue == "demo").sequence == 1
    assert len(state.obligations) == 0
    assert state.view(AccountId(token_key(kit.TOKEN))).holdings == {}
    # Whoever deposits for such an account gives the money away, and whoever asks for it gets an answer.
    state = chain.settle(2, {AccountId(keys[0]): ETHER})
    found = state.view(AccountId(keys[0]))
    assert (found.record, found.holdings[ONE].balances) == (None, ((kit.TOKEN, ETHER),))
    context = MarginContext.of(chain.policy, state)
    assert evaluate(found, context).status is HealthStatus.HEALTHY


def test_absurd_numbers_are_survived(chain: Chain) -> None:
    owner, venue = Owner(), Venue()
    chain.world.submit(owner.link())
    chain.round()
    chain.world.submit(owner.authorize(2**200))
    chain.world.submit(owner.withdraw(2**256 - 1, expiry=2**64 - 1))
    chain.round()
    assert chain.record(owner).decisions[-1].verdict is Verdict.REFUSED
    worst = kit.entry(owner.account, -(2**255), 0, cash=-(2**255), acknowledged=2**256 - 1)
    chain.world.publish(venue.report(worst))
    chain.world.published_at = 2**64 - 1
    seen = chain.observations()[0]
    huge = replace(seen, time_ms=2**64 - 1, quotes=tuple(replace(q, price=2**256 - 1) for q in seen.quotes))
    chain.state = derive(chain.state, {0: huge, 1: seen, 2: seen}, chain.network, chain.world)
    chain.world.published_at = UnixSeconds(chain.world.time_ms // 1000)
    made: ChainBook = kit.book(kit.cut(ONE, 1), {owner.account: 2**256 - 1})
    chain.world.add_book(made)
    for _ in range(4):
        chain.round()
    chain.world.submit(owner.revoke())
    chain.round()
    assert chain.record(owner).authorizations[0].revoked


def test_an_observation_of_all_that_a_policy_can_name_fits_its_bound() -> None:
    name = "x" * 27
    cuts = tuple(kit.cut(ONE, height) for height in range(MAX_CANDIDATES))
    vote = RootVote(Hash32(bytes(32)), Hash32(bytes(32)), Assurance.ATTESTED)
    full = Observation(
        kit.NOW_MS,
        tuple(
            ChainObservation(
                ChainId(each), tuple(replace(c, chain_id=ChainId(each)) for c in cuts), True, cuts[0].block_hash, vote
            )
            for each in range(policy.MAX_CHAINS)
        ),
        tuple(
            QuoteObservation(f"{name}{each:04}", f"{name}{each:04}", 1, UnixSeconds(1), Assurance.ATTESTED)
            for each in range(policy.MAX_FEEDS)
        ),
        tuple(
            HeadObservation(f"{name}{each:04}", (Hash32(bytes(32)),) * MAX_HEADS) for each in range(policy.MAX_VENUES)
        ),
        tuple(Hash32(each.to_bytes(32, "big")) for each in range(MAX_REQUESTS)),
    )
    raw = full.encode()
    assert len(raw) <= MAX_OBSERVATION_BYTES
    assert Observation.decode(raw) == full
