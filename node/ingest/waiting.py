"""Owners' requests that wait for their turn, by account and nonce. Must not know what they ask, or who holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chains.types import AccountId, Hash32


class Waiting:
    """Digests by account and nonce. `used` is always the last nonce of the account that was decided."""

    def __init__(self) -> None:
        self._accounts: dict[AccountId, dict[int, set[Hash32]]] = {}

    def add(self, account: AccountId, nonce: int, digest: Hash32) -> None:
        self._accounts.setdefault(account, {}).setdefault(nonce, set()).add(digest)

    def remove(self, account: AccountId, nonce: int, digest: Hash32) -> None:
        by_nonce = self._accounts[account]
        by_nonce[nonce].discard(digest)
        if not by_nonce[nonce]:
            del by_nonce[nonce]
        if not by_nonce:
            del self._accounts[account]

    def count(self, account: AccountId) -> int:
        return sum(len(digests) for digests in self._accounts.get(account, {}).values())

    def is_early(self, account: AccountId, nonce: int, used: int) -> bool:
        """Whether a request of the account with a lower nonce has yet to come."""
        by_nonce = self._accounts.get(account, {})
        return any(earlier not in by_nonce for earlier in range(used + 1, nonce))

    def ready(self, used: Callable[[AccountId], int]) -> Iterator[Hash32]:
        """Those that can be decided now: each account's next, and what follows it without a gap."""
        for account, by_nonce in self._accounts.items():
            nonce = used(account) + 1
            while nonce in by_nonce:
                yield from by_nonce[nonce]
                nonce += 1

    def __len__(self) -> int:
        return sum(len(digests) for by_nonce in self._accounts.values() for digests in by_nonce.values())
