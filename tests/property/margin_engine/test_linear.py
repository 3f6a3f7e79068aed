"""Arrays equal the rules, account by account and bit for bit, whatever the books, prices and parameters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.linear.columns import PriceColumns
from node.margin.engine.linear.composition import COMPOUND_COLUMNS, CROSS_COLUMNS, LTV_COLUMNS, Linear
from node.margin.engine.linear.evaluate import evaluate
from node.margin.engine.linear.levels import Levels
from node.margin.engine.linear.packing import Packed, pack
from node.margin.models import book
from node.margin.models.book import Book, read_book
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.fixed import Wad
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import evaluate_file
from tests.property.margin_engine.books import files

PROFILES = {profile.spec.name: profile for profile in (LTV_COLUMNS, COMPOUND_COLUMNS, CROSS_COLUMNS)}


def read(content: dict[str, Any]) -> list[Book]:
    market = Fields.of(content["market"], "")
    return [read_book(account, name, market) for name, account in book.accounts(content, "")]


def packed(profile: Linear[Any], content: dict[str, Any]) -> Packed[Wad]:
    return pack(profile, profile.spec.read(Fields.of(content["parameters"], "")), read(content))


def named(error: PortfolioError) -> tuple[type, str, str, str]:
    return type(error), error.account, error.instrument, error.field


def assert_equal(outcome: Evaluation, levels: Levels, row: int) -> None:
    for place, level in enumerate(outcome.levels):
        sums = levels.sums(row, place)
        assert (sums.equity, sums.requirement, sums.excess) == (level.equity, level.requirement, level.excess)
    assert levels.status(levels.statuses()[row]) == outcome.status


@pytest.mark.parametrize("name", PROFILES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_account_is_what_the_rules_say(name: str, data: st.DataObject) -> None:
    profile = PROFILES[name]
    content = data.draw(files(tuple(each.name for each in profile.spec.thresholds), profile.spec.holds))
    expected = list(evaluate_file(profile.spec, content, ""))
    made = packed(profile, content)
    levels = evaluate(made.accounts, PriceColumns(made.accounts.instruments, made.market))
    assert not levels.refused
    refused = [each for each in expected if isinstance(each, PortfolioError)]
    assert [named(error) for error in made.refused] == [named(error) for error in refused]
    outcomes = [each for each in expected if isinstance(each, Evaluation)]
    assert list(made.accounts.names) == [each.account for each in outcomes]
    for row, outcome in enumerate(outcomes):
        assert_equal(outcome, levels, row)
