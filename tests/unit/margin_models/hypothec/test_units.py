"""Units are made once in a market, and never one for another."""

from __future__ import annotations

from typing import Any

import pytest

from node.margin.models.book import Option
from node.margin.models.hypothec.parts import Units, drafts
from tests.unit.margin_models.hypothec.accounts import market, option, parameters, portfolio


def units_of(status: str) -> list[Any]:
    """The units of an option that is held at one venue and owed at another, twice."""
    rules = parameters()
    venues = {"dex": {"limit": 10_000}, "cex": {"limit": 10_000}}
    sides = [option(amount=1, venue="dex"), option(amount=-1, venue="cex")]
    found = portfolio({"venues": venues, "options": sides}, market(ETH={"status": status, "age": 400}), rules)
    kept = Units(rules)
    assert all(isinstance(held.position, Option) for venue in found.venues for held in venue.positions)
    return [entry.unit for _ in range(2) for draft in drafts(found, kept) for entry in draft.entries]


def test_what_is_held_and_what_is_owed_are_two_units_where_the_feed_is_missing() -> None:
    held, owed, held_again, owed_again = units_of("MISSING")
    assert held is held_again
    assert owed is owed_again
    assert held != owed


@pytest.mark.parametrize("status", ["FRESH", "STALE", "FROZEN", "DISPUTED"])
def test_they_are_one_where_it_has_a_price(status: str) -> None:
    held, owed, *_ = units_of(status)
    assert held is owed


def test_the_same_is_made_once() -> None:
    rules = parameters(feeds={"stale_after": 10_000})
    found = portfolio({"options": [option(amount=1)]}, None, rules)
    kept = Units(rules)
    (first,), (second,) = ([entry.unit for draft in drafts(found, kept) for entry in draft.entries] for _ in range(2))
    assert first is second
