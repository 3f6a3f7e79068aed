"""The screen never has another answer than looking at everybody, and looks at few."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.proofs.keccak import keccak
from chains.types import AccountId, Address, Amount, ChainId, Hash32, TokenFact
from node.margin import MarginContext, evaluate
from node.margin import screen as module
from node.margin.policy import Policy
from node.margin.screen import Screen
from node.model.frame import PriceStatus
from node.model.ledger import AccountView, Obligations
from node.model.merkle import MerkleMap
from tests.property.margin.books import NO_DUST, PLACES, USUAL, Price, Prices, accounts, any_prices, fresh_prices
from tests.unit.margin.books import (
    BTC_B,
    DEFAULT_POLICY,
    ETH_A,
    USD,
    USDX_A,
    A,
    B,
    account,
    holding,
    market,
    owes,
    policy,
    position,
    price,
)

WHOLE = Policy.parse(NO_DUST.body.replace(b'asset = "ETH", decimals = 18', b'asset = "ETH", decimals = 0'))
"""Ether that cannot be divided."""


class Ledger:
    """Accounts by id, as views and as the maps that a state has of them."""

    def __init__(self, views: Iterable[AccountView]) -> None:
        self.views: dict[AccountId, AccountView] = {}
        self.maps: dict[str, MerkleMap] = {}
        for number, view in enumerate(views):
            self.put(replace(view, account=AccountId(keccak(bytes([number])))))

    def put(self, view: AccountView) -> None:
        self.views[view.account] = view
        leaves = {f"chain:{chain_id}": held.encode() for chain_id, held in view.holdings.items()}
        if view.record is not None:
            leaves["accounts"] = view.record.encode()
        if view.obligations is not None:
            leaves["obligations"] = view.obligations.encode()
        for name in self.maps.keys() | leaves.keys():
            before = self.maps.get(name, MerkleMap())
            self.maps[name] = before.updated({view.account: leaves.get(name)})

    def screened(self, screen: Screen, context: MarginContext) -> list[AccountId]:
        others = dict(self.maps)
        return screen.liquidatable(others.pop("obligations", MerkleMap()), others, self.views.__getitem__, context)

    def look_ahead(self, screen: Screen, context: MarginContext, most: int) -> int:
        others = dict(self.maps)
        obligations = others.pop("obligations", MerkleMap())
        return screen.look_ahead(obligations, others, self.views.__getitem__, context, most)

    def looked_through(self, context: MarginContext) -> list[AccountId]:
        indebted = (AccountId(Hash32(key)) for key, _ in self.maps.get("obligations", MerkleMap()))
        return [account for account in indebted if below(self.views[account], context)]


def below(view: AccountView, context: MarginContext) -> bool:
    return evaluate(view, context).maintenance_excess.high < 0


def near(view: AccountView, context: MarginContext, gap: int) -> AccountView:
    """The account with so much cash that it is `gap` away from maintenance margin, if no limit is in the way."""
    assert view.obligations is not None
    first, *others = view.obligations.venues
    excess = evaluate(view, context).maintenance_excess.high
    moved = replace(first, cash=first.cash - excess + gap)
    return replace(view, obligations=Obligations((moved, *others)))


@st.composite
def ticks(draw: st.DrawFn, before: Prices) -> Prices:
    """The next prices: mostly a few basis points away, at times far, of another kind, or none."""
    after = dict(before)
    for asset in draw(st.lists(st.sampled_from(sorted(USUAL)), unique=True, min_size=1)):
        low, high, status, age = before[asset]
        kind = draw(st.sampled_from(("step",) * 6 + ("jump", "other")))
        if kind == "other":
            after[asset] = draw(any_prices())[asset]
        else:
            bps = draw(st.integers(-30, 30) if kind == "step" else st.integers(-9_999, 30_000))
            after[asset] = low * (10_000 + bps) // 10_000, high * (10_000 + bps) // 10_000 + 1, status, age
    return after


amounts = st.integers(1, 100).map(Amount)
facts = st.one_of(st.none(), st.builds(TokenFact, amounts, amounts, disputed=st.booleans()))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_screen_finds_whom_looking_at_everybody_finds(data: st.DataObject) -> None:
    rules: Policy = data.draw(st.sampled_from((NO_DUST, DEFAULT_POLICY)))
    prices: Prices = data.draw(fresh_prices())
    gaps = st.one_of(st.integers(-3, 3), st.integers(-(10**4) * USD, 10**5 * USD))
    ledger = Ledger(
        near(view, market(prices, rules=rules), data.draw(gaps)) for view in data.draw(st.lists(accounts(), max_size=5))
    )
    screen = Screen()
    tokens: dict[tuple[ChainId, Address], TokenFact | None] = {}
    for _ in range(data.draw(st.integers(2, 8))):
        context = market(prices, tokens=tokens, rules=rules)
        ahead = DEFAULT_POLICY if data.draw(st.booleans()) else NO_DUST
        ledger.look_ahead(screen, replace(context, policy=ahead), data.draw(st.integers(0, 3)))
        assert ledger.screened(screen, context) == ledger.looked_through(context)
        prices = data.draw(ticks(prices))
        if ledger.views and data.draw(st.integers(0, 3)) == 0:
            changed = data.draw(st.sampled_from(sorted(ledger.views)))
            ledger.put(replace(near(data.draw(accounts()), context, data.draw(gaps)), account=changed))
        if data.draw(st.integers(0, 5)) == 0:
            tokens[data.draw(st.sampled_from(PLACES))] = data.draw(facts)
        if data.draw(st.integers(0, 9)) == 0:
            rules = DEFAULT_POLICY if rules is NO_DUST else NO_DUST


def leveraged(cushion_usd: int) -> AccountView:
    """10 ETH long at 2,000 and so many dollars beyond its maintenance margin of 1,000."""
    cash = holding(A, USDX_A, (1_000 + cushion_usd) * 100 // 99 + 1)
    return account([cash], [owes(position("ETH-PERP", 10, 2_000))])


def eth(dollars_times_100: int) -> dict[str, Price]:
    return {"ETH": price(dollars_times_100 * USD // 100)}


def test_only_who_is_near_is_looked_at() -> None:
    ledger = Ledger([leveraged(15)] + [leveraged(5_000)] * 50)
    screen = Screen()
    assert ledger.screened(screen, market(eth(200_000))) == []
    assert screen.evaluations == 51
    assert ledger.screened(screen, market(eth(199_990))) == []
    assert screen.evaluations == 51, "ten cents a coin are a dollar"
    fallen = market(eth(199_800))
    [liquidatable] = ledger.screened(screen, fallen)
    assert below(ledger.views[liquidatable], fallen)
    assert screen.evaluations == 52


def test_small_steps_add_up() -> None:
    ledger = Ledger([leveraged(100)])
    screen = Screen()
    found = [ledger.screened(screen, market(eth(cents))) for cents in range(200_000, 198_800, -10)]
    assert found == [ledger.looked_through(market(eth(cents))) for cents in range(200_000, 198_800, -10)]
    assert found[-1]
    assert screen.evaluations < 40, "of 120 steps"


def test_a_change_of_the_account_is_looked_at_and_a_standing_market_is_not() -> None:
    ledger = Ledger([leveraged(500), leveraged(500)])
    screen, context = Screen(), market(eth(200_000))
    ledger.screened(screen, context)
    ledger.screened(screen, context)
    assert screen.evaluations == 2
    changed = min(ledger.views)
    ledger.put(replace(leveraged(-500), account=changed))
    assert ledger.screened(screen, context) == [changed]
    assert ledger.screened(screen, context) == [changed], "until something is done about it"
    ledger.put(replace(ledger.views[changed], obligations=None))
    assert ledger.screened(screen, context) == []


def test_reporting_an_account_again_and_again_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SPARE", 8)
    ledger, screen, context = Ledger([leveraged(500)] * 3), Screen(), market(eth(200_000))
    for sequence in range(40):
        for view in list(ledger.views.values()):
            ledger.put(replace(view, obligations=Obligations((owes(position("ETH-PERP", 10, 2_000), cash=sequence),))))
        assert ledger.screened(screen, context) == []
    assert (
        max(len(clock.queue) for known in screen._by_policy.values() for clock in known._clocks.values()) <= 2 * 3 + 8
    )
    fallen = market(eth(190_000))
    assert ledger.screened(screen, fallen) == ledger.looked_through(fallen) != [], "who counts was kept"


def test_who_was_not_judged_because_of_a_fault_stays_due() -> None:
    ledger, screen, context = Ledger([leveraged(-500)] * 5), Screen(), market(eth(200_000))
    lost = ledger.views.pop(max(ledger.views))
    with pytest.raises(KeyError):
        ledger.screened(screen, context)
    ledger.views[lost.account] = lost
    assert ledger.screened(screen, context) == ledger.looked_through(context)
    assert len(ledger.looked_through(context)) == 5


def test_a_price_that_was_missing_makes_its_accounts_due() -> None:
    ledger = Ledger([leveraged(500)])
    screen = Screen()
    gone = market({"ETH": price(0, status=PriceStatus.MISSING)})
    assert ledger.screened(screen, gone) == []
    assert len(ledger.screened(screen, market(eth(100_000)))) == 1


def test_who_owes_an_unauthorised_venue_owes_nothing() -> None:
    ledger = Ledger([account([holding(A, USDX_A, 1)], [owes(position("ETH-PERP", 10, 2_000))], [])])
    assert ledger.screened(Screen(), market(eth(1))) == []


def test_a_holding_may_become_dust_all_at_once() -> None:
    context = market(eth(200_000))
    small = near(account([holding(A, ETH_A, "0.00501")], [owes()]), context, 5 * USD)
    ledger, screen = Ledger([small]), Screen()
    assert ledger.screened(screen, context) == []
    assert len(ledger.screened(screen, market(eth(199_000)))) == 1


def test_either_end_of_a_price_counts() -> None:
    wide, narrow = ({"ETH": price(low * USD, 2_000 * USD)} for low in (1_900, 1_999))
    short = near(account([holding(A, USDX_A, 100)], [owes(position("ETH-PERP", -10, 2_000))]), market(wide), 50 * USD)
    ledger, screen = Ledger([short]), Screen()
    assert ledger.screened(screen, market(wide)) == []
    assert len(ledger.screened(screen, market(narrow))) == 1


def test_an_end_that_was_nothing_has_no_distance() -> None:
    unknown, known = ({"ETH": price(low, 2_000 * USD, PriceStatus.DISPUTED)} for low in (0, 2_000 * USD))
    short = near(account([holding(A, USDX_A, 100)], [owes(position("ETH-PERP", -10, 2_000))]), market(unknown), USD)
    ledger, screen = Ledger([short]), Screen()
    assert ledger.screened(screen, market(unknown)) == []
    assert len(ledger.screened(screen, market(known))) == 1


def test_small_steps_up_compound() -> None:
    """Collateral falls and what is owed rises: together by more than the sum of the steps says."""
    start = account([holding(B, BTC_B, "0.2")], [owes(position("ETH-PERP", -50, 2_000))])
    collateral = evaluate(replace(start, obligations=None), market()).maintenance_excess.high
    ledger, screen = Ledger([near(start, market(), collateral)]), Screen()
    found = 0
    for step in range(120):
        eth, btc = 2_000 * USD * 1_001**step // 1_000**step, 50_000 * USD * 999**step // 1_000**step
        context = market({"ETH": price(eth), "BTC": price(btc)})
        assert ledger.screened(screen, context) == ledger.looked_through(context), step
        found += len(ledger.looked_through(context))
    assert 0 < found < 60
    assert screen.evaluations < 110


def test_a_unit_of_price_may_cost_two_by_rounding() -> None:
    before, after = (market({"ETH": price(2_000 * USD + units)}, rules=NO_DUST) for units in (0, 1))
    short = account([holding(A, USDX_A, 100)], [owes(position("ETH-PERP", "-0.4", 2_000))])
    ledger, screen = Ledger([near(short, before, 1)]), Screen()
    assert ledger.screened(screen, before) == []
    assert len(ledger.screened(screen, after)) == 1


def test_two_accounts_may_change_in_different_maps() -> None:
    ledger, screen, context = Ledger([leveraged(500)] * 9), Screen(), market(eth(200_000))
    ledger.screened(screen, context)
    first, second, *_ = ledger.views.values()
    ledger.put(replace(leveraged(-500), account=first.account))
    ledger.put(replace(second, obligations=Obligations((owes(cash=-5_000),))))
    assert set(ledger.screened(screen, context)) == {first.account, second.account}


def test_another_policy_has_everybody_looked_at() -> None:
    ledger, screen = Ledger([leveraged(500)]), Screen()
    assert ledger.screened(screen, market(eth(200_000), rules=NO_DUST)) == []
    assert len(ledger.screened(screen, market(eth(200_000), rules=policy(dust_usd=10_000)))) == 1


def test_who_was_looked_at_ahead_is_not_looked_at_again() -> None:
    ledger, screen = Ledger([leveraged(500)] * 5 + [leveraged(-500)]), Screen()
    now, coming = market(eth(200_000), rules=NO_DUST), market(eth(200_000), rules=policy(dust_usd=1))
    assert len(ledger.screened(screen, now)) == 1
    assert [ledger.look_ahead(screen, coming, 4), ledger.look_ahead(screen, coming, 4)] == [2, 0]
    assert ledger.look_ahead(screen, coming, 4) == 0
    assert screen.evaluations == 12
    assert len(ledger.screened(screen, coming)) == 1
    assert screen.evaluations == 13, "who is below is looked at whenever it matters"
    assert ledger.screened(screen, now) == ledger.looked_through(now)
    assert screen.evaluations == 14, "and the policy in force is not forgotten meanwhile"
    for other in (2, 3):
        ledger.screened(screen, market(eth(200_000), rules=policy(dust_usd=other)))
    assert screen.evaluations == 12, "of two policies, and no more"


def test_who_depends_on_no_price_is_looked_at_once_unless_below() -> None:
    idle, owing = account([], [owes()]), account([], [owes(cash=-1)])
    ledger, screen = Ledger([idle, owing]), Screen()
    for dollars in (2_000, 1_000):
        assert len(ledger.screened(screen, market(eth(dollars * 100)))) == 1
    assert screen.evaluations == 3


def test_a_vault_that_lacks_a_token_has_its_holders_looked_at() -> None:
    ledger, screen = Ledger([leveraged(500)]), Screen()
    place = A, USDX_A
    lacking = [TokenFact(Amount(100), Amount(share)) for share in (100, 90, 60)]
    found = [ledger.screened(screen, market(eth(200_000), tokens={place: fact})) for fact in lacking]
    assert [len(accounts) for accounts in found] == [0, 0, 1]


def test_a_shortfall_has_holders_looked_at_when_it_comes_and_then_as_it_moves() -> None:
    ledger, screen = Ledger([leveraged(cushion) for cushion in (200, 400, 20_000)]), Screen()
    books, found = 10**24, []
    for held in (books, books - 1, *(books - 10**21 * step for step in range(1, 40))):
        fact = TokenFact(Amount(books), Amount(held))
        context = market(eth(200_000), tokens={(A, USDX_A): fact})
        found.append(ledger.screened(screen, context))
        assert found[-1] == ledger.looked_through(context)
        if held == books - 1:
            assert screen.evaluations == 6, "once more for the shortfall of one unit"
    assert [len(found[at]) for at in (0, 1, 2, -1)] == [0, 0, 0, 0]
    assert screen.evaluations < 6 + 39, "and not each of them at each step"


def test_a_share_and_a_price_that_fall_together_take_twice_as_much() -> None:
    def fallen(steps: int) -> MarginContext:
        left = 10**6 * 99**steps // 100**steps
        fact = TokenFact(Amount(10**6), Amount(left * 9 // 10))
        return market({"ETH": price(2_000 * USD * left // 10**6)}, tokens={(A, ETH_A): fact})

    ledger, screen = Ledger([near(account([holding(A, ETH_A, 10)], [owes()]), fallen(0), 2_000 * USD)]), Screen()
    found = [len(ledger.screened(screen, fallen(steps))) for steps in range(12)]
    assert found == [len(ledger.looked_through(fallen(steps))) for steps in range(12)]
    assert found[0] == 0
    assert found[-1] == 1
    assert screen.evaluations < 12


def indivisible(dollars: int, held: int) -> MarginContext:
    """A base unit is worth so many dollars, and so many of a million of them are there."""
    fact = TokenFact(Amount(10**6), Amount(held))
    return market({"ETH": price(dollars * USD)}, tokens={(A, ETH_A): fact}, rules=WHOLE)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(0, 5_000),
    st.integers(5 * 10**5, 10**6),
    st.lists(st.integers(-40, 30), min_size=5, max_size=30),
)
def test_a_share_and_a_price_that_move_together_hide_nobody(amount: int, gap: int, held: int, steps: list[int]) -> None:
    """What is rounded of a share is worth thousands here: more than the gap, at times."""
    dollars = 2_000
    view = near(account([(A, ETH_A, Amount(amount))], [owes()]), indivisible(dollars, held), gap * USD)
    ledger, screen = Ledger([view]), Screen()
    for step in (0, *steps):
        held, dollars = min(10**6, held + held * step // 5_000), dollars + dollars * step // 5_000
        context = indivisible(dollars, held)
        assert ledger.screened(screen, context) == ledger.looked_through(context)
