"""What a round makes of what the nodes saw: the whole life of an account, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.consensus.outcome.observation import ChainObservation
from node.consensus.outcome.transition import InputKind, MissingInputs, derive, genesis
from node.margin.withdrawal import Refusal
from node.model.digests import ReleaseKind
from node.model.frame import PriceStatus
from node.model.header import ChainStatus
from node.model.health import HealthStatus
from node.model.ledger import Verdict
from node.model.requests import PolicyActivation, VenueEquivocation
from node.model.signatures import sign
from tests import kit
from tests.kit import ETHER, NOW_MS, ONE, TEN, USD, Owner, Venue
from tests.unit.outcome.chain import Chain, Leveraged


def test_a_deposit_is_in_a_certified_state_two_rounds_after_enough_nodes_hold_its_proof(chain: Chain) -> None:
    owner = Owner()
    chain.world.add_book(kit.book(kit.cut(ONE, 5), {owner.account: 3 * ETHER}))
    assert chain.round().view(owner.account).holdings == {}
    assert chain.round().view(owner.account).holdings[ONE].balances == ((kit.TOKEN, 3 * ETHER),)
    assert chain.state.header.chain(ONE).status is ChainStatus.LIVE
    assert chain.state.header.chain(TEN).status is ChainStatus.HALTED


def test_two_nodes_of_four_do_not_make_a_cut(chain: Chain) -> None:
    chain.world.add_book(kit.book(kit.cut(ONE, 5), {}))
    blind = replace(chain.world.observe({}), chains=())
    seen = chain.world.observe({})
    chain.state = derive(chain.state, {0: seen, 1: seen, 2: blind, 3: blind}, chain.network, chain.world)
    assert chain.pending()[ONE] is None


def test_votes_are_tallied_across_outcomes(chain: Chain) -> None:
    chain.world.add_book(kit.book(kit.cut(ONE, 5), {}))
    seen, blind = chain.world.observe({}), replace(chain.world.observe({}), chains=())
    chain.state = derive(chain.state, {0: seen, 1: seen, 2: blind}, chain.network, chain.world)
    assert chain.pending()[ONE] is None
    chain.state = derive(chain.state, {0: blind, 1: blind, 3: seen}, chain.network, chain.world)
    assert chain.pending()[ONE] == kit.cut(ONE, 5)


def test_different_roots_dispute_that_chain_alone_and_keep_its_last_root(chain: Chain) -> None:
    chain.settle(1, {})
    before = chain.state.header.chain(ONE)
    good = kit.cut(ONE, 2, chain.world.time_ms)
    chain.world.add_book(kit.book(good, {}))
    chain.round()
    ours = chain.observations()
    lie = kit.book(good, {Owner().account: ETHER}).vote
    theirs = replace(ours[0], chains=tuple(replace(c, vote=lie) if c.chain_id == ONE else c for c in ours[0].chains))
    for _ in range(7):
        chain.world.time_ms += 1000
        split = {n: replace(ours[0] if n < 2 else theirs, time_ms=chain.world.time_ms) for n in range(4)}
        chain.state = derive(chain.state, split, chain.network, chain.world)
    assert chain.state.header.chain(ONE).status is ChainStatus.DISPUTED
    assert chain.state.header.chain(ONE).checkpoint == before.checkpoint
    assert chain.state.header.chain(TEN).status is ChainStatus.LIVE


def test_a_chain_without_new_blocks_is_halted_after_the_policys_age(chain: Chain) -> None:
    chain.settle(1, {})
    assert chain.round(seconds=30).header.chain(ONE).status is ChainStatus.LIVE
    assert chain.round(seconds=40).header.chain(ONE).status is ChainStatus.HALTED


def test_what_a_quorum_finds_contradicted_is_disputed_at_once_and_until_a_cut_is_certified(chain: Chain) -> None:
    before = chain.settle(1, {}).header.chain(ONE)
    chain.world.disputed.add(ONE)
    assert chain.round(nodes=(0, 1)).header.chain(ONE).status is ChainStatus.LIVE
    assert chain.round(nodes=(3,)).header.chain(ONE).status is ChainStatus.DISPUTED, "tallied across outcomes"
    assert chain.state.header.chain(TEN).status is ChainStatus.LIVE
    chain.world.disputed.clear()
    assert chain.round().header.chain(ONE).status is ChainStatus.DISPUTED
    assert chain.state.header.chain(ONE).checkpoint == before.checkpoint
    assert chain.settle(2, {}).header.chain(ONE).status is ChainStatus.LIVE
    assert not chain.state.control.chains[0].disputes


@pytest.mark.parametrize(
    ("finders", "status"), [((), ChainStatus.HALTED), ((1,), ChainStatus.HALTED), ((1, 2), ChainStatus.DISPUTED)]
)
def test_a_halt_is_a_dispute_where_an_honest_node_found_a_contradiction(
    chain: Chain, finders: tuple[int, ...], status: ChainStatus
) -> None:
    chain.settle(1, {})
    chain.world.disputed.add(ONE)
    chain.round(nodes=finders or (0,))
    chain.world.disputed.clear()
    if not finders:
        chain.round(nodes=(0,))  # it takes its word back
    others = tuple(node for node in range(4) if node not in finders)
    assert chain.round(others, seconds=10).header.chain(ONE).status is ChainStatus.LIVE
    assert chain.round(others, seconds=60).header.chain(ONE).status is status


def test_a_minority_that_finds_a_contradiction_does_not_stop_a_chain_that_the_others_certify(chain: Chain) -> None:
    chain.settle(1, {})
    found = replace(chain.world.observe({}), chains=(ChainObservation(ONE, (), True, None, None),))
    at = kit.cut(ONE, 2, chain.world.time_ms)
    chain.world.add_book(kit.book(at, {}))
    for _ in range(2):
        seen = chain.observations((1, 2, 3)) | {0: found}
        chain.state = derive(chain.state, seen, chain.network, chain.world)
    assert (chain.state.header.chain(ONE).cut, chain.state.header.chain(ONE).status) == (at, ChainStatus.LIVE)
    assert not chain.state.control.chains[0].disputes, "what it said is of the cut before"


def settle_ahead(chain: Chain, seconds: int) -> ChainStatus:
    """Certify a block that is so far ahead of the nodes' clocks, and say what its chain is then."""
    at = kit.cut(ONE, 1, chain.world.time_ms + 1000 * seconds)
    chain.world.add_book(kit.book(at, {}))
    chain.round()
    state = chain.round().header.chain(ONE)
    assert state.cut == at
    return state.status


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(50, ChainStatus.LIVE), (70, ChainStatus.HALTED), (-50, ChainStatus.LIVE), (-70, ChainStatus.HALTED)],
)
def test_a_block_may_be_as_far_off_the_nodes_clocks_as_it_may_be_old(
    chain: Chain, seconds: int, status: ChainStatus
) -> None:
    assert settle_ahead(chain, seconds) is status


