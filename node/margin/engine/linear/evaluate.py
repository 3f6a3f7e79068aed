"""Linear accounts at every threshold of their profile, very many at once, equal to the rules bit for bit.

    evaluate(accounts, prices) → Levels

Each product of amount, price and factor is exact and rounded against the account, as in the rules: ⌊⌊amount·price⌋·
factor⌋ for collateral, ⌈amount·price⌉ for debts, ⌊amount·(price − entry)⌋ and ⌈⌈|amount|·price⌉·rate⌉ for perpetuals.
Accounts go through in blocks that stay in the cache. Those whose sums could leave 2^62 (4.6 million USD), and those
whose amounts or prices have more digits than the columns hold, are evaluated by the same rules in Python's integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chains.errors import InputError
from node.margin.engine.linear.accounts import LinearAccounts
from node.margin.engine.linear.blocks import Part, blocks
from node.margin.engine.linear.columns import LARGEST, BoolArray, PriceColumns, Ratios, rounded, weighted
from node.margin.engine.linear.levels import Levels, Sums
from node.margin.math.products import FloatArray, IntArray
from node.margin.models.errors import PortfolioError, UnknownAsset
from node.margin.models.fixed import Money, Wad, down, up, value
from node.margin.models.profile import Threshold


@dataclass(frozen=True, slots=True)
class LinearLevels(Levels):
    """Levels that know how far prices move them.

    `positions` is what perpetuals add to it: their notional, and their profit so that |equity| and it bound the
    collateral; [account]. `moving` has what bounds the change of the excess of those `beyond` when every price moves by
    its own size, by threshold.
    """

    positions: IntArray
    moving: dict[int, tuple[Money, ...]]

    @classmethod
    def blank(
        cls, thresholds: tuple[Threshold, ...], accounts: int, refused: Mapping[int, PortfolioError]
    ) -> LinearLevels:
        """To be filled in."""
        shape = len(thresholds), accounts
        zeros = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        return cls(thresholds, *zeros, {}, dict(refused), np.zeros(accounts, np.int64), {})

    def moved(self, threshold: int) -> FloatArray:
        """About what bounds the change of each account's excess when every price moves by its own size."""
        found: FloatArray = (
            np.abs(self.equity[threshold]).astype(np.float64) + self.requirement[threshold] + self.positions
        )
        for row, moving in self.moving.items():
            found[row] = moving[threshold]
        return found


def evaluate(accounts: LinearAccounts, prices: PriceColumns) -> LinearLevels:
    """Every account. What an account cannot be evaluated for is in `refused`, and stops no other.

    Raises InputError for accounts whose cash or funding is not of legs.
    """
    if accounts.cash is not None or accounts.perpetuals.funding is not None:
        raise InputError("cash and funding of linear accounts are legs of dollars", accounts=len(accounts))
    levels = LinearLevels.blank(accounts.instruments.thresholds, len(accounts), accounts.refused)
    by_rules = set(accounts.beside)
    exact_only = prices.exact_only(accounts.instruments.weights)
    with np.errstate(invalid="ignore"):  # casts of what is too large; those accounts are replaced below
        for block in blocks(accounts):
            beyond = _evaluate_block(accounts, prices.ratios, exact_only, levels, block)
            by_rules.update((block.start + beyond).tolist())
    for row in sorted(by_rules - accounts.refused.keys()):
        try:
            _by_rules(accounts, prices, row, levels)
        except PortfolioError as error:
            levels.refused[row] = error
    return levels


def _evaluate_block(
    accounts: LinearAccounts, prices: Ratios, exact_only: BoolArray | None, levels: LinearLevels, block: slice
) -> IntArray:
    """Fill in the levels of a block; the rows that the arrays cannot hold, counted from its first."""
    parts = [Part.of_block(legs, block) for legs in accounts.kinds]
    grown = [
        (part, evaluate_kind(part, accounts.instruments.weights, prices, levels, block))
        for part, evaluate_kind in zip(parts, (_collateral, _debts, _perpetuals), strict=True)
        if len(part)
    ]
    large = sum(float(sizes.max()) * part.legs.longest for part, sizes in grown) >= LARGEST
    if not large and exact_only is None:
        return np.zeros(0, np.int64)
    count = block.stop - block.start
    beyond = np.zeros(count, np.bool_)
    if large:
        beyond |= sum((part.sums(sizes) for part, sizes in grown), start=np.zeros(count)) >= LARGEST
    if exact_only is not None:
        for part, _ in grown:
            beyond |= part.sums(exact_only[part.places].astype(np.int64)) > 0
    return np.flatnonzero(beyond)


def _collateral(
    part: Part, weights: Sequence[Ratios], prices: Ratios, levels: LinearLevels, block: slice
) -> FloatArray:
    """⌊⌊amount·price⌋·factor⌋; gives about how large the values are."""
    near = part.about()
    near *= part.of(prices.nearest)
    values = rounded(part.amounts, part.of(prices.multiplier), prices.divisor, near)
    for threshold, counted in enumerate(weighted(values, weights, part.places)):
        levels.equity[threshold, block] += part.sums(counted)
    return near


def _debts(part: Part, _: Sequence[Ratios], prices: Ratios, levels: LinearLevels, block: slice) -> FloatArray:
    """⌈amount·price⌉, at every threshold; gives about how large they are."""
    near = part.about()
    near *= part.of(prices.nearest)
    owed = rounded(part.amounts, part.of(prices.multiplier), prices.divisor, near, up=True)
    levels.requirement[:, block] += part.sums(owed)
    return near


def _perpetuals(
    part: Part, weights: Sequence[Ratios], prices: Ratios, levels: LinearLevels, block: slice
) -> FloatArray:
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


def _by_rules(accounts: LinearAccounts, prices: PriceColumns, row: int, levels: LinearLevels) -> None:
    """Fill in one account, leg by leg in Python's integers. Raises UnknownAsset for a leg without a price."""
    legs, every = accounts.exact(row), range(len(accounts.instruments.thresholds))
    has, needs, notional = [0] * len(every), [0] * len(every), 0

    def price(place: int) -> Wad:
        instrument = accounts.instruments[place]
        if instrument.price not in prices.prices:
            raise UnknownAsset(
                "it has no price", account=accounts.name(row), instrument=instrument.name, field="market"
            )
        return prices.prices[instrument.price]

    for leg in legs.collateral:
        worth = value(leg.amount, price(leg.instrument))
        for threshold in every:
            has[threshold] += down(worth, accounts.instruments[leg.instrument].weights[threshold])
    counted = tuple(has)
    for leg in legs.debts:
        owed = -value(-leg.amount, price(leg.instrument))
        for threshold in every:
            needs[threshold] += owed
    for leg in legs.perpetuals:
        mark = price(leg.instrument)
        profit, size = value(leg.amount, mark - leg.entry), -value(-abs(leg.amount), mark)
        notional += size
        for threshold in every:
            has[threshold] += profit
            needs[threshold] += up(size, accounts.instruments[leg.instrument].weights[threshold])
    levels.put(row, tuple(Sums(Money(has[each]), Money(needs[each])) for each in every))
    levels.moving[row] = tuple(Money(counted[each] + needs[each] + notional) for each in every)
