"""Cross margin: weighted collateral, debts, perpetuals and futures in one account, at rates that size leaves alone.

The plain form of what venues do, for those without a model of their own. Profits and losses count at their face.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from node.margin.models import lending
from node.margin.models.book import Book, Future, Perpetual, gain
from node.margin.models.errors import UnknownAsset
from node.margin.models.fields import Fields, Names, by_name, leaves
from node.margin.models.fixed import Wad, up, value
from node.margin.models.profile import Line, Threshold, equity, requirement


@dataclass(frozen=True, slots=True)
class CrossParameters:
    """Factors of collateral, and rates of positions by asset and threshold."""

    lending: lending.LendingParameters
    rates: Mapping[str, Mapping[str, Wad]]


def names(*levels: str) -> Names:
    """What is read of a model's parameters with these thresholds."""
    return {**lending.names(*levels), "perpetuals": by_name(leaves(*levels))}


def read_cross(fields: Fields) -> CrossParameters:
    """As read_lending, and `perpetuals`: {asset: {threshold: rate, …}}."""
    rates = {}
    perpetuals = fields.section("perpetuals")
    for asset in perpetuals.content:
        each = perpetuals.section(asset)
        rates[asset] = {name: each.number(name, low=0, high=1) for name in each.content}
    return CrossParameters(lending.read_lending(fields), rates)


def factor_of(asset: str, book: Book, parameters: CrossParameters, threshold: Threshold) -> Wad:
    """lending.factor_of."""
    return lending.factor_of(asset, book, parameters.lending, threshold)


def rate_of(asset: str, book: Book, parameters: CrossParameters, threshold: Threshold) -> Wad:
    """What of an asset's notional is needed at a threshold. Raises UnknownAsset when the parameters do not say."""
    rates = parameters.rates.get(asset, {})
    if threshold.name not in rates:
        raise UnknownAsset(
            "the parameters have no rate for it",
            account=book.account,
            instrument=asset,
            field=f"parameters.perpetuals.{asset}.{threshold.name}",
        )
    return rates[threshold.name]


def positions(book: Book) -> tuple[Perpetual | Future, ...]:
    """Perpetuals, then dated futures."""
    return *book.perpetuals, *book.futures


def mark(position: Perpetual | Future) -> Wad:
    """The price that a position is valued at."""
    return position.forward if isinstance(position, Future) else position.price


def collateral(book: Book, parameters: CrossParameters, threshold: Threshold) -> Iterable[Line]:
    """Σ ⌊value·factor⌋, as in lending."""
    return lending.weighted_collateral(book, parameters.lending, threshold)


def profits(book: Book, _: CrossParameters, __: Threshold) -> Iterable[Line]:
    """⌊amount·(price − entry)⌋ of each perpetual and dated future, with its funding."""
    for position in positions(book):
        yield equity("profit", _name(position), gain(position, mark(position)))


def margins(book: Book, parameters: CrossParameters, threshold: Threshold) -> Iterable[Line]:
    """⌈⌈|amount|·price⌉·rate⌉ of each perpetual and dated future."""
    for position in positions(book):
        asset = position.quote.asset
        notional = -value(-abs(position.amount), mark(position))
        yield requirement("margin", _name(position), up(notional, rate_of(asset, book, parameters, threshold)))


def _name(position: Perpetual | Future) -> str:
    """A future's own name, as an account may hold a perpetual on the same asset."""
    return position.name if isinstance(position, Future) else position.quote.asset
