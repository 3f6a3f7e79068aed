"""The profiles by name. Data: what each composes is said here, how its rules work in their own modules."""

from __future__ import annotations

from collections.abc import Iterator

from node.margin.models import dydx, lending
from node.margin.models.book import accounts
from node.margin.models.derive_pm2 import profile as derive_pm2
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
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
)

COMPOUND = composed(
    "compound",
    "Compound v3: what is owed against collateral at its borrow and liquidation collateral factors",
    BORROW_AND_LIQUIDATION,
    (lending.factored_collateral, lending.cash_supply, lending.debts),
    lending.read_lending,
    {},
)

DYDX = composed(
    "dydx",
    "dYdX v4: initial margin scaled by open interest, exact integer rounding",
    INITIAL_AND_MAINTENANCE,
    (dydx.net_collateral, dydx.margins),
    dydx.read_dydx,
    {},
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (derive_pm2.PROFILE, LTV, COMPOUND, DYDX)}


def evaluate_file(profile: Profile, content: object, name: str) -> Iterator[Evaluation | PortfolioError]:
    """Each account of a parsed file under a profile: one that cannot be evaluated stops no other.

    `name` is for one account that has none.

    Raises PortfolioError where the file as a whole cannot be read.
    """
    file = Fields.of(content, "")
    market, parameters = file.section("market"), file.section("parameters")
    for account_name, account in accounts(content, name):
        try:
            yield profile.evaluate(account, account_name, market, parameters)
        except PortfolioError as error:
            yield error
