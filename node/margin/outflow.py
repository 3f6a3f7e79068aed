"""How much of a token may yet be ordered out of its vault.

A vault lets at most its cap of a token leave in one window, and owners half of that. Nodes do not follow the windows:
they keep what is under way, ordered and not known to be executed, within what one window lets out. So no release is
issued that no window could ever take, and one that meets a window in which others have left waits for the next, which
the relayer sees to. Must not know how releases are issued, nor who may have them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chains.types import Address, ChainId
from node.margin.policy import Policy
from node.model.digests import ReleaseKind
from node.model.ledger import Reservation


class Outflow:
    """What is under way, by (chain, token) in base units: by everybody, and by owners alone."""

    def __init__(self) -> None:
        self._all: Counter[tuple[ChainId, Address]] = Counter()
        self._by_owners: Counter[tuple[ChainId, Address]] = Counter()

    @classmethod
    def of(cls, policy: Policy, reservations: Iterable[Reservation]) -> Outflow:
        """Of these open releases, as far as they are the policy's vaults'."""
        made = cls()
        for reservation in reservations:
            recipe = policy.recipe_by_chain.get(reservation.chain_id)
            if recipe is not None and recipe.vault == reservation.vault:
                made.add(reservation)
        return made

    def add(self, reservation: Reservation) -> None:
        """One more release of a vault of the policy was ordered."""
        for token, amount, _ in reservation.items:
            self._all[reservation.chain_id, token] += amount
            if reservation.kind is ReleaseKind.WITHDRAWAL:
                self._by_owners[reservation.chain_id, token] += amount

    def within(self, policy: Policy, kind: ReleaseKind, chain_id: ChainId, token: Address, amount: int) -> int:
        """The part of `amount` that may be ordered beside what is under way; all of it where there is no cap."""
        place = chain_id, token
        recipe = policy.token_by_place.get(place)
        if recipe is None or recipe.cap is None:
            return amount
        left = recipe.cap - self._all[place]
        if kind is ReleaseKind.WITHDRAWAL:
            left = min(left, recipe.cap // 2 - self._by_owners[place])
        return max(0, min(amount, left))


NOTHING = Outflow()
"""Nothing is under way."""
