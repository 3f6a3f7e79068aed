"""What a vault holds of its tokens, and what they are, on a real chain: burnt, taxed, rebased, staked, upgraded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from eth_utils.address import to_checksum_address
from web3.contract import Contract

from chains.evm.contracts import Artifact, artifact
from chains.evm.proxy import Lie
from chains.proofs.keccak import keccak
from chains.proofs.slots import uint_word
from chains.types import NATIVE_COIN, Address, Amount, Height, MappingRecipe, TokenFact
from tests.integration.contracts.harness import NATIVE, UNLIMITED
from tests.integration.evm.conftest import Panel
from tests.integration.evm.harness import ACCOUNTS, raw_address
from tests.integration.evm.market import Market

pytestmark = pytest.mark.timeout(180)  # the first compiles the tokens

ALICE, BOB = ACCOUNTS[:2]


def proven(booked: int, held: int, *, disputed: bool = False) -> TokenFact:
    return TokenFact(Amount(booked), Amount(held), disputed=disputed)


def name_of(token: Contract) -> str:
    return f"token 0x{raw_address(token).hex()}"


async def test_what_is_there_is_proven_beside_the_books(market: Market) -> None:
    market.deposit(market.moody, 700)
    market.deposit(market.moody, 300, BOB)
    market.world.chain.send(market.world.vault.functions.depositNative(ALICE), sender=market.world.owner, value=5)
    facts = await market.facts()
    assert facts[raw_address(market.moody)] == proven(1000, 1000)
    assert facts[NATIVE_COIN] == proven(5, 5)
    assert set(facts) == {token.token for token in market.recipe.tokens}
    assert not market.panel.faults


async def test_a_burn_a_fee_and_a_rebase_are_seen(market: Market) -> None:
    vault, functions = market.world.vault.address, market.moody.functions
    market.deposit(market.moody, 1000)
    market.world.chain.send(functions.burn(vault, 250))
    fact = await market.fact(market.moody)
    assert (fact.booked, fact.held) == (1000, 750)
    market.world.chain.send(functions.setGreedy(True))
    market.deposit(market.moody, 100)
    fact = await market.fact(market.moody)
    assert (fact.booked, fact.held) == (1099, 849)  # the fee was never booked
    market.world.chain.send(functions.rebase(vault, 1, 3))
    fact = await market.fact(market.moody)
    assert (fact.booked, fact.held) == (1099, 283)
    market.world.chain.send(functions.rebase(vault, 5, 1))
    fact = await market.fact(market.moody)
    assert (fact.booked, fact.held) == (1099, 1415)
    assert not any(facts.disputed for facts in (await market.facts()).values())


async def test_coins_sent_past_the_vault_are_there_and_in_nobodys_books(market: Market) -> None:
    market.world.chain.rpc("anvil_setBalance", market.world.vault.address, hex(7))
    assert (await market.facts())[NATIVE_COIN] == proven(0, 7)


@pytest.mark.parametrize("lie", [Lie.ALTERED_VALUE, Lie.ALTERED_PROOF, Lie.OTHER_BLOCK])
async def test_an_endpoint_that_flatters_the_vault_is_caught(market: Market, lie: Lie) -> None:
    market.deposit(market.moody, 1000)
    market.world.chain.send(market.moody.functions.burn(market.world.vault.address, 999))
    market.panel.liar.lie = lie
    fact = await market.fact(market.moody)
    assert (fact.booked, fact.held) == (1000, 1)
    assert {index for index, _ in market.panel.named} == {0}


async def test_a_staked_tokens_rate_is_read_from_its_part_of_a_slot(market: Market) -> None:
    market.deposit(market.staked, 10)
    assert (await market.fact(market.staked)).rate == (10**18, 10**18)
    market.world.chain.send(market.staked.functions.setRate(1_042 * 10**15))
    assert (await market.fact(market.staked)).rate == (1_042 * 10**15, 10**18)


async def test_shares_are_worth_what_their_vault_says_they_convert_to(market: Market) -> None:
    chain, owner, shares = market.world.chain, market.world.owner, market.shares
    market.world.fund(market.moody)
    chain.send(market.moody.functions.approve(shares.address, 2**256 - 1), sender=owner)
    chain.send(shares.functions.deposit(10_000, owner), sender=owner)
    chain.send(market.moody.functions.mint(shares.address, 2_500))  # what the vault earns
    chain.send(shares.functions.approve(market.world.vault.address, 2**256 - 1), sender=owner)
    chain.send(market.world.vault.functions.deposit(ALICE, shares.address, 4_000), sender=owner)
    fact = await market.fact(shares)
    assert (fact.booked, fact.held, fact.rate) == (4_000, 4_000, (12_501, 10_001))
    assert fact.rate is not None
    assert 4_000 * fact.rate[0] // fact.rate[1] == shares.functions.convertToAssets(4_000).call()


async def test_an_upgrade_disputes_the_token_and_no_other_until_it_is_taken_back(market: Market) -> None:
    chain, proxy = market.world.chain, market.proxy
    market.deposit(proxy, 50)
    market.deposit(market.moody, 60)
    assert await market.fact(proxy) == proven(50, 50)
    chain.send(proxy.functions.upgradeToAndCall(market.second.address, b""))
    for _ in range(2):
        facts = await market.facts()
        assert facts[raw_address(proxy)] == proven(50, 0, disputed=True)
        assert facts[raw_address(market.moody)] == proven(60, 60)
    assert set(market.disputes) == {(name_of(proxy), "DISPUTED")}
    assert market.second.address[2:].lower() in market.panel.faults[0].detail
    chain.send(proxy.functions.upgradeToAndCall(market.first.address, b""))
    assert await market.fact(proxy) == proven(50, 50)


async def test_a_dispute_is_named_once_and_again_when_it_comes_back(market: Market) -> None:
    chain, proxy = market.world.chain, market.proxy
    since = None
    async with market.panel.adapter(market.recipe) as adapter:
        for implementation in (market.second, market.second, market.first, market.second):
            chain.send(proxy.functions.upgradeToAndCall(implementation.address, b""))
            market.panel.site.settle()
            market.panel.look_again()
            (cut,) = await adapter.final_cuts(Height(0), 1)
            since = (await adapter.delta(since, cut)).checkpoint
    assert market.disputes == [(name_of(proxy), "DISPUTED")] * 2


@pytest.mark.parametrize("whose", ["token", "implementation"])
async def test_other_code_disputes_the_token(market: Market, whose: str) -> None:
    market.deposit(market.proxy, 50)
    changed = market.proxy if whose == "token" else market.first
    code = bytes(market.world.chain.web3.eth.get_code(changed.address))
    market.world.chain.rpc("anvil_setCode", changed.address, "0x" + (code + b"\0").hex())
    assert (await market.fact(market.proxy)).disputed
    market.world.chain.rpc("anvil_setCode", changed.address, "0x" + code.hex())
    assert not (await market.fact(market.proxy)).disputed


async def test_shares_of_a_disputed_token_are_disputed(market: Market) -> None:
    code = bytes(market.world.chain.web3.eth.get_code(market.moody.address))
    market.world.chain.rpc("anvil_setCode", market.moody.address, "0x" + (code + b"\0").hex())
    facts = await market.facts()
    assert {token for token, fact in facts.items() if fact.disputed} == {
        raw_address(market.moody),
        raw_address(market.shares),
    }


async def test_a_vyper_mapping_hashes_the_slot_first(market: Market) -> None:
    """keccak(slot ‖ key), which is where Vyper's HashMap keeps a value."""
    market.deposit(market.moody, 5)
    holder = bytes.fromhex(market.world.vault.address[2:]).rjust(32, b"\0")
    slot = keccak(uint_word(9) + holder)
    market.world.chain.rpc(
        "anvil_setStorageAt", market.moody.address, "0x" + slot.hex(), "0x" + (3).to_bytes(32, "big").hex()
    )
    market.panel.site.mine()
    vyper = tuple(
        replace(token, storage=replace(token.storage, balances=MappingRecipe(uint_word(9), slot_first=True)))
        if token.asset == "MDY" and token.storage is not None
        else token
        for token in market.recipe.tokens
    )
    market.recipe = replace(market.recipe, tokens=vyper)
    assert (await market.fact(market.moody)).held == 3


