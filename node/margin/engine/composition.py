"""Linear profiles: which rules of the models they compose, and what their columns are filled from.

An account is linear when each of its lines is an amount, times a price, times what counts or is needed of it. The
rules are those of the models; the profile names beside them the same parameters as functions of an asset and a
threshold. Whoever evaluates asks for nothing else, and never which profile it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic

from node.margin.models import lending
from node.margin.models.book import Book, Future, Perpetual, gain
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields
from node.margin.models.fixed import Wad, up, value
from node.margin.models.profile import Line, Parameters, Profile, Threshold, composed, equity, requirement
from node.margin.models.profiles import BORROW_AND_LIQUIDATION, COMPOUND, INITIAL_AND_MAINTENANCE, LTV


@dataclass(frozen=True, slots=True)
class Linear(Generic[Parameters]):
    """A linear profile. `spec` says it by rules; the rest says the same to columns.

    `holds` are the sections of a book that the rules know. `factor` is what counts of collateral; `rate` what is needed
    of a position's notional, None where the rules know no positions. Both take asset, book, parameters and threshold,
    and raise UnknownAsset.
    """

    spec: Profile
    thresholds: tuple[Threshold, ...]
    holds: tuple[str, ...]
    read: Callable[[Fields], Parameters]
    factor: Callable[[str, Book, Parameters, Threshold], Wad]
    rate: Callable[[str, Book, Parameters, Threshold], Wad] | None


@dataclass(frozen=True, slots=True)
class CrossParameters:
    """Factors of collateral, and rates of perpetuals by asset and threshold."""

    lending: lending.LendingParameters
    rates: Mapping[str, Mapping[str, Wad]]


def read_cross(fields: Fields) -> CrossParameters:
    """As read_lending, and `perpetuals`: {asset: {threshold: rate, …}}."""
    rates = {}
    perpetuals = fields.section("perpetuals")
    for asset in perpetuals.content:
        each = perpetuals.section(asset)
        rates[asset] = {name: each.number(name, low=0, high=1) for name in each.content}
    return CrossParameters(lending.read_lending(fields), rates)


def cross_factor(asset: str, book: Book, parameters: CrossParameters, threshold: Threshold) -> Wad:
    """lending.factor_of."""
    return lending.factor_of(asset, book, parameters.lending, threshold)


def cross_rate(asset: str, book: Book, parameters: CrossParameters, threshold: Threshold) -> Wad:
    """What of an asset's notional is needed at a threshold."""
    rates = parameters.rates.get(asset, {})
    if threshold.name not in rates:
        raise UnknownAsset(
            "the parameters have no rate for it",
            account=book.account,
            instrument=asset,
            field=f"parameters.perpetuals.{asset}.{threshold.name}",
        )
    return rates[threshold.name]


def cross_collateral(book: Book, parameters: CrossParameters, threshold: Threshold) -> Iterable[Line]:
    """Σ ⌊value·factor⌋, as in lending."""
    return lending.weighted_collateral(book, parameters.lending, threshold)


def cross_profits(book: Book, _: CrossParameters, __: Threshold) -> Iterable[Line]:
    """⌊amount·(price − entry)⌋ of each perpetual and dated future, with its funding."""
    for position in positions(book):
        yield equity("profit", position.quote.asset, gain(position, mark(position)))


def cross_margin(book: Book, parameters: CrossParameters, threshold: Threshold) -> Iterable[Line]:
    """⌈⌈|amount|·price⌉·rate⌉ of each perpetual and dated future."""
    for position in positions(book):
        asset = position.quote.asset
        notional = -value(-abs(position.amount), mark(position))
        yield requirement("margin", asset, up(notional, cross_rate(asset, book, parameters, threshold)))


def positions(book: Book) -> tuple[Perpetual | Future, ...]:
    """Perpetuals, then dated futures."""
    return *book.perpetuals, *book.futures


def mark(position: Perpetual | Future) -> Wad:
    """The price that a position is valued at."""
    return position.forward if isinstance(position, Future) else position.price


_LENDING_SECTIONS = ("collateral", "debts")
_CROSS_SECTIONS = (*_LENDING_SECTIONS, "perpetuals", "futures")

CROSS = composed(
    "cross",
    "Weighted collateral, debts and perpetuals in one account: profits at their face, margin by notional",
    INITIAL_AND_MAINTENANCE,
    (cross_collateral, lending.cash_supply, lending.debts, cross_profits, cross_margin),
    read_cross,
    {},
    _CROSS_SECTIONS,
)


def _whatever_category(asset: str, book: Book, parameters: lending.LendingParameters, threshold: Threshold) -> Wad:
    return lending.factor_of(asset, replace(book, category=""), parameters, threshold)


LTV_COLUMNS = Linear(LTV, BORROW_AND_LIQUIDATION, _LENDING_SECTIONS, lending.read_lending, lending.factor_of, None)
COMPOUND_COLUMNS = Linear(
    COMPOUND, BORROW_AND_LIQUIDATION, _LENDING_SECTIONS, lending.read_lending, _whatever_category, None
)
CROSS_COLUMNS = Linear(CROSS, INITIAL_AND_MAINTENANCE, _CROSS_SECTIONS, read_cross, cross_factor, cross_rate)
