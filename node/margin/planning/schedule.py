"""The Dutch auction of an account: its price at any time, and whether a bid is good.

A share of the whole account is offered, ever cheaper, by the curve of the terms (Derive's, or a straight line); an
insolvent account against a payment that grows from nothing to what it lacks of maintenance. The formulas are those of
node/margin/models/auction.py. Must not know legs, or who bids.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.margin.models.auction import (
    Curve,
    Payout,
    after_bid,
    bid_price,
    buffer_margin,
    insolvent_payout,
    insolvent_price,
    is_insolvent,
    largest_share,
    split_payout,
)
from node.margin.models.fixed import ONE, Money, Wad
from node.margin.models.profile import Evaluation
from node.margin.planning.account import Account
from node.margin.planning.errors import BidRefused
from node.margin.planning.terms import AuctionTerms


@dataclass(frozen=True, slots=True)
class Schedule:
    """An auction from its start: what the account is at the market (MtM), its maintenance margin (MM) and BM."""

    account: str
    mark: Money
    maintenance: Money
    buffered: Money
    curve: Curve
    insolvent_seconds: int

    @property
    def is_insolvent(self) -> bool:
        """Whether the bidder is paid, not the account."""
        return is_insolvent(self.mark)

    def offer(self, seconds: int) -> Offer:
        """What is offered at a time after the start."""
        if self.is_insolvent:
            price = insolvent_price(
                Money(min(self.mark, 0)), Money(min(self.maintenance, 0)), seconds, self.insolvent_seconds
            )
            return Offer(seconds, ONE, Money(price))
        discount = self.curve.at(seconds)
        share = largest_share(self.buffered, self.mark, Money(0), discount)
        return Offer(seconds, share, bid_price(self.mark, Money(0), discount, share))


@dataclass(frozen=True, slots=True)
class Offer:
    """The largest share for sale and its price; of an insolvent account all, a negative price being paid out."""

    seconds: int
    share: Wad
    price: Money


@dataclass(frozen=True, slots=True)
class Bid:
    """A share that somebody takes, `seconds` after the start, for at most `limit`: negative, at least to be paid."""

    bidder: str
    seconds: int
    share: Wad
    limit: Money


@dataclass(frozen=True, slots=True)
class Fill:
    """A good bid: what it pays in, or is paid and by whom, and the maintenance margin of what is left."""

    bid: Bid
    paid: Money
    payout: Payout
    maintenance: Money


def schedule(account: Account, before: Evaluation, terms: AuctionTerms) -> Schedule:
    """The auction of an account as it stands."""
    mark, maintenance = account.net_value, before.levels[-1].excess
    return Schedule(
        account=account.name,
        mark=mark,
        maintenance=maintenance,
        buffered=buffer_margin(maintenance, mark, terms.buffer),
        curve=terms.curve,
        insolvent_seconds=terms.insolvent_seconds,
    )


def filled(auction: Schedule, bid: Bid, fund: Money) -> Fill:
    """What becomes of a bid; `fund` is what the insurance fund has.

    Raises BidRefused for one outside the auction's time, share or price.
    """
    if bid.seconds < 0:
        raise BidRefused("the auction has not started", account=auction.account, seconds=bid.seconds)
    offer = auction.offer(bid.seconds)
    if not 0 < bid.share <= offer.share:
        raise BidRefused(
            "bid for a part of what is offered", account=auction.account, share=bid.share, offered=offer.share
        )
    if auction.is_insolvent:
        owed = insolvent_payout(offer.price, bid.share)
        if -bid.limit > owed:
            raise BidRefused("not so much is paid yet", account=auction.account, limit=bid.limit, payout=owed)
        left = after_bid(auction.maintenance, Money(0), bid.share, Money(0))
        return Fill(bid, Money(0), split_payout(owed, fund), left)
    price = bid_price(auction.mark, Money(0), auction.curve.at(bid.seconds), bid.share)
    if bid.limit < price:
        raise BidRefused("it costs more by now", account=auction.account, limit=bid.limit, price=price)
    left = after_bid(auction.maintenance, Money(0), bid.share, price)
    return Fill(bid, price, Payout(Money(0), Money(0)), left)
