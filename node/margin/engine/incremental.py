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

Intervals are float32. With r at most 8, rounding the ends, the price that is compared and r itself is wrong by less
than 2^-19·p in all; r is first reduced by that. If nothing is left of it, the interval is empty: always look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.margin.engine.accounts import LinearAccounts
from node.margin.engine.columns import PriceColumns, StatusArray
from node.margin.engine.linear import LinearLevels, evaluate
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.errors import OutOfRange, UnknownAsset
from node.margin.models.fields import LARGEST
from node.margin.models.fixed import WAD, Wad, as_float

LARGEST_RADIUS = 8.0
ROUNDING = 2.0**-19
ROUNDINGS_A_LEG = 3

SmallArray: TypeAlias = NDArray[np.float32]
RowArray: TypeAlias = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Tick:
    """What new prices did: which accounts had to be evaluated, and which of them have another status, by row."""

    evaluated: IntArray
    changed: IntArray


class Watch:
    """Accounts whose statuses are kept as prices move.

    Legs are also listed by price: `_holders` has whose they are, `_low` and `_high` between what the price may move.
    `_slots` has by kind where each leg is in that list.
    """

    __slots__ = ("_accounts", "_ends", "_high", "_holders", "_low", "_place", "_prices", "_slots", "statuses")

    def __init__(self, accounts: LinearAccounts, prices: Mapping[str, Wad]) -> None:
        self._accounts = accounts
        self._prices = PriceColumns(accounts.instruments, prices)
        names = dict.fromkeys(instrument.price for instrument in accounts.instruments.each)
        self._place = {name: place for place, name in enumerate(names)}
        self.statuses: StatusArray = np.zeros(len(accounts), np.int8)
        self._index()
        self._evaluate(np.arange(len(accounts)))

    def _index(self) -> None:
        of_instrument = np.array(
            [self._place[instrument.price] for instrument in self._accounts.instruments.each], np.uint16
        )
        kinds = self._accounts.kinds
        by_leg = np.concatenate([of_instrument[legs.instruments] for legs in kinds])
        order = np.argsort(by_leg, kind="stable").astype(np.uint32)
        self._ends = np.zeros(len(self._place) + 1, np.int64)
        np.cumsum(np.bincount(by_leg, minlength=len(self._place)), out=self._ends[1:])
        rows = np.arange(len(self._accounts), dtype=np.uint32)
        holders = np.concatenate([np.repeat(rows, np.diff(legs.starts)) for legs in kinds])
        self._holders: RowArray = holders[order]
        slots = np.empty(len(order), np.uint32)
        slots[order] = np.arange(len(order), dtype=np.uint32)
        self._slots = np.split(slots, np.cumsum([len(legs) for legs in kinds])[:-1])
        self._low: SmallArray = np.empty(len(order), np.float32)
        self._high: SmallArray = np.empty(len(order), np.float32)

    def tick(self, moved: Mapping[str, Wad]) -> Tick:
        """Take new prices, all at once.

        Raises UnknownAsset for a price that no account needs, OutOfRange for one that is none; nothing has then moved.
        """
        for name, price in moved.items():
            if name not in self._place:
                raise UnknownAsset("no account has it", account="", instrument=name, field="price")
            if not 0 < price <= LARGEST * WAD:
                raise OutOfRange("it is no price", account="", instrument=name, field="price", value=price)
        due = []
        for name, price in moved.items():
            self._prices.move(name, price)
            own = slice(self._ends[self._place[name]], self._ends[self._place[name] + 1])
            now = np.float32(as_float(price))
            left = (self._low[own] >= now) | (self._high[own] <= now)
            due.append(self._holders[own][left])
        rows = np.unique(np.concatenate(due)).astype(np.int64) if due else np.zeros(0, np.int64)
        return Tick(rows, rows[self._evaluate(rows)])

    def _evaluate(self, rows: IntArray) -> NDArray[np.bool_]:
        """Evaluate accounts and set their intervals; which of them have another status than before."""
        accounts = self._accounts if len(rows) == len(self._accounts) else self._accounts.take(rows)
        levels = evaluate(accounts, self._prices)
        statuses = levels.statuses()
        changed: NDArray[np.bool_] = self.statuses[rows] != statuses
        self.statuses[rows] = statuses
        radius = _radii(levels, np.sum([np.diff(legs.starts) for legs in accounts.kinds], axis=0, dtype=np.int64))
        for legs, own, slots in zip(accounts.kinds, self._accounts.kinds, self._slots, strict=True):
            mine = slots if accounts is self._accounts else slots[own.places(rows)[1]]
            price = self._prices.usd[legs.instruments]
            spread = price * np.repeat(radius, np.diff(legs.starts))
            self._low[mine] = price - spread
            self._high[mine] = price + spread
        return changed

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays: of accounts, statuses and intervals."""
        slots = sum(each.nbytes for each in self._slots)
        index = self._holders.nbytes + slots + self._low.nbytes + self._high.nbytes
        return self._accounts.nbytes + index + self.statuses.nbytes


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
