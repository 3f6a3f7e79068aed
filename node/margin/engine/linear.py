"""Linear accounts at every threshold of their profile, very many at once, equal to the rules bit for bit.

    evaluate(accounts, prices) → Levels

Each product of amount, price and factor is exact and rounded against the account, as in the rules: ⌊⌊amount·price⌋·
factor⌋ for collateral, ⌈amount·price⌉ for debts, ⌊amount·(price − entry)⌋ and ⌈⌈|amount|·price⌉·rate⌉ for perpetuals.
Accounts go through in blocks that stay in the cache. Those whose sums could leave 2^62 (4.6 million USD), and those
whose amounts or prices have more digits than the columns hold, are evaluated by the same rules in Python's integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from node.margin.engine.accounts import Legs, LinearAccounts
from node.margin.engine.columns import LARGEST, BoolArray, PriceColumns, Ratios, StatusArray, rounded, weighted
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.errors import PortfolioError, UnknownAsset
from node.margin.models.fixed import Money, Wad, down, up, value
from node.margin.models.profile import HEALTHY, Threshold

BLOCK_LEGS = 1 << 15
REFUSED = -1
_MOST = (1 << 63) - 1
_Number = TypeVar("_Number", np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class Sums:
    """An account at one threshold. `moving` bounds the change of its excess when every price moves by its own size."""

    equity: Money
    requirement: Money
    moving: Money

    @property
    def excess(self) -> Money:
        """Equity less requirement."""
        return Money(self.equity - self.requirement)


@dataclass(frozen=True, slots=True)
class Levels:
    """Accounts at each threshold; arrays are [threshold, account], money in 1e-12 USD.

    `positions` is what perpetuals add to `moving`: their notional, and their profit so that |equity| and it
    bound the collateral; [account]. `beyond` has the accounts that were evaluated by the
    rules: their numbers are there, and in the arrays only as far as 63 bits reach. `refused` have no numbers.
    """

    thresholds: tuple[Threshold, ...]
    equity: IntArray
    requirement: IntArray
    positions: IntArray
    beyond: dict[int, tuple[Sums, ...]]
    refused: dict[int, PortfolioError]

    def sums(self, row: int, threshold: int) -> Sums:
        """One account at one threshold (by place), exactly."""
        if row in self.beyond:
            return self.beyond[row][threshold]
        has, needs = int(self.equity[threshold, row]), int(self.requirement[threshold, row])
        return Sums(Money(has), Money(needs), Money(abs(has) + needs + int(self.positions[row])))

    def statuses(self) -> StatusArray:
        """By account: 0 is healthy, i + 1 that thresholds[i] is the gravest that is not met, −1 refused."""
        found = np.zeros(self.equity.shape[1], np.int8)
        for place in range(len(self.thresholds)):
            found[self.equity[place] < self.requirement[place]] = place + 1
        for row, levels in self.beyond.items():
            unmet = [place + 1 for place, sums in enumerate(levels) if sums.excess < 0]
            found[row] = max(unmet, default=0)
        found[list(self.refused)] = REFUSED
        return found

    def status(self, code: int) -> str:
        """What a status is called."""
        return HEALTHY if code == 0 else "refused" if code == REFUSED else self.thresholds[code - 1].unmet


def evaluate(accounts: LinearAccounts, prices: PriceColumns) -> Levels:
    """Every account. What an account cannot be evaluated for is in `refused`, and stops no other."""
    count, thresholds = len(accounts), len(accounts.instruments.thresholds)
    levels = Levels(
        accounts.instruments.thresholds,
        np.zeros((thresholds, count), np.int64),
        np.zeros((thresholds, count), np.int64),
        np.zeros(count, np.int64),
        {},
        dict(accounts.refused),
    )
    by_rules = set(accounts.beside)
    exact_only = prices.exact_only(accounts.instruments.weights)
    with np.errstate(invalid="ignore"):  # casts of what is too large; those accounts are replaced below
        for first, last in _blocks(accounts):
            beyond = _evaluate_block(accounts, prices.ratios, exact_only, levels, slice(first, last))
            by_rules.update((first + beyond).tolist())
    for row in sorted(by_rules - accounts.refused.keys()):
        try:
            _put(levels, row, _by_rules(accounts, prices, row))
        except PortfolioError as error:
            levels.refused[row] = error
    return levels


def _blocks(accounts: LinearAccounts) -> Iterator[tuple[int, int]]:
    legs = sum(len(kind) for kind in accounts.kinds)
    step = max(1, BLOCK_LEGS * len(accounts) // max(legs, 1))
    for first in range(0, len(accounts), step):
        yield first, min(first + step, len(accounts))


@dataclass(frozen=True, slots=True)
class _Part:
    """The legs of one kind of a block of accounts, and how to add them up by account."""

    legs: Legs
    own: slice
    places: IntArray
    amounts: IntArray
    starts: IntArray
    filled: BoolArray | None

    @classmethod
    def between(cls, legs: Legs, first: int, last: int) -> _Part:
        starts = legs.starts[first : last + 1].astype(np.int64)
        own = slice(starts[0], starts[-1])
        filled = None if legs.complete else starts[1:] > starts[:-1]
        starts -= starts[0]
        starts = starts[:-1]
        return cls(legs, own, legs.instruments[own].astype(np.int64), legs.amounts[own], starts, filled)

    def about(self) -> FloatArray:
        """The floats of the amounts."""
        return self.legs.about(self.own)

    def of(self, column: NDArray[_Number]) -> NDArray[_Number]:
        """Each leg's number, by its instrument."""
        return column.take(self.places, mode="wrap")  # they are in range, and this is the fastest way to take them

    def sums(self, numbers: NDArray[_Number]) -> NDArray[_Number]:
        """By account."""
        if self.filled is None:
            return np.add.reduceat(numbers, self.starts)
        found = np.zeros(len(self.starts), numbers.dtype)
        if len(numbers):
            found[self.filled] = np.add.reduceat(numbers, self.starts[self.filled])
        return found


