"""What wallets hold of a chain's free tokens, in hands that the network has no hold on.

Owns which contracts and slots tell that, what their proven words mean, and which of them need no new proof. Must not
know how they are proven.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from chains.evm.questions import Contract, Proven
from chains.evm.tokens import balance_slot_of, is_admitted, merged
from chains.types import NATIVE_COIN, Address, Amount, ChainRecipe, FreeBalances, Hash32, TokenRecipe

Prove: TypeAlias = Callable[[Sequence[Contract]], Awaitable[Mapping[Address, Proven]]]
"""Every contract with its slots, at one block; each is named once."""
Words: TypeAlias = Mapping[Hash32, int]


class WalletReader:
    """Reads balances, and keeps those of the last look: under the same storage hash they are the same."""

    def __init__(self) -> None:
        self._kept: dict[Address, tuple[Hash32 | None, Words]] = {}

    async def read(self, recipe: ChainRecipe, wallets: Sequence[Address], prove: Prove) -> dict[Address, FreeBalances]:
        """The free balances of each wallet at the block that `prove` is about."""
        tokens = [token for token in recipe.tokens if token.free]
        proven = await prove(merged(_needed(tokens, wallets)))
        words = await self._words([token for token in tokens if is_admitted(token, proven)], wallets, proven, prove)

        def held(token: TokenRecipe, wallet: Address) -> int | None:
            if token.token == NATIVE_COIN:
                account = proven[wallet].account
                return account.balance if account is not None else 0
            if token.storage is None or token.token not in words:
                return None
            return words[token.token][balance_slot_of(token.storage.balances, wallet)]

        return {
            wallet: {
                token.token: None if amount is None else Amount(amount)
                for token in tokens
                if (amount := held(token, wallet)) != 0
            }
            for wallet in wallets
        }

    async def _words(
        self, tokens: Sequence[TokenRecipe], wallets: Sequence[Address], proven: Mapping[Address, Proven], prove: Prove
    ) -> dict[Address, Words]:
        """The wallets' slots in each token's contract, asking for those alone that may have changed."""
        kept = dict[Address, tuple[Hash32 | None, Words]]()
        missing: list[tuple[Address, Hash32]] = []
        for token in tokens:
            account, storage = proven[token.token].account, token.storage
            if account is not None and storage is not None:
                known = self._kept.get(token.token, (None, {}))
                words = known[1] if known[0] == account.storage_hash else {}
                slots = [balance_slot_of(storage.balances, wallet) for wallet in wallets]
                kept[token.token] = account.storage_hash, {slot: words[slot] for slot in slots if slot in words}
                missing += ((token.token, slot) for slot in slots if slot not in words)
        for address, found in (await prove(merged(missing))).items():
            kept[address] = kept[address][0], {**kept[address][1], **found.slots}
        self._kept = kept
        return {address: words for address, (_, words) in kept.items()}


def _needed(tokens: Sequence[TokenRecipe], wallets: Sequence[Address]) -> Iterator[tuple[Address, Hash32 | None]]:
    """What says whether each token is the one of its recipe, and what a wallet has of the native coin."""
    for token in tokens:
        if token.token == NATIVE_COIN:
            yield from ((wallet, None) for wallet in wallets)
        elif token.storage is not None:
            proxy = token.storage.proxy
            yield token.token, proxy.slot if proxy is not None else None
            if proxy is not None:
                yield proxy.implementation, None
