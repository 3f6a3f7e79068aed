"""An EVM chain as verified facts: final cuts, changes of the vault's books, quotes. Raw answers end here.

Owns the order of questions that makes a delta complete. Must not know HTTP, proofs' formats, or what facts are worth.

A delta is complete by proof. The vault's account is proven at the cut; if its storage hash is that of the last cut,
nothing changed in its books. What there is of its tokens is proven with it, since that changes without the vault. The
blocks in between are linked by parent hashes down from the trusted cut to the last one. Of each whose bloom does not
exclude the vault, all receipts are checked against the receipts root, so that no event can be left out; every slot that
an event names is then proven at the cut.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from types import TracebackType
from typing import Self, TypeVar

from chains.adapter import DisputedError, Endpoints, FaultSink, Settlement
from chains.errors import ConfigError, InputError, LimitError, ProofError, RetryError
from chains.evm.connections import Connections, Manners
from chains.evm.endpoint import Limits
from chains.evm.finality import FinalHeads, FinalitySource
from chains.evm.pool import EndpointPool, Quarantine
from chains.evm.questions import SLOTS_A_CALL, Contract, Proven, ancestors, logs, proofs
from chains.evm.tokens import contracts as token_contracts
from chains.evm.tokens import facts as token_facts
from chains.evm.vault import balance_slot, link_slot, linked, nonce_slot, touched
from chains.evm.wallets import WalletReader
from chains.prices import aggregator
from chains.proofs.eip1186 import Account
from chains.proofs.header import Header
from chains.proofs.keccak import keccak
from chains.proofs.mpt import EMPTY_ROOT, NodeStore
from chains.proofs.receipts import bloom_may_contain
from chains.proofs.slots import uint_word
from chains.types import (
    AccountId,
    Address,
    Amount,
    ChainDelta,
    ChainId,
    ChainRecipe,
    Checkpoint,
    Cut,
    Disagreement,
    EndpointFault,
    EndpointStanding,
    FeedRecipe,
    FreeBalances,
    Hash32,
    Height,
    Quote,
    TokenFact,
    VaultEntry,
)

HEADERS_A_REQUEST = 128
"""Blocks of a long range that are looked at together; bounds memory and the length of an answer."""

RECEIPTS_A_REQUEST = 4
"""Blocks whose receipts are fetched together: a full block's receipts are megabytes."""

CONTRACTS_A_REQUEST, SLOTS_A_REQUEST = 32, 4 * SLOTS_A_CALL
"""What is proven in one request: the answer has some kilobytes for each."""

MAX_TOUCHED = 1_000_000
"""Balances that one delta may touch; over it, take a nearer cut."""

NODES_KEPT = 8_192
"""Trie nodes kept between proofs, about 8 MB: an idle chain's proofs then hash only what changed."""

_LATEST = uint_word(aggregator.LATEST_SLOT)
T = TypeVar("T")


@dataclass(slots=True)
class _Changed:
    """What events name: (account, token) of the vault's books, and (account, wallet) of its links."""

    books: set[tuple[AccountId, Address]] = field(default_factory=set)
    links: set[tuple[AccountId, Address]] = field(default_factory=set)


