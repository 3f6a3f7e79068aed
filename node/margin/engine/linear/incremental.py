"""Which accounts a price tick can have moved over a threshold; only those are evaluated again.

When an account is evaluated exactly, each of its prices gets an interval around what it was then. As long as every
price stays within its interval, no status can change; a tick then costs a look at the intervals of whoever holds what
moved, and an exact evaluation of the few that it left.

Why it is safe. At one threshold the excess E is a sum of terms, each linear in one price and then rounded at most
twice, by less than one unit of money (1e-12 USD) each time, where factors and rates are at most 1. Let the account have
n legs, p its prices at the last evaluation and x the sum over its terms of |term's slope|·price. A leg has at most
three roundings, so if every price q has |q − p| ≤ r·p,

    |E(q) − E(p)| ≤ r·x + 2·3n        and        x ≤ X = what `LinearLevels.moved` says + 3n.

E(p) ≥ 0 stays so while r·X + 6n ≤ E(p), and E(p) < 0 while r·X + 6n ≤ −E(p) − 1. So the status holds for
r = min over thresholds of (slack − 6n)/X, where slack is E(p) or −E(p) − 1. Nothing is assumed of how often prices
moved since, in which order, or together.

Accounts whose positions change are forgotten where they are listed and listed anew, in a part of their own. A part is
put together with the one before when it is no smaller, and all with the first when they come to a quarter of it: each
leg that changed is listed again a logarithmic number of times, and no other.

Intervals are float32. With r at most 8, rounding the ends, the price that is compared and r itself is wrong by less
than 2^-19·p in all; r is first reduced by that. If nothing is left of it, the interval is empty: always look again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from chains.errors import InputError
from node.margin.engine.linear.accounts import LinearAccounts
from node.margin.engine.linear.columns import PriceColumns, StatusArray
from node.margin.engine.linear.evaluate import LinearLevels, evaluate
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.errors import OutOfRange, UnknownAsset
from node.margin.models.fields import LARGEST
from node.margin.models.fixed import WAD, Wad, as_float

LARGEST_RADIUS = 8.0
ROUNDING = 2.0**-19
ROUNDINGS_A_LEG = 3
GROWN = 4
"""Parts that are together so many times smaller than the first are put together with it."""

SmallArray: TypeAlias = NDArray[np.float32]
RowArray: TypeAlias = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Tick:
    """What a change did: which accounts had to be evaluated, and which of them have another status, by row."""

    evaluated: IntArray
    changed: IntArray


class _Part:
    """Accounts with the intervals of their prices. `rows` are theirs in the watch; None is all of them, in order.

    Legs are also listed by price: `_holders` has whose they are, `_low` and `_high` between what the price may move.
    `_slots` has by kind where each leg is in that list; `_ends` where the list of each of `_priced` ends.
    """

    __slots__ = ("_ends", "_high", "_holders", "_low", "_priced", "_slots", "accounts", "rows")

    def __init__(self, accounts: LinearAccounts, rows: IntArray | None, price_of: NDArray[np.uint16]) -> None:
        self.accounts, self.rows = accounts, rows
        kinds = accounts.kinds
        by_leg = np.concatenate([price_of[legs.instruments] for legs in kinds])
        order = np.argsort(by_leg, kind="stable").astype(np.uint32)
        self._priced, counts = np.unique(by_leg, return_counts=True)
        self._ends = np.cumsum(counts)
        owners = np.arange(len(accounts), dtype=np.uint32)
        self._holders: RowArray = np.concatenate([np.repeat(owners, np.diff(legs.starts)) for legs in kinds])[order]
        slots = np.empty(len(order), np.uint32)
        slots[order] = np.arange(len(order), dtype=np.uint32)
        self._slots = np.split(slots, np.cumsum([len(legs) for legs in kinds])[:-1])
        self._low: SmallArray = np.empty(len(order), np.float32)
        self._high: SmallArray = np.empty(len(order), np.float32)

    @property
    def size(self) -> int:
        """Legs and accounts."""
        return len(self._holders) + len(self.accounts)

    def left(self, price: int, now: np.float32) -> RowArray:
        """Whose interval of a price, by place, it has left; counted from this part's first."""
        place = int(np.searchsorted(self._priced, price))
        if place == len(self._priced) or self._priced[place] != price:
            return np.zeros(0, np.uint32)
        own = slice(self._ends[place - 1] if place else 0, self._ends[place])
        return self._holders[own][(self._low[own] >= now) | (self._high[own] <= now)]

    def watch(self, local: IntArray, prices: PriceColumns) -> StatusArray:
        """Evaluate some accounts and set their intervals; their statuses."""
        accounts = self.accounts if len(local) == len(self.accounts) else self.accounts.take(local)
        levels = evaluate(accounts, prices)
        radius = _radii(levels, np.sum([np.diff(legs.starts) for legs in accounts.kinds], axis=0, dtype=np.int64))
        for legs, own, slots in zip(accounts.kinds, self.accounts.kinds, self._slots, strict=True):
            mine = slots if accounts is self.accounts else slots[own.places(local)[1]]
            price = prices.usd[legs.instruments]
            spread = price * np.repeat(radius, np.diff(legs.starts))
            self._low[mine] = price - spread
            self._high[mine] = price + spread
        return levels.statuses()

    def forget(self, local: IntArray) -> None:
        """Never again find some accounts."""
        for own, slots in zip(self.accounts.kinds, self._slots, strict=True):
            mine = slots[own.places(local)[1]]
            self._low[mine], self._high[mine] = -np.inf, np.inf

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        index = self._holders.nbytes + self._low.nbytes + self._high.nbytes + sum(each.nbytes for each in self._slots)
        return self.accounts.nbytes + index + (0 if self.rows is None else self.rows.nbytes)


