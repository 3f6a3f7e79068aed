"""The documented example, what is shown of an account, and what a file may not say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.margin.models import hypothec
from node.margin.models.errors import (
    DuplicateInstrument,
    MissingField,
    OutOfRange,
    PortfolioError,
    UnknownAsset,
)
from node.margin.models.hypothec.defaults import ROWS
from node.margin.models.profile import Evaluation
from node.margin.models.profiles import PROFILES, evaluate_file
from tests.unit.margin_models.hypothec.accounts import MARKET, collateral, evaluation, market, option, perpetual


def example() -> dict[str, Any]:
    text = hypothec.__doc__ or ""
    found: dict[str, Any] = json.loads(text[text.index('    {"market"') : text.index("Must not do I/O")])
    return found


def test_the_documented_example_is_evaluated() -> None:
    (outcome,) = evaluate_file(PROFILES["hypothec"], example(), "file")
    assert isinstance(outcome, Evaluation)
    assert outcome.status == "healthy"
    assert outcome.components["reasons"] == ["STALE_PRICE"]
    assert set(outcome.components["claims"]) == {"dex", "ftx"}  # type: ignore[arg-type]
    isolated = outcome.components["isolated"]
    assert isinstance(isolated, dict)
    assert set(isolated) == {"punt"}


def test_there_are_31_rows_of_distinct_names() -> None:
    assert len(ROWS) == len({row["name"] for row in ROWS}) == 31


@pytest.mark.parametrize(
    "account",
    [
        {"cash": -10},
        {"cash": 1_000, "collateral": [collateral("WSTETH", 3)], "debts": [collateral("USDC", 500)]},
        {"cash": 100, "perpetuals": [perpetual(amount=-2, entry_price=3_100)], "options": [option(amount=3)]},
        {
            "cash": 9_000,
            "venues": {"a": {"limit": 3_000, "cash": -5}, "b": {"limit": 50}},
            "perpetuals": [perpetual(venue="a"), perpetual("BTC", -1, venue="b"), perpetual("SOL", 3)],
            "options": [option(venue="b")],
        },
    ],
)
def test_lines_add_up_to_the_low_end(account: dict[str, Any]) -> None:
    found = evaluation(account, market(ETH={"low": 2_990, "high": 3_005}))
    for level in found.levels:
        shown = found.components[level.threshold.name]
        assert isinstance(shown, dict)
        excess = shown["excess_usd"]
        assert isinstance(excess, dict)
        assert float(str(excess["low"])) == pytest.approx(level.excess / 1e12, abs=1e-9)
        assert all(abs(line.amount) < 100 for line in level.lines if line.component == "rounding")


def test_what_is_shown_of_collateral_is_what_it_counts() -> None:
    """By step of the depth, with the issuer's factor: amount · price · (1 − total) · factor is its line."""
    account = {
        "collateral": [collateral("ETH", 50_000), collateral("ETH", 5, assurance="REPORTED"), collateral("FTT", 900)],
        "venues": {"ftx": {"limit": 5_000}},
        "perpetuals": [perpetual(venue="ftx")],
    }
    found: Any = evaluation(account, market(ETH={"low": 2_990, "high": 3_005}))
    for level in found.levels:
        for asset in ("ETH", "FTT"):
            shown = sum(
                each["amount"]
                * float(each["price_usd"]["low"])
                * (1 - each[level.threshold.name]["total"])
                * each["issuer_factor"]
                for each in found.components["haircuts"]
                if each["asset"] == asset
            )
            counted = sum(line.amount for line in level.lines if line.instrument == asset)
            assert shown == pytest.approx(counted / 1e12, rel=1e-12)
    steps = {(each["asset"], each["depth_step"]): each["issuer_factor"] for each in found.components["haircuts"]}
    assert steps["FTT", 0] == 0.05
    assert steps["ETH", 3] == 1


