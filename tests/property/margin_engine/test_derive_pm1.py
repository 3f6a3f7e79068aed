"""The engine's derive-pm1 is the rules bit for bit, over generated markets and books, up to and beyond its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import InputError
from node.margin.engine.derive import book as derive_book
from node.margin.engine.derive.book import Accounts
from node.margin.engine.derive.pm1 import _NAMES, Frame, Margins, evaluate, portfolio
from node.margin.math import products
from node.margin.math.amounts import LARGEST, Amounts
from node.margin.models import derive_pm1 as rules
from node.margin.models.derive_pm1 import Expiry, Portfolio
from node.margin.models.derive_pm2.portfolio import Option
from node.margin.models.errors import OutOfRange
from node.margin.models.fixed import ONE, WAD, Money, Wad
from tests.property.margin_engine.test_derive_pm2 import Account, accounts_of, books

DAY = 86_400
SECONDS = [0, 1, DAY, 30 * DAY, 31 * DAY, 400 * DAY]
STRIKES = [1, 500, 1_900, 2_000, 2_010, 2_600, 90_000]


def wad(number: float) -> Wad:
    return Wad(round(number * 10**9) * 10**9)


def expiry(seconds: int, listed: Sequence[tuple[float, bool]], vol: float = 0.6, **changes: Any) -> Expiry:  # noqa: ANN401
    options = tuple(Option(wad(strike), call, Wad(0)) for strike, call in listed)
    vols = tuple(wad(vol + place / 100) for place in range(len(options)))
    made = Expiry(seconds, wad(2_000), wad(10), wad(0.05), ONE, options, vols)
    return replace(made, **changes)


def market(*expiries: Expiry, **changes: Any) -> Portfolio:  # noqa: ANN401
    made = Portfolio(
        "market", Money(0), Money(0), Wad(0), wad(2_001), Wad(0), wad(2_000), wad(0.97), wad(0.9), expiries
    )
    return replace(made, **changes)


confidences = st.sampled_from([0, 0.2, 0.59, 0.6, 1]).map(wad)


@st.composite
def markets(draw: st.DrawFn) -> tuple[Portfolio, Wad]:
    listed = draw(st.lists(st.tuples(st.sampled_from(STRIKES), st.booleans()), min_size=1, max_size=7, unique=True))
    expiries = [
        expiry(
            seconds,
            [*listed],
            draw(st.sampled_from([0.0, 0.6, 20.0])),
            variable=wad(draw(st.sampled_from([2_000, 3, 70_000.123, 0]))),
            fixed=wad(draw(st.sampled_from([0, 10]))) + 1,
            rate=wad(draw(st.sampled_from([-0.5, 0, 0.05, 3]))),
            confidence=draw(confidences),
        )
        for seconds in draw(st.lists(st.sampled_from(SECONDS), min_size=1, max_size=3, unique=True))
    ]
    changes = {
        "spot": wad(draw(st.sampled_from([2_000, 0.03, 95_000]))),
        "stable": wad(draw(st.sampled_from([1, 0.97, 0.98, 0.1, 1.02]))),
        "perpetual_price": wad(draw(st.sampled_from([2_001, 0.03]))),
        "confidence": draw(confidences),
    }
    return market(*expiries, **changes), draw(confidences)


def assert_as_by_the_rules(frame: Frame, accounts: Accounts, found: Margins) -> None:
    for place in range(len(accounts)):
        wanted = rules.evaluate(portfolio(frame, accounts, place))
        if place in found.errors:
            assert max(map(abs, (wanted.initial, wanted.equity, wanted.worst, *wanted.scenarios))) >= LARGEST
            continue
        got = {name: getattr(found, name)[place : place + 1].integers() for name in _NAMES if name != "scenarios"}
        assert got == {name: [getattr(wanted, name)] for name in got}
        assert found.scenarios[:, place].integers() == list(wanted.scenarios)


def of(book: list[Account]) -> Accounts:
    """With one collateral, the base."""
    return accounts_of([(cash, row, perpetual, owned[:1]) for cash, row, perpetual, owned in book])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_engine_is_the_rules(data: st.DataObject) -> None:
    frame = Frame.of(*data.draw(markets()))
    largest = data.draw(st.sampled_from([3, 10**7, 10**10, 10**14]))
    accounts = of(data.draw(books(frame.options.columns, largest)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(derive_book, "CHUNK", data.draw(st.sampled_from([1, 3, 4096])))
        patched.setattr(products, "BLOCK_CELLS", data.draw(st.sampled_from([1, 1 << 16])))
        found = evaluate(frame, accounts)
    assert_as_by_the_rules(frame, accounts, found)


def plain() -> Frame:
    listed = [(strike, call) for strike in (1_800, 2_200) for call in (True, False)]
    return Frame.of(market(expiry(DAY, listed), expiry(90 * DAY, listed, confidence=wad(0.5))), wad(0.55))


def one(cash: int = 0, row: dict[int, int] | None = None, perpetual: int = 0, base: int = 0) -> Accounts:
    return accounts_of([(cash, row or {}, perpetual, [base])])


def test_hundreds_of_legs_and_large_books_are_not_left_to_the_rules() -> None:
    listed = [(1_000 + 10 * place, call) for place in range(100) for call in (False, True)]
    frame = Frame.of(market(expiry(DAY, listed), expiry(30 * DAY, listed)), wad(0.55))
    row = {column: (-1) ** column * (column + 1) * 10**6 for column in range(400)}
    accounts = accounts_of([
        (10**22, row, 10**6 * WAD, [10**6 * WAD]),
        (-(10**20), {column: -amount + 1 for column, amount in row.items()}, -1, [0]),
        (0, {}, 0, [7]),
    ])  # fmt: skip
    found = evaluate(frame, accounts)
    assert not len(found.by_rules)
    assert_as_by_the_rules(frame, accounts, found)


@pytest.mark.parametrize(
    "accounts",
    [
        one(row={0: 2**62}), one(row={0: -(2**63)}), one(row={0: 10**16, 3: -(10**16)}), one(cash=10**27 - 1),
        one(perpetual=6 * 10**26), one(base=9 * 10**26),
    ],
)  # fmt: skip
def test_extremes_are_left_to_the_rules(accounts: Accounts) -> None:
    frame = plain()
    found = evaluate(frame, accounts)
    assert found.by_rules.tolist() == [0]
    if not found.errors:
        assert_as_by_the_rules(frame, accounts, found)


def test_one_bad_account_stops_no_other() -> None:
    """An owed base; numbers beyond all bounds; an expiry without a price."""
    dear = expiry(30 * DAY, [(2_000, True)], variable=Wad(10**33))
    frame = Frame.of(market(expiry(DAY, [(2_000, True), (2_000, False)]), dear), wad(0.5))
    assert [table is None for table in frame.options.tables] == [False, True]
    good: Account = (10**15, {0: -(10**6), 1: 5}, -WAD, [5 * WAD])
    accounts = accounts_of([good, (0, {}, 0, [-1]), (0, {2: 1}, 0, [0]), (0, {0: -(10**16)}, 10**22, [0]), good])
    found = evaluate(frame, accounts)
    assert found.by_rules.tolist() == [1, 2, 3]
    assert sorted(found.errors) == [1, 2]
    assert (found.errors[1].account, found.errors[1].instrument, found.errors[1].field) == (
        "account 1",
        "base",
        "amount",
    )
    assert isinstance(found.errors[2], OutOfRange)
    assert (found.errors[2].account, found.errors[2].field) == ("account 2", "mark")
    assert found.initial.integers()[0] == found.initial.integers()[4] == rules.evaluate(portfolio(frame, accounts, 0)).initial  # fmt: skip  # noqa: E501


def test_what_is_not_of_the_frame_is_refused() -> None:
    frame = plain()
    assert not evaluate(frame, one(row={0: 1, 7: 1})).errors
    with pytest.raises(InputError, match="ascend"):
        evaluate(frame, one(row={8: 1}))
    with pytest.raises(InputError, match="every collateral"):
        evaluate(frame, replace(one(), collaterals=Amounts.zeros(1, 2)))
    with pytest.raises(InputError, match="once"):
        Frame.of(market(expiry(DAY, [(2_000, True), (2_000, True)])))
    assert len(evaluate(frame, accounts_of([])).initial) == 0


def test_columns_are_by_strike_and_volatilities_go_with_them() -> None:
    listed = [(2_200.0, True), (1_800.0, True), (1_800.0, False)]
    frame = Frame.of(market(expiry(DAY, listed)))
    held = frame.market.expiries[0]
    assert [(each.strike, each.is_call) for each in held.options] == [
        (wad(1_800), False), (wad(1_800), True), (wad(2_200), True),
    ]  # fmt: skip
    assert held.vols == (wad(0.62), wad(0.61), wad(0.6))
    assert np.array_equal(frame.options.strikes, [0, 0, 1])
