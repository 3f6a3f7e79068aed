"""Options that are priced together have the figures, to the last bit, of each priced alone and point by point."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.math import exp
from node.margin.models.book import Option
from node.margin.models.errors import OutOfRange
from node.margin.models.fixed import ONE, WAD, Money, Wad, as_float, down
from node.margin.models.hypothec import scenarios
from node.margin.models.hypothec.feeds import Feed, FeedStatus, in_proportion
from node.margin.models.hypothec.marks import Marked, marked
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.market import Expiry, Quote
from node.margin.models.pricing import call_delta_between
from node.margin.models.shocks import Move, VolRule, delta, marks
from node.margin.models.svi import Svi
from tests.unit.margin_models.hypothec.accounts import DAY, parameters

ROWS = [
    {"name": "down", "market": -0.3, "vol": 0.5},
    {"name": "up", "market": 0.3, "vol": -0.4},
    {"name": "calm", "vol": -1},
    {"name": "far", "market": 4, "vol": 10, "weight": 0.0347},
    {"name": "gone", "market": -1, "weight": 0},
]
FEW = parameters(rows=ROWS)
FINE = parameters(rows=[*ROWS, {"name": "fine", "market": 0.1, "weight": "0.123456789012345678"}])
"""With a weight whose terms no product of 64 bits has room for."""
SURFACES = st.one_of(
    st.sampled_from([0.0, 1e-9, 0.6, 3.0, 100.0]),
    st.builds(Svi, st.just(0.02), st.sampled_from([0.1, 0.5]), st.floats(-1, 1), st.just(0.0), st.just(0.1),
              st.just(2_000.0), st.just(0.5)),
    st.just(Svi(-1.0, 0.1, 0.0, 0.0, 20.0, 2_000.0, 0.5)),
)  # fmt: skip
"""The last one gives no volatility at all near the money."""
PRICES = st.sampled_from([Wad(1), ONE, Wad(2_000 * WAD + 1), Wad(2_500 * WAD), Wad(10**8 * WAD), Wad(10**24 * WAD)])


@st.composite
def priced(draw: st.DrawFn) -> tuple[Option, Feed]:
    price, forward, strike = (draw(PRICES) for _ in range(3))
    seconds = draw(st.sampled_from([0, 1, DAY, 30 * DAY, 400 * DAY, 80 * 365 * DAY]))
    low, high = draw(st.sampled_from([(100, 100), (99, 101), (1, 900)]))
    rate = Wad(draw(st.sampled_from([0, -10, 10])) * WAD)
    spread = Wad(draw(st.sampled_from([0, WAD // 7, WAD])))
    asset = draw(st.sampled_from(["ETH", "SOL"]))
    feed = Feed(asset, FeedStatus.FRESH, price, Wad(price * low // 100), Wad(-(-price * high // 100)), 0, ONE, spread,
                Money(0), Money(0))  # fmt: skip
    quote = Quote(asset, price, price, price, ONE, Money(0), Wad(0), Wad(0), 9)
    expiry = Expiry(seconds, forward, rate, draw(SURFACES))
    return Option(strike, draw(st.booleans()), draw(st.sampled_from([ONE, Wad(-WAD)])), expiry, quote), feed


def alone(option: Option, feed: Feed, rules: Parameters) -> Marked | None:
    """By the functions that mark one option under moves, at each known price, and by the rules of a row."""
    ends = in_proportion(option.expiry.forward, feed)
    low, high = ends if option.is_call else ends[::-1]
    vol = float(option.expiry.vol(np.array([as_float(option.strike)]))[0])
    worths: list[list[int]] = []
    for forward, error in ((option.expiry.forward, 0), (low, -feed.vol_spread), (high, feed.vol_spread)):
        expiry = Expiry(option.expiry.seconds, Wad(forward), option.expiry.rate, vol * as_float(Wad(WAD + error)))
        same = Option(option.strike, option.is_call, option.amount, expiry, option.quote)
        moves = [Move("", scenarios.move(row, rules.assets[feed.asset]), _rule(rules, row.vol)) for row in rules.rows]
        try:
            now, *then = marks("alice", same, [Move("", Wad(0), _rule(rules, Wad(0))), *moves])
        except OutOfRange:
            return None
        worths.append([now, *(now + down(each - now, row.weight) for each, row in zip(then, rules.rows, strict=True))])
    agreed, least, most = worths
    least_delta, most_delta = deltas(option, feed, vol)
    if not np.isfinite([delta(option), least_delta, most_delta]).all():
        return None
    return Marked(
        now=Money(agreed[0]),
        changes=tuple(Money(each - agreed[0]) for each in agreed[1:]),
        below=Money(max(0, *(first - second for first, second in zip(agreed, least, strict=True)))),
        above=Money(max(0, *(first - second for first, second in zip(most, agreed, strict=True)))),
        best=Money(max(most)),
        delta=delta(option),
        deltas=(least_delta, most_delta),
    )


def deltas(option: Option, feed: Feed, vol: float) -> tuple[float, float]:
    """Between what delta·spot lies in USD: of a put it is what a call's lacks of the discounted forward."""
    expiry = option.expiry
    low, high = (as_float(each) for each in in_proportion(expiry.forward, feed))
    vols = [np.array([vol * as_float(Wad(WAD + sign * feed.vol_spread))]) for sign in (-1, 1)]
    ends = np.array([low]), np.array([high])
    least, most = (
        float(each[0])
        for each in call_delta_between(ends, np.array([as_float(option.strike)]), expiry.years, (vols[0], vols[1]))
    )
    discount = float(exp(-as_float(expiry.rate) * expiry.years))
    if option.is_call:
        return discount * (low * least), discount * (high * most)
    return discount * (-high * (1.0 - least)), discount * (-low * (1.0 - most))


def _rule(rules: Parameters, shock: Wad) -> VolRule:
    return rules.vols.rule(shock)


@settings(max_examples=60, deadline=None)
@given(st.lists(priced(), min_size=1, max_size=12), st.sampled_from([FEW, FINE]), st.integers(1, 5))
def test_an_option_is_worth_the_same_alone_and_with_whatever_others(
    options: list[tuple[Option, Feed]], rules: Parameters, at_once: int
) -> None:
    together = list(marked(options, rules))
    assert together == [alone(option, feed, rules) for option, feed in options]
    apart = [options[first : first + at_once] for first in range(0, len(options), at_once)]
    assert together == [each for some in apart for each in marked(some, rules)]


def test_more_options_than_one_call_takes_and_one_that_has_no_price_among_them() -> None:
    feed = Feed("ETH", FeedStatus.FRESH, ONE, Wad(WAD - 9), Wad(WAD + 9**9), 0, ONE, Wad(99), Money(0), Money(0))
    quote = Quote("ETH", ONE, ONE, ONE, ONE, Money(0), Wad(0), Wad(0), 9)
    good, bad = Expiry(DAY, ONE, Wad(0), 0.6), Expiry(DAY, ONE, Wad(0), float("nan"))
    options = [
        (Option(Wad(WAD + each), each % 2 == 0, ONE, bad if each == 300 else good, quote), feed) for each in range(600)
    ]
    found = list(marked(options, FEW))
    assert [place for place, each in enumerate(found) if each is None] == [300]
    assert found[301:] == [alone(option, feed, FEW) for option, feed in options[301:]]
