"""The frame of a round: prices and indices of volatility, from what the nodes verified at the sources.

A source counts when 2f+1 observers quote it: the median is then between two honest values. An asset's price is FRESH
when enough sources are young and agree within the policy's spread. Must not know what prices are for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chains.types import Assurance, UnixSeconds
from node.consensus.outcome.observation import Observation, QuoteObservation
from node.margin.policy import Policy, Quoted
from node.model.frame import Frame, FramePrice, PriceStatus


@dataclass(frozen=True, slots=True)
class SourcePrice:
    """What the observers make of one source of one asset."""

    price: int
    published_at: UnixSeconds
    assurance: Assurance


def derive_frame(
    previous: Frame, observations: Mapping[int, Observation], policy: Policy, time_ms: int, f: int
) -> Frame:
    """The frame at state time `time_ms`: one entry for each asset and each index of the policy."""
    sources = _sources(observations, policy, f)
    prices = {
        each.id: _price(each, previous.prices.get(each.id), sources.get(each.id, ()), policy, time_ms // 1000)
        for each in (*policy.assets, *policy.indices)
    }
    return Frame.of(prices, previous.map)


def _sources(observations: Mapping[int, Observation], policy: Policy, f: int) -> dict[str, list[SourcePrice]]:
    """Admitted sources by asset, each as the lower median of at least 2f+1 observers."""
    admitted = {(feed.asset, feed.source) for recipe in policy.recipe_by_chain.values() for feed in recipe.feeds}
    quoted: dict[tuple[str, str], list[QuoteObservation]] = defaultdict(list)
    for observation in observations.values():
        for quote in observation.quotes:
            if (quote.asset, quote.source) in admitted and quote.price > 0:
                quoted[quote.asset, quote.source].append(quote)
    by_asset: dict[str, list[SourcePrice]] = defaultdict(list)
    for (asset, _), quotes in sorted(quoted.items()):
        if len(quotes) >= 2 * f + 1:
            by_asset[asset].append(
                SourcePrice(
                    median([quote.price for quote in quotes]),
                    UnixSeconds(median([quote.published_at for quote in quotes])),
                    sorted(quote.assurance for quote in quotes)[f],
                )
            )
    return by_asset


def _price(
    asset: Quoted, last: FramePrice | None, sources: Sequence[SourcePrice], policy: Policy, now: int
) -> FramePrice:
    # A time far ahead is as useless as one long past: it would look young for ever.
    fresh = [source for source in sources if abs(now - source.published_at) <= policy.timing.max_price_age]
    if len(fresh) < asset.min_sources:
        return _uncertified(asset, last)
    low, high = min(source.price for source in fresh), max(source.price for source in fresh)
    assurance = min(source.assurance for source in fresh)
    if (high - low) * 10_000 > asset.max_spread_bps * low:
        # SECURITY: what one source says against the others must not become the price that a stale one starts from.
        price, at = (last.price, last.published_at) if last is not None else (0, UnixSeconds(0))
        return FramePrice(asset.id, PriceStatus.DISPUTED, low, price, high, at, len(fresh), assurance)
    at = UnixSeconds(min(now, *(source.published_at for source in fresh)))
    return FramePrice(asset.id, PriceStatus.FRESH, low, (low + high) // 2, high, at, len(fresh), assurance)


def _uncertified(asset: Quoted, last: FramePrice | None) -> FramePrice:
    """The last certified price under its age, or nothing at all."""
    if last is None or last.price == 0:
        return FramePrice(asset.id, PriceStatus.MISSING, 0, 0, 0, UnixSeconds(0), 0, Assurance.REPORTED)
    return FramePrice(
        asset.id, PriceStatus.STALE, last.price, last.price, last.price, last.published_at, 0, last.assurance
    )


def median(values: Sequence[int]) -> int:
    """The lower median: with at most f bad values among 2f+1, it is between two honest ones."""
    return sorted(values)[(len(values) - 1) // 2]
