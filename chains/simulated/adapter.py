"""The simulated chain behind the adapter contract: nothing to verify, so that the contract itself is easy to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from chains.adapter import AdapterFactory, ChainAdapter, DisputedError, Endpoints, FaultSink
from chains.errors import ConfigError, RetryError
from chains.simulated.endpoint import Block, SimulatedChain
from chains.types import (
    AccountId,
    Address,
    Amount,
    Assurance,
    ChainDelta,
    ChainId,
    ChainRecipe,
    Checkpoint,
    Cut,
    Disagreement,
    EndpointFault,
    EndpointStanding,
    FreeBalances,
    Height,
    Quote,
    VaultEntry,
)


class SimulatedAdapter:
    """Follows a `SimulatedChain`. `accuse` makes it report an endpoint, as one that was caught would be."""

    def __init__(
        self,
        chain: SimulatedChain,
        recipe: ChainRecipe,
        faults: FaultSink,
        assurance: Assurance = Assurance.ATTESTED,
    ) -> None:
        if recipe.chain_id != chain.chain_id:
            raise ConfigError("The recipe is for another chain", recipe=recipe.chain_id, chain=chain.chain_id)
        self._chain = chain
        self._recipe = recipe
        self._faults = faults
        self._assurance = assurance

    @property
    def chain_id(self) -> ChainId:
        return self._chain.chain_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def admit(self, recipe: ChainRecipe) -> None:
        if recipe.chain_id != self.chain_id:
            raise ConfigError("The recipe is for another chain", recipe=recipe.chain_id, chain=self.chain_id)
        self._recipe = recipe

    def accuse(self, endpoint: str, reason: str, detail: str = "") -> None:
        """Report a fault, by script."""
        self._faults(EndpointFault(self.chain_id, endpoint, reason, detail))

    async def final_cuts(self, after: Height, limit: int) -> tuple[Cut, ...]:
        self._may_fail()
        stride = self._recipe.stride
        newest = self._chain.final.cut.height // stride * stride
        lowest = max(after, self._recipe.from_height - 1, 0)
        heights = range(newest, lowest, -stride)[:limit]
        return tuple(self._block(height).cut for height in reversed(heights))

    async def delta(self, since: Checkpoint | None, to: Cut) -> ChainDelta:
        end = self._at(to)
        if self._chain.code_changed:
            raise DisputedError("The vault is another contract than the recipe says", chain=self.chain_id)
        first = max(1, self._recipe.from_height)
        if since is not None:
            if self._block(since.cut.height).cut != since.cut:
                raise DisputedError("The chain forked below the last cut", chain=self.chain_id, height=since.cut.height)
            first = since.cut.height + 1
        touched: dict[AccountId, set[Address]] = {}
        for height in range(first, to.height + 1):
            for account, token in self._block(height).touched:
                touched.setdefault(account, set()).add(token)
        accounts = {}
        for account, tokens in touched.items():
            entry = end.books[account]
            balances = {token: entry.balances.get(token, Amount(0)) for token in tokens}
            accounts[account] = VaultEntry(entry.nonce, balances)
        facts = {recipe.token: end.token(recipe.token) for recipe in self._recipe.tokens}
        links = {
            link: link in end.links
            for height in range(first, to.height + 1)
            for link in self._block(height).links ^ self._block(height - 1).links
        }
        return ChainDelta(Checkpoint(to, end.storage_hash), self._assurance, accounts, facts, links)

    async def free_balances(self, cut: Cut, wallets: Sequence[Address]) -> Mapping[Address, FreeBalances]:
        block = self._at(cut)
        tokens = [recipe.token for recipe in self._recipe.tokens if recipe.free]
        return {
            wallet: {
                token: None if token in block.disputed else Amount(held)
                for token in tokens
                if (held := block.wallets.get((wallet, token), 0)) or token in block.disputed
            }
            for wallet in wallets
        }

    async def quotes(self) -> tuple[Quote, ...]:
        self._may_fail()
        final = self._chain.final
        quotes = []
        for feed in self._recipe.feeds:
            posted = final.feeds.get(feed.source)
            if posted is None or posted.price <= 0 or posted.published_at > final.cut.time:
                self.accuse(feed.source, "BAD_QUOTE", "nothing posted, not above zero, or from the future")
                continue
            quotes.append(Quote(feed.asset, feed.source, posted.price, posted.published_at, final.cut, self._assurance))
        return tuple(quotes)

    def standings(self) -> tuple[EndpointStanding, ...]:
        return ()  # there is one chain, and nobody between

    def disagreements(self) -> tuple[Disagreement, ...]:
        return ()

    def _at(self, cut: Cut) -> Block:
        self._may_fail()
        block = self._block(cut.height)
        if block.cut != cut:
            raise DisputedError("The chain has another block there", chain=self.chain_id, height=cut.height)
        return block

    def _block(self, height: int) -> Block:
        block = self._chain.block(height)
        if block is None:
            raise RetryError("There is no such block yet", chain=self.chain_id, height=height)
        return block

    def _may_fail(self) -> None:
        if self._chain.failing is not None:
            raise self._chain.failing


def simulated(chains: Mapping[ChainId, SimulatedChain]) -> AdapterFactory:
    """The registry entry for recipes of kind `simulated`: each follows the script of its chain id."""

    def factory(recipe: ChainRecipe, _endpoints: Endpoints, faults: FaultSink) -> ChainAdapter:
        chain = chains.get(recipe.chain_id)
        if chain is None:
            raise ConfigError("There is no script for this chain", chain=recipe.chain_id)
        return SimulatedAdapter(chain, recipe, faults)

    return factory
