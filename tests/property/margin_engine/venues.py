"""Portfolio files of the venues' models, as generated: ordinary ones, and the edges of every range."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.property.margin_engine.books import ASSETS, EDGES, ORDINARY, Ranges, decimals, held, signed

Draw = st.SearchStrategy[Any]
Markets = dict[str, Draw]
SECTIONS: dict[str, tuple[str, ...]] = {
    "dydx": ("perpetuals",),
    "drift": ("collateral", "debts", "perpetuals"),
    "mango": ("collateral", "debts", "perpetuals"),
    "synthetix": ("collateral", "debts", "perpetuals"),
}
SPOT = ("asset_initial", "asset_maintenance", "liability_initial", "liability_maintenance")
PERPETUAL = ("initial", "maintenance", "pnl_initial", "pnl_maintenance")
TOKEN = ("initial_asset", "initial_liability", "maintenance_asset", "maintenance_liability")


def of(required: dict[str, Draw], **optional: Draw) -> Draw:
    return st.fixed_dictionaries(required, optional=optional)


def markets(
    parts: Draw, weights: Draw, fine: Draw, imfs: Draw, fractions: Draw, dollars: Draw, scales: Draw
) -> dict[str, Markets]:
    """Each profile's parameters: parts are from 0 to 1; weights, fine ones and fractions may be larger."""
    spot = of(dict.fromkeys(SPOT, weights), imf=imfs, scale_start=st.one_of(dollars, st.just("0")))
    perpetual = of(dict.fromkeys(PERPETUAL, weights), imf=imfs, pnl_imf=imfs)
    overall = {"initial_overall": fine, "maintenance_overall": fine}
    starts = {"deposit_scale_start": dollars, "borrow_scale_start": dollars}
    token = of(dict.fromkeys(TOKEN, fine), **overall, **starts)
    interest = {"open_interest_lower": dollars, "open_interest_upper": st.one_of(dollars, st.just("0"))}
    tier = of({"initial": parts, "maintenance_fraction": parts}, **interest)
    market = of(
        {"skew_scale": scales, "initial_fraction": fractions, "least_initial": parts, "maintenance_scalar": parts},
        reward=parts,
        least_margin=dollars,
    )
    bounds = {"lower": st.sampled_from(["0", "0.000000000000000003", "0.1"]), "upper": st.sampled_from(["0.1", "1"])}
    collateral = of({}, skew_scale=scales, scalar=fractions, **bounds)
    return {
        "dydx": {"tiers": tier},
        "drift": {"spots": spot, "perpetuals": perpetual},
        "mango": {"tokens": token, "perpetuals": token},
        "synthetix": {"markets": market, "collaterals": collateral},
    }


_PARTS = st.one_of(st.sampled_from(["0", "1", "0.000001"]), decimals(1, 4), decimals(1, 6))
_WEIGHTS = decimals(2, 4)
_DOLLARS = decimals(10**5, 2, least=1)
_SCALES = st.one_of(decimals(1_000, 2, least=100), st.sampled_from(["7", "99.9983"]))
PLAIN = markets(_PARTS, _WEIGHTS, decimals(3, 4), decimals(1, 4), decimals(3, 3), _DOLLARS, _SCALES)
WILD = markets(
    st.one_of(_PARTS, decimals(1, 18)),
    st.one_of(_WEIGHTS, st.sampled_from(["100", "4.7", "0.00001"])),
    st.one_of(_WEIGHTS, decimals(100, 18), st.sampled_from(["100", "4.611686018427387904", "0.000000000000000001"])),
    st.one_of(decimals(1, 6), st.sampled_from(["0", "0.000001", "100"])),
    st.one_of(decimals(1_000, 18), st.sampled_from(["1000", "0.000000000000000001"])),
    st.one_of(_DOLLARS, st.sampled_from(["0.000001", "1000000000000000"])),
    st.one_of(_SCALES, decimals(10**15, 18, least=1), st.sampled_from(["0.000000000000000001", "1000000000000000"])),
)


def quotes(ranges: Ranges) -> Draw:
    prices, totals = ranges.prices, st.one_of(ranges.amounts, _DOLLARS)
    return of(
        {"price": prices, "decimals": ranges.decimals},
        stable_price=prices, twap=prices, open_interest=_DOLLARS, deposits=totals, borrows=totals,
        redemption=st.fixed_dictionaries({"asset": st.just("D"), "rate": st.just("1.17")}),
    )  # fmt: skip


@st.composite
def files(draw: st.DrawFn, profile: str, accounts: int = 3) -> dict[str, Any]:
    """A market, the profile's parameters, and accounts; now and then of an asset that the parameters do not name."""
    ranges, given = draw(st.sampled_from([(ORDINARY, PLAIN), (EDGES, PLAIN), (EDGES, WILD)]))
    names, amounts = st.sampled_from(ASSETS), ranges.amounts
    legs = {
        "collateral": held(names, amount=amounts),
        "debts": held(names, amount=amounts),
        "perpetuals": held(names, amount=signed(amounts), entry_price=ranges.prices, funding=signed(amounts)),
    }
    account = of({"cash": signed(amounts), **{section: legs[section] for section in SECTIONS[profile]}})
    market = {asset: draw(quotes(ranges)) for asset in ASSETS}
    market["D"] = {"price": draw(decimals(100_000, 8, least=1))}
    known = ASSETS[: draw(st.sampled_from([4, 4, 4, 3]))]
    return {
        "market": market,
        "parameters": {section: {asset: draw(each) for asset in known} for section, each in given[profile].items()},
        "accounts": [{"account": f"n{n}", **draw(account)} for n in range(draw(st.integers(0, accounts)))],
    }
