"""A network whose policy judges accounts by the profile `hypothec`."""

from __future__ import annotations

from node.model.frame import PriceStatus
from tests import kit
from tests.kit import USD
from tests.unit.outcome.chain import Chain


def test_an_index_of_volatility_is_agreed_like_a_price() -> None:
    chain = Chain(kit.hypothec_policy())
    chain.world.set_vol(5_000, spread=100)
    index = chain.round().frame.prices["ETH-VOL"]
    assert (index.status, index.low, index.high) == (PriceStatus.FRESH, USD // 2, USD * 51 // 100)
    chain.world.set_vol(5_000, spread=1_000)
    assert chain.round().frame.prices["ETH-VOL"].status is PriceStatus.DISPUTED
    chain.world.vols.pop("vol-1")
    assert chain.round().frame.prices["ETH-VOL"].status is PriceStatus.STALE
    assert set(chain.state.frame.prices) == {"ETH", "ETH-VOL"}
