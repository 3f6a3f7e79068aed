"""A real chain with the real contracts, the recipe for it, and hands to move it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from eth_utils.address import to_checksum_address
from web3.contract import Contract
from web3.types import TxParams, Wei

from chains.evm.contracts import artifact
from chains.proofs.keccak import keccak
from chains.proofs.slots import uint_word
from chains.types import (
    NATIVE_COIN,
    AccountId,
    Address,
    ChainId,
    ChainRecipe,
    FeedRecipe,
    Hash32,
    Height,
    MappingRecipe,
    StorageRecipe,
    TokenRecipe,
)
from tests.integration.contracts.harness import Chain
from tests.integration.contracts.world import World
from tests.tools import anvil

CHAIN_ID = ChainId(31337)
ACCOUNTS = tuple(AccountId(keccak(bytes((index,)))) for index in range(4))
FINALITY = 2
"""Blocks that anvil's finalized block lies behind its head with `--slots-in-an-epoch 1`."""


@dataclass(frozen=True)
class Site:
    """Verifier, vault, token and one feed, on one anvil at `url`."""

    url: str
    world: World
    feed: Contract
    recipe: ChainRecipe

    @property
    def chain(self) -> Chain:
        return self.world.chain

    @property
    def token(self) -> Address:
        return raw_address(self.world.token)

    def deposit(self, account: AccountId, token: Address, amount: int) -> None:
        """Mined at once, in a block of its own."""
        vault, owner = self.world.vault.functions, self.world.owner
        if token == NATIVE_COIN:
            self.chain.send(vault.depositNative(account), sender=owner, value=amount)
        else:
            self.chain.send(vault.deposit(account, self.world.token.address, amount), sender=owner)

    def release(self, account: AccountId, token: Address, amount: int, purpose: str = "withdrawal") -> None:
        """A withdrawal or a seizure under the committee's signatures."""
        nonce = self.world.vault.functions.nonces(account).call() + 1
        release = replace(self.world.release(((to_checksum_address(token), amount),), nonce=nonce), account=account)
        self.chain.send(self.world.call(purpose, release))

    def set_link(self, account: AccountId, *, joins: bool, sender: str | None = None) -> Address:
        """What a wallet says of itself in the vault's registry; returns the wallet."""
        wallet = sender or self.world.stranger
        self.chain.send(self.world.vault.functions.setLink(account, joins), sender=wallet)
        return Address(bytes.fromhex(wallet.removeprefix("0x")))

    def give(self, wallet: Address, token: Address, amount: int) -> None:
        """From the owner's own pocket, past the vault; mined at once."""
        to = to_checksum_address(wallet)
        if token == NATIVE_COIN:
            payment: TxParams = {"from": to_checksum_address(self.world.owner), "to": to, "value": Wei(amount)}
            self.chain.web3.eth.wait_for_transaction_receipt(self.chain.web3.eth.send_transaction(payment))
        else:
            self.chain.send(self.world.token.functions.transfer(to, amount), sender=self.world.owner)

    def token_recipe(self, *, free: bool) -> TokenRecipe:
        """How the world's token is admitted."""
        code_hash = keccak(bytes(self.chain.web3.eth.get_code(self.world.token.address)))
        balances = MappingRecipe(uint_word(artifact("TestToken").slot("_balances")))
        return TokenRecipe(self.token, "USDX", 18, StorageRecipe(code_hash, balances), free=free)

    def post(self, price: int) -> None:
        """Post a price in 1e-8 USD, with the newest block's time."""
        self.chain.send(self.feed.functions.post(price, self.chain.now()))

    def mine(self, blocks: int = 1) -> None:
        self.chain.rpc("anvil_mine", hex(blocks))

    def fork(self, depth: int) -> None:
        """Replace the newest `depth` blocks, final or not, by as many empty ones at a later time.

        Not below a snapshot: anvil could not go back to it.
        """
        later = self.chain.now() + 100
        self.chain.rpc("anvil_rollback", depth)
        for block in range(depth):
            self.chain.pass_to(later + block)

    def settle(self) -> None:
        """Mine until all that happened is final."""
        self.mine(FINALITY)

    @property
    def height(self) -> int:
        return self.chain.web3.eth.block_number


def raw_address(contract: Contract) -> Address:
    return Address(bytes.fromhex(contract.address.removeprefix("0x")))


@contextmanager
def running_site(stride: int = 1) -> Iterator[Site]:
    """A fresh anvil with everything deployed, gone when the block is left."""
    with asyncio.Runner() as runner:
        running = anvil(CHAIN_ID, "--slots-in-an-epoch", "1")
        url = runner.run(running.__aenter__())
        try:
            yield _deployed(url, stride)
        finally:
            runner.run(running.__aexit__(None, None, None))


def _deployed(url: str, stride: int) -> Site:
    chain = Chain.at(url)
    first = chain.web3.eth.block_number + 1
    world = World.deploy(chain)
    feed = chain.deploy("PriceFeed", "ETH / USD", 8, chain.accounts[0])

    def code_hash(contract: Contract) -> Hash32:
        return keccak(bytes(chain.web3.eth.get_code(contract.address)))

    recipe = ChainRecipe(
        chain_id=CHAIN_ID,
        kind="evm",
        vault=raw_address(world.vault),
        vault_code_hash=code_hash(world.vault),
        verifier=raw_address(world.verifier),
        from_height=Height(first),
        stride=stride,
        tokens=(TokenRecipe(NATIVE_COIN, "ETH", 18),),
        feeds=(FeedRecipe("eth-feed", "ETH", raw_address(feed), 8, code_hash(feed)),),
    )
    site = Site(url, world, feed, recipe)
    site.settle()
    return site