def test_both_values_of_a_staking_token_are_shown() -> None:
    held = {"collateral": [collateral("WSTETH", 2), collateral("ETH", 1)]}
    for price, basis in ((3_500, "market value"), (3_700, "redemption value")):
        shown: Any = evaluation(held, market(WSTETH={"price": price})).components["haircuts"]
        token = next(each for each in shown if each["asset"] == "WSTETH")
        assert (token["market_usd"], token["redemption_usd"], token["counts_at"]) == (price, 3_600, basis)
        assert float(token["price_usd"]["low"]) == min(price, 3_600)
        assert all("counts_at" not in each for each in shown if each["asset"] == "ETH")
    gone: Any = evaluation(held, market(ETH={"status": "MISSING"})).components["haircuts"]
    assert [(each["asset"], each["feed"]) for each in gone] == [("ETH", "MISSING"), ("WSTETH", "MISSING")]


def test_charges_are_shown_one_by_one() -> None:
    account = {"cash": 10**7, "perpetuals": [perpetual("SOL", 90_000)], "options": [option(amount=-2)]}
    found: Any = evaluation(account)
    charges = found.components["charges"]["own positions"]
    assert float(charges["contingency_usd"]["low"]) == 90_000 * 150 * 0.005 + 2 * 3_000 * 0.005
    assert float(charges["concentration_usd"]["low"]) == (90_000 * 150 - 0.1 * 50_000_000) * 0.2
    assert float(charges["deltas_usd"]["SOL"]) == 90_000 * 150
    of = {line.component: line.amount / 1e12 for line in found.levels[0].lines}
    assert of["contingency"] == float(charges["contingency_usd"]["low"])
    assert of["concentration"] == float(charges["concentration_usd"]["low"])
    shortfall = found.components["initial"]["shortfall_usd"]
    rows = found.components["rows"]
    for end in ("low", "high"):
        less = float(rows["unmoved"][end]) - float(shortfall[end])
        assert float(rows["expected shortfall"][end]) == pytest.approx(less)


def test_an_isolated_account_is_shown_as_whole_as_the_main_one() -> None:
    punt = {"cash": 200, "perpetuals": [perpetual("BTC", 0.01, entry_price=61_000)], "collateral": [collateral()]}
    main: Any = evaluation({"cash": 5, "isolated": [{"name": "punt", **punt}]})
    alone: Any = evaluation(punt)
    shown = main.components["isolated"]["punt"]
    lines = shown.pop("lines")
    assert shown == {name: each for name, each in alone.components.items() if name != "isolated"}
    assert main.notes[-1].startswith("isolated     punt: healthy, maintenance excess from ")
    assert len(main.notes) == len(alone.notes) + 1
    for level in alone.levels:
        assert sum(map(float, lines[level.threshold.name].values())) == pytest.approx(level.excess / 1e12)


def test_notes_say_both_ends_and_which_decided() -> None:
    found = evaluation({"cash": 500, "perpetuals": [perpetual()]}, market(ETH={"low": 2_990, "high": 3_005}))
    initial, maintenance, decided = found.notes
    assert "excess from" in initial
    assert "market -18% vol up" in maintenance
    assert decided.startswith("decided by   the high end; ")
    unsure = {"collateral": [collateral("ETH", 1)], "cash": -10}
    *_, decided = evaluation(unsure, market(ETH={"status": "FROZEN"})).notes
    assert decided == "decided by   both ends; STALE_PRICE"


