"""Accounts in the format of the published files of derive-pm1 (PMRM), as pmrm_form has those of derive-pm2.

Options are lists with an item for each; numbers are integers of 1e-18. An option that the lists do not have cannot be
added, as nothing says its volatility. Must not know what a change is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from node.margin.models.derive_pm1 import Expiry, Portfolio, marked, only, option_rows, read_account, wad_of
from node.margin.models.derive_pm2.marks import UNMOVED
from node.margin.models.errors import MissingField
from node.margin.models.fields import Fields
from node.margin.models.fixed import WAD, Money, Wad
from node.margin.models.market import Quotes
from node.margin.planning.account import WADS_OF_MONEY, Account, Change, Holding, Kind, Parts, money_text, text
from node.margin.planning.pmrm_form import only_spot, option_name, place_of, refused, spot_holding

_PERPETUAL, _BASE = "perpetual", "collateral base"


class Pm1Form:
    """The format of PMRM files."""

    def read(self, fields: Fields, market: Quotes) -> Parts:
        """What the account holds. Raises PortfolioError."""
        portfolio = read_account(fields.content, fields.account)
        held = [*_linear(portfolio, fields.section("Scenario"))]
        for place, row in enumerate(option_rows(fields.section("Scenario").named(""))):
            if row.content["OptionAmounts"]:
                expiry = only(row)
                (option,) = expiry.options
                name = option_name(expiry.seconds, option.strike, place, is_call=option.is_call)
                worth = Wad(_mark(fields.account, expiry) * WADS_OF_MONEY)
                item = {"seconds": expiry.seconds, "strike": text(option.strike), "call": option.is_call}
                held.append(spot_holding(Kind.OPTION, name, option.amount, worth, portfolio.spot, item))
        return portfolio.cash, {each.name: each for each in held}, (), {}

    def written(self, account: Account, change: Change) -> dict[str, object]:
        """The account's part of the file after a change; what it expects of the account as it was is gone."""
        scenario = Fields.of(account.content, account.name).section("Scenario")
        left = {name: held.amount + change.amounts.get(name, 0) for name, held in account.holdings.items()}
        by_place = {place_of(name): amount for name, amount in left.items() if name.startswith("option ")}
        written = {
            **scenario.content,
            "Cash": (account.cash + change.cash) * WADS_OF_MONEY,
            "Base": left.get(_BASE, 0),
            "Perps": left.get(_PERPETUAL, 0),
            "OptionAmounts": [by_place.get(place, 0) for place in range(len(scenario.entries("OptionAmounts")))],
        }
        perpetual = account.holdings.get(_PERPETUAL)
        if perpetual is None or left[_PERPETUAL] != perpetual.amount:
            funding = 0 if perpetual is None else perpetual.funding + change.funding.get(_PERPETUAL, 0)
            rest = None if perpetual is None else replace(perpetual, amount=Wad(left[_PERPETUAL]), funding=Money(0))
            written["UnrealisedFunding"] = funding * WADS_OF_MONEY
            written["UnrealisedPerpPNL"] = 0 if rest is None else rest.worth * WADS_OF_MONEY
        content = {name: each for name, each in account.content.items() if name != "Result"}
        return {**content, "Scenario": written}

    def added(self, content: Mapping[str, object], kind: Kind, item: Fields) -> dict[str, object]:
        """The account's part of the file with one thing more, in the words of a proposal. Raises PortfolioError."""
        scenario = Fields.of(content, item.account).section("Scenario")
        amount = item.number("amount")
        if kind is Kind.COLLATERAL and item.text("asset") == "base":
            return {**content, "Scenario": {**scenario.content, "Base": amount}}
        if kind not in {Kind.OPTION, Kind.PERPETUAL}:
            raise refused(kind, item)
        only_spot(item)
        if kind is Kind.OPTION:
            amounts = scenario.entries("OptionAmounts")
            place = _listed(scenario, item)
            return {
                **content,
                "Scenario": {**scenario.content, "OptionAmounts": [*amounts[:place], amount, *amounts[place + 1 :]]},
            }
        price = wad_of(scenario, "PerpPrice", low=1)
        entry = item.number("entry_price", low=0) if item.has("entry_price") else price
        terms = {
            "Perps": amount,
            "UnrealisedPerpPNL": amount * (price - entry) // WAD,
            "UnrealisedFunding": item.money("funding", default=0) * WADS_OF_MONEY,
        }
        return {**content, "Scenario": {**scenario.content, **terms}}


@lru_cache(maxsize=1 << 12)
def _mark(account: str, expiry: Expiry) -> Money:
    """Of the one option of an expiry; remembered, as what a change leaves alone is read again."""
    return marked(account, expiry, [UNMOVED])[0][0]


def _listed(scenario: Fields, item: Fields) -> int:
    """The place of an option. Raises MissingField where the lists do not have it."""
    wanted = item.whole("seconds"), item.positive("strike"), item.flag("call")
    for place, row in enumerate(option_rows(scenario)):
        listed = row.content["OptionExpiries"], row.content["OptionStrikes"], row.content["OptionIsCall"]
        if listed == wanted:
            return place
    raise MissingField(
        "the lists have no such option, so nothing says its volatility",
        account=item.account,
        instrument=item.instrument,
        field="OptionVols",
    )


def _linear(portfolio: Portfolio, scenario: Fields) -> Iterator[Holding]:
    """The base asset, and the perpetual with the entry price that its profit implies, rounded against the account."""
    if portfolio.base:
        held = spot_holding(Kind.COLLATERAL, _BASE, portfolio.base, portfolio.spot, portfolio.spot)
        yield replace(held, asset="base")
    if portfolio.perpetual:
        amount, price = portfolio.perpetual, portfolio.perpetual_price
        funding = Money(wad_of(scenario, "UnrealisedFunding") // WADS_OF_MONEY)
        profit = (portfolio.unsettled - funding) * WADS_OF_MONEY * WAD
        entry = Wad(price - (profit // amount if amount > 0 else -(profit // -amount)))
        held = spot_holding(Kind.PERPETUAL, _PERPETUAL, amount, price, portfolio.spot)
        yield replace(held, entry=entry, funding=funding, item={"funding": money_text(funding)})
