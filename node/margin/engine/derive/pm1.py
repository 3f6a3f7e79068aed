"""`derive-pm1` for many accounts of one market, equal to the rules bit for bit.

    frame = Frame.of(market, confidence)     the marks, once
    evaluate(frame, accounts)                → Margins: every margin, contingency and scenario of every account

Its scenarios, discounts and basis contingency are of the same form as those of `derive-pm2`, and are found by the same
arithmetic; what is required beside them is here. Must not know prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise

import numpy as np

from node.margin.engine.derive.book import Accounts, Bounds, check, evaluated, held_options, left_to_rules, owned
from node.margin.engine.derive.options import ExpiryTable, OptionFrame, moves_of, sorted_places
from node.margin.engine.derive.rows import evaluate_rows, naked_shorts, on_confidence
from node.margin.math.amounts import Amounts
from node.margin.math.products import IntArray
from node.margin.models import derive_pm1 as model
from node.margin.models.derive_pm1 import Expiry, Portfolio, Result
from node.margin.models.derive_pm2 import rules
from node.margin.models.derive_pm2.portfolio import Option
from node.margin.models.errors import PortfolioError
from node.margin.models.fixed import ONE, Money, Wad, as_wad


@dataclass(frozen=True, slots=True)
class Frame:
    """One market. `market` says what the columns are; its amounts mean nothing, and its `confidence` is the spot's.

    `perpetual_confidence` is the perpetual's own; `charges` are what confidence costs, without and with a perpetual.
    """

    market: Portfolio
    perpetual_confidence: Wad
    options: OptionFrame
    base_price: Wad
    charges: tuple[Wad, Wad]
    initial_factor: Wad

    @classmethod
    def of(cls, market: Portfolio, perpetual_confidence: Wad = ONE) -> Frame:
        """A frame of all instruments that a market lists: each option once, within an expiry by strike, puts first.

        Raises InputError for an option that is there twice.
        """
        market = replace(market, expiries=tuple(_sorted(expiry) for expiry in market.expiries))
        confidences = market.confidence, min(market.confidence, perpetual_confidence)
        tables: list[ExpiryTable | None] = []
        ends = accumulate((len(expiry.options) for expiry in market.expiries), initial=0)
        for place, (first, _) in enumerate(pairwise(ends)):
            try:
                tables.append(_table(market, place, first, confidences))
            except PortfolioError:  # whoever holds it is told, by the rules
                tables.append(None)
        listed = [expiry.options for expiry in market.expiries]
        of_spot, beside = (_charge(confidence) for confidence in confidences)
        return cls(
            market=market,
            perpetual_confidence=perpetual_confidence,
            options=OptionFrame.of(model.SCENARIOS, model.BASIS, listed, tables),
            base_price=rules.collateral_price(market.spot, market.stable),
            charges=(of_spot, beside),
            initial_factor=rules.initial_factor(market.stable, model.LOSS, model.CONTINGENCIES),
        )


def _charge(confidence: Wad) -> Wad:
    return rules.confidence_charge(confidence, model.CONTINGENCIES)


def _sorted(expiry: Expiry) -> Expiry:
    places = sorted_places(expiry.options, expiry.seconds)
    listed = tuple(Option(expiry.options[place].strike, expiry.options[place].is_call, Wad(0)) for place in places)
    return replace(expiry, options=listed, vols=tuple(expiry.vols[place] for place in places))


def _table(market: Portfolio, place: int, first: int, confidences: tuple[Wad, Wad]) -> ExpiryTable | None:
    expiry = market.expiries[place]
    of_spot, beside = (_charge(min(confidence, expiry.confidence)) for confidence in confidences)
    return ExpiryTable.of(
        place,
        first,
        model.marked(market.account, expiry, moves_of(model.SCENARIOS, model.BASIS)),
        (as_wad(rules.long_discount(expiry.rate, expiry.years, model.LOSS)), ONE),
        rules.basis_factor(expiry.seconds, model.BASIS),
        (of_spot, beside),
    )


# === Accounts ===


@dataclass(frozen=True, slots=True)
class Margins:
    """What the rules' Result has, for all accounts: money, by account; `scenarios` is [scenarios, accounts].

    `errors` says which accounts could not be evaluated, and why; their numbers are zero. `by_rules` are those that were
    left to the rules.
    """

    equity: Amounts
    scenarios: Amounts
    basis_contingency: Amounts
    worst: Amounts
    on_perpetual: Amounts
    on_base: Amounts
    on_options: Amounts
    on_confidence: Amounts
    initial: Amounts
    maintenance: Amounts
    errors: Mapping[int, PortfolioError]
    by_rules: IntArray


_NAMES = tuple(field.name for field in fields(Margins) if field.name not in {"errors", "by_rules"})


def evaluate(frame: Frame, accounts: Accounts) -> Margins:
    """The margins of all accounts, whose one collateral is the base; one that cannot be evaluated stops no other.

    Raises InputError where the rows are not of this frame.
    """
    check(frame.options, accounts, 1)
    left = left_to_rules(frame.options, accounts, _bounds(frame))
    total, errors = evaluated(
        accounts,
        left,
        _NAMES,
        len(model.SCENARIOS),
        lambda some: _margins(frame, some),
        lambda place: _named(model.evaluate(portfolio(frame, accounts, place))),
    )
    return Margins(**total, errors=errors, by_rules=np.flatnonzero(left))


def _bounds(frame: Frame) -> Bounds:
    required = model.CONTINGENCIES
    return Bounds.of(
        frame.options,
        spot=frame.market.spot,
        perpetual=frame.market.perpetual_price,
        ratios=[
            required.perpetual_maintenance,
            required.option_maintenance,
            *frame.charges,
            *(each for table in frame.options.priced for each in table.charges),
        ],
        collaterals=[(max(frame.base_price, frame.market.spot), Wad(model.BASE_PERCENT + max(frame.charges)))],
        factors=(frame.initial_factor,),
    )


def portfolio(frame: Frame, accounts: Accounts, place: int) -> Portfolio:
    """One account as the rules read it. Raises OutOfRange for a base that is owed."""
    market, expiries = frame.market, []
    listed = [each.options for each in market.expiries]
    for expiry, held in zip(market.expiries, held_options(accounts, place, listed), strict=True):
        if held:
            options, vols = tuple(option for _, option in held), tuple(expiry.vols[i] for i, _ in held)
            expiries.append(replace(expiry, options=options, vols=vols))
    [base] = owned(accounts, place, ["base"])
    perpetual = Wad(accounts.perpetuals[place : place + 1].integers()[0])
    return replace(
        market,
        account=f"account {place}",
        cash=Money(accounts.cash[place : place + 1].integers()[0]),
        unsettled=Money(0),
        perpetual=perpetual,
        base=base,
        confidence=min(market.confidence, frame.perpetual_confidence) if perpetual else market.confidence,
        expiries=tuple(expiries),
    )


def _named(result: Result) -> dict[str, list[int]]:
    """The rules' result under the names of Margins."""
    found = {name: [getattr(result, name)] for name in _NAMES if name != "scenarios"}
    return {**found, "scenarios": list(result.scenarios)}


