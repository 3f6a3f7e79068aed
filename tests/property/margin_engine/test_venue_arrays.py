"""The venues' rules on arrays that no file gave: edges of the integers, nothing at all, thousands of positions."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.bench.margin.venues import ASSETS, VENUES, Sample, sample
from node.margin.engine.linear import drift
from node.margin.engine.linear.accounts import Legs, LinearAccounts
from node.margin.engine.linear.levels import Levels
from node.margin.engine.linear.venue import evaluate
from node.margin.models import drift as rules
from node.margin.models.book import Balance, Book, Perpetual
from node.margin.models.fixed import Money, Wad
from node.margin.models.profile import Evaluation
from tests.unit.margin_models.test_math import dispatched

REPOSITORY = Path(__file__).resolve().parents[3]
FRAMES = {name: sample(name, 1) for name in VENUES}
EDGE = 2**62
Balances = list[tuple[int, int]]
Account = tuple[int, Balances, Balances, list[tuple[int, int, int, int]]]
"""Cash; places and amounts of collateral and debts; place, amount, entry and funding of perpetuals."""

places = st.integers(0, ASSETS - 1)
amounts = st.one_of(
    st.integers(0, 10**13),
    st.integers(0, 10**20),
    st.sampled_from([0, 1, 2, 10**9, EDGE - 1, EDGE, 2**63 - 1, 2**63, 2**64, 2**94 - 1]),
)
money = st.one_of(st.integers(-(10**16), 10**16), st.sampled_from([0, 1, -1, 999_999, EDGE - 1, 1 - EDGE]))
entries = st.one_of(st.integers(0, 10**13), st.sampled_from([0, 1, EDGE - 1]))
signed = st.tuples(st.sampled_from([1, -1]), amounts).map(lambda pair: pair[0] * pair[1])
balances = st.lists(st.tuples(places, amounts), max_size=5)
books: st.SearchStrategy[list[Account]] = st.lists(
    st.tuples(money, balances, balances, st.lists(st.tuples(places, signed, entries, money), max_size=5)),
    min_size=1, max_size=5,
)  # fmt: skip


def arrays(name: str, accounts: list[Account]) -> LinearAccounts:
    """Accounts of the sample's instruments: 9 decimals, entry prices in 1e-8; perpetuals stand after balances."""
    known = VENUES[name][1]
    kinds: list[Legs] = []
    for kind, entered in ((1, False), (2, False), (3, True)):
        each: list[Any] = [account[kind] if known[kind - 1] else [] for account in accounts]
        legs = [leg for held in each for leg in held]
        kinds.append(Legs.of(
            [len(held) for held in each], [leg[0] + entered * ASSETS for leg in legs], [leg[1] for leg in legs],
            [leg[2] for leg in legs] if entered else None, [leg[3] for leg in legs] if entered else None,
        ))  # fmt: skip
    collateral, debts, perpetuals = kinds
    cash = np.array([account[0] for account in accounts])
    return LinearAccounts(FRAMES[name].frame.instruments, collateral, debts, perpetuals, cash=cash)


def by_the_rules(name: str, account: Account) -> Evaluation:
    """The rules, given the same numbers; whoever has nothing of an instrument does not hold it."""
    frame, known = FRAMES[name].frame, VENUES[name][1]
    quotes = [frame.quotes[f"asset {n}"] for n in range(ASSETS)]
    cash, collateral, debts, perpetuals = account
    held, owed = (
        tuple(Balance(Wad(amount * 10**9), quotes[place]) for place, amount in each if amount and used)
        for each, used in ((collateral, known[0]), (debts, known[1]))
    )
    positions = tuple(
        Perpetual(Wad(amount * 10**9), Wad(entry * 10**10), Money(funding), quotes[place])
        for place, amount, entry, funding in perpetuals if amount
    )  # fmt: skip
    book = Book("", "", Money(cash), held, owed, positions, ())
    return Evaluation("", name, frame.venue.profile.levels(book, frame.parameters))


def assert_equal(levels: Levels, row: int, outcome: Evaluation) -> None:
    for place, level in enumerate(outcome.levels):
        sums = levels.sums(row, place)
        assert (sums.equity, sums.requirement) == (level.equity, level.requirement)
    assert levels.status(levels.statuses()[row]) == outcome.status


@pytest.mark.parametrize("name", VENUES)
@given(accounts=books)
@settings(max_examples=60, deadline=None)
def test_every_array_is_what_the_rules_say(name: str, accounts: list[Account]) -> None:
    levels = evaluate(arrays(name, accounts), FRAMES[name].frame)
    assert not levels.refused
    for row, account in enumerate(accounts):
        assert_equal(levels, row, by_the_rules(name, account))


