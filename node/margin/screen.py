"""Which accounts are below maintenance margin, without evaluating those that provably are not.

An account that was evaluated is safe until one of the levels that it depends on (prices, volatilities, the state of its
chains) has moved by so much; its rules say how far (node.margin.headroom). Each level has a clock that runs by how far
it moves, and a queue of accounts by the time at which they must be looked at again. So a state costs what its prices
and changes make necessary, and not what exists. A change of policy or of an account's leaf has it looked at anyway.

What is here is a cache: an account that is not looked at is not liquidatable. Must not know plans or reservations.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from chains.proofs.keccak import keccak
from chains.types import AccountId, Hash32
from node.margin.account import Rules, rules_of
from node.margin.context import MarginContext
from node.margin.headroom import Headroom, Key, Level
from node.model.ledger import AccountView
from node.model.merkle import MerkleMap

View: TypeAlias = Callable[[AccountId], AccountView]

_POLICIES = 2
"""The one in force, and one that waits for its time."""
_SPARE = 1_024
"""Void entries that a queue may have beside as many as there are accounts."""


@dataclass(slots=True)
class _Clock:
    """One level's: its ticks so far, the level at which they were counted, and who is due when.

    A queue's entry is (due, number of the evaluation, account); it is void once the account was evaluated again.
    """

    seen: Level
    ticks: int = 0
    queue: list[tuple[int, int, AccountId]] = field(default_factory=list)

    def advance(self, now: Level) -> None:
        """Count what the level has moved by."""
        if now != self.seen:
            self.ticks += now.ticks_from(self.seen)
            self.seen = now

    def push(self, ticks: int, number: int, account: AccountId, numbers: Mapping[AccountId, int]) -> None:
        """Have the account looked at when the level has moved by more than `ticks`; `numbers` says what is not void."""
        heapq.heappush(self.queue, (self.ticks + ticks, number, account))
        # SECURITY: a level that stands still makes nobody due, and each new report of an account leaves a void entry.
        if len(self.queue) > 2 * len(numbers) + _SPARE:
            self.queue = [entry for entry in self.queue if numbers.get(entry[2]) == entry[1]]
            heapq.heapify(self.queue)

    def due(self) -> Iterator[tuple[int, AccountId]]:
        """Take out who must be looked at again: (number of the evaluation, account)."""
        while self.queue and self.queue[0][0] < self.ticks:
            _, number, account = heapq.heappop(self.queue)
            yield number, account


class _Known:
    """What is known of a ledger's accounts under one policy."""

    def __init__(self) -> None:
        self.evaluations = 0
        self._maps: dict[str, MerkleMap] = {}
        self._clocks: dict[Key, _Clock] = {}
        self._numbers: dict[AccountId, int] = {}  # of the evaluation that each account's distance is from
        self._close: set[AccountId] = set()  # who has none
        self._due: set[AccountId] = set()  # who changed, or whose distance is used up

    def notice(self, maps: Mapping[str, MerkleMap], context: MarginContext) -> None:
        """Take up what has changed since the last time: accounts and levels."""
        self._due |= self._changed(maps)
        rules = rules_of(context.policy)
        for key, clock in list(self._clocks.items()):
            clock.advance(rules.level(key, context))
            self._due |= {account for number, account in clock.due() if self._numbers.get(account) == number}
            if not clock.queue:
                del self._clocks[key]

    def below(self, view: View, context: MarginContext) -> Iterator[AccountId]:
        """Evaluate who is due or close, and yield who is below maintenance margin."""
        self._due |= self._close
        yield from self._evaluated(len(self._due), view, context)

    def ahead(self, most: int, view: View, context: MarginContext) -> int:
        """Evaluate so many of those who are due, and say how many are left."""
        for _ in self._evaluated(most, view, context):
            pass  # it is close, and so looked at again when it matters
        return len(self._due)

    def _evaluated(self, most: int, view: View, context: MarginContext) -> Iterator[AccountId]:
        due, owing = list(islice(self._due, most)), []
        for account in due:
            if self._maps["obligations"].get(account) is not None:
                owing.append(account)
            else:
                self._forget(account)
        rules = rules_of(context.policy)
        for account, found in zip(owing, rules.headrooms(map(view, owing), context), strict=True):
            self._forget(account)
            self._note(account, found, rules, context)
            if found.excess < 0:
                yield account

    def _changed(self, maps: Mapping[str, MerkleMap]) -> set[AccountId]:
        """The accounts with a leaf that is not as it was when this was last asked."""
        empty = MerkleMap()
        changed: set[AccountId] = set()
        for name in maps.keys() | self._maps.keys():
            changes = maps.get(name, empty).changes_since(self._maps.get(name, empty))
            changed |= {AccountId(Hash32(key)) for key in changes}
        self._maps = dict(maps)
        return changed

    def _forget(self, account: AccountId) -> None:
        """All that is known of an account, which is not due any more."""
        self._due.discard(account)
        self._close.discard(account)
        self._numbers.pop(account, None)

    def _note(self, account: AccountId, found: Headroom, rules: Rules, context: MarginContext) -> None:
        """Until when an account that was evaluated need not be evaluated again."""
        self.evaluations += 1
        if found.safe is None:
            self._close.add(account)
            return
        self._numbers[account] = self.evaluations
        for key, ticks in found.safe.items():
            if key not in self._clocks:
                self._clocks[key] = _Clock(rules.level(key, context))
            self._clocks[key].push(ticks, self.evaluations, account, self._numbers)


class Screen:
    """What is known of a ledger's accounts from one state to the next, under the policy in force and the one to come.

    `evaluations` counts the work. Without any, the first answer costs as much as looking at everybody.
    """

    def __init__(self) -> None:
        self._by_policy: OrderedDict[Hash32, _Known] = OrderedDict()

    @property
    def evaluations(self) -> int:
        return sum(known.evaluations for known in self._by_policy.values())

    def liquidatable(
        self, obligations: MerkleMap, others: Mapping[str, MerkleMap], view: View, context: MarginContext
    ) -> list[AccountId]:
        """The accounts whose excess over maintenance margin is below zero at its high end, in the order of the maps.

        Only who is in `obligations` can be; `others` are the other maps of the ledger by some name, and `view` reads
        one account from all of them.
        """
        known = self._known(obligations, others, context)
        return sorted(known.below(view, context), key=keccak)

    def look_ahead(
        self, obligations: MerkleMap, others: Mapping[str, MerkleMap], view: View, context: MarginContext, most: int
    ) -> int:
        """Evaluate at most so many accounts that the next answer would have to; how many are left."""
        return self._known(obligations, others, context).ahead(most, view, context)

    def _known(self, obligations: MerkleMap, others: Mapping[str, MerkleMap], context: MarginContext) -> _Known:
        known = self._by_policy.setdefault(context.policy.hash, _Known())
        self._by_policy.move_to_end(context.policy.hash)
        while len(self._by_policy) > _POLICIES:
            self._by_policy.popitem(last=False)
        known.notice({**others, "obligations": obligations}, context)
        return known
