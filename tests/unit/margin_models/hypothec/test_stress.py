"""Reverse stress and replays: what breaks an account does, and a little less does not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.margin.models.fixed import ONE, WAD, Wad
from node.margin.models.hypothec import reverse
from node.margin.models.hypothec.margin import Result
from node.margin.models.hypothec.moved import moved
from node.margin.models.hypothec.parameters import Parameters
from node.margin.models.hypothec.portfolio import Portfolio
from node.margin.models.hypothec.profile import result_of
from node.margin.models.hypothec.replays import (
    CORRELATION,
    DEGRADED,
    EVENTS,
    FROZEN,
    HALTED,
    LIQUIDITY,
    MOST_TRIED,
    Replayed,
    correlated,
    frozen,
    replay,
)
from tests.unit.margin_models.hypothec.accounts import (
    MARKET,
    collateral,
    market,
    option,
    parameters,
    perpetual,
    portfolio,
    result,
    usd,
)

FEW = {
    "rows": [
        {"name": "all down", "together": -0.1, "vol": 0.5},
        {"name": "all up", "together": 0.1, "vol": 0.5},
        {"name": "apart", "groups": {"majors": 0.1}, "others": -0.1},
        {"name": "further apart", "groups": {"majors": 0.2}, "others": -0.2},
    ]
}


def survives(account: Portfolio, rules: Parameters, found: reverse.Breaking, share: float) -> bool:
    rows = {row.name: row for row in rules.rows}
    direction = reverse.worst_direction(account, rules, sorted(found.moves))
    if found.direction in rows:
        row = replace(rows[found.direction], vol=Wad(0))
    else:
        assert direction is not None
        row = direction.row
    multiple = Wad(int(found.multiple * share))
    return result_of(moved(account, row, rules, multiple), rules).maintenance_excess.high >= 0


@pytest.mark.parametrize(
    ("account", "direction", "sign"),
    [
        ({"cash": 1_000, "perpetuals": [perpetual("BTC", 0.05)]}, "all down", -1),
        ({"cash": 1_000, "perpetuals": [perpetual("BTC", -0.05)]}, "all up", 1),
        ({"cash": 4_000, "options": [option("BTC", -0.2, 66_000)]}, "all up", 1),
        ({"cash": 3_000, "perpetuals": [perpetual("BTC", 0.1), perpetual("SOL", -40)]}, "all up", 0),
    ],
)
def test_the_nearest_move_liquidates_and_a_little_less_does_not(
    account: dict[str, Any], direction: str, sign: int
) -> None:
    rules = parameters(**FEW)
    held = portfolio(account, None, rules)
    found = reverse.nearest(held, rules)
    assert found is not None
    assert not survives(held, rules, found, 1.0)
    assert survives(held, rules, found, 0.98)
    if sign:
        assert found.direction in {direction, reverse.BY_DELTAS}
        assert found.moves["BTC"] * sign > 0
    by_deltas = reverse.by_deltas(held, rules)
    assert by_deltas is not None
    assert found.deviations <= by_deltas.deviations * (1 + 1e-9)


def test_the_worst_direction_is_against_every_delta() -> None:
    rules = parameters(**FEW)
    held = portfolio({"cash": 9_000, "perpetuals": [perpetual("BTC", 0.1), perpetual("SOL", -200)]}, None, rules)
    direction = reverse.worst_direction(held, rules, ["BTC", "SOL"])
    assert direction is not None
    assert direction.moves["SOL"] > 0
    assert direction.moves["SOL"] > abs(direction.moves["BTC"])


def test_an_account_without_risk_breaks_nowhere_and_a_broken_one_at_once() -> None:
    rules = parameters(**FEW)
    assert reverse.nearest(portfolio({"cash": 1}, None, rules), rules) is None
    assert reverse.by_deltas(portfolio({"cash": 1}, None, rules), rules) is None
    broken = reverse.nearest(portfolio({"cash": -1}, None, rules), rules)
    assert broken is not None
    assert (broken.multiple, broken.deviations) == (0, 0)


def test_a_moved_market_is_the_market_read_moved() -> None:
    rules = parameters(**FEW)
    account = {
        "cash": 2_000,
        "collateral": [collateral("SOL", 8)],
        "debts": [collateral("AVAX", 1)],
        "perpetuals": [perpetual("BTC", 0.1, entry_price=61_000)],
        "futures": [{"asset": "BTC", "seconds": 30 * 86_400, "amount": -0.05, "entry_price": 60_000}],
        "options": [option("ETH", -1)],
    }
    shifted = {
        name: {
            **quote,
            "price": quote["price"] * 0.9,
            "expiries": [{**each, "forward": each["forward"] * 0.9} for each in quote.get("expiries", [])],
        }
        for name, quote in MARKET.items()
        if name != "WSTETH"
    }
    calm = replace(rules.rows[0], vol=Wad(0))
    after = result_of(moved(portfolio(account, None, rules), calm, rules), rules)
    read = result_of(portfolio(account, shifted, rules), rules)
    assert usd(after.initial_excess.low) == pytest.approx(usd(read.initial_excess.low), rel=1e-9)
    twice = result_of(moved(portfolio(account, None, rules), calm, rules, Wad(2 * WAD)), rules)
    assert usd(twice.initial_excess.low) < usd(after.initial_excess.low)


def test_every_event_is_replayed() -> None:
    rules = parameters()
    account = portfolio({"cash": 6_000, "perpetuals": [perpetual("BTC", 0.2)]}, None, rules)
    found = {each.name: each.result for each in replay(account, rules)}
    assert list(found) == [*(each["name"] for each in EVENTS), *DEGRADED]
    assert found["parallel -50%"].status.name == "LIQUIDATABLE"
    assert found["2023-03 usdc"].status.name == "HEALTHY"


def replayed(name: str, account: dict[str, Any], of: dict[str, Any] | None = None) -> tuple[Replayed, Result]:
    """An event, and the account before it."""
    rules = parameters()
    before = portfolio(account, of, rules)
    (found,) = (each for each in replay(before, rules) if each.name == name)
    return found, result_of(before, rules)


def test_with_a_tenth_of_the_liquidity_size_costs_more() -> None:
    large = {
        "cash": 10**6,
        "collateral": [{"asset": "SOL", "amount": 10_000}],
        "perpetuals": [perpetual("SOL", -9_000)],
    }
    found, before = replayed(LIQUIDITY, large)
    shallow = market(SOL={"depth": 5_000_000})  # a tenth of the default
    assert found.result.maintenance_excess == result(large, shallow).maintenance_excess
    assert found.result.maintenance_excess.low < before.maintenance_excess.low
    small = {"cash": 100, "collateral": [{"asset": "USDC", "amount": 1}]}
    same, small_before = replayed(LIQUIDITY, small)
    assert same.result.maintenance_excess == small_before.maintenance_excess


def test_correlations_of_one_take_offsets_between_longs_away() -> None:
    rules = parameters()
    assert set(correlated(rules).shortfall.within.values()) == {ONE}
    longs = {
        "cash": 10**5,
        "perpetuals": [perpetual(asset, 20_000 / MARKET[asset]["price"]) for asset in ("BTC", "SOL")],
    }
    found, before = replayed(CORRELATION, longs)
    assert found.result.initial[0].shortfall > before.initial[0].shortfall
    hedged = {**longs, "perpetuals": [perpetual("BTC", 1), perpetual("SOL", -400)]}
    eased, hedged_before = replayed(CORRELATION, hedged)
    assert eased.result.initial[0].shortfall < hedged_before.initial[0].shortfall


def test_a_frozen_feed_gives_no_credit_and_the_one_that_hurts_most_is_said() -> None:
    held = [{"asset": asset, "amount": 10_000 / MARKET[asset]["price"]} for asset in ("BTC", "SOL")]
    account = {"cash": -13_000, "collateral": [*held, {"asset": "WSTETH", "amount": 1}]}
    found, before = replayed(FROZEN, account)
    assert before.status.name == "HEALTHY"
    assert found.what == "BTC"
    assert found.result == result(account, market(BTC={"status": "FROZEN", "age": 3_600}))
    assert found.result.status.name == "UNKNOWN"
    # What follows an underlying is frozen with it.
    rules = parameters()
    ether = frozen(portfolio(account, None, rules), "ETH", rules)
    assert [each.feed.status.value for each in ether.holdings] == ["FRESH", "FRESH", "FROZEN"]
    # Nothing that has a price: nothing to freeze.
    assert replayed(FROZEN, {"cash": 5})[0].what == ""


def test_what_is_on_a_halted_chain_may_be_gone() -> None:
    held = [{"asset": "USDC", "amount": 800}, {"asset": "USDC", "amount": 500, "assurance": "ATTESTED"}]
    account = {"cash": -1_000, "collateral": held}
    found, before = replayed(HALTED, account)
    assert before.status.name == "HEALTHY"
    assert found.what == "USDC"
    assert found.result == result({**account, "collateral": [{**held[0], "chain": "HALTED"}, held[1]]})
    assert found.result.status.name == "UNKNOWN"


def test_what_is_tried_is_bounded() -> None:
    of = {f"T{place}": {"price": 1} for place in range(60)}
    account = {"cash": 0, "collateral": [{"asset": name, "amount": place + 1} for place, name in enumerate(of)]}
    for name in (FROZEN, HALTED):
        assert replayed(name, account, of)[0].what == "T59"
    assert MOST_TRIED < 60


def test_stress_is_shown_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    account = {"cash": 900, "perpetuals": [perpetual("BTC", 0.05)]}
    path.write_text(json.dumps({"market": {"BTC": MARKET["BTC"]}, "parameters": FEW, **account}))
    plain, asked = (
        CliRunner().invoke(app, ["margin", "evaluate", str(path), "--json", *more]) for more in ([], ["--stress"])
    )
    assert "reverse_stress" not in json.loads(plain.output)["components"]
    components = json.loads(asked.output)["components"]
    assert components["reverse_stress"]["nearest"]["moves"]["BTC"] < -0.1
    assert components["replays"]["2020-03-12 black thursday"]["status"] == "insolvent"
    assert components["replays"]["one feed frozen"]["of"] == "BTC"
    explained = CliRunner().invoke(app, ["margin", "explain", str(path), "--stress"])
    assert "reverse_stress" in explained.output
    assert "excess from" in explained.output
    assert not re.search(r"\.\d{7}", explained.output)  # to the cent, or six digits
