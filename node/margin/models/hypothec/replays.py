"""What has happened, and what ought to be asked: named events that an account goes through as it is, in full.

Moves of the market as rows: the first are the lows of real days against the close before (computed from public daily
prices; what pegs and single venues did is as reported at the time), the others are parallel. Then what becomes of the
inputs themselves: markets a tenth as deep, one feed frozen, one chain halted (as in May 2022, when a feed stood still
while its market fell on), and correlations of one. Must not know rules; margin is not made of these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from node.margin.models.fields import Fields
from node.margin.models.fixed import ONE, Money
from node.margin.models.hypothec.feeds import Feed, FeedStatus, degraded
from node.margin.models.hypothec.margin import Result, evaluate
from node.margin.models.hypothec.moved import moved
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import parts
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.hypothec.scenarios import read_row


def _event(name: str, others: float, **assets: float) -> dict[str, Any]:
    """`others`: what all assets of other names did, more or less."""
    return {"name": name, "together": others, "assets": assets, "vol": 0.5}


_PARALLEL = (0.16, -0.16, 0.24, -0.24, 0.36, -0.36, 0.5, -0.5)
EVENTS: list[dict[str, Any]] = [
    _event(
        "2020-03-12 black thursday",
        -0.5,
        BTC=-0.4809,
        ETH=-0.5115,
        BNB=-0.5786,
        XRP=-0.4469,
        LINK=-0.6053,
        MATIC=-0.6302,
        USDC=-0.0683,
        USDT=-0.0994,
    ),
    _event(
        "2021-05-19 leverage flush",
        -0.5,
        BTC=-0.285,
        ETH=-0.4224,
        SOL=-0.4736,
        AVAX=-0.4927,
        DOGE=-0.5416,
        CRV=-0.5635,
        AAVE=-0.4394,
    ),
    _event(
        "2022-05 terra",
        -0.5,
        BTC=-0.2689,
        ETH=-0.3513,
        SOL=-0.5346,
        BNB=-0.4296,
        USDT=-0.0515,
        UST=-0.956,
        LUNA=-0.9999,
    ),
    _event("2022-06 steth", -0.45, BTC=-0.4119, ETH=-0.4993, SOL=-0.348, BNB=-0.3635) | {"kinds": {"lst": -0.06}},
    _event("2022-10 mango squeeze", 0, MNGO=22.8),
    _event("2022-10 mango collapse", 0, MNGO=-0.978),
    _event("2022-11 crv squeeze", 0, CRV=0.5),
    _event("2022-11 ftx", -0.4, BTC=-0.2631, ETH=-0.3346, SOL=-0.6599, BNB=-0.2506, FTT=-0.9115),
    _event("2023-03 usdc", -0.05, BTC=-0.0361, ETH=-0.0418, SOL=-0.0688, USDC=-0.1226, DAI=-0.1029, FRAX=-0.115),
    _event("2024-08-05 yen carry", -0.27, BTC=-0.1905, ETH=-0.2689, SOL=-0.2261, BNB=-0.2303),
    _event("2025-10-10 tariffs", -0.5, BTC=-0.12, ETH=-0.15, SUI=-0.8, USDe=-0.35, WBETH=-0.8868, ATOM=-0.9999),
    *({"name": f"parallel {move:+.0%}", "together": move} for move in _PARALLEL),
    {"name": "volatility ×1.5", "vol": 0.5},
    *({"name": f"stablecoins {move:+.0%}", "kinds": {"stable": move}} for move in (-0.02, -0.05, -0.12, -0.35)),
    *({"name": f"staking tokens {move:+.0%}", "kinds": {"lst": move}} for move in (-0.06, -0.1)),
    {"name": "bridged assets to zero", "kinds": {"bridged": -1}},
]


LIQUIDITY = "liquidity / 10"
CORRELATION = "correlations of one"
FROZEN = "one feed frozen"
HALTED = "one chain halted"
DEGRADED = (LIQUIDITY, CORRELATION, FROZEN, HALTED)
FROZEN_FOR = 3_600
"""Seconds since the feed last followed the market."""
MOST_TRIED = 32
"""Of so many underlyings, or holdings, the one whose feed or chain hurts most: those worth most."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What an event makes of the account; `what` is the underlying or holding that it is of, where it is of one."""

    name: str
    result: Result
    what: str = ""


