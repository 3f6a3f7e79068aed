"""`hypothec` for many accounts of one market, equal to the rules bit for bit at both thresholds and both ends.

    frame, accounts = prepared(portfolios, parameters)     units once a frame, rows once an account
    evaluate(frame, accounts)                              → Healths of every account

Each sum over units is two exact sparse products: signed amounts by one table, amounts that are owed by another. What
rows, limits and the shortfall leave of the sums follows in integers, rounded where the rules round. Of an account with
one part the worst row is the part's, whatever limit it has, as what is left never falls when a change rises. What 63
bits do not hold goes through the same steps in Python's integers; what has no bound is evaluated by the rules.

Must not know prices or instruments: they are in the units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from node.margin.engine.hypothec.frame import (
    Accounts,
    Chunk,
    Frame,
    prepared,
)
from node.margin.engine.hypothec.rows import Sums, health
from node.margin.engine.hypothec.sums import BoolArray, chosen_of, exact, largest, whole
from node.margin.math.products import DenseRows, FloatArray, IntArray, Table, products
from node.margin.models.errors import PortfolioError
from node.margin.models.hypothec.margin import evaluate as by_rules
from node.margin.models.hypothec.parts import parts

__all__ = ["Accounts", "Frame", "Healths", "evaluate", "prepared"]

LEVELS = ("initial low", "initial high", "maintenance low", "maintenance high")
_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Healths:
    """Every account by its place: `excess` [LEVELS, accounts] in 1e-12 USD, and `status`, a HealthStatus (0: an error).

    `beyond` has the excesses that 63 bits do not hold; `errors` says what cannot be evaluated; `by_rules` which were.
    """

    excess: IntArray
    status: IntArray
    beyond: Mapping[int, tuple[int, ...]]
    errors: Mapping[int, PortfolioError]
    by_rules: tuple[int, ...]

    def excesses(self, place: int) -> tuple[int, ...]:
        """Of one account, in the order of LEVELS."""
        return self.beyond.get(place) or tuple(int(each) for each in self.excess[:, place])


def evaluate(frame: Frame, accounts: Accounts) -> Healths:
    """Every account. No account stops another."""
    excess = np.zeros((len(LEVELS), accounts.count), dtype=np.int64)
    status = np.zeros(accounts.count, dtype=np.int64)
    beyond: dict[int, tuple[int, ...]] = {}

    def put(places: Sequence[int], found: Sequence[tuple[int, ...]], statuses: Sequence[int]) -> None:
        for place, numbers, each in zip(places, found, statuses, strict=True):
            status[place] = each
            if all(abs(number) < _LARGEST for number in numbers):
                excess[:, place] = numbers
            else:
                beyond[place] = numbers

    for chunk in accounts.chunks:
        found, statuses, fits = _of_chunk(chunk, frame)
        excess[:, chunk.places], status[chunk.places] = found, statuses
        if not fits.all():
            left = np.flatnonzero(~fits)
            numbers, statuses = _exactly(chunk, left, frame)
            put(chunk.places[left].tolist(), [tuple(each) for each in numbers.T.tolist()], statuses.tolist())
    for place, portfolio in accounts.left.items():
        result = by_rules(portfolio, parts(portfolio, frame.parameters, frame.units), frame.parameters)
        ends = (*result.initial, *result.maintenance)
        put([place], [tuple(int(end.excess) for end in ends)], [result.status])
    return Healths(excess, status, beyond, accounts.errors, tuple(accounts.left))


def _of_chunk(chunk: Chunk, frame: Frame) -> tuple[IntArray, IntArray, BoolArray]:
    """Excesses and statuses of a chunk, and for which accounts they are right."""
    if frame.exact_only or chunk.is_wide:
        nobody = np.zeros(len(chunk.places), np.bool_)
        return np.zeros((len(LEVELS), len(nobody)), np.int64), np.zeros(len(nobody), np.int64), nobody
    tables = frame.tables(chunk)
    signed, size = _sums(chunk.signed, tables.signed, chunk.decimals)
    owed, other = _sums(chunk.owed, tables.owed, chunk.decimals)
    part = chunk.parts
    rows = np.bincount(part.account, minlength=len(chunk.places))
    # What K rows are worth, cost, and may be wrong by are few such sums each and do not overflow. health() sees that
    # worth and cost are below 2^62; with a change below 2^61, or a shortfall and its doubt, and constants they fit.
    most = np.zeros(len(chunk.places))
    np.maximum.at(most, part.account, np.maximum(size, other))
    fits = most < np.minimum(2.0**61 / np.maximum(rows, 1), largest(chunk.decimals))
    found = health(
        Sums(
            chunk.fixed,
            part.account,
            part.slot,
            part.limit,
            part.constant,
            part.is_charged,
            part.is_bounded,
            part.floor,
            signed,
            owed,
        ),
        frame,
    )
    return found.excess, found.status, fits & found.fits


def _sums(rows: DenseRows, table: Table, decimals: int) -> tuple[IntArray, FloatArray]:
    found = np.zeros((table.scenarios, len(rows)), dtype=np.int64)
    size = np.zeros(len(rows))
    for first, last, [sums] in products(rows, [table]):
        found[:, first:last], size[first:last] = whole(sums, decimals)
    return found, size


def _exactly(chunk: Chunk, accounts: IntArray, frame: Frame) -> tuple[IntArray, IntArray]:
    """The same in Python's integers, of some accounts of the chunk."""
    part = chunk.parts
    chosen = np.flatnonzero(np.isin(part.account, accounts))
    found = health(
        Sums(
            chunk.fixed[:, accounts].astype(object),
            np.searchsorted(accounts, part.account[chosen]),
            part.slot[chosen],
            part.limit[chosen].astype(object),
            part.constant[:, chosen].astype(object),
            part.is_charged[chosen],
            part.is_bounded[chosen],
            part.floor[:, chosen].astype(object),
            exact(chosen_of(chunk.rows, chosen), frame.signed.entries, chunk.decimals),
            exact(chosen_of(chunk.owed_rows, chosen), frame.owed.entries, chunk.decimals),
        ),
        frame,
    )
    return found.excess, found.status
