"""Following a real chain: long ranges, what is in the books, reorganisations, and what it costs in requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.adapter import DisputedError
from chains.errors import InputError, RetryError
from chains.evm import adapter as evm
from chains.evm.vault import balance_slot
from chains.proofs.keccak import keccak
from chains.types import NATIVE_COIN, AccountId, Height
from tests.integration.evm.conftest import Panel
from tests.integration.evm.harness import ACCOUNTS

ALICE, BOB = ACCOUNTS[:2]


async def test_a_long_range_in_small_pieces_gives_the_whole_books(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("HEADERS", 4), ("RECEIPTS", 2), ("SLOTS", 4)):
        monkeypatch.setattr(evm, f"{name}_A_REQUEST", size)
    monkeypatch.setattr(evm, "SLOTS_A_CALL", 3)
    many = [AccountId(keccak(b"many" + bytes((index,)))) for index in range(12)]
    for index, account in enumerate(many):
        panel.site.deposit(account, NATIVE_COIN, index + 1)
        panel.site.mine(index % 3)
    panel.site.settle()
    async with panel.adapter() as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        delta = await adapter.delta(None, cut)
    # One block for each deposit, and that of the deployment; the bloom filter spares the others.
    assert sum(proxy.calls.get("eth_getBlockReceipts", 0) for proxy in panel.proxies) == len(many) + 1
    expected = {account: {NATIVE_COIN: index + 1} for index, account in enumerate(many)}
    assert {account: dict(entry.balances) for account, entry in delta.accounts.items()} == expected


async def test_a_token_that_the_recipe_does_not_name_is_in_the_books(panel: Panel) -> None:
    assert panel.site.token not in {token.token for token in panel.site.recipe.tokens}
    panel.site.deposit(ALICE, panel.site.token, 5)
    panel.site.settle()
    async with panel.adapter() as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        assert (await adapter.delta(None, cut)).accounts[ALICE].balances == {panel.site.token: 5}


async def test_a_change_without_an_event_cannot_be_told_but_events_are_checked_against_storage(panel: Panel) -> None:
    """The books at the cut are what storage says, whatever amounts the events of the way there state."""
    panel.site.deposit(ALICE, NATIVE_COIN, 5)
    slot = balance_slot(ALICE, NATIVE_COIN)
    vault = panel.site.world.vault.address
    panel.site.chain.rpc("anvil_setStorageAt", vault, "0x" + slot.hex(), "0x" + (9).to_bytes(32, "big").hex())
    panel.site.mine()
    panel.site.settle()
    async with panel.adapter() as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        assert (await adapter.delta(None, cut)).accounts[ALICE].balances == {NATIVE_COIN: 9}


async def test_a_reorganisation_below_finality_is_disputed_and_blamed_on_nobody(panel: Panel) -> None:
    panel.site.mine(5)
    panel.site.deposit(ALICE, NATIVE_COIN, 5)
    panel.site.settle()
    async with panel.adapter() as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        since = (await adapter.delta(None, cut)).checkpoint
        panel.site.fork(4)
        panel.site.mine(3)
        panel.look_again()
        (cut,) = await adapter.final_cuts(since.cut.height, 1)
        with pytest.raises(DisputedError) as caught:
            await adapter.delta(since, cut)
        assert caught.value.values["height"] == since.cut.height
        assert not panel.faults


async def test_a_cut_that_vanishes_while_it_is_read_is_asked_for_again(panel: Panel) -> None:
    panel.site.mine(5)
    async with panel.adapter() as adapter:
        (before,) = await adapter.final_cuts(Height(0), 1)
        panel.site.fork(4)
        panel.site.mine(1)
        with pytest.raises(RetryError):  # trusted a moment ago; nobody can prove anything against it now
            await adapter.delta(None, before)
        panel.look_again()
        with pytest.raises(DisputedError):
            await adapter.delta(None, before)
        (after,) = await adapter.final_cuts(Height(0), 1)
        await adapter.delta(None, after)


async def test_a_feed_that_changed_its_code_is_left_out_and_named_once(panel: Panel) -> None:
    panel.site.post(2000 * 10**8)
    panel.site.settle()
    recipe = panel.site.recipe
    other = replace(recipe.feeds[0], source="other", code_hash=keccak(b"other"))
    async with panel.adapter(replace(recipe, feeds=(other, recipe.feeds[0]))) as adapter:
        for _ in range(3):
            assert [quote.source for quote in await adapter.quotes()] == [recipe.feeds[0].source]
            panel.site.mine()
            panel.look_again()
    assert [(fault.endpoint, fault.reason) for fault in panel.faults] == [("other", "DISPUTED")]


async def test_a_delta_backwards_is_a_mistake_of_the_caller(panel: Panel) -> None:
    panel.site.mine(3)
    async with panel.adapter() as adapter:
        early, late = await adapter.final_cuts(Height(0), 2)
        since = (await adapter.delta(None, late)).checkpoint
        with pytest.raises(InputError):
            await adapter.delta(since, early)


async def test_an_idle_poll_is_one_request_an_endpoint_and_a_quiet_block_two_more(panel: Panel) -> None:
    panel.site.post(2000 * 10**8)
    panel.site.settle()

    def requests() -> int:
        return sum(proxy.requests for proxy in panel.proxies)

    async with panel.adapter() as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        since = (await adapter.delta(None, cut)).checkpoint
        await adapter.quotes()

        before = requests()
        panel.look_again()
        await adapter.quotes()
        assert await adapter.final_cuts(cut.height, 1) == ()
        assert requests() - before == 3

        panel.site.mine()
        before = requests()
        panel.look_again()
        await adapter.quotes()
        (cut,) = await adapter.final_cuts(cut.height, 1)
        assert (await adapter.delta(since, cut)).accounts == {}
        assert requests() - before == 5  # three heads, the quotes, the vault's account
