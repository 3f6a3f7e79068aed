"""What an owner's wallet holds: valued, explained, and in no figure. By hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.types import Address, Amount, ChainId, TokenFact
from node.margin import MarginContext, evaluate, plan_liquidation, withdrawal_refusal
from node.margin.withdrawal import Refusal
from node.model.frame import PriceStatus
from node.model.header import ChainStatus
from node.model.health import ZERO, HealthStatus, HoldingLine, Interval, Reason
from node.model.ledger import AccountView, FreeHoldings, Holdings
from tests.unit.margin.books import (
    ETH_A,
    ETH_B,
    OLD_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    holding,
    market,
    owes,
    position,
    price,
    units,
)
from tests.unit.margin.test_tokens import PLAIN, SHARES, STAKED, fact

WALLET, OTHER = Address(b"\x5a" * 20), Address(b"\x5b" * 20)


def watched(view: AccountView, chain_id: ChainId = A, wallet: Address = WALLET, **balances: int | None) -> AccountView:
    """The account with so many base units in a wallet of its own; None of what is not known."""
    tokens = {"eth": ETH_A, "usdx": USDX_A, "old": OLD_A, "eth_b": ETH_B, "staked": STAKED, "shares": SHARES}
    held = tuple(
        sorted((tokens[name], None if amount is None else Amount(amount)) for name, amount in balances.items())
    )
    leaf = view.holdings.get(chain_id, Holdings(0, ()))
    leaf = replace(leaf, free=(*leaf.free, FreeHoldings(wallet, held)))
    assert view.record is not None
    record = replace(view.record, watched=tuple(sorted({*view.record.watched, (chain_id, wallet)})))
    return replace(view, record=record, holdings={**view.holdings, chain_id: leaf})


def free(view: AccountView, context: MarginContext) -> tuple[HoldingLine, ...]:
    return evaluate(view, context).free


def test_it_is_worth_its_market_price_and_counts_for_nothing() -> None:
    bare = account([holding(A, ETH_A, 1)], [owes(position("ETH-PERP", 1, 2_000))])
    view = watched(bare, eth=3 * 10**18, usdx=5_000_000)
    first, second = free(view, market())
    assert (first.chain_id, first.wallet, first.token, first.asset) == (A, WALLET, ETH_A, "ETH")
    assert (first.value, first.initial, first.maintenance) == (Interval(6_000 * USD, 6_000 * USD), ZERO, ZERO)
    assert (second.token, second.value) == (USDX_A, Interval(5 * USD, 5 * USD))
    assert first.reasons == second.reasons == (Reason.NOT_ENFORCEABLE,)
    assert replace(evaluate(view, market()), free=()) == evaluate(bare, market())


def test_neither_opt_in_nor_size_matters_to_a_report() -> None:
    (line,) = free(watched(account(collateral=()), usdx=1), market())
    assert (line.value, line.reasons) == (Interval(USD // 10**6, USD // 10**6), (Reason.NOT_ENFORCEABLE,))


@pytest.mark.parametrize("held", [0, 10])
def test_riches_in_a_wallet_save_nobody(held: int) -> None:
    bare = account([holding(A, ETH_A, 10)], [owes(position("ETH-PERP", 10, 3_900))])
    view = watched(watched(bare, eth=10**30), B, eth_b=10**30)
    assert evaluate(bare, market()).status is HealthStatus.LIQUIDATABLE
    assert replace(evaluate(view, market()), free=()) == evaluate(bare, market())
    assert plan_liquidation(view, market()) == plan_liquidation(bare, market()) != ()


def test_what_does_not_even_cover_the_claims_is_insolvent_for_all_that_is_in_wallets() -> None:
    bare = account([holding(A, ETH_A, 1)], [owes(cash=-5_000)])
    assert evaluate(watched(bare, eth=10**30), market()).status is HealthStatus.INSOLVENT


def test_wide_lines_of_wallets_make_no_status_unknown() -> None:
    bare = account([holding(B, ETH_B, 10)], [owes(position("ETH-PERP", 1, 2_000))])
    view = watched(bare, eth=10**18)
    found = evaluate(view, market(chains={A: ChainStatus.HALTED}))
    assert (found.status, found.reasons) == (HealthStatus.HEALTHY, ())
    (line,) = found.free
    assert line.value == Interval(0, 2_000 * USD)
    assert line.reasons == (Reason.NOT_ENFORCEABLE, Reason.CHAIN_HALTED)


def test_it_supports_no_withdrawal_and_cannot_be_withdrawn() -> None:
    owing = [owes(position("ETH-PERP", 10, 2_000))]
    view = watched(account([holding(A, ETH_A, "1.3")], owing), eth=100 * 10**18)
    assert withdrawal_refusal(view, market(), A, ETH_A, units(1, 18)) is Refusal.BELOW_INITIAL_MARGIN
    assert withdrawal_refusal(view, market(), A, ETH_A, units(50, 18)) is Refusal.INSUFFICIENT_HOLDING
    alone = watched(account(), eth=100 * 10**18)
    assert withdrawal_refusal(alone, market(), A, ETH_A, units(1, 18)) is Refusal.INSUFFICIENT_HOLDING


def test_a_price_that_is_old_disputed_or_missing_is_said() -> None:
    view = watched(account(), eth=10**18, old=10**18)
    stale = market({"ETH": price(2_000 * USD, status=PriceStatus.STALE, age=3600)})
    eth, old = free(view, stale)
    assert eth.value.low == 0 < 2_000 * USD < eth.value.high
    assert eth.reasons == (Reason.NOT_ENFORCEABLE, Reason.STALE_PRICE)
    assert (old.value, old.reasons) == (ZERO, (Reason.NOT_ENFORCEABLE, Reason.MISSING_PRICE))
    disputed = market({"ETH": price(1_900 * USD, 2_100 * USD, PriceStatus.DISPUTED)})
    assert free(view, disputed)[0].value == Interval(1_900 * USD, 2_100 * USD)
    assert Reason.DISPUTED_PRICE in free(view, disputed)[0].reasons


def test_a_token_that_is_disputed_is_said_to_be_and_its_amount_unknown() -> None:
    gone = TokenFact(Amount(0), Amount(0), disputed=True)
    (line,) = free(watched(account(), eth=None), market(tokens={(A, ETH_A): gone}))
    assert (line.amount, line.value, line.reasons) == (0, ZERO, (Reason.NOT_ENFORCEABLE, Reason.DISPUTED))
    (known,) = free(watched(account(), eth=10**18), market(tokens={(A, ETH_A): gone}))  # what it is redeemed for is not
    assert (known.value, known.reasons) == (Interval(0, 2_000 * USD), (Reason.NOT_ENFORCEABLE, Reason.DISPUTED))


def test_staked_tokens_and_shares_are_worth_what_they_are_redeemed_for() -> None:
    rated = {
        (A, STAKED): fact(0, 0, (1_050 * 10**15, 10**18)),
        (A, SHARES): fact(0, 0, (12_500 * 10**6, 10_000 * 10**18)),
    }
    view = watched(account(), staked=units(10, 18), shares=units(500, 18))
    staked, shares = free(view, market(tokens=rated, rules=PLAIN))
    assert (staked.value, shares.value) == (Interval(21_000 * USD, 21_000 * USD), Interval(625 * USD, 625 * USD))
    unrated = free(view, market(tokens={(A, STAKED): fact(0, 0, disputed=True)}, rules=PLAIN))[0]
    assert (unrated.value, unrated.reasons[-1]) == (Interval(0, 24_000 * USD), Reason.DISPUTED)


def test_a_shortfall_of_the_vault_is_not_the_wallets() -> None:
    short = market(tokens={(A, ETH_A): TokenFact(Amount(100), Amount(1))})
    assert free(watched(account(), eth=10**18), short)[0].value == Interval(2_000 * USD, 2_000 * USD)


def test_what_the_policy_does_not_admit_has_no_value() -> None:
    strange = FreeHoldings(WALLET, ((Address(b"\xfe" * 20), Amount(5)),))
    view = watched(account(), ChainId(9), eth=1)
    view = replace(view, holdings={**view.holdings, ChainId(9): Holdings(0, (), free=(strange,))})
    (line,) = free(view, market())
    assert (line.amount, line.value, line.reasons) == (5, ZERO, (Reason.NOT_ENFORCEABLE, Reason.NOT_ADMITTED))


def test_wallets_stand_by_chain_and_address_and_only_if_they_are_watched_still() -> None:
    view = watched(watched(watched(account(), B, eth_b=1), A, WALLET, eth=1), A, OTHER, eth=2)
    assert [(line.chain_id, line.wallet) for line in free(view, market())] == [(A, WALLET), (A, OTHER), (B, WALLET)]
    assert view.record is not None
    fewer = replace(view, record=replace(view.record, watched=((A, OTHER),)))
    assert [(line.chain_id, line.wallet) for line in free(fewer, market())] == [(A, OTHER)]
    assert free(replace(view, record=None), market()) == ()
