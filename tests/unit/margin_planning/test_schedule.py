"""The auction of an account: what is offered when, and which bids are good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad
from node.margin.planning.errors import BidRefused
from node.margin.planning.schedule import Bid, Schedule, filled
from tests.unit.margin_planning.files import file, held, planned

DERIVE: dict[str, Any] = {}
LINEAR = {"curve": "linear", "start": 1, "end": 0.5, "seconds": 1_000}


def auction(debt: int = 16_600, terms: dict[str, Any] | None = None) -> Schedule:
    plan = planned(
        "ltv", file(collateral=[held("ETH", 10)], debts=[held("USDC", debt)], plan={"auction": terms or DERIVE})
    )
    assert plan.auction is not None
    return plan.auction


def bid(of: Schedule, seconds: int, share: int | None = None, limit: int | None = None) -> Bid:
    offer = of.offer(seconds)
    share, limit = offer.share if share is None else share, offer.price if limit is None else limit
    return Bid("carol", seconds, Wad(share), Money(limit))


def test_an_account_is_offered_ever_cheaper_and_ever_more_of_it() -> None:
    schedule = auction()
    assert (schedule.mark, schedule.maintenance) == (3_400 * PICO, -100 * PICO)
    assert schedule.buffered == -450 * PICO  # MM + 0.1·(MM − MtM)
    offers = [schedule.offer(seconds) for seconds in (0, 60, 900, 3_600, 43_200, 50_000)]
    unit_prices = [offer.price * WAD // offer.share for offer in offers]
    assert unit_prices == sorted(unit_prices, reverse=True)
    assert [offer.share for offer in offers] == sorted(offer.share for offer in offers)
    assert abs(unit_prices[0] - 3_230 * PICO) < PICO
    assert unit_prices[-1] == 0


def test_a_linear_curve() -> None:
    schedule = auction(terms=LINEAR)
    first, half, end = (schedule.offer(seconds) for seconds in (0, 500, 1_000))
    for offer, part in ((first, 1), (half, 0.75), (end, 0.5)):
        assert abs(offer.price * WAD // offer.share - int(3_400 * part * PICO)) <= PICO
    assert schedule.offer(99_999).price == end.price


@pytest.mark.parametrize("seconds", [0, 30, 900, 20_000])
def test_the_largest_bid_restores_the_buffered_margin(seconds: int) -> None:
    schedule = auction()
    fill = filled(schedule, bid(schedule, seconds), Money(0))
    mark = schedule.mark - schedule.mark * fill.bid.share // WAD + fill.paid
    buffered = fill.maintenance + (fill.maintenance - mark) // 10
    assert abs(buffered) < 10  # 1e-12 USD
    smaller = filled(schedule, bid(schedule, seconds, share=schedule.offer(seconds).share // 2), Money(0))
    assert schedule.maintenance < smaller.maintenance < fill.maintenance


def test_bids_outside_the_offer_are_refused() -> None:
    schedule = auction()
    share, price = schedule.offer(60).share, schedule.offer(60).price
    for wrong in (
        bid(schedule, 60, share=share + 1),
        bid(schedule, 60, share=0),
        bid(schedule, 60, share=-1),
        bid(schedule, 60, limit=price - 1),
        replace(bid(schedule, 60), seconds=-1),
    ):
        with pytest.raises(BidRefused):
            filled(schedule, wrong, Money(0))
    assert filled(schedule, bid(schedule, 60, limit=price + 1), Money(0)).paid == price


def test_whoever_takes_an_insolvent_account_is_paid_ever_more() -> None:
    schedule = auction(debt=20_500, terms={"insolvent_seconds": 1_000})
    assert schedule.is_insolvent
    offers = [schedule.offer(seconds) for seconds in (0, 500, 1_000, 2_000)]
    assert all(offer.share == ONE for offer in offers)
    assert [offer.price for offer in offers] == [-500 * PICO, -2_250 * PICO, -4_000 * PICO, -4_000 * PICO]
    fill = filled(schedule, bid(schedule, 500, share=WAD // 2, limit=-1_125 * PICO), Money(1_000 * PICO))
    assert (fill.paid, fill.payout.insured, fill.payout.socialised) == (0, 1_000 * PICO, 125 * PICO)
    with pytest.raises(BidRefused, match="not so much"):
        filled(schedule, bid(schedule, 500, limit=-2_251 * PICO), Money(0))
