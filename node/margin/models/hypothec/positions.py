"""One unit of a position: what it may be worth, and what the rows do to it.

The range of a price and of a volatility is carried through every row: a unit is worth from `value − down` to
`value + up`, where down and up are the most that any row's worth differs from the one at the agreed price, at the ends
of the range (marks are monotone in price and in volatility, so nothing within it is worse). What a row makes of an
account at any price in the range is then between what it makes of the two ends. Per unit, once a frame; must not know
accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.margin.models.book import Future, Option, Perpetual
from node.margin.models.fixed import ONE, WAD, Money, Wad, as_wad, down, product, up, value
from node.margin.models.hypothec import scenarios
from node.margin.models.hypothec.counted import NOTHING, Unit, moves, reasons_of
from node.margin.models.hypothec.feeds import Feed, FeedStatus
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.market import Expiry
from node.margin.models.shocks import Points, delta, marks_at, unmoved
from node.model.health import ZERO, Interval


def in_proportion(price: Wad, feed: Feed) -> tuple[Wad, Wad]:
    """The range of a price that moves with the feed's, rounded outwards."""
    return Wad(price * feed.low // feed.price), Wad(-(-price * feed.high // feed.price))


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
        cost=up(now, parameters.charges.linear),
        market=span,
        reasons=reasons_of(feed),
    )


def points(expiry: Expiry, vol: float, is_call: bool, feed: Feed, parameters: Parameters) -> Points:  # noqa: FBT001
    """Where options of an expiry and of this volatility are priced, now and in every row.

    By what is agreed, then at both ends of the range, first the one at which they are worth least.
    """
    ends = in_proportion(expiry.forward, feed)
    low, high = ends if is_call else ends[::-1]
    asset, rules = parameters.assets[feed.asset], parameters.rows
    spots = (ONE, *(ONE + scenarios.move(row, asset) for row in rules))
    shocked = (unmoved, *(parameters.vols.rule(row.vol) for row in rules))
    known = ((expiry.forward, 0), (low, -feed.vol_spread), (high, feed.vol_spread))
    wrong = [vol * ((ONE + error) / WAD) if error else vol for _, error in known]
    return Points.of(
        expiry,
        (product(forward, spot) for forward, _ in known for spot in spots),
        (rule(each, expiry.seconds) for each in wrong for rule in shocked),
    )


def option(account: str, position: Option, feed: Feed, parameters: Parameters, at: Points | None) -> Unit:
    """A unit of an option, for the side that the position is on; `at` are its points, where its feed has a price.

    On a feed that is not fresh, an option that is held is worth nothing at the low end and gains nothing in any row;
    one that is owed is owed over the whole range, and nothing at the high end. On a missing one, a put that is owed is
    bounded by its strike and a call by nothing.
    """
    held = position.amount > 0
    root = parameters.assets[feed.asset].root
    nothing = (NOTHING,) * len(parameters.rows)
    if at is None:
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
    agreed, low, high = counted(marks_at(account, position, at), parameters)
    now, changes = agreed
    span = Interval(now - max(0, *_differences(agreed, low)), now + max(0, *_differences(high, agreed)))
    if not feed.is_fresh:
        # What is held gains in no row, so its high end is what the best row makes of it.
        span = Interval(0, high[0] + max(0, *high[1])) if held else Interval(-max(0, *changes), span.high)
        changes = list(nothing) if held else changes
    charges = parameters.charges
    return Unit(
        name=position.name,
        initial=span,
        maintenance=span,
        changes=tuple(changes),
        factor=root,
        delta=value(as_wad(delta(position)), feed.price),
        short_cost=up(value(WAD, feed.price), charges.short_option),
        market=span,
        reasons=reasons_of(feed),
    )


def counted(found: Sequence[Money], parameters: Parameters) -> list[tuple[Money, list[Money]]]:
    """At each known price: its mark now, and by row ⌊weight·(mark in the row − mark now)⌋."""
    step = 1 + len(parameters.rows)
    return [
        (now, [down(each - now, row.weight) for each, row in zip(then, parameters.rows, strict=True)])
        for now, *then in (found[start : start + step] for start in range(0, len(found), step))
    ]


def _differences(more: tuple[Money, Sequence[Money]], less: tuple[Money, Sequence[Money]]) -> list[int]:
    """By how much one worth is above another: now, and in each row."""
    return [
        more[0] - less[0],
        *(more[0] + first - less[0] - second for first, second in zip(more[1], less[1], strict=True)),
    ]
