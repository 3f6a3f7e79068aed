"""What a token's standing makes of a holding: a shortfall, a dispute, no proof, and yields of two kinds. By hand."""

from __future__ import annotations

import pytest

from chains.types import Address, Amount, ChainId, TokenFact
from node.margin import MarginContext, evaluate, plan_liquidation, withdrawal_refusal
from node.margin.policy import Policy
from node.margin.withdrawal import Refusal
from node.model.digests import ReleaseItem
from node.model.frame import PriceStatus
from node.model.health import ZERO, HealthStatus, HoldingLine, Interval, Reason
from node.model.ledger import AccountView
from tests.unit.margin.books import (
    DEFAULT_POLICY,
    ETH_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    executed,
    holding,
    market,
    owes,
    position,
    price,
    units,
)

STAKED, SHARES = Address(b"\xa5" * 20), Address(b"\xa6" * 20)


def fact(booked: int, held: int, rate: tuple[int, int] | None = None, *, disputed: bool = False) -> TokenFact:
    return TokenFact(Amount(booked), Amount(held), rate, disputed)


def line(view: AccountView, context: MarginContext, token: Address = ETH_A) -> HoldingLine:
    return next(item for item in evaluate(view, context).holdings if item.token == token)


# === Shortfalls ===


def test_a_shortfall_scales_every_holding_of_the_token_and_of_no_other() -> None:
    view = account([holding(A, ETH_A, 10), holding(A, USDX_A, 100)])
    context = market(tokens={(A, ETH_A): fact(40 * 10**18, 30 * 10**18)})
    found = line(view, context)
    assert found.value == Interval(15_000 * USD, 15_000 * USD)
    assert found.maintenance == Interval(13_500 * USD, 13_500 * USD)
    assert found.reasons == (Reason.SHORTFALL,)
    assert line(view, context, USDX_A).reasons == ()
    assert evaluate(view, context).status is HealthStatus.HEALTHY


