"""Accounts with options as generated, what the rules say of them, and what an engine says in the same form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st

from node.margin.engine.portfolio import integers
from node.margin.engine.scanning.scan import Margins
from node.margin.models.book import Book, read_book
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.profile import Profile

Figures: TypeAlias = tuple[int, int, int] | str
"""Equity and both requirements of an account, or what is wrong with it."""
DAY = 86_400
YEAR = 365 * DAY
NO_PRICE = 90 * YEAR
"""An expiry whose discount is infinite."""
EXPIRIES = (0, DAY, 30 * DAY, NO_PRICE)
PRICES: dict[str, float | str] = {"BTC": 60_000, "ETH": 3_000, "SOL": "0.000123", "XAU": 2_000}


def market(vol: float) -> dict[str, Any]:
    def expiry(price: float, seconds: int) -> dict[str, Any]:
        rate = -10 if seconds == NO_PRICE else 0.05
        forward = price * (1 + seconds / YEAR / 50)
        half = vol * vol * seconds / YEAR / 2  # below the flat ones in variance, as expiries may not cross
        surface = {"svi": [half, half, -0.3, 0.05, 0.2, forward, seconds / YEAR]} if seconds == DAY else {"vol": vol}
        return {"seconds": seconds, "forward": str(forward), "rate": rate, **surface}

    return {
        asset: {"price": price, "expiries": [expiry(float(price), seconds) for seconds in EXPIRIES]}
        for asset, price in PRICES.items()
    }


hundredths = st.integers(-500_000, 500_000).map(lambda n: f"{n}e-2")
amounts = st.one_of(
    hundredths,
    st.integers(-30, 30).map(str),
    st.sampled_from(["1e-18", "-1e-18", "19999999", "-2e7", "1e9", "-123.456789012345678", "0.000001", "-1e-9"]),
)
moneyness = st.sampled_from(["0.5", "0.9", "1", "1.1", "3"])


@st.composite
def accounts(draw: st.DrawFn, balances: Sequence[str] = (), *, futures_too: bool = True) -> dict[str, Any]:
    """Options and what is linear on some underlyings, and collateral and debts in some of the `balances`."""
    assets = draw(st.lists(st.sampled_from([*PRICES]), min_size=1, max_size=3, unique=True))
    amount = draw(st.sampled_from([hundredths, hundredths, amounts]))
    options: dict[object, Any] = {}
    perpetuals: dict[object, Any] = {}
    futures: dict[object, Any] = {}
    for asset in assets:
        price = float(PRICES[asset])
        for _ in range(draw(st.integers(0, 3))):
            seconds = draw(st.sampled_from(EXPIRIES[:3] if draw(st.integers(0, 9)) else EXPIRIES))
            option = {"asset": asset, "seconds": seconds, "strike": str(float(draw(moneyness)) * price)}
            option |= {"call": draw(st.booleans()), "amount": draw(amount)}
            options[seconds, option["strike"], option["call"], asset] = option
        if draw(st.booleans()):
            entry = draw(st.sampled_from([price, price / 3, 2 * price]))
            perpetuals[asset] = {"asset": asset, "amount": draw(amount), "entry_price": str(entry), "funding": "-0.5"}
        if futures_too and not draw(st.integers(0, 4)):
            futures[asset] = {"asset": asset, "seconds": DAY, "amount": draw(amount)}
    cash = draw(st.sampled_from([0, "-1234.5", "1e6", "1e15", "-1e15"]))
    sections = {"options": options, "perpetuals": perpetuals, "futures": futures}
    held = {name: list(each.values()) for name, each in sections.items() if each}
    for section in ("collateral", "debts") if balances else ():
        names = draw(st.lists(st.sampled_from(balances), max_size=2, unique=True))
        held[section] = [{"asset": name, "amount": draw(amount).lstrip("-")} for name in names]
    return {"cash": cash, **held}


def read_all(contents: Sequence[object], market: Mapping[str, Any]) -> list[Book]:
    return [read_book(content, str(place), Fields(market, "")) for place, content in enumerate(contents)]


def by_profile(
    profile: Profile, content: object, place: int, market: Mapping[str, Any], given: Mapping[str, Any]
) -> Figures:
    try:
        found = profile.evaluate(content, str(place), Fields(market, ""), Fields(given, ""))
    except PortfolioError as error:
        return str(error)
    initial, maintenance = found.levels
    assert maintenance.equity == initial.equity
    return maintenance.equity, initial.requirement, maintenance.requirement


def figures(found: Margins) -> list[Figures]:
    numbers = zip(*(integers(each) for each in (found.equity, found.initial, found.maintenance)), strict=True)
    return [
        str(found.errors[place]) if place in found.errors else (int(equity), int(initial), int(maintenance))
        for place, (equity, initial, maintenance) in enumerate(numbers)
    ]
