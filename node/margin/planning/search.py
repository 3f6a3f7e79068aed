"""Which candidates, and how much of each: greedy by the order of the terms, in small steps, then nothing too much.

Each round extends the candidate that goes first by the order and, among equals, brings the account closest to the
target for its cost, by a quarter of what there is of it: so costs that grow with size spread over several. When the
target is reached every leg is cut to what is needed. A leg that leaves dust, or a subset of legs that leaves the
account worse, is mended by holding that candidate back and starting over. Must not know outcomes or plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import nsmallest
from itertools import combinations

from node.margin.models.fixed import Money, Wad
from node.margin.models.profile import Evaluation
from node.margin.planning.account import Change
from node.margin.planning.amounts import Scope, Selection, with_amount
from node.margin.planning.candidates import Together, allowed, overlap, priced, rank
from node.margin.planning.legs import Candidate, Leg, holdings_of, is_untidy, largest, most
from node.margin.planning.target import Goal

_Key = tuple[int, Fraction, str]
_LAST: _Key = (10**60, Fraction(0), "")
MOST_TRIED = 256
"""Of more candidates those are tried that come first by the order, and then the largest: each is an evaluation."""
MOST_CANDIDATES = 24
"""More positions than that are not tried one by one, but the best of them."""
_PARTS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to: candidates with amounts, and as legs; `is_cut` where more legs could have done more."""

    selection: Selection
    legs: tuple[Leg, ...]
    is_reached: bool
    is_cut: bool


def evaluated(goal: Goal, legs: tuple[Leg, ...]) -> Evaluation:
    """The account after legs."""
    return goal.after(Change.total(leg.change(goal.account) for leg in legs))


def subsets(goal: Goal, legs: tuple[Leg, ...]) -> Iterator[tuple[tuple[Leg, ...], Evaluation]]:
    """Every subset that is not empty, the smaller first, and the account after it."""
    changes = [(leg, leg.change(goal.account)) for leg in legs]
    for count in range(1, len(legs) + 1):
        for part in combinations(changes, count):
            yield tuple(leg for leg, _ in part), goal.after(Change.total(change for _, change in part))


def worse_part(goal: Goal, legs: tuple[Leg, ...]) -> tuple[Leg, ...] | None:
    """A subset of the legs that leaves the account worse; or a leg that does where only some of its venues act."""
    worse = next((part for part, left in subsets(goal, legs) if goal.is_worse(left)), None)
    return worse or next(((leg,) for leg in legs if is_torn(goal, leg)), None)


def is_torn(goal: Goal, leg: Leg) -> bool:
    """Whether a leg at several venues loses more than it costs where one of them acts alone, or not at all."""
    return any(goal.is_worse(evaluated(goal, (each,)), each.cost) for each in leg.pieces(goal.account))


def search(goal: Goal, *, bounded: bool, together: Together) -> Found:
    """The legs that reach the target, or all that bring the account closer to it.

    `bounded` by the close factor; `together` are positions that are closed as one.
    """
    tried = list(allowed(goal, together))
    if len(tried) > MOST_TRIED:
        tried = nsmallest(MOST_TRIED, tried, key=lambda each: (rank(goal, each), -_size(each), each.name))
    everything = Scope.of(goal, bounded=False)
    scope = Scope.of(goal, bounded=True) if bounded else everything
    return _Search(goal, scope, [priced(each, everything) for each in tried]).run()


def _size(candidate: Candidate) -> int:
    """What it could take at most, in USD at the market."""
    return sum(held.notional(held.size) for held in holdings_of(candidate))


@dataclass(frozen=True, slots=True)
class _Trial:
    """A selection, what it comes to, and what is missing after it."""

    selection: Selection
    legs: tuple[Leg, ...]
    missing: Money
    is_worse: bool

    @property
    def cost(self) -> int:
        return sum(leg.cost for leg in self.legs)


