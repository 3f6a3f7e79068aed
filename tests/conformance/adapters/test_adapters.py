"""What every chain adapter owes the node, as `chains.adapter` says it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from chains.adapter import ChainAdapter, DisputedError
from chains.errors import ConfigError, RetryError
from chains.types import (
    AccountId,
    Address,
    Amount,
    Assurance,
    ChainDelta,
    ChainId,
    Checkpoint,
    Cut,
    EndpointFault,
    Height,
    TokenFact,
)
from tests.conformance.adapters.scripts import Script

Books = dict[AccountId, tuple[int, dict[Address, Amount]]]


def silent(fault: EndpointFault) -> None:
    raise AssertionError(fault)


def apply(books: Books, delta: ChainDelta) -> None:
    for account, entry in delta.accounts.items():
        balances = dict(books[account][1]) if account in books else {}
        books[account] = entry.nonce, {**balances, **entry.balances}


def nonzero(books: Books) -> Books:
    return {account: (nonce, {t: a for t, a in held.items() if a}) for account, (nonce, held) in books.items()}


async def newest(adapter: ChainAdapter, after: int = 0) -> Cut:
    return (await adapter.final_cuts(Height(after), 1))[-1]


def busy(script: Script, rng: random.Random, steps: int) -> Iterable[int]:
    """Deposits, releases and empty blocks at random; yields at every step."""
    held: dict[tuple[AccountId, Address], int] = {}
    for step in range(steps):
        key = rng.choice(script.accounts), rng.choice(script.tokens)
        match rng.randrange(4):
            case 0 if held.get(key):
                amount = rng.choice((held[key], rng.randint(1, held[key])))
                script.release(*key, amount)
                held[key] -= amount
            case 1:
                script.mine(rng.randint(1, 3))
            case _:
                amount = rng.randint(1, 1000)
                script.deposit(*key, amount)
                held[key] = held.get(key, 0) + amount
        yield step


# === Cuts ===


async def test_cuts_are_the_newest_final_multiples_of_the_stride(script: Script) -> None:
    script.mine(20)
    script.recipe = replace(script.recipe, stride=3)
    async with script.adapter(silent) as adapter:
        cuts = await adapter.final_cuts(Height(0), 3)
        heights = [cut.height for cut in cuts]
        assert len(heights) == 3
        assert heights == sorted(heights)
        assert all(height % 3 == 0 for height in heights)
        assert {b - a for a, b in pairwise(heights)} == {3}
        assert all(cut.chain_id == adapter.chain_id for cut in cuts)
        assert await adapter.final_cuts(heights[1], 3) == cuts[2:]
        assert await adapter.final_cuts(heights[2], 3) == ()


async def test_a_block_is_no_cut_before_it_is_final(script: Script) -> None:
    async with script.adapter(silent) as adapter:
        before = await newest(adapter)
        script.deposit(script.accounts[0], script.tokens[0], 5)
        script.settle()
    async with script.adapter(silent) as adapter:
        after = await newest(adapter)
        assert after.height == before.height + 3
        last = await adapter.delta(None, after)
        early = await adapter.delta(None, before)
        assert script.accounts[0] in last.accounts
        assert script.accounts[0] not in early.accounts


async def test_there_are_no_cuts_from_before_the_vault(script: Script) -> None:
    script.mine(20)
    async with script.adapter(silent) as adapter:
        final = (await newest(adapter)).height
        adapter.admit(replace(script.recipe, from_height=Height(final - 2)))
        assert [cut.height for cut in await adapter.final_cuts(Height(0), 9)] == [final - 2, final - 1, final]


# === Deltas ===


async def test_the_vaults_first_block_counts(script: Script) -> None:
    async with script.adapter(silent) as adapter:
        final = (await newest(adapter)).height
    script.settle()
    script.deposit(script.accounts[0], script.tokens[0], 5)
    script.settle()
    async with script.adapter(silent) as adapter:
        cut = await newest(adapter)
        assert cut.height > final
        adapter.admit(replace(script.recipe, from_height=cut.height))
        assert script.accounts[0] in (await adapter.delta(None, cut)).accounts


async def test_books_hold_deposits_and_releases(script: Script) -> None:
    alice, bob = script.accounts[:2]
    coin, token = script.tokens
    script.deposit(alice, coin, 100)
    script.deposit(alice, token, 200)
    script.deposit(bob, token, 300)
    script.release(alice, token, 50)
    script.settle()
    async with script.adapter(silent) as adapter:
        cut = await newest(adapter)
        delta = await adapter.delta(None, cut)
    assert delta.checkpoint.cut == cut
    assert delta.assurance is Assurance.ATTESTED
    assert {account: (entry.nonce, dict(entry.balances)) for account, entry in delta.accounts.items()} == {
        alice: (1, {coin: 100, token: 150}),
        bob: (0, {token: 300}),
    }


async def test_every_token_of_the_recipe_is_in_a_delta_changed_or_not(script: Script) -> None:
    alice, bob = script.accounts[:2]
    coin, token = script.tokens
    script.deposit(alice, coin, 100)
    script.deposit(bob, coin, 11)
    script.deposit(bob, token, 5)
    script.release(alice, coin, 30)
    script.settle()
    async with script.adapter(silent) as adapter:
        delta = await adapter.delta(None, await newest(adapter))
        assert delta.tokens == {coin: TokenFact(Amount(81), Amount(81))}
    script.mine(1)
    script.settle()
    async with script.adapter(silent) as adapter:
        later = await adapter.delta(delta.checkpoint, await newest(adapter))
        assert (dict(later.accounts), later.tokens) == ({}, delta.tokens)


async def test_links_are_told_as_they_are_at_the_cut(script: Script) -> None:
    alice, bob = script.accounts[:2]
    wallet = script.set_link(alice, joins=True)
    script.set_link(bob, joins=True)
    script.settle()
    async with script.adapter(silent) as adapter:
        delta = await adapter.delta(None, await newest(adapter))
    assert delta.links == {(alice, wallet): True, (bob, wallet): True}
    assert delta.accounts == {}
    script.set_link(alice, joins=False)
    script.deposit(bob, script.tokens[0], 1)
    script.settle()
    async with script.adapter(silent) as adapter:
        later = await adapter.delta(delta.checkpoint, await newest(adapter))
    assert later.links == {(alice, wallet): False}
    assert set(later.accounts) == {bob}


async def test_a_delta_has_what_changed_and_nothing_else(script: Script) -> None:
    alice, bob = script.accounts[:2]
    coin, token = script.tokens
    script.deposit(alice, coin, 100)
    script.deposit(alice, token, 7)
    script.deposit(bob, coin, 1)
    script.settle()
    async with script.adapter(silent) as adapter:
        since = (await adapter.delta(None, await newest(adapter))).checkpoint
    script.release(alice, coin, 100)
    script.settle()
    async with script.adapter(silent) as adapter:
        delta = await adapter.delta(since, await newest(adapter))
    assert {account: (entry.nonce, dict(entry.balances)) for account, entry in delta.accounts.items()} == {
        alice: (1, {coin: 0})
    }


async def test_nothing_happened_is_an_empty_delta_with_the_same_storage_hash(script: Script) -> None:
    script.deposit(script.accounts[0], script.tokens[0], 1)
    script.settle()
    async with script.adapter(silent) as adapter:
        since = (await adapter.delta(None, await newest(adapter))).checkpoint
    script.mine(5)
    async with script.adapter(silent) as adapter:
        delta = await adapter.delta(since, await newest(adapter))
    assert delta.checkpoint.cut.height == since.cut.height + 5
    assert delta.checkpoint.storage_hash == since.storage_hash
    assert delta.accounts == {}


@pytest.mark.parametrize("seed", range(3))
async def test_resuming_from_any_checkpoint_equals_following_from_scratch(script: Script, seed: int) -> None:
    rng = random.Random(seed)
    followed: Books = {}
    since: Checkpoint | None = None
    for _ in busy(script, rng, 14):
        if rng.random() < 0.4:
            script.settle()
            async with script.adapter(silent) as adapter:  # a new process each time
                cut = await newest(adapter)
                if since is None or cut.height > since.cut.height:
                    delta = await adapter.delta(since, cut)
                    apply(followed, delta)
                    since = delta.checkpoint
    script.settle()
    scratch: Books = {}
    async with script.adapter(silent) as adapter:
        cut = await newest(adapter)
        apply(followed, await adapter.delta(since, cut))
        whole = await adapter.delta(None, cut)
        apply(scratch, whole)
    assert nonzero(followed) == nonzero(scratch)
    assert scratch


async def test_changes_of_the_last_cut_itself_are_not_told_twice(script: Script) -> None:
    script.deposit(script.accounts[0], script.tokens[0], 1)
    script.settle()
    async with script.adapter(silent) as adapter:
        cut = await newest(adapter)
        since = (await adapter.delta(None, cut)).checkpoint
        script.mine(1)
    async with script.adapter(silent) as adapter:
        assert (await adapter.delta(since, await newest(adapter))).accounts == {}


# === Wallets ===

WALLETS = Address(b"\x5a" * 20), Address(b"\x5b" * 20)


async def test_wallets_hold_of_free_tokens_what_they_held_at_the_cut(script: Script) -> None:
    first, second = WALLETS
    coin, token = script.tokens
    script.recipe = replace(script.recipe, tokens=script.free)
    script.give(first, coin, 100)
    script.give(first, token, 7)
    script.deposit(script.accounts[0], coin, 9)
    script.settle()
    async with script.adapter(silent) as adapter:
        early = await newest(adapter)
        assert await adapter.free_balances(early, WALLETS) == {first: {coin: 100, token: 7}, second: {}}
        script.give(second, token, 5)
        script.settle()
    async with script.adapter(silent) as adapter:
        late = await newest(adapter)
        assert await adapter.free_balances(late, WALLETS) == {first: {coin: 100, token: 7}, second: {token: 5}}
        assert await adapter.free_balances(early, (first,)) == {first: {coin: 100, token: 7}}
        assert await adapter.free_balances(early, WALLETS) == {first: {coin: 100, token: 7}, second: {}}
        assert await adapter.free_balances(late, ()) == {}
        adapter.admit(replace(script.recipe, tokens=(script.free[0], replace(script.free[1], free=False))))
        assert await adapter.free_balances(late, WALLETS) == {first: {coin: 100}, second: {}}


async def test_what_wallets_hold_changes_no_books(script: Script) -> None:
    async with script.adapter(silent) as adapter:
        since = (await adapter.delta(None, await newest(adapter))).checkpoint
    script.give(WALLETS[0], script.tokens[0], 100)
    script.settle()
    async with script.adapter(silent) as adapter:
        delta = await adapter.delta(since, await newest(adapter))
    assert (delta.checkpoint.storage_hash, dict(delta.accounts)) == (since.storage_hash, {})


async def test_what_wallets_hold_on_another_fork_is_disputed(script: Script) -> None:
    script.recipe = replace(script.recipe, tokens=script.free)
    script.mine(5)
    async with script.adapter(silent) as adapter:
        cut = await newest(adapter)
        await adapter.free_balances(cut, WALLETS)
    script.fork(4)
    script.mine(3)
    async with script.adapter(silent) as adapter:
        with pytest.raises(DisputedError):
            await adapter.free_balances(cut, WALLETS)


# === What makes it disputed ===


async def test_a_fork_below_the_checkpoint_is_disputed(script: Script) -> None:
    script.mine(5)
    async with script.adapter(silent) as adapter:
        since = (await adapter.delta(None, await newest(adapter))).checkpoint
    script.fork(4)
    script.mine(3)
    async with script.adapter(silent) as adapter:
        cut = await newest(adapter)
        assert cut.height > since.cut.height
        with pytest.raises(DisputedError):
            await adapter.delta(since, cut)


async def test_a_cut_on_another_fork_is_disputed(script: Script) -> None:
    script.mine(5)
    async with script.adapter(silent) as adapter:
        cut = await newest(adapter)
        await adapter.delta(None, cut)
    script.fork(4)
    script.mine(3)
    async with script.adapter(silent) as adapter:
        with pytest.raises(DisputedError):
            await adapter.delta(None, cut)


async def test_changed_code_is_disputed(script: Script) -> None:
    async with script.adapter(silent) as adapter:
        since = (await adapter.delta(None, await newest(adapter))).checkpoint
    script.change_code()
    async with script.adapter(silent) as adapter:
        with pytest.raises(DisputedError):
            await adapter.delta(since, await newest(adapter))


# === Quotes ===


async def test_quotes_are_those_of_the_newest_final_block(script: Script) -> None:
    script.post(2000)
    script.settle()
    async with script.adapter(silent) as adapter:
        (quote,) = await adapter.quotes()
        assert quote.asset == "ETH"
        assert quote.source == script.recipe.feeds[0].source
        assert quote.price == 2000 * 10**12
        assert quote.cut == await newest(adapter)
        assert 0 < quote.published_at <= quote.cut.time
    script.post(1900)  # not final yet
    async with script.adapter(silent) as adapter:
        assert (await adapter.quotes())[0].price == 2000 * 10**12
    script.settle()
    async with script.adapter(silent) as adapter:
        assert (await adapter.quotes())[0].price == 1900 * 10**12


async def test_a_feed_without_a_quote_is_left_out_and_named(script: Script) -> None:
    faults: list[EndpointFault] = []
    async with script.adapter(faults.append) as adapter:
        assert await adapter.quotes() == ()
    assert [(fault.endpoint, fault.reason) for fault in faults] == [(script.recipe.feeds[0].source, "BAD_QUOTE")]


# === The rest of the contract ===


async def test_too_few_endpoints_is_an_error_to_retry(script: Script) -> None:
    faults: list[EndpointFault] = []
    async with script.unreachable(faults.append) as adapter:
        with pytest.raises(RetryError):
            await adapter.final_cuts(Height(0), 1)
        with pytest.raises(RetryError):
            await adapter.quotes()


async def test_a_recipe_for_another_chain_is_refused(script: Script) -> None:
    async with script.adapter(silent) as adapter:
        with pytest.raises(ConfigError):
            adapter.admit(replace(script.recipe, chain_id=ChainId(adapter.chain_id + 1)))


async def test_an_admitted_recipe_counts_from_then_on(script: Script) -> None:
    script.post(2000)
    script.mine(12)
    async with script.adapter(silent) as adapter:
        assert len(await adapter.quotes()) == 1
        adapter.admit(replace(script.recipe, stride=5, feeds=()))
        assert (await newest(adapter)).height % 5 == 0
        assert await adapter.quotes() == ()
