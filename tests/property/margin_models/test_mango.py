"""The profile `mango` counts in integers what its formulas say in fractions, and never more for the account."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models import mango
from node.margin.models.book import Balance, Book, Perpetual
from node.margin.models.fixed import ONE, PICO, WAD, Money, Wad
from node.margin.models.mango import MangoMarket, MangoParameters, PerpPosition, Token, Weights
from node.margin.models.market import Quote
from node.margin.models.profile import Side
from node.margin.models.profiles import MANGO

wads = st.integers(1, 10**6 * WAD).map(Wad)
weights = st.builds(Weights, *(st.integers(0, 3 * WAD).map(Wad) for _ in range(3)))
starts = st.one_of(st.none(), wads)
markets = st.builds(
    MangoMarket,
    st.tuples(weights, weights).map(lambda pair: {"initial": pair[0], "liq_end": pair[0], "maintenance": pair[1]}),
    starts,
    starts,
)
quotes = st.builds(Quote, st.just("SOL"), wads, wads, wads, st.just(ONE), st.just(Money(0)), wads, wads, st.just(9))


def fraction(number: int) -> Fraction:
    return Fraction(number, WAD)


def prices(quote: Quote, level: str) -> tuple[Fraction, Fraction]:
    """Of assets and of liabilities."""
    both = (quote.price, quote.stable) if level == "initial" else (quote.price,)
    return fraction(min(both)), fraction(max(both))


def token(balance: Fraction, quote: Quote, market: MangoMarket, level: str) -> Token:
    asset_price, liability_price = prices(quote, level)
    asset, liability = fraction(market.weights[level].asset), fraction(market.weights[level].liability)
    if level == "initial":
        deposit, borrow = (
            None if each is None else fraction(each) for each in (market.deposit_start, market.borrow_start)
        )
        asset = mango.deposit_scaled(asset, fraction(quote.deposits) * liability_price, deposit)
        liability = mango.borrow_scaled(liability, fraction(quote.borrows) * liability_price, borrow)
    return Token(balance, asset, liability, asset_price, liability_price)


def position(held: Perpetual, market: MangoMarket, level: str) -> PerpPosition:
    amount, own = fraction(held.amount), market.weights[level]
    asset_price, liability_price = prices(held.quote, level)
    sign = 1 if amount > 0 else -1
    quote = Fraction(held.funding, PICO) - amount * fraction(held.entry)
    lot = abs(amount) * (asset_price if amount > 0 else liability_price)
    each = (fraction(own.asset), fraction(own.liability), fraction(own.overall))
    return PerpPosition(0, sign, quote, 0, 0, lot, *each)


@given(
    quotes, markets, markets, wads, wads, wads, wads.flatmap(lambda size: st.sampled_from([size, -size])),
    st.integers(-(10**20), 10**20),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_lines_are_the_formulas_rounded_against_the_account(
    quote: Quote, spot: MangoMarket, perpetual: MangoMarket, held: Wad, owed: Wad, entry: Wad, amount: int, funding: int
) -> None:
    own = Perpetual(Wad(amount), entry, Money(funding), quote)
    book = Book("", "", Money(0), (Balance(held, quote),), (Balance(owed, quote),), (own,), ())
    for level in MANGO.levels(book, MangoParameters({"SOL": spot}, {"SOL": perpetual})):
        name = level.threshold.name
        exact = {
            "collateral": token(fraction(held), quote, spot, name).worth(fraction(held)),
            "debt": token(fraction(-owed), quote, spot, name).worth(fraction(-owed)),
            "perpetual": mango.perpetual_health(position(own, perpetual, name)),
        }
        for line in level.lines[1:]:
            counted = Fraction(line.amount if line.side is Side.EQUITY else -line.amount, PICO)
            assert 0 <= exact[line.component] - counted <= slack(exact[line.component], held, owed, quote, spot)


def slack(exact: Fraction, held: int, owed: int, quote: Quote, spot: MangoMarket) -> Fraction:
    """Each product loses less than 1e-12 USD, times at most 3 twice and the scale; a scaled weight less than 1e-18."""
    price = fraction(max(quote.price, quote.stable))
    scale = max(Fraction(1), fraction(quote.borrows) * price / fraction(spot.borrow_start or ONE))
    return 20 * scale / PICO + fraction(max(held, owed)) * price / WAD + abs(exact) / WAD