def test_a_block_from_ahead_hides_no_halt(chain: Chain) -> None:
    settle_ahead(chain, 50)
    assert chain.round(seconds=59).header.chain(ONE).status is ChainStatus.LIVE
    assert chain.round(seconds=2).header.chain(ONE).status is ChainStatus.HALTED


def test_a_price_is_the_span_of_its_sources_and_goes_stale(chain: Chain) -> None:
    chain.world.set_price(2000, spread=10)
    price = chain.round().frame.prices["ETH"]
    assert (price.status, price.low, price.high) == (PriceStatus.FRESH, 2000 * USD, 2010 * USD)
    chain.world.set_price(2000, spread=100)
    assert chain.round().frame.prices["ETH"].status is PriceStatus.DISPUTED
    chain.world.set_price(2000)
    chain.round()
    chain.world.prices.pop("feed-10")
    price = chain.round().frame.prices["ETH"]
    assert (price.status, price.price) == (PriceStatus.STALE, 2000 * USD)


def test_one_liar_cannot_move_a_price(chain: Chain) -> None:
    honest = chain.world.observe({})
    lie = replace(honest, quotes=tuple(replace(quote, price=1) for quote in honest.quotes))
    state = derive(chain.state, {0: lie, 1: honest, 2: honest}, chain.network, chain.world)
    assert state.frame.prices["ETH"].price == 2000 * USD


