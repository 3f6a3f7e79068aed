"""Values that every chain adapter speaks in, whatever its chain.

Owns the vocabulary of verified facts: who holds what, where, at which cut, and how that is known.
Must not know: how a fact was obtained, what it is worth, or anything of `node`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NewType, TypeAlias

ChainId = NewType("ChainId", int)
"""Numeric chain id (EIP-155 for EVM chains); unique within a network."""

Height = NewType("Height", int)
"""Block number, genesis = 0."""

Hash32 = NewType("Hash32", bytes)
"""Any 32-byte hash: a block hash, a root, a digest."""

Address = NewType("Address", bytes)
"""Chain-native address or token id; 20 bytes on EVM chains, where twenty zero bytes are the native coin."""

AccountId = NewType("AccountId", bytes)
"""Margin account id, 32 bytes."""

Amount = NewType("Amount", int)
"""Token amount in the token's base units, never negative."""

UnixSeconds = NewType("UnixSeconds", int)
"""Seconds since 1970-01-01 UTC, as block headers and feeds state it."""

NATIVE_COIN = Address(bytes(20))


class Assurance(IntEnum):
    """How a fact is known, weakest first; the number is part of signed bytes."""

    REPORTED = 1
    """An endpoint quorum says so; there is no proof."""
    ATTESTED = 2
    """Proven against a header that a quorum of independent endpoints agrees on."""
    PROVEN = 3
    """Proven against a header that a light client verified."""


class Control(IntEnum):
    """What the network can do with a holding; the number is part of signed bytes."""

    FREE = 1
    ENCUMBERED = 2
    ENFORCEABLE = 3


@dataclass(frozen=True, slots=True)
class Cut:
    """The exact past that a state speaks of: one final block of one chain."""

    chain_id: ChainId
    height: Height
    block_hash: Hash32
    time: UnixSeconds


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where following a vault resumes: a cut, and the vault's proven storage hash at it."""

    cut: Cut
    storage_hash: Hash32


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """What a vault's books say of one account at a cut.

    `nonce` is the number of releases executed. `balances` maps token to amount.
    """

    nonce: int
    balances: Mapping[Address, Amount]


@dataclass(frozen=True, slots=True)
class TokenFact:
    """An admitted token at a cut: what the vault's books of it add up to, and what is there to cover them.

    `booked` is the books' total, `held` the vault's own balance by the token's, both in base units. `rate` is what the
    recipe's rate gives, as assets and shares; None where it has none. Of a token that is `disputed`, because it is not
    what its recipe admits, nothing but `booked` is known, and the rest is zero and None.
    """

    booked: Amount
    held: Amount
    rate: tuple[int, int] | None = None
    disputed: bool = False


FreeBalances: TypeAlias = Mapping[Address, Amount | None]
"""What a wallet itself holds, by token, above zero; None of a token that is disputed, of which nobody can tell."""


@dataclass(frozen=True, slots=True)
class ChainDelta:
    """Every vault entry that changed between two cuts, as absolute, verified values at `checkpoint.cut`.

    `accounts` holds, for each touched account, its nonce and the balances of its touched tokens (zero when emptied);
    untouched tokens of a touched account are left out. Complete: what is not here did not change.
    `tokens` has every token of the recipe, changed or not. `links` says of each (account, wallet) that was touched in
    the vault's registry whether the wallet joins the account.
    """

    checkpoint: Checkpoint
    assurance: Assurance
    accounts: Mapping[AccountId, VaultEntry]
    tokens: Mapping[Address, TokenFact]
    links: Mapping[tuple[AccountId, Address], bool]


@dataclass(frozen=True, slots=True)
class Quote:
    """One source's price of one asset, as verified.

    `price` is in 1e-12 USD a whole unit of the asset; `published_at` is the source's own time;
    `cut` is the block at which the quote was proven.
    """

    asset: str
    source: str
    price: int
    published_at: UnixSeconds
    cut: Cut
    assurance: Assurance


@dataclass(frozen=True, slots=True)
class MappingRecipe:
    """A mapping in a contract's storage.

    An entry is at keccak(key ‖ slot) as Solidity has it or, where `slot_first`, at keccak(slot ‖ key) as Vyper has it.
    """

    slot: Hash32
    slot_first: bool = False


