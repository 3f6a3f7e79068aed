"""A portfolio after a move of its market: every price, forward and volatility that it has.

Must not know rules: what becomes of the portfolio is evaluated as any other.
"""

from __future__ import annotations

from dataclasses import replace

from node.margin.models.book import Future, Option
from node.margin.models.fixed import WAD, Wad, product
from node.margin.models.hypothec import scenarios
from node.margin.models.hypothec.feeds import Feed
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.portfolio import Held, Portfolio
from node.margin.models.hypothec.scenarios import Row
from node.margin.models.shocks import VolRule, vol_at

LOWEST_MOVE = -WAD + WAD // 10**6
"""A price that has fallen by more is not one: here a millionth of it remains."""


def moved(portfolio: Portfolio, row: Row, parameters: Parameters, multiple: Wad = Wad(WAD)) -> Portfolio:  # noqa: B008
    """The portfolio where the row's moves, times a multiple, have happened; the vol shock happens in full.

    The smile stays where it is by strike. The row's weight does not matter: what happens, happens in full.
    """

    def by(asset: str) -> Wad:
        return Wad(max(LOWEST_MOVE, product(multiple, scenarios.move(row, parameters.assets[asset]))))

    vol_rule = parameters.vols.rule(row.vol)
    return replace(
        portfolio,
        holdings=tuple(replace(each, feed=_feed(each.feed, by(each.feed.asset))) for each in portfolio.holdings),
        debts=tuple(replace(each, feed=_feed(each.feed, by(each.feed.asset))) for each in portfolio.debts),
        venues=tuple(
            replace(venue, positions=tuple(_held(each, by(each.feed.asset), vol_rule) for each in venue.positions))
            for venue in portfolio.venues
        ),
        isolated={name: moved(each, row, parameters, multiple) for name, each in portfolio.isolated.items()},
    )


def _after(price: Wad, move: Wad) -> Wad:
    return product(price, WAD + move)


def _feed(feed: Feed, move: Wad) -> Feed:
    return replace(feed, price=_after(feed.price, move), low=_after(feed.low, move), high=_after(feed.high, move))


def _held(held: Held, move: Wad, vol_rule: VolRule) -> Held:
    position = held.position
    quote = replace(position.quote, price=_after(position.quote.price, move))
    feed = _feed(held.feed, move)
    if isinstance(position, Option):
        expiry = position.expiry
        surface = vol_rule(vol_at(position), expiry.seconds)
        return Held(
            replace(
                position,
                quote=quote,
                expiry=replace(expiry, forward=_after(expiry.forward, move), surface=surface),
            ),
            feed,
        )
    if isinstance(position, Future):
        return Held(replace(position, quote=quote, forward=_after(position.forward, move)), feed)
    return Held(replace(position, quote=quote), feed)
