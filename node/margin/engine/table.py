"""The instrument table of a frame: what each option is worth under each move, and its delta, exactly.

They are made once a frame, for instruments and not for accounts: element by element what `marks` and `delta` of
models/shocks.py give, with the moves of an underlying and the strikes of an expiry side by side. Must not know
accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.margin.math import FloatArray, exp
from node.margin.math.products import LARGEST_BITS, IntArray
from node.margin.models.book import Option
from node.margin.models.fixed import ONE, PICO, WAD, as_float, product
from node.margin.models.market import Expiry
from node.margin.models.pricing import black76, forward_delta
from node.margin.models.shocks import NO_MOVE, Move

BoolArray: TypeAlias = NDArray[np.bool_]


class Instrument(NamedTuple):
    """What identifies an option within one market. Instruments of an underlying and of an expiry sort together."""

    asset: str
    seconds: int
    strike: int
    is_call: bool

    @classmethod
    def of(cls, option: Option) -> Instrument:
        """Whatever its amount."""
        return cls(option.quote.asset, option.expiry.seconds, option.strike, option.is_call)


@dataclass(frozen=True, slots=True)
class InstrumentTable:
    """Options by column, sorted; `underlyings` says from which column to which each has its own.

    `marks` is [columns, 1 + moves]: money a unit as it is, then after each move; `deltas` are in 1e-18. `usable` are
    the columns where these are all finite and below 2^62; the others are zero, and who holds one is evaluated by the
    rules, which say what is wrong with it.
    """

    options: tuple[Option, ...]
    columns: Mapping[Instrument, int]
    underlyings: Mapping[str, slice]
    marks: IntArray
    deltas: IntArray
    usable: BoolArray

    @classmethod
    def of(
        cls, options: Iterable[Option], moves: Mapping[str, Sequence[Move]], *, discounted: bool = True
    ) -> InstrumentTable:
        """The table of some options of one market (repetitions are one), under as many moves of each underlying."""
        distinct = {Instrument.of(option): option for option in options}
        ordered = sorted(distinct)
        width = 1 + max(map(len, moves.values()), default=0)
        marks, deltas = np.zeros((len(ordered), width)), np.zeros((len(ordered), 1))
        underlyings = dict[str, slice]()
        last = 0
        for (asset, _), group in groupby(ordered, key=lambda each: (each.asset, each.seconds)):
            expiry = [distinct[each] for each in group]
            first, last = last, last + len(expiry)
            underlyings[asset] = slice(underlyings[asset].start if asset in underlyings else first, last)
            marks[first:last] = expiry_marks(expiry, moves[asset], discounted=discounted)
            deltas[first:last, 0] = expiry_deltas(expiry)
        # One product and one rounding, halves to even, as the rules make money and units of floats.
        (money, priced), (units, sloped) = _integers(marks * float(PICO)), _integers(deltas * float(WAD))
        usable = priced & sloped
        return cls(
            tuple(distinct[each] for each in ordered),
            {each: column for column, each in enumerate(ordered)},
            underlyings,
            np.where(usable[:, None], money, 0),
            np.where(usable, units[:, 0], 0),
            usable,
        )

    @property
    def changes(self) -> IntArray:
        """[columns, moves]: what a unit gains under each move."""
        return self.marks[:, 1:] - self.marks[:, :1]


def expiry_marks(options: Sequence[Option], moves: Sequence[Move], *, discounted: bool = True) -> FloatArray:
    """Prices of options of one expiry, [options, 1 + moves]: unmoved, then under each move; NaN where there is none."""
    expiry = options[0].expiry
    every = [NO_MOVE, *moves]
    strikes = _strikes(options)
    # A list, as a rule for volatilities is a function of one.
    vols = [[move.vol(vol, expiry.seconds) for move in every] for vol in expiry.vol(strikes).tolist()]
    return black76(
        np.array([as_float(product(expiry.forward, ONE + move.spot)) for move in every]),
        strikes[:, None],
        expiry.years,
        np.array(vols),
        _discount(expiry) if discounted else 1.0,
        _calls(options)[:, None],
    )


def expiry_deltas(options: Sequence[Option]) -> FloatArray:
    """Deltas of options of one underlying and expiry."""
    expiry, quote = options[0].expiry, options[0].quote
    strikes, forward = _strikes(options), as_float(expiry.forward)
    found = forward_delta(np.array([forward]), strikes, expiry.years, expiry.vol(strikes), _calls(options))
    with np.errstate(all="ignore"):
        return _discount(expiry) * forward / as_float(quote.price) * found


def _strikes(options: Sequence[Option]) -> FloatArray:
    return np.array([as_float(option.strike) for option in options])


def _calls(options: Sequence[Option]) -> FloatArray:
    return np.array([float(option.is_call) for option in options])


def _discount(expiry: Expiry) -> float:
    return exp(-as_float(expiry.rate) * expiry.years)


def _integers(numbers: FloatArray) -> tuple[IntArray, BoolArray]:
    """Rows of the nearest integers, and which of them all fit; the others are zero."""
    nearest = np.rint(numbers)
    fit: BoolArray = np.asarray(np.all(np.abs(nearest) < 2.0**LARGEST_BITS, axis=1))  # not where one is NaN
    return np.where(fit[:, None], nearest, 0.0).astype(np.int64), fit
