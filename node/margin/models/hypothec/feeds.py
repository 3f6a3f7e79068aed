"""What the market says of an asset's price and how well it knows it: rule 5 of the design.

A fresh price may be anything between `low` and `high`. One that is stale, frozen or disputed may have moved by the
bound for its age beyond what it last was; a holding then counts from nothing to the highest of it, and an obligation
over all of it. A missing price says nothing. Where an asset redeems for another it has two prices: held, each end is
the lower of the two, owed, the higher; it is as good as the worse of its feeds. Must not know positions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from node.margin.models.errors import OutOfRange, UnknownAsset
from node.margin.models.fields import LONGEST_SECONDS, Fields, leaves
from node.margin.models.fixed import ONE, WAD, Money, Wad, product
from node.margin.models.hypothec.assets import Asset
from node.margin.models.hypothec.parameters import FeedRules
from node.model.health import Reason

_SECONDS_AN_HOUR = 3_600


class FeedStatus(StrEnum):
    """How good a price is."""

    FRESH = "FRESH"
    STALE = "STALE"
    FROZEN = "FROZEN"
    """It is published, and is known not to follow the market."""
    DISPUTED = "DISPUTED"
    MISSING = "MISSING"


_WORST_LAST = (FeedStatus.FRESH, FeedStatus.DISPUTED, FeedStatus.STALE, FeedStatus.FROZEN, FeedStatus.MISSING)
REASONS = {
    FeedStatus.STALE: Reason.STALE_PRICE,
    FeedStatus.FROZEN: Reason.STALE_PRICE,
    FeedStatus.DISPUTED: Reason.DISPUTED_PRICE,
    FeedStatus.MISSING: Reason.MISSING_PRICE,
}


@dataclass(frozen=True, slots=True)
class Feed:
    """One asset's price: what it is said to be and the range that it may be in, zero if missing.

    `vol` is a year's, `vol_spread` by which part of it options' vols may be wrong, `depth` and `interest` in USD
    (an interest of zero is one that is not known).
    """

    asset: str
    status: FeedStatus
    price: Wad
    low: Wad
    high: Wad
    age: int
    vol: Wad
    vol_spread: Wad
    depth: Money
    interest: Money

    @property
    def is_fresh(self) -> bool:
        """Whether a holding may count at it."""
        return self.status is FeedStatus.FRESH

    @property
    def reason(self) -> Reason | None:
        """Why it is not fresh."""
        return REASONS.get(self.status)


def bound(rules: FeedRules, age: int) -> Wad:
    """How far a price that is not certified may have moved: min(cap, base + rate·age), rounded up."""
    grown = -(-rules.bound_per_hour * age // _SECONDS_AN_HOUR)
    return Wad(min(rules.bound_cap, rules.bound_base + grown))


def moved(price: Wad, by: Wad) -> tuple[Wad, Wad]:
    """[price·(1 − by), price·(1 + by)], rounded outwards, not below zero."""
    return Wad(price * max(0, WAD - by) // WAD), Wad(-(-price * (WAD + by) // WAD))


def in_proportion(price: Wad, feed: Feed) -> tuple[Wad, Wad]:
    """The range of a price that moves with the feed's, rounded outwards."""
    return Wad(price * feed.low // feed.price), Wad(-(-price * feed.high // feed.price))


def status_at(said: FeedStatus, age: int, rules: FeedRules) -> FeedStatus:
    """What age makes of a status: stale after `stale_after`, and as if there were none after `write_off_after`."""
    if said is FeedStatus.MISSING or age > rules.write_off_after:
        return FeedStatus.MISSING
    return FeedStatus.STALE if said is FeedStatus.FRESH and age > rules.stale_after else said


FEED_NAMES = leaves(
    "status", "age", "price", "confidence", "low", "high", "vol", "vol_spread", "depth", "open_interest"
)
"""What is read of an asset's quote."""


def read_feed(market: Fields, name: str, asset: Asset, rules: FeedRules) -> Feed:
    """The feed of an asset's market price. Raises UnknownAsset, OutOfRange, PortfolioError."""
    if not market.has(name):
        raise UnknownAsset("the market does not quote it", account=market.account, instrument=name, field="market")
    fields = market.section(name)
    said = fields.text("status", FeedStatus.FRESH.value)
    if said not in FeedStatus.__members__:
        raise fields.wrong(f"give one of {', '.join(FeedStatus)}", "status")
    age = fields.whole("age", high=LONGEST_SECONDS, default=0)
    status = status_at(FeedStatus(said), age, rules)
    price = low = high = Wad(0)
    if status is not FeedStatus.MISSING:
        price, low, high = _range(fields)
    feed = Feed(
        asset=name,
        status=FeedStatus.FRESH,
        price=price,
        low=low,
        high=high,
        age=age,
        vol=fields.number("vol", low=0, high=100) if fields.has("vol") else asset.vol,
        vol_spread=fields.number("vol_spread", low=0, high=1, default=0),
        depth=fields.money("depth", low=0) if fields.has("depth") else asset.depth,
        interest=fields.money("open_interest", low=0, default=0),
    )
    return degraded(feed, status, age, rules)


def degraded(feed: Feed, status: FeedStatus, age: int, rules: FeedRules) -> Feed:
    """The feed where its price has a status and an age: not certified, it may have moved by the bound for its age."""
    if status is FeedStatus.MISSING:
        return replace(feed, status=status, price=Wad(0), low=Wad(0), high=Wad(0), age=age)
    if status is FeedStatus.FRESH:
        return replace(feed, status=status, age=age)
    least, most = moved(feed.price, bound(rules, age))
    return replace(feed, status=status, low=min(feed.low, least), high=max(feed.high, most), age=age)


def redeeming(feed: Feed, underlying: Feed, rate: Wad, *, owed: bool) -> Feed:
    """Market price and redemption value (rate units of what it redeems for) as one feed: the lower; owed, the higher.

    Source: what staking tokens traded at in June 2022 and October 2025, when one of the two values was an illusion.
    """
    status = max(feed.status, underlying.status, key=_WORST_LAST.index)
    age = max(feed.age, underlying.age)
    if status is FeedStatus.MISSING:
        return replace(feed, status=status, price=Wad(0), low=Wad(0), high=Wad(0), age=age)
    price, low = (Wad(rate * each // WAD) for each in (underlying.price, underlying.low))
    high = Wad(-(-rate * underlying.high // WAD))
    pick = max if owed else min
    return replace(
        feed,
        status=status,
        price=pick(feed.price, price),
        low=pick(feed.low, low),
        high=pick(feed.high, high),
        age=age,
    )


def _range(fields: Fields) -> tuple[Wad, Wad, Wad]:
    """Price, low and high; without low or high they are the price by its confidence: price·(1 ± (1 − confidence))."""
    price = fields.positive("price")
    doubt = ONE - fields.number("confidence", low=0, high=1, default=1)
    low = fields.number("low", low=0) if fields.has("low") else product(price, WAD - doubt)
    high = fields.number("high", low=0) if fields.has("high") else product(price, WAD + doubt)
    if not low <= price <= high:
        raise OutOfRange(
            "low, price and high are to ascend",
            account=fields.account,
            instrument=fields.instrument,
            field="low" if low > price else "high",
        )
    return price, low, high