class Watch:
    """Accounts whose statuses are kept as prices move and positions change.

    `_parts` has them; an account that was replaced is in the one that `_moved` says, any other in the first.
    """

    __slots__ = ("_moved", "_parts", "_place", "_price_of", "_prices", "statuses")

    def __init__(self, accounts: LinearAccounts, prices: Mapping[str, Wad]) -> None:
        self._prices = PriceColumns(accounts.instruments, prices)
        names = dict.fromkeys(instrument.price for instrument in accounts.instruments.each)
        self._place = {name: place for place, name in enumerate(names)}
        self._price_of = np.array([self._place[each.price] for each in accounts.instruments.each], np.uint16)
        self._moved: dict[int, tuple[_Part, int]] = {}
        self._parts = [_Part(accounts, None, self._price_of)]
        self.statuses = self._parts[0].watch(np.arange(len(accounts)), self._prices)

    def tick(self, moved: Mapping[str, Wad]) -> Tick:
        """Take new prices, all at once.

        Raises UnknownAsset for a price that no account needs, OutOfRange for one that is none; nothing has then moved.
        """
        for name, price in moved.items():
            if name not in self._place:
                raise UnknownAsset("no account has it", account="", instrument=name, field="price")
            if not 0 < price <= LARGEST * WAD:
                raise OutOfRange("it is no price", account="", instrument=name, field="price", value=price)
        for name, price in moved.items():
            self._prices.move(name, price)
        evaluated, changed = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for part in self._parts if moved else ():
            due = [part.left(self._place[name], np.float32(as_float(price))) for name, price in moved.items()]
            local = np.unique(np.concatenate(due)).astype(np.int64)
            if len(local):
                rows = local if part.rows is None else part.rows[local]
                evaluated.append(rows)
                changed.append(self._put(rows, part.watch(local, self._prices)))
        return Tick(np.sort(np.concatenate(evaluated)), np.sort(np.concatenate(changed)))

    def replace(self, rows: IntArray, accounts: LinearAccounts) -> Tick:
        """Take what some accounts hold and owe now, in the order of their rows; all else stays.

        An account without legs is one that is yet to come. Raises InputError for rows that are not there or twice, and
        for accounts of other instruments; nothing is then replaced.
        """
        first = self._parts[0].accounts
        known = len(rows) == len(accounts) == len(np.unique(rows)) and accounts.instruments is first.instruments
        if not known or (len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(first)):
            raise InputError("replace each row once, by an account of the same instruments", accounts=len(accounts))
        if not len(rows):
            return Tick(rows, rows)
        part = _Part(accounts, rows, self._price_of)
        statuses = part.watch(np.arange(len(rows)), self._prices)
        left = defaultdict[_Part, list[int]](list)
        for local, row in enumerate(rows.tolist()):
            before, there = self._moved.get(row, (self._parts[0], row))
            left[before].append(there)
            self._moved[row] = part, local
        for before, gone in left.items():
            before.forget(np.array(gone))
        self._parts.append(part)
        changed = self._put(rows, statuses)
        self._put_together()
        return Tick(np.sort(rows), np.sort(changed))

    def _put(self, rows: IntArray, statuses: StatusArray) -> IntArray:
        """The rows that have another status than before."""
        changed: IntArray = rows[self.statuses[rows] != statuses]
        self.statuses[rows] = statuses
        return changed

    def _put_together(self) -> None:
        """Keep the parts few, and each smaller than the one before."""
        first, *later = self._parts
        if GROWN * sum(part.size for part in later) >= first.size:
            self._parts = [self._joined(self._parts)]
            self._moved.clear()
        while len(self._parts) > 2 and self._parts[-1].size >= self._parts[-2].size:
            together = self._joined(self._parts[-2:])
            assert together.rows is not None  # noqa: S101 - only the first has all
            self._parts[-2:] = [together]
            self._moved.update((row, (together, local)) for local, row in enumerate(together.rows.tolist()))

    def _joined(self, parts: Sequence[_Part]) -> _Part:
        """Parts as one, without what was replaced in them."""
        sizes = [len(part.accounts) for part in parts]
        before = dict(zip(parts, np.cumsum([0, *sizes]).tolist(), strict=False))
        rows = None
        if parts[0].rows is None:
            order = np.arange(sizes[0])
            for row, (part, local) in self._moved.items():
                order[row] = before[part] + local
        else:
            kept = [
                (row, before[part] + local)
                for part in parts
                for local, row in enumerate([] if part.rows is None else part.rows.tolist())
                if self._moved[row] == (part, local)
            ]
            rows, order = np.array(kept).T
        accounts = LinearAccounts.joined([part.accounts for part in parts]).take(order, named=False)
        together = _Part(accounts, rows, self._price_of)
        together.watch(np.arange(len(accounts)), self._prices)
        return together

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays: of accounts, statuses and intervals."""
        return sum(part.nbytes for part in self._parts) + self.statuses.nbytes


def _radii(levels: LinearLevels, legs: IntArray) -> FloatArray:
    """By account: how far, relative to itself, every price may move while no status can change."""
    found = np.full(len(legs), LARGEST_RADIUS)
    roundings = ROUNDINGS_A_LEG * legs.astype(np.float64)
    for threshold in range(len(levels.thresholds)):
        excess = (levels.equity[threshold] - levels.requirement[threshold]).astype(np.float64)
        for row, sums in levels.beyond.items():
            excess[row] = sums[threshold].excess
        slack = np.where(excess >= 0, excess, -excess - 1) - 2 * roundings
        np.minimum(found, slack / (levels.moved(threshold) + roundings + 1), out=found)
    found[list(levels.refused)] = LARGEST_RADIUS  # a price that is missing is 0, so that any price leaves its interval
    return found - ROUNDING
