from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.evm.contracts import artifact
from chains.prices.aggregator import HIGHEST_PRICE, LATEST_SLOT, BadQuote, quote
from chains.types import Address, Assurance, ChainId, Cut, FeedRecipe, Hash32, Height, UnixSeconds

NOW = 1_700_000_000
CUT = Cut(ChainId(1), Height(5), Hash32(b"\x01" * 32), UnixSeconds(NOW))


def feed(decimals: int = 8) -> FeedRecipe:
    return FeedRecipe("feed", "ETH", Address(bytes(20)), decimals, Hash32(bytes(32)))


def word(answer: int, updated_at: int = NOW - 1, round_id: int = 1) -> int:
    return round_id << 192 | updated_at << 128 | answer % (1 << 128)


def test_the_layout_is_the_contracts() -> None:
    (latest,) = (variable for variable in artifact("PriceFeed").storage if variable.slot == LATEST_SLOT)
    fields = {member.label: (member.slot, 8 * member.offset, 8 * member.size) for member in latest.members}
    assert fields == {"answer": (0, 0, 128), "updatedAt": (0, 128, 64), "roundId": (0, 192, 64)}


@given(st.integers(1, 10**20), st.integers(0, 18), st.integers(0, NOW))
def test_a_price_is_scaled_to_pico_dollars_rounding_down(answer: int, decimals: int, updated_at: int) -> None:
    exact = answer * 10**12 // 10**decimals
    if not 0 < exact <= HIGHEST_PRICE:
        with pytest.raises(BadQuote):
            quote(feed(decimals), word(answer, updated_at), CUT, Assurance.ATTESTED)
        return
    found = quote(feed(decimals), word(answer, updated_at), CUT, Assurance.ATTESTED)
    assert (found.price, found.published_at, found.cut, found.source) == (exact, updated_at, CUT, "feed")
    assert found.assurance is Assurance.ATTESTED


def test_two_thousand_dollars() -> None:
    assert quote(feed(), word(2000 * 10**8), CUT, Assurance.PROVEN).price == 2000 * 10**12


@pytest.mark.parametrize(
    "bad",
    [
        0,
        word(0),
        word(-1),
        word(-(1 << 127)),
        word((1 << 127) - 1),
        word(2000 * 10**8, updated_at=NOW + 1),
        word(2000 * 10**8, updated_at=(1 << 64) - 1),
        word(2000 * 10**8, round_id=0),
    ],
    ids=["empty", "zero", "negative", "lowest", "absurd", "future", "far future", "no round"],
)
def test_what_is_no_price_is_refused(bad: int) -> None:
    with pytest.raises(BadQuote) as caught:
        quote(feed(), bad, CUT, Assurance.ATTESTED)
    assert caught.value.reason == "BAD_QUOTE"
    assert caught.value.values["source"] == "feed"


def test_a_price_below_the_unit_is_refused_and_not_zero() -> None:
    with pytest.raises(BadQuote):
        quote(feed(18), word(1), CUT, Assurance.ATTESTED)
