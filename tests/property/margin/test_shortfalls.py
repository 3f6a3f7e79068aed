"""What holds whatever the vaults lack: nobody gains by a shortfall, and a seizure is still worth what it pays off."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chains.types import Address, Amount, ChainId, TokenFact
from node.margin import MarginContext, SeizureLeg, evaluate, plan_liquidation, spec
from node.model.ledger import AccountView
from tests.property.margin.books import NO_DUST, PLACES, Prices, accounts, fresh_prices, liquidations
from tests.unit.margin.books import DECIMALS, executed, market

Facts = dict[tuple[ChainId, Address], TokenFact | None]


def fact(booked: int, held: int) -> TokenFact:
    return TokenFact(Amount(booked), Amount(held))


short = st.builds(lambda booked, held: fact(booked, min(held, booked)), st.integers(1, 10**30), st.integers(1, 10**30))
any_fact = short | st.none() | st.just(TokenFact(Amount(1), Amount(0), disputed=True))


def facts(kinds: st.SearchStrategy[TokenFact | None] = any_fact) -> st.SearchStrategy[Facts]:
    return st.dictionaries(st.sampled_from(PLACES), kinds, max_size=len(PLACES))


def with_tokens(prices: Prices, tokens: Facts) -> MarginContext:
    return market(prices, tokens=tokens, rules=NO_DUST)


def worth(leg: SeizureLeg, context: MarginContext, *, more: int = 0) -> Fraction:
    """The least that the vault may pay for a leg, at the low prices; each amount `more` base units higher."""
    total = Fraction(0)
    for token, _, minimum in leg.items:
        place = leg.chain_id, token
        asset = context.policy.token_by_place[place].asset
        total += Fraction(minimum + more, 10 ** DECIMALS[place]) * context.prices[asset].low
    return total


@settings(max_examples=150, deadline=None)
@given(accounts(), fresh_prices(), facts())
def test_what_a_vault_lacks_makes_nothing_worth_more(view: AccountView, prices: Prices, tokens: Facts) -> None:
    whole, lacking = evaluate(view, with_tokens(prices, {})), evaluate(view, with_tokens(prices, tokens))
    assert lacking.maintenance_excess.low <= whole.maintenance_excess.low
    assert lacking.maintenance_excess.high <= whole.maintenance_excess.high
    for line, before in zip(lacking.holdings, whole.holdings, strict=True):
        assert 0 <= line.value.low <= before.value.low
        assert line.value.low <= line.value.high <= before.value.high


@settings(max_examples=150, deadline=None)
@given(liquidations(), facts())
def test_a_seizure_in_a_shortfall_is_worth_what_it_pays_off(book: tuple[AccountView, Prices], tokens: Facts) -> None:
    view, context = book[0], with_tokens(book[1], tokens)
    for leg in plan_liquidation(view, context):
        held = dict(view.holdings[leg.chain_id].balances)
        assert all(0 < item.minimum <= item.amount <= held[item.token] for item in leg.items)
        facts_of = [context.tokens[leg.chain_id, item.token] for item in leg.items]
        assert not any(each.disputed for each in facts_of)
        for item, each in zip(leg.items, facts_of, strict=True):
            assert spec.pro_rata(item.amount, each.held, each.booked) >= item.minimum
            assert spec.pro_rata(item.amount - 1, each.held, each.booked) < item.minimum
        assert 0 < leg.credit <= worth(leg, context)


@settings(max_examples=150, deadline=None)
@given(liquidations(), facts(short))
def test_a_plan_in_a_shortfall_leaves_the_account_no_worse(book: tuple[AccountView, Prices], tokens: Facts) -> None:
    view, context = book[0], with_tokens(book[1], tokens)
    legs = plan_liquidation(view, context)
    assume(legs)
    before, after = evaluate(view, context), evaluate(executed(view, legs), context)
    rounding = sum(worth(leg, context, more=2) - worth(leg, context) + 5 * len(leg.items) for leg in legs)
    assert after.maintenance_excess.low >= before.maintenance_excess.low - rounding


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2**128), min_size=1, max_size=8), st.integers(0, 2**130))
def test_all_holders_together_get_no_more_than_there_is(books: list[int], held: int) -> None:
    booked = sum(books)
    shares = [spec.pro_rata(each, held, booked) for each in books]
    assert sum(shares) <= min(held, booked)
    assert sum(shares) > min(held, booked) - len(books)
    assert all(share <= each for share, each in zip(shares, books, strict=True))
