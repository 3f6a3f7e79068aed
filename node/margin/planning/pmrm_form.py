"""Accounts in the format of the published files of derive-pm2 (PMRM_2).

Cash is in the stable coin, so what collateral is worth is its price over the coin's. A perpetual has no entry price but
an unrealised profit, which gives one. Options are worth the model's own marks. The files name no underlying: it is
`spot`. Such an account has no debts (negative cash is one) and no futures. Must not know what a change is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import cast

from node.margin.models.derive_pm2.marks import UNMOVED, ExpiryMarks
from node.margin.models.derive_pm2.portfolio import Portfolio
from node.margin.models.derive_pm2.vectors import read_vector
from node.margin.models.errors import UnsupportedInstrument
from node.margin.models.fields import Fields
from node.margin.models.fixed import WAD, Money, Wad, as_float
from node.margin.models.market import Quotes
from node.margin.planning.account import (
    WADS_OF_MONEY,
    Account,
    Change,
    Holding,
    Kind,
    Parts,
    cash_holding,
    money_text,
    text,
)

SPOT = "spot"
"""What the one underlying of such a portfolio is called: the files do not name it."""
_PERPETUAL = "perpetual"


class PmrmForm:
    """The format of PMRM_2 files."""

    def read(self, fields: Fields, market: Quotes) -> Parts:
        """What the account holds. Raises PortfolioError."""
        portfolio, parameters = read_vector(fields.content, fields.account)
        held = [*_collateral(portfolio), *_perpetual(portfolio)]
        for expiry in portfolio.expiries:
            prices = ExpiryMarks.of(fields.account, expiry, parameters).marks([UNMOVED])[0]
            for option, place, price in zip(expiry.options, expiry.order, prices, strict=True):
                if option.amount:
                    item = {"seconds": expiry.seconds, "strike": text(option.strike), "call": option.is_call}
                    name = option_name(expiry.seconds, option.strike, place, is_call=option.is_call)
                    worth = Wad(price * WADS_OF_MONEY)
                    held.append(spot_holding(Kind.OPTION, name, option.amount, worth, portfolio.spot, item))
        return portfolio.cash, {each.name: each for each in held}, (), {}

    def written(self, account: Account, change: Change) -> dict[str, object]:
        """The account's part of the file after a change; what it expects of the account as it was is gone."""
        scenario = Fields.of(account.content, account.name).section("Scenario").content
        left = {name: held.amount + change.amounts.get(name, 0) for name, held in account.holdings.items()}
        written = {**scenario, "Cash": money_text(account.cash + change.cash)}
        written["Collaterals"] = [
            _with_amount(each, left.get(f"collateral {each['Name']}", 0)) for each in _items(scenario, "Collaterals")
        ]
        by_place = {place_of(name): amount for name, amount in left.items() if name.startswith("option ")}
        same = {place_of(name) for name in left if name.startswith("option ") and not change.amounts.get(name)}
        written["Options"] = [
            each if place in same else _with_amount(each, by_place.get(place, 0))
            for place, each in enumerate(_items(scenario, "Options"))
        ]
        perpetual = account.holdings.get(_PERPETUAL)
        if perpetual is None:
            written["NumPerps"] = "0"
        elif left[_PERPETUAL] != perpetual.amount:
            written["NumPerps"] = text(left[_PERPETUAL])
            written["UnrealisedFunding"] = money_text(perpetual.funding + change.funding.get(_PERPETUAL, 0))
            unrealised = replace(perpetual, amount=Wad(left[_PERPETUAL]), funding=Money(0)).worth
            written["UnrealisedPerpPNL"] = money_text(unrealised)
        content = {name: each for name, each in account.content.items() if name != "Result"}
        return {**content, "Scenario": written}

    def added(self, content: Mapping[str, object], kind: Kind, item: Fields) -> dict[str, object]:
        """The account's part of the file with one thing more, in the words of a proposal. Raises PortfolioError."""
        scenario = Fields.of(content, item.account).section("Scenario")
        added = dict(scenario.content)
        if kind not in {Kind.OPTION, Kind.PERPETUAL}:
            raise refused(kind, item)
        only_spot(item)
        if kind is Kind.OPTION:
            of = {"Strike": item.content.get("strike"), "Expiry": item.whole("seconds"), "IsCall": item.flag("call")}
            added["Options"] = [*_items(scenario.content, "Options"), {**of, "Amount": text(item.number("amount"))}]
        else:
            amount, price = item.number("amount"), scenario.positive("PerpPrice")
            entry = item.number("entry_price", low=0) if item.has("entry_price") else price
            added["NumPerps"], added["UnrealisedFunding"] = text(amount), money_text(item.money("funding", default=0))
            added["UnrealisedPerpPNL"] = money_text(amount * (price - entry) // (WAD * WADS_OF_MONEY))
        return {**content, "Scenario": added}


def refused(kind: Kind, item: Fields) -> UnsupportedInstrument:
    """An error, to be raised: the files say neither price nor haircut of what they do not hold."""
    return UnsupportedInstrument(
        "the format has no place for it: it holds a perpetual, options and what collateral it already lists",
        account=item.account,
        instrument=item.text("asset"),
        field=kind.value,
    )


def only_spot(item: Fields) -> None:
    """Raises PortfolioError for what is not on the one underlying."""
    if item.text("asset", SPOT) != SPOT:
        raise item.wrong(f"the format has one underlying, without a name: call it {SPOT}", "asset")


def option_name(seconds: int, strike: Wad, place: int, *, is_call: bool) -> str:
    """An option by its expiry, strike, type and place in the file."""
    return f"option {seconds}-{as_float(strike):g}-{'C' if is_call else 'P'} {place}"


@lru_cache(maxsize=1 << 12)
def place_of(name: str) -> int:
    """The place in an option's name."""
    return int(name.rsplit(" ", 1)[1])


def _items(scenario: Mapping[str, object], section: str) -> list[Mapping[str, object]]:
    return cast("list[Mapping[str, object]]", scenario.get(section) or [])


def _with_amount(item: Mapping[str, object], amount: int) -> Mapping[str, object]:
    """The item with an amount; itself where that is what it has, so that it need not be read again."""
    had = Fields(item, "").number("Amount")
    return item if had == amount else {**item, "Amount": text(amount)}


def spot_holding(
    kind: Kind, name: str, amount: Wad, price: Wad, spot: Wad, item: Mapping[str, object] | None = None
) -> Holding:
    """At no chain and no venue: the format has none."""
    like = cash_holding(Money(0))
    return replace(like, name=name, kind=kind, asset=SPOT, amount=amount, price=price, spot=spot, item=item or {})


def _collateral(portfolio: Portfolio) -> Iterator[Holding]:
    for each in portfolio.collaterals:
        price = Wad(each.price * WAD // portfolio.stable)
        held = spot_holding(Kind.COLLATERAL, f"collateral {each.name}", each.amount, price, price)
        yield replace(held, asset=each.name)


def _perpetual(portfolio: Portfolio) -> Iterator[Holding]:
    """With the entry price that its profit implies, rounded against the account."""
    if (each := portfolio.perpetual) is None:
        return
    profit = each.pnl * WADS_OF_MONEY * WAD
    entry = Wad(each.price - (profit // each.amount if each.amount > 0 else -(profit // -each.amount)))
    held = spot_holding(Kind.PERPETUAL, _PERPETUAL, each.amount, each.price, portfolio.spot)
    yield replace(held, entry=entry, funding=each.funding, item={"funding": money_text(each.funding)})
