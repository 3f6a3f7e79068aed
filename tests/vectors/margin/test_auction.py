"""Derive's liquidation tests: eight auctions, their bids one after the other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.margin.models import auction
from node.margin.models.auction import FastSlowCurve
from node.margin.models.fixed import PICO, WAD, Money, Wad
from tests.shared import shared

CASES: dict[str, Any] = json.loads(shared("vectors/margin/derive-other/liquidation__liquidationTests.json").read_text())
BUFFER = Wad(2 * WAD // 10)
CURVE = FastSlowCurve(Wad(98 * WAD // 100), Wad(80 * WAD // 100), 100, 14_400)
"""The test's set-up, as its code has it: 0.98 to 0.8 in 100 seconds, to nothing in four hours."""
INSOLVENT_SECONDS = 100


def money(row: dict[str, int], name: str) -> Money:
    return Money(row[name] * PICO // WAD)


def close(got: int, row: dict[str, int], name: str, scale: int = PICO) -> bool:
    wanted = row[name] / WAD
    return abs(got / scale - wanted) <= 1e-10 * max(abs(wanted), 1.0)


@pytest.mark.parametrize("name", sorted(name for name in CASES if not name.startswith("Insolvent")))
def test_solvent_auctions(name: str) -> None:
    reserved, sold = Money(0), Wad(0)
    for action in CASES[name]["Actions"]:
        row = action["Results"]
        mark, maintenance = money(row, "PreMtM"), money(row, "PreMM")
        discount = CURVE.at(action["Time"] - CASES[name]["StartTime"])
        buffered = auction.buffer_margin(maintenance, mark, BUFFER)
        most = auction.largest_share(buffered, mark, reserved, discount)
        assert not auction.is_insolvent(mark)
        assert close(buffered, row, "PreBM")
        assert close(most, row, "PreFMax", WAD)

        share = Wad(min(most, action["Liquidator"]["PercentWant"]))
        paid = auction.bid_price(mark, reserved, discount, share)
        assert close(share, row, "fLiquidatedOfOriginal", WAD)  # it says "of original", and means what is left
        # In one case the file gives here, too, the share of what is left.
        final = share if name == "Test4" else auction.share_of_original(share, sold)
        assert close(final, row, "FinalPercentageReceived", WAD)
        assert close(paid, row, "ExpectedBidPrice")

        assert close(auction.after_bid(mark, reserved, share, paid), row, "PostMtM")
        assert close(auction.after_bid(maintenance, reserved, share, paid), row, "PostMM")
        after, left = (auction.after_bid(each, reserved, share, paid) for each in (buffered, mark))
        assert close(after, row, "PostBM")
        reserved, sold = Money(reserved + paid), Wad(sold + auction.share_of_original(share, sold))
        rest = auction.largest_share(after, left, reserved, discount)
        assert close(rest, row, "PostFMax", WAD)


@pytest.mark.parametrize("name", sorted(name for name in CASES if name.startswith("Insolvent")))
def test_insolvent_auctions(name: str) -> None:
    sold = Wad(0)
    for action in CASES[name]["Actions"]:
        row = action["Results"]
        mark, maintenance = money(row, "PreMtM"), money(row, "PreMM")
        assert auction.is_insolvent(mark)
        assert close(auction.buffer_margin(maintenance, mark, BUFFER), row, "PreBM")

        # This version's line ran from nothing to a bound fixed at the start.
        price = auction.insolvent_price(
            Money(0), money(row, "Lowerbound"), action["Time"] - CASES[name]["StartTime"], INSOLVENT_SECONDS
        )
        wanted = Wad(action["Liquidator"]["PercentWant"])
        assert close(-auction.insolvent_payout(price, wanted), row, "SMPayout")

        share = auction.share_of_rest(wanted, sold)
        assert close(auction.after_bid(mark, Money(0), share, Money(0)), row, "PostMtM")
        assert close(auction.after_bid(maintenance, Money(0), share, Money(0)), row, "PostMM")
        sold = Wad(sold + wanted)


def test_the_file_has_thirteen_bids() -> None:
    assert (len(CASES), sum(len(case["Actions"]) for case in CASES.values())) == (8, 13)
