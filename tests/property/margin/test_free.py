"""What wallets hold changes no figure, no withdrawal and no plan, whatever it is and by whatever rules is judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.types import Address, Amount, ChainId
from node.margin import evaluate, plan_liquidation, withdrawal_refusal
from node.margin.policy import Policy
from node.model.health import Reason
from node.model.ledger import AccountView, FreeHoldings, Holdings
from tests.property.margin.books import NO_DUST, PLACES, Prices, accounts, any_prices, liquidations
from tests.unit.margin.books import ALL_ASSETS, A, B, market, profile_policy

UNKNOWN = Address(b"\xfe" * 20)
amounts = st.none() | st.integers(1, 2**256 - 1).map(Amount)


@st.composite
def wallets(draw: st.DrawFn, chain_id: ChainId) -> tuple[FreeHoldings, ...]:
    tokens = [token for chain, token in PLACES if chain == chain_id] + [UNKNOWN]
    found = draw(
        st.dictionaries(st.binary(min_size=20, max_size=20), st.dictionaries(st.sampled_from(tokens), amounts))
    )
    return tuple(FreeHoldings(Address(each), tuple(sorted(held.items()))) for each, held in sorted(found.items()))


def watching(view: AccountView, found: dict[ChainId, tuple[FreeHoldings, ...]]) -> AccountView:
    assert view.record is not None
    leaves = {**dict.fromkeys(found, Holdings(0, ())), **view.holdings}
    watched = tuple(sorted((chain_id, item.wallet) for chain_id, items in found.items() for item in items))
    holdings = {chain_id: replace(leaf, free=found.get(chain_id, ())) for chain_id, leaf in leaves.items()}
    return replace(view, record=replace(view.record, watched=watched), holdings=holdings)


books = st.tuples(accounts(), any_prices()) | liquidations()


@pytest.mark.parametrize("rules", [NO_DUST, profile_policy(dust_usd=0)], ids=["haircuts", "hypothec"])
@settings(max_examples=60, deadline=None)
@given(book=books, free=st.fixed_dictionaries({A: wallets(A), B: wallets(B)}), amount=st.integers(1, 10**24))
def test_it_is_told_and_counts_for_nothing(
    rules: Policy,
    book: tuple[AccountView, Prices],
    free: dict[ChainId, tuple[FreeHoldings, ...]],
    amount: int,
) -> None:
    view, context = book[0], market(book[1], rules=rules)
    richer = watching(view, free)
    found = evaluate(richer, context)
    assert replace(found, free=()) == evaluate(view, context)
    assert len(found.free) == sum(len(item.balances) for items in free.values() for item in items)
    for line in found.free:
        assert 0 <= line.value.low <= line.value.high
        assert line.initial.high == line.maintenance.high == 0
        assert line.reasons[0] is Reason.NOT_ENFORCEABLE
        assert line.asset in ALL_ASSETS or Reason.NOT_ADMITTED in line.reasons
    assert plan_liquidation(richer, context) == plan_liquidation(view, context)
    for chain_id, token in PLACES:
        refusals = {withdrawal_refusal(each, context, chain_id, token, Amount(amount)) for each in (view, richer)}
        assert len(refusals) == 1
