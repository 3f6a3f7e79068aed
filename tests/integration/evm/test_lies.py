"""An endpoint that lies or fails, before a real node: it is caught and named, and the truth still comes out."""

from __future__ import annotations

import random

import pytest

from chains.errors import HypothecError, ProofError, QuorumError, RetryError
from chains.evm.adapter import EvmAdapter
from chains.evm.proxy import Lie
from chains.types import NATIVE_COIN, AccountId, ChainDelta, Checkpoint, Cut, Height, Quote
from tests.integration.evm.conftest import Panel
from tests.integration.evm.harness import ACCOUNTS

ALICE, BOB = ACCOUNTS[:2]
Seen = tuple[Cut, ChainDelta, tuple[Quote, ...]]

REASONS = {
    Lie.ALTERED_VALUE: "WRONG_VALUE",
    Lie.ALTERED_PROOF: "BAD_PROOF",
    Lie.ALTERED_HEADER: "WRONG_HEADER",
    Lie.FORGED_HEADER: "DISAGREES",
    Lie.FORGED_ANCESTOR: "WRONG_BLOCK",
    Lie.OTHER_BLOCK: "WRONG_BLOCK",
    Lie.STALE_HEAD: "STALE_HEAD",
    Lie.MISSING_LOG: "MISSING_LOG",
    Lie.MISSING_RECEIPT: "MISSING_LOG",
    Lie.WRONG_CHAIN: "WRONG_CHAIN",
    Lie.UNKNOWN_BLOCK: "UNKNOWN_BLOCK",
    Lie.PROOF_WINDOW: "PROOF_WINDOW",
    Lie.PRUNED: "UNKNOWN_BLOCK",
    Lie.RPC_ERROR: "RPC_ERROR",
    Lie.HTTP_500: "HTTP_ERROR",
    Lie.RATE_LIMITED: "RATE_LIMITED",
    Lie.NOT_JSON: "MALFORMED_ANSWER",
    Lie.TRUNCATED: "UNREACHABLE",
    Lie.OVERSIZED: "OVERSIZED",
    Lie.HANG: "TIMEOUT",
}


async def follow(adapter: EvmAdapter, since: Checkpoint) -> Seen:
    (cut,) = await adapter.final_cuts(since.cut.height, 1)
    return cut, await adapter.delta(since, cut), await adapter.quotes()


async def start(panel: Panel, adapter: EvmAdapter) -> Checkpoint:
    """Some history, followed while everybody is honest."""
    panel.site.deposit(ALICE, NATIVE_COIN, 1000)
    panel.site.post(2000 * 10**8)
    panel.site.settle()
    (cut,) = await adapter.final_cuts(Height(0), 1)
    return (await adapter.delta(None, cut)).checkpoint


def happen(panel: Panel) -> None:
    """Changes of all kinds, final."""
    panel.site.deposit(BOB, panel.site.token, 70)
    panel.site.release(ALICE, NATIVE_COIN, 300)
    panel.site.release(BOB, panel.site.token, 20, purpose="seizure")
    panel.site.post(1900 * 10**8)
    panel.site.settle()
    panel.look_again()


def is_true(panel: Panel, seen: Seen) -> bool:
    _, delta, quotes = seen
    books = {account: (entry.nonce, dict(entry.balances)) for account, entry in delta.accounts.items()}
    return books == {ALICE: (1, {NATIVE_COIN: 700}), BOB: (1, {panel.site.token: 50})} and [
        quote.price for quote in quotes
    ] == [1900 * 10**12]


def test_every_lie_has_a_name() -> None:
    assert REASONS.keys() == set(Lie)


@pytest.mark.parametrize("lie", Lie, ids=lambda lie: lie.name)
async def test_a_liar_is_named_and_the_truth_comes_from_the_others(panel: Panel, lie: Lie) -> None:
    panel.patience = 0.5 if lie is Lie.HANG else panel.patience
    async with panel.adapter() as adapter:
        since = await start(panel, adapter)
        panel.look_again()
        panel.liar.lie = lie
        if lie is Lie.STALE_HEAD:
            await adapter.final_cuts(Height(0), 1)  # where it stops
        happen(panel)
        seen = await follow(adapter, since)
        if lie is Lie.STALE_HEAD:
            assert not panel.faults, "an endpoint may be a little behind"
            panel.now += 11
            await adapter.final_cuts(Height(0), 1)
        assert is_true(panel, seen)
        assert panel.named == {(0, REASONS[lie])}


