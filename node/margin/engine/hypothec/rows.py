"""What rows, limits and the shortfall leave of sums: models/hypothec/margin.py for arrays of accounts.

Integers of 64 bits or Python's: each step is the same. Must not know units or amounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from node.margin.engine.hypothec.frame import Frame
from node.margin.engine.hypothec.sums import BoolArray
from node.margin.math import sqrt
from node.margin.math.products import FloatArray, IntArray
from node.margin.math.ratios import Numbers, Ratio, down, up
from node.margin.models.fixed import WAD, Wad, as_float
from node.margin.models.hypothec.shortfall import RAISED, ROUNDED_BITS
from node.model.health import HealthStatus

_LARGEST_SHORTFALL = 2.0**60
_LARGEST_CHARGE = 2.0**60
_LARGEST_REACH = 2.0**62
"""Of what rows are worth and what they cost, together."""
_LARGEST_ROOM = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Sums:
    """Accounts and their rows: as in frame.PartArrays, with the sums [columns, rows] of both tables."""

    fixed: Numbers
    account: IntArray
    slot: IntArray
    limit: Numbers
    constant: Numbers
    is_charged: IntArray
    is_bounded: IntArray
    floor: Numbers
    signed: Numbers
    owed: Numbers

    @property
    def count(self) -> int:
        """Accounts."""
        return int(self.fixed.shape[1])

    def slots(self) -> Iterator[tuple[IntArray, IntArray]]:
        """The rows that are the first of their accounts, those that are the second …, and their accounts."""
        for slot in range(int(self.slot.max(initial=-1)) + 1):
            rows = np.flatnonzero(self.slot == slot)
            yield rows, self.account[rows]


@dataclass(frozen=True, slots=True)
class Found:
    """[initial low, initial high, maintenance low, maintenance high] by account, the status, and if 64 bits did."""

    excess: Numbers
    status: IntArray
    fits: BoolArray


def health(sums: Sums, frame: Frame) -> Found:
    """Every account's excesses and status."""
    errors = _errors(sums, frame)
    costs, held = _costs(sums, frame, errors)
    nets = _Nets.of(sums, frame, errors)
    found, reach = [], np.zeros(len(sums.account))
    for place, (level, end) in enumerate((level, end) for level in ("initial", "maintenance") for end in (0, 1)):
        by = frame.ratios[place // 2]
        worth, cost = _worth(sums, frame, level, end), up(costs[end], by)
        reach = np.maximum(reach, np.abs(worth).astype(np.float64) + cost.astype(np.float64))
        after, floor = worth - cost, sums.floor[end] - cost
        unmoved = _no_less(sums, after, floor)
        now, least = _left(sums, unmoved, end), _least(sums, frame, after, floor, by, end)
        found.append(np.minimum(least, now - nets.at(end, sums, unmoved, floor, by)))
    found[:2] = (np.minimum(stricter, below) for stricter, below in zip(found[:2], found[2:], strict=True))
    excess = np.stack(found)
    market = sums.signed[frame.signed.figures["market high"]] + sums.owed[frame.owed.figures["market width"]]
    covered = _left(sums, market + sums.constant[1], 1) >= 0
    nets.fits[sums.account[~held]] = False
    fits = nets.fits & (np.bincount(sums.account, reach, sums.count) < _LARGEST_REACH)
    return Found(excess, _status(excess, covered), fits)


def _status(excess: Numbers, covered: Numbers) -> IntArray:
    """models/hypothec's status_of, account by account."""
    initial_low, _, low, high = excess
    found = np.full(len(low), int(HealthStatus.HEALTHY), dtype=np.int64)
    found[np.asarray(initial_low < 0, dtype=bool)] = HealthStatus.MARGIN_CALL
    found[np.asarray(low < 0, dtype=bool)] = HealthStatus.UNKNOWN
    lost = np.asarray(high < 0, dtype=bool)
    found[lost] = np.where(np.asarray(covered, dtype=bool)[lost], HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT)
    return found


def _worth(sums: Sums, frame: Frame, level: str, end: int) -> Numbers:
    """By row, what it is worth at one end: what is held at its low and what is owed at its high, or the other way."""
    side = ("low", "high")[end]
    width = f"{level} width" if end else f"less {level} width"
    found: Numbers = (
        sums.signed[frame.signed.figures[f"{level} {side}"]] + sums.owed[frame.owed.figures[width]] + sums.constant[end]
    )
    return found


def _errors(sums: Sums, frame: Frame) -> tuple[Numbers, Numbers]:
    """By underlying and row, by how much deltas may be wrong: as the low and as the high end take it."""
    owed: Numbers = -sums.owed[frame.owed.errors]
    every: Numbers = 2 * owed - sums.signed[frame.signed.errors]
    return np.where(sums.is_charged != 0, every, owed), every


def _costs(sums: Sums, frame: Frame, errors: tuple[Numbers, Numbers]) -> tuple[list[Numbers], BoolArray]:
    """By row, contingency and what is charged for concentration, at either end; and for which 64 bits do."""
    found: list[Numbers] = []
    size = np.zeros(len(sums.account))
    for side, sign in (("high", 1), ("low", -1)):
        name = f"less cost {side}"
        contingency = -sums.signed[frame.signed.figures[name]] - sums.owed[frame.owed.figures[name]]
        charged: Numbers = np.zeros_like(contingency)
        for root, column in enumerate(frame.signed.deltas.tolist()):
            delta = np.abs(sums.signed[column]) + sign * errors[1][root]
            room = frame.rooms[root] if delta.dtype == np.dtype(object) else min(frame.rooms[root], _LARGEST_ROOM)
            each = up(np.maximum(np.maximum(delta, 0) - room, 0), frame.concentration)
            charged = charged + each
            size = size + each.astype(np.float64)
        found.append(contingency + charged * sums.is_charged)
    return found, size < _LARGEST_CHARGE


def _taken(after: Numbers, limit: Numbers) -> Numbers:
    """What counts of what a row is worth: all of it, or of one with a limit minus the claim."""
    return np.where(limit < 0, after, -np.minimum(np.maximum(-after, 0), limit))


def _no_less(sums: Sums, numbers: Numbers, floor: Numbers, rows: IntArray | slice = slice(None)) -> Numbers:
    """What some rows come to, bounded ones no less than their floors; `numbers` [..., rows]."""
    return np.where(sums.is_bounded[rows] > 0, np.maximum(numbers, floor[rows]), numbers)


def _left(sums: Sums, after: Numbers, end: int) -> Numbers:
    """By account, constants and all that its rows count."""
    found: Numbers = sums.fixed[end].copy()
    for rows, accounts in sums.slots():
        found[accounts] += _taken(after[rows], sums.limit[rows])
    return found


def _least(sums: Sums, frame: Frame, after: Numbers, floor: Numbers, by: Ratio, end: int) -> Numbers:
    """By account, the least that any row of the scenarios leaves, or the market as it is."""
    changes = frame.signed.changes
    single = np.bincount(sums.account, minlength=sums.count) <= 1
    found: Numbers = sums.fixed[end].copy()
    alone = np.flatnonzero(single[sums.account])
    if len(alone):
        worst = np.minimum(_worst(sums.signed, changes, alone), 0)
        moved = _no_less(sums, after[alone] + down(worst, by), floor, alone)
        found[sums.account[alone]] += _taken(moved, sums.limit[alone])
    together = np.flatnonzero(~single)
    if len(together):
        place = np.zeros(sums.count, dtype=np.int64)
        place[together] = np.arange(len(together))
        total: Numbers = np.repeat(found[None, together], 1 + len(changes), axis=0)
        for every, accounts in sums.slots():
            some = ~single[accounts]
            rows, at = every[some], place[accounts[some]]
            total[0, at] += _taken(_no_less(sums, after[rows], floor, rows), sums.limit[rows])
            moved = after[rows] + down(sums.signed[changes[:, None], rows[None, :]], by)
            total[1:, at] += _taken(_no_less(sums, moved, floor, rows), sums.limit[rows])
        found[together] = total.min(axis=0)
    return found


def _worst(signed: Numbers, changes: IntArray, rows: IntArray) -> Numbers:
    everything = len(rows) == signed.shape[1]
    found: Numbers = signed[changes[0]] if everything else signed[changes[0], rows]
    for column in changes[1:].tolist():
        found = np.minimum(found, signed[column] if everything else signed[column, rows])
    return found


# === Shortfall ===


@dataclass(frozen=True, slots=True)
class _Nets:
    """Shortfalls less relief at both ends, the low one first.

    Of an account's own deltas, with each row that has a limit (by row), with all such; and of each such row `alone`.
    """

    own: Numbers
    alone: Numbers
    with_row: Numbers
    with_all: Numbers
    several: IntArray
    fits: BoolArray

    @classmethod
    def of(cls, sums: Sums, frame: Frame, errors: tuple[Numbers, Numbers]) -> _Nets:
        deltas: Numbers = np.stack([sums.signed[frame.signed.deltas], *errors])
        relieved: Numbers = sums.signed[[frame.signed.figures["relief low"], frame.signed.figures["relief high"]]]
        limited = np.asarray(sums.limit >= 0, dtype=bool)
        own: Numbers = np.zeros((*deltas.shape[:2], sums.count), dtype=deltas.dtype)
        every: Numbers = own.copy()
        relief: Numbers = np.zeros((2, sums.count), dtype=deltas.dtype)
        count = np.zeros(sums.count, dtype=np.int64)
        for rows, accounts in sums.slots():
            free = ~limited[rows]
            own[..., accounts[free]] += deltas[..., rows[free]]
            every[..., accounts] += deltas[..., rows]
            relief[:, accounts] += relieved[:, rows]
            count[accounts] += limited[rows]
        fits = np.ones(sums.count, dtype=np.bool_)
        own_net, large = _net(own, relief, frame)
        fits &= ~large
        alone: Numbers = np.zeros((2, len(sums.account)), dtype=deltas.dtype)
        with_row: Numbers = alone.copy()
        rows = np.flatnonzero(limited)
        at = sums.account[rows]
        alone[:, rows], large = _net(deltas[..., rows], alone[:, rows], frame)
        fits[at[large]] = False
        with_row[:, rows], large = _net(own[..., at] + deltas[..., rows], relief[:, at], frame)
        fits[at[large]] = False
        several = np.flatnonzero(count > 1)
        with_all, large = _net(every[..., several], relief[:, several], frame)
        fits[several[large]] = False
        return cls(own_net, alone, with_row, with_all, several, fits)

    def at(self, end: int, sums: Sums, after: Numbers, floor: Numbers, by: Ratio) -> Numbers:
        """What a threshold takes at one end: no row adds more than its own shortfall adds to its claim."""
        own = self._own(end, sums, after - floor, by)
        limited = np.flatnonzero(np.asarray(sums.limit >= 0, dtype=bool))
        if not len(limited):
            return own
        found: Numbers = own.copy()
        now, limit = after[limited], sums.limit[limited]
        added: Numbers = np.zeros(len(sums.account), dtype=after.dtype)
        lost = _no_less(sums, now - up(self.alone[end, limited], by), floor, limited)
        added[limited] = _taken(now, limit) - _taken(lost, limit)
        with_row = up(self.with_row[end], by)
        together: Numbers = np.zeros(sums.count, dtype=after.dtype)
        for every, accounts in sums.slots():
            some = np.asarray(sums.limit[every] >= 0, dtype=bool)
            rows, at = every[some], accounts[some]
            found[at] = np.maximum(found[at], np.minimum(with_row[rows], own[at] + added[rows]))
            together[at] += added[rows]
        if len(self.several):
            at = self.several
            found[at] = np.maximum(found[at], np.minimum(up(self.with_all[end], by), own[at] + together[at]))
        return found

    def _own(self, end: int, sums: Sums, worth: Numbers, by: Ratio) -> Numbers:
        """Of one's own alone: no more than rows without a limit are worth beyond their floors, where they have some."""
        taken, most = up(self.own[end], by), np.zeros(sums.count, dtype=worth.dtype)
        unbounded = np.zeros(sums.count, dtype=np.bool_)
        for every, accounts in sums.slots():
            free = np.asarray(sums.limit[every] < 0, dtype=bool)
            rows, at = every[free], accounts[free]
            most[at] += np.where(sums.is_bounded[rows] > 0, worth[rows], 0)
            unbounded[at] |= sums.is_bounded[rows] == 0
        found: Numbers = np.where(unbounded, taken, np.minimum(taken, most))
        return found


def _net(deltas: Numbers, relief: Numbers, frame: Frame) -> tuple[Numbers, BoolArray]:
    """max(0, shortfall − relief) by account at either end, the low one first, and where 64 bits do not hold it.

    Of deltas with their errors at both ends [3, underlyings, accounts] and relief [2, accounts], the least first.
    """
    found, large = _ceil(frame.multiple * sqrt(_variance(deltas[0], frame)) * RAISED, deltas.dtype)
    ends: list[Numbers] = []
    for sign, errors, relieved in zip((1, -1), deltas[1:], relief, strict=True):
        total = np.zeros(len(found))
        for place, root in enumerate(frame.roots):
            total = total + errors[place].astype(np.float64) * as_float(frame.vols[root])
        doubt, beyond = _ceil(frame.multiple * total * RAISED, deltas.dtype)
        doubt = np.where(total == 0.0, 0, doubt + (found >> ROUNDED_BITS) + 2)
        ends.append(np.maximum(found + sign * doubt - relieved, 0))
        large |= beyond
    return np.stack(ends), large


def _ceil(numbers: FloatArray, kind: np.dtype[Any]) -> tuple[Numbers, BoolArray]:
    """Rounded up as integers of a kind, and where 64 bits do not hold them."""
    if kind == np.dtype(object):
        exactly = np.array([int(each) for each in np.ceil(numbers).tolist()], dtype=object)
        return exactly, np.zeros(len(numbers), dtype=np.bool_)
    large = ~(np.abs(numbers) < _LARGEST_SHORTFALL)
    return np.ceil(np.where(large, 0.0, numbers)).astype(np.int64), large


def _variance(deltas: Numbers, frame: Frame) -> FloatArray:
    """models/hypothec's variance: the same operations in the same order, for arrays."""
    rules = frame.parameters.shortfall
    total, single = np.zeros(deltas.shape[1]), np.zeros(deltas.shape[1])
    of_group = {name: np.zeros(deltas.shape[1]) for name in sorted(rules.within)}
    for place, root in enumerate(frame.roots):
        group = frame.groups[root]
        risk = deltas[place].astype(np.float64) * as_float(frame.vols[root])
        total = total + risk
        of_group[group] = of_group[group] + risk
        single = single + as_float(Wad(WAD - rules.within[group])) * (risk * risk)
    found = as_float(rules.across) * (total * total)
    for name, risk in of_group.items():
        found = found + as_float(Wad(rules.within[name] - rules.across)) * (risk * risk)
    return found + single
