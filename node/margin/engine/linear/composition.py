"""Linear profiles: what the columns of `ltv`, `compound` and `cross` are filled from.

An account is linear when each of its lines is an amount, times a price, times what counts or is needed of it. The
rules are those of the models; beside the profile stand the same parameters as functions of an asset and a threshold.
Whoever evaluates asks for nothing else, and never which profile it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic

from node.margin.models import cross, lending
from node.margin.models.book import Book
from node.margin.models.fixed import Wad
from node.margin.models.profile import Composed, Parameters, Threshold
from node.margin.models.profiles import COMPOUND, CROSS, LTV


@dataclass(frozen=True, slots=True)
class Linear(Generic[Parameters]):
    """A linear profile. `spec` says it by rules; the rest says the same to columns.

    `factor` is what counts of collateral; `rate` what is needed of a position's notional, None where the rules know no
    positions. Both take asset, book, parameters and threshold, and raise UnknownAsset.
    """

    spec: Composed[Parameters]
    factor: Callable[[str, Book, Parameters, Threshold], Wad]
    rate: Callable[[str, Book, Parameters, Threshold], Wad] | None


def _whatever_category(asset: str, book: Book, parameters: lending.LendingParameters, threshold: Threshold) -> Wad:
    return lending.factor_of(asset, replace(book, category=""), parameters, threshold)


LTV_COLUMNS = Linear(LTV, lending.factor_of, None)
COMPOUND_COLUMNS = Linear(COMPOUND, _whatever_category, None)
CROSS_COLUMNS = Linear(CROSS, cross.factor_of, cross.rate_of)
