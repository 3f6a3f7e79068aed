"""Which accounts are below maintenance margin, without evaluating those that provably are not.

An account that was evaluated has a distance: how far the prices that it depends on may move, relative to what they
were, before the best of all that is possible could fall below its maintenance margin. Each price has a clock that runs
by how far it moves, and a queue of accounts by the time at which they must be looked at again. So a state costs what
its prices and its changes make necessary, and not what exists.

Why that is sound. Let E be the high end of an account's excess over maintenance margin (below zero: liquidatable). It
depends on the high ends of its tokens' marks and on both ends of its underlyings', and on nothing else that can change
without a change of policy or leaf, or a price that comes or goes, which all lead to another evaluation. Where a vault
lacks some of a token, its holders also depend on the share that is there, which has a clock like a price: it changes
with everybody's deposits, and comes and goes with the shortfall.

- a holding counts ⌊⌊amount·price⌋·(1 − haircut)⌋, so a fall by a fraction δ takes at most δ of it, or all of it once
  it is dust, which is at most the asset's minimum; in a shortfall amount is ⌊booked amount·share⌋, so that a fall of
  both takes at most 2·δ of it, and the value of some base units, five, for the rounding then and now at prices that
  may have risen threefold;
- a venue requires margin − value within [0, cap], which moves no faster than margin − value does: for each position by
  at most δ·|size|·price·(1 + maintenance), when either end of the mark moves by δ;
- each of these is rounded once or twice, by less than one unit.

With G the sum of those amounts, and slack = E − dust − roundings, E stays above zero while G·δ < slack. The clock
counts Σδᵢ of the steps; t on it means that a price is within a factor Π(1 + δᵢ) ≤ eᵗ ≤ 1 + t + t² of what it was (t ≤
1). So t = q / (1 + q) with q = slack / G is safe: G·(t + t²) = slack·(1 + 2q)/(1 + q)² ≤ slack.

What is here is a cache: an account that is not looked at is not liquidatable. Must not know plans or reservations.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Literal, TypeAlias

from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, ChainId, Hash32
from node.margin import spec
from node.margin.account import evaluate
from node.margin.context import MarginContext
from node.margin.policy import PICO_PER_MICRO, Instrument, Policy
from node.model.health import Health
from node.model.ledger import AccountView
from node.model.merkle import MerkleMap
from node.model.reports import Position

View: TypeAlias = Callable[[AccountId], AccountView]
Place: TypeAlias = tuple[ChainId, Address]
Share: TypeAlias = tuple[Literal["share"], ChainId, Address]
Key: TypeAlias = str | Place | Share
Ends: TypeAlias = tuple[int | Fraction, ...]

_TICKS = 10**18
"""A clock's ticks while its price moves by itself once."""
_NEVER = 1 << 255
_ROUNDINGS = 4
"""Of one holding or position: two, each less than one unit apart at either time."""
_UNITS = 5
"""Base units of a short token, at the price of now: what a share may be rounded by at either time."""
_POLICIES = 2
"""The one in force, and one that waits for its time."""
_SPARE = 1_024
"""Void entries that a queue may have beside as many as there are accounts."""


@dataclass(slots=True)
class _Clock:
    """One price's: its ticks so far, the ends at which they were counted, and who is due when.

    A queue's entry is (due, number of the evaluation, account); it is void once the account was evaluated again.
    """

    ticks: int = 0
    seen: Ends | None = None
    queue: list[tuple[int, int, AccountId]] = field(default_factory=list)

    def advance(self, now: Ends | None) -> None:
        """Count what the price has moved by; all that it can move by if it came, went, or was nothing."""
        if now == self.seen:
            return
        if now is None or self.seen is None or any(was == 0 != end for was, end in zip(self.seen, now, strict=True)):
            self.ticks += _NEVER
        else:
            moves = zip(self.seen, now, strict=True)
            self.ticks += max(ceil(abs(Fraction(end) - was) * _TICKS / was) for was, end in moves if was)
        self.seen = now

    def push(self, ticks: int, number: int, account: AccountId, numbers: Mapping[AccountId, int]) -> None:
        """Have the account looked at when the price has moved by more than `ticks`; `numbers` says what is not void."""
        heapq.heappush(self.queue, (self.ticks + ticks, number, account))
        # SECURITY: a price that stands still makes nobody due, and each new report of an account leaves a void entry.
        if len(self.queue) > 2 * len(numbers) + _SPARE:
            self.queue = [entry for entry in self.queue if numbers.get(entry[2]) == entry[1]]
            heapq.heapify(self.queue)

    def due(self) -> Iterator[tuple[int, AccountId]]:
        """Take out who must be looked at again: (number of the evaluation, account)."""
        while self.queue and self.queue[0][0] < self.ticks:
            _, number, account = heapq.heappop(self.queue)
            yield number, account


