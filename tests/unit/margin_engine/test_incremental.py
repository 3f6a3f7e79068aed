"""A book with many accounts near a threshold, tick after tick: few are evaluated, and every status is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chains.errors import HypothecError, InputError
from node.bench.margin.linear import DEBTS, sample
from node.margin.engine.linear import incremental
from node.margin.engine.linear.accounts import Legs, LinearAccounts
from node.margin.engine.linear.columns import PriceColumns
from node.margin.engine.linear.composition import CROSS_COLUMNS
from node.margin.engine.linear.evaluate import LinearLevels, evaluate
from node.margin.engine.linear.incremental import Watch
from node.margin.engine.linear.levels import REFUSED
from node.margin.models.errors import OutOfRange, UnknownAsset
from node.margin.models.fixed import WAD, Wad
from tests.property.margin_engine.test_linear import packed

ACCOUNTS = 2_000
NOTHING = Legs.of([0] * 500, [], [], [])


def drift(ticks: int, *, seed: int = 3, most: int = 200) -> tuple[int, int]:
    """Prices wander; how many accounts were evaluated, and how many statuses changed. Fails at a wrong status."""
    made, prices = sample(ACCOUNTS)
    watch, chosen = Watch(made, prices), np.random.default_rng(seed)
    names = list(prices)[:40]  # the most popular
    evaluated = changed = 0
    for _ in range(ticks):
        moved = {names[n]: chosen.integers(-most, most + 1) for n in chosen.choice(len(names), 3, replace=False)}
        prices |= {name: Wad(prices[name] * (10_000 + int(by)) // 10_000) for name, by in moved.items()}
        outcome = watch.tick({name: prices[name] for name in moved})
        full = evaluate(made, PriceColumns(made.instruments, prices))
        assert np.array_equal(watch.statuses, full.statuses())
        evaluated += len(outcome.evaluated)
        changed += len(outcome.changed)
    return evaluated, changed


def test_few_accounts_are_evaluated_and_no_status_is_wrong() -> None:
    evaluated, changed = drift(40)
    assert changed > 10
    assert evaluated < 40 * ACCOUNTS // 20


def test_intervals_five_percent_wider_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "ROUNDING", -0.05)
    with pytest.raises(AssertionError):
        drift(40)


def test_memory_grows_with_positions_and_is_below_300_bytes_for_eight() -> None:
    made, prices = sample(500)
    twice, _ = sample(1_000)
    eight, doubled = Watch(made, prices).nbytes, Watch(twice, prices).nbytes
    assert eight < 300 * 500
    assert 1.99 < doubled / eight < 2.01
    debtless = LinearAccounts(made.instruments, made.collateral, NOTHING, NOTHING)
    assert eight - Watch(debtless, prices).nbytes == DEBTS * 500 * (10 + 16)  # a leg, and what it is found by


def cross(**account: object) -> dict[str, Any]:
    return {
        "market": {"ETH": {"price": 2_000}, "USDC": {"price": 1}},
        "parameters": {
            "assets": {"ETH": {"initial": 0.8, "maintenance": 0.9}, "USDC": {"initial": 1, "maintenance": 1}},
            "perpetuals": {"ETH": {"initial": 0.1, "maintenance": 0.05}},
        },
        "accounts": [{"account": "alice", **account}],
    }


def crossing(content: dict[str, Any]) -> list[int]:
    """Statuses at ETH from 2,000 down to 1 and up to 6,000 in steps; each is that of a full evaluation."""
    made = packed(CROSS_COLUMNS, content)
    watch = Watch(made.accounts, made.market)
    found = []
    for price in [*range(2_000, 0, -7), *range(1, 6_000, 11)]:
        prices = {**made.market, "ETH": Wad(price * WAD)}
        watch.tick({"ETH": prices["ETH"]})
        full = evaluate(made.accounts, PriceColumns(made.accounts.instruments, prices))
        assert watch.statuses.tolist() == full.statuses().tolist()
        found.append(int(watch.statuses[0]))
    return found


def test_a_loss_that_collateral_just_outweighs_hides_nothing() -> None:
    # equity is near zero: collateral and loss are each large, and both move
    position = {"asset": "ETH", "amount": 10, "entry_price": 3_000}
    held = [{"asset": "ETH", "amount": 7}]
    assert set(crossing(cross(collateral=held, perpetuals=[position]))) == {0, 1, 2}
    short = {"asset": "ETH", "amount": -10, "entry_price": 1_900}
    assert set(crossing(cross(collateral=held, perpetuals=[short], cash=4_000))) == {0, 1, 2}


def test_whales_are_watched_by_the_rules() -> None:
    held = [{"asset": "ETH", "amount": 10_000_000}]
    debts = [{"asset": "USDC", "amount": 15_000_000_000}]
    assert set(crossing(cross(collateral=held, debts=debts))) == {0, 1, 2}


def test_a_price_that_is_none_moves_nothing() -> None:
    made = packed(CROSS_COLUMNS, cross(collateral=[{"asset": "ETH", "amount": 1}]))
    watch = Watch(made.accounts, made.market)
    for prices, error in (({"ETH": 0}, OutOfRange), ({"ETH": -1}, OutOfRange), ({"DOGE": 1}, UnknownAsset)):
        with pytest.raises(error) as raised:
            watch.tick({"ETH": Wad(1), **{name: Wad(price) for name, price in prices.items()}})
        assert isinstance(raised.value, HypothecError)
        assert next(iter(prices)) in str(raised.value)
    assert watch.tick({}).evaluated.tolist() == []
    assert watch.statuses.tolist() == [0]


def test_a_price_that_comes_later_is_waited_for() -> None:
    made = packed(
        CROSS_COLUMNS, cross(collateral=[{"asset": "ETH", "amount": 1}], debts=[{"asset": "USDC", "amount": 1}])
    )
    watch = Watch(made.accounts, {"USDC": made.market["USDC"]})
    assert watch.statuses.tolist() == [REFUSED]
    assert watch.tick({"ETH": made.market["ETH"]}).changed.tolist() == [0]
    assert watch.statuses.tolist() == [0]


# === Positions that change ===


def test_a_change_costs_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    count, changes = 800, 300
    made, prices = sample(count)
    others, _ = sample(count, seed=2)
    others = LinearAccounts(made.instruments, *others.kinds)
    watch, held = Watch(made, prices), np.arange(count)
    whole = watch.nbytes
    evaluated: list[int] = []

    def counted(accounts: LinearAccounts, columns: PriceColumns) -> LinearLevels:
        evaluated.append(len(accounts))
        return evaluate(accounts, columns)

    monkeypatch.setattr(incremental, "evaluate", counted)
    chosen = np.random.default_rng(4)
    for row in chosen.integers(0, count, changes):
        held[row] = count + chosen.integers(0, count)
        other = np.array([held[row] - count])
        assert watch.replace(np.array([row]), others.take(other)).evaluated.tolist() == [row]
        assert watch.nbytes < 1.5 * whole
    assert max(evaluated) >= count  # now and then all of them
    assert sum(evaluated) < 20 * changes  # and altogether few
    assert 2 <= len(watch._parts) <= 10
    anew = LinearAccounts.joined([made, others]).take(held)
    assert watch.statuses.tolist() == Watch(anew, prices).statuses.tolist()
    for name in list(prices)[:20]:
        prices[name] = Wad(prices[name] * 9 // 10)
        watch.tick({name: prices[name]})
        assert watch.statuses.tolist() == evaluate(anew, PriceColumns(made.instruments, prices)).statuses().tolist()


def test_an_account_that_is_yet_to_come_is_a_place_without_legs() -> None:
    made = packed(CROSS_COLUMNS, cross(collateral=[{"asset": "ETH", "amount": 1}], cash=-1_700)).accounts
    none = Legs.of([0, 0], [], [])
    empty = LinearAccounts(made.instruments, none, none, none)
    watch = Watch(empty, {"ETH": Wad(2_000 * WAD)})
    assert watch.tick({"ETH": Wad(1)}).evaluated.tolist() == []
    assert watch.replace(np.array([1]), made).changed.tolist() == [1]
    assert watch.tick({"ETH": Wad(2_000 * WAD)}).changed.tolist() == [1]
    assert watch.statuses.tolist() == [0, 1]
    assert watch.replace(np.array([1]), empty.take(np.array([0]))).changed.tolist() == [1]
    assert watch.tick({"ETH": Wad(1)}).evaluated.tolist() == []


def test_what_was_replaced_is_never_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "GROWN", 0)
    held = [{"asset": "ETH", "amount": 1}]
    content = cross()
    content["accounts"] = [
        {"account": f"n{n}", "collateral": held, "cash": -debt} for n, debt in enumerate((9, 1_700, 1_795))
    ]
    content["accounts"].append({"account": "usdc", "collateral": [{"asset": "USDC", "amount": 1}]})
    made = packed(CROSS_COLUMNS, content)
    safe, near, nearest, usdc = (made.accounts.take(np.array([n])) for n in range(4))
    row, watch = np.array([1]), Watch(made.accounts, made.market)
    for account, status in ((nearest, 1), (near, 1), (nearest, 1), (safe, 0)):
        watch.replace(row, account)
        assert watch.statuses.tolist() == [0, status, 1, 0]
    for price in (2_500, 1_900, 1_100):  # the others rise and fall, those that were in this row too
        assert 1 not in watch.tick({"ETH": Wad(price * WAD)}).evaluated
        assert watch.statuses[1] == 0
    watch.replace(row, usdc)
    assert 1 not in watch.tick({"ETH": Wad(5_000 * WAD)}).evaluated  # it has none
    watch.tick({"ETH": Wad(WAD)})
    assert watch.statuses.tolist() == [2, 0, 2, 0]
    assert watch.tick({"USDC": Wad(10 * WAD)}).evaluated.tolist() == [1, 3]


def test_what_cannot_be_replaced_changes_nothing() -> None:
    made, prices = sample(50)
    other, _ = sample(50)
    cash = LinearAccounts(made.instruments, *made.take(np.array([0])).kinds, cash=np.zeros(1, np.int64))
    watch = Watch(made, prices)
    before = watch.nbytes
    for rows, accounts in (([50], made.take(np.array([0]))), ([-1], made.take(np.array([0]))),
                           ([3, 3], made.take(np.array([0, 1]))), ([3], made.take(np.array([0, 1]))),
                           ([3], other.take(np.array([0]))), ([3], cash)):  # fmt: skip
        with pytest.raises(InputError):
            watch.replace(np.array(rows), accounts)
    assert watch.nbytes == before
    assert watch.statuses.tolist() == Watch(made, prices).statuses.tolist()
    assert watch.replace(np.zeros(0, np.int64), made.take(np.zeros(0, np.int64))).evaluated.tolist() == []
