"""Scenario grids (`deribit-like`, `paradex-like`) for many accounts of one market, equal to the rules bit for bit.

    frame = Frame.of(books, parameters)                  the marks, once
    margins(positions, frame)                            → equity and both requirements of a batch

Floors and contingencies follow from deltas and sizes as integers, rounded where the rules round; what is in coin is
linear in its coin. Must not know how losses are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.margin.engine.portfolio import in_wads
from node.margin.engine.scanning.accounts import LARGEST_CHARGE, Held, Market, Positions, positions, positions_held
from node.margin.engine.scanning.scan import Found, Margins, Required, evaluated, hedged, larger, scanned
from node.margin.math.amounts import Amounts
from node.margin.math.products import IntArray
from node.margin.models import grids
from node.margin.models.book import Book, unit_value
from node.margin.models.fixed import ONE, Wad, product, value
from node.margin.models.grids import GridParameters
from node.margin.models.profiles import DERIBIT
from node.margin.models.shocks import quote_on, underlyings

GRID = DERIBIT
"""Every grid has the same rules."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A market under a grid: the prices of its underlyings in order, zero for what is only collateral."""

    parameters: GridParameters
    market: Market
    prices: tuple[Wad, ...]

    @classmethod
    def of(cls, books: Sequence[Book], parameters: GridParameters) -> Frame:
        """Of all that books of one market hold."""
        prices = {asset: Wad(0) for book in books for asset in grids.coins(book, parameters.stables)}
        prices |= {asset: quote_on(book, asset).price for book in books for asset in underlyings(book)}
        known = [asset for asset in sorted(prices) if prices[asset] <= LARGEST_CHARGE]
        market = Market.of(books, dict.fromkeys(known, parameters.moves))
        return cls(parameters, market, tuple(prices[asset] for asset in known))

    @property
    def has_floor(self) -> bool:
        """Whether deltas are looked at."""
        return bool(self.parameters.net_delta_floor or self.parameters.hedged_delta_floor)


def evaluate(books: Sequence[Book], parameters: GridParameters) -> Margins:
    """Every account of one market. No account stops another."""
    frame = Frame.of(books, parameters)
    batches, left = positions(books, frame.market, lambda book: held_of(book, parameters))
    found = ((held.batch.accounts, margins(held, frame)) for held in batches)
    return evaluated(books, found, left, GRID, parameters)


def held_of(book: Book, parameters: GridParameters) -> Held:
    """What an account has besides options: positions, and what it holds and owes in coin and in dollars."""
    of_positions = positions_held(book, grids.coins(book, parameters.stables))
    held = sum(map(unit_value, book.collateral))
    owed = sum(-value(-debt.amount, debt.quote.price) for debt in book.debts)
    return of_positions._replace(equity=of_positions.equity + held, owed=owed)


def margins(held: Positions, frame: Frame) -> Required:
    """Equity, and the requirement at the initial and the maintenance threshold, of the accounts of a batch in order."""
    rules, market = frame.parameters, frame.market
    equity, initial, maintenance = held.equity, held.owed.copy(), held.owed.copy()

    def require(base: Amounts, rows: IntArray | slice, rate: Wad = ONE, reduced: Wad = rules.maintenance) -> None:
        initial.add(rows, base.up(rate))
        maintenance.add(rows, base.up(reduced))

    found = scanned(held, market, with_deltas=frame.has_floor)
    for each, place, price, numbers in zip(market.underlyings, market.places, frame.prices, found, strict=True):
        equity += numbers.option_value
        floor = _floor(numbers, price, rules) if frame.has_floor else Amounts.zeros(len(held.batch))
        require(larger(numbers.scan, floor), slice(None))
        rate = rules.option_contingency
        if rate and place is not None:
            short = in_wads(held.short[:, place], held.batch.decimals)
            require(short.cost(price), slice(None), rate, product(rate, rules.maintenance))
        rate = rules.future_contingency
        if rate and each.asset in held.linear:
            linear = held.linear[each.asset]
            require(linear.amount.cost(price), linear.rows, rate, product(rate, rules.maintenance))
    return equity.whole(), initial.whole(), maintenance.whole()


def _floor(numbers: Found, price: Wad, rules: GridParameters) -> Amounts:
    """netRate·|net|·price and hedgedRate·hedged·price, each rounded up twice."""
    net = (-numbers.net.losses()).whole().cost(price).up(rules.net_delta_floor)
    return net + hedged(numbers).cost(price).up(rules.hedged_delta_floor)
