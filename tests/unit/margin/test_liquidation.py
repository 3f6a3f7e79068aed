"""Plans worked out by hand: who is paid, what is taken for it, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.types import Address, Amount, ChainId, Control, TokenFact, UnixSeconds
from node.margin import MAX_ITEMS, MarginContext, SeizureLeg, evaluate, plan_liquidation
from node.margin.outflow import Outflow
from node.margin.policy import Policy
from node.model.digests import ReleaseItem, ReleaseKind
from node.model.frame import FramePrice, PriceStatus
from node.model.header import ChainStatus
from node.model.health import HealthStatus
from node.model.ledger import AccountView
from tests.unit.margin.books import (
    BTC_B,
    DEFAULT_POLICY,
    ETH_A,
    ETH_B,
    NOW,
    OLD_A,
    USD,
    USDX_A,
    VAULTS,
    A,
    B,
    account,
    authorization,
    capped,
    executed,
    holding,
    market,
    owes,
    payee,
    policy,
    position,
    price,
    reservation,
    units,
    whole,
)

STALE = PriceStatus.STALE
NO_BONUS = policy(bonus_bps=0)


def leveraged() -> AccountView:
    """10 ETH (18,000 after 10 %); a loss of 17,200 and a margin of 1,000: liquidatable by 200."""
    return account([holding(A, ETH_A, 10)], [owes(position("ETH-PERP", 10, 3_700), cash=-200)], nonces={A: 4})


def test_a_venue_gets_claim_and_fees_for_collateral_worth_the_bonus_more() -> None:
    # 17,200 + 0.5 % of 20,000 = 17,300; with 5 % more 18,165; at 2,000 that is 9.0825 ETH
    assert plan_liquidation(leveraged(), market()) == (
        SeizureLeg(A, VAULTS[A], 5, "alpha", payee("alpha", A), (whole(ETH_A, units("9.0825", 18)),), 17_300 * USD),
    )


def test_a_plan_restores_the_maintenance_margin_when_there_is_enough() -> None:
    view = leveraged()
    after = evaluate(executed(view, plan_liquidation(view, market())), market())
    assert after.status is HealthStatus.MARGIN_CALL
    assert after.venues[0].profit.low == 100 * USD  # the fee, until the venue books it
    assert plan_liquidation(executed(view, plan_liquidation(view, market())), market()) == ()


@pytest.mark.parametrize("cash", [-1_000, -1_700, -1_800])
def test_no_plan_unless_liquidatable(cash: int) -> None:
    view = account([holding(A, ETH_A, 1)], [owes(cash=cash)])
    assert plan_liquidation(view, market()) == ()


def test_no_plan_for_an_account_that_is_only_unknown() -> None:
    view = account([holding(A, ETH_A, 1), holding(B, BTC_B, 1)], [owes(cash=-5_000)])
    context = market({"BTC": price(50_000 * USD, status=STALE, age=60)})
    assert evaluate(view, context).status is HealthStatus.UNKNOWN
    assert plan_liquidation(view, context) == ()


SEIZURE, WITHDRAWAL = ReleaseKind.SEIZURE, ReleaseKind.WITHDRAWAL


@pytest.mark.parametrize(
    ("kind", "chain_id", "nonce", "planned"),
    [
        (SEIZURE, A, 5, []),
        (SEIZURE, B, 1, []),
        (SEIZURE, A, 4, [A, B]),  # proven executed
        (WITHDRAWAL, A, 5, [B]),
        (WITHDRAWAL, B, 1, [A]),
        (WITHDRAWAL, B, 0, [A, B]),
    ],
)
def test_no_plan_while_a_seizure_is_open_and_none_from_a_vault_with_a_withdrawal(
    kind: ReleaseKind, chain_id: ChainId, nonce: int, planned: list[ChainId]
) -> None:
    view = account([holding(A, ETH_A, 5), holding(B, ETH_B, 5)], [owes(cash=-19_000)], nonces={A: 4})
    assert view.record is not None
    pending = reservation(chain_id, [(USDX_A, Amount(1))], nonce=nonce, kind=kind)
    waiting = replace(view, record=replace(view.record, reservations=(pending,)))
    assert [leg.chain_id for leg in plan_liquidation(waiting, market())] == planned


def test_what_is_being_withdrawn_is_gone_and_what_is_left_in_reach_is_shared_pro_rata() -> None:
    view = account([holding(A, ETH_A, 3), holding(B, ETH_B, 2)], [owes(cash=-6_000), owes(cash=-4_000, venue="beta")])
    assert view.record is not None
    pending = reservation(A, [(ETH_A, units("0.5", 18))])
    waiting = replace(view, record=replace(view.record, reservations=(pending,)))
    (leg,) = plan_liquidation(waiting, market(rules=NO_BONUS))
    assert leg.chain_id == B
    assert leg.credit == {"alpha": 2_400 * USD, "beta": 1_600 * USD}[leg.venue], "six and four tenths of 4,000"


def test_a_claim_is_spread_over_chains_and_tokens_by_value() -> None:
    # 7,800 owed of 8,000: 97.5 % of each
    view = account([holding(A, USDX_A, 4_000), holding(A, ETH_A, 1), holding(B, ETH_B, 1)], [owes(cash=-7_800)])
    assert plan_liquidation(view, market(rules=NO_BONUS)) == (
        SeizureLeg(
            A,
            VAULTS[A],
            1,
            "alpha",
            payee("alpha", A),
            (whole(ETH_A, units("0.975", 18)), whole(USDX_A, units(3_900, 6))),
            5_850 * USD,
        ),
        SeizureLeg(B, VAULTS[B], 1, "alpha", payee("alpha", B), (whole(ETH_B, units("0.975", 18)),), 1_950 * USD),
    )


def test_a_plan_takes_what_the_vault_lets_out_beside_what_is_under_way_and_the_next_one_the_rest() -> None:
    rules = capped(units(4, 18))
    context, view = market(rules=rules), account([holding(A, ETH_A, 10)], [owes(cash=-19_000)])
    (first,) = plan_liquidation(view, context)
    assert first.items == (whole(ETH_A, units(4, 18)),)
    assert first.credit == 8_000 * USD
    (second,) = plan_liquidation(executed(view, [first]), context)
    assert second.items == (whole(ETH_A, units(4, 18)),)
    three = [reservation(A, [(ETH_A, units(3, 18))], kind=kind) for kind in (SEIZURE, WITHDRAWAL)]
    for other in three:
        (leg,) = plan_liquidation(view, context, Outflow.of(rules, [other]))
        assert leg.items == (whole(ETH_A, units(1, 18)),)
    assert plan_liquidation(view, context, Outflow.of(rules, three)) == ()


def test_what_a_vault_lets_out_counts_by_its_books() -> None:
    context = market(rules=capped(units(4, 18)), tokens={(A, ETH_A): TokenFact(Amount(100), Amount(50))})
    view = account([holding(A, ETH_A, 20)], [owes(position("ETH-PERP", 10, 3_700), cash=-200)])
    (leg,) = plan_liquidation(view, context)
    assert leg.items == (ReleaseItem(ETH_A, units(4, 18), units(2, 18)),)


def test_the_limit_ends_what_can_be_owed() -> None:
    view = account([holding(A, ETH_A, 1)], [owes(cash=-9_999)], [authorization(limit=2_300, seized=400)])
    (leg,) = plan_liquidation(view, market(rules=NO_BONUS))
    assert leg.credit == 1_900 * USD


def test_a_position_in_profit_pays_its_own_fee() -> None:
    # margin 1,000 less profit 50, fee 100 less profit 50
    view = account([holding(A, USDX_A, 900)], [owes(position("ETH-PERP", 10, 1_995))])
    (leg,) = plan_liquidation(view, market())
    assert leg.credit == 50 * USD


def test_only_the_payee_that_the_owner_named_for_a_chain_is_paid() -> None:
    holdings = [holding(A, USDX_A, 4_000), holding(B, ETH_B, 2)]
    view = account(holdings, [owes(cash=-9_000)], [authorization(payees=[B])])
    assert [(leg.chain_id, leg.payee) for leg in plan_liquidation(view, market())] == [(B, payee("alpha", B))]
    assert plan_liquidation(account(holdings, [owes(cash=-9_000)], [authorization(payees=[])]), market()) == ()


def test_venues_share_what_does_not_cover_them_over_plans_that_follow_each_other() -> None:
    view = account([holding(A, USDX_A, 2_000)], [owes(cash=-3_000), owes(cash=-1_000, venue="beta")])
    context = market(rules=NO_BONUS)
    assert evaluate(view, context).status is HealthStatus.INSOLVENT
    first = plan_liquidation(view, context)
    assert [(leg.venue, leg.credit) for leg in first] == [("alpha", 1_500 * USD)]
    second = plan_liquidation(executed(view, first), context)
    assert [(leg.venue, leg.credit, leg.nonce) for leg in second] == [("beta", 500 * USD, 2)]
    assert plan_liquidation(executed(executed(view, first), second), context) == ()


def test_each_vault_pays_one_venue_at_a_time() -> None:
    view = account(
        [holding(A, USDX_A, 2_000), holding(B, ETH_B, 1)], [owes(cash=-5_000), owes(cash=-3_000, venue="beta")]
    )
    context = market(rules=NO_BONUS)
    first = plan_liquidation(view, context)  # of 4,000, half of what each is owed: 2,500 and 1,500
    assert [(leg.chain_id, leg.venue, leg.credit) for leg in first] == [
        (A, "alpha", 2_000 * USD),
        (B, "beta", 1_500 * USD),
    ]
    second = plan_liquidation(executed(view, first), context)
    assert [(leg.chain_id, leg.venue, leg.credit) for leg in second] == [(B, "alpha", 500 * USD)]


def test_a_venue_whose_payee_takes_nothing_does_not_keep_a_vault_from_the_others() -> None:
    """Its releases revert and expire: all is as before, and so would be the next plan, for ever."""
    view = account([holding(A, USDX_A, 2_000)], [owes(cash=-5_000), owes(cash=-3_000, venue="beta")])
    context = market(rules=NO_BONUS)
    ttl_ms = context.policy.timing.attestation_ttl * 1_000
    paid = []
    for _ in range(40):
        context = replace(context, time_ms=context.time_ms + ttl_ms)
        now = UnixSeconds(context.time_ms // 1_000)
        prices = {name: replace(each, published_at=now) for name, each in context.prices.items()}
        chains = {key: replace(each, certified_at_ms=context.time_ms) for key, each in context.chains.items()}
        for key, each in chains.items():
            cut = replace(each.checkpoint.cut, time=now)
            chains[key] = replace(each, checkpoint=replace(each.checkpoint, cut=cut))
        [leg] = plan_liquidation(view, replace(context, prices=prices, chains=chains))
        paid.append(leg.venue)
    assert set(paid) == {"alpha", "beta"}
    assert paid.count("alpha") > paid.count("beta"), "else who lacks most comes first"


def test_a_venue_that_cannot_be_paid_here_keeps_its_share() -> None:
    view = account(
        [holding(A, USDX_A, 2_000)],
        [owes(cash=-2_000), owes(cash=-2_000, venue="beta")],
        [authorization("alpha"), authorization("beta", payees=[B])],
    )
    (leg,) = plan_liquidation(view, market(rules=NO_BONUS))
    assert (leg.venue, leg.credit) == ("alpha", 1_000 * USD)
    assert plan_liquidation(executed(view, [leg]), market(rules=NO_BONUS)) == ()


def test_collateral_that_no_venue_can_be_paid_from_is_not_shared_out() -> None:
    grants = [authorization("alpha", payees=[A]), authorization("beta", payees=[A])]
    owing = [owes(cash=-5_000), owes(cash=-3_000, venue="beta")]
    view = account([holding(A, USDX_A, 2_000), holding(B, ETH_B, 2)], owing, grants)
    (leg,) = plan_liquidation(view, market(rules=NO_BONUS))
    assert (leg.venue, leg.credit) == ("alpha", 1_250 * USD)  # 5/8 of what is on A


@pytest.mark.parametrize(("cash", "legs"), [(-4, 0), (-5, 1)])
def test_a_claim_that_is_dust_waits(cash: int, legs: int) -> None:
    # 59.40 against a margin of 56; owed is the cash and a fee of 5.60, where less than 10 is dust
    view = account([holding(A, USDX_A, 60)], [owes(position("ETH-PERP", "-0.56", 2_000), cash=cash)])
    assert evaluate(view, market()).status is HealthStatus.LIQUIDATABLE
    assert len(plan_liquidation(view, market())) == legs


def test_roundings_of_the_parts_add_up_to_the_credit() -> None:
    # an odd amount, half from each of two holdings that count in units below 1e-12 USD
    owing = replace(owes(), cash=-(3_000 * USD + 1))
    view = account([holding(A, ETH_A, 1), holding(A, OLD_A, 1)], [owing])
    (leg,) = plan_liquidation(view, market({"OLD": price(2_000 * USD)}, rules=NO_BONUS))
    assert leg.credit == 3_000 * USD + 1
    assert sum(item.amount for item in leg.items) * 2_000 * USD == leg.credit * 10**18


@pytest.mark.parametrize(
    "context",
    [
        market({"ETH": price(2_000 * USD, status=STALE, age=60)}),
        market({"ETH": price(1_900 * USD, 2_000 * USD, PriceStatus.DISPUTED)}),
        market({"ETH": price(0, status=PriceStatus.MISSING)}),
        market(chains={B: ChainStatus.HALTED}),
        market(chains={B: ChainStatus.DISPUTED}),
    ],
)
def test_a_bad_feed_or_chain_never_blocks_the_seizure_of_the_rest(context: MarginContext) -> None:
    view = account([holding(A, USDX_A, 5_000), holding(B, ETH_B, 1)], [owes(cash=-9_000)])
    legs = plan_liquidation(view, context)
    assert [[item.token for item in leg.items] for leg in legs] == [[USDX_A]]


def test_a_dust_deposit_of_a_token_without_a_price_neither_stops_nor_joins_a_plan() -> None:
    plain = account([holding(A, USDX_A, 5_000)], [owes(cash=-5_000)])
    dusty = account([holding(A, USDX_A, 5_000), holding(A, OLD_A, "0.001")], [owes(cash=-5_000)])
    assert plan_liquidation(dusty, market()) == plan_liquidation(plain, market()) != ()


def test_what_secures_nothing_is_not_seized() -> None:
    view = account([holding(A, USDX_A, 100), holding(A, ETH_A, 9)], [owes(cash=-5_000)], collateral=("USDX",))
    (leg,) = plan_liquidation(view, market())
    assert [item.token for item in leg.items] == [USDX_A]
    free = account([holding(A, USDX_A, 100)], [owes(cash=-5_000)], control=Control.FREE)
    assert plan_liquidation(free, market()) == ()


def test_a_loss_that_nobody_can_price_is_not_collected() -> None:
    # alpha is owed 3,000; beta's short has no price, so at worst it is owed its whole limit
    view = account(
        [holding(A, USDX_A, 2_000)],
        [owes(cash=-3_000), owes(position("OLD-PERP", "-1000", 1), venue="beta")],
    )
    assert [leg.venue for leg in plan_liquidation(view, market())] == ["alpha"]


def test_a_loss_at_a_stale_price_is_collected_as_far_as_it_is_certain() -> None:
    # an hour: 1,940 to 2,060, where the long of 10 has lost 4,400 at least
    context = market({"ETH": price(2_000 * USD, status=STALE, age=3_600)}, rules=NO_BONUS)
    view = account([holding(A, USDX_A, 4_500)], [owes(position("ETH-PERP", 10, 2_500))])
    (leg,) = plan_liquidation(view, context)
    assert leg.credit == 4_400 * USD


def test_a_leg_names_no_more_items_than_a_vault_takes_and_the_most_valuable() -> None:
    tokens = [Address(bytes([0xC, n]) + bytes(18)) for n in range(20)]
    named = "".join(f'  {{ token = "0x{token.hex()}", asset = "USDX", decimals = 0 }},\n' for token in tokens)
    rules = Policy.parse(DEFAULT_POLICY.body.replace(b"tokens = [\n", b"tokens = [\n" + named.encode(), 1))
    view = account([(A, token, Amount(1_000 + n)) for n, token in enumerate(tokens)], [owes(cash=-30_000)])
    (leg,) = plan_liquidation(view, market(rules=rules))
    assert [item.token for item in leg.items] == tokens[20 - MAX_ITEMS :]


def test_a_price_of_nothing_buys_nothing() -> None:
    usdx = FramePrice("USDX", PriceStatus.FRESH, 0, 0, USD, NOW, 2, market().prices["ETH"].assurance)  # type: ignore[arg-type]
    context = replace(market(), prices={"USDX": usdx})
    assert plan_liquidation(account([holding(A, USDX_A, 100)], [owes(cash=-200)]), context) == ()
