"""The market of a frame as `derive-pm2` reads it: every instrument's marks under every scenario, computed once.

What depends on instruments and not on accounts is here, as integers: prices in the numeraire, charges. Must not know
accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from node.margin.engine.derive.options import ExpiryTable, OptionFrame, moves_of, sorted_places
from node.margin.models.derive_pm2 import rules
from node.margin.models.derive_pm2.marks import ExpiryMarks, given
from node.margin.models.derive_pm2.portfolio import Expiry, Option, Parameters, Portfolio
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import Wad, as_wad


@dataclass(frozen=True, slots=True)
class CollateralTerms:
    """One collateral: its price in the numeraire, its haircuts, and what its confidence costs."""

    name: str
    price: Wad
    maintenance: Wad
    initial: Wad
    charge: Wad
    risk_cancelling: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One market under one set of parameters. `market` says what the columns are; its amounts mean nothing.

    `perpetual_charge` is the cost of the confidence in its price.
    """

    market: Portfolio
    parameters: Parameters
    options: OptionFrame
    collaterals: tuple[CollateralTerms, ...]
    perpetual_charge: Wad
    initial_factor: Wad

    @classmethod
    def of(cls, market: Portfolio, parameters: Parameters) -> Frame:
        """A frame of all instruments that a market lists: each option once.

        Within an expiry the columns are by strike, puts before calls. Raises InputError for an option that is there
        twice, and MissingField where parameters are absent that every account needs.
        """
        market = replace(market, expiries=tuple(_sorted(expiry) for expiry in market.expiries))
        basis = given(parameters.basis, market.account, "BasisContingency")
        tables: list[ExpiryTable | None] = []
        ends = accumulate((len(expiry.options) for expiry in market.expiries), initial=0)
        for place, (first, _) in enumerate(pairwise(ends)):
            try:
                tables.append(_table(market, place, parameters, first))
            except PortfolioError:  # whoever holds it is told, by the rules
                tables.append(None)
        return cls(
            market=market,
            parameters=parameters,
            options=OptionFrame.of(parameters.scenarios, basis, [expiry.options for expiry in market.expiries], tables),
            collaterals=tuple(_terms(market, parameters)),
            perpetual_charge=rules.confidence_charge(_beside_perpetual(market), parameters.contingencies),
            initial_factor=rules.initial_factor(market.stable, parameters.loss, parameters.contingencies),
        )


def _sorted(expiry: Expiry) -> Expiry:
    options = [expiry.options[place] for place in sorted_places(expiry.options, expiry.seconds)]
    listed = tuple(Option(option.strike, option.is_call, Wad(0)) for option in options)
    return replace(expiry, options=listed, order=tuple(range(len(listed))))


def _table(market: Portfolio, place: int, parameters: Parameters, first: int) -> ExpiryTable | None:
    expiry, basis = market.expiries[place], given(parameters.basis, market.account, "BasisContingency")
    marks = ExpiryMarks.of(market.account, expiry, parameters).marks(moves_of(parameters.scenarios, basis))
    charge_of, rule = rules.confidence_charge, parameters.contingencies
    return ExpiryTable.of(
        place,
        first,
        marks,
        (
            as_wad(rules.long_discount(expiry.rate, expiry.years, parameters.loss)),
            as_wad(rules.short_discount(expiry.rate, expiry.years, parameters.loss)),
        ),
        rules.basis_factor(expiry.seconds, basis),
        (
            charge_of(rules.expiry_confidence(expiry, market.spot_confidence), rule),
            charge_of(rules.expiry_confidence(expiry, _beside_perpetual(market)), rule),
        ),
    )


def _terms(market: Portfolio, parameters: Parameters) -> list[CollateralTerms]:
    return [
        CollateralTerms(
            each.name,
            rules.collateral_price(each.price, market.stable),
            each.maintenance_haircut,
            each.initial_haircut,
            rules.confidence_charge(min(each.confidence, market.spot_confidence), parameters.contingencies),
            each.risk_cancelling,
        )
        for each in market.collaterals
    ]


def _beside_perpetual(market: Portfolio) -> Wad:
    """The confidence that a perpetual and the options beside it share."""
    if market.perpetual is None:
        return market.spot_confidence
    return min(market.spot_confidence, market.perpetual.confidence)
