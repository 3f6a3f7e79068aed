"""Every component of the published PMRM portfolios."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from node.margin.models.derive_pm1 import TOLERANCE, compare, components, evaluate, levels, read_account
from node.margin.models.errors import ExpiredInstrument, MissingField, OutOfRange, PortfolioError
from node.margin.models.profiles import PROFILES, evaluate_file
from tests.shared import shared

CASES: dict[str, dict[str, Any]] = json.loads(
    shared("vectors/margin/derive-other/PMRM__testAndVerifyScenarios.json").read_text()
)
DERIVED = ("VolShockUp", "VolShockDown", "SVIparams", "SettlementPrice", "PercentFixed", "Forwards", "StableConfidence")
GIVEN = {"UnrealisedPerpPNL", "UnrealisedFunding", "PercentFixed", "SettlementPrice"}


def case(name: str) -> dict[str, Any]:
    return copy.deepcopy(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_every_component_matches(name: str) -> None:
    expected = CASES[name]["Result"]
    result = evaluate(read_account(CASES[name], name))
    comparison = compare(result, expected)
    assert comparison.matches, (comparison.unmatched, comparison.errors)
    assert set(comparison.errors) == set(expected) - GIVEN
    # The same again without our own comparison, far within the stated tolerance.
    for ours, theirs in ((result.initial, "InitialMarginCalc"), (result.maintenance, "MaintenanceMarginCalc")):
        assert abs(ours / 1e12 - expected[theirs] / 1e18) <= 1e-9 * max(abs(expected[theirs] / 1e18), 1)


def test_there_are_all_of_them() -> None:
    assert len(CASES) == 21


@pytest.mark.parametrize("name", CASES)
def test_levels_add_up_to_the_margins(name: str) -> None:
    result = evaluate(read_account(CASES[name], name))
    initial, maintenance = levels(result)
    assert (initial.excess, maintenance.excess) == (result.initial, result.maintenance)


def test_derived_fields_are_not_read() -> None:
    for name, content in CASES.items():
        bare = {"Scenario": {key: each for key, each in content["Scenario"].items() if key not in DERIVED}}
        assert evaluate(read_account(bare, name)) == evaluate(read_account(content, name))


@pytest.mark.parametrize("name", sorted(set(CASES["Test19"]["Result"]) - GIVEN))
def test_a_wrong_expectation_is_seen(name: str) -> None:
    wrong = case("Test19")
    wrong["Result"][name] += int(3 * TOLERANCE * max(abs(wrong["Result"][name]), 10**18))
    comparison = compare(evaluate(read_account(wrong, "")), wrong["Result"])
    assert not comparison.matches
    assert comparison.errors[name] > TOLERANCE


def test_what_cannot_be_compared_is_said() -> None:
    result = evaluate(read_account(CASES["Test1"], ""))
    assert compare(result, {"MinSpan": "x", "Other": 1}).unmatched == ("MinSpan", "Other")
    assert "MinSpan" in components(result)


def test_the_profile_evaluates_accounts_one_by_one() -> None:
    bad = case("Test1")
    bad["Scenario"]["Cash"] = "much"
    content = {"accounts": [{"account": "good", **CASES["Test19"]}, {"account": "bad", **bad}]}
    good, error = evaluate_file(PROFILES["derive-pm1"], content, "file")
    assert not isinstance(good, PortfolioError)
    assert good.comparison is not None
    assert good.comparison.matches
    assert good.status == "liquidatable"
    assert isinstance(error, PortfolioError)
    assert (error.account, error.field) == ("bad", "Cash")


def test_what_has_no_amount_reads_no_price() -> None:
    content: dict[str, Any] = {"Scenario": {**dict.fromkeys(["Perps", "Base", "UnrealisedPerpPNL"], 0), "Cash": 5}}
    content["Scenario"].update(UnrealisedFunding=0, StablePrice=10**18)
    assert evaluate(read_account(content, "")).initial == 0
    zero = case("Test1")
    zero["Scenario"].update(OptionAmounts=[0], OptionStrikes=["?"], ForwardsVariable=[None], SpotPrice=None)
    assert evaluate(read_account(zero, "")).initial == 0


BAD: list[tuple[Callable[[dict[str, Any]], object], type[PortfolioError], str, str]] = [
    (lambda s: s.update(Base=-1), OutOfRange, "", "Base"),
    (lambda s: s.update(Perps=1.5), PortfolioError, "", "Perps"),
    (lambda s: s.update(Perps=True), PortfolioError, "", "Perps"),
    (lambda s: s.update(Perps=10**34), OutOfRange, "", "Perps"),
    (lambda s: s.pop("SpotPrice"), MissingField, "", "SpotPrice"),
    (lambda s: s.update(SpotPrice=0), OutOfRange, "", "SpotPrice"),
    (lambda s: s.update(StablePrice=0), OutOfRange, "", "StablePrice"),
    (lambda s: s.update(SpotConfidence=2 * 10**18), OutOfRange, "", "SpotConfidence"),
    (lambda s: s.update(Rates=[]), PortfolioError, "", "Rates"),
    (lambda s: s.update(OptionExpiries=[-1]), ExpiredInstrument, "option 0", "OptionExpiries"),
    (lambda s: s.update(OptionStrikes=[0]), OutOfRange, "option 0", "OptionStrikes"),
    (lambda s: s.update(OptionIsCall=[2]), PortfolioError, "option 0", "OptionIsCall"),
    (lambda s: s.update(OptionVols=[-1]), OutOfRange, "option 0", "OptionVols"),
    (lambda s: s.update(ForwardsVariable=[10**33], OptionStrikes=[1]), OutOfRange, "option with strike", "mark"),
]


@pytest.mark.parametrize(("change", "error", "instrument", "field"), BAD)
def test_bad_input_is_named(
    change: Callable[[dict[str, Any]], object], error: type[PortfolioError], instrument: str, field: str
) -> None:
    content = case("Test1")
    change(content["Scenario"])
    with pytest.raises(error) as caught:
        evaluate(read_account(content, "alice"))
    assert caught.value.account == "alice"
    assert caught.value.instrument.startswith(instrument)
    assert caught.value.field == field
