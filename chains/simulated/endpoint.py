"""The scripted chain: blocks, a vault's books and price feeds, and everything that can go wrong with them.

Owns the script's state. Must not know who follows it. No I/O, clock or randomness: time is what the script says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chains.errors import HypothecError, InputError
from chains.proofs.keccak import keccak
from chains.types import (
    AccountId,
    Address,
    Amount,
    ChainId,
    Cut,
    Hash32,
    Height,
    TokenFact,
    UnixSeconds,
    VaultEntry,
)

_EMPTY_BOOKS = keccak(b"")


@dataclass(frozen=True, slots=True)
class Posted:
    """What a feed holds: `price` in 1e-12 USD a whole unit, and the time that the feed gives it."""

    price: int
    published_at: UnixSeconds


@dataclass(frozen=True, slots=True)
class Block:
    """A block with all that is true after it. `touched` names the (account, token) pairs that it changed.

    `burned` is what tokens took from the vault behind its books, `rates` the assets and shares of those that have a
    rate, `disputed` the tokens that are other contracts by now, `links` the (account, wallet) pairs of the registry,
    `wallets` what is held outside the vault, by wallet and token.
    """

    cut: Cut
    parent_hash: Hash32
    books: Mapping[AccountId, VaultEntry] = field(default_factory=dict)
    feeds: Mapping[str, Posted] = field(default_factory=dict)
    touched: frozenset[tuple[AccountId, Address]] = frozenset()
    burned: Mapping[Address, int] = field(default_factory=dict)
    rates: Mapping[Address, tuple[int, int]] = field(default_factory=dict)
    disputed: frozenset[Address] = frozenset()
    links: frozenset[tuple[AccountId, Address]] = frozenset()
    wallets: Mapping[tuple[Address, Address], int] = field(default_factory=dict)

    def token(self, token: Address) -> TokenFact:
        """What the books of a token add up to, and what is there."""
        booked = sum(entry.balances.get(token, 0) for entry in self.books.values())
        if token in self.disputed:
            return TokenFact(Amount(booked), Amount(0), disputed=True)
        return TokenFact(Amount(booked), Amount(max(0, booked - self.burned.get(token, 0))), self.rates.get(token))

    @property
    def storage_hash(self) -> Hash32:
        """Commits to the books, as the storage root of a vault would."""
        if not self.books:
            return _EMPTY_BOOKS
        return keccak(repr([(a, e.nonce, sorted(e.balances.items())) for a, e in sorted(self.books.items())]).encode())


class SimulatedChain:
    """A chain under the control of a test. Changes wait for `mine`; blocks `lag` behind the newest are final.

    Set `failing` to an error and every question raises it; set `code_changed` and the vault is another contract.
    """

    def __init__(self, chain_id: ChainId, *, lag: int = 0, start: int = 0, block_seconds: int = 1) -> None:
        self.chain_id = chain_id
        self.lag = lag
        self.block_seconds = block_seconds
        self.halted = False
        self.code_changed = False
        self.failing: HypothecError | None = None
        self._branch = 0
        genesis = Cut(chain_id, Height(0), self._hash(Hash32(bytes(32)), 0), UnixSeconds(start))
        self._blocks = [Block(genesis, Hash32(bytes(32)))]
        self._next = self._blocks[0]

    # === The script ===

    def deposit(self, account: AccountId, token: Address, amount: int) -> None:
        """Credit `amount` in the next block."""
        self._change(account, token, amount, released=False)

    def release(self, account: AccountId, token: Address, amount: int) -> None:
        """Withdraw or seize `amount` in the next block; the account's nonce rises by one."""
        self._change(account, token, -amount, released=True)

    def post(self, source: str, price: int, published_at: UnixSeconds | None = None) -> None:
        """Post a price in the next block; `published_at` is that block's time unless given."""
        at = UnixSeconds(self.head.time + self.block_seconds) if published_at is None else published_at
        self._next = replace(self._next, feeds={**self._next.feeds, source: Posted(price, at)})

    def burn(self, token: Address, amount: int) -> None:
        """From the next block on, the vault holds that much less of `token` than without this; negative gives back."""
        burned = self._next.burned.get(token, 0) + amount
        self._next = replace(self._next, burned={**self._next.burned, token: burned})

    def give(self, wallet: Address, token: Address, amount: int) -> None:
        """From the next block on, `wallet` has that much more of `token` in its own hands; negative takes it."""
        held = self._next.wallets.get((wallet, token), 0) + amount
        if held < 0:
            raise InputError("The wallet holds less than that", token=token, amount=-amount)
        self._next = replace(self._next, wallets={**self._next.wallets, (wallet, token): held})

    def redeem_at(self, token: Address, assets: int, shares: int) -> None:
        """From the next block on, so many shares of `token` are redeemed for so many assets."""
        self._next = replace(self._next, rates={**self._next.rates, token: (assets, shares)})

    def set_link(self, account: AccountId, wallet: Address, *, joins: bool = True) -> None:
        """In the next block, `wallet` says whether it belongs to `account`."""
        links = self._next.links | {(account, wallet)} if joins else self._next.links - {(account, wallet)}
        self._next = replace(self._next, links=links)

    def upgrade(self, token: Address, *, back: bool = False) -> None:
        """From the next block on, `token` is another contract than its recipe says; or is that one again."""
        disputed = self._next.disputed - {token} if back else self._next.disputed | {token}
        self._next = replace(self._next, disputed=disputed)

    def mine(self, blocks: int = 1) -> Cut:
        """Add blocks, the first with all waiting changes; nothing happens while the chain is halted."""
        for _ in range(0 if self.halted else blocks):
            parent = self.head
            height = Height(parent.height + 1)
            time = UnixSeconds(parent.time + self.block_seconds)
            cut = Cut(self.chain_id, height, self._hash(parent.block_hash, height), time)
            self._blocks.append(replace(self._next, cut=cut, parent_hash=parent.block_hash))
            self._next = replace(self._blocks[-1], touched=frozenset())
        return self.head

    def halt(self) -> None:
        """No blocks any more, until `resume`."""
        self.halted = True

    def resume(self) -> None:
        """Blocks again."""
        self.halted = False

    def fork(self, depth: int) -> None:
        """Replace the last `depth` blocks, final or not, by as many empty ones; waiting changes are lost too."""
        if not 0 < depth < len(self._blocks):
            raise InputError("A fork needs blocks to replace", depth=depth, height=self.head.height)
        del self._blocks[-depth:]
        self._branch += 1
        self._next = replace(self._blocks[-1], touched=frozenset())
        self.mine(depth)

    # === What can be asked ===

    @property
    def head(self) -> Cut:
        """The newest block, final or not."""
        return self._blocks[-1].cut

    @property
    def final(self) -> Block:
        """The newest final block."""
        return self._blocks[max(0, len(self._blocks) - 1 - self.lag)]

    def block(self, height: int) -> Block | None:
        """The block at `height`, or None above the head."""
        return self._blocks[height] if 0 <= height < len(self._blocks) else None

    def _change(self, account: AccountId, token: Address, amount: int, *, released: bool) -> None:
        entry = self._next.books.get(account, VaultEntry(0, {}))
        balance = entry.balances.get(token, 0) + amount
        if balance < 0:
            raise InputError("The account holds less than that", token=token, amount=-amount)
        entry = VaultEntry(entry.nonce + released, {**entry.balances, token: Amount(balance)})
        self._next = replace(
            self._next,
            books={**self._next.books, account: entry},
            touched=self._next.touched | {(account, token)},
        )

    def _hash(self, parent: Hash32, height: int) -> Hash32:
        return keccak(parent + height.to_bytes(8, "big") + self.chain_id.to_bytes(8, "big") + bytes((self._branch,)))
