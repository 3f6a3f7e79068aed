"""The profiles by name. Data: what each composes is said here, how its rules work in their own modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from node.margin.models import cross, derive_pm1, derive_sm, drift, dydx, grids, lending, mango, span, synthetix
from node.margin.models.book import accounts
from node.margin.models.derive_pm2 import profile as derive_pm2
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.hypothec import profile as hypothec
from node.margin.models.profile import Evaluation, Profile, Threshold, composed

BORROW_AND_LIQUIDATION = (Threshold("borrow", "cannot_borrow"), Threshold("liquidation", "liquidatable"))
INITIAL_AND_MAINTENANCE = (Threshold("initial", "margin_call"), Threshold("maintenance", "liquidatable"))

LTV = composed(
    "ltv",
    "Aave v3: health factor Σ collateral·threshold / Σ debt, with e-mode categories",
    BORROW_AND_LIQUIDATION,
    (lending.weighted_collateral, lending.cash_supply, lending.debts),
    lending.read_lending,
    {},
    ("collateral", "debts"),
)

COMPOUND = composed(
    "compound",
    "Compound v3: what is owed against collateral at its borrow and liquidation collateral factors",
    BORROW_AND_LIQUIDATION,
    (lending.factored_collateral, lending.cash_supply, lending.debts),
    lending.read_lending,
    {},
    ("collateral", "debts"),
)

CROSS = composed(
    "cross",
    "Weighted collateral, debts and positions in one account: profits at their face, margin by notional",
    INITIAL_AND_MAINTENANCE,
    (cross.collateral, lending.cash_supply, lending.debts, cross.profits, cross.margins),
    cross.read_cross,
    {},
    ("collateral", "debts", "perpetuals", "futures"),
)

DYDX = composed(
    "dydx",
    "dYdX v4: initial margin scaled by open interest, exact integer rounding",
    (Threshold("initial", "margin_call"), Threshold("maintenance", "liquidatable", if_required=True)),
    (dydx.net_collateral, dydx.margins),
    dydx.read_dydx,
    {},
    ("perpetuals",),
)

DRIFT = composed(
    "drift",
    "Drift v2: weights by size and deposits, strict prices, weighted profits",
    (Threshold("initial", "margin_call"), Threshold("fill", "reduce_only"), Threshold("maintenance", "liquidatable")),
    (drift.spot_assets, drift.spot_debts, drift.perpetuals),
    drift.read_drift,
    {},
    ("collateral", "debts", "perpetuals"),
)

MANGO = composed(
    "mango",
    "Mango v4: three thresholds, stable price, weights scaled by deposits and borrows",
    (
        Threshold("initial", "margin_call"),
        Threshold("liq_end", "reduce_only"),
        Threshold("maintenance", "liquidatable"),
    ),
    (mango.token_health, mango.perpetual_lines),
    mango.read_mango,
    {},
    ("collateral", "debts", "perpetuals"),
)

SYNTHETIX = composed(
    "synthetix",
    "Synthetix v3: ratios by size against the skew scale, collateral discounted by its size",
    INITIAL_AND_MAINTENANCE,
    (synthetix.available_margin, synthetix.margins),
    synthetix.read_synthetix,
    {},
    ("collateral", "debts", "perpetuals"),
)

SPAN = replace(
    composed(
        "span",
        "Classic SPAN: 16 scenarios, spread charge and credit, short-option minimum",
        INITIAL_AND_MAINTENANCE,
        (span.cash_and_futures, span.net_option_value, span.scan),
        span.read_span,
        {"initial_multiple": "1.1"},
        ("perpetuals", "futures", "options"),
        span.components,
    ),
    parted=span.parted,
)

DERIVE_SM = composed(
    "derive-sm",
    "Derive's standard margin: options by strike, bounded by the worst payoff of their expiry",
    INITIAL_AND_MAINTENANCE,
    (derive_sm.values, derive_sm.perpetuals, derive_sm.options, derive_sm.confidence, derive_sm.depegged),
    derive_sm.read_sm,
    {"options": derive_sm.OPTION_RULES},
    ("collateral", "debts", "perpetuals", "options"),
    derive_sm.components,
)

DERIBIT = replace(
    composed(
        "deribit-like",
        "27 price and volatility moves within ±16 %, eight beyond, contingencies by notional",
        INITIAL_AND_MAINTENANCE,
        (grids.values, grids.scan_or_floor, grids.contingencies),
        grids.read_grid,
        grids.DERIBIT,
        components=grids.components,
    ),
    parted=grids.parted,
)

PARADEX = replace(
    composed(
        "paradex-like",
        "24 weighted moves, a floor by net and hedged delta",
        INITIAL_AND_MAINTENANCE,
        (grids.values, grids.scan_or_floor, grids.contingencies),
        grids.read_grid,
        grids.PARADEX,
        components=grids.components,
    ),
    parted=grids.parted,
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        hypothec.PROFILE,
        derive_pm2.PROFILE,
        derive_pm1.PROFILE,
        DERIVE_SM,
        LTV,
        COMPOUND,
        CROSS,
        DYDX,
        DRIFT,
        MANGO,
        SYNTHETIX,
        SPAN,
        DERIBIT,
        PARADEX,
    )
}


def evaluate_file(
    profile: Profile, content: object, name: str, *, stress: bool = False
) -> Iterator[Evaluation | PortfolioError]:
    """Each account of a parsed file under a profile: one that cannot be evaluated stops no other.

    `name` is for one account that has none; `stress` asks for the profile's stress tests, if it has any.

    Raises PortfolioError where the file as a whole cannot be read.
    """
    file = Fields.of(content, "")
    market, parameters = file.section("market"), file.section("parameters")
    judge = profile.judge(market, parameters)
    for account_name, account in accounts(content, name):
        try:
            found = judge(account, account_name)
            if stress and profile.stress is not None:
                stressed = profile.stress(account, account_name, market, parameters)
                found = replace(found, components={**found.components, **stressed})
            yield found
        except PortfolioError as error:
            yield error
