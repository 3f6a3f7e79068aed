"""What may leave, and why the rest may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.types import Address, Amount, ChainId, Control
from node.margin import Refusal, evaluate, withdrawal_refusal
from node.margin.outflow import Outflow
from node.model.digests import ReleaseKind
from node.model.frame import PriceStatus
from node.model.header import ChainStatus
from node.model.health import HealthStatus
from node.model.ledger import AccountView
from tests.unit.margin.books import (
    BTC_B,
    ETH_A,
    ETH_B,
    OLD_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    authorization,
    capped,
    holding,
    market,
    owes,
    position,
    price,
    reservation,
    units,
)

MISSING = PriceStatus.MISSING
ONE_ETH = units(1, 18)


def test_what_stays_must_cover_claims_and_initial_margin() -> None:
    # 2 ETH: 4,000 less 20 % = 3,200; claim 500, margin 10 % of 2,000. Left must be 700 / 0.8 / 2,000 = 0.4375 ETH.
    view = account([holding(A, ETH_A, 2)], [owes(position("ETH-PERP", 1, 2_500))])
    most = units("1.5625", 18)
    assert withdrawal_refusal(view, market(), A, ETH_A, most) is None
    assert withdrawal_refusal(view, market(), A, ETH_A, Amount(most + 1)) == "BELOW_INITIAL_MARGIN"


def test_a_withdrawal_is_judged_at_the_low_end() -> None:
    view = account([holding(A, ETH_A, 2), holding(B, BTC_B, 1)], [owes(cash=-500)])
    assert withdrawal_refusal(view, market(), A, ETH_A, ONE_ETH) is None
    for uncertain in (
        market({"BTC": price(1 * USD, 50_000 * USD), "ETH": price(600 * USD, 2_000 * USD)}),
        market({"BTC": price(0, status=MISSING), "ETH": price(2_000 * USD, status=PriceStatus.STALE, age=61)}),
    ):
        assert withdrawal_refusal(view, uncertain, A, ETH_A, ONE_ETH) is Refusal.BELOW_INITIAL_MARGIN


def test_a_profit_supports_no_withdrawal() -> None:
    # at the venue the profit covers the margin of 200; for a withdrawal it does not
    view = account([holding(A, USDX_A, 1_000)], [owes(position("ETH-PERP", 1, 1_000), cash=10**9)])
    assert evaluate(view, market()).venues[0].initial.high == 0
    assert withdrawal_refusal(view, market(), A, USDX_A, units(790, 6)) is None  # 210 less 2 % = 205.8
    assert withdrawal_refusal(view, market(), A, USDX_A, units(800, 6)) is Refusal.BELOW_INITIAL_MARGIN


def test_the_limit_is_all_that_must_stay() -> None:
    view = account([holding(A, USDX_A, 1_000)], [owes(cash=-(10**9))], [authorization(limit=98)])
    assert withdrawal_refusal(view, market(), A, USDX_A, units(900, 6)) is None  # 100 less 2 % = 98
    assert withdrawal_refusal(view, market(), A, USDX_A, Amount(units(900, 6) + 1)) is Refusal.BELOW_INITIAL_MARGIN


def test_who_owes_nothing_takes_everything_whatever_the_prices() -> None:
    view = account([holding(A, OLD_A, 5), holding(A, ETH_A, 1)], [owes(cash=100)])
    context = market({"ETH": price(0, status=MISSING)}, chains={B: ChainStatus.HALTED})
    assert withdrawal_refusal(view, context, A, OLD_A, units(5, 18)) is None
    assert withdrawal_refusal(view, context, A, ETH_A, ONE_ETH) is None


@pytest.mark.parametrize("owing", [True, False])
@pytest.mark.parametrize("status", [ChainStatus.HALTED, ChainStatus.DISPUTED])
def test_nothing_leaves_a_chain_that_is_not_live(status: ChainStatus, *, owing: bool) -> None:
    view = account([holding(A, ETH_A, 2)], [owes(cash=-1)] if owing else [])
    assert withdrawal_refusal(view, market(chains={A: status}), A, ETH_A, ONE_ETH) is Refusal.CHAIN_NOT_LIVE
    assert withdrawal_refusal(view, market(cut_age=601), A, ETH_A, ONE_ETH) is Refusal.CHAIN_NOT_LIVE


def test_another_chain_that_halts_keeps_nothing_back() -> None:
    view = account([holding(A, ETH_A, 2), holding(B, ETH_B, 2)], [owes(cash=-1_000)])
    assert withdrawal_refusal(view, market(chains={B: ChainStatus.HALTED}), A, ETH_A, ONE_ETH) is None


def test_one_release_of_a_vault_at_a_time() -> None:
    earlier = reservation(A, [(USDX_A, units(1, 6))])
    view = account([holding(A, ETH_A, 2), holding(A, USDX_A, 1), holding(B, ETH_B, 2)], reservations=(earlier,))
    assert withdrawal_refusal(view, market(), A, ETH_A, ONE_ETH) is Refusal.OPEN_RESERVATION
    assert withdrawal_refusal(view, market(), B, ETH_B, ONE_ETH) is None
    proven = account([holding(A, ETH_A, 2)], reservations=(earlier,), nonces={A: 1})
    assert withdrawal_refusal(proven, market(), A, ETH_A, ONE_ETH) is None


def test_owners_take_half_of_what_a_vault_lets_out_less_what_is_under_way() -> None:
    rules = capped(units(4, 18))
    context, view = market(rules=rules), account([holding(A, ETH_A, 9), holding(A, USDX_A, 9)])
    two, nothing = units(2, 18), Outflow()
    assert withdrawal_refusal(view, context, A, ETH_A, two, nothing) is None
    assert withdrawal_refusal(view, context, A, ETH_A, Amount(two + 1), nothing) is Refusal.OUTFLOW_CAP
    assert withdrawal_refusal(view, context, A, USDX_A, units(9, 6), nothing) is None  # which has no cap
    others = Outflow.of(rules, [reservation(A, [(ETH_A, ONE_ETH)])])
    assert withdrawal_refusal(view, context, A, ETH_A, ONE_ETH, others) is None
    assert withdrawal_refusal(view, context, A, ETH_A, Amount(ONE_ETH + 1), others) is Refusal.OUTFLOW_CAP
    seizing = reservation(A, [(ETH_A, Amount(3 * ONE_ETH + 1))], kind=ReleaseKind.SEIZURE, venue="alpha", credit=USD)
    assert withdrawal_refusal(view, context, A, ETH_A, ONE_ETH, Outflow.of(rules, [seizing])) is Refusal.OUTFLOW_CAP
    elsewhere = [replace(seizing, vault=Address(bytes(20))), replace(seizing, chain_id=ChainId(99))]
    assert withdrawal_refusal(view, context, A, ETH_A, two, Outflow.of(rules, elsewhere)) is None


def test_no_withdrawal_anywhere_while_a_seizure_is_open() -> None:
    seizing = reservation(A, [(USDX_A, units(1, 6))], kind=ReleaseKind.SEIZURE, venue="alpha", credit=USD)
    view = account([holding(A, USDX_A, 1), holding(B, ETH_B, 2)], reservations=(seizing,))
    assert withdrawal_refusal(view, market(), B, ETH_B, ONE_ETH) is Refusal.OPEN_RESERVATION


def test_only_what_is_held_leaves() -> None:
    view = account([holding(A, ETH_A, 1)])
    assert withdrawal_refusal(view, market(), A, ETH_A, ONE_ETH) is None
    assert withdrawal_refusal(view, market(), A, ETH_A, Amount(ONE_ETH + 1)) is Refusal.INSUFFICIENT_HOLDING
    assert withdrawal_refusal(view, market(), A, USDX_A, Amount(1)) is Refusal.INSUFFICIENT_HOLDING
    assert withdrawal_refusal(view, market(), B, ETH_B, Amount(1)) is Refusal.INSUFFICIENT_HOLDING


def test_what_was_not_opted_in_supports_nothing_and_waits_for_the_margin_too() -> None:
    view = account([holding(A, ETH_A, 1), holding(A, USDX_A, 100)], [owes(cash=-90)], collateral=("USDX",))
    assert withdrawal_refusal(view, market(), A, ETH_A, ONE_ETH) is None
    under = account([holding(A, ETH_A, 1), holding(A, USDX_A, 100)], [owes(cash=-99)], collateral=("USDX",))
    assert withdrawal_refusal(under, market(), A, ETH_A, ONE_ETH) is Refusal.BELOW_INITIAL_MARGIN


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_is_above_zero(amount: int) -> None:
    assert withdrawal_refusal(account(), market(), A, ETH_A, Amount(amount)) is Refusal.AMOUNT_INVALID


def test_the_network_releases_what_it_knows_and_controls() -> None:
    view = account([holding(A, ETH_A, 1)])
    unopened = AccountView(view.account, None, None, view.holdings)
    assert withdrawal_refusal(unopened, market(), A, ETH_A, ONE_ETH) is Refusal.UNKNOWN_ACCOUNT
    assert withdrawal_refusal(view, market(), ChainId(9), ETH_A, ONE_ETH) is Refusal.CHAIN_NOT_FOLLOWED
    free = account([holding(A, ETH_A, 1)], control=Control.FREE)
    assert withdrawal_refusal(free, market(), A, ETH_A, ONE_ETH) is Refusal.NOT_ENFORCEABLE


def test_a_withdrawal_that_leaves_dust_leaves_nothing_that_counts() -> None:
    view = account([holding(A, USDX_A, 100)], [owes(cash=-5)])
    assert withdrawal_refusal(view, market(), A, USDX_A, units(90, 6)) is None
    assert withdrawal_refusal(view, market(), A, USDX_A, units(91, 6)) is Refusal.BELOW_INITIAL_MARGIN


def test_after_a_granted_withdrawal_the_account_is_not_called() -> None:
    view = account([holding(A, ETH_A, 2)], [owes(position("ETH-PERP", 1, 2_500))])
    amount = units("1.5625", 18)
    assert view.record is not None
    after = replace(view, record=replace(view.record, reservations=(reservation(A, [(ETH_A, amount)]),)))
    assert evaluate(after, market()).status is HealthStatus.HEALTHY
