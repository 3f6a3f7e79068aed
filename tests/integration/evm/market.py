"""A vault for tokens of every kind, compiled and deployed: burnt, taxed, rebased, staked, upgraded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from web3.contract import Contract

from chains.evm.contracts import Artifact, build, parse_artifact
from chains.proofs.keccak import keccak
from chains.proofs.slots import uint_word
from chains.types import (
    NATIVE_COIN,
    Address,
    ChainRecipe,
    FreeBalances,
    Hash32,
    Height,
    MappingRecipe,
    ProxyRecipe,
    RateRecipe,
    StorageRecipe,
    TokenFact,
    TokenRecipe,
    WordRecipe,
)
from tests.integration.contracts.harness import NATIVE, UNLIMITED
from tests.integration.contracts.world import World
from tests.integration.evm.harness import ACCOUNTS, Site, raw_address

if TYPE_CHECKING:
    from tests.integration.evm.conftest import Panel

IMPLEMENTATION_SLOT = Hash32(bytes.fromhex("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"))
"""keccak("eip1967.proxy.implementation") − 1, as ERC-1967 has it."""


def compiled_assets() -> Mapping[str, Artifact]:
    source = Path(__file__).with_name("assets.sol").read_text(encoding="utf-8")
    return {
        name: parse_artifact(json.dumps(raw)) for name, raw in build.compile_sources({"assets.sol": source}).items()
    }


@dataclass
class Market:
    """A vault for tokens of every kind, and a recipe for each."""

    panel: Panel
    world: World
    recipe: ChainRecipe
    moody: Contract
    staked: Contract
    shares: Contract
    proxy: Contract
    first: Contract
    second: Contract

    def deposit(self, token: Contract, amount: int, account: bytes = ACCOUNTS[0]) -> None:
        self.world.fund(token)
        call = self.world.vault.functions.deposit(account, token.address, amount)
        self.world.chain.send(call, sender=self.world.owner)

    def settle(self) -> None:
        self.panel.site.mine()  # what anvil was told to set is in no block yet
        self.panel.site.settle()
        self.panel.look_again()

    async def facts(self) -> dict[Address, TokenFact]:
        self.settle()
        async with self.panel.adapter(self.recipe) as adapter:
            (cut,) = await adapter.final_cuts(Height(0), 1)
            return dict((await adapter.delta(None, cut)).tokens)

    async def fact(self, token: Contract) -> TokenFact:
        return (await self.facts())[raw_address(token)]

    @property
    def free_recipe(self) -> ChainRecipe:
        """The recipe of one who reports what wallets hold of every token."""
        return replace(self.recipe, tokens=tuple(replace(token, free=True) for token in self.recipe.tokens))

    async def free(self, *wallets: Address) -> Mapping[Address, FreeBalances]:
        """What they hold once all that happened is final."""
        self.settle()
        async with self.panel.adapter(self.free_recipe) as adapter:
            (cut,) = await adapter.final_cuts(Height(0), 1)
            return await adapter.free_balances(cut, wallets)

    @property
    def disputes(self) -> list[tuple[str, str]]:
        return [(fault.endpoint, fault.reason) for fault in self.panel.faults]


def open_market(panel: Panel, compiled: Mapping[str, Artifact]) -> Market:
    site: Site = panel.site
    chain, base = site.chain, site.world
    moody, staked = chain.deploy(compiled["MoodyToken"]), chain.deploy(compiled["StakedToken"])
    shares = chain.deploy(compiled["Shares"], moody.address)
    first, second = chain.deploy(compiled["UpgradeableToken"]), chain.deploy(compiled["UpgradedToken"])
    proxy = chain.web3.eth.contract(
        address=chain.deploy(compiled["TokenProxy"], first.address).address, abi=compiled["UpgradedToken"].abi
    )
    world = base.with_vault(
        {NATIVE: UNLIMITED, **{token.address: UNLIMITED for token in (moody, staked, shares, proxy)}}
    )

    def code_hash(contract: Contract) -> Hash32:
        return keccak(bytes(chain.web3.eth.get_code(contract.address)))

    def storage(contract: Contract, name: str, proxied: ProxyRecipe | None = None) -> StorageRecipe:
        slot = uint_word(compiled[name].slot("_balances"))
        return StorageRecipe(code_hash(contract), MappingRecipe(slot), proxied)

    rate = next(item for item in compiled["StakedToken"].storage if item.label == "rate")
    supply = WordRecipe(uint_word(compiled["Shares"].slot("_totalSupply")))
    tokens = (
        TokenRecipe(NATIVE_COIN, "ETH", 18),
        TokenRecipe(raw_address(moody), "MDY", 18, storage(moody, "MoodyToken")),
        TokenRecipe(
            raw_address(staked),
            "STK",
            18,
            storage(staked, "StakedToken"),
            RateRecipe(
                "ETH", 18, 15_000, WordRecipe(uint_word(rate.slot), rate.offset, rate.size), None, None, 0, 10**18
            ),
        ),
        TokenRecipe(
            raw_address(shares),
            "SHR",
            18,
            storage(shares, "Shares"),
            RateRecipe("MDY", 18, 15_000, None, raw_address(moody), supply, 1, 1),
        ),
        TokenRecipe(
            raw_address(proxy),
            "UPG",
            18,
            storage(proxy, "UpgradeableToken", ProxyRecipe(IMPLEMENTATION_SLOT, raw_address(first), code_hash(first))),
        ),
    )
    recipe = replace(
        site.recipe, vault=raw_address(world.vault), vault_code_hash=code_hash(world.vault), tokens=tokens, feeds=()
    )
    return Market(panel, world, recipe, moody, staked, shares, proxy, first, second)
