"""What a state's frame says, as the profile takes it: rule 5 of the design, for prices and for volatilities.

An asset's price is the frame's, at its age. A stale one may have moved by the policy's bound for its age; a disputed
one by the bound at no age, as its sources are young, and by all that they span. A volatility is that of the asset's
index, and options count over the range that it may be in. Where the index is missing it is the parameters', and options
count from no volatility to twice as much. Of an asset without an index the parameters' is certain. Haircuts and the
shortfall take it as it is: there it is the policy's judgement of a risk, not a fact that may be otherwise, and an index
that is missing stops no liquidation of what it does not price.

Everything is made once a state, when it is first asked for. Must not know accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from chains.types import Address, ChainId, TokenFact, TokenRecipe, UnixSeconds
from node.margin import spec
from node.margin.models.fixed import ONE, WAD, Money, Wad
from node.margin.models.hypothec.counted import moves
from node.margin.models.hypothec.feeds import Feed, FeedStatus, degraded, redeeming, status_at
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.parts import Units
from node.margin.models.hypothec.portfolio import Risk
from node.margin.models.interest import SECONDS_A_YEAR
from node.margin.models.market import Expiry, Quote
from node.margin.policy import Policy
from node.model.frame import FramePrice, PriceStatus

WAD_PER_PICO = 10**6
"""A frame's figures are in 1e-12, the profile's in 1e-18."""
LARGEST_PRICE = 10**10 * WAD
"""In USD a unit. What a feed says beyond is no price; every mark of what is on it stays finite."""
LARGEST_VOL = 100 * WAD
_STATUSES = {
    PriceStatus.FRESH: FeedStatus.FRESH,
    PriceStatus.STALE: FeedStatus.STALE,
    PriceStatus.DISPUTED: FeedStatus.DISPUTED,
    PriceStatus.MISSING: FeedStatus.MISSING,
}


@dataclass(frozen=True, slots=True)
class Volatility:
    """A year's; `spread` is by which part of it options' may be wrong."""

    vol: Wad
    spread: Wad
    is_certain: bool


class Market:
    """One state's market under one policy, which names the profile."""

    def __init__(
        self,
        policy: Policy,
        prices: Mapping[str, FramePrice],
        tokens: Mapping[tuple[ChainId, Address], TokenFact],
        time_ms: int,
    ) -> None:
        self._policy = policy
        self._prices = prices
        self._tokens = tokens
        self._time_ms = time_ms
        self._feeds: dict[str, Feed] = {}
        self._held: dict[tuple[ChainId, Address], Feed] = {}
        self._vols: dict[str, Volatility] = {}
        self._swings: dict[str, tuple[int, int]] = {}

    @property
    def parameters(self) -> Parameters:
        return self._policy.parameters

    @cached_property
    def units(self) -> Units:
        """Units of every instrument and of collateral, each made once."""
        return Units(self.parameters)

    # === Prices ===

    def feed(self, asset: str) -> Feed:
        """Of an asset's price: what positions are marked by."""
        found = self._feeds.get(asset)
        if found is None:
            found = self._feeds[asset] = self._quoted(self.missing(asset), LARGEST_PRICE)
        return found

    def missing(self, asset: str) -> Feed:
        """A feed of an asset that says nothing of its price."""
        vol, depth, nothing = self.volatility(asset), self.parameters.assets[asset].depth, Wad(0)
        return Feed(asset, FeedStatus.MISSING, nothing, nothing, nothing, 0, vol.vol, vol.spread, depth, Money(0))

    def _quoted(self, missing: Feed, largest: int) -> Feed:
        """A feed with what the frame says under its name."""
        found = self._prices.get(missing.asset)
        if found is None or found.status is PriceStatus.MISSING:
            return missing
        low, high = (Wad(end * WAD_PER_PICO) for end in (found.low, found.high))
        # Of a disputed one the last certified may lie anywhere, or never have been: it counts as near to it as may be.
        price = Wad(min(max(found.price * WAD_PER_PICO, low), high))
        is_young = found.status is PriceStatus.DISPUTED
        age = 0 if is_young else spec.stale_age(self._time_ms, found.published_at)
        rules = self.parameters.feeds
        status = status_at(_STATUSES[found.status], age, rules)
        if status is FeedStatus.MISSING or not 0 < high <= largest:
            return missing
        return degraded(replace(missing, price=price, low=low, high=high), status, age, rules)

    def held(self, place: tuple[ChainId, Address], recipe: TokenRecipe) -> Feed:
        """Of a token, a whole one: what a holding of it counts at.

        Of a yield-bearing one the lower of what it is redeemed for and, where its asset has feeds, of its market price.
        """
        found = self._held.get(place)
        if found is None:
            found = self._held[place] = self._of_token(place, recipe)
        return found

    def _of_token(self, place: tuple[ChainId, Address], recipe: TokenRecipe) -> Feed:
        if recipe.rate is None:
            return self.feed(recipe.asset)
        underlying, fact = self.feed(recipe.rate.underlying), self._tokens.get(place)
        most = Wad(spec.rate_cap(WAD, recipe.rate.max_bps))
        proven = fact.rate if fact is not None and fact.rate is not None and fact.rate[1] else None
        rate = spec.redemption_price(WAD, proven, recipe.decimals, recipe.rate.decimals) if proven else most
        if recipe.asset in self._policy.fed_assets:
            feed = redeeming(self.feed(recipe.asset), underlying, min(most, Wad(rate)), owed=False)
        else:
            feed = self._redeemed(self.missing(recipe.asset), underlying, min(most, Wad(rate)))
        return feed if proven else replace(feed, low=Wad(0))

    @staticmethod
    def _redeemed(own: Feed, underlying: Feed, rate: Wad) -> Feed:
        """The redemption value alone: rate units of the underlying, with the asset's own risk."""
        price, low = (Wad(rate * each // WAD) for each in (underlying.price, underlying.low))
        high = Wad(-(-rate * underlying.high // WAD))
        return replace(own, status=underlying.status, age=underlying.age, price=price, low=low, high=high)

    def swing(self, asset: str) -> tuple[int, int]:
        """The most that a row leaves of a price, at least one, and the largest move that a row counts; in 1e-18."""
        found = self._swings.get(asset)
        if found is None:
            by_row = moves(asset, self.parameters)
            found = self._swings[asset] = WAD + max(0, *by_row), max(map(abs, by_row))
        return found

    # === Volatilities and expiries ===

    def volatility(self, asset: str) -> Volatility:
        """Of an asset, by its index or by the parameters."""
        found = self._vols.get(asset)
        if found is None:
            found = self._vols[asset] = self._volatility(asset)
        return found

    def _volatility(self, asset: str) -> Volatility:
        named, usual = self._policy.asset_by_id.get(asset), self.parameters.assets[asset].vol
        if named is None or named.volatility is None:
            return Volatility(usual, Wad(0), is_certain=True)
        index = self._quoted(_index(named.volatility), LARGEST_VOL)
        if index.status is FeedStatus.MISSING:
            return Volatility(usual, ONE, is_certain=False)
        wrong = max(index.high - index.price, index.price - index.low)
        spread = Wad(min(WAD, -(-wrong * WAD // index.price)))
        return Volatility(index.price, spread, index.status is FeedStatus.FRESH)

    def risk(self, root: str) -> Risk:
        """What the shortfall and the concentration charge take of an underlying."""
        return Risk(self.volatility(root).vol, self.parameters.assets[root].depth, Money(0))

    def seconds_to(self, expiry: UnixSeconds) -> int:
        """From the state's time to an expiry, rounded up; nothing or less once it has come."""
        return spec.ceil_div(expiry * 1000 - self._time_ms, 1000)

    def expiry(self, feed: Feed, seconds: int) -> Expiry:
        """The forward price·(1 + carry·years), and one volatility for every strike."""
        named = self._policy.asset_by_id.get(feed.asset)
        carry = named.carry_bps if named is not None else 0
        forward = feed.price + feed.price * carry * seconds // (spec.BPS * SECONDS_A_YEAR)
        return Expiry(seconds, Wad(max(1, forward)), Wad(0), feed.vol / WAD)

    @staticmethod
    def quote(feed: Feed) -> Quote:
        """An asset's price as positions have it; of a missing one no rule reads it."""
        price = feed.price or ONE
        return Quote(feed.asset, price, price, price, ONE, Money(0), Wad(0), Wad(0), 9)


def _index(name: str) -> Feed:
    """The feed of an index that says nothing."""
    nothing = Wad(0)
    return Feed(name, FeedStatus.MISSING, nothing, nothing, nothing, 0, nothing, nothing, Money(0), Money(0))
