"""Sums of exact products as integers: of 64 bits, or Python's where those do not do.

Every function takes arrays of either kind and is exact for both. Must not know what is counted.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.margin.engine.portfolio import floored, integers
from node.margin.math.products import ExactSums, FloatArray, IntArray, Rows, exact_products
from node.margin.math.ratios import Numbers

BoolArray: TypeAlias = NDArray[np.bool_]
_BITS = 64


def whole(sums: ExactSums, decimals: int) -> tuple[IntArray, FloatArray]:
    """⌊sums / 10^decimals⌋ in 64 bits, [columns, rows], and about how large each row's largest is.

    They are right where that is below 2^61 and below 2^111/10^decimals: the float gives the quotient so well that what
    remains of the sum, which is known modulo 2^64, is known.
    """
    unit = 10**decimals
    near = np.zeros_like(sums.limbs[0])
    wrapped = np.zeros(near.shape, dtype=np.int64)
    for limb, shift in zip(sums.limbs, sums.shifts, strict=True):
        near += limb * 2.0**shift
        if shift < _BITS:
            wrapped += limb.astype(np.int64) << np.int64(shift)
    size = np.abs(near).max(axis=0, initial=0.0) / unit
    if decimals == 0:
        return wrapped, size
    with np.errstate(invalid="ignore"):
        quotient = np.rint(near / unit).astype(np.int64)
    left = wrapped - quotient * np.int64(unit)
    return quotient + left // np.int64(unit), size


def largest(decimals: int) -> float:
    """Below which whole() is right."""
    return min(2.0**61, 2.0**111 / float(10**decimals))


def chosen_of(rows: Rows, chosen: IntArray) -> Rows:
    """Some of the rows."""
    lengths = np.diff(rows.starts)[chosen]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    within = np.arange(starts[-1]) - np.repeat(starts[:-1] - rows.starts[chosen], lengths)
    return Rows(starts, rows.columns[within], rows.amounts[within])


def exact(rows: Rows, entries: IntArray, decimals: int) -> Numbers:
    """⌊Σ amount·entry / 10^decimals⌋ by row in Python's integers, [columns, rows]."""
    return integers(floored(exact_products(rows, entries), decimals))
