"""The published PMRM_2 test files: `Scenario` and `Parameters` read, `Result` compared.

Of a scenario only what is given to the model is read: derived fields (k, k_star, multipliers, caps, MarkVol,
MarkDiscount) are never looked at. Absent sections are empty; what has no amount needs no price and no feed: an option
without one is shown where they are good. Must not do I/O.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from node.margin.models.derive_pm2 import rules
from node.margin.models.derive_pm2.marks import Markets
from node.margin.models.derive_pm2.portfolio import (
    SECONDS_A_DAY,
    BasisShock,
    Collateral,
    Contingencies,
    Expiry,
    LossFactors,
    Option,
    Parameters,
    Perpetual,
    Portfolio,
    Scenario,
    Shock,
    SkewShock,
    VolShock,
)
from node.margin.models.errors import MissingField, PortfolioError
from node.margin.models.fields import LONGEST_SECONDS, Fields, Known
from node.margin.models.fixed import ONE, Wad, as_float
from node.margin.models.svi import read_svi

_MOST_SCENARIOS = 1_000
_LARGEST_FACTOR = 1_000
_LARGEST_RATE = 100
_SHOCKS = {shock.value.upper(): shock for shock in Shock}


def is_vector(content: object) -> bool:
    """Whether parsed JSON has the shape of these files."""
    return isinstance(content, dict) and "Scenario" in content and "Parameters" in content


def read_vector(content: object, account: str) -> tuple[Portfolio, Parameters]:
    """The portfolio and parameters of a parsed file. Raises PortfolioError for what cannot be used."""
    portfolio, markets = Reader().read_for(content, account)
    return portfolio, markets.parameters


class Reader:
    """Reads parameters again only where they are others than those of the account before, and each option once."""

    def __init__(self) -> None:
        self._known = Known()
        self._last: tuple[object, Markets] | None = None

    def read_for(self, content: object, account: str) -> tuple[Portfolio, Markets]:
        """A portfolio, and the markets of the parameters that judge it. Raises as read_vector."""
        file = _vector(content, account)
        portfolio, given = _portfolio(file.section("Scenario").named(""), self._known), file.content["Parameters"]
        if self._last is None or self._last[0] is not given:
            self._last = given, Markets(_parameters(file.section("Parameters")))
        return portfolio, self._last[1]


def _vector(content: object, account: str) -> Fields:
    file = Fields.of(content, account)
    if not is_vector(content):
        raise MissingField(
            "give `Scenario` and `Parameters`, as the published files do: the model reads no other format",
            account=account,
            field="Parameters" if file.has("Scenario") else "Scenario",
        )
    return file


# === Scenario ===


def _portfolio(scenario: Fields, known: Known) -> Portfolio:
    collaterals = tuple(item for fields in scenario.items("Collaterals") if (item := _collateral(fields)) is not None)
    perpetual = _perpetual(scenario)
    expiries, shown, count = _expiries(scenario, known)
    needs_spot = bool(collaterals or perpetual or expiries)
    return Portfolio(
        account=scenario.account,
        cash=scenario.money("Cash", default=0),
        spot=scenario.positive("SpotPrice") if needs_spot else Wad(0),
        spot_confidence=_confidence(scenario, "SpotConfidence") if needs_spot else ONE,
        stable=scenario.positive("StablePrice"),
        collaterals=collaterals,
        perpetual=perpetual,
        expiries=expiries,
        option_count=count,
        shown=shown,
    )


def _collateral(fields: Fields) -> Collateral | None:
    fields = fields.named(fields.text("Name"))
    amount = fields.number("Amount", low=0)
    if amount == 0:
        return None
    return Collateral(
        name=fields.instrument,
        amount=amount,
        price=fields.number("Price", low=0),
        confidence=_confidence(fields, "Confidence"),
        risk_cancelling=fields.flag("IsRiskCancelling"),
        initial_haircut=fields.number("IMHaircut", low=0, high=1),
        maintenance_haircut=fields.number("MMHaircut", low=0, high=1),
    )


def _perpetual(fields: Fields) -> Perpetual | None:
    fields = fields.named("perpetual")
    amount = fields.number("NumPerps", default=0)
    if amount == 0:
        return None
    return Perpetual(
        amount=amount,
        price=fields.positive("PerpPrice"),
        confidence=_confidence(fields, "PerpConfidence"),
        pnl=fields.money("UnrealisedPerpPNL", default=0),
        funding=fields.money("UnrealisedFunding", default=0),
    )


class _Listed(NamedTuple):
    """An item of the options: its fields, and what is held of it: its time to expiry and the option, or None."""

    fields: Fields
    held: tuple[int, Option] | None


def _expiries(scenario: Fields, known: Known) -> tuple[tuple[Expiry, ...], tuple[Expiry, ...], int]:
    """The expiries that hold something, in the order of the feeds; those only shown; how many options there are."""
    listed = [
        known.once(_listed, content, scenario.account, place)
        for place, content in enumerate(scenario.entries("Options"))
    ]
    options: dict[int, list[tuple[int, Option]]] = {item.held[0]: [] for item in listed if item.held is not None}
    without: defaultdict[int, list[tuple[int, Fields]]] = defaultdict(list)
    for place, (fields, held) in enumerate(listed):
        if held is not None:
            options[held[0]].append((place, held[1]))
        elif (seconds := _raw_seconds(fields)) in options:  # it is only shown, beside others
            options[fields.seconds_ahead("Expiry")].append((place, _read_option(fields, Wad(0))))
        elif seconds is not None:
            without[seconds].append((place, fields))
    expiries, shown = [], []
    for content in scenario.entries("OptionFeeds"):
        feed, seconds = known.once(_feed, content, scenario.account)
        if seconds in options:
            expiries.append(_with(known.once(_expiry, content, feed, seconds), options.pop(seconds)))
        elif seconds in without and seconds >= 0:
            with suppress(PortfolioError):  # nothing is held: what cannot be shown stops nobody
                beside = [(place, _read_option(each, Wad(0))) for place, each in without.pop(seconds)]
                shown.append(_with(known.once(_expiry, content, feed, seconds), beside))
    for seconds, lost in options.items():
        place = lost[0][0]
        raise MissingField(
            "there is no feed for the expiry of an option",
            account=scenario.account,
            instrument=listed[place].fields.instrument,
            field="OptionFeeds",
            expiry=seconds,
        )
    return tuple(expiries), tuple(shown), len(listed)


def _read_option(fields: Fields, amount: Wad) -> Option:
    return Option(fields.positive("Strike"), fields.flag("IsCall"), amount)


def _listed(content: object, account: str, place: int) -> _Listed:
    item = Fields.of(content, account, "Options")
    strike, expiry = item.content.get("Strike"), item.content.get("Expiry")
    fields = item.named(f"option {place}: strike {strike}, expiry {expiry}")
    amount = fields.number("Amount")
    return _Listed(fields, (fields.seconds_ahead("Expiry"), _read_option(fields, amount)) if amount else None)


def _raw_seconds(fields: Fields) -> int | None:
    content = fields.content.get("Expiry")
    return content if isinstance(content, int) else None


def _feed(content: object, account: str) -> tuple[Fields, int]:
    fields = Fields.of(content, account, "OptionFeeds")
    seconds = fields.whole("FeedExpiry", low=-LONGEST_SECONDS, high=LONGEST_SECONDS)
    return fields.named(f"feed of the expiry in {seconds} s"), seconds


def _expiry(_: object, fields: Fields, seconds: int) -> Expiry:
    """An expiry without options."""
    forward = fields.positive("Forward")
    open_part = rules.open_forward(forward, seconds)
    return Expiry(
        seconds=seconds,
        forward=open_part,
        forward_fixed=Wad(forward - open_part),
        forward_confidence=_confidence(fields, "ForwardConfidence"),
        rate=fields.number("Rate", low=-_LARGEST_RATE, high=_LARGEST_RATE),
        rate_confidence=_confidence(fields, "RateConfidence"),
        surface=read_svi(fields, "SVIparam"),
        surface_confidence=_confidence(fields, "OptionVolConfidences"),
        options=(),
        order=(),
    )


def _with(expiry: Expiry, listed: list[tuple[int, Option]]) -> Expiry:
    return replace(expiry, options=tuple(option for _, option in listed), order=tuple(place for place, _ in listed))


def _confidence(fields: Fields, name: str) -> Wad:
    return fields.number(name, low=0, high=1)


# === Parameters ===


def _parameters(fields: Fields) -> Parameters:
    scenarios = fields.entries("Scenarios")
    if not 0 < len(scenarios) <= _MOST_SCENARIOS:
        raise fields.wrong(f"give from 1 to {_MOST_SCENARIOS} scenarios", "Scenarios")
    return Parameters(
        scenarios=tuple(_scenario(each) for each in fields.items("Scenarios")),
        vol=_vol_shock(fields.section("VolShock")) if fields.has("VolShock") else None,
        skew=_skew_shock(fields.section("SkewShock")) if fields.has("SkewShock") else None,
        basis=_basis_shock(fields.section("BasisContingency")) if fields.has("BasisContingency") else None,
        loss=_loss_factors(fields.section("Margin")),
        contingencies=_contingencies(fields.section("OtherContingency")),
    )


def _scenario(fields: Fields) -> Scenario:
    direction = fields.text("VolShockDirection").upper()
    if direction not in _SHOCKS:
        raise fields.wrong(f"give one of {', '.join(shock.value for shock in Shock)}", "VolShockDirection")
    return Scenario(_ratio(fields, "SpotShock"), _SHOCKS[direction], _ratio(fields, "DampeningFactor"))


def _vol_shock(fields: Fields) -> VolShock:
    return VolShock(
        up=_ratio(fields, "VOLRANGEUP"),
        down=_ratio(fields, "VOLRANGEDOWN"),
        least_vol_up=_ratio(fields, "MIN_VOL_EVAL_SHOCKED"),
        short_power=_signed(fields, "SHORTTERMPOWER"),
        long_power=_signed(fields, "LONGTERMPOWER"),
        floor_seconds=as_float(_ratio(fields, "DTE_FLOOR")) * SECONDS_A_DAY,
    )


def _skew_shock(fields: Fields) -> SkewShock:
    return SkewShock(
        linear_cap=_signed(fields, "LINEAR_SCALE_CAP"),
        linear_slope=_signed(fields, "LINEAR_CBASE"),
        abs_cap=_signed(fields, "ABS_SCALE_CAP"),
        abs_slope=_signed(fields, "ABS_CBASE"),
        least_k_star=_ratio(fields, "MIN_K_STAR"),
        width=_ratio(fields, "MIN_WIDTH_SCALE"),
        vol_static=_ratio(fields, "VOL_PARAM_STATIC"),
        vol_scale=_signed(fields, "VOL_PARAM_SCALE"),
    )


def _basis_shock(fields: Fields) -> BasisShock:
    return BasisShock(
        spot_up=_ratio(fields, "SCENARIO_SPOT_UP"),
        spot_down=_ratio(fields, "SCENARIO_SPOT_DOWN"),
        add=_ratio(fields, "BASIS_CONT_ADD_FACTOR"),
        mult=_ratio(fields, "BASIS_CONT_MULT_FACTOR"),
    )


def _loss_factors(fields: Fields) -> LossFactors:
    return LossFactors(
        initial=_ratio(fields, "IM_LOSS_FACTOR"),
        maintenance=_ratio(fields, "MM_LOSS_FACTOR"),
        long_base=_ratio(fields, "BASE_STATIC_DISCOUNT"),
        long_rate_mult=_ratio(fields, "LONG_RATE_MULTSCALE"),
        long_rate_add=_ratio(fields, "LONG_RATE_ADDSCALE"),
        short_base=_ratio(fields, "BASE_STATIC_DISCOUNT_NEG"),
        short_rate_mult=_ratio(fields, "SHORT_RATE_MULTSCALE"),
        short_rate_add=_ratio(fields, "SHORT_RATE_ADDSCALE"),
    )


def _contingencies(fields: Fields) -> Contingencies:
    return Contingencies(
        peg_threshold=_ratio(fields, "PEG_LOSS_THRESHOLD"),
        peg_factor=_ratio(fields, "PEG_LOSS_FACTOR"),
        confidence_threshold=_ratio(fields, "CONF_THRESHOLD"),
        confidence_factor=_ratio(fields, "CONF_MARGIN"),
        perpetual_maintenance=_ratio(fields, "MM_PERP_PERCENT"),
        perpetual_initial=_ratio(fields, "IM_PERP_PERCENT"),
        option_maintenance=_ratio(fields, "MM_OPTION_PERCENT"),
        option_initial=_ratio(fields, "IM_OPTION_PERCENT"),
    )


def _ratio(fields: Fields, name: str) -> Wad:
    return fields.number(name, low=0, high=_LARGEST_FACTOR)


def _signed(fields: Fields, name: str) -> Wad:
    return fields.number(name, low=-_LARGEST_FACTOR, high=_LARGEST_FACTOR)