def _prices(context: MarginContext) -> Iterator[tuple[Key, Ends | None]]:
    """What accounts depend on: the prices of underlyings by asset, of tokens by place, and their share where short."""
    for asset, mark in context.marks.items():
        yield asset, (mark.obligation.low, mark.obligation.high) if mark.obligation is not None else None
    for place, mark in context.token_marks.items():
        yield place, (mark.collateral.high,) if mark.obligation is not None else None
        share = _share(context, place)
        yield ("share", *place), (share,) if share is not None else None


def _share(context: MarginContext, place: Place) -> Fraction | None:
    """What of each amount in the books is there; None where that is all of it, or not known."""
    fact = context.tokens.get(place)
    if fact is None or fact.disputed or fact.held >= fact.booked:
        return None
    return Fraction(fact.held, fact.booked)


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
        """Take up what has changed since the last time: accounts and prices."""
        self._due |= self._changed(maps)
        for key, ends in _prices(context):
            self._clocks.setdefault(key, _Clock()).advance(ends)
        for clock in self._clocks.values():
            self._due |= {account for number, account in clock.due() if self._numbers.get(account) == number}

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
        for _ in range(min(most, len(self._due))):
            account = self._due.pop()
            self._close.discard(account)
            self._numbers.pop(account, None)
            if self._maps["obligations"].get(account) is not None and self._is_below(view(account), context):
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

    def _is_below(self, view: AccountView, context: MarginContext) -> bool:
        """Evaluate an account, and note until when it need not be evaluated again."""
        self.evaluations += 1
        health = evaluate(view, context)
        distance = _distance(view, health, context) if context.policy.margin is None else None
        if distance is None:
            self._close.add(view.account)
        else:
            self._numbers[view.account] = self.evaluations
            for key, ticks in distance.items():
                self._clocks[key].push(ticks, self.evaluations, view.account, self._numbers)
        return health.maintenance_excess.high < 0


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


def _distance(view: AccountView, health: Health, context: MarginContext) -> dict[Key, int] | None:
    """For each price that the account depends on, the ticks for which it is safe; None for not even one."""
    policy = context.policy
    slack, gross = health.maintenance_excess.high, 0
    keys: set[Key] = set()
    for line in health.holdings:
        if line.value.high > 0:
            place = line.chain_id, line.token
            keys |= {place, ("share", *place)}
            gross += line.maintenance.high
            if _share(context, place) is not None:
                gross += line.maintenance.high
                slack -= _UNITS * (_unit_value(context, place) + 1)
            slack -= policy.asset_by_id[line.asset].min_value_micro_usd * PICO_PER_MICRO + _ROUNDINGS
    for position, instrument in _positions(view, policy):
        keys.add(instrument.underlying)
        mark = context.marks[instrument.underlying].obligation
        if mark is not None:
            gross += spec.perpetual_margin(position.size, mark.high, spec.BPS + instrument.maintenance_bps)
            slack -= _ROUNDINGS
    if not keys and slack >= 0:
        return {}
    if slack <= 0:
        return None
    return dict.fromkeys(keys, slack * _TICKS // (slack + gross))


def _unit_value(context: MarginContext, place: Place) -> int:
    """What a base unit of a token counts for at most, rounded up."""
    return spec.ceil_div(
        context.token_marks[place].collateral.high, 10 ** context.policy.token_by_place[place].decimals
    )


def _positions(view: AccountView, policy: Policy) -> Iterator[tuple[Position, Instrument]]:
    """The positions that count, and whose price matters."""
    if view.record is None or view.obligations is None:
        return
    authorized = {item.venue for item in view.record.authorizations}
    for obligation in view.obligations.venues:
        if obligation.venue in authorized:
            for position in obligation.positions:
                instrument = policy.perpetual_by_id.get(position.instrument)
                if instrument is not None and position.size != 0:
                    yield position, instrument
