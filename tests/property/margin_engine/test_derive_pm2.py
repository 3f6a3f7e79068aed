"""The engine equals the rules bit for bit, over generated markets and books, up to and beyond its bounds."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import InputError
from node.margin.engine.derive import book as derive_book
from node.margin.engine.derive.book import Accounts
from node.margin.engine.derive.options import OPTION_UNIT
from node.margin.engine.derive.pm2 import Margins, evaluate, portfolio
from node.margin.engine.derive.pm2_frame import Frame
from node.margin.math import products
from node.margin.math.amounts import LARGEST, Amounts
from node.margin.math.products import Rows
from node.margin.models import derive_pm2 as rules
from node.margin.models.derive_pm2.vectors import read_vector
from node.margin.models.errors import MissingField, OutOfRange
from node.margin.models.fixed import WAD
from tests.unit.margin_models.test_derive_pm2 import DAY, collateral, feed, option, parameters, vector

YEAR = 365 * DAY
SECONDS = [0, 1, 900, DAY, 30 * DAY, 31 * DAY, 400 * DAY]
STRIKES = [1, 500, 1_900, 2_000, 2_010, 2_600, 90_000]
Row = dict[int, int]
Account = tuple[int, Row, int, list[int]]
"""Cash, options in millionths by column, perpetual and collaterals in 1e-18."""

confidences = st.sampled_from([0, 0.2, 0.54, 0.55, 0.56, 1])
ratios = st.sampled_from([0, 0.003, 0.5, 1, 2])


@st.composite
def markets(draw: st.DrawFn) -> tuple[dict[str, Any], list[int]]:
    """A market with three collaterals, and the expiries that it lists."""
    seconds = draw(st.lists(st.sampled_from(SECONDS), min_size=1, max_size=3, unique=True))
    listed = draw(st.lists(st.tuples(st.sampled_from(STRIKES), st.integers(0, 1)), min_size=1, max_size=7, unique=True))
    content = vector(
        SpotPrice=draw(st.sampled_from([2_000, 0.03, 95_000])),
        SpotConfidence=draw(confidences),
        StablePrice=draw(st.sampled_from([1, 0.97, 0.98, 0.1, 1.02])),
        Options=[option(each, strike, 1, call=call) for each in seconds for strike, call in listed],
        OptionFeeds=[draw(feeds(each)) for each in seconds],
        NumPerps=1, PerpPrice=draw(st.sampled_from([2_001, 0.03])), PerpConfidence=draw(confidences),
        Collaterals=[
            collateral(Price=draw(st.sampled_from([0, 1_999.5, 1.0003])), IsRiskCancelling=draw(st.booleans()),
                       Confidence=draw(confidences), IMHaircut=draw(st.sampled_from([0, 0.1, 1])))
            for _ in range(3)
        ],
    )  # fmt: skip
    content["Parameters"] = draw(parameter_sets())
    return content, seconds


@st.composite
def feeds(draw: st.DrawFn, seconds: int) -> dict[str, Any]:
    svi = draw(st.sampled_from([
        ["0.02", "0.1", "-0.2", "0.01", "0.1", 2_010, max(seconds, 60) / YEAR],
        ["0", "0", "0", "0", "0", 2_010, 1],
        ["50", "0.1", "0.9", "2", "0.1", 1_000, 0.01],
    ]))  # fmt: skip
    return feed(
        seconds, Forward=draw(st.sampled_from([2_010, 3, 70_000.123])), Rate=draw(st.sampled_from([-0.5, 0, 0.05, 3])),
        SVIparam=svi, ForwardConfidence=draw(confidences), RateConfidence=draw(confidences),
        OptionVolConfidences=draw(confidences),
    )  # fmt: skip


@st.composite
def parameter_sets(draw: st.DrawFn) -> dict[str, Any]:
    given = parameters()
    shocks = st.sampled_from(["Up", "None", "Down", "LINEAR", "ABS"])
    given["Scenarios"] = [
        {"SpotShock": draw(st.sampled_from([0, 0.34, 0.955, 1, 1.045, 1.1, 6])), "VolShockDirection": draw(shocks),
         "DampeningFactor": draw(st.sampled_from([0, 0.0545, 1, 3]))}
        for _ in range(draw(st.integers(1, 5)))
    ]  # fmt: skip
    given["Margin"].update(
        IM_LOSS_FACTOR=draw(st.sampled_from([0.5, 1, 10])), MM_LOSS_FACTOR=draw(st.sampled_from([0, 0.8, 1.1])),
        BASE_STATIC_DISCOUNT=draw(st.sampled_from([0, 0.95, 1, 4])),
        BASE_STATIC_DISCOUNT_NEG=draw(st.sampled_from([0, 0.9, 1, 1.04, 4])),
        SHORT_RATE_ADDSCALE=draw(st.sampled_from([0, 0.08, 5])),
    )  # fmt: skip
    given["OtherContingency"].update({name: draw(ratios) for name in ("CONF_MARGIN", "PEG_LOSS_FACTOR")})
    given["OtherContingency"].update(MM_OPTION_PERCENT=draw(ratios), IM_PERP_PERCENT=draw(ratios))
    return given


def books(columns: int, largest: int) -> st.SearchStrategy[list[Account]]:
    lots = st.one_of(st.integers(-largest, largest), st.sampled_from([0, 1, -1, 10**6, -(10**6), largest, -largest]))
    wads = st.one_of(st.integers(-(10**20), 10**20), st.sampled_from([0, 1, -1, WAD]))
    rows = st.dictionaries(st.integers(0, columns - 1), lots, max_size=columns)
    owned = st.lists(wads.map(abs), min_size=3, max_size=3)
    return st.lists(st.tuples(st.integers(-(10**18), 10**18), rows, wads, owned), min_size=1, max_size=6)


def accounts_of(book: list[Account]) -> Accounts:
    rows = [sorted(row.items()) for _, row, _, _ in book]
    width = len(book[0][3]) if book else 1
    return Accounts(
        Amounts.of(cash for cash, *_ in book),
        Rows(
            np.cumsum([0, *map(len, rows)]),
            np.array([column for row in rows for column, _ in row], dtype=np.int64),
            np.array([amount for row in rows for _, amount in row], dtype=np.int64),
        ),
        Amounts.of(perpetual for _, _, perpetual, _ in book),
        Amounts.of(amount for *_, owned in book for amount in owned).reshape(len(book), width),
    )


NAMES = [field.name for field in fields(Margins) if field.name not in {"errors", "by_rules"}]


def assert_as_by_the_rules(frame: Frame, accounts: Accounts, found: Margins) -> None:
    for place in range(len(accounts)):
        wanted = rules.evaluate(portfolio(frame, accounts, place), frame.parameters)
        if place in found.errors:
            everything = (wanted.initial, wanted.equity, wanted.worst, *(line.pnl for line in wanted.scenarios))
            assert max(map(abs, everything)) >= LARGEST
            continue
        got = {name: getattr(found, name)[place : place + 1].integers() for name in NAMES if name != "scenarios"}
        assert found.scenarios[:, place].integers() == [line.pnl for line in wanted.scenarios]
        assert got == {
            "equity": [wanted.equity],
            "option_value": [wanted.option_value],
            "collateral_value": [wanted.collateral_value],
            "basis_contingency": [wanted.basis_contingency],
            "worst": [wanted.worst],
            "perpetual_maintenance": [wanted.on_perpetual.maintenance],
            "perpetual_initial": [wanted.on_perpetual.initial],
            "options_maintenance": [wanted.on_options.maintenance],
            "options_initial": [wanted.on_options.initial],
            "collateral_maintenance": [wanted.on_collateral.maintenance],
            "collateral_initial": [wanted.on_collateral.initial],
            "on_confidence": [wanted.on_confidence],
            "initial": [wanted.initial],
            "maintenance": [wanted.maintenance],
        }


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_engine_is_the_rules(data: st.DataObject) -> None:
    content, _ = data.draw(markets())
    frame = Frame.of(*read_vector(content, "market"))
    largest = data.draw(st.sampled_from([3, 10**7, 10**10, 10**14]))  # dust; one digit; two; mostly beyond
    accounts = accounts_of(data.draw(books(frame.options.columns, largest)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(derive_book, "CHUNK", data.draw(st.sampled_from([1, 3, 4096])))
        patched.setattr(products, "BLOCK_CELLS", data.draw(st.sampled_from([1, 1 << 16])))
        found = evaluate(frame, accounts)
    assert_as_by_the_rules(frame, accounts, found)


# === A plain market ===


def plain() -> dict[str, Any]:
    return vector(
        Options=[option(seconds, strike, 1, call=call) for seconds in (DAY, 90 * DAY) for strike in (1_800, 2_200)
                 for call in (1, 0)],
        OptionFeeds=[feed(DAY), feed(90 * DAY)], NumPerps=1, PerpPrice=2_000, PerpConfidence=1,
        Collaterals=[collateral()],
    )  # fmt: skip


def one(cash: int = 0, row: Row | None = None, perpetual: int = 0, owned: int = 0) -> Accounts:
    return accounts_of([(cash, row or {}, perpetual, [owned])])


def frame_of(content: dict[str, Any] | None = None) -> Frame:
    return Frame.of(*read_vector(content or plain(), "market"))


def test_ordinary_books_are_not_left_to_the_rules() -> None:
    frame = frame_of()
    contracts = 10**6 * 10**6
    large = {column: (-1) ** column * contracts for column in range(frame.options.columns)}
    accounts = one(cash=10**22, row=large, perpetual=10**6 * WAD, owned=10**6 * WAD)
    found = evaluate(frame, accounts)
    assert not len(found.by_rules)
    assert_as_by_the_rules(frame, accounts, found)


@pytest.mark.parametrize(
    "accounts",
    [
        one(row={0: 2**62}), one(row={0: -(2**63)}), one(row={0: 10**16, 3: -(10**16)}), one(cash=10**27 - 1),
        one(perpetual=6 * 10**26), one(owned=9 * 10**26),
    ],
)  # fmt: skip
def test_extremes_are_left_to_the_rules(accounts: Accounts) -> None:
    frame = frame_of()
    found = evaluate(frame, accounts)
    assert found.by_rules.tolist() == [0]
    if not found.errors:
        assert_as_by_the_rules(frame, accounts, found)


def test_what_no_number_here_holds_is_an_error_of_its_account_alone() -> None:
    content = plain()
    content["Parameters"]["Margin"]["IM_LOSS_FACTOR"] = 1_000
    frame, huge = frame_of(content), (0, {0: -(2**62)}, 0, [0])
    small = (10**15, {0: -(10**6), 5: 3}, -WAD, [5 * WAD])
    found = evaluate(frame, accounts_of([small, huge, small]))
    assert (list(found.errors), found.by_rules.tolist()) == ([1], [1])
    assert isinstance(found.errors[1], OutOfRange)
    assert found.errors[1].account == "account 1"
    assert found.initial.integers()[1] == 0
    assert found.initial.integers()[0] == found.initial.integers()[2] == evaluate(frame, one(*small[:3], 5 * WAD)).initial.integers()[0]  # fmt: skip  # noqa: E501


def test_a_collateral_that_is_owed_is_refused() -> None:
    found = evaluate(frame_of(), accounts_of([(0, {}, 0, [-1]), (7, {}, 0, [1])]))
    assert (found.errors[0].instrument, found.errors[0].field) == ("ETH", "amount")
    assert found.equity.integers()[1] == 7


def test_an_expiry_without_a_price_blocks_only_who_holds_it() -> None:
    content = plain()
    content["Scenario"]["OptionFeeds"][1]["SVIparam"] = [-0.05, 0.1, 1, 0, 1, 2_010, 0.0822]
    content["Scenario"]["Options"].append(option(90 * DAY, 800, 1))  # no variance at this strike
    frame = frame_of(content)
    assert [table is None for table in frame.options.tables] == [False, True]
    bad = 4  # the lowest strike of the second expiry
    found = evaluate(frame, accounts_of([(5, {0: 10**6}, 0, [0]), (5, {0: 1, bad: 1}, 0, [0]), (5, {bad: 0}, 0, [0])]))
    assert list(found.errors) == [1]
    assert "strike 800" in str(found.errors[1])
    alone = accounts_of([(5, {0: 10**6}, 0, [0]), (5, {6: -(10**6)}, 0, [0])])  # the other strikes of it have a price
    assert_as_by_the_rules(frame, alone, evaluate(frame, alone))


def test_an_expiry_whose_marks_62_bits_do_not_hold_is_left_to_the_rules() -> None:
    content = plain()
    content["Scenario"]["OptionFeeds"][1]["Forward"] = 5e6  # a call costs 5e18 of money
    frame = frame_of(content)
    assert [table is None for table in frame.options.tables] == [False, True]
    accounts = accounts_of([(5, {0: 10**6, 3: -7}, 0, [0]), (5, {1: 1, 6: -(10**6)}, 0, [0])])
    found = evaluate(frame, accounts)
    assert found.by_rules.tolist() == [1]
    assert_as_by_the_rules(frame, accounts, found)


def test_splitting_an_account_in_chunks_or_elsewhere_in_the_batch_decides_nothing() -> None:
    frame = frame_of()
    book: list[Account] = [
        (n * 10**12, {n % 8: n * 10**6 + 1, (n + 3) % 8: -n}, n * WAD, [n * WAD]) for n in range(600)
    ]
    forwards, backwards = evaluate(frame, accounts_of(book)), evaluate(frame, accounts_of(book[::-1]))
    assert forwards.initial.integers() == backwards.initial.integers()[::-1]
    assert_as_by_the_rules(frame, accounts_of(book[254:259]), evaluate(frame, accounts_of(book[254:259])))
    assert evaluate(frame, accounts_of(book[255:257])).initial.integers() == forwards.initial.integers()[255:257]


@pytest.mark.parametrize("lot", [1, -1])
def test_dust_is_discounted_by_its_sign(lot: int) -> None:
    frame, accounts = frame_of(), one(row={4: lot})
    found = evaluate(frame, accounts)
    assert 0 < abs(found.option_value.integers()[0]) < 10**9
    assert_as_by_the_rules(frame, accounts, found)


def test_a_market_without_options() -> None:
    content = plain()
    content["Scenario"].update(Options=[], OptionFeeds=[])
    frame, accounts = frame_of(content), accounts_of([(5, {}, WAD, [WAD]), (-5, {}, -WAD, [0])])
    assert_as_by_the_rules(frame, accounts, evaluate(frame, accounts))


def test_no_accounts_at_all() -> None:
    found = evaluate(frame_of(), accounts_of([]))
    assert (len(found.initial), found.errors) == (0, {})


# === What is refused ===


def test_an_option_is_listed_once() -> None:
    content = plain()
    content["Scenario"]["Options"].append(copy.deepcopy(content["Scenario"]["Options"][0]))
    with pytest.raises(InputError, match="once"):
        frame_of(content)


def test_a_frame_needs_its_basis_parameters() -> None:
    content = plain()
    market, given = read_vector(content, "market")
    del content["Parameters"]["BasisContingency"]
    assert Frame.of(market, given).options.columns == 8
    with pytest.raises(MissingField, match="BasisContingency"):
        frame_of(content)


def test_rows_that_are_not_of_the_frame_are_refused() -> None:
    frame, good = frame_of(), one(row={0: 1, 7: 1})
    assert not evaluate(frame, good).errors
    for columns in ([0, 8], [-1, 7], [7, 0], [0, 0]):
        rows = Rows(good.options.starts, np.array(columns), good.options.amounts)
        with pytest.raises(InputError, match="ascend"):
            evaluate(frame, Accounts(good.cash, rows, good.perpetuals, good.collaterals))
    with pytest.raises(InputError, match="every collateral"):
        evaluate(frame, Accounts(good.cash, good.options, good.perpetuals, Amounts.zeros(1, 2)))
    with pytest.raises(InputError, match="every collateral"):
        evaluate(frame, Accounts(Amounts.zeros(2), good.options, good.perpetuals, good.collaterals))


def test_a_perpetual_needs_a_market() -> None:
    content = plain()
    content["Scenario"]["NumPerps"] = 0
    frame = frame_of(content)
    assert not evaluate(frame, one()).errors
    with pytest.raises(InputError, match="no perpetual"):
        evaluate(frame, one(perpetual=1))


def test_amounts_are_in_millionths() -> None:
    frame = frame_of()
    contract = portfolio(frame, one(row={0: 10**6}), 0)
    assert [each.amount for expiry in contract.expiries for each in expiry.options] == [WAD]
    assert OPTION_UNIT * 10**6 == WAD
