"""A price feed contract of the network's own, read by one storage slot instead of by a call.

Owns where `PriceFeed` keeps its last quote, how that word is packed, and what it must look like to be used.
Must not know how the word was proven. The feed speaks Chainlink's AggregatorV3Interface to everybody else.
"""

from __future__ import annotations

from chains.errors import RetryError
from chains.types import Assurance, Cut, FeedRecipe, Quote, UnixSeconds

LATEST_SLOT = 0
"""Slot of `PriceFeed._latest`: answer int128 (bits 0-127) | updatedAt uint64 (128-191) | roundId uint64 (192-255)."""

PRICE_DECIMALS = 12
"""Quotes are in 1e-12 USD."""

HIGHEST_PRICE = 10**12 * 10**PRICE_DECIMALS
"""A trillion dollars a unit: what lies above is a mistake of the feed (or of its decimals), not a price."""


class BadQuote(RetryError):
    """The feed's word is proven, but is no usable quote: the feed is at fault, and other sources go on."""

    reason = "BAD_QUOTE"


def quote(feed: FeedRecipe, word: int, cut: Cut, assurance: Assurance) -> Quote:
    """The quote that `word`, proven to be in the feed's slot at `cut`, stands for; fractions are rounded down.

    Raises BadQuote if nothing was ever posted, for a price that is not above zero or absurd, and for a time after the
    block's: it would look fresh for ever.
    """
    answer = word & (1 << 128) - 1
    if answer >> 127:
        answer -= 1 << 128
    published_at = word >> 128 & (1 << 64) - 1
    round_id = word >> 192
    values = {"source": feed.source, "answer": answer, "updated_at": published_at, "round": round_id}
    if round_id == 0:
        raise BadQuote("The feed has no quote yet", **values)
    if answer <= 0:
        raise BadQuote("The feed's answer is not above zero", **values)
    if published_at > cut.time:
        raise BadQuote("The feed's quote is from after its block", **values, block_time=cut.time)
    price = answer * 10**PRICE_DECIMALS // 10**feed.decimals
    if not 0 < price <= HIGHEST_PRICE:
        raise BadQuote("The feed's answer is not a price", **values, decimals=feed.decimals)
    return Quote(feed.asset, feed.source, price, UnixSeconds(published_at), cut, assurance)