async def test_a_token_of_which_the_vault_lets_out_more_or_less_is_disputed(market: Market) -> None:
    for cap, wrong in ((UNLIMITED, set[Address]()), (UNLIMITED - 1, {raw_address(market.moody)})):
        capped = tuple(
            replace(token, cap=Amount(cap)) if token.asset == "MDY" else token for token in market.recipe.tokens
        )
        market.recipe = replace(market.recipe, tokens=capped)
        facts = await market.facts()
        assert {token for token, fact in facts.items() if fact.disputed} == wrong


async def test_a_token_without_a_recipe_is_disputed(market: Market) -> None:
    bare = tuple(replace(token, storage=None, rate=None) for token in market.recipe.tokens)
    market.recipe = replace(market.recipe, tokens=bare)
    facts = await market.facts()
    assert [token for token, fact in facts.items() if not fact.disputed] == [NATIVE_COIN]


async def test_a_contract_wallet_says_in_the_registry_whose_it_is(
    panel: Panel, compiled: Mapping[str, Artifact]
) -> None:
    """It has no key to sign with; what its code did is proven from the vault's storage."""
    chain, vault = panel.site.chain, panel.site.world.vault
    wallet = chain.deploy(compiled["Wallet"])
    for joins in (True, False):
        chain.send(wallet.functions.run(vault.address, vault.encode_abi("setLink", [ALICE, joins])))
        panel.site.settle()
        panel.look_again()
        async with panel.adapter() as adapter:
            delta = await adapter.delta(None, (await adapter.final_cuts(Height(0), 1))[0])
        assert delta.links == {(ALICE, raw_address(wallet)): joins}


def test_the_slot_is_where_openzeppelin_keeps_balances() -> None:
    assert artifact("TestToken").slot("_balances") == 0
    assert to_checksum_address(NATIVE_COIN) == NATIVE
