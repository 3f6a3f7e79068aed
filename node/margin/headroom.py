"""How far an account is from being liquidatable: what its excess depends on, and how much of that may move.

A level is what one such thing is now. Rules name the levels that an account's excess depends on, and for each the
ticks for which it is safe: as long as none of them has moved by more, counted step by step, the excess over maintenance
margin at its high end cannot have fallen below zero.

Let E be that high end, and G such that E falls by less than G·u + (what is lost once) while every level stays within a
factor 1 ± u. A clock that counts Σδᵢ of relative steps and shows t means that its level is within a factor Π(1 ± δᵢ),
so within 1 ± u with u = t + t² (t ≤ 1). With slack what E has beyond what is lost once, t = q / (1 + q) for
q = slack / G is safe: G·(t + t²) = slack·(1 + 2q)/(1 + q)² ≤ slack. Must not know accounts or rules.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TypeAlias

TICKS = 10**18
"""While a level moves by itself once."""
NEVER = 1 << 255
"""More ticks than any account is safe for."""

Key: TypeAlias = tuple[Hashable, ...]
"""What a level is of."""


@dataclass(frozen=True, slots=True)
class Level:
    """A thing as it is: what can only change as a whole, and numbers that move.

    Relative ones move by a part of themselves; others, in 1e-18, by as much as they differ.
    """

    kind: Hashable
    ends: tuple[int | Fraction, ...] = ()
    is_relative: bool = True

    def ticks_from(self, before: Level) -> int:
        """What the step from another level counts; everything where it is of another kind, or was nothing."""
        if self.kind != before.kind or len(self.ends) != len(before.ends):
            return NEVER
        moves = list(zip(before.ends, self.ends, strict=True))
        if not self.is_relative:
            return max((ceil(abs(Fraction(end) - was)) for was, end in moves), default=0)
        if any(was == 0 != end for was, end in moves):
            return NEVER
        return max((ceil(abs(Fraction(end) - was) * TICKS / was) for was, end in moves if was), default=0)


@dataclass(frozen=True, slots=True)
class Headroom:
    """An account's excess over maintenance margin at the high end, and for each level how many ticks it is safe for.

    `safe` is None for an account that must always be looked at.
    """

    excess: int
    safe: Mapping[Key, int] | None


def ticks_for(slack: int, gross: int, most: int = TICKS) -> int:
    """For how many a slack is enough where the excess falls by less than gross·u; slack > 0, `most` ≤ TICKS."""
    return min(most, slack * TICKS // (slack + gross))
