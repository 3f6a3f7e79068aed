"""Whose an address is: by signatures of both keys, or by a contract's own word in the registry of a vault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.errors import SignatureError
from chains.types import AccountId, Address, ChainId, Hash32
from node.consensus.outcome import requests
from node.ingest.checks import check_request
from node.model.ledger import Verdict, consent_key, encode_consent
from node.model.requests import OwnerRequest
from tests import kit
from tests.kit import ETHER, NETWORK_ID, ONE, TEN, USD, Owner
from tests.unit.outcome.chain import Chain, Leveraged

WALLET = Address(b"\x5a" * 20)
"""A contract."""


def last(chain: Chain, owner: Owner) -> str:
    """What became of the last request: the reason of a refusal, or nothing."""
    decision = chain.record(owner).decisions[-1]
    assert (decision.verdict is Verdict.GRANTED) == (decision.reason == "")
    return decision.reason


def asked(chain: Chain, owner: Owner, request: OwnerRequest) -> str:
    chain.world.submit(request)
    chain.round()
    assert chain.record(owner).nonce == request.nonce
    return last(chain, owner)


def opened(chain: Chain, *names: str) -> list[Owner]:
    owners = [Owner(name) for name in names]
    for owner in owners:
        chain.world.submit(owner.link())
    chain.round()
    return owners


@pytest.fixture
def alice(chain: Chain) -> Owner:
    return opened(chain, "alice")[0]


# === Contracts ===


def test_a_contract_joins_by_its_own_word_and_the_owners(chain: Chain, alice: Owner) -> None:
    assert asked(chain, alice, alice.link_wallet(WALLET)) == "NOT_IN_REGISTRY"
    chain.settle(1, {}, joining={ONE: [(alice.account, WALLET)]})
    assert asked(chain, alice, alice.link_wallet(WALLET)) == ""
    assert chain.record(alice).wallets == ((ONE, WALLET),)
    assert chain.record(alice).linked == (kit.address("alice"),)


def test_its_word_counts_on_its_own_chain_alone(chain: Chain, alice: Owner) -> None:
    chain.settle(1, {}, joining={TEN: [(alice.account, WALLET)]})
    assert asked(chain, alice, alice.link_wallet(WALLET, ONE)) == "NOT_IN_REGISTRY"
    assert asked(chain, alice, alice.link_wallet(WALLET, ChainId(77))) == "UNKNOWN_CHAIN"
    assert asked(chain, alice, alice.link_wallet(WALLET, ChainId(0))) == "UNKNOWN_CHAIN"
    assert asked(chain, alice, alice.link_wallet(WALLET, TEN)) == ""


def test_its_word_for_another_account_is_not_for_this_one(chain: Chain, alice: Owner) -> None:
    bob = opened(chain, "bob")[0]
    chain.settle(1, {}, joining={ONE: [(bob.account, WALLET)]})
    assert asked(chain, alice, alice.link_wallet(WALLET)) == "NOT_IN_REGISTRY"


def test_a_leaf_that_shares_the_key_of_a_word_is_not_that_word(chain: Chain, alice: Owner) -> None:
    """Keys have 20 bytes of a hash, within reach of who may choose both sides."""
    chain.settle(1, {})
    at = kit.cut(ONE, 2, chain.world.time_ms)
    plain = kit.book(at, {})
    other = encode_consent(Owner("bob").account, WALLET)
    shared = replace(plain, holdings=plain.holdings.updated({consent_key(alice.account, WALLET): other}))
    chain.world.add_book(shared)
    chain.round()
    chain.round()
    assert chain.state.header.chain(ONE).cut == at
    assert asked(chain, alice, alice.link_wallet(WALLET)) == "NOT_IN_REGISTRY"


def test_a_word_that_was_taken_back_before_the_link_counts_no_more(chain: Chain, alice: Owner) -> None:
    chain.settle(1, {}, joining={ONE: [(alice.account, WALLET)]})
    chain.settle(2, {})
    assert asked(chain, alice, alice.link_wallet(WALLET)) == "NOT_IN_REGISTRY"


def test_of_two_accounts_that_a_contract_joins_the_first_agreed_one_has_it(chain: Chain) -> None:
    alice, bob = opened(chain, "alice", "bob")
    chain.settle(1, {}, joining={ONE: [(alice.account, WALLET), (bob.account, WALLET)]})
    for owner in (alice, bob):
        chain.world.submit(owner.link_wallet(WALLET))
    chain.round()  # both at once: the order is by account, on every node
    first, second = sorted((alice, bob), key=lambda owner: owner.account)
    assert (last(chain, first), last(chain, second)) == ("", "LINKED_ELSEWHERE")
    assert chain.record(second).wallets == ()


def test_the_same_address_on_two_chains_is_two_contracts(chain: Chain) -> None:
    alice, bob = opened(chain, "alice", "bob")
    chain.settle(1, {}, joining={ONE: [(alice.account, WALLET)], TEN: [(bob.account, WALLET)]})
    assert asked(chain, alice, alice.link_wallet(WALLET, ONE)) == ""
    assert asked(chain, bob, bob.link_wallet(WALLET, TEN)) == ""


def test_an_address_that_is_linked_by_its_key_is_nobody_elses_contract(chain: Chain) -> None:
    alice, bob = opened(chain, "alice", "bob")
    shared = kit.address("shared")
    assert asked(chain, alice, alice.link("shared")) == ""
    chain.settle(1, {}, joining={ONE: [(bob.account, shared), (alice.account, shared)]})
    assert asked(chain, bob, bob.link_wallet(shared)) == "LINKED_ELSEWHERE"
    assert asked(chain, alice, alice.link_wallet(shared)) == ""


def test_an_address_that_is_linked_as_a_contract_joins_nobody_else_by_key(chain: Chain) -> None:
    alice, bob = opened(chain, "alice", "bob")
    shared = kit.address("shared")
    chain.settle(1, {}, joining={TEN: [(alice.account, shared)]})
    assert asked(chain, alice, alice.link_wallet(shared, TEN)) == ""
    assert asked(chain, bob, bob.link("shared")) == "LINKED_ELSEWHERE"
    chain.world.submit(Owner("shared").link())
    chain.round()
    assert chain.state.view(Owner("shared").account).record is None


def test_an_account_has_so_many_addresses_of_either_kind_and_no_more(
    chain: Chain, alice: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_LINKED", 3)
    others = [Address(bytes([number]) * 20) for number in (1, 2)]
    chain.settle(1, {}, joining={ONE: [(alice.account, each) for each in (WALLET, *others)]})
    assert [asked(chain, alice, each) for each in (alice.link("shared"), alice.link_wallet(WALLET))] == ["", ""]
    assert asked(chain, alice, alice.link("another")) == "TOO_MANY_LINKS"
    assert asked(chain, alice, alice.link_wallet(others[0])) == "TOO_MANY_LINKS"
    assert asked(chain, alice, alice.unlink(kit.address("shared"))) == ""
    assert [asked(chain, alice, alice.link_wallet(each)) for each in others] == ["", "TOO_MANY_LINKS"]


# === Taking off ===


def test_what_is_taken_off_may_join_another_account(chain: Chain) -> None:
    alice, bob = opened(chain, "alice", "bob")
    shared = kit.address("shared")
    chain.settle(1, {}, joining={ONE: [(alice.account, WALLET), (bob.account, WALLET)]})
    assert [asked(chain, alice, each) for each in (alice.link("shared"), alice.link_wallet(WALLET))] == ["", ""]
    assert [asked(chain, bob, each) for each in (bob.link("shared"), bob.link_wallet(WALLET))] == [
        "LINKED_ELSEWHERE",
        "LINKED_ELSEWHERE",
    ]
    assert [asked(chain, alice, each) for each in (alice.unlink(shared), alice.unlink(WALLET, ONE))] == ["", ""]
    assert (chain.record(alice).linked, chain.record(alice).wallets) == ((kit.address("alice"),), ())
    assert [asked(chain, bob, each) for each in (bob.link("shared"), bob.link_wallet(WALLET))] == ["", ""]


def test_taken_off_and_joined_elsewhere_in_one_round(chain: Chain) -> None:
    first, second = sorted(opened(chain, "alice", "bob"), key=lambda owner: owner.account)
    assert asked(chain, first, first.link("shared")) == ""
    chain.world.submit(first.unlink(kit.address("shared")))
    chain.world.submit(second.link("shared"))
    chain.round()
    assert (last(chain, first), last(chain, second)) == ("", "")


def test_the_owner_stays_and_what_is_not_linked_cannot_be_taken_off(chain: Chain, alice: Owner) -> None:
    assert asked(chain, alice, alice.unlink(kit.address("alice"))) == "IS_THE_OWNER"
    assert asked(chain, alice, alice.unlink(kit.address("bob"))) == "NOT_LINKED"
    assert asked(chain, alice, alice.unlink(WALLET, ONE)) == "NOT_LINKED"
    assert asked(chain, alice, alice.link("shared")) == ""
    assert asked(chain, alice, alice.unlink(kit.address("shared"), ONE)) == "NOT_LINKED"


def test_nothing_is_taken_off_while_a_venue_relies_on_the_account(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    assert asked(chain, owner, owner.link("shared")) == ""
    assert asked(chain, owner, owner.unlink(kit.address("shared"))) == "VENUE_HAS_CLAIM"
    chain.world.publish(venue.report(kit.entry(owner.account, 0, 0)))
    chain.round()
    assert asked(chain, owner, owner.unlink(kit.address("shared"))) == ""


def test_a_venue_that_was_paid_by_a_seizure_and_is_settled_has_no_claim(leveraged: Leveraged) -> None:
    chain, owner, venue = leveraged
    assert asked(chain, owner, owner.link("shared")) == ""
    chain.world.set_price(1900)
    chain.world.publish(venue.report(kit.entry(owner.account, 0, 0, cash=-35_000 * USD)))
    chain.round()
    legs = chain.record(owner).reservations
    assert len(legs) == 2
    left = 10 * ETHER - max(leg.items[0].amount for leg in legs)
    chain.settle(2, {owner.account: left}, {owner.account: 1})
    seized = chain.record(owner).authorizations[0].seized
    assert chain.record(owner).reservations == ()
    for cash, acknowledged in ((0, seized - 1), (-1, seized), (1, seized)):
        chain.world.publish(venue.report(kit.entry(owner.account, 0, 0, cash, acknowledged)))
        chain.round()
        assert asked(chain, owner, owner.unlink(kit.address("shared"))) == "VENUE_HAS_CLAIM"
    chain.world.publish(venue.report(kit.entry(owner.account, 0, 0, 0, seized)))
    chain.round()
    assert not chain.record(owner).authorizations[0].revoked
    assert asked(chain, owner, owner.unlink(kit.address("shared"))) == ""
    assert asked(chain, owner, owner.link(collateral=())) == ""


def test_nothing_is_taken_off_while_a_release_is_under_way(chain: Chain, alice: Owner) -> None:
    chain.settle(1, {alice.account: 5 * ETHER})
    assert asked(chain, alice, alice.link("shared")) == ""
    chain.world.submit(alice.withdraw(ETHER))
    chain.round()
    assert chain.record(alice).reservations
    assert asked(chain, alice, alice.unlink(kit.address("shared"))) == "OPEN_RESERVATION"
    chain.settle(2, {alice.account: 4 * ETHER}, {alice.account: 1})
    assert asked(chain, alice, alice.unlink(kit.address("shared"))) == ""


# === Replays and strangers ===


def test_an_old_link_does_not_come_back_after_it_was_taken_off(chain: Chain, alice: Owner) -> None:
    joined = alice.link("shared")
    assert asked(chain, alice, joined) == ""
    assert asked(chain, alice, alice.unlink(kit.address("shared"))) == ""
    chain.world.submit(joined)
    chain.round()
    assert chain.record(alice).linked == (kit.address("alice"),)


@pytest.mark.parametrize("network", [NETWORK_ID, Hash32(bytes(32))])
@pytest.mark.parametrize("change", ["nothing", "nonce", "account", "signer"])
def test_a_request_is_the_owners_for_one_network_account_and_nonce(
    chain: Chain, alice: Owner, network: Hash32, change: str
) -> None:
    bob = opened(chain, "bob")[0]
    for request in (alice.link_wallet(WALLET), alice.unlink(WALLET, ONE)):
        given = request
        if change == "nonce":
            given = replace(request, nonce=request.nonce + 1)
        elif change == "account":
            given = replace(request, account=bob.account)
        elif change == "signer":
            given = replace(request, signature=bob.link_wallet(WALLET).signature)
        network_of = replace(chain.network, network_id=network)
        if (change, network) == ("nothing", NETWORK_ID):
            check_request(given, given.digest(network), network_of, chain.state, chain.policy)
            continue
        with pytest.raises(SignatureError):
            check_request(given, given.digest(network), network_of, chain.state, chain.policy)


def test_a_link_signed_for_another_network_or_nonce_is_refused(chain: Chain, alice: Owner) -> None:
    joined = alice.link("shared")
    joined.check(NETWORK_ID)
    for changed, network in (
        (joined, Hash32(bytes(32))),
        (replace(joined, nonce=joined.nonce + 1), NETWORK_ID),
        (replace(joined, account=AccountId(bytes(32))), NETWORK_ID),
        (replace(joined, linked_signature=joined.owner_signature), NETWORK_ID),
    ):
        with pytest.raises(SignatureError):
            changed.check(network)
