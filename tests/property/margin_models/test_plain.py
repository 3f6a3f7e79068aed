"""Each model against a second, plain reading of its protocol's formulas, over generated accounts and markets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import PICO
from node.margin.models.profiles import PROFILES, evaluate_file
from tests.property.margin_models import files, plain

DAY = plain.DAY
COINS = {"ETH": 2_000, "BTC": 50_000, "SOL": 100}
SECTIONS = {
    "ltv": "collateral debts", "compound": "collateral debts", "dydx": "perpetuals",
    "drift": "collateral debts perpetuals", "mango": "collateral debts perpetuals",
    "synthetix": "collateral debts perpetuals", "derive-sm": "collateral debts perpetuals options",
    "span": "perpetuals futures options", "deribit-like": files.ALL, "paradex-like": files.ALL,
}  # fmt: skip


def hundredths(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 100), round(high * 100)).map(lambda number: number / 100)


@st.composite
def markets(draw: st.DrawFn) -> dict[str, Any]:
    """Prices of each kind, and expiries whose flat volatilities do not cross."""
    market: dict[str, Any] = {}
    for name, usual in {**COINS, "USDC": 1}.items():
        price = usual * draw(hundredths(0.8, 1.2))
        vols = sorted(draw(st.lists(hundredths(0.3, 1.4), min_size=3, max_size=3)))
        market[name] = {
            "price": price,
            **{kind: price * draw(hundredths(0.9, 1.1)) for kind in ("stable_price", "twap")},
            "confidence": draw(hundredths(0.9, 1)),
            "open_interest": draw(st.integers(0, 2 * 10**7)),
            "deposits": draw(st.integers(0, 10**6)) / usual,
            "borrows": draw(st.integers(0, 10**6)) / usual,
            "expiries": [
                {
                    "seconds": days * DAY, "forward": price * draw(hundredths(0.97, 1.03)), "vol": vol,
                    "rate": draw(hundredths(-0.05, 0.2)), "confidence": draw(hundredths(0.9, 1)),
                }
                for days, vol in zip((1, 30, 200), vols, strict=True)
            ],
        }  # fmt: skip
    return market


@st.composite
def accounts(draw: st.DrawFn, sections: str, market: dict[str, Any]) -> dict[str, Any]:
    amounts = st.one_of(hundredths(-5, 5), hundredths(-500, 500)).filter(bool)
    coins = st.sampled_from(sorted(COINS))
    entries = hundredths(0.8, 1.2)

    def held(names: list[str], **more: st.SearchStrategy[Any]) -> list[dict[str, Any]]:
        return [
            {"asset": name, **{key: draw(each) for key, each in more.items()}}
            for name in draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
        ]

    account: dict[str, Any] = {
        "cash": draw(hundredths(-5_000, 20_000)),
        "category": draw(st.sampled_from(["", "like"])),
    }
    for section in sections.split():
        if section in {"collateral", "debts"}:
            account[section] = held([*COINS, "USDC"], amount=amounts.map(abs))
        elif section == "options":
            keys = draw(st.lists(
                st.tuples(coins, st.sampled_from([1, 30, 200]), hundredths(0.5, 2), st.booleans()),
                max_size=5, unique=True,
            ))  # fmt: skip
            account[section] = [
                {
                    "asset": name,
                    "seconds": days * DAY,
                    "strike": market[name]["price"] * strike,
                    "call": call,
                    "amount": draw(amounts),
                }
                for name, days, strike, call in keys
            ]
        else:
            funding = {"funding": hundredths(-50, 50)} if section == "perpetuals" else {"seconds": st.just(30 * DAY)}
            account[section] = held([*COINS], amount=amounts, entry_price=entries, **funding)
            for row in account[section]:
                row["entry_price"] *= market[row["asset"]]["price"]
    return account


def rules(profile: str) -> dict[str, Any]:
    found: dict[str, Any] = {} if profile.endswith("-like") else files.FILES[profile]["parameters"]
    if profile == "drift":  # so that sizes matter
        found = {"spots": {"ETH": {**files.SPOT, "imf": 0.02}}, "perpetuals": {"ETH": {**files.PERP, "pnl_imf": 0.05}}}
    return {
        section: dict.fromkeys([*COINS, "USDC"], given["ETH"]) if isinstance(given, dict) and "ETH" in given else given
        for section, given in found.items()
    }


@pytest.mark.parametrize("profile", SECTIONS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_generated_accounts(profile: str, data: st.DataObject) -> None:
    market = data.draw(markets())
    file = {"market": market, "parameters": rules(profile), **data.draw(accounts(SECTIONS[profile], market))}
    [found] = evaluate_file(PROFILES[profile], file, "alice")
    assert not isinstance(found, PortfolioError)
    wanted = plain.MODELS[profile](plain.Account(file))
    assert len(found.levels) == len(wanted)
    for level, excess in zip(found.levels, wanted, strict=True):
        scale = (abs(level.equity) + abs(level.requirement)) / PICO + sum(
            abs(row["amount"]) for row in file.get("options", ())
        ) * 1e5
        assert abs(level.excess / PICO - excess) <= 1e-5 + 1e-10 * scale