def test_what_is_there_is_rounded_down_and_never_more_than_the_books() -> None:
    view = account([(A, ETH_A, Amount(10**18))])
    assert line(view, market(tokens={(A, ETH_A): fact(3, 1)})).value.low == (10**18 // 3) * 2_000 * USD // 10**18
    plenty = line(view, market(tokens={(A, ETH_A): fact(10**18, 10**30)}))
    assert (plenty.value.low, plenty.reasons) == (2_000 * USD, ())


def test_nothing_left_is_nothing() -> None:
    view = account([holding(A, ETH_A, 10)])
    found = line(view, market(tokens={(A, ETH_A): fact(10**19, 0)}))
    assert (found.value, found.reasons) == (ZERO, (Reason.DUST,))


def test_shares_of_all_holders_together_are_never_more_than_there_is() -> None:
    held, books = 1_000_003, [1_001, 999_999, 500_001, 77]
    context = market(tokens={(A, ETH_A): fact(sum(books), held)}, prices={"ETH": price(10**18 * USD)})
    values = [line(account([(A, ETH_A, Amount(each))]), context).value.low for each in books]
    assert held - len(books) < sum(values) // USD <= held


def test_what_is_taken_in_a_shortfall_is_worth_what_it_pays_off() -> None:
    """The vault pays pro rata, so twice as much is taken from the books where half is there."""
    view = account([holding(A, ETH_A, 20)], [owes(position("ETH-PERP", 10, 3_700), cash=-200)])
    whole, half = market(), market(tokens={(A, ETH_A): fact(100 * 10**18, 50 * 10**18)})
    assert plan_liquidation(view, whole) == ()
    (leg,) = plan_liquidation(view, half)
    # 9.0825 ETH are worth 17,300 and the bonus
    assert leg.items == (ReleaseItem(ETH_A, units("18.165", 18), units("9.0825", 18)),)
    assert leg.credit == 17_300 * USD
    assert evaluate(executed(view, [leg]), half).status is HealthStatus.MARGIN_CALL


def test_a_withdrawal_is_judged_by_what_is_there() -> None:
    view = account([holding(A, ETH_A, 10)], [owes(cash=-5_000)])
    short = market(tokens={(A, ETH_A): fact(2, 1)})
    four = units(4, 18)
    assert withdrawal_refusal(view, market(), A, ETH_A, four) is None
    assert withdrawal_refusal(view, short, A, ETH_A, four) is Refusal.BELOW_INITIAL_MARGIN


# === Disputes ===


@pytest.mark.parametrize(
    ("token", "reason"), [(fact(10**19, 0, disputed=True), Reason.DISPUTED), (None, Reason.UNPROVEN)]
)
def test_a_token_that_is_not_known_keeps_only_its_high_end(token: TokenFact | None, reason: Reason) -> None:
    view = account([holding(A, ETH_A, 10), holding(A, USDX_A, 100)])
    context = market(tokens={(A, ETH_A): token})
    found = line(view, context)
    assert (found.value, found.reasons) == (Interval(0, 20_000 * USD), (reason,))
    assert line(view, context, USDX_A).value == Interval(100 * USD, 100 * USD)


def test_a_disputed_token_is_no_immunity_and_nothing_to_seize() -> None:
    context = market(tokens={(A, ETH_A): fact(0, 0, disputed=True)})
    owing = account([holding(A, ETH_A, 1), holding(B, Address(b"\x0b\x01" + bytes(18)), 1)], [owes(cash=-5_000)])
    found = evaluate(owing, context)
    assert found.status is HealthStatus.INSOLVENT  # even if it is worth something, that is not enough
    assert [leg.chain_id for leg in plan_liquidation(owing, context)] == [B]


def test_an_account_that_only_a_disputed_token_could_save_is_unknown_and_says_why() -> None:
    context = market(tokens={(A, ETH_A): fact(0, 0, disputed=True)})
    found = evaluate(account([holding(A, ETH_A, 10)], [owes(cash=-1_000)]), context)
    assert (found.status, found.reasons) == (HealthStatus.UNKNOWN, (Reason.DISPUTED,))


# === Yields ===


def yielding(*, fed: bool = False) -> Policy:
    """STK of 18 decimals over ETH, and SHR of 18 over USDX with its six; STK has a feed of its own if `fed`."""
    body = DEFAULT_POLICY.body.decode()
    for asset in ("STK", "SHR"):
        body += f"""
[[assets]]
id = "{asset}"
initial_haircut_bps = 2000
maintenance_haircut_bps = 1000
min_value_micro_usd = 10000000
min_sources = 1
max_spread_bps = 100
"""
    code = "0x" + "00" * 32
    contract = f'code_hash = "{code}", balances = {{ slot = 0 }}'
    feed = f'{{ source = "stk", asset = "STK", feed = "0x{STAKED.hex()}", decimals = 8, code_hash = "{code}" }}'
    old = "tokens = [\n"
    usdx = f'{{ token = "0x{USDX_A.hex()}", asset = "USDX", decimals = 6 }}'
    assert usdx in body
    body = body.replace(usdx, usdx.replace("decimals = 6", f'decimals = 6, kind = "erc20", {contract}'))
    new = f"""feeds = [{feed if fed else ""}]
tokens = [
  {{ token = "0x{STAKED.hex()}", asset = "STK", decimals = 18, kind = "lst", {contract}, max_rate_bps = 12000,
     lst = {{ underlying = "ETH", rate = {{ slot = 5 }}, scale = 18 }} }},
  {{ token = "0x{SHARES.hex()}", asset = "SHR", decimals = 18, kind = "erc4626", {contract}, max_rate_bps = 20000,
     erc4626 = {{ underlying = "0x{USDX_A.hex()}", supply = {{ slot = 2 }}, offset = 12 }} }},
"""
    for line_break in ("\n     lst", "\n     erc4626"):
        new = new.replace(line_break, line_break.replace("\n     ", " "))
    return Policy.parse(body.replace(old, new, 1).encode())


PLAIN, FED = yielding(), yielding(fed=True)
OPTED = ("ETH", "SHR", "STK", "USDX")


def staked(
    rate: tuple[int, int] | None, prices: dict[str, tuple[int, int, PriceStatus, int]], rules: Policy = PLAIN
) -> HoldingLine:
    view = account([(A, STAKED, units(10, 18))], collateral=OPTED)
    known = fact(10**19, 10**19, rate)
    return line(view, market(prices, tokens={(A, STAKED): known}, rules=rules), STAKED)


def test_a_staked_token_is_worth_its_rate_of_the_underlying() -> None:
    found = staked((1_050 * 10**15, 10**18), {"ETH": price(2_000 * USD, 2_010 * USD)})
    assert found.value == Interval(21_000 * USD, 21_105 * USD)
    assert found.maintenance.low == 18_900 * USD


def test_its_rate_is_bounded_by_the_recipe() -> None:
    assert staked((5 * 10**18, 10**18), {}).value == Interval(24_000 * USD, 24_000 * USD)


@pytest.mark.parametrize(("market_usd", "value_usd"), [(2_040, 20_400), (2_100, 21_000), (2_500, 21_000)])
def test_the_lower_of_redemption_and_market_counts(market_usd: int, value_usd: int) -> None:
    found = staked((1_050 * 10**15, 10**18), {"STK": price(market_usd * USD)}, FED)
    assert found.value == Interval(value_usd * USD, value_usd * USD)


def test_the_lower_is_taken_at_each_end() -> None:
    found = staked(
        (10**18, 10**18), {"ETH": price(1_900 * USD, 2_100 * USD), "STK": price(1_950 * USD, 2_050 * USD)}, FED
    )
    assert found.value == Interval(19_000 * USD, 20_500 * USD)


def test_a_market_that_is_missing_or_stale_is_not_forgotten() -> None:
    missing = staked((10**18, 10**18), {}, FED)
    assert (missing.value, missing.reasons) == (ZERO, (Reason.MISSING_PRICE,))
    stale = staked((10**18, 10**18), {"STK": price(2_000 * USD, status=PriceStatus.STALE, age=60)}, FED)
    assert (stale.value, stale.reasons) == (Interval(0, 20_000 * USD), (Reason.STALE_PRICE,))


def test_an_underlying_without_a_price_leaves_nothing() -> None:
    found = staked((10**18, 10**18), {"ETH": price(0, status=PriceStatus.MISSING)}, FED)
    assert (found.value, found.reasons) == (ZERO, (Reason.MISSING_PRICE,))


def test_without_a_proven_rate_it_keeps_the_bound_as_its_high_end() -> None:
    view = account([(A, STAKED, units(10, 18))], collateral=OPTED)
    context = market(tokens={(A, STAKED): fact(0, 0, disputed=True)}, rules=PLAIN)
    assert line(view, context, STAKED).value == Interval(0, 24_000 * USD)


def test_shares_count_by_assets_and_shares_in_their_own_decimals() -> None:
    view = account([(A, SHARES, units(500, 18))], collateral=OPTED)
    rate = (12_500 * 10**6 + 1, 10_000 * 10**18 + 10**12)  # OpenZeppelin's virtual shares: a trifle less than 1.25
    context = market(tokens={(A, SHARES): fact(10**21, 10**21, rate)}, rules=PLAIN)
    exact = 500 * 10**18 * USD * rate[0] // (rate[1] * 10**6)
    assert (
        line(view, context, SHARES).value.low == exact // 500 * 500 == 624_999_999_987_500
    )  # a whole share rounded down


def test_yield_and_shortfall_add_up() -> None:
    view = account([(A, STAKED, units(10, 18))], collateral=OPTED)
    context = market(tokens={(A, STAKED): fact(4, 1, (11, 10))}, rules=PLAIN)
    found = line(view, context, STAKED)
    assert (found.value.low, found.reasons) == (5_500 * USD, (Reason.SHORTFALL,))
    owing = account([(A, STAKED, units(10, 18))], [owes(cash=-5_300)], collateral=OPTED)
    (leg,) = plan_liquidation(owing, context)
    taken = leg.items[0][1]
    assert leg.credit <= taken * 550 * USD // 10**18  # at a quarter of 2,200 a token


def test_chains_do_not_share_tokens() -> None:
    context = market(tokens={(ChainId(2), ETH_A): fact(2, 1)})
    assert line(account([holding(A, ETH_A, 1)]), context).reasons == ()