def replay(portfolio: Portfolio, parameters: Parameters) -> Iterator[Replayed]:
    """What each event would make of the account if it happened now, before anything is closed."""

    def after(portfolio: Portfolio, parameters: Parameters = parameters) -> Result:
        return evaluate(portfolio, parts(portfolio, parameters), parameters)

    def worst(name: str, cases: Iterable[tuple[str, Portfolio]]) -> Replayed:
        found = [Replayed(name, after(case), what) for what, case in cases]
        return min(found, key=_standing, default=Replayed(name, after(portfolio)))

    for place, each in enumerate(EVENTS):
        row = read_row(Fields(each, portfolio.account), place)
        yield Replayed(row.name, after(moved(portfolio, row, parameters)))
    yield Replayed(LIQUIDITY, after(shallower(portfolio, 10)))
    yield Replayed(CORRELATION, after(portfolio, correlated(parameters)))
    yield worst(FROZEN, ((root, frozen(portfolio, root, parameters)) for root in _largest_roots(portfolio, parameters)))
    yield worst(HALTED, ((what, halted(portfolio, place)) for place, what in _largest_holdings(portfolio)))


def _standing(found: Replayed) -> tuple[int, int, int]:
    """The lower, the worse."""
    excess = found.result.maintenance_excess
    return -found.result.status, excess.low, excess.high


def shallower(portfolio: Portfolio, times: int) -> Portfolio:
    """The account where each market takes so many times less."""
    risks = {root: replace(risk, depth=Money(risk.depth // times)) for root, risk in portfolio.risks.items()}
    return _with_feeds(replace(portfolio, risks=risks), lambda feed: replace(feed, depth=Money(feed.depth // times)))


def correlated(parameters: Parameters) -> Parameters:
    """The parameters where whatever two underlyings do, they do alike."""
    within = dict.fromkeys(parameters.shortfall.within, ONE)
    return replace(parameters, shortfall=replace(parameters.shortfall, across=ONE, within=within))


def frozen(portfolio: Portfolio, root: str, parameters: Parameters) -> Portfolio:
    """The account where the feed of an underlying, and of what follows it, has stood still for FROZEN_FOR."""

    def freeze(feed: Feed) -> Feed:
        if parameters.assets[feed.asset].root != root or feed.status is FeedStatus.MISSING:
            return feed
        return degraded(feed, FeedStatus.FROZEN, max(feed.age, FROZEN_FOR), parameters.feeds)

    return _with_feeds(portfolio, freeze)


def halted(portfolio: Portfolio, place: int) -> Portfolio:
    """The account where the chain that a holding is on has halted."""
    holdings = list(portfolio.holdings)
    holdings[place] = replace(holdings[place], quality=replace(holdings[place].quality, chain="HALTED"))
    return replace(portfolio, holdings=tuple(holdings))


def _with_feeds(portfolio: Portfolio, change: Callable[[Feed], Feed]) -> Portfolio:
    return replace(
        portfolio,
        holdings=tuple(replace(each, feed=change(each.feed)) for each in portfolio.holdings),
        debts=tuple(replace(each, feed=change(each.feed)) for each in portfolio.debts),
        venues=tuple(
            replace(venue, positions=tuple(replace(each, feed=change(each.feed)) for each in venue.positions))
            for venue in portfolio.venues
        ),
    )


def _largest_roots(portfolio: Portfolio, parameters: Parameters) -> list[str]:
    """The underlyings of what is held or owed, those of which there is most in value first."""
    sizes: defaultdict[str, int] = defaultdict(int)
    found = [(each.feed, each.amount) for each in portfolio.holdings]
    found += [(each.feed, each.amount) for each in portfolio.debts]
    found += [(each.feed, each.position.amount) for venue in portfolio.venues for each in venue.positions]
    for feed, amount in found:
        sizes[parameters.assets[feed.asset].root] += abs(amount) * feed.price
    return sorted(sizes, key=lambda root: (-sizes[root], root))[:MOST_TRIED]


def _largest_holdings(portfolio: Portfolio) -> list[tuple[int, str]]:
    """Places and assets of the holdings that are worth most."""
    held = [(-each.amount * each.feed.price, place, each.feed.asset) for place, each in enumerate(portfolio.holdings)]
    return [(place, asset) for _, place, asset in sorted(held)[:MOST_TRIED]]
