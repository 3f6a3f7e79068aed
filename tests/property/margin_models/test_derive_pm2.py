"""Whatever the book: the order of its lines and how they are split decide nothing, cash is worth its face."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.math.products import exact_products
from node.margin.models.derive_pm2 import Result, evaluate, rules
from node.margin.models.derive_pm2.marks import ExpiryMarks
from node.margin.models.derive_pm2.portfolio import Option
from node.margin.models.derive_pm2.vectors import read_vector
from node.margin.models.fixed import Money, Wad
from tests.property.margin_models.test_products import sparse
from tests.unit.margin_models.test_derive_pm2 import DAY, collateral, feed, option, vector

FEEDS = [feed(seconds) for seconds in (DAY, 30 * DAY, 31 * DAY, 400 * DAY)]
options = st.builds(
    option,
    st.sampled_from([each["FeedExpiry"] for each in FEEDS]),
    st.sampled_from([500, 1_800, 2_000, 2_200, 9_000]),
    st.integers(-10_000, 10_000).map(lambda cents: cents / 100),
    call=st.sampled_from([0, 1]),
)
collaterals = st.builds(collateral, Amount=st.integers(0, 50), IsRiskCancelling=st.booleans())


def margin(options: list[dict[str, Any]], held: list[dict[str, Any]], cash: int = 0) -> Result:
    content = vector(Options=options, Collaterals=held, OptionFeeds=FEEDS, Cash=cash)
    return evaluate(*read_vector(content, ""))


@given(st.lists(options, max_size=6), st.lists(collaterals, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_order_decides_nothing(book: list[dict[str, Any]], held: list[dict[str, Any]], random: Any) -> None:  # noqa: ANN401
    result = margin(book, held)
    random.shuffle(book)
    random.shuffle(held)
    turned = margin(book, held)
    assert (turned.initial, turned.maintenance) == (result.initial, result.maintenance)
    assert (turned.scenarios, turned.expiries) == (result.scenarios, result.expiries)


@given(st.lists(options, min_size=1, max_size=4), st.lists(collaterals, max_size=2))
@settings(max_examples=25, deadline=None)
def test_an_option_in_two_halves_is_the_same_option(book: list[dict[str, Any]], held: list[dict[str, Any]]) -> None:
    halves = [{**each, "Amount": each["Amount"] / 2} for each in book for _ in range(2)]
    whole, split = margin(book, held), margin(halves, held)
    assert (split.initial, split.maintenance) == (whole.initial, whole.maintenance)


@given(st.lists(st.lists(options, min_size=1, max_size=5), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_the_product_of_lots_and_marks_is_what_the_rules_add_up(books: list[list[dict[str, Any]]]) -> None:
    """Accounts as sparse rows of hundredths over one table of marks, against options_value leg by leg."""
    instruments = {(each["Expiry"], each["Strike"], each["IsCall"]): each for book in books for each in book}
    every = vector(Options=[{**each, "Amount": 1} for each in instruments.values()], OptionFeeds=FEEDS)
    portfolio, parameters = read_vector(every, "")
    moves = [(scenario.spot, scenario.shock) for scenario in parameters.scenarios]
    table = np.zeros((len(instruments), len(moves)), dtype=np.int64)
    for expiry in portfolio.expiries:
        table[list(expiry.order)] = np.array(ExpiryMarks.of("", expiry, parameters).marks(moves)).T
    rows = []
    for book in books:
        lots: Counter[int] = Counter()
        for each in book:
            place = list(instruments).index((each["Expiry"], each["Strike"], each["IsCall"]))
            lots[place] += round(each["Amount"] * 100)
        rows.append(dict(lots))
    sums = exact_products(sparse(rows), table).integers()
    for row, held in zip(sums, rows, strict=True):
        legs = [Option(Wad(0), True, Wad(amount * 10**16)) for amount in held.values()]
        marks = [[Money(int(table[place, scenario])) for place in held] for scenario in range(len(row))]
        assert [total // 100 for total in row] == list(rules.options_values(legs, marks))


@given(st.lists(options, max_size=4), st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_cash_is_worth_its_face_and_initial_is_never_the_easier(book: list[dict[str, Any]], cash: int) -> None:
    without, with_cash = margin(book, []), margin(book, [], cash)
    assert with_cash.initial - without.initial == with_cash.maintenance - without.maintenance == cash * 10**12
    assert without.initial <= without.maintenance
    assert without.worst <= 0
