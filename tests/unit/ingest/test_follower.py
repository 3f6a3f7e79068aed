"""Following one chain: books computed ahead, votes as look-ups, and yielding to what the network certified."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from chains.adapter import DisputedError
from chains.errors import RetryError
from chains.simulated.adapter import SimulatedAdapter
from chains.simulated.endpoint import SimulatedChain
from chains.types import (
    AccountId,
    Address,
    Amount,
    Assurance,
    ChainDelta,
    Checkpoint,
    Cut,
    Disagreement,
    Hash32,
    Height,
    TokenFact,
    TokenRecipe,
    UnixSeconds,
)
from node.consensus.outcome.cuts import unstarted
from node.ingest.follower import ChainFollower
from node.model.header import ChainState, ChainStatus
from node.model.ledger import (
    Holdings,
    consent_key,
    encode_consent,
    is_reserved_key,
    is_token_key,
    token_facts,
    token_key,
)
from node.model.merkle import MerkleMap
from node.model.state import ChainBook
from tests import kit
from tests.integration.node.harness import until
from tests.kit import ETHER, ONE, TOKEN

RECIPE = kit.policy().recipe_by_chain[ONE]
ALICE, BOB = AccountId(b"a" * 32), AccountId(b"b" * 32)


class Events:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def count(self, event: str, **_: object) -> None:
        self.seen.append(event)

    def fault(self, event: str, error: BaseException, **_: object) -> None:
        self.seen.append(event)


class Setting:
    def __init__(self) -> None:
        self.chain = SimulatedChain(ONE, start=kit.NOW_MS // 1000)
        self.events = Events()
        self.follower = self.another()

    def another(self) -> ChainFollower:
        adapter = SimulatedAdapter(self.chain, RECIPE, lambda _: None)
        return ChainFollower(adapter, RECIPE, unstarted(ONE)[0], MerkleMap(), self.events)

    def certify(self, book: ChainBook) -> ChainState:
        return ChainState(book.checkpoint, book.holdings.root, 1, Assurance.ATTESTED, ChainStatus.LIVE)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def holdings(book: MerkleMap | None, account: AccountId) -> tuple[int, dict[bytes, int]]:
    assert book is not None
    leaf = book.get(account)
    if leaf is None:
        return 0, {}
    found = Holdings.decode(leaf)
    return found.nonce, dict(found.balances)


async def test_each_final_cut_has_the_books_as_they_were_then(setting: Setting) -> None:
    setting.chain.deposit(ALICE, TOKEN, ETHER)
    first = setting.chain.mine()
    setting.chain.deposit(BOB, TOKEN, 2 * ETHER)
    setting.chain.release(ALICE, TOKEN, ETHER)
    second = setting.chain.mine()
    await setting.follower.poll()
    assert setting.follower.candidates == (first, second)
    early, late = setting.follower.vote(first), setting.follower.vote(second)
    assert early is not None
    assert late is not None
    assert holdings(setting.follower.book(early.root), ALICE) == (0, {TOKEN: ETHER})
    assert holdings(setting.follower.book(late.root), ALICE) == (1, {})
    assert holdings(setting.follower.book(late.root), BOB) == (0, {TOKEN: 2 * ETHER})


async def test_two_nodes_that_look_at_different_times_compute_the_same_root(setting: Setting) -> None:
    other = setting.another()
    for block in range(6):
        setting.chain.deposit(ALICE, TOKEN, ETHER + block)
        setting.chain.mine()
        await setting.follower.poll()
    await other.poll()
    tip = setting.chain.final.cut
    assert other.vote(tip) == setting.follower.vote(tip)


async def test_it_resumes_from_a_certified_state(setting: Setting) -> None:
    setting.chain.deposit(ALICE, TOKEN, ETHER)
    first = setting.chain.mine()
    await setting.follower.poll()
    vote = setting.follower.vote(first)
    assert vote is not None
    certified = unstarted(ONE)[0]
    book = setting.follower.book(vote.root)
    assert book is not None
    certified = replace(
        certified, checkpoint=replace(certified.checkpoint, cut=first, storage_hash=vote.storage_hash), root=vote.root
    )
    adapter = SimulatedAdapter(setting.chain, kit.policy().recipe_by_chain[ONE], lambda _: None)
    resumed = ChainFollower(adapter, RECIPE, certified, book, setting.events)
    setting.chain.deposit(BOB, TOKEN, ETHER)
    second = setting.chain.mine()
    await setting.follower.poll()
    await resumed.poll()
    assert resumed.vote(second) == setting.follower.vote(second)


async def test_it_yields_to_a_certified_root_that_differs_from_its_own(setting: Setting) -> None:
    setting.chain.deposit(ALICE, TOKEN, ETHER)
    at = setting.chain.mine()
    await setting.follower.poll()
    theirs = kit.book(at, {BOB: 5 * ETHER})
    setting.follower.certified(setting.certify(theirs), theirs.holdings)
    assert setting.events.seen == ["chain.root_differs"]
    setting.chain.deposit(BOB, TOKEN, ETHER)
    after = setting.chain.mine()
    await setting.follower.poll()
    vote = setting.follower.vote(after)
    assert vote is not None
    assert holdings(setting.follower.book(vote.root), ALICE) == (0, {})


async def test_it_keeps_what_it_computed_beyond_a_certified_cut_that_it_agrees_with(setting: Setting) -> None:
    first, second = setting.chain.mine(), setting.chain.mine()
    await setting.follower.poll()
    vote = setting.follower.vote(first)
    book = setting.follower.book(vote.root) if vote is not None else None
    assert vote is not None
    assert book is not None
    state = unstarted(ONE)[0]
    state = replace(state, checkpoint=replace(state.checkpoint, cut=first, storage_hash=vote.storage_hash))
    setting.follower.certified(replace(state, root=vote.root), book)
    assert setting.follower.candidates == (second,)
    assert setting.follower.vote(second) is not None


async def test_a_node_that_lags_jumps_to_the_certified_cut(setting: Setting) -> None:
    at = setting.chain.mine(3)
    theirs = kit.book(at, {BOB: ETHER})
    setting.follower.certified(setting.certify(theirs), theirs.holdings)
    assert setting.follower.candidates == ()
    assert setting.follower.proven_height == at.height
    assert setting.follower.vote(at) == theirs.vote


def finds_a_dispute(follower: ChainFollower) -> bool:
    return follower.disputed


async def test_trouble_with_the_chain_ends_nothing_and_is_told(setting: Setting) -> None:
    setting.chain.mine()
    setting.chain.failing = RetryError("try later")
    with pytest.raises(RetryError):
        await setting.follower.poll()
    setting.chain.failing = None
    setting.chain.code_changed = True
    assert not finds_a_dispute(setting.follower)
    with pytest.raises(DisputedError):
        await setting.follower.poll()
    assert finds_a_dispute(setting.follower)
    setting.chain.failing = RetryError("try later")
    with pytest.raises(RetryError):
        await setting.follower.poll()
    assert finds_a_dispute(setting.follower), "nothing was proven since"
    setting.chain.failing = None
    setting.chain.code_changed = False
    await setting.follower.poll()
    assert len(setting.follower.candidates) == 1
    assert not finds_a_dispute(setting.follower)


def test_nothing_is_voted_for_a_cut_that_was_not_proven(setting: Setting) -> None:
    assert setting.follower.vote(kit.cut(ONE, 9)) is None
    assert setting.follower.book(Hash32(bytes(32))) is None


async def test_with_another_vault_it_begins_anew(setting: Setting) -> None:
    setting.chain.deposit(ALICE, TOKEN, ETHER)
    at = setting.chain.mine()
    await setting.follower.poll()
    vote = setting.follower.vote(at)
    book = setting.follower.book(vote.root) if vote is not None else None
    assert vote is not None
    assert book is not None
    setting.follower.certified(
        setting.certify(ChainBook(Checkpoint(at, vote.storage_hash), book, vote.assurance)), book
    )
    recipe = kit.policy().recipe_by_chain[ONE]
    setting.follower.admit(replace(recipe, stride=1))
    assert setting.follower.vote(at) == vote
    setting.follower.admit(replace(recipe, vault=Address(b"v" * 20)))
    setting.follower.certified(unstarted(ONE)[0], MerkleMap())
    assert setting.follower.vote(at) is None
    assert setting.follower.proven_height == 0
    await setting.follower.poll()
    assert setting.follower.candidates == (at,)


class Slow(SimulatedAdapter):
    """Answers the first question for a delta only when it is let."""

    def __init__(self, chain: SimulatedChain) -> None:
        super().__init__(chain, kit.policy().recipe_by_chain[ONE], lambda _: None)
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.trouble: Exception | None = None

    async def delta(self, since: Checkpoint | None, to: Cut) -> ChainDelta:
        self.asked.set()
        await self.go_on.wait()
        if self.trouble is not None:
            raise self.trouble
        return await super().delta(since, to)


async def test_what_was_asked_of_the_old_vault_comes_too_late(setting: Setting) -> None:
    adapter = Slow(setting.chain)
    follower = ChainFollower(adapter, RECIPE, unstarted(ONE)[0], MerkleMap(), setting.events)
    at = setting.chain.mine()
    poll = asyncio.create_task(follower.poll())
    await adapter.asked.wait()
    follower.admit(replace(kit.policy().recipe_by_chain[ONE], vault=Address(b"v" * 20)))
    adapter.go_on.set()
    await poll
    assert follower.vote(at) is None


async def test_it_goes_back_to_what_is_certified_when_its_own_past_is_no_more(setting: Setting) -> None:
    adapter = Slow(setting.chain)
    adapter.go_on.set()
    follower = ChainFollower(adapter, RECIPE, unstarted(ONE)[0], MerkleMap(), setting.events)
    lie = setting.chain.mine()
    await follower.poll()
    assert follower.vote(lie) is not None
    truth = setting.chain.mine()
    adapter.trouble = DisputedError("the chain forked below the last cut")
    with pytest.raises(DisputedError):
        await follower.poll()
    assert follower.proven_height == 0
    assert not finds_a_dispute(follower), "it is its own past that is no more"
    with pytest.raises(DisputedError):
        await follower.poll()
    assert finds_a_dispute(follower), "and now what is certified"
    adapter.trouble = None
    await follower.poll()
    assert follower.vote(truth) is not None


async def test_what_breaks_an_adapter_ends_nothing(setting: Setting) -> None:
    adapter = Slow(setting.chain)
    adapter.go_on.set()
    adapter.trouble = KeyError("an answer that nobody thought of")
    follower = ChainFollower(adapter, RECIPE, unstarted(ONE)[0], MerkleMap(), setting.events)
    at = setting.chain.mine()
    run = asyncio.create_task(follower.run(0.001))
    await until(lambda: setting.events.seen)
    assert follower.last_error is adapter.trouble
    adapter.trouble = None
    await until(lambda: follower.vote(at))
    run.cancel()
    assert set(setting.events.seen) == {"chain.poll_failed"}


# === Tokens ===

OTHER = Address(b"\x77" * 20)
MORE = replace(RECIPE, tokens=(*RECIPE.tokens, TokenRecipe(OTHER, "ETH", 18)))


def tokens(setting: Setting, at: Cut) -> dict[Address, TokenFact]:
    vote = setting.follower.vote(at)
    assert vote is not None
    book = setting.follower.book(vote.root)
    assert book is not None
    return {token: fact for (_, token), fact in token_facts({ONE: book}, ((ONE, TOKEN), (ONE, OTHER))).items()}


def fact(booked: int, held: int, *, disputed: bool = False) -> TokenFact:
    return TokenFact(Amount(booked), Amount(held), disputed=disputed)


async def test_every_cut_says_what_there_is_of_each_token_even_if_no_account_changed(setting: Setting) -> None:
    setting.chain.deposit(ALICE, TOKEN, 10)
    whole = setting.chain.mine()
    setting.chain.burn(TOKEN, 3)
    short = setting.chain.mine()
    setting.chain.upgrade(TOKEN)
    upgraded = setting.chain.mine()
    setting.chain.upgrade(TOKEN, back=True)
    back = setting.chain.mine()
    await setting.follower.poll()
    found = [tokens(setting, at)[TOKEN] for at in (whole, short, upgraded, back)]
    assert found == [fact(10, 10), fact(10, 7), fact(10, 0, disputed=True), fact(10, 7)]


async def test_a_deposit_for_the_key_of_a_token_changes_nothing_but_its_total(setting: Setting) -> None:
    setting.chain.deposit(AccountId(token_key(TOKEN)), TOKEN, 5)
    setting.chain.deposit(AccountId(token_key(OTHER)), TOKEN, 5)
    at = setting.chain.mine()
    await setting.follower.poll()
    assert tokens(setting, at) == {TOKEN: fact(10, 10)}


async def test_another_policy_with_other_tokens_is_computed_anew_from_the_certified_cut(setting: Setting) -> None:
    setting.chain.deposit(ALICE, TOKEN, 10)
    at = setting.chain.mine()
    await setting.follower.poll()
    before = setting.follower.vote(at)
    setting.follower.admit(MORE)
    assert setting.follower.vote(at) is None
    await setting.follower.poll()
    assert tokens(setting, at) == {TOKEN: fact(10, 10), OTHER: fact(0, 0)}
    setting.follower.admit(RECIPE)
    await setting.follower.poll()
    assert setting.follower.vote(at) == before


async def test_a_token_that_is_admitted_no_more_loses_its_leaf_on_every_node_alike(setting: Setting) -> None:
    setting.follower.admit(MORE)
    setting.chain.deposit(ALICE, TOKEN, 10)
    first = setting.chain.mine()
    await setting.follower.poll()
    vote = setting.follower.vote(first)
    assert vote is not None
    book = setting.follower.book(vote.root)
    assert book is not None
    state = setting.certify(ChainBook(Checkpoint(first, vote.storage_hash), book, Assurance.ATTESTED))
    setting.follower.certified(state, book)
    setting.follower.admit(RECIPE)
    adapter = SimulatedAdapter(setting.chain, RECIPE, lambda _: None)
    restarted = ChainFollower(adapter, RECIPE, state, book, setting.events)
    second = setting.chain.mine()
    await setting.follower.poll()
    await restarted.poll()
    assert tokens(setting, second) == {TOKEN: fact(10, 10)}
    assert restarted.vote(second) == setting.follower.vote(second)


def test_a_tokens_key_is_no_hash_of_an_account() -> None:
    assert is_token_key(token_key(TOKEN))
    assert is_token_key(token_key(Address(bytes(20))))
    assert token_key(TOKEN) != token_key(OTHER)
    assert not is_token_key(ALICE)


# === Links ===


async def test_a_wallets_word_is_in_the_book_of_each_cut_while_it_holds(setting: Setting) -> None:
    wallet = Address(b"w" * 20)
    setting.chain.set_link(ALICE, wallet)
    given = setting.chain.mine()
    setting.chain.set_link(BOB, wallet)
    setting.chain.set_link(ALICE, wallet, joins=False)
    taken_back = setting.chain.mine()
    await setting.follower.poll()
    found = []
    for at in (given, taken_back):
        vote = setting.follower.vote(at)
        assert vote is not None
        book = setting.follower.book(vote.root)
        assert book is not None
        found.append([book.get(consent_key(account, wallet)) for account in (ALICE, BOB)])
    assert found == [[encode_consent(ALICE, wallet), None], [None, encode_consent(BOB, wallet)]]


async def test_a_deposit_for_the_key_of_a_link_neither_makes_nor_hides_one(setting: Setting) -> None:
    wallet = Address(b"w" * 20)
    key = consent_key(ALICE, wallet)
    assert is_reserved_key(key)
    setting.chain.deposit(AccountId(key), TOKEN, 5)
    first = setting.chain.mine()
    setting.chain.set_link(ALICE, wallet)
    second = setting.chain.mine()
    setting.chain.deposit(AccountId(key), TOKEN, 5)
    third = setting.chain.mine()
    await setting.follower.poll()
    leaves = []
    for at in (first, second, third):
        vote = setting.follower.vote(at)
        assert vote is not None
        book = setting.follower.book(vote.root)
        assert book is not None
        leaves.append(book.get(key))
    assert leaves == [None, encode_consent(ALICE, wallet), encode_consent(ALICE, wallet)]


class Quarrelsome(SimulatedAdapter):
    """Its endpoints differed so often."""

    differed: tuple[Disagreement, ...] = ()

    def disagreements(self) -> tuple[Disagreement, ...]:
        return self.differed


async def test_each_disagreement_of_endpoints_is_told_once() -> None:
    setting = Setting()
    adapter = Quarrelsome(setting.chain, RECIPE, lambda _: None)
    follower = ChainFollower(adapter, RECIPE, unstarted(ONE)[0], MerkleMap(), setting.events)
    one, two = (
        Disagreement(Height(height), (("a", Hash32(b"a" * 32)), ("b", Hash32(b"b" * 32))), None, UnixSeconds(0))
        for height in (1, 2)
    )
    running = asyncio.create_task(follower.run(0.001))
    try:
        for count, differed in ((1, (one,)), (2, (one, two)), (2, (two,))):
            adapter.differed = differed
            await until(lambda count=count: setting.events.seen.count("chain.endpoints_differ") == count)  # type: ignore[misc]
            await asyncio.sleep(0.01)
            assert setting.events.seen.count("chain.endpoints_differ") == count
    finally:
        running.cancel()
        await asyncio.wait([running])