class EvmAdapter:
    """`ChainAdapter` for one EVM chain.

    `clock` gives monotonic seconds, and times endpoints; `now` gives seconds since 1970, for the light client and for
    the record of disagreements alone.
    """

    def __init__(
        self,
        recipe: ChainRecipe,
        endpoints: Endpoints,
        faults: FaultSink,
        *,
        limits: Limits | None = None,
        quarantine: Quarantine | None = None,
        patience: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._recipe = recipe
        self._faults = faults
        manners = Manners(limits or Limits(), quarantine or Quarantine(), patience, clock, now)
        self._connections = Connections(recipe.chain_id, endpoints, faults, manners)
        self._store = NodeStore(NODES_KEPT)
        self._wallets = WalletReader()
        self._quotes: tuple[Hash32, tuple[Quote, ...]] | None = None
        self._bad_feeds: dict[str, str] = {}  # why each is left out
        self._disputed_tokens: dict[Address, str] = {}  # and why each of these is disputed
        # What asks needs a running loop: it comes with `async with`.
        self._pool: EndpointPool
        self._heads: FinalHeads

    @property
    def chain_id(self) -> ChainId:
        return self._recipe.chain_id

    @property
    def finality(self) -> FinalitySource:
        """Who says what is final, for a rollup on this chain as well; of an open adapter."""
        return self._connections.finality

    async def __aenter__(self) -> Self:
        await self._connections.__aenter__()
        self._pool = self._connections.pool
        self._heads = self.finality.heads()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.__aexit__(kind, error, trace)

    @property
    def settlement(self) -> Settlement | None:
        """As of the last look at L1: see `chains.adapter.Settles`."""
        follower = self._connections.settlement
        return follower.latest if follower is not None else None

    def admit(self, recipe: ChainRecipe) -> None:
        if recipe.chain_id != self.chain_id:
            raise ConfigError("The recipe is for another chain", recipe=recipe.chain_id, chain=self.chain_id)
        self._recipe = recipe
        self._quotes = None

    async def final_cuts(self, after: Height, limit: int) -> tuple[Cut, ...]:
        head = await self._heads.head()
        stride = self._recipe.stride
        newest = head.number // stride * stride
        lowest = max(after, self._recipe.from_height - 1, 0)
        heights = [Height(height) for height in range(newest, lowest, -stride)[:limit]]
        return tuple(self._cut(header) for header in await self._heads.at(heights[::-1]))

    async def delta(self, since: Checkpoint | None, to: Cut) -> ChainDelta:
        follower = self._connections.settlement
        if follower is not None and follower.dispute is not None:
            raise follower.dispute
        header = await self._trusted(to)
        try:
            found = await self._changes(since, to, header)
        except (RetryError, ProofError):
            # Perhaps the block that the quorum called final is no more.
            self._heads.forget(to.height)
            raise
        if follower is not None:
            follower.proved(to)
        return found

    async def free_balances(self, cut: Cut, wallets: Sequence[Address]) -> Mapping[Address, FreeBalances]:
        header = await self._trusted(cut)
        try:
            return await self._wallets.read(self._recipe, wallets, partial(self._prove, header))
        except (RetryError, ProofError):
            self._heads.forget(cut.height)
            raise

    async def quotes(self) -> tuple[Quote, ...]:
        head = await self._heads.head()
        if self._quotes is None or self._quotes[0] != head.hash:
            try:
                self._quotes = (head.hash, await self._quotes_at(head))
            except (RetryError, ProofError):
                # No endpoint proves them, and the sink has heard why of each. Old quotes are not served as new.
                return ()
        return self._quotes[1]

    def standings(self) -> tuple[EndpointStanding, ...]:
        return self._connections.standings()

    def disagreements(self) -> tuple[Disagreement, ...]:
        return self._connections.disagreements()

    # === Deltas ===

    async def _trusted(self, cut: Cut) -> Header:
        """The header of a cut that somebody may have agreed on without us; it must be our quorum's as well."""
        header = (await self._heads.at([cut.height]))[0]
        if header.hash != cut.block_hash:
            self._heads.forget(cut.height)
            header = (await self._heads.at([cut.height]))[0]
        if header.hash != cut.block_hash or header.timestamp != cut.time:
            raise DisputedError(
                "The endpoints have another final block than the cut",
                chain=self.chain_id,
                height=cut.height,
                cut=cut.block_hash,
                theirs=header.hash,
            )
        return header

    async def _changes(self, since: Checkpoint | None, to: Cut, top: Header) -> ChainDelta:
        storage_hash, tokens = await self._vault_and_tokens(top)
        known = EMPTY_ROOT if since is None else since.storage_hash
        bottom = max(self._recipe.from_height - 1, 0) if since is None else since.cut.height
        if bottom >= to.height:
            raise InputError("A delta goes from an older cut to a newer one", since=bottom, to=to.height)
        changed = _Changed()
        lowest = top
        async for blocks in self._down(top, bottom):
            lowest = blocks[-1]
            if storage_hash != known:
                await self._collect(blocks, changed)
        if since is not None and lowest.parent_hash != since.cut.block_hash:
            raise DisputedError(
                "The chain forked below the last cut",
                chain=self.chain_id,
                height=since.cut.height,
                cut=since.cut.block_hash,
                parent=lowest.parent_hash,
            )
        known_by = self._heads.assurance(top)
        accounts, links = await self._entries(top, changed)
        return ChainDelta(Checkpoint(to, storage_hash), known_by, accounts, tokens, links)

    async def _vault_and_tokens(self, header: Header) -> tuple[Hash32, dict[Address, TokenFact]]:
        """The vault's storage hash at `header`, if its code is what the recipe says, and its tokens."""
        recipe = self._recipe
        proven = await self._prove(header, token_contracts(recipe))
        vault = self._check_code(recipe.vault, recipe.vault_code_hash, proven[recipe.vault])
        tokens, disputes = token_facts(recipe, proven)
        for item in disputes:
            if self._disputed_tokens.get(item.token) != item.detail:  # the sink hears it once, not with every block
                name = f"token 0x{item.token.hex()}"
                self._faults(EndpointFault(self.chain_id, name, DisputedError.reason, item.detail))
        self._disputed_tokens = {item.token: item.detail for item in disputes}
        return vault.storage_hash, tokens

    async def _prove(self, header: Header, contracts: Sequence[Contract]) -> dict[Address, Proven]:
        """Each contract with all of its slots at `header`, in as many requests as that takes."""
        calls = [
            Contract(contract.address, tuple(slots))
            for contract in contracts
            for slots in (_batches(contract.slots, SLOTS_A_CALL) if contract.slots else [()])
        ]
        accounts, words = dict[Address, Account | None](), defaultdict[Address, dict[Hash32, int]](dict)
        for request in _requests(calls):
            answers = await self._pool.ask(partial(proofs, header=header, contracts=request, store=self._store))
            for call, proven in zip(request, answers, strict=True):
                accounts[call.address] = proven.account
                words[call.address].update(proven.slots)
        return {address: Proven(account, words[address]) for address, account in accounts.items()}

    async def _down(self, top: Header, bottom: int) -> AsyncIterator[list[Header]]:
        """The blocks from `top` to the one above height `bottom`, newest first, each the parent of the one before."""
        blocks = [top]
        yield blocks
        while (left := blocks[-1].number - bottom - 1) > 0:
            count = min(left, HEADERS_A_REQUEST)
            blocks = await self._pool.ask(partial(ancestors, child=blocks[-1], count=count))
            yield blocks

    async def _collect(self, blocks: Sequence[Header], changed: _Changed) -> None:
        """Add to `changed` all that an event in `blocks` names."""
        vault = self._recipe.vault
        suspects = [block for block in blocks if bloom_may_contain(block.logs_bloom, vault)]
        for batch in _batches(suspects, RECEIPTS_A_REQUEST):
            for log in chain.from_iterable(await self._pool.ask(partial(logs, headers=batch))):
                changed.books.update(filter(None, (touched(vault, log),)))
                changed.links.update(filter(None, (linked(vault, log),)))
            if (count := len(changed.books) + len(changed.links)) > MAX_TOUCHED:
                raise LimitError("A delta touches too much; take a nearer cut", touched=count, limit=MAX_TOUCHED)

    async def _entries(
        self, header: Header, changed: _Changed
    ) -> tuple[dict[AccountId, VaultEntry], dict[tuple[AccountId, Address], bool]]:
        """The books of each account and the links that changed, at `header`, proven slot by slot."""
        slots = {balance_slot(account, token) for account, token in changed.books}
        slots |= {nonce_slot(account) for account, _ in changed.books}
        slots |= {link_slot(account, wallet) for account, wallet in changed.links}
        # In the order of the trie's keys, neighbours share most of their proofs.
        vault = Contract(self._recipe.vault, tuple(sorted(slots, key=keccak)))
        words = (await self._prove(header, [vault]))[vault.address].slots if slots else {}
        balances: dict[AccountId, dict[Address, Amount]] = {}
        for account, token in sorted(changed.books):
            balances.setdefault(account, {})[token] = Amount(words[balance_slot(account, token)])
        entries = {account: VaultEntry(words[nonce_slot(account)], by_token) for account, by_token in balances.items()}
        links = {(account, wallet): words[link_slot(account, wallet)] != 0 for account, wallet in sorted(changed.links)}
        return entries, links

    # === Quotes ===

    async def _quotes_at(self, head: Header) -> tuple[Quote, ...]:
        feeds = self._recipe.feeds
        proven = await self._prove(head, [Contract(address, (_LATEST,)) for address in {feed.feed for feed in feeds}])
        quotes = (self._quote(feed, proven[feed.feed], head) for feed in feeds)
        return tuple(quote for quote in quotes if quote is not None)

    def _quote(self, feed: FeedRecipe, proven: Proven, head: Header) -> Quote | None:
        """The feed's quote; None if it has no usable one, which the sink hears once and not with every block."""
        try:
            self._check_code(feed.feed, feed.code_hash, proven)
            known_by = self._heads.assurance(head)
            quote = aggregator.quote(feed, proven.slots[_LATEST], self._cut(head), known_by)
        except (DisputedError, aggregator.BadQuote) as error:
            if self._bad_feeds.get(feed.source) != error.reason:
                self._bad_feeds[feed.source] = error.reason
                self._faults(EndpointFault(self.chain_id, feed.source, error.reason, str(error)))
            return None
        self._bad_feeds.pop(feed.source, None)
        return quote

    def _check_code(self, contract: Address, code_hash: Hash32, proven: Proven) -> Account:
        """The contract's account, if it has the code that the recipe admits; else DisputedError."""
        account = proven.account
        if account is None or account.code_hash != code_hash:
            raise DisputedError(
                "A contract is not the one that the recipe admits",
                chain=self.chain_id,
                contract=contract,
                code_hash=account.code_hash if account else "none",
                expected=code_hash,
            )
        return account

    def _cut(self, header: Header) -> Cut:
        return Cut(self.chain_id, header.number, header.hash, header.timestamp)


def _requests(calls: Sequence[Contract]) -> Iterator[list[Contract]]:
    """Calls that go together: so many contracts, or so many slots."""
    request: list[Contract] = []
    for call in calls:
        slots = sum(len(each.slots) for each in (*request, call))
        if request and (len(request) == CONTRACTS_A_REQUEST or slots > SLOTS_A_REQUEST):
            yield request
            request = []
        request.append(call)
    if request:
        yield request


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
