"""The venues' rules on arrays equal the rules, account by account and bit for bit, up to and beyond their bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.engine.linear import blocks, drift, dydx, mango, synthetix
from node.margin.engine.linear.levels import Levels
from node.margin.engine.linear.packing import Packed, pack_quoted
from node.margin.engine.linear.venue import Venue, evaluate
from node.margin.models.errors import PortfolioError
from node.margin.models.fields import Fields
from node.margin.models.market import Quote
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import evaluate_file
from tests.property.margin_engine.test_linear import assert_equal, named, read
from tests.property.margin_engine.venues import files

VENUES: dict[str, Venue[Any, Any]] = {
    each.profile.name: each for each in (dydx.ENGINE, drift.ENGINE, mango.ENGINE, synthetix.ENGINE)
}


def evaluated(name: str, content: dict[str, Any]) -> tuple[Packed[Quote], Levels]:
    venue = VENUES[name]
    made = pack_quoted(venue.profile, read(content))
    parameters = venue.profile.read(Fields.of(content["parameters"], ""))
    return made, evaluate(made.accounts, venue.frame(made.accounts.instruments, made.market, parameters))


def assert_as_by_the_rules(name: str, content: dict[str, Any]) -> Levels:
    """Every account of a file: refused by the same error, or equal in every number and in status."""
    expected = {each.account: each for each in evaluate_file(VENUES[name].profile, content, "")}
    made, levels = evaluated(name, content)
    refused = {error.account: error for error in made.refused}
    refused |= {made.accounts.name(row): error for row, error in levels.refused.items()}
    for account, outcome in expected.items():
        if isinstance(outcome, PortfolioError):
            assert named(refused.pop(account)) == named(outcome)
    assert not refused
    for row, account in enumerate(made.accounts.names):
        outcome = expected[account]
        if isinstance(outcome, Evaluation):
            assert_equal(outcome, levels, row)
        else:
            assert levels.status(levels.statuses()[row]) == "refused"
    return levels


@pytest.mark.parametrize("name", VENUES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_account_is_what_the_rules_say(name: str, data: st.DataObject) -> None:
    content = data.draw(files(name))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "BLOCK_LEGS", data.draw(st.sampled_from([1, 4, 1 << 15])))
        assert_as_by_the_rules(name, content)
