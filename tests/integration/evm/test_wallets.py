"""What wallets hold themselves, on a real chain: coins, tokens, shares, staked ones; of keys and of contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from eth_utils.address import to_checksum_address
from web3.contract import Contract

from chains.errors import ProofError, RetryError
from chains.evm import adapter as evm_adapter
from chains.evm.adapter import EvmAdapter
from chains.evm.contracts import Artifact
from chains.evm.proxy import Lie
from chains.types import NATIVE_COIN, Address, Cut, Hash32, Height
from node.consensus.outcome.cuts import unstarted
from node.ingest.follower import ChainFollower
from node.model.ledger import Holdings
from node.model.merkle import MerkleMap
from node.model.state import Control
from tests.integration.evm.harness import ACCOUNTS, raw_address
from tests.integration.evm.market import Market
from tests.integration.evm.test_consequences import Silent
from tests.integration.evm.test_lies import REASONS

pytestmark = pytest.mark.timeout(180)  # the first compiles the tokens

ALICE = ACCOUNTS[0]
NOBODY = Address(b"\x5b" * 20)


@pytest.fixture
def wallet(market: Market) -> Address:
    """Of a key, with nothing in it but coins."""
    return Address(bytes.fromhex(market.world.stranger.removeprefix("0x")))


def give(market: Market, token: Contract, to: Address, amount: int) -> None:
    market.world.chain.send(token.functions.mint(to_checksum_address(to), amount))


def set_coins(market: Market, wallet: Address, amount: int) -> None:
    market.world.chain.rpc("anvil_setBalance", "0x" + wallet.hex(), hex(amount))


async def test_everything_that_a_wallet_holds_is_proven(market: Market, wallet: Address) -> None:
    chain, owner = market.world.chain, market.world.stranger
    for token, amount in ((market.moody, 1_000), (market.staked, 22), (market.proxy, 33)):
        give(market, token, wallet, amount)
    chain.send(market.moody.functions.approve(market.shares.address, 400), sender=owner)
    chain.send(market.shares.functions.deposit(400, owner), sender=owner)
    set_coins(market, wallet, 5 * 10**18)
    assert await market.free(wallet, NOBODY) == {
        wallet: {
            NATIVE_COIN: 5 * 10**18,
            raw_address(market.moody): 600,
            raw_address(market.staked): 22,
            raw_address(market.shares): 400,
            raw_address(market.proxy): 33,
        },
        NOBODY: {},
    }
    assert not market.panel.faults


async def test_what_leaves_a_wallet_is_gone_at_the_next_cut(market: Market, wallet: Address) -> None:
    set_coins(market, wallet, 10**18)
    give(market, market.moody, wallet, 10)
    assert (await market.free(wallet))[wallet] == {NATIVE_COIN: 10**18, raw_address(market.moody): 10}
    market.world.chain.send(market.moody.functions.burn(to_checksum_address(wallet), 10))
    set_coins(market, wallet, 0)
    assert (await market.free(wallet))[wallet] == {}


async def test_a_contract_wallet_holds_as_well(market: Market, compiled: Mapping[str, Artifact]) -> None:
    wallet = raw_address(market.world.chain.deploy(compiled["Wallet"]))
    give(market, market.moody, wallet, 9)
    set_coins(market, wallet, 3)
    assert (await market.free(wallet))[wallet] == {NATIVE_COIN: 3, raw_address(market.moody): 9}


async def test_a_token_itself_may_be_somebodys_wallet(market: Market) -> None:
    """Its account is then proven once, for what it holds and for what it keeps."""
    token = raw_address(market.moody)
    give(market, market.moody, token, 9)
    set_coins(market, token, 3)
    assert (await market.free(token))[token] == {NATIVE_COIN: 3, token: 9}


@pytest.mark.parametrize("lie", [Lie.ALTERED_VALUE, Lie.ALTERED_PROOF, Lie.OTHER_BLOCK, Lie.PROOF_WINDOW])
async def test_an_endpoint_that_lies_about_a_wallet_is_caught(market: Market, wallet: Address, lie: Lie) -> None:
    set_coins(market, wallet, 10**18)
    give(market, market.moody, wallet, 10)
    market.settle()
    async with market.panel.adapter(market.free_recipe) as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        market.panel.liar.lie = lie
        found = await adapter.free_balances(cut, (wallet,))
    assert found[wallet] == {NATIVE_COIN: 10**18, raw_address(market.moody): 10}
    assert market.panel.named == {(0, REASONS[lie])}


async def test_without_an_honest_endpoint_nothing_is_said_of_wallets(market: Market, wallet: Address) -> None:
    market.settle()
    async with market.panel.adapter(market.free_recipe) as adapter:
        (cut,) = await adapter.final_cuts(Height(0), 1)
        for proxy in market.panel.proxies:
            proxy.lie = Lie.ALTERED_VALUE
        with pytest.raises((RetryError, ProofError)):
            await adapter.free_balances(cut, (wallet,))


async def test_of_a_token_that_was_upgraded_nobody_knows_how_much_there_is(market: Market, wallet: Address) -> None:
    chain, proxy = market.world.chain, market.proxy
    set_coins(market, wallet, 0)
    give(market, proxy, wallet, 50)
    give(market, market.moody, wallet, 60)
    chain.send(proxy.functions.upgradeToAndCall(market.second.address, b""))
    upgraded, moody = raw_address(proxy), raw_address(market.moody)
    found = await market.free(wallet, NOBODY)
    assert found == {wallet: {upgraded: None, moody: 60}, NOBODY: {upgraded: None}}
    chain.send(proxy.functions.upgradeToAndCall(market.first.address, b""))
    assert await market.free(wallet, NOBODY) == {wallet: {upgraded: 50, moody: 60}, NOBODY: {}}


@pytest.mark.parametrize("whose", ["token", "implementation"])
async def test_other_code_makes_it_unknown_too(market: Market, wallet: Address, whose: str) -> None:
    give(market, market.proxy, wallet, 50)
    changed = market.proxy if whose == "token" else market.first
    code = bytes(market.world.chain.web3.eth.get_code(changed.address))
    market.world.chain.rpc("anvil_setCode", changed.address, "0x" + (code + b"\0").hex())
    assert (await market.free(wallet))[wallet][raw_address(market.proxy)] is None
    market.world.chain.rpc("anvil_setCode", changed.address, "0x" + code.hex())
    assert (await market.free(wallet))[wallet][raw_address(market.proxy)] == 50


async def test_a_token_without_a_recipe_is_unknown(market: Market, wallet: Address) -> None:
    tokens = (replace(market.recipe.tokens[1], storage=None), market.recipe.tokens[2])
    market.recipe = replace(market.recipe, tokens=tokens)
    assert await market.free(wallet) == {wallet: {tokens[0].token: None}}


async def test_what_did_not_change_is_not_asked_for_again(market: Market, wallet: Address) -> None:
    def proofs() -> int:
        return sum(proxy.calls.get("eth_getProof", 0) for proxy in market.panel.proxies)

    give(market, market.moody, wallet, 10)
    give(market, market.staked, wallet, 20)
    set_coins(market, wallet, 0)
    recipe = replace(market.free_recipe, tokens=market.free_recipe.tokens[:3])
    seen, asked = [], []
    async with market.panel.adapter(recipe) as adapter:
        for change in (None, None, market.moody, None):
            if change is not None:
                give(market, change, NOBODY, 1)  # nothing to the wallet, and yet it has to be proven again
            market.settle()
            (cut,) = await adapter.final_cuts(Height(0), 1)
            before = proofs()
            seen.append((await adapter.free_balances(cut, (wallet,)))[wallet])
            asked.append(proofs() - before)
        (cut,) = await adapter.final_cuts(Height(0), 1)
        before = proofs()
        assert (await adapter.free_balances(cut, (wallet, NOBODY)))[NOBODY] == {raw_address(market.moody): 1}
        asked.append(proofs() - before)
        give(market, market.moody, wallet, 5)
        market.settle()
        (cut,) = await adapter.final_cuts(Height(0), 1)
        assert (await adapter.free_balances(cut, (wallet,)))[wallet][raw_address(market.moody)] == 15
    assert seen == [{raw_address(market.moody): 10, raw_address(market.staked): 20}] * 4
    # The wallet's coins and both tokens' accounts; then the slots in the tokens that changed, or of who is new.
    assert asked == [3 + 2, 3, 3 + 1, 3, 4 + 2]


async def test_many_wallets_are_proven_in_requests_of_a_bounded_size(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evm_adapter, "SLOTS_A_CALL", 2)
    monkeypatch.setattr(evm_adapter, "SLOTS_A_REQUEST", 6)
    monkeypatch.setattr(evm_adapter, "CONTRACTS_A_REQUEST", 4)
    wallets = [Address(bytes([number]) * 20) for number in range(0x30, 0x3D)]
    for number, each in enumerate(wallets):
        set_coins(market, each, number)
        if number % 3 == 0:
            give(market, market.moody, each, 100 + number)
    found = await market.free(*wallets)
    expected = {
        each: ({NATIVE_COIN: number} if number else {})
        | ({raw_address(market.moody): 100 + number} if number % 3 == 0 else {})
        for number, each in enumerate(wallets)
    }
    assert found == expected
    assert not market.panel.faults


async def test_nodes_that_learn_of_a_wallet_at_different_times_compute_one_root(
    market: Market, wallet: Address
) -> None:
    """One was told before it looked at the chain, and has a liar among its endpoints; the other was told after."""
    watched = ((ALICE, wallet),)
    recipe = replace(market.free_recipe, max_watched=4, from_height=Height(market.panel.site.height))
    nobody, everybody = ((), tuple((recipe.chain_id, *each) for each in watched))
    state, control = unstarted(recipe.chain_id)

    async def vote(adapter: EvmAdapter, *, early: bool) -> tuple[Cut, Hash32, Holdings]:
        follower = ChainFollower(adapter, recipe, state, MerkleMap(), Silent())
        follower.agreed(Control(1, (control,), (), None, (), (), everybody if early else nobody))
        await follower.poll()
        cut = follower.candidates[-1]
        assert (follower.vote(cut, watched) is not None) == early
        follower.agreed(Control(1, (replace(control, pending=cut, watched=watched),), (), None, (), (), nobody))
        await follower.poll()
        found = follower.vote(cut, watched)
        book = follower.book(found.root) if found is not None else None
        leaf = book.get(ALICE) if book is not None else None
        assert found is not None
        assert leaf is not None
        return cut, found.root, Holdings.decode(leaf)

    give(market, market.moody, wallet, 10)
    market.deposit(market.moody, 5)
    market.settle()
    market.panel.liar.lie = Lie.ALTERED_VALUE
    async with market.panel.adapter(recipe) as adapter:
        first = await vote(adapter, early=True)
    market.panel.liar.lie = None
    async with market.panel.adapter(recipe) as adapter:
        assert await vote(adapter, early=False) == first
    assert dict(first[2].balances) == {raw_address(market.moody): 5}
    assert dict(first[2].free[0].balances)[raw_address(market.moody)] == 10
    assert market.panel.named == {(0, "WRONG_VALUE")}