def listed(made: Sample, row: int) -> Account:
    """An account of a sample as the test's own rules take it."""
    held = made.accounts
    assert held.cash is not None
    collateral, debts = (
        [(int(legs.instruments[place]), int(legs.amounts[place])) for place in legs.span(row)]
        for legs in (held.collateral, held.debts)
    )
    legs = held.perpetuals
    assert legs.entries is not None
    assert legs.funding is not None
    perpetuals = [
        (int(legs.instruments[n]) - ASSETS, int(legs.amounts[n]), int(legs.entries[n]), int(legs.funding[n]))
        for n in legs.span(row)
    ]
    return int(held.cash[row]), collateral, debts, perpetuals


@pytest.mark.parametrize("name", VENUES)
def test_ordinary_books_are_not_left_to_the_rules(name: str) -> None:
    made = sample(name, 300)
    levels = evaluate(made.accounts, made.frame)
    assert not levels.beyond
    assert made.accounts.nbytes < 300 * 300
    assert len(set(levels.statuses().tolist())) >= 3
    for row in range(300):
        assert_equal(levels, row, by_the_rules(name, listed(made, row)))


@pytest.mark.parametrize("name", VENUES)
def test_thousands_of_positions_are_one_account(name: str) -> None:
    few = [(n % ASSETS, 1 + n * 7) for n in range(2_000)]
    many = [(n % ASSETS, (-1) ** n * (1 + n * 11), n * 10**7, n - 999) for n in range(3_000)]
    accounts: list[Account] = [(5, [], [], []), (-(10**9), few, few[::-1], many), (0, few[:1], [], [])]
    levels = evaluate(arrays(name, accounts), FRAMES[name].frame)
    assert not levels.beyond
    for row, account in enumerate(accounts):
        assert_equal(levels, row, by_the_rules(name, account))


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize("account", [
    (0, [], [], [(0, 1, 0, EDGE - 1)] * 3), (0, [], [], [(0, 1, 0, 1 - EDGE)] * 3), (EDGE - 1, [], [], [(0, 1, 0, 0)]),
])  # fmt: skip
def test_sums_of_what_the_integers_just_hold_are_left_to_the_rules(name: str, account: Account) -> None:
    levels = evaluate(arrays(name, [account, (1, [], [], [])]), FRAMES[name].frame)
    assert levels.beyond.keys() == {0}
    assert_equal(levels, 0, by_the_rules(name, account))


@pytest.mark.parametrize("name", VENUES)
def test_legs_of_nothing_count_nothing(name: str) -> None:
    nothing: Account = (7, [(0, 0)], [(1, 0)], [(2, 0, 5, 9)])
    levels = evaluate(arrays(name, [nothing, (7, [], [], [])]), FRAMES[name].frame)
    assert not levels.beyond
    assert_equal(levels, 0, by_the_rules(name, nothing))
    assert levels.sums(0, 0) == levels.sums(1, 0)


roots = st.one_of(st.integers(0, 2**31 * 3), st.integers(0, 10**6))


@given(st.lists(st.tuples(roots, st.integers(-12, 12)), min_size=1))
@settings(max_examples=200, deadline=None)
def test_roots_are_exact_beside_every_square(cases: list[tuple[int, int]]) -> None:
    sizes = [min(max(root * root // 10 + off, 0), EDGE - 1) for root, off in cases]
    assert drift.size_root(np.array(sizes)).tolist() == [rules.size_root(size) for size in sizes]


def test_roots_that_the_float_misses_on_either_side_are_corrected() -> None:
    low, high = [1_193_251_696_855_622_212, 1_547_965_492_132_778_612], [1_300_896_372_307_633_923]
    floats = [int(np.sqrt(size * 10.0 + 1.0)) for size in low + high]
    exact = [rules.size_root(size) for size in low + high]
    assert [near - root for near, root in zip(floats, exact, strict=True)] == [-1, -1, 1]
    assert drift.size_root(np.array(low + high)).tolist() == exact


# === On every machine ===

_PROGRAM = "from tests.property.margin_engine.test_venue_arrays import digest; print(digest())"


def digest() -> str:
    """Of every number and status of made-up accounts under every venue."""
    found = hashlib.sha256()
    for name in VENUES:
        made = sample(name, 400)
        levels = evaluate(made.accounts, made.frame)
        found.update(levels.equity.tobytes() + levels.requirement.tobytes() + levels.statuses().tobytes())
    return found.hexdigest()


def test_the_results_are_the_same_without_vector_instructions() -> None:
    disabled = {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched())}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=REPOSITORY, env={**os.environ, **disabled}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == digest()
