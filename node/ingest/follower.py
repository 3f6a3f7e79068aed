"""Follows one chain through its adapter: final cuts, the holdings at each, and the quotes of its feeds.

Everything is computed ahead, cut by cut, so that a vote for a pending cut is a look-up and no round waits for an
endpoint. When the network certifies another root than this node computed, the network's is taken: 2f+1 nodes
proved it, and this node's endpoints are at fault. Must not know rounds or peers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from chains.adapter import ChainAdapter, DisputedError, Settlement, Settles
from chains.types import (
    Address,
    Assurance,
    ChainDelta,
    ChainRecipe,
    Cut,
    Disagreement,
    EndpointStanding,
    FreeBalances,
    Hash32,
    Height,
    Quote,
)
from node.ingest.ports import Meter
from node.model.header import ChainState
from node.model.ledger import (
    FreeHoldings,
    Holdings,
    consent_key,
    encode_consent,
    encode_token,
    has_free_holdings,
    is_reserved_key,
    is_token_key,
    token_key,
)
from node.model.merkle import MerkleMap
from node.model.state import MAX_CANDIDATES, ChainBook, ChainControl, Control, RootVote, Watched

KEPT_BOOKS = 4 * MAX_CANDIDATES
"""Computed cuts that are kept: a certified one may be older than the newest that this node knows."""


class ChainFollower:
    """The newest verified view of one chain. `run` is its one task; the rest are look-ups."""

    def __init__(
        self, adapter: ChainAdapter, recipe: ChainRecipe, certified: ChainState, holdings: MerkleMap, meter: Meter
    ) -> None:
        self._adapter = adapter
        self._recipe = recipe
        self._certified = certified
        self._meter = meter
        self._quotes: tuple[Quote, ...] = ()
        self._books: OrderedDict[Hash32, ChainBook] = OrderedDict()
        self._tip: ChainBook | None = None
        self._disputed = False
        self._looked_at, self._token_keys, self._free_keys = MerkleMap(), set[bytes](), set[bytes]()
        self._watched: tuple[Watched, ...] = ()
        """The wallets that the next pending cut will have to tell of, as things stand."""
        self._agreed: ChainControl | None = None
        self._start = object()
        """Another one whenever what is computed begins anew: what was asked before that comes too late."""
        self._restart_from(certified, holdings)
        self.last_error: Exception | None = None
        self._differed: tuple[Disagreement, ...] = ()

    @property
    def disputed(self) -> bool:
        """Whether the final blocks contradict the certified cut or the recipe, until some are proven that do not."""
        return self._disputed

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
        return self._height(self._tip)

    @property
    def standings(self) -> tuple[EndpointStanding, ...]:
        """How each endpoint of the chain stands now."""
        return self._adapter.standings()

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """The newest times that endpoints differed on a final block, oldest first."""
        return self._adapter.disagreements()

    @property
    def settlement(self) -> Settlement | None:
        """What L1 has settled, if the chain is a rollup whose L1 this node looks at."""
        return self._adapter.settlement if isinstance(self._adapter, Settles) else None

    def vote(self, pending: Cut, watched: tuple[Watched, ...] = ()) -> RootVote | None:
        """This node's root for a pending cut that has to tell of the wallets in `watched`, if it has proven it."""
        book = self._books.get(pending.block_hash)
        return book.vote if book is not None and book.watched == watched else None

    def book(self, root: Hash32) -> MerkleMap | None:
        """The holdings that have this root, if this node computed them."""
        return next((book.holdings for book in self._books.values() if book.holdings.root == root), None)

    def admit(self, recipe: ChainRecipe) -> None:
        """Another policy is in force. With another vault, nothing that was computed before means anything.

        With other tokens, the books that nobody certified yet do not say what they have to.
        """
        before, self._recipe = self._recipe, recipe
        if recipe.vault != before.vault:
            self._forget()
        elif recipe.tokens != before.tokens:
            self._restart_from(self._certified, self._holdings)
        self._adapter.admit(recipe)

    def agreed(self, control: Control) -> None:
        """Another state stands: which wallets are watched by now, and which the pending cut has to tell of."""
        self._watched = control.watched_on(self._recipe)
        self._agreed = next((item for item in control.chains if item.chain_id == self._recipe.chain_id), None)

    def certified(self, state: ChainState, holdings: MerkleMap) -> None:
        """The network certified `state`: forget what is older, and yield to it where this node differs."""
        if state.checkpoint == self._certified.checkpoint:
            return
        own = self._books.get(state.cut.block_hash)
        agrees = own is not None and own.vote.root == state.root
        if own is not None and not agrees and self._is_amended(own):
            self._meter.count("chain.root_differs", chain=state.cut.chain_id, height=state.cut.height)
        self._certified, self._holdings = state, holdings
        if agrees:
            self._books = OrderedDict(
                (block, book) for block, book in self._books.items() if book.checkpoint.cut.height >= state.cut.height
            )
        elif own is not None or self._height(self._tip) < state.cut.height or state.cut.height == 0:
            self._restart_from(state, holdings)

    async def run(self, poll_seconds: float) -> None:
        """Poll for ever. Errors are counted and kept in `last_error`; they end nothing, whatever they are.

        What endpoints answer goes through much code: what breaks it must cost one chain, not the node.
        """
        while True:
            try:
                await self.poll()
                self.last_error = None
            except Exception as error:  # noqa: BLE001 - see above
                self.last_error = error
                self._meter.fault("chain.poll_failed", error, chain=self._adapter.chain_id)
            self._tell_disagreements()
            await asyncio.sleep(poll_seconds)

    async def poll(self) -> None:
        """One look at the chain: quotes, then every new final cut."""
        self._quotes = await self._adapter.quotes()
        await self._amend()
        start = self._start
        for cut in await self._adapter.final_cuts(self._height(self._tip), MAX_CANDIDATES):
            if self._start is not start:
                return  # while an endpoint was being waited for, a certified state or another vault set a new start
            tip, watched = self._tip, self._watched
            try:
                delta = await self._adapter.delta(tip.checkpoint if tip is not None else None, cut)
                free = await self._free(cut, watched)
            except DisputedError:
                if self._start is start:
                    if tip is not None and tip.checkpoint != self._certified.checkpoint:
                        # Nobody certified where this node stands: perhaps its endpoints once agreed on a lie.
                        self._restart_from(self._certified, self._holdings)
                    else:
                        self._disputed = True
                raise
            if self._start is not start:
                return
            self._extend(delta, watched, free)

    async def _amend(self) -> None:
        """Have the book of the pending cut tell of the wallets that it has to, where others were watched before."""
        agreed, start = self._agreed, self._start
        if agreed is None or agreed.pending is None:
            return
        book = self._books.get(agreed.pending.block_hash)
        if book is None or book.watched == agreed.watched:
            return
        try:
            free = await self._free(agreed.pending, agreed.watched)
        except DisputedError:
            if self._start is start:
                self._restart_from(self._certified, self._holdings)
            raise
        if self._start is start and self._books.get(agreed.pending.block_hash) is book:
            self._books[agreed.pending.block_hash] = self._with_free(book, agreed.watched, free)

    def _is_amended(self, book: ChainBook) -> bool:
        """Whether a book tells of those whom the network wants in it, as far as this node knows."""
        agreed = self._agreed
        return agreed is None or agreed.pending != book.checkpoint.cut or agreed.watched == book.watched

    async def _free(self, cut: Cut, watched: tuple[Watched, ...]) -> Mapping[Address, FreeBalances]:
        return await self._adapter.free_balances(cut, [wallet for _, wallet in watched]) if watched else {}

    def _tell_disagreements(self) -> None:
        known, self._differed = set(self._differed), self._adapter.disagreements()
        for found in self._differed:
            if found not in known:
                self._meter.count(
                    "chain.endpoints_differ",
                    chain=self._adapter.chain_id,
                    height=found.height,
                    said={endpoint: "0x" + block.hex() for endpoint, block in found.said},
                    agreed="" if found.agreed is None else "0x" + found.agreed.hex(),
                )

    @staticmethod
    def _height(book: ChainBook | None) -> Height:
        return book.checkpoint.cut.height if book is not None else Height(0)

    def _extend(self, delta: ChainDelta, watched: tuple[Watched, ...], free: Mapping[Address, FreeBalances]) -> None:
        before = self._tip.holdings if self._tip is not None else MerkleMap()
        # A token that is admitted no more loses its leaf: a book depends on its cut alone, and not on what was before.
        self._look_at(before)
        leaves = dict.fromkeys(self._token_keys) | _leaves(before, delta)
        book = ChainBook(delta.checkpoint, before.updated(leaves), delta.assurance)
        self._tip = self._with_free(book, watched, free)
        self._books[delta.checkpoint.cut.block_hash] = self._tip
        while len(self._books) > KEPT_BOOKS:
            self._books.popitem(last=False)
        self._disputed = False

    def _with_free(
        self, book: ChainBook, watched: tuple[Watched, ...], free: Mapping[Address, FreeBalances]
    ) -> ChainBook:
        """A book that tells what these wallets hold, and nothing of others."""
        self._look_at(book.holdings)
        leaves = _free_leaves(book.holdings, self._free_keys, watched, free)
        return replace(book, holdings=book.holdings.updated(leaves), watched=watched)

    def _look_at(self, holdings: MerkleMap) -> None:
        """Learn the keys of all tokens and free holdings in a book, by what changed since the last one looked at."""
        for key, leaf in holdings.changes_since(self._looked_at).items():
            for keys, has in (
                (self._token_keys, leaf is not None and is_token_key(key)),
                (self._free_keys, leaf is not None and has_free_holdings(leaf)),
            ):
                (keys.add if has else keys.discard)(key)
        self._looked_at = holdings

    def _forget(self) -> None:
        self._start = object()
        self._disputed = False
        self._books.clear()
        self._tip = None

    def _restart_from(self, state: ChainState, holdings: MerkleMap) -> None:
        self._certified, self._holdings = state, holdings
        self._forget()
        if state.cut.height > 0:
            self._tip = ChainBook(state.checkpoint, holdings, Assurance(state.assurance))
            self._books[state.cut.block_hash] = self._tip