@dataclass(frozen=True, slots=True)
class WordRecipe:
    """An unsigned integer in a contract's storage: `size` bytes, `offset` bytes above the low end of `slot`."""

    slot: Hash32
    offset: int = 0
    size: int = 32


@dataclass(frozen=True, slots=True)
class ProxyRecipe:
    """The implementation that a proxy has to name in its `slot`, and the code hash that this has to have."""

    slot: Hash32
    implementation: Address
    code_hash: Hash32


@dataclass(frozen=True, slots=True)
class StorageRecipe:
    """What a token's contract has to be, and where it keeps balances by holder.

    `code_hash` pins the contract whose storage layout is assumed; where it is a proxy, the implementation is pinned.
    """

    code_hash: Hash32
    balances: MappingRecipe
    proxy: ProxyRecipe | None = None


@dataclass(frozen=True, slots=True)
class RateRecipe:
    """What a yield-bearing token is redeemed for: (assets + added_assets) / (shares + added_shares).

    Both in base units: `assets` of the asset `underlying`, which has `decimals`, and `shares` of the token itself.
    `assets` is a word of the token's contract, or where None its balance of `underlying_token`, which the recipe of the
    chain admits too; `shares` a word as well, or where None zero. More than `max_bps` (whole units of the underlying
    for one whole token, in basis points) it never counts for.
    """

    underlying: str
    decimals: int
    max_bps: int
    assets: WordRecipe | None
    underlying_token: Address | None
    shares: WordRecipe | None
    added_assets: int
    added_shares: int


@dataclass(frozen=True, slots=True)
class TokenRecipe:
    """A token that may secure accounts on one chain: which asset it is, and its decimals.

    `storage` is None for a native coin, and on chains whose adapter needs none; `rate` for what bears no yield. Of a
    `free` one it is reported too what watched wallets hold themselves, which secures nothing. `cap` is the most that
    the vault lets out in one of its windows, in base units; None where it lets out anything.
    """

    token: Address
    asset: str
    decimals: int
    storage: StorageRecipe | None = None
    rate: RateRecipe | None = None
    free: bool = False
    cap: Amount | None = None


@dataclass(frozen=True, slots=True)
class FeedRecipe:
    """A price feed that is read by storage proof.

    `source` is its unique name; the feed's answer has `decimals` decimals;
    `code_hash` pins the contract whose storage layout is assumed.
    """

    source: str
    asset: str
    feed: Address
    decimals: int
    code_hash: Hash32


@dataclass(frozen=True, slots=True)
class ChainRecipe:
    """What the policy admits on one chain, and all that an adapter needs to prove it.

    `max_watched` is how many wallets' own balances are reported at most.
    """

    chain_id: ChainId
    kind: str
    vault: Address
    vault_code_hash: Hash32
    verifier: Address
    from_height: Height
    stride: int
    tokens: tuple[TokenRecipe, ...]
    feeds: tuple[FeedRecipe, ...]
    max_watched: int = 0


@dataclass(frozen=True, slots=True)
class EndpointFault:
    """An endpoint caught at something: who, what, and the evidence in words. Goes to a log line and a counter."""

    chain_id: ChainId
    endpoint: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class EndpointStanding:
    """One endpoint as its chain's adapter stands to it now.

    `trusted` ones are asked first; others are set aside for `seconds_aside` more, for `reason`, which stays afterwards.
    `latency` in seconds, smoothed, 0 before the first answer. `height` is the newest block that it called final itself
    within the last minute, `lag` the blocks from there to the agreed head; None where nothing was heard.
    `failures` since it last answered well, `lies` ever.
    """

    name: str
    trusted: bool
    latency: float
    height: Height | None
    lag: int | None
    failures: int
    lies: int
    seconds_aside: float
    reason: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Who said what of one height: the block hash by endpoint, ascending by name; `agreed` is None without a quorum."""

    height: Height
    said: tuple[tuple[str, Hash32], ...]
    agreed: Hash32 | None
    at: UnixSeconds
