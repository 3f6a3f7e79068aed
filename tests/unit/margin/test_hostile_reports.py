"""What a venue can make of an account and of a node by what it names, beyond its own claim: nothing."""

from __future__ import annotations

import gc

import pytest

from node.margin import evaluate, withdrawal_refusal
from node.margin.models import shocks
from node.margin.models.pricing import black76
from node.margin.policy import Policy
from node.model.frame import PriceStatus
from node.model.health import Health, HealthStatus
from node.model.ledger import VenueObligation
from node.model.reports import Position
from tests.unit.margin.books import (
    ETH_A,
    USD,
    USDX_A,
    A,
    account,
    holding,
    market,
    owes,
    position,
    price,
    profile_policy,
    units,
)

STRIKES = 8


def options(expiry: str) -> tuple[Position, ...]:
    return tuple(position(f"ETH-{expiry}-{2000 + each}-C", -1, 0) for each in range(STRIKES))


def made_of(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def test_an_option_is_priced_once_at_all_points_and_of_a_state_that_is_gone_nothing_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever names one strike after the other would else have nodes work more for each, and keep it."""
    calls: list[int] = []

    def counting(*given: object) -> object:
        calls.append(1)
        return black76(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("node.margin.models.shocks.black76", counting)
    context = market(rules=profile_policy())
    before = made_of(shocks.Move), made_of(shocks.Points)
    view = account([holding(A, ETH_A, 100)], [owes(*options("31DEC27"), *options("31DEC28"))])
    evaluate(view, context)
    assert evaluate(view, context).venues[0].maintenance.high > 0
    assert len(calls) == 2 * STRIKES
    assert made_of(shocks.Points) - before[1] == 2, "of each expiry's calls"
    del context
    assert (made_of(shocks.Move), made_of(shocks.Points)) == before


ISSUED = """
[margin.parameters.issuers.one]
assets = ["USDX"]
factor = 0.1
"""


@pytest.mark.parametrize("name", ["USDX", "USDX-31DEC27-1-C"])
def test_what_is_no_instrument_of_the_policy_links_the_account_to_no_issuer(name: str) -> None:
    context = market(rules=profile_policy(ISSUED))
    plain, named = (
        evaluate(account([holding(A, USDX_A, 1_000)], [owes(position(each, 1, 0))]), context)
        for each in ("anything", name)
    )
    assert named.holdings == plain.holdings
    assert named.maintenance_excess == plain.maintenance_excess


def test_a_position_against_those_of_two_other_venues_supports_no_withdrawal() -> None:
    """In a market so wild that the shortfall decides, and not a row."""
    third = b'[[venues]]\nid = "gamma"\nsigner = "0x' + b"03" * 20 + b'"\n\n[[venues]]\n'
    rules = Policy.parse(profile_policy().body.replace(b"[[venues]]\n", third, 1))
    context = market({"ETH-VOL": price(3 * USD)}, rules=rules)
    honest = [owes(position("ETH-PERP", 20, 2_000), venue=each) for each in ("alpha", "beta")]
    hedge = owes(position("ETH-PERP", -40, 2_000), venue="gamma")

    def most(*venues: VenueObligation) -> int:
        view = account([holding(A, USDX_A, 200_000)], venues)
        steps = range(1_000, 200_000, 1_000)
        return max(
            dollars for dollars in steps if withdrawal_refusal(view, context, A, USDX_A, units(dollars, 6)) is None
        )

    assert 0 < most(*honest, hedge) <= most(*honest)


def test_who_holds_puts_is_not_liquidated_because_sources_disagree() -> None:
    """At each price that they leave possible the account is well: rule 5 of the design."""
    view = account([holding(A, USDX_A, 50_000)], [owes(position("ETH-31DEC27-1500-P", 20, 0), cash=-44_500)])

    def judged(low: int, high: int, status: PriceStatus = PriceStatus.FRESH) -> Health:
        return evaluate(view, market({"ETH": price(low * USD, high * USD, status)}, rules=profile_policy()))

    assert judged(1_940, 1_940).maintenance_excess.high >= 0
    disputed = judged(1_940, 2_060, PriceStatus.DISPUTED)
    assert disputed.maintenance_excess.high >= judged(1_940, 1_940).maintenance_excess.high
    assert disputed.status is HealthStatus.UNKNOWN
