"""Loan-to-value lending: Aave v3's health factor with e-mode, Compound v3's borrow and liquidation factors.

Sources: aave-v3-core GenericLogic and LiquidationLogic; comet Comet.sol, quote-collateral and is-liquidatable tests.
Debt is rounded up and collateral down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from node.margin.models.book import Book, unit_value
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import ONE, WAD, Money, Wad, down, product, value
from node.margin.models.profile import Line, Threshold, equity, requirement


@dataclass(frozen=True, slots=True)
class Factors:
    """What of collateral's value counts, by threshold name; and the category in which better ones may hold."""

    by_threshold: Mapping[str, Wad]
    category: str


@dataclass(frozen=True, slots=True)
class LendingParameters:
    """Factors of each asset, and of each category (e-mode) for accounts and assets that are both in it."""

    assets: Mapping[str, Factors]
    categories: Mapping[str, Factors]


def names(*levels: str) -> Names:
    """What is read of a model's parameters with these thresholds."""
    factors = by_name(leaves(*levels, "category"))
    return {"assets": factors, "categories": factors}


def read_lending(fields: Fields) -> LendingParameters:
    """`assets`: {name: {threshold: factor, …, "category": name}}, `categories`: {name: {threshold: factor, …}}."""
    return LendingParameters(_factors(fields.section("assets")), _factors(fields.section("categories")))


def _factors(section: Fields) -> dict[str, Factors]:
    found = {}
    for name in section.content:
        fields = section.section(name)
        numbers = {key: fields.number(key, low=0, high=1) for key in fields.content if key != "category"}
        found[name] = Factors(numbers, fields.text("category", ""))
    return found


def weighted_collateral(book: Book, parameters: LendingParameters, threshold: Threshold) -> Iterable[Line]:
    """Σ ⌊value·factor⌋; the factor is the category's where the account's and the asset's category are one (e-mode)."""
    for balance in book.collateral:
        asset = balance.quote.asset
        factor = factor_of(asset, book, parameters, threshold)
        yield equity(balance.named("collateral"), asset, down(unit_value(balance), factor))


def factored_collateral(book: Book, parameters: LendingParameters, threshold: Threshold) -> Iterable[Line]:
    """Σ ⌊value·collateralFactor⌋, whatever the category."""
    return weighted_collateral(replace(book, category=""), parameters, threshold)


def factor_of(asset: str, book: Book, parameters: LendingParameters, threshold: Threshold) -> Wad:
    """The factor of an asset at a threshold. Raises UnknownAsset when the parameters have none."""
    factors = parameters.assets.get(asset)
    if factors is not None and factors.category and factors.category == book.category:
        factors = parameters.categories.get(factors.category, factors)
    if factors is None or threshold.name not in factors.by_threshold:
        raise UnknownAsset(
            "the parameters have no factor for it",
            account=book.account,
            instrument=asset,
            field=f"parameters.assets.{asset}.{threshold.name}",
        )
    return factors.by_threshold[threshold.name]


def debts(book: Book, _: object, __: Threshold) -> Iterable[Line]:
    """Σ ⌈amount·price⌉; negative cash is a debt and positive cash is none."""
    for debt in book.debts:
        yield requirement(debt.named("debt"), debt.quote.asset, -value(-debt.amount, debt.quote.price))
    if book.cash < 0:
        yield requirement("debt", "USD", -book.cash)


def cash_supply(book: Book, _: object, __: Threshold) -> Iterable[Line]:
    """Positive cash, at its face."""
    if book.cash > 0:
        yield equity("cash", "USD", book.cash)


# === Liquidation quotes ===


def storefront_collateral(base: Money, price: Wad, liquidation_factor: Wad, storefront_factor: Wad) -> Wad:
    """Comet: units of collateral sold for `base`, at price·(1 − storefront·(1 − liquidationFactor)); rounded down."""
    discounted = product(price, ONE - product(storefront_factor, ONE - liquidation_factor))
    return Wad(base * (WAD * WAD // 10**12) // discounted)


CLOSE_FACTOR_HEALTH = Wad(95 * WAD // 100)
CLOSE_FACTOR_DUST = Money(2_000 * 10**12)


def close_limit(health: Wad, debt: Money, collateral: Money, total_debt: Money) -> Money:
    """Aave v3.3: all of a debt, but half of the total debt while HF > 0.95 and both sides are at least 2,000 USD."""
    if health > CLOSE_FACTOR_HEALTH and min(debt, collateral) >= CLOSE_FACTOR_DUST:
        return Money(min(debt, total_debt // 2))
    return debt
