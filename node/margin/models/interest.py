"""Interest on what is borrowed: rates by utilisation, growth of an index, and what a debt has become.

Sources: derivexyz/v2-core InterestRateModel and CashAsset (the formulas: a kinked line by utilisation, compounded
continuously); a debt is principal·index now/index then, as in every lender with an index. Exact integers, rounded
against whoever owes. Must not know accounts or files.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.margin.models.fixed import WAD, Wad, product

SECONDS_A_YEAR = 365 * 86_400
LARGEST_EXPONENT = 32
"""e^32 is 8e13: no rate and no time that anybody means makes more of a debt."""
_FINE = 10**36


@dataclass(frozen=True, slots=True)
class RateCurve:
    """A yearly rate by utilisation: `least` + `slope`·u up to `optimal`, and `steep` for each part beyond it."""

    least: Wad
    slope: Wad
    optimal: Wad
    steep: Wad


def utilisation(borrowed: int, supplied: int) -> Wad:
    """What part of what is supplied is borrowed, rounded up; none when nothing is, all when more than all is."""
    if borrowed <= 0:
        return Wad(0)
    return Wad(min(WAD, -(-borrowed * WAD // supplied))) if supplied > 0 else Wad(WAD)


def borrow_rate(curve: RateCurve, used: Wad) -> Wad:
    """Least + slope·min(u, optimal) + steep·max(0, u − optimal), a year."""
    line = curve.least + product(curve.slope, min(used, curve.optimal))
    return Wad(line + product(curve.steep, max(0, used - curve.optimal)))


def growth(rate: Wad, seconds: int) -> Wad:
    """e^(rate·seconds/year), rounded up; rate and seconds ≥ 0, and their product at most LARGEST_EXPONENT years.

    The exponential series in integers of 1e-36, every term rounded up; the error is below 1e-18 of the result.
    """
    exponent = -(-rate * seconds * (_FINE // WAD) // SECONDS_A_YEAR)
    if exponent > LARGEST_EXPONENT * _FINE:
        raise ValueError("a debt cannot grow so much; bound the rate and the time where they are read")
    total = term = _FINE
    count = 0
    while term > 1 or count <= LARGEST_EXPONENT:
        count += 1
        term = -(-term * exponent // (count * _FINE))
        total += term
    return Wad(-(-(total + 1) * WAD // _FINE) if exponent else WAD)


def accrued(principal: int, index_then: Wad, index_now: Wad) -> Wad:
    """What a debt has become: principal·now/then, rounded up. Indices > 0."""
    return Wad(-(-principal * index_now // index_then))
