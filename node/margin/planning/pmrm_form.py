"""Accounts in the format of the published PMRM_2 files: node/margin/models/derive_pm2/vectors.py reads it.

Cash is in the stable coin, so what collateral is worth is its price over the coin's. A perpetual has no entry price but
an unrealised profit, which gives one. Options are worth the model's own marks. Must not know what a change is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

from node.margin.models.derive_pm2.marks import UNMOVED, ExpiryMarks
from node.margin.models.derive_pm2.portfolio import Portfolio
from node.margin.models.derive_pm2.vectors import read_vector
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
    """The format of PMRM_2 files. Such an account has no debts: negative cash is one."""

    def read(self, fields: Fields, market: Quotes) -> Parts:
        """What the account holds. Raises PortfolioError."""
        portfolio, parameters = read_vector(fields.content, fields.account)
        held = [*_collateral(portfolio), *_perpetual(portfolio)]
        for expiry in portfolio.expiries:
            prices = ExpiryMarks.of(fields.account, expiry, parameters).marks([UNMOVED])[0]
            for option, place, price in zip(expiry.options, expiry.order, prices, strict=True):
                name = f"option {expiry.seconds}-{as_float(option.strike):g}-{'C' if option.is_call else 'P'} {place}"
                if option.amount:
                    held.append(_holding(Kind.OPTION, name, option.amount, Wad(price * WADS_OF_MONEY), portfolio.spot))
        return portfolio.cash, {each.name: each for each in held}, (), {}

    def written(self, account: Account, change: Change) -> dict[str, object]:
        """The account's part of the file after a change; what it expects of the account as it was is gone."""
        scenario = Fields.of(account.content, account.name).section("Scenario").content
        left = {name: held.amount + change.amounts.get(name, 0) for name, held in account.holdings.items()}
        written = {**scenario, "Cash": money_text(account.cash + change.cash)}
        written["Collaterals"] = [
            _with_amount(each, left, f"collateral {each['Name']}") for each in _items(scenario, "Collaterals")
        ]
        by_place = {int(name.rsplit(" ", 1)[1]): name for name in left if name.startswith("option ")}
        written["Options"] = [
            _with_amount(each, left, by_place.get(place, "")) for place, each in enumerate(_items(scenario, "Options"))
        ]
        perpetual = account.holdings.get(_PERPETUAL)
        if perpetual is not None and left[_PERPETUAL] != perpetual.amount:
            funding = perpetual.funding + change.funding.get(_PERPETUAL, 0)
            unrealised = replace(perpetual, amount=Wad(left[_PERPETUAL]), funding=Money(0)).worth
            written["NumPerps"], written["UnrealisedFunding"] = text(left[_PERPETUAL]), money_text(funding)
            written["UnrealisedPerpPNL"] = money_text(unrealised)
        content = {name: each for name, each in account.content.items() if name != "Result"}
        return {**content, "Scenario": written}


def _items(scenario: Mapping[str, object], section: str) -> list[Mapping[str, object]]:
    return cast("list[Mapping[str, object]]", scenario.get(section) or [])


def _with_amount(item: Mapping[str, object], left: Mapping[str, int], name: str) -> Mapping[str, object]:
    return {**item, "Amount": text(left[name])} if name in left else item


def _holding(kind: Kind, name: str, amount: Wad, price: Wad, spot: Wad) -> Holding:
    """At no chain and no venue: the format has none."""
    return replace(cash_holding(Money(0)), name=name, kind=kind, asset=SPOT, amount=amount, price=price, spot=spot)


def _collateral(portfolio: Portfolio) -> Iterator[Holding]:
    for each in portfolio.collaterals:
        price = Wad(each.price * WAD // portfolio.stable)
        held = _holding(Kind.COLLATERAL, f"collateral {each.name}", each.amount, price, price)
        yield replace(held, asset=each.name)


def _perpetual(portfolio: Portfolio) -> Iterator[Holding]:
    """With the entry price that its profit implies, rounded against the account."""
    if (each := portfolio.perpetual) is None:
        return
    profit = each.pnl * WADS_OF_MONEY * WAD
    entry = Wad(each.price - (profit // each.amount if each.amount > 0 else -(profit // -each.amount)))
    held = _holding(Kind.PERPETUAL, _PERPETUAL, each.amount, each.price, portfolio.spot)
    yield replace(held, entry=entry, funding=each.funding)