# All endpoints stopping alike is a halted chain, and no lie.
@pytest.mark.parametrize("lie", [lie for lie in Lie if lie is not Lie.STALE_HEAD], ids=lambda lie: lie.name)
async def test_if_all_lie_there_is_an_error_and_no_figure(panel: Panel, lie: Lie) -> None:
    panel.patience = 0.5 if lie is Lie.HANG else panel.patience
    async with panel.adapter() as adapter:
        since = await start(panel, adapter)
        for proxy in panel.proxies:
            proxy.lie = lie
        happen(panel)
        with pytest.raises(HypothecError) as caught:
            await follow(adapter, since)
        assert isinstance(caught.value, RetryError | ProofError)
        assert {index for index, _ in panel.named} >= {0}
        # It is the endpoints that were at fault, and nothing has stuck.
        for proxy in panel.proxies:
            proxy.lie = None
        panel.look_again()
        assert is_true(panel, await follow(adapter, since))


@pytest.mark.parametrize("lie", [Lie.ALTERED_VALUE, Lie.ALTERED_PROOF], ids=lambda lie: lie.name)
async def test_if_no_endpoint_proves_a_quote_it_is_left_out(panel: Panel, lie: Lie) -> None:
    async with panel.adapter() as adapter:
        await start(panel, adapter)
        assert len(await adapter.quotes()) == 1
        for proxy in panel.proxies:
            proxy.lie = lie
        happen(panel)
        assert await adapter.quotes() == ()


async def test_a_liar_is_not_asked_while_it_is_set_aside_and_gets_another_chance(panel: Panel) -> None:
    async with panel.adapter() as adapter:
        await start(panel, adapter)
        panel.liar.lie = Lie.WRONG_CHAIN
        for _ in range(5):
            panel.look_again()
            panel.liar.requests = 0
            await adapter.final_cuts(Height(0), 1)
        assert panel.liar.requests == 0
        assert len(panel.faults) == 1
        panel.liar.lie = None
        panel.now += 31
        await adapter.final_cuts(Height(0), 1)
        assert panel.liar.requests == 1
        assert len(panel.faults) == 1


async def test_two_honest_endpoints_outvote_one_that_forges_every_header(panel: Panel) -> None:
    panel.liar.lie = Lie.FORGED_HEADER
    async with panel.adapter() as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        real = panel.site.chain.web3.eth.get_block(cut.height)
        assert cut.block_hash == bytes(real["hash"])
        assert panel.named == {(0, "DISAGREES")}


async def test_one_against_one_is_no_quorum(panel: Panel) -> None:
    panel.proxies[0].lie = Lie.FORGED_HEADER
    panel.proxies[1].lie = Lie.HTTP_500
    async with panel.adapter() as adapter:
        with pytest.raises(QuorumError):
            await adapter.final_cuts(Height(0), 1)
        panel.proxies[1].lie = None  # set aside, but the third opinion is needed
        assert len(await adapter.final_cuts(Height(0), 1)) == 1
        assert panel.named == {(0, "DISAGREES"), (1, "HTTP_ERROR")}


async def test_one_endpoint_is_too_few(panel: Panel) -> None:
    panel.proxies[0].lie = panel.proxies[1].lie = Lie.HTTP_500
    async with panel.adapter() as adapter:
        with pytest.raises(RetryError) as caught:
            await adapter.final_cuts(Height(0), 1)
        assert not isinstance(caught.value, QuorumError)


async def test_a_quorum_that_forges_headers_alike_still_proves_nothing(panel: Panel) -> None:
    async with panel.adapter() as adapter:
        since = await start(panel, adapter)
        panel.proxies[0].lie = panel.proxies[1].lie = Lie.FORGED_HEADER
        happen(panel)
        with pytest.raises((RetryError, ProofError)):
            await follow(adapter, since)


@pytest.mark.parametrize("seed", range(4))
async def test_whoever_lies_next_the_books_are_followed_without_a_gap(panel: Panel, seed: int) -> None:
    """One endpoint lies at a time, in any way, and those of before are still set aside: nothing is lost or late."""
    rng = random.Random(seed)
    quick = [lie for lie in Lie if lie is not Lie.HANG]
    expected: dict[AccountId, int] = {}
    books: dict[AccountId, int] = {}
    async with panel.adapter() as adapter:
        since: Checkpoint | None = None
        for _ in range(12):
            for proxy in panel.proxies:
                proxy.lie = None
            rng.choice(panel.proxies).lie = rng.choice(quick)
            for _ in range(rng.randint(0, 3)):
                account, amount = rng.choice(ACCOUNTS), rng.randint(1, 99)
                panel.site.deposit(account, NATIVE_COIN, amount)
                expected[account] = expected.get(account, 0) + amount
            panel.site.mine(rng.randint(1, 2))
            panel.site.settle()
            panel.now += rng.choice((0.5, 1.0, 20.0))
            (cut,) = await adapter.final_cuts(since.cut.height if since else Height(0), 1)
            delta = await adapter.delta(since, cut)
            books |= {account: entry.balances[NATIVE_COIN] for account, entry in delta.accounts.items()}
            since = delta.checkpoint
            assert books == expected
    assert panel.faults