# === Some accounts at a time ===


def _margins(frame: Frame, accounts: Accounts) -> dict[str, Amounts]:
    required, spot = model.CONTINGENCIES, frame.market.spot
    base = accounts.collaterals[:, 0]
    worth = base.worth(frame.base_price)
    exposure = (worth + accounts.perpetuals.worth(frame.market.perpetual_price)).whole()
    options = evaluate_rows(frame.options, accounts.options, exposure)
    worst = options.basis.least(options.scenarios.lowest())
    equity = (accounts.cash + worth + options.value).whole()
    perpetual = (-accounts.perpetuals.losses()).whole()
    on_perpetual = perpetual.cost(spot).up(required.perpetual_maintenance)
    on_base = base.cost(spot).up(model.BASE_PERCENT)
    on_options = naked_shorts(frame.options, accounts.options).cost(spot).up(required.option_maintenance)
    beside = (perpetual.high != 0) | (perpetual.low != 0)
    charged = on_confidence(frame.options, accounts.options, beside, spot)
    size = (perpetual + base).whole().cost(spot)
    for which, charge in zip((~beside, beside), frame.charges, strict=True):
        if charge:
            charged.add(which, size[which].up(charge))
    loss = (worst - on_perpetual - on_base - on_options).whole()
    return {
        "equity": equity,
        "scenarios": options.scenarios,
        "basis_contingency": options.basis,
        "worst": worst,
        "on_perpetual": on_perpetual,
        "on_base": on_base,
        "on_options": on_options,
        "on_confidence": charged.whole(),
        "initial": (loss.down(frame.initial_factor) - charged + equity).whole(),
        "maintenance": (loss + equity).whole(),
    }
