"""Who is watched: linked addresses, as owners ask, as many as the policy allows, and fixed while a cut is voted on."""

from __future__ import annotations

import pytest

from chains.types import AccountId, Address, Amount, ChainId
from node.consensus.outcome import requests
from node.consensus.outcome.observation import ChainObservation, Observation
from node.consensus.outcome.transition import derive, genesis
from node.margin import MarginContext, plan_liquidation, withdrawal_refusal
from node.model.health import HealthStatus, Interval, Reason
from node.model.ledger import FreeHoldings
from node.model.state import ChainBook
from tests import kit
from tests.kit import ETHER, ONE, TEN, TOKEN, USD, Owner
from tests.unit.outcome.chain import Chain, Leveraged, activate
from tests.unit.outcome.test_links import WALLET, asked, last, opened

OWN = kit.address("alice")
FREE = kit.policy(2, kit.FREE)


def free(wallet: Address, amount: int) -> FreeHoldings:
    return FreeHoldings(wallet, ((TOKEN, Amount(amount)),))


@pytest.fixture
def watching(chain: Chain) -> Chain:
    """Under a policy that allows three on each chain."""
    chain.policy = kit.policy(text=kit.FREE)
    chain.world.policies[chain.policy.hash] = chain.policy
    chain.state = genesis(chain.network, chain.policy)
    return chain


@pytest.fixture
def alice(watching: Chain) -> Owner:
    """With something in both vaults."""
    owner = opened(watching, "alice")[0]
    watching.settle(1, {owner.account: 5 * ETHER})
    return owner


def fixed(chain: Chain, chain_id: ChainId = ONE) -> tuple[object, ...]:
    return next(item.watched for item in chain.state.control.chains if item.chain_id == chain_id)


def index(chain: Chain) -> list[tuple[ChainId, AccountId, Address]]:
    return list(chain.state.control.watched)


def certify(chain: Chain, height: int, made: ChainBook) -> None:
    """Have the network offer the cut, and then vote for that book."""
    at = made.checkpoint.cut
    chain.world.add_book(made)
    chain.round()
    assert next(item.pending for item in chain.state.control.chains if item.chain_id == at.chain_id) == at
    chain.round()
    assert chain.state.header.chain(at.chain_id).root == made.holdings.root


# === Asking ===


def test_an_owner_has_a_linked_address_watched_and_no_more_later(watching: Chain, alice: Owner) -> None:
    assert asked(watching, alice, alice.watch(OWN)) == ""
    assert watching.record(alice).watched == ((ONE, OWN),)
    assert index(watching) == [(ONE, alice.account, OWN)]
    assert asked(watching, alice, alice.watch(OWN)) == ""  # again, to no effect
    assert fixed(watching) == ()  # since no cut is voted on
    assert asked(watching, alice, alice.watch(OWN, TEN)) == ""
    assert index(watching) == [(ONE, alice.account, OWN), (TEN, alice.account, OWN)]
    assert asked(watching, alice, alice.watch(OWN, watched=False)) == ""
    assert watching.record(alice).watched == ((TEN, OWN),)
    assert index(watching) == [(TEN, alice.account, OWN)]
    assert asked(watching, alice, alice.watch(OWN, watched=False)) == "NOT_WATCHED"


def test_only_what_is_linked_there_is_watched(watching: Chain, alice: Owner) -> None:
    assert asked(watching, alice, alice.watch(kit.address("bob"))) == "NOT_LINKED"
    assert asked(watching, alice, alice.watch(WALLET)) == "NOT_LINKED"
    assert asked(watching, alice, alice.watch(OWN, ChainId(77))) == "UNKNOWN_CHAIN"
    books = {alice.account: 5 * ETHER}
    watching.settle(2, books, joining={ONE: [(alice.account, WALLET)]})
    assert asked(watching, alice, alice.link_wallet(WALLET)) == ""
    assert asked(watching, alice, alice.watch(WALLET, TEN)) == "NOT_LINKED"  # a contract is one of its chain alone
    assert asked(watching, alice, alice.watch(WALLET)) == ""
    assert watching.state.control.watched == ((ONE, alice.account, WALLET),)


def test_without_leave_of_the_policy_nobody_is_watched(chain: Chain) -> None:
    owner = opened(chain, "alice")[0]
    chain.settle(1, {owner.account: 5 * ETHER})
    assert asked(chain, owner, owner.watch(OWN)) == "TOO_MANY_WATCHED"
    assert chain.state.control.watched == ()


