"""Dutch auctions of an account: what a bidder pays, for how much of it, and what is left.

Source: derivexyz/v2-core DutchAuction (the formulas), which sells a share of the whole account: a solvent one below its
mark, ever cheaper; an insolvent one against a payment that grows. Margins are signed sums as an account has them: mark
to market (MtM) and maintenance margin (MM), equity less what is required. `reserved` is the cash that earlier bidders
paid in: it is not for sale again. Must not know the instruments of an account, or who bids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.margin.models.fixed import ONE, WAD, Money, Wad, down, up


class Curve(Protocol):
    """The part of its value at which an account, or a lot, is offered; it never rises with time."""

    def at(self, seconds: int) -> Wad:
        """The part, `seconds` ≥ 0 after the start."""
        ...


@dataclass(frozen=True, slots=True)
class LinearCurve:
    """From `start` to `end` in a straight line over `seconds` > 0, and `end` from then on."""

    start: Wad
    end: Wad
    seconds: int

    def at(self, seconds: int) -> Wad:
        """The line at t: start − (start − end)·t/T, rounded down."""
        return Wad(between(self.start, self.end, seconds, self.seconds))


@dataclass(frozen=True, slots=True)
class FastSlowCurve:
    """Derive's: from `start` to `cutoff` in `fast` seconds, then to nothing in `slow` seconds; both > 0."""

    start: Wad
    cutoff: Wad
    fast: int
    slow: int

    def at(self, seconds: int) -> Wad:
        """The two lines, one after the other, each rounded down."""
        if seconds < self.fast:
            return Wad(between(self.start, self.cutoff, seconds, self.fast))
        return Wad(between(self.cutoff, 0, seconds - self.fast, self.slow))


DERIVE_CURVE = FastSlowCurve(Wad(95 * WAD // 100), Wad(70 * WAD // 100), 15 * 60, 12 * 3600)
"""As deployed: 0.95 to 0.7 of the mark in 15 minutes, to nothing in 12 hours."""


def between(start: int, end: int, elapsed: int, length: int) -> int:
    """The line start + (end − start)·elapsed/length, rounded down; `end` once the length has passed."""
    return start + (end - start) * min(elapsed, length) // length


def is_insolvent(mark: Money) -> bool:
    """Whether nothing is left to sell: from MtM ≤ 0 a bidder is paid instead."""
    return mark <= 0


def buffer_margin(maintenance: Money, mark: Money, buffer: Wad) -> Money:
    """BM = MM + b·(MM − MtM), rounded down: maintenance and a part of it on top, which a liquidation restores."""
    return Money(maintenance + down(maintenance - mark, buffer))


# === A solvent account ===


def largest_share(buffered: Money, mark: Money, reserved: Money, discount: Wad) -> Wad:
    """The share whose sale at d brings BM to zero, f = BM / (BM − d·MtM − (1 − d)·reserved); rounded up, at most 1.

    With f·(BM − reserved) gone and f·d·(MtM − reserved) paid in, BM becomes zero. None is for sale when BM ≥ 0, and
    all when no share suffices.
    """
    if buffered >= 0:
        return Wad(0)
    gained = discount * mark + (WAD - discount) * reserved
    if gained <= 0:
        return ONE
    needed = -buffered * WAD
    return Wad(-(-needed * WAD // (needed + gained)))


def bid_price(mark: Money, reserved: Money, discount: Wad, share: Wad) -> Money:
    """d·(MtM − reserved)·f, what the bidder of a share f of the account pays in; rounded down, never below zero."""
    return Money(max(0, mark - reserved) * discount * share // (WAD * WAD))


def after_bid(figure: Money, reserved: Money, share: Wad, paid: Money) -> Money:
    """(figure − reserved)·(1 − f) + reserved + paid: MtM, MM or BM of what is left after a bid; rounded down."""
    return Money(reserved + paid + down(figure - reserved, Wad(WAD - share)))


def share_of_original(share: Wad, sold: Wad) -> Wad:
    """A share of what is left, as one of the account as it was when `sold` of it had not been; rounded down."""
    return Wad(share * (WAD - sold) // WAD)


def share_of_rest(of_original: Wad, sold: Wad) -> Wad:
    """The reverse: what part of the rest a part of the original is; rounded up, at most 1. All, once all is sold."""
    return Wad(min(WAD, -(-of_original * WAD // (WAD - sold)))) if sold < WAD else ONE


# === An insolvent account ===


def insolvent_price(start: Money, end: Money, seconds: int, length: int) -> Money:
    """What all of the account is bid at: from `start` (min(MtM, 0)) to `end` (MM) in a line; negative: it is paid."""
    return Money(between(start, end, seconds, length))


def insolvent_payout(price: Money, share: Wad) -> Money:
    """What the bidder of a share of the original account is paid for taking it over, rounded up."""
    return up(Money(max(0, -price)), share)


@dataclass(frozen=True, slots=True)
class Payout:
    """Who pays an insolvent account's bidder: the insurance fund, and what it could not, which is socialised."""

    insured: Money
    socialised: Money


def split_payout(owed: Money, fund: Money) -> Payout:
    """The fund pays what it has; the rest is socialised."""
    insured = Money(min(owed, max(0, fund)))
    return Payout(insured, Money(owed - insured))
