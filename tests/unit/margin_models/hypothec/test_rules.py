"""Rows, haircuts, shortfall, charges, links, venues and isolated accounts: each rule by hand."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import Any

import pytest

from node.margin.models.fields import Fields
from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.models.hypothec import haircuts, scenarios
from node.margin.models.hypothec.counted import Quality, haircut_pair, steps_of
from node.margin.models.hypothec.parts import concentration, parts
from node.margin.models.hypothec.portfolio import Risk
from node.margin.models.hypothec.shortfall import shortfall
from node.model.health import HealthStatus
from tests.unit.margin_models.hypothec.accounts import (
    NO_CHARGES,
    NO_SHORTFALL,
    STILL,
    collateral,
    evaluation,
    market,
    option,
    parameters,
    perpetual,
    portfolio,
    result,
    usd,
)

BARE: dict[str, Any] = {**NO_CHARGES, **NO_SHORTFALL}


def row(**content: object) -> scenarios.Row:
    return scenarios.read_row(Fields(content, "alice"), 0)


def moved(asset: str, **content: object) -> float:
    return scenarios.move(row(**content), parameters().assets[asset]) / WAD


# === Rows ===


def test_a_row_moves_every_asset_by_its_loadings() -> None:
    assert moved("BTC", market=-0.1) == -0.1
    assert moved("ETH", market=-0.1) == pytest.approx(-0.12)
    assert moved("AVAX", market=-0.1) == pytest.approx(-0.15)
    assert moved("unheard of", market=-0.1) == pytest.approx(-0.15)
    assert moved("AVAX", together=-0.1) == -0.1
    assert moved("AVAX", groups={"majors": 0.1}, others=-0.2) == -0.2
    assert moved("ETH", groups={"majors": 0.1}, others=-0.2) == 0.1
    assert moved("USDC", market=-0.5, together=-0.5, others=1) == 0
    assert moved("WSTETH", market=-0.1, kinds={"lst": -0.1}) == pytest.approx(0.88 * 0.9 - 1)
    assert moved("DAI", issuers={"circle": -0.12}) == -0.12
    assert moved("DAI", assets={"USDC": -0.12}) == 0
    assert moved("WSTETH", assets={"ETH": -0.5}, kinds={"lst": -0.06}) == pytest.approx(0.5 * 0.94 - 1)
    assert moved("AVAX", market=-0.9) == -1


def test_of_three_splits_one_moves_any_two_of_a_group_apart() -> None:
    group = ["SOL", "BNB", "XRP", "ADA", "AVAX", "DOGE", "LINK", "MATIC"]
    sides = [{name: moved(name, split=bit, relative=0.06) for name in group} for bit in range(3)]
    for place, first in enumerate(group):
        for second in group[place + 1 :]:
            assert any(of[first] * of[second] < 0 for of in sides), (first, second)


def test_hedges_across_assets_are_neither_free_nor_worthless() -> None:
    def needs(*perpetuals: dict[str, Any]) -> float:
        return 1e6 - usd(result({"cash": 1e6, "perpetuals": list(perpetuals)}, **NO_CHARGES).initial_excess.low)

    long, short = perpetual("SOL", 100), perpetual("AVAX", -500)
    assert 0.1 * needs(long) < needs(long, short) < 0.7 * (needs(long) + needs(short))
    within = needs(perpetual("BTC", 1), perpetual("ETH", -20))
    assert 0.1 * needs(perpetual("BTC", 1)) < within < needs(perpetual("BTC", 1))


def test_a_weight_is_what_of_the_result_counts() -> None:
    account = {"perpetuals": [perpetual("BTC", 1)]}
    full = result(account, rows=[{"market": -0.5}], **BARE).initial_excess.low
    part = result(account, rows=[{"market": -0.5, "weight": 0.2}], **BARE).initial_excess.low
    assert (usd(full), usd(part)) == (-30_000, -6_000)


def test_maintenance_takes_its_part_of_every_row() -> None:
    found = result({"perpetuals": [perpetual("BTC", 1)]}, rows=[{"market": -0.5}], **BARE)
    assert usd(found.maintenance_excess.low) == -24_000


def test_volatility_moves_by_row() -> None:
    account = {"cash": 1_000, "options": [option(amount=-1)]}
    calm, up = (result(account, rows=[{"vol": shock}], **BARE).initial_excess.low for shock in (0, 0.5))
    assert up < calm


def test_volatility_is_charged_once_by_haircut_or_by_row() -> None:
    held = {"collateral": [collateral("ETH", 1)]}
    rules: dict[str, Any] = {"haircuts": {"floor": 0.13, "cap": 0.13, "impact": 0}, **BARE}
    small, large, gain = (result(held, rows=[{"together": by}], **rules).initial_excess.low for by in (-0.1, -0.3, 0.3))
    assert usd(small) == pytest.approx(3_000 * 0.87)
    assert usd(large) == pytest.approx(3_000 * 0.70)
    assert usd(gain) == pytest.approx(3_000 * 0.87)
    hedged = {**held, "perpetuals": [perpetual(amount=-1)]}
    assert usd(result(hedged, rows=[{"together": 0.3}], **rules).initial_excess.low) == pytest.approx(3_000 * 0.87)


# === Haircuts ===


def test_components_of_a_haircut_by_hand() -> None:
    rules = parameters().haircuts
    assert haircuts.by_volatility(Wad(WAD), rules) / WAD == pytest.approx(2.326 * sqrt(2 / 365), rel=1e-12)
    assert haircuts.by_volatility(Wad(0), rules) == rules.floor
    assert haircuts.by_volatility(Wad(90 * WAD), rules) == rules.cap
    assert haircuts.by_size(Wad(WAD // 25), rules) / WAD == pytest.approx(1.5 * 0.1 * 0.2, rel=1e-12)
    assert haircuts.by_age(60, rules) == 0
    assert haircuts.by_age(60 + 3_600, rules) / WAD == pytest.approx(0.05)
    feed = portfolio({"collateral": [collateral()]}, market(ETH={"low": 2_970, "high": 3_060})).holdings[0].feed
    assert haircuts.by_spread(feed, rules) / WAD == pytest.approx(0.015)


def test_haircuts_add_up_to_at_most_one() -> None:
    held = portfolio({"collateral": [collateral(assurance="REPORTED", finality="PENDING")]}).holdings[0]
    for haircut in haircut_pair(held.feed, held.quality, 0, parameters()):
        assert haircut.parts["assurance"] / WAD == 0.05
        assert sum(haircut.parts.values()) > WAD
        assert haircut.total == WAD
    assert usd(result({"collateral": [collateral(finality="PENDING")]}).initial_excess.high) == 0


def test_maintenance_eases_what_the_market_does_and_nothing_else() -> None:
    held = portfolio({"collateral": [collateral()]}).holdings[0]
    initial, maintenance = haircut_pair(held.feed, Quality("ATTESTED", "SAFE", "LIVE"), 0, parameters())
    for name in initial.parts:
        ratio = 0.8 if name in {"volatility", "size"} else 1
        assert maintenance.parts[name] == pytest.approx(initial.parts[name] * ratio)


def test_a_large_holding_counts_for_less_each_unit_and_never_for_less_in_all() -> None:
    def counts(amount: float) -> float:
        return usd(result({"collateral": [collateral("AVAX", amount)]}, **STILL, **BARE).initial_excess.low)

    amounts = [1e3, 1e4, 5e4, 1e5, 1e6, 1e7]
    values = [counts(amount) for amount in amounts]
    assert values == sorted(values)
    each = [value / amount for value, amount in zip(values, amounts, strict=True)]
    assert each == sorted(each, reverse=True)
    assert each[0] > 10 * each[-1]


def test_holdings_of_one_asset_share_its_depth() -> None:
    rules = parameters(haircuts={"size_steps": [1, 2]})
    feed = portfolio({"collateral": [collateral("AVAX")]}, market(AVAX={"depth": 300})).holdings[0].feed
    assert steps_of([Wad(15 * WAD), Wad(15 * WAD)], feed, rules) == [
        [10 * WAD, 5 * WAD, 0],
        [0, 5 * WAD, 10 * WAD],
    ]
    twice = {"collateral": [collateral("AVAX", 15), collateral("AVAX", 15, assurance="ATTESTED")]}
    once = {"collateral": [collateral("AVAX", 30)]}
    thin = market(AVAX={"depth": 300})
    assert result(twice, thin).initial_excess.low <= result(once, thin).initial_excess.low


# === Shortfall ===


def test_shortfall_is_the_normal_one() -> None:
    rules = parameters(shortfall={"deviations": 2, "horizon": 86_400, "correlation": 0.4}).shortfall
    deltas = {"BTC": Money(100 * PICO), "ETH": Money(-50 * PICO), "SOL": Money(70 * PICO)}
    vols = {"BTC": Wad(WAD // 2), "ETH": Wad(WAD), "SOL": Wad(WAD)}
    groups = {"BTC": "majors", "ETH": "majors", "SOL": "alts"}
    normal = NormalDist()
    v = (50, -50, 70)
    squared = sum(each * each for each in v) + 2 * (0.85 * v[0] * v[1] + 0.4 * v[0] * v[2] + 0.4 * v[1] * v[2])
    expected = normal.pdf(2) / (1 - normal.cdf(2)) * sqrt(squared / 365)
    assert usd(shortfall(deltas, vols, groups, rules)) == pytest.approx(expected, rel=1e-12)


def test_the_shortfall_decides_where_the_rows_do_not() -> None:
    account = {"cash": 1_000, "perpetuals": [perpetual()]}
    wild = market(ETH={"vol": 3})
    found = result(account, wild, **STILL, **NO_CHARGES)
    assert found.initial[0].worst is None
    assert usd(found.initial_excess.low) < 600
    assert "expected shortfall" in evaluation(account, wild, **STILL, **NO_CHARGES).notes[0]


def test_haircuts_have_paid_for_the_shortfall_of_collateral() -> None:
    wild = market(ETH={"vol": 1})
    found = result({"collateral": [collateral("ETH", 1)]}, wild, **STILL, **NO_CHARGES)
    assert found.initial[0].shortfall < 1_000
    assert parts(portfolio({"collateral": [collateral("ETH", 1)]}, wild), parameters())[0].relief.low > 0


@pytest.mark.parametrize("vol", [0.1, 3, 8, 50])
def test_however_volatile_it_is_collateral_costs_no_more_than_it_counts(vol: float) -> None:
    owing = {"cash": 1_000, "perpetuals": [perpetual("BTC", 0.05)]}
    wild = market(SOL={"vol": vol, "depth": 2_000, "status": "FRESH", "low": 140, "high": 160})
    before = result(owing, wild, **STILL)
    for amount in (0.001, 5, 50):
        after = result({**owing, "collateral": [collateral("SOL", amount)]}, wild, **STILL)
        assert after.initial_excess.low >= before.initial_excess.low - 10
        assert after.maintenance_excess.low >= before.maintenance_excess.low - 10


# === Charges ===


def test_contingencies_of_shorts_and_of_linear_positions() -> None:
    def charge(**account: object) -> float:
        return sum(usd(part.contingency.low) for part in parts(portfolio(account), parameters()))

    assert charge(options=[option(amount=-2)]) == pytest.approx(2 * 3_000 * 0.005)
    assert charge(options=[option(amount=2)]) == 0
    assert charge(perpetuals=[perpetual(amount=-2)]) == charge(perpetuals=[perpetual(amount=2)]) == pytest.approx(30)


def test_a_position_beyond_its_share_of_the_depth_costs_more() -> None:
    rules = parameters()
    risk = Risk(Wad(WAD), Money(1_000 * PICO), Money(0))
    assert concentration(Money(100 * PICO), risk, rules) == 0
    assert usd(concentration(Money(-150 * PICO), risk, rules)) == pytest.approx(10)
    assert usd(concentration(Money(150 * PICO), Risk(risk.vol, risk.depth, Money(500 * PICO)), rules)) == pytest.approx(
        20
    )
    thin = result({"cash": 1e6, "perpetuals": [perpetual("SOL", 1_000)]}, market(SOL={"depth": 10_000}))
    assert usd(thin.parts[1].concentration.low) == pytest.approx(0.2 * (150_000 - 1_000))


# === Issuers ===


@pytest.mark.parametrize(
    ("more", "is_linked"),
    [
        ({}, False),
        ({"venues": {"ftx": {"limit": 100}}}, False),
        ({"venues": {"ftx": {"limit": 100, "cash": -1}}}, True),
        ({"venues": {"ftx": {"limit": 100}}, "perpetuals": [perpetual("BTC", 0.001, venue="ftx")]}, True),
        ({"venues": {"dex": {"limit": 100}}, "perpetuals": [perpetual("BTC", 0.001, venue="dex")]}, False),
        ({"perpetuals": [perpetual("SRM", 1)]}, True),
    ],
)
def test_what_the_issuer_of_an_obligation_issued_counts_at_one_factor(more: dict[str, Any], is_linked: bool) -> None:
    account = {"collateral": [collateral("FTT", 10)], **more}
    of = market(SRM={"price": 1})
    alone = result({"collateral": [collateral("FTT", 10)]}, of).parts[0].initial.low
    found = result(account, of).parts[0].initial.low
    assert found == pytest.approx(alone * 0.05) if is_linked else found == alone


# === Venues ===


def test_a_profit_at_one_venue_counts_for_nothing_elsewhere() -> None:
    gains, loses = perpetual("BTC", 1, entry_price=50_000), perpetual("BTC", -1, entry_price=50_000)
    venues = {"a": {"limit": 1e6}, "b": {"limit": 1e6}}
    at_one = {"cash": 1_000, "venues": venues, "perpetuals": [{**gains, "venue": "a"}, {**loses, "venue": "b"}]}
    found = result(at_one, **STILL, **BARE)
    assert usd(found.maintenance_excess.low) == pytest.approx(1_000 - 10_000, rel=1e-3)
    own = {"cash": 1_000, "perpetuals": [gains, {**perpetual("ETH", 1)}]}
    assert usd(result(own, **STILL, **BARE).maintenance_excess.low) == pytest.approx(11_000, rel=1e-3)


def test_offsets_between_venues_are_worth_nothing_when_a_row_makes_one_lose() -> None:
    venues = {"a": {"limit": 1e6}, "b": {"limit": 1e6}}
    hedged = {
        "cash": 20_000,
        "venues": venues,
        "perpetuals": [perpetual("BTC", 1, venue="a"), perpetual("BTC", -1, venue="b")],
    }
    found = result(hedged, rows=[{"together": -0.1}, {"together": 0.1}], **BARE)
    assert usd(found.initial_excess.low) == 14_000
    assert usd(result(hedged, **STILL, **NO_CHARGES).initial[0].shortfall) > 1_000


def test_the_limit_clamps_in_every_row_and_in_the_shortfall() -> None:
    short = {"cash": 9_000, "venues": {"a": {"limit": 500}}, "perpetuals": [perpetual("BTC", -1, venue="a")]}
    found = result(short)
    assert usd(min(found.initial[0].left)) == 8_500
    assert usd(found.initial_excess.low) == 8_500
    assert usd(found.initial[0].shortfall) <= 500
    seized = {**short, "venues": {"a": {"limit": 500, "seized": 300, "acknowledged": 300}}}
    assert usd(result(seized).initial_excess.low) == 8_800
    unacknowledged = {**short, "venues": {"a": {"limit": 1e6, "seized": 300, "acknowledged": 100}}}
    acknowledged = {**short, "venues": {"a": {"limit": 1e6, "seized": 300, "acknowledged": 300}}}
    gained = result(unacknowledged).initial_excess.low - result(acknowledged).initial_excess.low
    assert usd(gained) == 200


def test_a_venues_profit_bears_the_shortfall_of_its_positions_first() -> None:
    """As it does in every row: what is lost of a profit nobody can claim."""

    def shortfall(profit: float, **more: object) -> float:
        ahead = perpetual("ETH", 10, entry_price=3_000 - profit / 10, venue="a")
        venues = {"a": {"limit": 1e6}, "b": {"limit": 1e6}}
        account = {"cash": 5_000, "venues": venues, "perpetuals": [ahead], **more}
        return usd(result(account, **STILL, **NO_CHARGES).initial[0].shortfall)

    whole = shortfall(0)
    assert whole > 3_000
    assert shortfall(1_000) == pytest.approx(whole - 1_000)
    assert shortfall(20_000) == 0
    owed = {"debts": [collateral("SOL", 10)]}
    alone = usd(result({"cash": 5_000, **owed}, **STILL, **NO_CHARGES).initial[0].shortfall)
    assert shortfall(20_000, **owed) == pytest.approx(alone)
    both = shortfall(0, perpetuals=[perpetual("ETH", 10, venue="a"), perpetual("ETH", 10, entry_price=1, venue="b")])
    assert both == pytest.approx(whole)
    assert evaluation({"cash": 1_000, "venues": {"a": {"limit": 1e6}}, "perpetuals": [
        perpetual("ETH", 10, entry_price=1_000, venue="a")]}).status == "healthy"  # fmt: skip


@pytest.mark.parametrize(
    ("account", "least"),
    [
        ({"collateral": [collateral("ETH", "0.000000000000000001")]}, 0),
        ({"collateral": [collateral("ETH", 3), collateral("SOL", "1e-18")]}, 0),
        ({"options": [option(amount=1, strike=4_500)]}, 0),
        ({"cash": 5, "venues": {"a": {"limit": 1e6}}, "options": [option(amount=90, strike=4_500, venue="a")]}, 5),
        ({"cash": 7_100, "perpetuals": [perpetual("ETH", 2, entry_price=3_500)]}, 100 - 30),
        (
            {"cash": 7_100, "venues": {"a": {"limit": 1e6}}, "perpetuals": [perpetual(amount=2, venue="a")]},
            1_100 - 30,
        ),
    ],
)
def test_what_is_owned_outright_needs_no_more_than_it_is_worth(account: dict[str, Any], least: int) -> None:
    """However wild the market: without a short or a debt nothing is lost beyond what was paid."""
    for vol in (0.5, 30):
        found = result(account, market(ETH={"vol": vol}, SOL={"vol": vol}))
        assert found.initial_excess.low >= least * PICO
        assert found.status is HealthStatus.HEALTHY
    rows: Any = {"rows": [{"name": "all is gone", "together": -1}]}
    assert result(account, market(), **rows).initial_excess.low >= least * PICO
    owing = result({**account, "debts": [collateral("USDC", 9_000)]}, market(ETH={"vol": 30}))
    assert owing.status is not HealthStatus.HEALTHY


def test_a_short_beside_it_has_no_floor() -> None:
    wild, hedge = market(ETH={"vol": 30}), option(amount=90, strike=4_500)
    cash = {"cash": 200, "options": [hedge, option(amount=-0.1, strike=4_600)]}
    assert result(cash, wild).status is not HealthStatus.HEALTHY
    assert result({"cash": 200, "options": [hedge]}, wild).status is HealthStatus.HEALTHY


def test_claims_rank_pro_rata() -> None:
    venues = {"a": {"limit": 1e6, "cash": -300}, "b": {"limit": 1e6, "cash": -100}, "c": {"limit": 50, "cash": -900}}
    claims = evaluation({"cash": 90, "venues": venues}).components["claims"]
    assert isinstance(claims, dict)
    entitled = {name: float(each["entitled_usd"]) for name, each in claims.items()}  # type: ignore[arg-type, call-overload, index]
    assert entitled == {"a": 60, "b": 20, "c": 10}


# === Isolated accounts ===


def test_isolated_accounts_take_and_give_nothing() -> None:
    plain = {"cash": 100, "perpetuals": [perpetual("ETH", 0.1)]}
    for apart in ({"cash": 1e6}, {"perpetuals": [perpetual("BTC", 5, entry_price=90_000)]}):
        with_it = {**plain, "isolated": [{"name": "apart", **apart}]}
        assert result(with_it).maintenance_excess == result(plain).maintenance_excess
        assert result(with_it).status == result(plain).status
    shown = evaluation({**plain, "isolated": [{"name": "apart", "cash": -1}]}).components["isolated"]
    assert isinstance(shown, dict)
    assert shown["apart"]["status"] == "insolvent"  # type: ignore[call-overload, index]
