"""Portfolio files of linear accounts, as generated: ordinary ones, and the edges of every range."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

ASSETS = ("A", "B", "C", "D")
CATEGORIES = ("", "blue", "red")


def decimals(largest: int, digits: int, *, least: int = 0) -> st.SearchStrategy[str]:
    """Decimal text between `least` units of the last digit and `largest`."""
    return st.integers(least, largest * 10**digits).map(lambda units: f"{Decimal(units).scaleb(-digits):f}")


@dataclass(frozen=True)
class Ranges:
    """Where numbers are drawn from."""

    prices: st.SearchStrategy[str]
    amounts: st.SearchStrategy[str]
    factors: st.SearchStrategy[str]
    decimals: st.SearchStrategy[int]


ORDINARY = Ranges(
    st.one_of(decimals(3_000, 8, least=1), decimals(100, 2, least=1), st.sampled_from(["1", "0.00000001"])),
    st.one_of(decimals(100, 6), decimals(10, 9), decimals(50, 18), st.sampled_from(["0", "0.000000001"])),
    st.one_of(st.sampled_from(["0", "1"]), decimals(1, 4)),
    st.just(9),
)
EDGES = Ranges(
    st.one_of(
        ORDINARY.prices,
        decimals(10**15, 18, least=1),
        st.sampled_from(["0.000000000000000001", "1000000000000000", "999999999999999.999999999999999999"]),
    ),
    st.one_of(
        ORDINARY.amounts,
        decimals(10**15, 18),
        st.sampled_from(["4611686018.427387903", "4611686018.427387904", "0.000000000000000001"]),
    ),
    st.one_of(ORDINARY.factors, decimals(1, 18)),
    st.sampled_from([0, 6, 9, 18]),
)


def signed(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.sampled_from(["", "-"]), numbers).map("".join)


def levels(names: tuple[str, ...], factors: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(dict.fromkeys(names, factors))


def held(assets: st.SearchStrategy[str], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    each = st.fixed_dictionaries({"asset": assets, **more})
    return st.lists(each, max_size=4, unique_by=lambda leg: leg["asset"])


@st.composite
def files(draw: st.DrawFn, thresholds: tuple[str, ...], sections: tuple[str, ...], accounts: int = 3) -> dict[str, Any]:
    """A market, parameters of any linear profile, and accounts; now and then of an asset without a factor."""
    ranges = draw(st.sampled_from([ORDINARY, EDGES]))
    names, amounts, prices = st.sampled_from(ASSETS), ranges.amounts, ranges.prices
    legs = {
        "collateral": held(names, amount=amounts),
        "debts": held(names, amount=amounts),
        "perpetuals": held(names, amount=signed(amounts), entry_price=prices, funding=signed(amounts)),
        "futures": held(names, amount=signed(amounts), entry_price=prices, seconds=st.just(60)),
    }
    account = st.fixed_dictionaries(
        {"category": st.sampled_from(CATEGORIES), "cash": signed(amounts)}
        | {section: legs[section] for section in sections}
    )
    quote = st.fixed_dictionaries(
        {"price": prices, "decimals": ranges.decimals},
        optional={"redemption": st.fixed_dictionaries({"asset": st.just("D"), "rate": st.just("1.17")})},
    ).map(lambda fields: fields | {"expiries": [{"seconds": 60, "forward": fields["price"]}]})
    factored = st.fixed_dictionaries(
        {"category": st.sampled_from(CATEGORIES)} | dict.fromkeys(thresholds, ranges.factors)
    )
    margins = levels(thresholds, ranges.factors)
    market = {asset: draw(quote) for asset in ASSETS}
    market["D"] = {"price": draw(decimals(100_000, 8, least=1)), "expiries": [{"seconds": 60, "forward": "1.5"}]}
    return {
        "market": market,
        "parameters": {
            "assets": {asset: draw(factored) for asset in ASSETS[: draw(st.integers(3, 4))]},
            "categories": {category: draw(levels(thresholds, ranges.factors)) for category in CATEGORIES[1:]},
            **({"perpetuals": {asset: draw(margins) for asset in ASSETS}} if "perpetuals" in sections else {}),
        },
        "accounts": [{"account": f"n{n}", **draw(account)} for n in range(draw(st.integers(0, accounts)))],
    }