def test_who_has_nothing_at_stake_takes_nobodys_place(watching: Chain) -> None:
    alice, bob = opened(watching, "alice", "bob")
    watching.settle(1, {alice.account: 5 * ETHER, bob.account: 10})  # dust
    assert asked(watching, bob, bob.watch(kit.address("bob"))) == "NOTHING_PLEDGED"
    assert asked(watching, alice, alice.watch(OWN)) == ""


def test_there_are_as_many_places_as_the_policy_says(watching: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = opened(watching, "alice", "bob")
    alice, bob = owners
    watching.settle(1, {owner.account: 5 * ETHER for owner in owners})
    for name in ("one", "two", "three"):
        assert asked(watching, alice, alice.link(name)) == ""
    assert asked(watching, alice, alice.watch(kit.address("one"))) == ""
    assert asked(watching, bob, bob.watch(kit.address("bob"))) == ""
    assert asked(watching, alice, alice.watch(kit.address("two"))) == ""
    assert asked(watching, alice, alice.watch(kit.address("three"))) == "TOO_MANY_WATCHED"
    assert asked(watching, alice, alice.watch(kit.address("two"))) == ""  # it has its place already
    assert asked(watching, alice, alice.watch(kit.address("three"), TEN)) == ""  # another chain has places of its own
    assert asked(watching, bob, bob.watch(kit.address("bob"), watched=False)) == ""
    assert asked(watching, alice, alice.watch(kit.address("three"))) == ""
    monkeypatch.setattr(requests, "MAX_WATCHED_OF_ONE", 3)
    assert asked(watching, alice, alice.watch(kit.address("two"), watched=False)) == ""
    assert asked(watching, alice, alice.watch(OWN)) == ""
    monkeypatch.setattr(requests, "MAX_WATCHED_OF_ONE", 2)
    assert asked(watching, alice, alice.watch(kit.address("one"), watched=False)) == ""
    assert asked(watching, alice, alice.watch(kit.address("two"))) == "TOO_MANY_WATCHED"


def test_who_is_taken_off_is_watched_no_more(watching: Chain, alice: Owner) -> None:
    shared = kit.address("shared")
    watching.settle(2, {alice.account: 5 * ETHER}, joining={ONE: [(alice.account, WALLET), (alice.account, shared)]})
    for request in (alice.link("shared"), alice.link_wallet(WALLET), alice.link_wallet(shared)):
        assert asked(watching, alice, request) == ""
    for wallet, chain_id in ((shared, ONE), (shared, TEN), (WALLET, ONE)):
        assert asked(watching, alice, alice.watch(wallet, chain_id)) == ""
    assert asked(watching, alice, alice.unlink(WALLET, ONE)) == ""
    assert watching.record(alice).watched == tuple(sorted([(ONE, shared), (TEN, shared)]))
    assert (
        asked(watching, alice, alice.unlink(shared)) == ""
    )  # by its key, which goes for every chain; not as a contract
    assert watching.record(alice).watched == ((ONE, shared),)
    assert asked(watching, alice, alice.unlink(shared, ONE)) == ""
    assert (watching.record(alice).watched, watching.state.control.watched) == ((), ())


def test_two_who_ask_for_the_last_place_at_once_get_it_in_one_order(watching: Chain) -> None:
    owners = sorted(opened(watching, "alice", "bob", "carol", "dave"), key=lambda owner: owner.account)
    watching.settle(1, {owner.account: 5 * ETHER for owner in owners})
    for owner in reversed(owners):
        watching.world.submit(owner.watch(kit.address(owner.name)))
    watching.round()
    assert [last(watching, owner) for owner in owners] == ["", "", "", "TOO_MANY_WATCHED"]


# === What a cut has to tell ===


def test_a_pending_cut_tells_of_those_who_were_watched_when_it_was_agreed(watching: Chain, alice: Owner) -> None:
    assert asked(watching, alice, alice.watch(OWN)) == ""
    made = kit.book(kit.cut(ONE, 9, watching.world.time_ms), {alice.account: 1}, free={alice.account: (free(OWN, 7),)})
    watching.world.add_book(made)
    watching.world.submit(alice.watch(OWN, watched=False))
    watching.round()  # decides both: the cut, and that she is watched no more
    assert watching.record(alice).watched == ()
    assert fixed(watching) == ((alice.account, OWN),)
    assert fixed(watching, TEN) == ()
    watching.round(nodes=(0, 1))
    assert fixed(watching) == ((alice.account, OWN),)  # as long as it is voted on
    watching.round(nodes=(2, 3))
    assert watching.state.header.chain(ONE).root == made.holdings.root
    assert fixed(watching) == ()
    assert watching.health(alice).free == ()  # and she is told of no more, whatever the cut says


def test_votes_for_a_root_that_tells_of_others_do_not_certify(watching: Chain, alice: Owner) -> None:
    assert asked(watching, alice, alice.watch(OWN)) == ""
    at = kit.cut(ONE, 9, watching.world.time_ms)
    told = kit.book(at, {alice.account: 1}, free={alice.account: (free(OWN, 7),)})
    bare = kit.book(at, {alice.account: 1})
    watching.world.add_book(told)
    watching.round()

    def seen(made: ChainBook) -> Observation:
        chains = (ChainObservation(ONE, (at,), disputed=False, voted=at.block_hash, vote=made.vote),)
        return Observation(watching.world.time_ms, chains, (), (), ())

    split = {0: seen(told), 1: seen(told), 2: seen(bare), 3: seen(bare)}
    state = derive(watching.state, split, watching.network, watching.world)
    assert state.header.chain(ONE).cut.height == 1
    state = derive(state, dict.fromkeys(range(4), seen(told)), watching.network, watching.world)
    assert state.header.chain(ONE).root == told.holdings.root


def test_free_holdings_are_shown_and_change_nothing(leveraged: Leveraged) -> None:
    chain, owner, _ = leveraged
    activate(chain, FREE)
    chain.settle(2, {owner.account: 10 * ETHER})
    assert asked(chain, owner, owner.watch(OWN)) == ""
    chain.world.set_price(1_700)
    chain.round()
    assert chain.health(owner).status is HealthStatus.LIQUIDATABLE
    for height, riches in ((3, 0), (4, 10**6 * ETHER)):
        at = kit.cut(ONE, height, chain.world.time_ms)
        certify(chain, height, kit.book(at, {owner.account: 10 * ETHER}, free={owner.account: (free(OWN, riches),)}))
        found = chain.health(owner)
        assert found.status is HealthStatus.LIQUIDATABLE
        (line,) = found.free
        assert (line.wallet, line.token, line.amount) == (OWN, TOKEN, riches)
        value = riches // ETHER * 1_700 * USD
        assert (line.value, line.initial, line.maintenance) == (Interval(value, value), Interval(0, 0), Interval(0, 0))
        assert line.reasons == (Reason.NOT_ENFORCEABLE,)


def test_what_a_wallet_holds_cannot_be_withdrawn_or_planned_with(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    activate(chain, FREE)
    chain.settle(2, {owner.account: 10 * ETHER})
    assert asked(chain, owner, owner.watch(OWN)) == ""
    chain.world.publish(venue.report(kit.entry(owner.account, 0, 0)))
    at = kit.cut(ONE, 3, chain.world.time_ms)
    certify(chain, 3, kit.book(at, {owner.account: ETHER}, free={owner.account: (free(OWN, 100 * ETHER),)}))
    view = chain.state.view(owner.account)
    context = MarginContext.of(chain.policy, chain.state)
    assert withdrawal_refusal(view, context, ONE, TOKEN, Amount(2 * ETHER)) == "INSUFFICIENT_HOLDING"
    assert withdrawal_refusal(view, context, ONE, TOKEN, Amount(ETHER)) is None
    assert plan_liquidation(view, context) == ()


def test_a_lower_bound_of_a_later_policy_holds_at_the_next_cut(watching: Chain) -> None:
    owners = sorted(opened(watching, "alice", "bob"), key=lambda owner: owner.account)
    watching.settle(1, {owner.account: 5 * ETHER for owner in owners})
    for owner in owners:
        assert asked(watching, owner, owner.watch(kit.address(owner.name))) == ""
    text = {old: new.replace("max_watched = 3", "max_watched = 1") for old, new in kit.FREE.items()}
    activate(watching, kit.policy(2, text))
    watching.world.add_book(kit.book(kit.cut(ONE, 9, watching.world.time_ms), {}))
    watching.round()
    assert fixed(watching) == ((owners[0].account, kit.address(owners[0].name)),)


def test_a_certified_leaf_that_nobody_asked_for_any_more_is_not_shown(watching: Chain, alice: Owner) -> None:
    """The address may belong to another account by now."""
    assert asked(watching, alice, alice.watch(OWN)) == ""
    at = kit.cut(ONE, 9, watching.world.time_ms)
    told = {alice.account: (free(OWN, 7), free(Address(b"\xee" * 20), 8))}
    certify(watching, 9, kit.book(at, {alice.account: 1}, free=told))
    assert [line.wallet for line in watching.health(alice).free] == [OWN]
