"""Under the profile the screen never has another answer than looking at everybody, and looks at few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.types import Address, Amount, ChainId, TokenFact, UnixSeconds
from node.margin import MarginContext, evaluate
from node.margin.account import rules_of
from node.margin.policy import Policy
from node.margin.screen import Screen
from node.model.frame import PriceStatus
from node.model.header import ChainState, ChainStatus
from node.model.ledger import AccountView
from tests.property.margin.books import PLACES, USUAL, Price, Prices, fresh_prices
from tests.property.margin.test_profile import books
from tests.property.margin.test_screen import Ledger, facts, near, ticks
from tests.unit.margin.books import (
    ETH_A,
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
    profile_policy,
)

ROWS = "[margin.parameters]\nmaintenance = 0.9\n[margin.parameters.assets.ETH]\ndepth = 1000000\n"
POLICIES = (
    profile_policy(dust_usd=0),
    profile_policy(dust_usd=1_000, carry_bps=2_000),
    profile_policy(ROWS, dust_usd=0, carry_bps=-500),
)


def at(context: MarginContext, seconds: int) -> MarginContext:
    """The same market so many seconds later, published just now where it is fresh, and the chains followed."""
    prices = dict(context.prices)
    for name, found in context.prices.items():
        if found.status is PriceStatus.FRESH:
            prices[name] = replace(found, published_at=UnixSeconds(found.published_at + seconds))
    chains = {chain_id: _followed(state, seconds) for chain_id, state in context.chains.items()}
    return replace(context, prices=prices, chains=chains, time_ms=context.time_ms + 1_000 * seconds)


def _followed(state: ChainState, seconds: int) -> ChainState:
    cut = replace(state.cut, time=UnixSeconds(state.cut.time + seconds))
    certified = state.certified_at_ms + 1_000 * seconds
    return replace(state, checkpoint=replace(state.checkpoint, cut=cut), certified_at_ms=certified)


def nearer(view: AccountView, context: MarginContext, gap: int) -> AccountView:
    """As near() has it, where a row may clamp what cash does."""
    for _ in range(6):
        view = near(view, context, gap)
    return view


@st.composite
def vols(draw: st.DrawFn, before: Price) -> Price:
    """The next volatility: mostly a little away, at times far, uncertain or none."""
    low, _, _, age = before
    kind = draw(st.sampled_from(("step",) * 6 + ("stay", "jump", "stale", "none")))
    if kind == "step":
        low = max(1, low * (10_000 + draw(st.integers(-100, 100))) // 10_000)
        return price(low, low + draw(st.sampled_from((0, low // 50))), PriceStatus.FRESH)
    if kind == "jump":
        return price(draw(st.integers(USD // 20, 3 * USD)))
    if kind == "stale":
        return price(low, None, PriceStatus.STALE, age=age + draw(st.integers(0, 4_000)))
    return price(0, None, PriceStatus.MISSING) if kind == "none" else before


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_screen_finds_whom_looking_at_everybody_finds(data: st.DataObject) -> None:
    rules: Policy = data.draw(st.sampled_from(POLICIES))
    prices: Prices = {**data.draw(fresh_prices()), "ETH-VOL": price(6 * USD // 10)}
    gaps = st.one_of(st.integers(-3, 3), st.integers(-(10**4) * USD, 10**5 * USD))
    drawn: list[AccountView] = data.draw(
        st.lists(books().filter(lambda view: view.obligations is not None), max_size=4)
    )
    ledger = Ledger(nearer(view, market(prices, rules=rules), data.draw(gaps)) for view in drawn)
    screen, elapsed = Screen(), 0
    tokens: dict[tuple[ChainId, Address], TokenFact | None] = {}
    chains = dict.fromkeys((A, B), ChainStatus.LIVE)
    for _ in range(data.draw(st.integers(2, 8))):
        context = at(market(prices, tokens=tokens, rules=rules, chains=chains), elapsed)
        assert ledger.screened(screen, context) == ledger.looked_through(context)
        usual = data.draw(ticks({name: prices[name] for name in USUAL}))
        prices = {**usual, "ETH-VOL": data.draw(vols(prices["ETH-VOL"]))}
        elapsed += data.draw(st.sampled_from((0, 1, 60, 3_600, 86_400, 30 * 86_400)))
        if data.draw(st.integers(0, 5)) == 0:
            tokens[data.draw(st.sampled_from(PLACES))] = data.draw(facts)
        if data.draw(st.integers(0, 5)) == 0:
            chains[data.draw(st.sampled_from((A, B)))] = data.draw(st.sampled_from(tuple(ChainStatus)))
        if data.draw(st.integers(0, 9)) == 0:
            rules = data.draw(st.sampled_from(POLICIES))


PROFILE = POLICIES[0]

moves = st.floats(-1, 1, allow_nan=False)


@st.composite
def indebted(draw: st.DrawFn) -> AccountView:
    """Some collateral, and positions of up to as much at one venue."""
    held = draw(st.lists(st.sampled_from((ETH_A, USDX_A)), unique=True, min_size=1))
    usd = {ETH_A: 2_000, USDX_A: 1}
    names = draw(st.lists(st.sampled_from(("ETH-PERP", "ETH-31DEC27", *OPTIONS)), unique=True, max_size=3))
    sizes = st.integers(-30, 30).filter(bool)
    positions = [position(name, draw(sizes), 2_000) for name in sorted(names)]
    worth = draw(st.integers(30_000, 300_000))
    return account([holding(A, token, worth // usd[token]) for token in held], [owes(*positions)])


OPTIONS = ("ETH-31DEC27-2000-C", "ETH-25MAR27-1600-C", "ETH-25MAR27-2200-P")


@settings(max_examples=100, deadline=None)
@given(indebted(), st.data())
def test_who_is_said_to_be_safe_is_safe_at_the_end_of_it(view: AccountView, data: st.DataObject) -> None:
    """The market moves in any direction as far as a headroom allows: each level to its limit, or less."""
    rules = data.draw(st.sampled_from(POLICIES))
    before = market(rules=rules)
    worth = sum(line.value.high for line in evaluate(view, before).holdings)
    view = nearer(view, before, data.draw(st.integers(worth // 100, worth // 4)))
    [found] = rules_of(rules).headrooms([view], before)
    if found.safe is None:
        return
    directions = {name: data.draw(moves) for name in before.prices}
    days = data.draw(st.sampled_from((0, 0, 1, 10, 40)))

    def after(scale: float) -> MarginContext:
        moved = {
            name: price(max(1, int(each.price * (1 + scale * directions[name]))))
            for name, each in before.prices.items()
        }
        return at(market(moved, rules=rules), int(86_400 * days * scale))

    def is_within(scale: float) -> bool:
        context = after(scale)
        of = rules_of(rules).level
        return all(of(key, context).ticks_from(of(key, before)) <= most for key, most in (found.safe or {}).items())

    low, high = 0.0, 0.5
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if is_within(middle) else (low, middle)
    assert evaluate(view, after(low)).maintenance_excess.high >= 0


def leveraged(cushion_usd: int, instrument: str = "ETH-PERP") -> AccountView:
    """10 ETH long at 2,000 and so many dollars beyond what that needs."""
    view = account([holding(A, USDX_A, 50_000)], [owes(position(instrument, 10, 2_000))])
    return nearer(view, market(rules=PROFILE), cushion_usd * USD)


def eth(cents: int, rules: Policy = PROFILE) -> MarginContext:
    return market({"ETH": price(cents * USD // 100)}, rules=rules)


def test_only_who_is_near_is_looked_at() -> None:
    ledger = Ledger([leveraged(15)] + [leveraged(5_000)] * 50)
    screen = Screen()
    assert ledger.screened(screen, eth(200_000)) == []
    assert screen.evaluations == 51
    assert ledger.screened(screen, eth(199_990)) == []
    assert screen.evaluations <= 52, "ten cents a coin are a dollar"
    fallen = eth(199_700)
    assert ledger.screened(screen, fallen) == ledger.looked_through(fallen)
    assert screen.evaluations <= 54


def test_a_profit_bears_the_shortfall_of_its_venue() -> None:
    """A little collateral, less than a shortfall takes, and 10 ETH that were bought at half of what they are worth."""
    ledger = Ledger([account([holding(A, USDX_A, 1_000)], [owes(position("ETH-PERP", 10, 1_000))])] * 50)
    screen = Screen()
    for cents in range(200_000, 198_000, -100):
        assert ledger.screened(screen, eth(cents)) == ledger.looked_through(eth(cents))
    assert screen.evaluations == 50
    fallen = eth(110_000)
    assert len(ledger.screened(screen, fallen)) == len(ledger.looked_through(fallen)) == 50


def test_small_steps_add_up() -> None:
    ledger = Ledger([leveraged(100)])
    screen = Screen()
    found = [ledger.screened(screen, eth(cents)) for cents in range(200_000, 198_700, -10)]
    assert found == [ledger.looked_through(eth(cents)) for cents in range(200_000, 198_700, -10)]
    assert found[-1]
    assert screen.evaluations < 60, "of 130 steps"


def test_a_book_of_options_is_left_alone_while_nothing_moves_and_found_when_time_has_passed() -> None:
    """Long options pay for what is owed, and wither: most at the strike, where the row that decides has them."""
    view = account([holding(A, ETH_A, 100)], [owes(position("ETH-25MAR27-1600-C", 50, 0))])
    ledger = Ledger([nearer(view, eth(200_000), gap * USD) for gap in (500, *(100_000,) * 20)])
    screen = Screen()
    days = range(0, 40, 2)
    found = [ledger.screened(screen, at(eth(200_000), day * 86_400)) for day in days]
    assert found == [ledger.looked_through(at(eth(200_000), day * 86_400)) for day in days]
    assert found[-1]
    assert screen.evaluations < 200, "of 420"


def test_a_volatility_that_rises_is_found() -> None:
    option = "ETH-31DEC27-2500-C"
    view = account([holding(A, USDX_A, 100_000)], [owes(position(option, -20, 0))])
    ledger = Ledger([nearer(view, eth(200_000), 500 * USD)])
    screen = Screen()
    for tenths in range(600, 660, 2):
        context = market({"ETH-VOL": price(tenths * USD // 1_000)}, rules=PROFILE)
        found = ledger.screened(screen, context)
        assert found == ledger.looked_through(context)
        if found:
            return
    raise AssertionError("a tenth more volatility costs more than 500 dollars")


def test_who_holds_what_a_chain_no_longer_says_is_looked_at() -> None:
    ledger = Ledger([nearer(account([holding(A, ETH_A, 100)], [owes(cash=-100)]), eth(200_000), 1_000 * USD)])
    screen = Screen()
    assert ledger.screened(screen, eth(200_000)) == []
    looked = screen.evaluations
    halted = market(rules=PROFILE, chains={A: ChainStatus.HALTED})
    assert ledger.screened(screen, halted) == ledger.looked_through(halted)
    assert screen.evaluations == looked + 1
    short = market(rules=PROFILE, tokens={(A, ETH_A): TokenFact(Amount(100), Amount(10))})
    assert ledger.screened(screen, short) == ledger.looked_through(short) != []


def test_who_holds_what_a_vault_lacks_is_looked_at_as_it_lacks_more() -> None:
    ledger = Ledger([nearer(account([holding(A, ETH_A, 100)], [owes(cash=-100)]), eth(200_000), 50_000 * USD)])
    screen = Screen()
    lacking = [TokenFact(Amount(100), Amount(held)) for held in (100, 95, 90, 10)]
    contexts = [market(rules=PROFILE, tokens={(A, ETH_A): fact}) for fact in lacking]
    assert [len(ledger.screened(screen, context)) for context in contexts] == [0, 0, 0, 1]


def test_a_holding_may_become_dust_all_at_once() -> None:
    rules = profile_policy(dust_usd=1_000)
    view = account([holding(A, ETH_A, "0.501")], [owes(cash=-100)])
    ledger, screen = Ledger([nearer(view, eth(200_000, rules), 300 * USD)]), Screen()
    assert ledger.screened(screen, eth(200_000, rules)) == []
    assert len(ledger.screened(screen, eth(199_000, rules))) == 1


def test_an_option_that_could_not_be_marked_is_looked_at_until_it_can_be() -> None:
    """What its row makes of a price of billions is no finite mark, and nobody knows how much is owed."""
    absurd = '[margin.parameters]\nrows = [{ name = "absurd", market = 100, together = 100, kinds = { coin = 100 } }]\n'
    rules = profile_policy(absurd, dust_usd=0, carry_bps=100_000)
    ledger = Ledger([account([holding(A, USDX_A, 1_000)], [owes(position("ETH-31DEC27-2000-C", -1, 0))])])
    screen = Screen()
    found = [ledger.screened(screen, eth(dollars * 100, rules)) for dollars in (9 * 10**9, 2_000)]
    assert [len(each) for each in found] == [0, 1]


# === Each bound by itself: nothing moves in the only row, so that none hides behind what rows may take ===

STILL = """[margin.parameters]
maintenance = 1
rows = [{ name = "still" }]
[margin.parameters.assets.USDX]
vol = 0
"""
CROWDED = """[margin.parameters.assets.ETH]
depth = 1_000_000
[margin.parameters.charges]
concentration_rate = 1
"""
HEDGED = """[margin.parameters]
rows = [{ name = "up", together = 0.5 }]
[margin.parameters.haircuts]
cap = 1
[margin.parameters.shortfall]
horizon = 1
"""


def is_found_in_time(
    view: AccountView, cushion_usd: int, vol: int, steps: Mapping[str, int], parameters: str = STILL
) -> None:
    """All levels move together in small steps, in 1e-5 of where they were, until the account is below."""
    rules = profile_policy(parameters, dust_usd=0)
    usual = {"ETH": 2_000 * USD, "USDX": USD, "ETH-VOL": vol}

    def after(step: int) -> MarginContext:
        moved = {name: price(was + was * steps.get(name, 0) * step // 10**5) for name, was in usual.items()}
        return market(moved, rules=rules)

    ledger, screen = Ledger([near(view, after(0), cushion_usd * USD)]), Screen()
    found = [ledger.screened(screen, after(step)) for step in range(60)]
    assert found == [ledger.looked_through(after(step)) for step in range(60)]
    assert not found[10]
    assert found[-1]


def test_a_shortfall_grows_with_what_is_owed_and_with_its_volatility() -> None:
    """At 2,000 % nearly three times what is owed, while what secures it falls."""
    short = account([holding(A, USDX_A, 30_000)], [owes(position("ETH-PERP", -5, 2_000))])
    is_found_in_time(short, 500, 20 * USD, {"ETH": 15, "USDX": -15, "ETH-VOL": 15})


def test_a_charge_for_concentration_grows_with_what_is_beyond_the_room() -> None:
    """Room for a hundred thousand, which is what is owed before its price rises: all that is beyond is charged."""
    short = account([holding(A, USDX_A, 34_500)], [owes(position("ETH-PERP", -50, 2_000))])
    is_found_in_time(short, 33_000, USD // 100, {"ETH": 400}, STILL + CROWDED)


def test_collateral_moves_with_its_price() -> None:
    indebted = account([holding(A, ETH_A, 100)], [owes(cash=-100_000)])
    is_found_in_time(indebted, 2_000, USD // 10, {"ETH": -50})


@pytest.mark.parametrize("instrument", ["ETH-PERP", "ETH-31DEC27", "ETH-31DEC27-1000-C"])
def test_a_position_moves_with_its_forward(instrument: str) -> None:
    """The option is deep in the money: each a unit for a unit, and twenty times what secures it."""
    short = account([holding(A, USDX_A, 5_000)], [owes(position(instrument, -50, 2_000))])
    is_found_in_time(short, 4_000, USD // 10, {"ETH": 100})


def test_collateral_that_haircuts_may_use_up_gains_nothing_all_at_once() -> None:
    """What is held hedges what is owed in the row, until initial haircuts leave nothing of it that could gain."""
    hedged = account([holding(A, ETH_A, 100)], [owes(position("ETH-PERP", -80, 2_000))])
    is_found_in_time(hedged, 40_000, 55 * USD // 10, {"ETH-VOL": 100}, HEDGED)
