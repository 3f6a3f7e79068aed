"""The profiles by name. Data: what each composes is said here, how its rules work in their own modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from node.margin.models import cross, derive_pm1, derive_sm, drift, dydx, grids, lending, mango, span, synthetix
from node.margin.models.book import ACCOUNT_NAMES, FILE, accounts
from node.margin.models.derive_pm2 import profile as derive_pm2
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields, joined, leaves, refuse_unknown
from node.margin.models.hypothec import feeds, parameters, portfolio
from node.margin.models.hypothec import profile as hypothec
from node.margin.models.market import QUOTE_NAMES
from node.margin.models.profile import Evaluation, Once, Profile, Threshold, composed

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


def _levels(thresholds: tuple[Threshold, ...]) -> Iterator[str]:
    return (each.name for each in thresholds)


QUOTE = joined(QUOTE_NAMES, feeds.FEED_NAMES)
PARAMETERS = joined(
    lending.names(*_levels(BORROW_AND_LIQUIDATION)),
    cross.names(*_levels(INITIAL_AND_MAINTENANCE)),
    *(each.NAMES for each in (dydx, drift, mango, synthetix, span, derive_sm, grids, parameters)),
)
ACCOUNT = joined(ACCOUNT_NAMES, portfolio.NAMES)
"""What the profiles together read of an asset's quote, the parameters, an account: a file may serve several of them."""
_OTHER_FORMAT = "Scenario"
"""What an account has that is written in another format: derived figures stand beside what is read of it."""


def market_of(content: object) -> Fields:
    """The market of a parsed file. Opening a quote with a name that no profile reads raises UnknownName."""
    return Fields(Fields.of(content, "").section("market").content, "", known=QUOTE)


def unknown_refused(content: object) -> Callable[[object, str], None]:
    """What raises UnknownName for an account, by its name, where it or the parameters have one that no profile reads.

    So it does where the file has another section than there are. Quotes are market_of's, as each account reads its own.
    """

    def shared(account: str) -> Fields:
        file = Fields.of(content, account)
        if file.has("accounts"):
            refuse_unknown(file, leaves(*FILE, *ACCOUNT, "accounts"))
        refuse_unknown(file.section("parameters"), PARAMETERS)
        return file

    found = Once(shared)

    def refuse(account: object, name: str) -> None:
        found.of(name)
        fields = Fields.of(account, name)
        if _OTHER_FORMAT not in fields.content:
            refuse_unknown(fields, ACCOUNT)

    return refuse


def evaluate_file(
    profile: Profile, content: object, name: str, *, stress: bool = False
) -> Iterator[Evaluation | PortfolioError]:
    """Each account of a parsed file under a profile: one that cannot be evaluated stops no other.

    `name` is for one account that has none; `stress` asks for the profile's stress tests, if it has any.

    Raises PortfolioError where the file as a whole cannot be read.
    """
    market, parameters = market_of(content), Fields.of(content, "").section("parameters")
    judge, refuse_unknown_of = profile.judge(market, parameters), unknown_refused(content)
    for account_name, account in accounts(content, name):
        try:
            refuse_unknown_of(account, account_name)
            found = judge(account, account_name)
            if stress and profile.stress is not None:
                stressed = profile.stress(account, account_name, market, parameters)
                found = replace(found, components={**found.components, **stressed})
            yield found
        except PortfolioError as error:
            yield error
