"""What rows, limits and the shortfall leave of sums: models/hypothec/margin.py for arrays of accounts.

Integers of 64 bits or Python's: each step is the same. Must not know units or amounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from node.margin.engine.hypothec.frame import Frame
from node.margin.engine.hypothec.sums import BoolArray
from node.margin.math import sqrt
from node.margin.math.products import FloatArray, IntArray
from node.margin.math.ratios import Numbers, Ratio, down, up
from node.margin.models.fixed import WAD, Wad, as_float
from node.margin.models.hypothec.shortfall import RAISED
from node.model.health import HealthStatus

_LARGEST_SHORTFALL = 2.0**60
_LARGEST_ROOM = 1 << 62
"""Beyond every delta that 64 bits hold here."""


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
    worths = [_worth(sums, frame, level, end) for level in ("initial", "maintenance") for end in (0, 1)]
    charged = _costs(sums, frame)
    nets = _Nets.of(sums, frame)
    found = []
    for place, worth in enumerate(worths):
        by = frame.ratios[place // 2]
        cost = up(charged, by)
        after, floor = worth - cost, sums.constant[place % 2] - cost
        now, least = _left(sums, after, place % 2), _least(sums, frame, after, floor, by, place % 2)
        found.append(np.minimum(least, now - nets.at(sums, after, floor, by)))
    found[:2] = (np.minimum(stricter, below) for stricter, below in zip(found[:2], found[2:], strict=True))
    excess = np.stack(found)
    market = sums.signed[frame.signed.figures["market high"]] + sums.owed[frame.owed.figures["market width"]]
    covered = _left(sums, market + sums.constant[1], 1) >= 0
    return Found(excess, _status(excess, covered), nets.fits)


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


def _costs(sums: Sums, frame: Frame) -> Numbers:
    """By row, contingency and what is charged for concentration."""
    contingency = -sums.signed[frame.signed.figures["less cost"]] - sums.owed[frame.owed.figures["less cost"]]
    charged: Numbers = np.zeros_like(contingency)
    for root, column in enumerate(frame.signed.deltas.tolist()):
        delta = sums.signed[column]
        room = frame.rooms[root] if delta.dtype == np.dtype(object) else min(frame.rooms[root], _LARGEST_ROOM)
        beyond = np.maximum(np.abs(delta) - room, 0)
        charged = charged + up(beyond, frame.concentration)
    found: Numbers = contingency + charged * sums.is_charged
    return found


def _taken(after: Numbers, limit: Numbers) -> Numbers:
    """What counts of what a row is worth: all of it, or of one with a limit minus the claim."""
    return np.where(limit < 0, after, -np.minimum(np.maximum(-after, 0), limit))


def _no_less(sums: Sums, numbers: Numbers, floor: Numbers, rows: IntArray) -> Numbers:
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
            total[0, at] += _taken(after[rows], sums.limit[rows])
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
    """Shortfalls less relief: of an account's own deltas, with each row that has a limit (by row), with all such.

    And of each such row `alone`.
    """

    own: Numbers
    alone: Numbers
    with_row: Numbers
    with_all: Numbers
    several: IntArray
    fits: BoolArray

    @classmethod
    def of(cls, sums: Sums, frame: Frame) -> _Nets:
        deltas: Numbers = sums.signed[frame.signed.deltas]
        limited = np.asarray(sums.limit >= 0, dtype=bool)
        own: Numbers = np.zeros((len(deltas), sums.count), dtype=deltas.dtype)
        every: Numbers = own.copy()
        relief: Numbers = np.zeros(sums.count, dtype=deltas.dtype)
        count = np.zeros(sums.count, dtype=np.int64)
        for rows, accounts in sums.slots():
            free = ~limited[rows]
            own[:, accounts[free]] += deltas[:, rows[free]]
            every[:, accounts] += deltas[:, rows]
            relief[accounts] += sums.signed[frame.signed.figures["relief"]][rows]
            count[accounts] += limited[rows]
        fits = np.ones(sums.count, dtype=np.bool_)
        own_net, large = _net(own, relief, frame)
        fits &= ~large
        alone: Numbers = np.zeros(len(sums.account), dtype=deltas.dtype)
        with_row: Numbers = alone.copy()
        rows = np.flatnonzero(limited)
        at = sums.account[rows]
        alone[rows], large = _net(deltas[:, rows], alone[rows], frame)
        fits[at[large]] = False
        with_row[rows], large = _net(own[:, at] + deltas[:, rows], relief[at], frame)
        fits[at[large]] = False
        several = np.flatnonzero(count > 1)
        with_all, large = _net(every[:, several], relief[several], frame)
        fits[several[large]] = False
        return cls(own_net, alone, with_row, with_all, several, fits)

    def at(self, sums: Sums, after: Numbers, floor: Numbers, by: Ratio) -> Numbers:
        """What a threshold takes: no row adds more than its own shortfall adds to its claim."""
        own = self._own(sums, after - floor, by)
        limited = np.flatnonzero(np.asarray(sums.limit >= 0, dtype=bool))
        if not len(limited):
            return own
        found: Numbers = own.copy()
        now, limit = after[limited], sums.limit[limited]
        added: Numbers = np.zeros(len(sums.account), dtype=after.dtype)
        lost = _no_less(sums, now - up(self.alone[limited], by), floor, limited)
        added[limited] = _taken(now, limit) - _taken(lost, limit)
        with_row = up(self.with_row, by)
        together: Numbers = np.zeros(sums.count, dtype=after.dtype)
        for every, accounts in sums.slots():
            some = np.asarray(sums.limit[every] >= 0, dtype=bool)
            rows, at = every[some], accounts[some]
            found[at] = np.maximum(found[at], np.minimum(with_row[rows], own[at] + added[rows]))
            together[at] += added[rows]
        if len(self.several):
            at = self.several
            found[at] = np.maximum(found[at], np.minimum(up(self.with_all, by), own[at] + together[at]))
        return found

    def _own(self, sums: Sums, worth: Numbers, by: Ratio) -> Numbers:
        """Of one's own alone: no more than rows without a limit are worth beyond their floors, where they have some."""
        taken, most = up(self.own, by), np.zeros(sums.count, dtype=worth.dtype)
        unbounded = np.zeros(sums.count, dtype=np.bool_)
        for every, accounts in sums.slots():
            free = np.asarray(sums.limit[every] < 0, dtype=bool)
            rows, at = every[free], accounts[free]
            most[at] += np.where(sums.is_bounded[rows] > 0, worth[rows], 0)
            unbounded[at] |= sums.is_bounded[rows] == 0
        found: Numbers = np.where(unbounded, taken, np.minimum(taken, most))
        return found


def _net(deltas: Numbers, relief: Numbers, frame: Frame) -> tuple[Numbers, BoolArray]:
    """max(0, shortfall − relief) by account, and where 64 bits do not hold it."""
    found = frame.multiple * sqrt(_variance(deltas, frame)) * RAISED
    if deltas.dtype == np.dtype(object):
        exactly = np.array([int(each) for each in np.ceil(found).tolist()], dtype=object)
        return np.maximum(exactly - relief, 0), np.zeros(len(found), dtype=np.bool_)
    large = ~(found < _LARGEST_SHORTFALL)
    return np.maximum(np.ceil(np.where(large, 0.0, found)).astype(np.int64) - relief, 0), large


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
