"""What a venue can make of an account and of a node by what it names, beyond its own claim: nothing."""

from __future__ import annotations

import gc

import pytest

from node.margin import evaluate, withdrawal_refusal
from node.margin.account import rules_of
from node.margin.headroom import Headroom
from node.margin.math import FloatArray
from node.margin.models.hypothec.counted import Unit
from node.margin.models.pricing import black76
from node.margin.policy import Policy
from node.model.frame import PriceStatus
from node.model.health import Health, HealthStatus, Reason
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
KNOWN_PRICES = 3
"""By what is agreed, and both ends of the range."""
ROWS = 1 + 31
"""As it is, and in each row."""


def options(expiry: str) -> tuple[Position, ...]:
    return tuple(position(f"ETH-{expiry}-{2000 + each}-C", -1, 0) for each in range(STRIKES))


def made_of(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prices were made by each call."""
    found: list[int] = []

    def counting(*given: FloatArray) -> FloatArray:
        prices = black76(*given)
        found.append(prices.size)
        return prices

    monkeypatch.setattr("node.margin.models.hypothec.marks.black76", counting)
    return found


def test_options_are_priced_once_and_together_and_of_a_state_that_is_gone_nothing_stays(calls: list[int]) -> None:
    """Whoever names one strike after the other would else have nodes work more for each, and keep it."""
    context = market(rules=profile_policy())
    before = made_of(Unit)
    view = account([holding(A, ETH_A, 100)], [owes(*options("31DEC27"), *options("31DEC28"))])
    evaluate(view, context)
    assert evaluate(view, context).venues[0].maintenance.high > 0
    assert calls == [2 * STRIKES * KNOWN_PRICES * ROWS]
    assert made_of(Unit) - before == 2 * STRIKES + 1, "and of the collateral"
    del context
    assert made_of(Unit) == before


def test_of_many_accounts_the_options_are_priced_together(calls: list[int]) -> None:
    """Each account by itself would cost a node what it costs to call."""
    context = market(rules=profile_policy())
    views = [account([holding(A, ETH_A, 100)], [owes(each)]) for each in options("31DEC27")]
    assert len(list(rules_of(context.policy).headrooms(views, context))) == STRIKES
    assert calls == [STRIKES * KNOWN_PRICES * ROWS]


WORTHLESS = """
[[margin.parameters.rows]]
name = "nothing is left"
market = -1
"""
BEYOND = "ETH-31DEC27-999999999999999.99-P"
"""Where nothing is left, worth more than any mark may be."""


@pytest.mark.parametrize("place", range(4))
def test_an_option_that_cannot_be_marked_is_owed_without_a_bound_and_changes_nobody_elses(place: int) -> None:
    rules = profile_policy(WORTHLESS)
    usual = [[each] for each in options("31DEC27")[:4]]
    named = [[*held, position(BEYOND, 1, 0)] if at == place else held for at, held in enumerate(usual)]

    def judged(*accounts: list[Position]) -> list[Headroom]:
        views = [account([holding(A, ETH_A, 100)], [owes(*held)]) for held in accounts]
        return list(rules_of(rules).headrooms(views, market(rules=rules)))

    together, alone = judged(*named), [judged(held)[0] for held in named]
    assert together == alone
    assert [at for at, each in enumerate(judged(*usual)) if each != together[at]] == [place]
    assert together[place].safe is None
    [line] = evaluate(account([holding(A, ETH_A, 100)], [owes(*named[place])]), market(rules=rules)).venues
    assert (line.claim.high, line.reasons) == (1_000_000 * USD, (Reason.UNKNOWN_INSTRUMENT,))


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