def _evaluate_block(
    accounts: LinearAccounts, prices: Ratios, exact_only: BoolArray | None, levels: Levels, block: slice
) -> IntArray:
    """Fill in the levels of a block; the rows that the arrays cannot hold, counted from its first."""
    first, last = block.start, block.stop
    parts = [_Part.between(legs, first, last) for legs in accounts.kinds]
    grown = [
        (part, evaluate_kind(part, accounts.instruments.weights, prices, levels, block))
        for part, evaluate_kind in zip(parts, (_collateral, _debts, _perpetuals), strict=True)
        if len(part.amounts)
    ]
    large = sum(float(sizes.max()) * part.legs.longest for part, sizes in grown) >= LARGEST
    if not large and exact_only is None:
        return np.zeros(0, np.int64)
    beyond = np.zeros(last - first, np.bool_)
    if large:
        beyond |= sum((part.sums(sizes) for part, sizes in grown), start=np.zeros(last - first)) >= LARGEST
    if exact_only is not None:
        for part, _ in grown:
            beyond |= part.sums(exact_only[part.places].astype(np.int64)) > 0
    return np.flatnonzero(beyond)


def _collateral(part: _Part, weights: Sequence[Ratios], prices: Ratios, levels: Levels, block: slice) -> FloatArray:
    """⌊⌊amount·price⌋·factor⌋; gives about how large the values are."""
    near = part.about()
    near *= part.of(prices.nearest)
    values = rounded(part.amounts, part.of(prices.multiplier), prices.divisor, near)
    for threshold, counted in enumerate(weighted(values, weights, part.places)):
        levels.equity[threshold, block] += part.sums(counted)
    return near


def _debts(part: _Part, _: Sequence[Ratios], prices: Ratios, levels: Levels, block: slice) -> FloatArray:
    """⌈amount·price⌉, at every threshold; gives about how large they are."""
    near = part.about()
    near *= part.of(prices.nearest)
    owed = rounded(part.amounts, part.of(prices.multiplier), prices.divisor, near, up=True)
    levels.requirement[:, block] += part.sums(owed)
    return near


def _perpetuals(part: _Part, weights: Sequence[Ratios], prices: Ratios, levels: Levels, block: slice) -> FloatArray:
    """⌊amount·(price − entry)⌋ and ⌈⌈|amount|·price⌉·rate⌉; gives about how large both prices' notionals are."""
    assert part.legs.entries is not None  # noqa: S101 - of perpetuals
    entries, about = part.legs.entries[part.own], part.about()
    sign = np.sign(about)
    about *= sign
    size = part.amounts * sign.astype(np.int64)  # |amount| modulo 2^64
    multiplier = part.of(prices.multiplier)
    notional = about * part.of(prices.nearest)
    entered = entries * prices.nearest[part.places + len(prices.nearest) // 2]
    entered *= about
    paid = entries * prices.multiplier[part.places + len(prices.multiplier) // 2]
    about_profits = (notional - entered) * sign
    profits = rounded(part.amounts, multiplier - paid, prices.divisor, about_profits)
    sizes = rounded(-size, multiplier, prices.divisor, -notional)
    gained = part.sums(profits)
    levels.equity[:, block] += gained
    levels.positions[block] += np.abs(gained) - part.sums(sizes)
    for threshold, margins in enumerate(weighted(sizes, weights, part.places)):
        levels.requirement[threshold, block] -= part.sums(margins)
    return notional + entered


def _by_rules(accounts: LinearAccounts, prices: PriceColumns, row: int) -> tuple[Sums, ...]:
    """One account, leg by leg in Python's integers. Raises UnknownAsset for a leg without a price."""
    legs, every = accounts.exact(row), range(len(accounts.instruments.thresholds))
    has, needs, notional = [0] * len(every), [0] * len(every), 0

    def price(place: int) -> Wad:
        instrument = accounts.instruments[place]
        if instrument.price not in prices.prices:
            raise UnknownAsset(
                "it has no price", account=accounts.name(row), instrument=instrument.name, field="market"
            )
        return prices.prices[instrument.price]

    for place, amount, _ in legs.collateral:
        worth = value(amount, price(place))
        for threshold in every:
            has[threshold] += down(worth, accounts.instruments[place].weights[threshold])
    counted = tuple(has)
    for place, amount, _ in legs.debts:
        owed = -value(-amount, price(place))
        for threshold in every:
            needs[threshold] += owed
    for place, amount, entry in legs.perpetuals:
        profit, size = value(amount, price(place) - entry), -value(-abs(amount), price(place))
        notional += size
        for threshold in every:
            has[threshold] += profit
            needs[threshold] += up(size, accounts.instruments[place].weights[threshold])
    return tuple(
        Sums(Money(has[threshold]), Money(needs[threshold]), Money(counted[threshold] + needs[threshold] + notional))
        for threshold in every
    )


def _put(levels: Levels, row: int, found: tuple[Sums, ...]) -> None:
    levels.beyond[row] = found
    for threshold, sums in enumerate(found):
        levels.equity[threshold, row] = max(-_MOST, min(_MOST, sums.equity))
        levels.requirement[threshold, row] = min(_MOST, sums.requirement)