def _holdings(book: MerkleMap, account: bytes) -> Holdings:
    leaf = book.get(account)
    return Holdings.decode(leaf) if leaf is not None else Holdings(0, ())


def _free_leaves(
    book: MerkleMap, having: Iterable[bytes], watched: tuple[Watched, ...], free: Mapping[Address, FreeBalances]
) -> dict[bytes, bytes | None]:
    """The leaves of the accounts whose wallets are watched; `having` are those who have free holdings in the book."""
    by_account: dict[bytes, tuple[FreeHoldings, ...]] = dict.fromkeys(having, ())
    for account, wallet in watched:
        held = FreeHoldings(wallet, tuple(sorted(free[wallet].items())))
        by_account[account] = (*by_account.get(account, ()), held)
    return {account: replace(_holdings(book, account), free=items).leaf for account, items in by_account.items()}


def _leaves(before: MerkleMap, delta: ChainDelta) -> dict[bytes, bytes | None]:
    """The leaves that a delta changes: untouched tokens keep their balance, emptied ones and free holdings go."""
    leaves: dict[bytes, bytes | None] = {}
    for account, entry in delta.accounts.items():
        if is_reserved_key(account):
            continue
        balances = {**dict(_holdings(before, account).balances), **entry.balances}
        kept = tuple(sorted((token, amount) for token, amount in balances.items() if amount > 0))
        leaves[account] = Holdings(entry.nonce, kept).leaf
    for link, joins in delta.links.items():
        leaves[consent_key(*link)] = encode_consent(*link) if joins else None
    return leaves | {token_key(token): encode_token(fact) for token, fact in delta.tokens.items()}
