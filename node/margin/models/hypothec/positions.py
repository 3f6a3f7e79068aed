"""One unit of a position: what it may be worth, and what the rows do to it.

The range of a price and of a volatility is carried through every row: a unit is worth from `value − down` to
`value + up`, where down and up are the most that any row's worth differs from the one at the agreed price, at the ends
of the range (marks are monotone in price and in volatility, so nothing within it is worse). What a row makes of an
account at any price in the range is then between what it makes of the two ends. Per unit, once a frame; must not know
accounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.margin.models.book import Future, Option, Perpetual
from node.margin.models.fixed import WAD, Money, Wad, as_money, as_wad, product, up, value
from node.margin.models.hypothec.counted import NOTHING, Unit, furthest, moves, reasons_of
from node.margin.models.hypothec.feeds import Feed, FeedStatus, in_proportion
from node.margin.models.hypothec.marks import Marked, marked
from node.margin.models.hypothec.parameters import Parameters
from node.model.health import ZERO, Interval

_DELTA_BITS = 40
"""What the floats of a delta may be wrong by is less than 2^-40 of the price."""


def linear(position: Perpetual | Future, feed: Feed, parameters: Parameters) -> Unit:
    """A unit of a perpetual, or of a dated future at its forward; what was paid for it is not in it."""
    name = position.name if isinstance(position, Future) else f"{position.quote.asset} perpetual"
    root = parameters.assets[feed.asset].root
    if feed.status is FeedStatus.MISSING:
        nothing = (NOTHING,) * len(parameters.rows)
        return Unit(name, ZERO, ZERO, nothing, root, open_ended=True, reasons=reasons_of(feed))
    price = position.forward if isinstance(position, Future) else feed.price
    low, high = in_proportion(price, feed)
    by_row = moves(feed.asset, parameters)
    most = WAD + max(0, *by_row)
    now = value(WAD, price)
    span = Interval(now + value(-WAD, product(price - low, most)), now - value(-WAD, product(high - price, most)))
    return Unit(
        name=name,
        initial=span,
        maintenance=span,
        changes=tuple(value(WAD, product(price, each)) for each in by_row),
        factor=root,
        delta=now,
        error=furthest(now, Interval(value(WAD, low), value(WAD, high))),
        cost=charged(low, high, parameters.charges.linear),
        market=span,
        reasons=reasons_of(feed),
    )


def options(held: Sequence[tuple[Option, Feed]], parameters: Parameters) -> Iterator[Unit | None]:
    """A unit of each option; None where one has no finite price."""
    priced = marked([each for each in held if each[1].status is not FeedStatus.MISSING], parameters)
    for position, feed in held:
        if feed.status is FeedStatus.MISSING:
            yield option(position, feed, parameters, None)
        else:
            found = next(priced)
            yield None if found is None else option(position, feed, parameters, found)


def option(position: Option, feed: Feed, parameters: Parameters, found: Marked | None) -> Unit:
    """A unit of an option; `found` are its marks, where its feed has a price.

    On a feed that is not fresh it is worth from nothing to what the best row makes of it, whatever the row. On a
    missing one, what is held is nothing, a put that is owed is bounded by its strike and a call by nothing.
    """
    root = parameters.assets[feed.asset].root
    nothing = (NOTHING,) * len(parameters.rows)
    if found is None:
        held = position.amount > 0
        owed = Interval(0, 0 if held or position.is_call else -value(-WAD, position.strike))
        return Unit(
            position.name,
            owed,
            owed,
            nothing,
            root,
            open_ended=not held and position.is_call,
            reasons=reasons_of(feed),
        )
    if feed.is_fresh:
        span, changes = Interval(found.now - found.below, found.now + found.above), found.changes
    else:
        span, changes = Interval(0, found.best), nothing
    delta = value(as_wad(found.delta), feed.price)
    return Unit(
        name=position.name,
        initial=span,
        maintenance=span,
        changes=changes,
        factor=root,
        delta=delta,
        error=_error(found, delta, feed),
        short_cost=charged(feed.low, feed.high, parameters.charges.short_option),
        market=span,
        reasons=reasons_of(feed),
    )


def charged(low: Wad, high: Wad, rate: Wad) -> Interval:
    """What a rate takes of a price within a range, rounded up."""
    return Interval(up(value(WAD, low), rate), up(value(WAD, high), rate))


def _error(found: Marked, delta: Money, feed: Feed) -> Money:
    """By how much an option's delta may be wrong over the range of its forward and of its volatility."""
    if feed.low == feed.high and not feed.vol_spread:
        return NOTHING
    wrong = furthest(delta, Interval(*map(as_money, found.deltas)))
    return Money(wrong + (value(WAD, feed.high) >> _DELTA_BITS) + 1)