def test_time_is_the_median_and_always_rises(chain: Chain) -> None:
    honest = chain.world.observe({})
    early, late = replace(honest, time_ms=0), replace(honest, time_ms=2**60)
    state = derive(chain.state, {0: early, 1: honest, 2: late}, chain.network, chain.world)
    assert state.header.time_ms == NOW_MS
    again = derive(state, {0: early, 1: early, 2: early}, chain.network, chain.world)
    assert again.header.time_ms == NOW_MS + 1


def test_a_price_fall_liquidates_on_both_chains_and_reserves_what_is_seized(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    assert chain.health(owner).status is HealthStatus.HEALTHY
    chain.world.set_price(1700)
    chain.round()
    record = chain.record(owner)
    assert {item.chain_id for item in record.reservations} == {ONE, TEN}
    assert all(item.kind is ReleaseKind.SEIZURE and item.nonce == 1 for item in record.reservations)
    assert record.authorizations[0].seized == sum(item.credit for item in record.reservations) > 0
    assert chain.state.control.reserved == (owner.account,)
    # Nothing new is planned while a leg is open, and the header hash that the legs rest on stays known.
    issued = chain.state.header
    chain.round()
    assert chain.record(owner).reservations == record.reservations
    assert chain.state.control.issued == ((issued.sequence, issued.hash()),)
    # Executed on both chains: the reservations end, the credit stays.
    left = 10 * ETHER - record.reservations[0].items[0][1]
    chain.settle(2, {owner.account: left}, {owner.account: 1})
    assert not [item for item in chain.record(owner).reservations if item.sequence == issued.sequence]
    assert chain.record(owner).authorizations[0].seized >= record.authorizations[0].seized


def test_a_seizure_that_expires_unused_gives_its_credit_back(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    chain.world.set_price(1700)
    chain.round()
    chain.world.set_price(2000)
    chain.round(seconds=121)
    assert chain.record(owner).reservations  # no final block is past the expiry yet
    chain.settle(2, {owner.account: 10 * ETHER})
    assert chain.record(owner).reservations == ()
    assert chain.record(owner).authorizations[0].seized == 0
    assert chain.state.control.reserved == ()
    assert chain.state.control.issued == ()


def test_a_withdrawal_is_reserved_or_refused_and_either_is_in_the_record(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    small, large = owner.withdraw(ETHER // 10), owner.withdraw(9 * ETHER, chain_id=TEN)
    chain.world.submit(small)
    chain.world.submit(large)
    chain.round()
    record = chain.record(owner)
    assert [item.verdict for item in record.decisions[-2:]] == [Verdict.GRANTED, Verdict.REFUSED]
    assert record.decisions[-1].reason
    assert [item.payee for item in record.reservations] == [kit.address("recipient")]
    assert record.nonce == large.nonce


def test_an_open_withdrawal_keeps_its_own_vault_from_being_seized_and_no_other(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    chain.world.submit(owner.withdraw(ETHER // 10))
    issued = chain.round().header.time_ms // 1000
    (withdrawal,) = chain.record(owner).reservations
    assert withdrawal.expiry == issued + chain.policy.timing.withdrawal_ttl
    chain.world.set_price(1700)
    seizing = chain.round().header
    assert chain.record(owner).reservations[0] == withdrawal
    (seizure,) = chain.record(owner).reservations[1:]
    assert (seizure.kind, seizure.chain_id, seizure.nonce) == (ReleaseKind.SEIZURE, TEN, 1)
    assert [sequence for sequence, _ in chain.round().control.issued] == [withdrawal.sequence, seizing.sequence]
    chain.world.time_ms = (withdrawal.expiry + 1) * 1000
    at = kit.cut(ONE, 2, chain.world.time_ms)
    chain.world.add_book(kit.book(at, {owner.account: 10 * ETHER}))
    chain.round()
    chain.round()
    assert chain.record(owner).reservations == (seizure,), "the plan's leg is still open, so there is no other plan"


@pytest.fixture
def capped(chain: Chain) -> Chain:
    """Vaults that let out twelve ether in a window."""
    chain.policy = kit.policy(1, {"decimals = 18 }]": f'decimals = 18, cap = "{12 * ETHER}" }}]'})
    chain.world.policies = {chain.policy.hash: chain.policy}
    chain.state = genesis(chain.network, chain.policy)
    return chain


def test_withdrawals_of_one_round_share_what_a_vault_lets_out(capped: Chain) -> None:
    owners = [Owner("alice"), Owner("bob")]
    for owner in owners:
        capped.world.submit(owner.link())
    capped.settle(1, {owner.account: 10 * ETHER for owner in owners})
    for owner in owners:
        capped.world.submit(owner.withdraw(4 * ETHER))
    capped.round()
    assert sorted(capped.record(owner).decisions[-1].reason for owner in owners) == ["", Refusal.OUTFLOW_CAP]


def test_accounts_share_what_a_vault_lets_out(capped: Chain) -> None:
    chain = capped
    owners, idle, venue = [Owner("alice"), Owner("bob")], Owner("carol"), Venue()
    for owner in (*owners, idle):
        chain.world.submit(owner.link())
    chain.round()
    for owner in owners:
        chain.world.submit(owner.authorize(limit_usd=100_000))
    chain.settle(1, {owner.account: 10 * ETHER for owner in (*owners, idle)})
    chain.world.submit(idle.withdraw(6 * ETHER + 1))
    chain.world.submit(idle.withdraw(2 * ETHER))
    chain.round()
    chain.round()
    refused, granted = chain.record(idle).decisions[-2:]
    assert (refused.reason, granted.verdict) == (Refusal.OUTFLOW_CAP, Verdict.GRANTED)
    chain.world.publish(venue.report(*(kit.entry(owner.account, 100 * ETHER, 2000) for owner in owners)))
    chain.round()
    chain.world.set_price(1700)
    chain.round()
    legs = [item for owner in owners for item in chain.record(owner).reservations]
    first, second = (sorted(item.items[0].amount for item in legs if item.chain_id == each) for each in (ONE, TEN))
    assert len(first) == len(second) == 2
    assert 12 * ETHER - 10**6 < sum(second) <= 12 * ETHER  # less roundings
    assert 10 * ETHER - 10**6 < sum(first) <= 10 * ETHER  # carol's two are under way


def test_a_request_is_neither_replayed_nor_taken_out_of_order(chain: Chain) -> None:
    owner = Owner()
    link = owner.link()
    skipped = replace(owner, nonce=5).authorize()
    chain.world.submit(link)
    chain.world.submit(skipped)
    chain.round()
    first = chain.record(owner)
    assert (first.nonce, first.authorizations) == (1, ())
    chain.round()
    assert chain.record(owner) == first


def test_an_address_is_linked_to_the_first_account_only(chain: Chain) -> None:
    alice, bob = Owner("alice"), Owner("bob")
    chain.world.submit(alice.link())
    chain.world.submit(bob.link())
    chain.round()
    chain.world.submit(alice.link("shared"))
    chain.round()
    chain.world.submit(bob.link("shared"))
    chain.round()
    assert kit.address("shared") in chain.record(alice).linked
    assert chain.record(bob).decisions[-1].reason == "LINKED_ELSEWHERE"


def test_an_owner_cannot_weaken_what_a_venue_relies_on(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    for request in (owner.authorize(1), owner.authorize(100_000, payee="myself"), owner.link(collateral=())):
        chain.world.submit(request)
        chain.round()
        assert chain.record(owner).decisions[-1].reason == "VENUE_HAS_CLAIM"
    chain.world.submit(owner.authorize(200_000))
    chain.round()
    assert chain.record(owner).authorizations[0].limit == 200_000 * USD


def test_a_revoked_venue_keeps_its_claim_and_is_gone_when_that_is_settled(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    chain.world.submit(owner.revoke())
    chain.round()
    revoked = chain.record(owner).authorizations[0]
    assert revoked.revoked
    assert revoked.limit == 100 * 2000 * USD // 10  # the initial margin of what is open, and no claim
    chain.world.publish(venue.report(kit.entry(owner.account, 0, 0)))
    chain.round()
    assert chain.record(owner).authorizations == ()
    assert chain.state.view(owner.account).obligations is None


def test_a_report_counts_only_for_owners_who_authorised_the_venue(chain: Chain) -> None:
    owner, venue = Owner(), Venue()
    chain.world.submit(owner.link())
    chain.round()
    chain.world.publish(venue.report(kit.entry(owner.account, ETHER, 2000)))
    chain.round()
    assert chain.state.control.venues[0].sequence == 1
    assert chain.state.view(owner.account).obligations is None


def test_a_report_is_adopted_when_2f_plus_1_nodes_hold_it(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    chain.world.publish(venue.report(kit.entry(owner.account, ETHER, 2000)))
    seen = chain.observations()[0]
    blind = replace(seen, heads=())
    state = derive(chain.state, {0: seen, 1: seen, 2: blind, 3: blind}, chain.network, chain.world)
    assert state.control.venues[0].sequence == 1
    state = derive(chain.state, {0: seen, 1: seen, 2: seen, 3: blind}, chain.network, chain.world)
    assert state.control.venues[0].sequence == 2


def test_two_histories_freeze_the_venue_and_nothing_else(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    twin = Venue(sequence=1, previous=venue.previous)
    first = venue.report(kit.entry(owner.account, ETHER, 2000))
    second = twin.report(kit.entry(owner.account, 2 * ETHER, 2000))
    chain.world.submit(VenueEquivocation(first, second))
    chain.round()
    assert chain.state.control.venues[0].frozen
    chain.world.publish(first)
    chain.round()
    assert chain.state.control.venues[0].sequence == 1
    assert chain.health(owner).status is HealthStatus.HEALTHY


def test_a_policy_takes_over_after_its_timelock_when_enough_signers_signed(chain: Chain) -> None:
    body = kit.policy(2, {"initial_bps = 1000": "initial_bps = 1500"}).body
    later = NOW_MS // 1000 + 100
    unsigned = PolicyActivation(2, body, later)
    digest = unsigned.digest(kit.NETWORK_ID)
    one = replace(unsigned, signatures=(sign(kit.key("policy a"), digest),) * 2)
    chain.world.submit(one)
    chain.round()
    assert not chain.state.control.policy_change
    both = replace(unsigned, signatures=tuple(sign(kit.key(name), digest) for name in ("policy a", "policy b")))
    chain.world.submit(both)
    chain.round()
    assert chain.state.control.policy_change
    chain.round(seconds=60)
    assert chain.state.header.policy_hash == chain.policy.hash
    chain.world.time_ms += 60_000
    with pytest.raises(MissingInputs) as missing:
        chain.round()
    assert missing.value.refs[0].kind is InputKind.POLICY
    chain.world.policies[kit.policy(2, {"initial_bps = 1000": "initial_bps = 1500"}).hash] = kit.policy(
        2, {"initial_bps = 1000": "initial_bps = 1500"}
    )
    assert chain.round().control.policy_version == 2


def test_everything_that_is_missing_is_named_at_once(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    report = venue.report(kit.entry(owner.account, ETHER, 2000))
    chain.world.publish(report)
    chain.world.requests.clear()
    request = owner.withdraw(1)
    chain.world.submit(request)
    seen = chain.observations()
    chain.world.reports.clear()
    chain.world.requests.clear()
    with pytest.raises(MissingInputs) as missing:
        derive(chain.state, seen, chain.network, chain.world)
    assert {ref.digest for ref in missing.value.refs} == {report.digest(kit.NETWORK_ID), request.digest(kit.NETWORK_ID)}


def test_the_outcome_does_not_depend_on_the_order_of_the_observations(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    chain.world.set_price(1700, spread=7)
    chain.world.submit(owner.withdraw(ETHER))
    seen = chain.observations()
    forwards = derive(chain.state, seen, chain.network, chain.world)
    backwards = derive(chain.state, dict(reversed(seen.items())), chain.network, chain.world)
    assert forwards.header == backwards.header
    assert forwards.header.hash() == backwards.header.hash()
