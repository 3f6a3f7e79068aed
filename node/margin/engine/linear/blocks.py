"""Accounts a block at a time, small enough for the cache: the legs of each kind, and how they add up by account.

Must not know what a leg is worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from node.margin.engine.linear.accounts import Legs, LinearAccounts
from node.margin.engine.linear.columns import BoolArray
from node.margin.math.products import FloatArray, IntArray

BLOCK_LEGS = 1 << 15
_Number = TypeVar("_Number", np.int64, np.float64)


def blocks(accounts: LinearAccounts) -> Iterator[slice]:
    """The rows of each block."""
    legs = sum(len(kind) for kind in accounts.kinds)
    step = max(1, BLOCK_LEGS * len(accounts) // max(legs, 1))
    for first in range(0, len(accounts), step):
        yield slice(first, min(first + step, len(accounts)))


@dataclass(frozen=True, slots=True)
class Part:
    """The legs of one kind of a block of accounts, and how to add them up by account."""

    legs: Legs
    own: slice
    places: IntArray
    amounts: IntArray
    starts: IntArray
    filled: BoolArray | None

    @classmethod
    def of_block(cls, legs: Legs, block: slice) -> Part:
        """The legs of the block's accounts."""
        starts = legs.starts[block.start : block.stop + 1].astype(np.int64)
        own = slice(starts[0], starts[-1])
        filled = None if legs.complete else starts[1:] > starts[:-1]
        starts -= starts[0]
        starts = starts[:-1]
        return cls(legs, own, legs.instruments[own].astype(np.int64), legs.amounts[own], starts, filled)

    def __len__(self) -> int:
        return len(self.amounts)

    @property
    def entries(self) -> IntArray:
        """The entry prices of perpetuals, in their instruments' units."""
        held = self.legs.entries
        return np.zeros(len(self), np.int64) if held is None else held[self.own]

    @property
    def funding(self) -> IntArray | np.int64:
        """What perpetuals still receive, in 1e-12 USD."""
        held = self.legs.funding
        return np.int64(0) if held is None else held[self.own]

    def about(self) -> FloatArray:
        """The floats of the amounts."""
        return self.legs.about(self.own)

    def of(self, column: NDArray[_Number]) -> NDArray[_Number]:
        """Each leg's number, by its instrument."""
        return column.take(self.places, mode="wrap")  # they are in range, and this is the fastest way to take them

    def sums(self, numbers: NDArray[_Number]) -> NDArray[_Number]:
        """By account."""
        if self.filled is None:
            return np.add.reduceat(numbers, self.starts)
        found = np.zeros(len(self.starts), numbers.dtype)
        if len(numbers):
            found[self.filled] = np.add.reduceat(numbers, self.starts[self.filled])
        return found