@dataclass(slots=True)
class _Search:
    goal: Goal
    scope: Scope
    tried: list[Candidate]
    pinned: dict[Candidate, Wad] = field(default_factory=dict)
    is_cut: bool = False

    def run(self) -> Found:
        usable = self._usable()
        while True:
            self.is_cut = False
            trial = self._filled(usable)
            fault = self._fault(trial)
            if fault is None:
                return Found(trial.selection, trial.legs, trial.missing <= 0, self.is_cut)
            self.pinned.update([fault])

    def _try(self, selection: Selection) -> _Trial | None:
        legs = self.scope.legs(selection)
        if legs is None:
            return None
        after = evaluated(self.goal, legs)
        is_worse = self.goal.is_worse(after) or any(is_torn(self.goal, leg) for leg in legs)
        return _Trial(selection, legs, self.goal.missing(after), is_worse)

    def _key(self, candidate: Candidate, now: _Trial, then: _Trial) -> _Key:
        return (
            rank(self.goal, candidate),
            Fraction(then.cost - now.cost, now.missing - then.missing),
            candidate.name,
        )

    def _usable(self) -> dict[Candidate, _Key]:
        """The candidates that help by themselves, with their keys; the best of them where there are many."""
        nothing = self._nothing()
        found: list[tuple[_Key, Candidate]] = []
        for candidate in self.tried:
            trial = self._better(candidate, nothing)
            if trial is not None:
                found.append((self._key(candidate, nothing, trial), candidate))
        found.sort(key=lambda each: each[0])
        return {candidate: key for key, candidate in found[:MOST_CANDIDATES]}

    def _nothing(self) -> _Trial:
        return _Trial([], (), self.goal.missing(self.goal.before), is_worse=False)

    def _extended(self, candidate: Candidate, now: _Trial, parts: int) -> _Trial | None:
        """With a part more of a candidate; None where there is no more, or no room."""
        had, pinned = dict(now.selection).get(candidate, Wad(0)), self.pinned.get(candidate)
        if pinned is None:
            whole = self.scope.reach(candidate, now.selection, most(candidate))
            step = self.scope.step(candidate)
            amount = Wad(min(whole, had + -(-whole // (parts * step)) * step))
        else:
            amount = pinned
        return self._try(with_amount(now.selection, candidate, amount)) if amount > had else None

    def _filled(self, usable: dict[Candidate, _Key]) -> _Trial:
        """Extended until the target is reached or nothing helps, and then cut.

        A candidate's key of an earlier round stands until it would come first: it seldom improves.
        """
        now, keys = self._nothing(), dict(usable)
        while now.missing > 0:
            best: tuple[_Key, _Trial] | None = None
            for candidate in sorted(keys, key=lambda each: keys[each]):
                if best is not None and best[0] <= keys[candidate]:
                    break
                trial = self._better(candidate, now)
                keys[candidate] = _LAST if trial is None else self._key(candidate, now, trial)
                if trial is not None and (best is None or keys[candidate] < best[0]):
                    best = keys[candidate], trial
            if best is None:
                return now
            now = best[1]
        return self._cut(now)

    def _better(self, candidate: Candidate, now: _Trial) -> _Trial | None:
        """With a part more of a candidate, or else all of it, if that may be and helps."""
        chosen = [each for each, _ in now.selection]
        if self.pinned.get(candidate) == 0 or any(each != candidate and overlap(each, candidate) for each in chosen):
            return None
        if candidate not in chosen and len(chosen) >= self.goal.terms.most_legs:
            self.is_cut = True
            return None
        for parts in (_PARTS, 1):
            trial = self._extended(candidate, now, parts)
            if trial is not None and not trial.is_worse and trial.missing < now.missing:
                return trial
        return None

    def _cut(self, trial: _Trial) -> _Trial:
        """Every leg, the last chosen first, no larger than the target needs."""
        for candidate, amount in reversed(trial.selection):
            trial = self._smallest(trial, candidate, amount)
        return trial

    def _smallest(self, trial: _Trial, candidate: Candidate, amount: Wad) -> _Trial:
        without = self._try([(each, had) for each, had in trial.selection if each != candidate])
        if without is not None and without.missing <= 0 and not without.is_worse:
            return without
        if candidate in self.pinned:
            return trial
        step = self.scope.step(candidate)
        found = [trial]

        def suffices(fewer: int) -> bool:
            left = Wad(max(1, -(-amount // step) - fewer) * step if fewer else amount)
            tried = self._try(with_amount(trial.selection, candidate, left))
            if tried is None or tried.missing > 0 or tried.is_worse:
                return False
            found.append(tried)
            return True

        steps = -(-amount // step)
        # What is missing is nearly a line in the amount: where it crosses zero is close to the answer.
        guess = None if without is None else -steps * trial.missing // (without.missing - trial.missing)
        largest(suffices, steps - 1, guess)
        return found[-1]

    def _fault(self, trial: _Trial) -> tuple[Candidate, Wad] | None:
        """The candidate to pin, and at which amount, 0 for not at all; None where all is well."""
        for place, (candidate, _) in enumerate(trial.selection):
            if self._is_untidy(trial, place):
                return candidate, Wad(0) if candidate in self.pinned else self._tidied(trial, place)
        chosen = {leg.name: candidate for leg, (candidate, _) in zip(trial.legs, trial.selection, strict=True)}
        part = worse_part(self.goal, trial.legs)
        return None if part is None else (chosen[part[-1].name], Wad(0))

    def _is_untidy(self, trial: _Trial, place: int) -> bool:
        return is_untidy(self.goal.account, trial.legs, trial.legs[place], self.goal.terms.least_left)

    def _tidied(self, trial: _Trial, place: int) -> Wad:
        """All that there is of a leg, if that clears a side; or as much as leaves no dust; or nothing."""
        candidate, amount = trial.selection[place]
        step = self.scope.step(candidate)

        def is_tidy(amount: int) -> bool:
            tried = self._try(with_amount(trial.selection, candidate, Wad(amount)))
            return tried is not None and not tried.is_worse and not self._is_untidy(tried, place)

        whole = self.scope.reach(candidate, trial.selection, most(candidate))
        if is_tidy(whole):
            return whole
        return Wad(step * largest(lambda steps: is_tidy(steps * step), amount // step))
