"""Any account of the profile `hypothec`, with its market, as the file has it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

ASSETS = ("BTC", "ETH", "SOL", "AVAX", "USDC", "DAI", "WSTETH", "FTT")
COINS = ("BTC", "ETH", "SOL", "AVAX")
PRICES = {"BTC": 60_000, "ETH": 3_000, "SOL": 150, "AVAX": 30, "USDC": 1, "DAI": 1, "WSTETH": 3_600, "FTT": 20}
SECONDS = (0, 3_600, 7 * 86_400, 200 * 86_400)
STATUSES = ("FRESH", "FRESH", "FRESH", "STALE", "FROZEN", "DISPUTED", "MISSING")


def decimals(low: float, high: float, places: int) -> st.SearchStrategy[float]:
    scale = 10**places
    return st.integers(int(low * scale), int(high * scale)).map(lambda number: number / scale)


@st.composite
def quotes(draw: st.DrawFn, asset: str, statuses: tuple[str, ...] = STATUSES) -> dict[str, Any]:
    price = PRICES[asset] * draw(decimals(0.2, 3, 3))
    vols = sorted(draw(st.lists(decimals(0, 2, 2), min_size=len(SECONDS), max_size=len(SECONDS))))  # they do not cross
    quote: dict[str, Any] = {
        "price": price,
        "low": price * draw(decimals(0.9, 1, 3)),
        "high": price * draw(decimals(1, 1.1, 3)),
        "status": draw(st.sampled_from(statuses)),
        "age": draw(st.sampled_from((0, 30, 200, 4_000, 100_000))) if len(set(statuses)) > 1 else 0,
        "vol_spread": draw(decimals(0, 0.2, 2)),
        "expiries": [
            {
                "seconds": each,
                "forward": price * draw(decimals(0.9, 1.1, 3)),
                "rate": 0.03,
                "vol": vol,
            }
            for each, vol in zip(sorted(SECONDS), vols, strict=True)
        ],
    }
    if draw(st.booleans()):
        quote["depth"] = draw(st.sampled_from((0, 1_000, 100_000, 1e8)))
    if draw(st.booleans()):
        quote["vol"] = draw(decimals(0, 3, 2))
    if asset == "WSTETH":
        quote["redemption"] = {"asset": "ETH", "rate": 1.2}
    return quote


@st.composite
def markets(draw: st.DrawFn, statuses: tuple[str, ...] = STATUSES) -> dict[str, Any]:
    return {asset: draw(quotes(asset, statuses)) for asset in ASSETS}


def _unique(items: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    return list({tuple(each.get(key) for key in keys): each for each in items}.values())


@st.composite
def accounts(draw: st.DrawFn, largest: float = 100) -> dict[str, Any]:
    amounts, signed = decimals(0, largest, 4), decimals(-largest, largest, 4)
    venues = {
        name: {
            "limit": draw(decimals(0, 20_000, 1)),
            "cash": draw(decimals(-500, 500, 2)),
            "seized": draw(decimals(0, 50, 0)),
        }
        for name in draw(st.sets(st.sampled_from(("dex", "ftx"))))
    }
    at = st.sampled_from(("", *sorted(venues)))
    linear = {"asset": st.sampled_from(COINS), "amount": signed, "entry_price": decimals(1, 50_000, 2), "venue": at}
    seconds = st.sampled_from(SECONDS)
    return {
        "cash": draw(decimals(-20_000, 100_000, 3)),
        "collateral": _unique(
            draw(
                st.lists(
                    st.fixed_dictionaries(
                        {
                            "asset": st.sampled_from(ASSETS),
                            "amount": amounts,
                            "assurance": st.sampled_from(("PROVEN", "ATTESTED", "REPORTED")),
                            "finality": st.sampled_from(("FINAL", "SAFE", "PENDING")),
                            "chain": st.sampled_from(("LIVE", "LIVE", "HALTED")),
                        }
                    ),
                    max_size=4,
                )
            ),
            "asset", "assurance", "finality", "chain",
        ),
        "debts": _unique(
            draw(st.lists(st.fixed_dictionaries({"asset": st.sampled_from(ASSETS), "amount": amounts}), max_size=2)),
            "asset",
        ),
        "venues": venues,
        "perpetuals": _unique(draw(st.lists(st.fixed_dictionaries(linear), max_size=3)), "asset", "venue"),
        "futures": _unique(
            draw(st.lists(st.fixed_dictionaries({**linear, "seconds": seconds}), max_size=2)),
            "asset", "venue", "seconds",
        ),
        "options": _unique(
            draw(
                st.lists(
                    st.fixed_dictionaries(
                        {
                            "asset": st.sampled_from(COINS),
                            "seconds": seconds,
                            "strike": st.sampled_from((30, 150, 3_000, 60_000)),
                            "call": st.booleans(),
                            "amount": signed,
                            "venue": at,
                        }
                    ),
                    max_size=4,
                )
            ),
            "asset", "seconds", "strike", "call", "venue",
        ),
    }  # fmt: skip
