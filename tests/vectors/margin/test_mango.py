"""Mango's health test: 18 accounts with open orders, a perpetual and scaled weights."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from node.margin.models import mango
from node.margin.models.mango import PerpPosition, SpotOrders, Token
from tests.shared import shared

FILE: dict[str, Any] = json.loads(shared("vectors/margin/transcribed/mango_v4_health.json").read_text())
MARKET = FILE["market"]
LIMITS = {14: (Fraction(3), Fraction(1, 12)), 15: (Fraction(6), Fraction(1, 9))}
"""The lowest ask of the first market and the highest bid's inverse of the second: the file says them in words."""


def exact(number: object) -> Fraction:
    return Fraction(str(number))


def of_bank(case: dict[str, Any], name: str, place: int) -> Fraction | None:
    numbers = (case["bank"] or {}).get(name)
    return None if numbers is None or numbers[place] is None else exact(numbers[place])


def token(case: dict[str, Any], place: int) -> Token:
    market = MARKET[f"token{place + 1}"]
    price = exact(market["price"])
    potential = of_bank(case, "potential_serum_tokens", place) or 0
    deposits = ((of_bank(case, "deposits", place) or 0) + potential) * price
    borrows = (of_bank(case, "borrows", place) or 0) * price
    return Token(
        exact(case[f"token{place + 1}"]),
        mango.deposit_scaled(
            exact(market["init_asset_w"]), Fraction(deposits), of_bank(case, "deposit_weight_scale_start_quote", place)
        ),
        mango.borrow_scaled(
            exact(market["init_liab_w"]), Fraction(borrows), of_bank(case, "borrow_weight_scale_start_quote", place)
        ),
        price,
        price,
    )


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda case: str(case["case"]))
def test_initial_health(case: dict[str, Any]) -> None:
    ask, bid = LIMITS.get(case["case"], (None, None))
    orders = [
        SpotOrders(base, 0, exact(case[name][1]), exact(case[name][0]), *limits)
        for base, name, limits in (
            (1, "oo_1_2_quote_base", (ask, None)),
            (2, "oo_1_3_quote_base", (None, bid)),
        )
    ]
    base, quote, bids, asks = case["perp_baseLots_quote_bidLots_askLots"]
    perp = MARKET["perp"]
    weights = map(exact, (*perp["init_base_w"], perp["init_overall_asset_w"]))
    lot_value = exact(perp["base_lot_size"]) * exact(perp["underlying_price"])
    position = PerpPosition(0, base, exact(quote), bids, asks, lot_value, *weights)
    found = mango.health([token(case, place) for place in range(3)], orders, [position])
    assert abs(found - exact(case["expected_init_health"])) <= Fraction(1, 10**9)


def test_the_limits_are_those_of_the_file() -> None:
    notes = {case["case"]: case["note"] for case in FILE["cases"] if case["note"]}
    assert set(notes) == set(LIMITS)
    assert all(str(float(ask)) in notes[case] and str(bid) in notes[case] for case, (ask, bid) in LIMITS.items())
