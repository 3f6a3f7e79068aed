"""Accounts and markets for tests of the profile `hypothec`, and how to look at what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from node.margin.models.book import Future, Option
from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD, Wad
from node.margin.models.hypothec.defaults import DEFAULTS
from node.margin.models.hypothec.feeds import Feed, FeedStatus
from node.margin.models.hypothec.margin import Result
from node.margin.models.hypothec.parameters import Parameters, read_parameters
from node.margin.models.hypothec.portfolio import Held, Portfolio, read_portfolio
from node.margin.models.hypothec.profile import PROFILE, result_of
from node.margin.models.profile import Evaluation, merged
from node.margin.models.shocks import vol_at

DAY = 86_400
MARKET: dict[str, Any] = {
    "BTC": {"price": 60_000, "expiries": [{"seconds": 30 * DAY, "forward": 60_300, "vol": 0.55}]},
    "ETH": {"price": 3_000, "expiries": [{"seconds": 30 * DAY, "forward": 3_010, "rate": 0.04, "vol": 0.7}]},
    "SOL": {"price": 150},
    "AVAX": {"price": 30},
    "USDC": {"price": 1},
    "USDT": {"price": 1},
    "DAI": {"price": 1},
    "WSTETH": {"price": 3_600, "redemption": {"asset": "ETH", "rate": 1.2}},
    "FTT": {"price": 22},
}
STILL: dict[str, Any] = {"rows": [{"name": "still"}]}
NO_CHARGES: dict[str, Any] = {"charges": {"linear": 0, "short_option": 0, "concentration_rate": 0}}
NO_SHORTFALL: dict[str, Any] = {"shortfall": {"deviations": 0, "horizon": 1, "correlation": 0}}
"""Parameters under which nothing moves, nothing is charged, nothing falls short."""


def market(**changes: dict[str, Any]) -> dict[str, Any]:
    """The market with some assets' fields changed."""
    return {**MARKET, **{name: {**MARKET.get(name, {}), **change} for name, change in changes.items()}}


def parameters(**given: object) -> Parameters:
    return read_parameters(Fields(merged(DEFAULTS, given), "alice"))


def portfolio(account: dict[str, Any], of: dict[str, Any] | None = None, rules: Parameters | None = None) -> Portfolio:
    return read_portfolio(account, "alice", Fields(of or MARKET, ""), rules or parameters())


def result(account: dict[str, Any], of: dict[str, Any] | None = None, **given: object) -> Result:
    rules = parameters(**given)
    return result_of(portfolio(account, of, rules), rules)


def evaluation(account: dict[str, Any], of: dict[str, Any] | None = None, **given: object) -> Evaluation:
    return PROFILE.evaluate(account, "alice", Fields(of or MARKET, ""), Fields(given, ""))


def usd(amount: int) -> float:
    return amount / PICO


def perpetual(asset: str = "ETH", amount: float = 1, **more: object) -> dict[str, Any]:
    return {"asset": asset, "amount": amount, **more}


def option(asset: str = "ETH", amount: float = -1, strike: float = 3_000, **more: object) -> dict[str, Any]:
    return {"asset": asset, "seconds": 30 * DAY, "strike": strike, "call": True, "amount": amount, **more}


def collateral(asset: str = "ETH", amount: float | str = 1, **more: object) -> dict[str, Any]:
    return {"asset": asset, "amount": amount, **more}


def somewhere(within: Portfolio, at: Mapping[str, tuple[float, float]]) -> Portfolio:
    """The account where every price and volatility is known for certain.

    By asset: the price by its place in its range, from 0 to 1, and the volatility by its part of its spread, from −1.
    """

    def feed(known: Feed) -> Feed:
        price = Wad(known.low + int((known.high - known.low) * at[known.asset][0]))
        return replace(known, status=FeedStatus.FRESH, price=price, low=price, high=price, age=0, vol_spread=Wad(0))

    def held(each: Held) -> Held:
        position, known, exact = each.position, each.feed, feed(each.feed)
        quote = replace(position.quote, price=exact.price)
        if isinstance(position, Option):
            vol = vol_at(position) * (1 + known.vol_spread / WAD * at[known.asset][1])
            forward = Wad(max(1, position.expiry.forward * exact.price // known.price))
            return Held(
                replace(position, quote=quote, expiry=replace(position.expiry, forward=forward, surface=vol)), exact
            )
        if isinstance(position, Future):
            forward = Wad(position.forward * exact.price // known.price)
            return Held(replace(position, quote=quote, forward=forward), exact)
        return Held(replace(position, quote=quote), exact)

    return replace(
        within,
        holdings=tuple(
            replace(each, feed=feed(each.feed), quality=replace(each.quality, chain="LIVE")) for each in within.holdings
        ),
        debts=tuple(replace(each, feed=feed(each.feed)) for each in within.debts),
        venues=tuple(replace(each, positions=tuple(map(held, each.positions))) for each in within.venues),
    )
