"""Follows one chain through its adapter: final cuts, the holdings at each, and the quotes of its feeds.

Everything is computed ahead, cut by cut, so that a vote for a pending cut is a look-up and no round waits for an
endpoint. When the network certifies another root than this node computed, the network's is taken: 2f+1 nodes
proved it, and this node's endpoints are at fault. Must not know rounds or peers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from chains.adapter import ChainAdapter
from chains.errors import HypothecError
from chains.types import Assurance, ChainDelta, ChainRecipe, Cut, Hash32, Quote
from node.ingest.ports import Meter
from node.model.header import ChainState
from node.model.ledger import Holdings
from node.model.merkle import MerkleMap
from node.model.state import MAX_CANDIDATES, ChainBook, RootVote

KEPT_BOOKS = 4 * MAX_CANDIDATES
"""Computed cuts that are kept: a certified one may be older than the newest that this node knows."""


class ChainFollower:
    """The newest verified view of one chain. `run` is its one task; the rest are look-ups."""

    def __init__(self, adapter: ChainAdapter, certified: ChainState, holdings: MerkleMap, meter: Meter) -> None:
        self._adapter = adapter
        self._meter = meter
        self._quotes: tuple[Quote, ...] = ()
        self._books: OrderedDict[Hash32, ChainBook] = OrderedDict()
        self._certified = certified
        self._tip: ChainBook | None = None
        self._restart_from(certified, holdings)
        self.last_error: HypothecError | None = None

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """The latest verified quote of each feed; how old it is, the quote says."""
        return self._quotes

    @property
    def candidates(self) -> tuple[Cut, ...]:
        """The newest final cuts above the certified one whose holdings this node has proven, ascending."""
        above = [
            book.checkpoint.cut
            for book in self._books.values()
            if book.checkpoint.cut.height > self._certified.cut.height
        ]
        return tuple(above[-MAX_CANDIDATES:])

    @property
    def proven_height(self) -> int:
        """The newest final block whose holdings this node has proven; 0 for none."""
        return self._tip.checkpoint.cut.height if self._tip is not None else 0

    def vote(self, pending: Cut) -> RootVote | None:
        """This node's root for a pending cut, if it has proven it."""
        book = self._books.get(pending.block_hash)
        return book.vote if book is not None else None

    def book(self, root: Hash32) -> MerkleMap | None:
        """The holdings that have this root, if this node computed them."""
        return next((book.holdings for book in self._books.values() if book.holdings.root == root), None)

    def admit(self, recipe: ChainRecipe) -> None:
        """Another policy is in force."""
        self._adapter.admit(recipe)

    def certified(self, state: ChainState, holdings: MerkleMap) -> None:
        """The network certified `state`: forget what is older, and yield to it where this node differs."""
        if state.checkpoint == self._certified.checkpoint:
            return
        own = self._books.get(state.cut.block_hash)
        agrees = own is not None and own.vote.root == state.root
        if own is not None and not agrees:
            self._meter.count("chain.root_differs", chain=state.cut.chain_id, height=state.cut.height)
        self._certified = state
        if agrees:
            self._books = OrderedDict(
                (block, book) for block, book in self._books.items() if book.checkpoint.cut.height >= state.cut.height
            )
        elif own is not None or self._tip is None or self._tip.checkpoint.cut.height < state.cut.height:
            self._restart_from(state, holdings)

    async def run(self, poll_seconds: float) -> None:
        """Poll for ever. Errors of the chain are counted and kept in `last_error`; they end nothing."""
        while True:
            try:
                await self.poll()
                self.last_error = None
            except HypothecError as error:
                self.last_error = error
                self._meter.fault("chain.poll_failed", error, chain=self._adapter.chain_id)
            await asyncio.sleep(poll_seconds)

    async def poll(self) -> None:
        """One look at the chain: quotes, then every new final cut."""
        self._quotes = await self._adapter.quotes()
        tip = self._tip
        after = tip.checkpoint.cut.height if tip is not None else self._certified.cut.height
        for cut in await self._adapter.final_cuts(after, MAX_CANDIDATES):
            tip = self._tip  # a certified state may have moved it while an endpoint was being waited for
            delta = await self._adapter.delta(tip.checkpoint if tip is not None else None, cut)
            if self._tip is not tip:
                return
            self._extend(delta)

    def _extend(self, delta: ChainDelta) -> None:
        before = self._tip.holdings if self._tip is not None else MerkleMap()
        self._tip = ChainBook(delta.checkpoint, before.updated(_leaves(before, delta)), delta.assurance)
        self._books[delta.checkpoint.cut.block_hash] = self._tip
        while len(self._books) > KEPT_BOOKS:
            self._books.popitem(last=False)

    def _restart_from(self, state: ChainState, holdings: MerkleMap) -> None:
        self._books.clear()
        self._tip = None
        if state.cut.height > 0:
            self._tip = ChainBook(state.checkpoint, holdings, Assurance(state.assurance))
            self._books[state.cut.block_hash] = self._tip


def _leaves(before: MerkleMap, delta: ChainDelta) -> dict[bytes, bytes | None]:
    """The leaves that a delta changes: untouched tokens keep their balance, emptied ones go."""
    leaves: dict[bytes, bytes | None] = {}
    for account, entry in delta.accounts.items():
        leaf = before.get(account)
        balances = dict(Holdings.decode(leaf).balances) if leaf is not None else {}
        balances |= entry.balances
        kept = tuple(sorted((token, amount) for token, amount in balances.items() if amount > 0))
        leaves[account] = Holdings(entry.nonce, kept).encode() if kept or entry.nonce > 0 else None
    return leaves
