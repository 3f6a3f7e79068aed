"""Auctions: what a bid leaves, whatever the account; curves that never rise; payouts that add up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models import auction
from node.margin.models.auction import FastSlowCurve, LinearCurve
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad

LIGHT = settings(max_examples=60, deadline=None)
amounts = st.integers(-(10**27), 10**27).map(Money)
parts = st.integers(0, WAD).map(Wad)
seconds = st.integers(0, 10**6)


@st.composite
def curves(draw: st.DrawFn) -> FastSlowCurve | LinearCurve:
    high, low = sorted((draw(parts), draw(parts)), reverse=True)
    length = st.integers(1, 10**5)
    if draw(st.booleans()):
        return LinearCurve(high, low, draw(length))
    return FastSlowCurve(high, low, draw(length), draw(length))


@LIGHT
@given(curves(), seconds, seconds)
def test_a_curve_never_rises_and_never_leaves_its_ends(
    curve: FastSlowCurve | LinearCurve, first: int, second: int
) -> None:
    early, late = sorted((first, second))
    assert curve.start >= curve.at(early) >= curve.at(late) >= 0
    assert curve.at(0) == curve.start


@LIGHT
@given(st.integers(1, 10**27), st.integers(1, 10**27), st.integers(0, 10**27), parts, parts)
def test_the_largest_share_restores_the_buffer_and_no_less_would(
    mark: int, gap: int, reserved: int, discount: Wad, buffer: Wad
) -> None:
    mark, reserved = Money(mark), Money(min(reserved, mark))
    buffered = auction.buffer_margin(Money(mark - gap), mark, buffer)
    share = auction.largest_share(buffered, mark, reserved, discount)
    assert 0 <= share <= WAD
    if buffered >= 0:
        assert share == 0
        return
    # A share is to 1e-18, so the result is to 1e-18 of what was moved, and three roundings.
    dust = (abs(buffered) + mark) // WAD + 3
    paid = auction.bid_price(mark, reserved, discount, share)
    assert auction.after_bid(buffered, reserved, share, paid) >= -dust
    if share > 1:
        less = Wad(share // 2)
        paid = auction.bid_price(mark, reserved, discount, less)
        assert auction.after_bid(buffered, reserved, less, paid) <= dust


@LIGHT
@given(amounts, amounts, seconds, st.integers(1, 10**5), parts)
def test_an_insolvent_bidder_is_paid_more_the_longer_he_waits(
    first: Money, second: Money, elapsed: int, length: int, share: Wad
) -> None:
    worst, best = sorted((Money(-abs(first)), Money(-abs(second))))
    now, then = (auction.insolvent_price(best, worst, each, length) for each in (elapsed, elapsed + 1))
    assert best >= now >= then >= worst
    owed = auction.insolvent_payout(now, share)
    assert 0 <= owed <= -now
    split = auction.split_payout(owed, first)
    assert split.insured + split.socialised == owed
    assert 0 <= split.insured <= max(0, first)


def test_what_is_sold_and_what_is_left() -> None:
    half = Wad(WAD // 2)
    assert auction.share_of_original(half, half) == WAD // 4
    assert auction.share_of_rest(Wad(WAD // 4), half) == half
    assert auction.share_of_rest(Wad(WAD), half) == auction.share_of_rest(Wad(1), ONE) == ONE
    assert auction.largest_share(Money(-5), Money(-7), Money(0), half) == ONE
    assert auction.bid_price(Money(-7), Money(0), ONE, ONE) == 0
    assert auction.insolvent_payout(Money(5), ONE) == 0


def test_the_deployed_curve() -> None:
    curve = auction.DERIVE_CURVE
    assert [round(curve.at(minutes * 60) / WAD, 6) for minutes in (0, 15, 15 + 360, 15 + 720, 10_000)] == [
        0.95, 0.7, 0.35, 0, 0,
    ]  # fmt: skip
    assert auction.buffer_margin(Money(-10 * PICO), Money(20 * PICO), Wad(WAD // 5)) == -16 * PICO


def test_roundings_are_against_whoever_should_bear_them() -> None:
    """The share up, so that it suffices; what the account gets down; what the fund pays up."""
    assert auction.largest_share(Money(-1), Money(2), Money(0), ONE) == WAD // 3 + 1
    assert auction.bid_price(Money(1), Money(0), Wad(WAD - 1), ONE) == 0
    assert auction.after_bid(Money(-1), Money(0), Wad(1), Money(0)) == -1
    assert auction.insolvent_payout(Money(-1), Wad(1)) == 1
    assert auction.between(0, -1, 1, 2) == -1
