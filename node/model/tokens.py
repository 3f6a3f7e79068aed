"""Tokens in a policy: by which recipe each is admitted, down to the slots that prove its balances and its rate.

Owns the tables and what each kind of token has to state. Must not know how a slot is proven.

    native    the chain's own coin
    erc20     a token that keeps balances in a mapping
    erc4626   shares of a tokenised vault, worth its assets; they are its balance of another admitted token, or a slot
    lst       a liquid-staking token, worth a rate that its contract keeps in a slot
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from chains.types import (
    NATIVE_COIN,
    Amount,
    Hash32,
    MappingRecipe,
    ProxyRecipe,
    RateRecipe,
    StorageRecipe,
    TokenRecipe,
    WordRecipe,
)
from node.model.tables import HexAddress, HexHash, Name, Table

MAX_RATE_BPS = 1_000_000
"""A hundred of the underlying for one token."""


def _slot(value: object) -> Hash32:
    """A slot by its number, or as 32 bytes in hex where it is a hash (ERC-1967, ERC-7201)."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
        return Hash32(value.to_bytes(32, "big"))
    if isinstance(value, str) and re.fullmatch("0x[0-9a-fA-F]{64}", value):
        return Hash32(bytes.fromhex(value[2:]))
    raise ValueError("write a slot as a number, or as 0x and 64 hex digits")


Slot = Annotated[Hash32, BeforeValidator(_slot)]


def _cap(value: object) -> Amount:
    if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,33}", value) and 2 <= int(value) < 1 << 112:
        return Amount(int(value))
    raise ValueError("write a cap as a decimal number in quotes, 2 to 2^112 - 1 base units")


Cap = Annotated[Amount, BeforeValidator(_cap)]
Decimals = Annotated[int, Field(ge=0, le=36)]


class Balances(Table):
    """The mapping from holder to balance; a Solidity contract hashes key ‖ slot, a Vyper one slot ‖ key."""

    slot: Slot
    layout: Literal["solidity", "vyper"] = "solidity"

    @property
    def recipe(self) -> MappingRecipe:
        return MappingRecipe(self.slot, self.layout == "vyper")


class Word(Table):
    """An unsigned integer in the token's storage; `offset` and `size` in bytes, from the low end of the slot."""

    slot: Slot
    offset: Annotated[int, Field(ge=0, le=31)] = 0
    size: Annotated[int, Field(ge=1, le=32)] = 32

    @model_validator(mode="after")
    def _fits(self) -> Word:
        if self.offset + self.size > 32:
            raise ValueError("keep a word within its slot of 32 bytes")
        return self

    @property
    def recipe(self) -> WordRecipe:
        return WordRecipe(self.slot, self.offset, self.size)


class Proxy(Table):
    """The implementation that a proxy must have."""

    slot: Slot
    implementation: HexAddress
    code_hash: HexHash

    @property
    def recipe(self) -> ProxyRecipe:
        return ProxyRecipe(self.slot, self.implementation, self.code_hash)


class Shares(Table):
    """An ERC-4626 vault: (assets + 1) / (total supply + 10^offset), as OpenZeppelin's converts.

    `underlying` is its asset's address, which the chain admits as a token too; without `assets` they are its balance of
    that.
    """

    underlying: HexAddress
    supply: Word
    assets: Word | None = None
    offset: Decimals = 0


class Staked(Table):
    """A liquid-staking token: `rate` over 10^scale of the asset `underlying` for one token."""

    underlying: Name
    rate: Word
    scale: Decimals


class Token(Table):
    """A token that the vault holds, the asset that it is, and its recipe.

    Without a kind it is the native coin, or a token of a chain whose adapter needs no recipe. `max_rate_bps` bounds
    what a yield-bearing token may ever count for, in basis points of its underlying. `free`: what watched wallets hold
    of it themselves is reported, and secures nothing. `cap` is the vault's own: the most that it lets out in a window,
    in base units, written as text because it may be beyond what a TOML integer carries.
    """

    token: HexAddress
    asset: Name
    decimals: Decimals
    cap: Cap | None = None
    kind: Literal["native", "erc20", "erc4626", "lst"] | None = None
    code_hash: HexHash | None = None
    balances: Balances | None = None
    proxy: Proxy | None = None
    erc4626: Shares | None = None
    lst: Staked | None = None
    max_rate_bps: Annotated[int, Field(gt=0, le=MAX_RATE_BPS)] | None = None
    free: bool = False

    @model_validator(mode="before")
    @classmethod
    def _native(cls, data: object) -> object:
        if isinstance(data, dict) and "kind" not in data and str(data.get("token")).lower() == "0x" + NATIVE_COIN.hex():
            return {**data, "kind": "native"}
        return data

    @model_validator(mode="after")
    def _complete(self) -> Token:
        if (self.kind == "native") != (self.token == NATIVE_COIN):
            raise ValueError("the native coin, and nothing else, is the token of twenty zero bytes")
        contract = self.kind in ("erc20", "erc4626", "lst")
        wanted = {
            "code_hash": contract,
            "balances": contract,
            "erc4626": self.kind == "erc4626",
            "lst": self.kind == "lst",
            "max_rate_bps": self.kind in ("erc4626", "lst"),
        }
        for field, needed in wanted.items():
            if needed != (getattr(self, field) is not None):
                raise ValueError(f"{'state' if needed else 'leave out'} {field} for a token of this kind")
        if self.proxy is not None and not contract:
            raise ValueError("leave out proxy for a token of this kind")
        return self

    def recipe(self, tokens: Sequence[Token]) -> TokenRecipe:
        """The recipe, where `tokens` are all of the chain. Raises ValueError."""
        storage = None
        if self.code_hash is not None and self.balances is not None:
            proxy = self.proxy.recipe if self.proxy is not None else None
            storage = StorageRecipe(self.code_hash, self.balances.recipe, proxy)
        return TokenRecipe(self.token, self.asset, self.decimals, storage, self._rate(tokens), self.free, self.cap)

    def _rate(self, tokens: Sequence[Token]) -> RateRecipe | None:
        if self.max_rate_bps is None:
            return None
        if self.lst is not None:
            rate = self.lst.rate.recipe
            return RateRecipe(
                self.lst.underlying, self.decimals, self.max_rate_bps, rate, None, None, 0, 10**self.lst.scale
            )
        assert self.erc4626 is not None  # noqa: S101 - as _complete demands
        vault = self.erc4626
        underlying = next((item for item in tokens if item.token == vault.underlying), None)
        if underlying is None or underlying.kind != "erc20":
            raise ValueError("admit the underlying of an ERC-4626 vault as an erc20 token of the chain")
        assets = vault.assets.recipe if vault.assets is not None else None
        return RateRecipe(
            underlying.asset,
            underlying.decimals,
            self.max_rate_bps,
            assets,
            vault.underlying,
            vault.supply.recipe,
            1,
            10**vault.offset,
        )