FIELD_ERRORS: list[tuple[dict[str, Any], dict[str, Any], type[PortfolioError], str, str]] = [
    ({"collateral": [collateral("ETH", -1)]}, {}, OutOfRange, "ETH", "amount"),
    ({"collateral": [collateral("NONE")]}, {}, UnknownAsset, "NONE", "market"),
    ({"collateral": [collateral(assurance="SWORN")]}, {}, PortfolioError, "ETH", "assurance"),
    ({"collateral": [collateral(finality="SOON")]}, {}, PortfolioError, "ETH", "finality"),
    ({"collateral": [collateral(chain="GONE")]}, {}, PortfolioError, "ETH", "chain"),
    ({"collateral": [collateral(), collateral()]}, {}, DuplicateInstrument, "ETH", "collateral"),
    ({"perpetuals": [perpetual(venue="dex")]}, {}, MissingField, "ETH", "venues"),
    ({"venues": {"dex": {}}}, {}, MissingField, "venues.dex", "limit"),
    ({"venues": {"dex": {"limit": -1}}}, {}, OutOfRange, "venues.dex", "limit"),
    ({"isolated": [{"cash": 1}]}, {}, MissingField, "isolated", "name"),
    ({"isolated": [{"name": "a", "isolated": [{"name": "b"}]}]}, {}, PortfolioError, "", "isolated"),
    ({"isolated": [{"name": "a"}, {"name": "a"}]}, {}, DuplicateInstrument, "", "isolated"),
    ({"unheard": 1}, {}, PortfolioError, "", "unheard"),
    ({"venues": {"": {"limit": 1}}}, {}, PortfolioError, "venues", "venues"),
    ({"isolated": [{"name": str(n)} for n in range(65)]}, {}, OutOfRange, "", "isolated"),
    (
        {"options": [option("GHOST", seconds=[])]},
        {"GHOST": {"status": "MISSING"}},
        PortfolioError,
        "GHOST option 0",
        "seconds",
    ),
    ({"cash": float("nan")}, {}, OutOfRange, "", "cash"),
    ({"perpetuals": [perpetual()]}, {"ETH": {"low": 3_100}}, OutOfRange, "ETH", "low"),
    ({"perpetuals": [perpetual()]}, {"ETH": {"high": 2_900}}, OutOfRange, "ETH", "high"),
    ({"perpetuals": [perpetual()]}, {"ETH": {"status": "FINE"}}, PortfolioError, "ETH", "status"),
    ({"perpetuals": [perpetual()]}, {"ETH": {"vol": -1}}, OutOfRange, "ETH", "vol"),
    ({"perpetuals": [perpetual()]}, {"ETH": {"age": -1}}, OutOfRange, "ETH", "age"),
    ({"perpetuals": [perpetual("GHOST")]}, {"GHOST": {"status": "MISSING"}}, MissingField, "GHOST", "entry_price"),
]


@pytest.mark.parametrize(("account", "changes", "kind", "instrument", "field"), FIELD_ERRORS)
def test_what_is_wrong_is_named(
    account: dict[str, Any], changes: dict[str, Any], kind: type[PortfolioError], instrument: str, field: str
) -> None:
    with pytest.raises(kind) as caught:
        evaluation(account, market(**changes))
    assert type(caught.value) is kind
    assert (caught.value.instrument, caught.value.field) == (instrument, field)
    assert caught.value.account.startswith("alice")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"rows": []}, "rows"),
        ({"rows": [{"weight": 2}]}, "weight"),
        ({"rows": [{"market": -1.5}]}, "market"),
        ({"maintenance": 1.1}, "maintenance"),
        ({"groups": {"majors": {"assets": ["BTC"], "correlation": 0.1}}}, "correlation"),
        ({"haircuts": {"size_steps": [0.2, 0.1]}}, "size_steps"),
        ({"haircuts": {"size_steps": [0]}}, "size_steps"),
        ({"assets": {"A": {"follows": "B"}, "B": {"follows": "C"}}}, "follows"),
        ({"issuers": {"x": {"assets": [1], "factor": 0}}}, "assets"),
    ],
)
def test_what_is_wrong_with_parameters_is_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(PortfolioError) as caught:
        evaluation({"cash": 1}, MARKET, **given)
    assert caught.value.field == field


def test_one_bad_account_stops_no_other() -> None:
    accounts = [{"account": "bad", "perpetuals": [perpetual("NONE")]}, {"account": "good", "cash": 1}]
    bad, good = evaluate_file(PROFILES["hypothec"], {"market": MARKET, "accounts": accounts}, "file")
    assert isinstance(bad, UnknownAsset)
    assert isinstance(good, Evaluation)
