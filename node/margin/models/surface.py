"""A grid of volatilities, strikes by expiries: the slice of it at one expiry, and when it is refused.

Total variance w = vol²·T is linear between strikes in log-moneyness k = ln(K/F), flat beyond the outermost, and linear
in time at one k, as sources of variance add up; before the first row and after the last the volatility stays. Between
neighbours a line has no humps, so rows that do not cross at each other's strikes cross nowhere. Every step is an
element-wise IEEE operation in a fixed order. Only the rows around an expiry are read: what is wrong with others stops
nobody who does not need them. Must not know who holds what.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from node.margin.math import FloatArray, ln, sqrt
from node.margin.models.errors import CrossedSurface, OutOfRange
from node.margin.models.fields import LONGEST_SECONDS, Fields, Names, leaves
from node.margin.models.fixed import as_float
from node.margin.models.interest import SECONDS_A_YEAR
from node.margin.models.pricing import black76

MOST_STRIKES = 500
MOST_ROWS = 200
_TOLERANCE = 1e-9
"""Relative: what rounding of quoted volatilities may look like."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One expiry of a grid: ascending log-moneyness, the total variance at each, and the years to expiry."""

    moneyness: FloatArray
    variance: FloatArray
    years: float

    def at(self, moneyness: FloatArray) -> FloatArray:
        """Total variance: w0 + (w1 − w0)·((k − k0)/(k1 − k0)), flat outside."""
        if len(self.moneyness) == 1:
            return np.full_like(moneyness, self.variance[0])
        upper = np.clip(np.searchsorted(self.moneyness, moneyness), 1, len(self.moneyness) - 1)
        k0, k1 = self.moneyness[upper - 1], self.moneyness[upper]
        w0, w1 = self.variance[upper - 1], self.variance[upper]
        part = (moneyness - k0) / (k1 - k0)
        part = np.where(part < 0.0, 0.0, np.where(part > 1.0, 1.0, part))
        return w0 + (w1 - w0) * part


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A grid at one expiry: the rows around it, the part of the way from the first to the second, and the forward.

    It is itself and equals no other, so that it can be looked up by.
    """

    first: Row
    second: Row
    part: float
    years: float
    forward: float

    def vol(self, strikes: FloatArray) -> FloatArray:
        """√(w/T) with w = w_first + (w_second − w_first)·part, all at k = ln(K/F)."""
        moneyness = ln(strikes / self.forward)
        first = self.first.at(moneyness)
        return sqrt((first + (self.second.at(moneyness) - first) * self.part) / self.years)


GRID_NAMES: Names = {"strikes": None, "rows": [leaves("seconds", "forward", "vols")]}
"""What is read of a grid."""


def read_slice(fields: Fields, seconds: int, forward: float) -> Slice:
    """The slice at an expiry of a grid: `strikes`, ascending, and `rows`: [{`seconds`, `forward`, `vols`}, …].

    Raises CrossedSurface, which names the expiry and the strike, where the rows around the expiry allow arbitrage:
    calls that do not fall with the strike, or are not convex in it; a later row with less total variance at the same
    moneyness.
    """
    strikes = _strikes(fields)
    rows = _rows(fields)
    times = [time for time, _ in rows]
    later = next((place for place, time in enumerate(times) if time >= seconds), len(rows) - 1)
    earlier = later if times[later] <= seconds else max(0, later - 1)
    if earlier == later or times[earlier] > seconds:
        row = _row(fields, rows[later], strikes)
        return Slice(row, row, 0.0, row.years, forward)
    first, second = (_row(fields, rows[place], strikes) for place in (earlier, later))
    _refuse_crossed(fields, first, second, rows[later])
    part = (seconds - times[earlier]) / (times[later] - times[earlier])
    return Slice(first, second, part, seconds / SECONDS_A_YEAR, forward)


def _strikes(fields: Fields) -> list[float]:
    found = [
        as_float(fields.as_number(each, "strikes", low=0)) for each in fields.entries("strikes", most=MOST_STRIKES)
    ]
    if not found or found[0] <= 0 or any(first >= second for first, second in pairwise(found)):
        raise fields.wrong("give ascending strikes above zero", "strikes")
    return found


def _rows(fields: Fields) -> list[tuple[int, Fields]]:
    """The rows with their seconds to expiry, ascending; those that have expired are none."""
    rows = []
    for content in fields.entries("rows", most=MOST_ROWS):
        row = Fields.of(content, fields.account, fields.instrument)
        seconds = row.whole("seconds", low=-LONGEST_SECONDS, high=LONGEST_SECONDS)
        if seconds > 0:
            rows.append((seconds, row.named(f"{fields.instrument} row {seconds}")))
    rows.sort(key=lambda each: each[0])
    if not rows or any(first[0] == second[0] for first, second in pairwise(rows)):
        raise fields.wrong("give one row for each expiry ahead", "rows")
    return rows


def _row(surface: Fields, row: tuple[int, Fields], strikes: list[float]) -> Row:
    seconds, fields = row
    forward = as_float(fields.positive("forward"))
    given = fields.entries("vols", most=MOST_STRIKES)
    if len(given) != len(strikes):
        raise fields.wrong(f"give a volatility for each of the {len(strikes)} strikes", "vols")
    vols = np.array([as_float(fields.as_number(each, "vols", low=0, high=100)) for each in given])
    years, ladder = seconds / SECONDS_A_YEAR, np.array(strikes)
    if not (vols > 0.0).all():
        raise OutOfRange(
            "give a volatility above zero",
            account=fields.account,
            instrument=fields.instrument,
            field="vols",
            strike=strikes[int(np.argmin(vols))],
        )
    _refuse_arbitrage(surface, seconds, forward, ladder, vols)
    return Row(ln(ladder / forward), vols * vols * years, years)


def _refuse_arbitrage(fields: Fields, seconds: int, forward: float, strikes: FloatArray, vols: FloatArray) -> None:
    """Calls over the forward, from the one with strike zero on: slopes in the strike from −1 to 0, never falling."""
    calls = black76(np.array([forward]), strikes, seconds / SECONDS_A_YEAR, vols, 1.0, np.ones_like(strikes))
    ladder = np.concatenate(([0.0], strikes)) / forward
    prices = np.concatenate(([forward], calls)) / forward
    slopes = (prices[1:] - prices[:-1]) / (ladder[1:] - ladder[:-1])
    slack = _TOLERANCE / (ladder[1:] - ladder[:-1])
    if (rising := slopes > slack).any():
        _refuse(fields, "a call costs more than one with a lower strike", seconds, strikes[int(np.argmax(rising))])
    bent = slopes[1:] < slopes[:-1] - slack[1:] - slack[:-1]
    if bent.any():
        _refuse(fields, "calls are not convex in the strike", seconds, strikes[int(np.argmax(bent))])


def _refuse_crossed(fields: Fields, first: Row, second: Row, later: tuple[int, Fields]) -> None:
    """Each row's strikes are looked at in both: lines that do not cross there cross nowhere."""
    moneyness = np.concatenate((first.moneyness, second.moneyness))
    crossed = first.at(moneyness) > second.at(moneyness) * (1.0 + _TOLERANCE)
    if crossed.any():
        place = int(np.argmax(crossed)) % len(first.moneyness)
        strike = as_float(fields.as_number(fields.entries("strikes")[place], "strikes", low=0))
        _refuse(fields, "total variance falls with time", later[0], strike)


def _refuse(fields: Fields, message: str, seconds: int, strike: float) -> None:
    raise CrossedSurface(
        f"the surface allows arbitrage: {message}",
        account=fields.account,
        instrument=fields.instrument,
        field="vols",
        expiry=seconds,
        strike=float(strike),
    )
