"""What options are worth now and in every row, by what is agreed and at both ends of the range: many side by side.

Of an option alone a step costs what calling it costs. Each step is one of elements, in the same order for each of them:
what an option is worth does not depend on what it is priced with, and one without a finite price spoils no other's.
Must not know what is made of marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from node.margin.math import FloatArray, exp
from node.margin.math.ratios import LARGEST_TERM, Numbers, down, ratio
from node.margin.models.book import Option
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad, as_float, product
from node.margin.models.hypothec import scenarios
from node.margin.models.hypothec.feeds import Feed, in_proportion
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.market import Expiry
from node.margin.models.pricing import black76, call_delta_between, forward_delta
from node.margin.models.shocks import LARGEST_MARK

_AT_ONCE = 1 << 12
"""Prices that are made by one call: each figure on the way then stays near the processor."""
_LARGEST_WHOLE = 2.0**62


@dataclass(frozen=True, slots=True)
class Marked:
    """An option's mark by what is agreed, in 1e-12 USD, and by row ⌊weight·(mark in the row − mark now)⌋.

    Where it is worth least (most), with any row's change or none, it is worth at most `below` less (`above` more); the
    best row makes `best` of it there. `delta` is ∂mark/∂spot for a forward that moves with the spot, and `deltas` are
    between what delta·spot lies over the range, in USD.
    """

    now: Money
    changes: tuple[Money, ...]
    below: Money
    above: Money
    best: Money
    delta: float
    deltas: tuple[float, float]


def marked(options: Sequence[tuple[Option, Feed]], parameters: Parameters) -> Iterator[Marked | None]:
    """Each option of a feed that has a price; None where the market gives no finite mark."""
    vols, forwards = _vols(options), _Forwards(parameters)
    at_once = max(1, _AT_ONCE // (3 * (1 + len(parameters.rows))))
    for first in range(0, len(options), at_once):
        some = slice(first, first + at_once)
        yield from _together(options[some], vols[some], forwards, parameters)


def _together(
    options: Sequence[tuple[Option, Feed]], agreed_vols: FloatArray, at: _Forwards, parameters: Parameters
) -> Iterator[Marked | None]:
    with np.errstate(all="ignore"):
        prices, *deltas = _priced(options, agreed_vols, at, parameters)
    is_finite = np.all(prices < LARGEST_MARK, axis=(1, 2)) & np.all(np.isfinite(deltas), axis=0)
    worth = _counted(np.where(is_finite[:, None, None], prices, 0.0), parameters)
    agreed, low, high = worth[:, 0], worth[:, 1], worth[:, 2]
    figures = zip(
        is_finite.tolist(),
        agreed[:, 0].tolist(),
        (agreed[:, 1:] - agreed[:, :1]).tolist(),
        (agreed - low).max(axis=1).tolist(),
        (high - agreed).max(axis=1).tolist(),
        high.max(axis=1).tolist(),
        *(each.tolist() for each in deltas),
        strict=True,
    )
    for is_marked, now, changes, below, above, best, delta, least, most in figures:
        if is_marked:
            yield Marked(now, tuple(changes), max(0, below), max(0, above), best, delta, (least, most))
        else:
            yield None


def _priced(
    options: Sequence[tuple[Option, Feed]], agreed_vols: FloatArray, at: _Forwards, parameters: Parameters
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Prices [options, known prices, now and rows] in USD; by option its delta, and between what delta·spot lies."""

    def column(numbers: Iterable[float]) -> FloatArray:
        return np.array([*numbers])[:, None, None]

    strikes = column(as_float(option.strike) for option, _ in options)
    calls = column(float(option.is_call) for option, _ in options)
    years = column(option.expiry.years for option, _ in options)
    discounts = exp(column(-as_float(option.expiry.rate) for option, _ in options) * years)
    vols = agreed_vols[:, None, None] * np.array([_errors(feed) for _, feed in options])[:, :, None]
    seconds = column(float(option.expiry.seconds) for option, _ in options)
    shocked = parameters.vols.shocked(vols, seconds, [Wad(0), *(row.vol for row in parameters.rows)])
    forwards = np.stack([at.of(option, feed) for option, feed in options])
    now, spots = forwards[:, :1, :1], column(as_float(option.quote.price) for option, _ in options)
    deltas = discounts * now / spots * forward_delta(now, strikes, years, vols[:, :1], calls)
    low, high = (pick(forwards[:, 1:, :1], axis=1, keepdims=True) for pick in (np.min, np.max))
    least, most = call_delta_between((low, high), strikes, years, (vols[:, 1:2], vols[:, 2:]))
    least, most = (
        discounts * np.where(calls == 1.0, low * least, -high * (1.0 - least)),
        discounts * np.where(calls == 1.0, high * most, -low * (1.0 - most)),
    )
    prices = black76(forwards, strikes, years, shocked, discounts, calls)
    return prices, deltas.ravel(), least.ravel(), most.ravel()


def _counted(prices: FloatArray, parameters: Parameters) -> Numbers:
    """What an option is worth now, and by row with what counts of its change, at each known price."""
    weights = [ratio(row.weight, WAD) for row in parameters.rows]
    nearest = np.rint(prices * float(PICO))  # as_money of each
    fits = nearest.max() < _LARGEST_WHOLE and max(map(max, weights)) < LARGEST_TERM
    worth: Numbers = nearest.astype(np.int64) if fits else np.vectorize(int, otypes=[object])(nearest)
    now = worth[:, :, 0]
    for place, weight in enumerate(weights, start=1):
        if weight != (1, 1):
            worth[:, :, place] = now + down(worth[:, :, place] - now, weight)
    return worth


def _errors(feed: Feed) -> tuple[float, float, float]:
    """What a volatility is multiplied by where it is as agreed, as low and as high as it may be."""
    return 1.0, (WAD - feed.vol_spread) / WAD, (WAD + feed.vol_spread) / WAD


def _vols(options: Sequence[tuple[Option, Feed]]) -> FloatArray:
    """Each option's volatility, by expiry."""
    places: dict[Expiry, list[int]] = {}
    for place, (option, _) in enumerate(options):
        places.setdefault(option.expiry, []).append(place)
    found = np.zeros(len(options))
    for expiry, some in places.items():
        found[some] = expiry.vol(np.array([as_float(options[place][0].strike) for place in some]))
    return found


class _Forwards:
    """What forwards are, [known prices, now and each row]: the same for all strikes."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._spots: dict[str, list[Wad]] = {}
        self._found: dict[tuple[Feed, Wad, bool], FloatArray] = {}

    def of(self, option: Option, feed: Feed) -> FloatArray:
        """By what is agreed, then at both ends, first the one at which the option is worth least."""
        key = feed, option.expiry.forward, option.is_call
        if key not in self._found:
            ends = in_proportion(key[1], feed)
            known = (key[1], *(ends if option.is_call else ends[::-1]))
            spots = self._by_row(feed.asset)
            self._found[key] = np.array([[as_float(product(each, spot)) for spot in spots] for each in known])
        return self._found[key]

    def _by_row(self, asset: str) -> list[Wad]:
        """What is left of a price now, and in each row."""
        if asset not in self._spots:
            found, rows = self._parameters.assets[asset], self._parameters.rows
            self._spots[asset] = [ONE, *(Wad(ONE + scenarios.move(row, found)) for row in rows)]
        return self._spots[asset]
