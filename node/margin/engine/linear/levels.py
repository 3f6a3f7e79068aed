"""What engines of thresholds answer: each account's equity and requirement at every one, and which statuses follow.

Must not know what an account is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from node.margin.engine.linear.columns import StatusArray
from node.margin.math.products import IntArray
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import Money
from node.margin.models.profile import HEALTHY, Threshold

REFUSED = -1
_MOST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Sums:
    """An account at one threshold."""

    equity: Money
    requirement: Money

    @property
    def excess(self) -> Money:
        """Equity less requirement."""
        return Money(self.equity - self.requirement)


@dataclass(frozen=True, slots=True)
class Levels:
    """Accounts at each threshold; arrays are [threshold, account], money in 1e-12 USD.

    `beyond` has the accounts that were evaluated by the rules: their numbers are there, and in the arrays only as far
    as 63 bits reach. `refused` have no numbers.
    """

    thresholds: tuple[Threshold, ...]
    equity: IntArray
    requirement: IntArray
    beyond: dict[int, tuple[Sums, ...]]
    refused: dict[int, PortfolioError]

    @classmethod
    def blank(cls, thresholds: tuple[Threshold, ...], accounts: int, refused: Mapping[int, PortfolioError]) -> Levels:
        """To be filled in."""
        shape = len(thresholds), accounts
        return cls(thresholds, np.zeros(shape, np.int64), np.zeros(shape, np.int64), {}, dict(refused))

    def put(self, row: int, found: tuple[Sums, ...]) -> None:
        """An account as the rules say."""
        self.beyond[row] = found
        for threshold, sums in enumerate(found):
            self.equity[threshold, row] = max(-_MOST, min(_MOST, sums.equity))
            self.requirement[threshold, row] = min(_MOST, sums.requirement)

    def sums(self, row: int, threshold: int) -> Sums:
        """One account at one threshold (by place), exactly."""
        if row in self.beyond:
            return self.beyond[row][threshold]
        return Sums(Money(int(self.equity[threshold, row])), Money(int(self.requirement[threshold, row])))

    def statuses(self) -> StatusArray:
        """By account: 0 is healthy, i + 1 that thresholds[i] is the gravest that is not met, −1 refused."""
        found = np.zeros(self.equity.shape[1], np.int8)
        for place, threshold in enumerate(self.thresholds):
            unmet = self.equity[place] < self.requirement[place]
            if threshold.if_required:
                unmet &= self.requirement[place] > 0
            found[unmet] = place + 1
        for row, levels in self.beyond.items():
            each = enumerate(zip(self.thresholds, levels, strict=True))
            found[row] = max((place + 1 for place, (at, sums) in each if not at.is_met(sums)), default=0)
        found[list(self.refused)] = REFUSED
        return found

    def status(self, code: int) -> str:
        """What a status is called."""
        return HEALTHY if code == 0 else "refused" if code == REFUSED else self.thresholds[code - 1].unmet
