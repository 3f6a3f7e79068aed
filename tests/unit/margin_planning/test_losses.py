"""Who bears a loss: the fund, then counterparties by rank, then everybody, and nothing is created or lost."""

from __future__ import annotations

import pytest

from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.planning.account import Instrument, Kind
from node.margin.planning.losses import Deleveraging, Exposure, Settlement, Share, ranked, settle
from node.margin.planning.terms import Counterparty, CounterPosition

PRICES = {"ETH": Wad(2_000 * WAD), "BTC": Wad(50_000 * WAD)}


def on(asset: str) -> Instrument:
    return Instrument(Kind.PERPETUAL, asset)


def opened(signed: dict[str, int]) -> dict[Instrument, Exposure]:
    return {on(asset): Exposure(amount * WAD, PRICES[asset], PRICES[asset]) for asset, amount in signed.items()}


def usd(amount: int) -> Money:
    return Money(amount * PICO)


def other(account: str, equity: int, *positions: tuple[str, int, int]) -> Counterparty:
    held = tuple(CounterPosition(on(asset), Wad(amount * WAD), Wad(entry * WAD)) for asset, amount, entry in positions)
    return Counterparty(account, usd(equity), held)


def borne(loss: int, fund: int, others: list[Counterparty], exposure: dict[str, int] | None = None) -> Settlement:
    return settle(usd(loss), usd(fund), opened(exposure or {"ETH": 10}), others)


def closed(account: str, asset: str, amount: int, paid: int, score: int) -> Deleveraging:
    return Deleveraging(account, on(asset), Wad(amount * WAD), usd(paid), score)


def test_the_fund_pays_first() -> None:
    result = borne(100, 150, [other("a", 1_000, ("ETH", -10, 2_500))])
    assert (result.insured, result.deleveraged, result.socialised, result.uncovered) == (usd(100), (), (), 0)


def test_then_the_most_profitable_and_leveraged_opposite_position_pays() -> None:
    others = [
        other("calm", 100_000, ("ETH", -4, 2_500)),
        other("wild", 1_000, ("ETH", -4, 2_500)),
        other("beside", 10, ("ETH", 4, 1_000)),  # it is not opposite
        other("losing", 10, ("ETH", -4, 1_900)),
    ]
    result = borne(1_300, 300, others)
    assert result.insured == usd(300)
    assert result.deleveraged == (closed("wild", "ETH", 2, 1_000, usd(2_000) * usd(8_000) // usd(3_000)),)
    assert (result.socialised, result.uncovered) == ((), 0)


def test_no_more_of_a_position_is_closed_than_the_account_had() -> None:
    others = [other("wild", 1_000, ("ETH", -40, 2_500)), other("calm", 9_000, ("ETH", -40, 2_500))]
    result = borne(6_000, 0, others)
    assert result.deleveraged == (closed("wild", "ETH", 10, 5_000, usd(20_000) * usd(80_000) // usd(21_000)),)
    assert result.socialised == (Share("calm", usd(900)), Share("wild", usd(100)))


def test_what_is_left_is_socialised_pro_rata_and_then_said() -> None:
    others = [other("b", 100), other("a", 300), other("none", 0)]
    assert borne(40, 0, others).socialised == (Share("a", usd(30)), Share("b", usd(10)))
    beyond = borne(1_000, 50, others)
    assert beyond.socialised == (Share("a", usd(300)), Share("b", usd(100)))
    assert beyond.uncovered == usd(550)
    assert borne(7, 0, []).uncovered == usd(7)


def test_ranks_do_not_depend_on_the_order_of_the_list() -> None:
    others = [other(name, 1_000, ("ETH", -1, 2_500), ("BTC", 1, 40_000)) for name in ("c", "a", "b")]
    exposure = opened({"ETH": 5, "BTC": -5})
    first = [(each.account, each.instrument.asset) for each in ranked(exposure, others)]
    assert first == [("a", "BTC"), ("b", "BTC"), ("c", "BTC"), ("a", "ETH"), ("b", "ETH"), ("c", "ETH")]
    assert first == [(each.account, each.instrument.asset) for each in ranked(exposure, others[::-1])]


@pytest.mark.parametrize("loss", [1, 3, 999, 10_001])
def test_the_parts_add_up(loss: int) -> None:
    others = [other("a", 7, ("ETH", -3, 2_001)), other("b", 11), other("c", 13, ("ETH", -1, 2_003))]
    result = borne(loss, 2, others)
    parts = [result.insured, result.uncovered, *(each.paid for each in result.deleveraged)]
    assert sum(parts) + sum(each.paid for each in result.socialised) == usd(loss)
