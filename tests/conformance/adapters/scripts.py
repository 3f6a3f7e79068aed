"""What the suite needs of a chain under test: hands to move it, and an adapter that follows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from chains.adapter import ChainAdapter, Endpoints, FaultSink
from chains.errors import RetryError
from chains.evm.adapter import EvmAdapter
from chains.proofs.keccak import keccak
from chains.simulated.adapter import SimulatedAdapter
from chains.simulated.endpoint import SimulatedChain
from chains.types import (
    NATIVE_COIN,
    AccountId,
    Address,
    ChainId,
    ChainRecipe,
    FeedRecipe,
    Hash32,
    Height,
    TokenRecipe,
)
from node.testnet.ports import free_port
from tests.integration.evm.harness import ACCOUNTS, FINALITY, Site


class Script(Protocol):
    """One chain under test. Every change is in a block when the call returns, but final only after `settle`."""

    recipe: ChainRecipe
    tokens: tuple[Address, Address]
    free: tuple[TokenRecipe, TokenRecipe]
    """Both tokens, as admitted by a recipe that reports what wallets hold of them."""
    accounts: tuple[AccountId, ...]

    def deposit(self, account: AccountId, token: Address, amount: int) -> None: ...

    def release(self, account: AccountId, token: Address, amount: int) -> None: ...

    def set_link(self, account: AccountId, *, joins: bool) -> Address: ...

    def give(self, wallet: Address, token: Address, amount: int) -> None: ...

    def post(self, dollars: int) -> None: ...

    def mine(self, blocks: int) -> None: ...

    def settle(self) -> None: ...

    def fork(self, depth: int) -> None: ...

    def change_code(self) -> None: ...

    def adapter(self, faults: FaultSink) -> AbstractAsyncContextManager[ChainAdapter]: ...

    def unreachable(self, faults: FaultSink) -> AbstractAsyncContextManager[ChainAdapter]: ...


class Simulated:
    """`chains.simulated`, with a finality lag."""

    def __init__(self) -> None:
        self.chain = SimulatedChain(ChainId(99), lag=2, start=1_700_000_000)
        self.tokens = (NATIVE_COIN, Address(b"\x11" * 20))
        self.free = (
            TokenRecipe(NATIVE_COIN, "ETH", 18, free=True),
            TokenRecipe(self.tokens[1], "USDX", 18, free=True),
        )
        self.accounts = ACCOUNTS
        zero = Hash32(bytes(32))
        self.recipe = ChainRecipe(
            chain_id=self.chain.chain_id,
            kind="simulated",
            vault=Address(b"\x22" * 20),
            vault_code_hash=zero,
            verifier=Address(b"\x33" * 20),
            from_height=Height(1),
            stride=1,
            tokens=(TokenRecipe(NATIVE_COIN, "ETH", 18),),
            feeds=(FeedRecipe("feed", "ETH", Address(b"\x44" * 20), 8, zero),),
        )
        self.mine(3)

    def deposit(self, account: AccountId, token: Address, amount: int) -> None:
        self.chain.deposit(account, token, amount)
        self.mine(1)

    def release(self, account: AccountId, token: Address, amount: int) -> None:
        self.chain.release(account, token, amount)
        self.mine(1)

    def set_link(self, account: AccountId, *, joins: bool) -> Address:
        wallet = Address(b"\x55" * 20)
        self.chain.set_link(account, wallet, joins=joins)
        self.mine(1)
        return wallet

    def give(self, wallet: Address, token: Address, amount: int) -> None:
        self.chain.give(wallet, token, amount)
        self.mine(1)

    def post(self, dollars: int) -> None:
        self.chain.post("feed", dollars * 10**12)
        self.mine(1)

    def mine(self, blocks: int) -> None:
        self.chain.mine(blocks)

    def settle(self) -> None:
        self.mine(self.chain.lag)

    def fork(self, depth: int) -> None:
        self.chain.fork(depth)

    def change_code(self) -> None:
        self.chain.code_changed = True
        self.mine(3)

    @asynccontextmanager
    async def adapter(self, faults: FaultSink) -> AsyncIterator[ChainAdapter]:
        async with SimulatedAdapter(self.chain, self.recipe, faults) as adapter:
            yield adapter

    @asynccontextmanager
    async def unreachable(self, faults: FaultSink) -> AsyncIterator[ChainAdapter]:
        self.chain.failing = RetryError("scripted")
        async with SimulatedAdapter(self.chain, self.recipe, faults) as adapter:
            yield adapter


class Evm:
    """`chains.evm` before a real anvil with the real contracts."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.recipe = site.recipe
        self.tokens = (NATIVE_COIN, site.token)
        self.free = (TokenRecipe(NATIVE_COIN, "ETH", 18, free=True), site.token_recipe(free=True))
        self.accounts = ACCOUNTS

    def deposit(self, account: AccountId, token: Address, amount: int) -> None:
        self._site.deposit(account, token, amount)

    def release(self, account: AccountId, token: Address, amount: int) -> None:
        self._site.release(account, token, amount)

    def set_link(self, account: AccountId, *, joins: bool) -> Address:
        return self._site.set_link(account, joins=joins)

    def give(self, wallet: Address, token: Address, amount: int) -> None:
        self._site.give(wallet, token, amount)

    def post(self, dollars: int) -> None:
        self._site.post(dollars * 10**8)

    def mine(self, blocks: int) -> None:
        self._site.mine(blocks)

    def settle(self) -> None:
        self._site.mine(FINALITY)

    def fork(self, depth: int) -> None:
        self._site.fork(depth)

    def change_code(self) -> None:
        vault = self._site.world.vault.address
        self._site.chain.rpc("anvil_setCode", vault, "0x" + keccak(b"other code").hex())
        self.mine(FINALITY + 1)

    @asynccontextmanager
    async def adapter(self, faults: FaultSink) -> AsyncIterator[ChainAdapter]:
        async with EvmAdapter(self.recipe, Endpoints((self._site.url,) * 3), faults) as adapter:
            yield adapter

    @asynccontextmanager
    async def unreachable(self, faults: FaultSink) -> AsyncIterator[ChainAdapter]:
        nowhere = f"http://127.0.0.1:{free_port()}"
        async with EvmAdapter(self.recipe, Endpoints((nowhere, self._site.url, nowhere)), faults) as adapter:
            yield adapter
