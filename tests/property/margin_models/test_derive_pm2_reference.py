"""derive-pm2 against a second, plain reading of its formulas, over cases that the published files do not have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.margin.models.derive_pm2 import Result, evaluate
from node.margin.models.derive_pm2.vectors import read_vector
from tests.shared import shared
from tests.unit.margin_models.test_derive_pm2 import DAY, collateral, feed, option, parameters, vector
from tests.vectors.margin import reference_pm2

FILES = sorted(shared("vectors/margin/derive-pmrm2").glob("*.json"))
SECONDS = [0, 1, 900, 1_799, 1_800, 3_600, DAY, 30 * DAY, 30 * DAY + 1, 400 * DAY, 3_000 * DAY]
STRIKES = [0.01, 1, 500, 1_900, 2_000, 2_010, 2_600, 90_000, 10**7]
confidences = st.sampled_from([0, 0.1, 0.5499, 0.55, 0.5501, 1])


def test_the_reference_is_right_where_the_answer_is_known() -> None:
    for path in FILES:
        file = json.loads(path.read_text())
        expected, found = file["Result"], reference_pm2.evaluate(file)
        rows = [row[-1] for name in ("reg_losses", "tail_losses", "skew_losses") for row in expected[name]]
        wanted = [float(str(row)) for row in rows] + [expected["MM"], expected["IM"], expected["ForwardContingency"]]
        got = [*found["scenarios"], found["MM"], found["IM"], found["basis"]]
        assert len(got) == len(wanted)
        assert all(abs(a - b) <= 1e-8 * max(abs(b), 1) for a, b in zip(got, wanted, strict=True)), path.stem


def assert_as_in_floats(file: dict[str, Any]) -> Result:
    found, wanted = evaluate(*read_vector(file, "")), reference_pm2.evaluate(file)
    factor = file["Parameters"]["Margin"]["IM_LOSS_FACTOR"] + 2 * max(1, file["Parameters"]["BasisContingency"]["BASIS_CONT_MULT_FACTOR"] * 10)  # fmt: skip  # noqa: E501
    tolerance = 1e-8 + 1e-11 * wanted["scale"] * factor / file["Scenario"]["StablePrice"]
    pairs = [
        (found.equity, wanted["equity"]),
        (found.basis_contingency, wanted["basis"]),
        (found.on_confidence, wanted["confidence"]),
        (found.maintenance, wanted["MM"]),
        (found.initial, wanted["IM"]),
        *zip([line.pnl for line in found.scenarios], wanted["scenarios"], strict=True),
    ]
    for got, expected in pairs:
        assert abs(got / 1e12 - expected) <= tolerance + 1e-9 * abs(expected)
    return found


@st.composite
def feeds(draw: st.DrawFn, seconds: int) -> dict[str, Any]:
    """Flat, usual, steep and very wide surfaces, fitted at another time and forward than now."""
    svi = draw(st.sampled_from([
        ["0.02", "0.1", "-0.2", "0.01", "0.1", 2_010, max(seconds, 60) / (365 * DAY)],
        ["0.2", "0", "0", "0", "0", 1_500, 0.5],
        ["0", "0.3", "0.99", "-0.4", "0.05", 2_500, 0.02],
        ["0", "0", "0", "0", "0", 2_010, 1],
        [30, "0.1", "0", "0", "0.1", 2_010, 4],
    ]))  # fmt: skip
    return feed(
        seconds, Forward=draw(st.sampled_from([2_010.0, 1_650.25, 5])), Rate=draw(st.sampled_from([-0.4, 0, 0.05, 2])),
        SVIparam=svi, ForwardConfidence=draw(confidences), RateConfidence=draw(confidences),
        OptionVolConfidences=draw(confidences),
    )  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    seconds = draw(st.lists(st.sampled_from(SECONDS), min_size=1, max_size=3, unique=True))
    amounts = st.one_of(st.integers(-10_000, 10_000).map(lambda cents: cents / 100), st.sampled_from([0.0, 1e-9, -1]))
    legs = draw(st.lists(
        st.builds(option, st.sampled_from(seconds), st.sampled_from(STRIKES), amounts, call=st.sampled_from([0, 1])),
        max_size=7,
    ))  # fmt: skip
    held = st.builds(
        collateral, Amount=st.sampled_from([0, 1e-12, 0.5, 80.25]), Price=st.sampled_from([0, 1.0003, 1_999.5]),
        Confidence=confidences, IsRiskCancelling=st.booleans(), IMHaircut=st.sampled_from([0, 0.05, 1]),
        MMHaircut=st.sampled_from([0, 0.1, 1]),
    )  # fmt: skip
    content = vector(
        Cash=draw(st.sampled_from([0, -50_000.5, 123.25])), SpotPrice=draw(st.sampled_from([2_000, 1_700.5])),
        SpotConfidence=draw(confidences), StablePrice=draw(st.sampled_from([1, 0.98, 0.9799, 0.9801, 0.5, 1.01])),
        Options=legs, OptionFeeds=[draw(feeds(each)) for each in draw(st.permutations(seconds))],
        Collaterals=draw(st.lists(held, max_size=3)), NumPerps=draw(st.sampled_from([0, 1.5, -3])), PerpPrice=2_003,
        PerpConfidence=draw(confidences), UnrealisedPerpPNL=draw(st.sampled_from([0, -12.5])), UnrealisedFunding=3,
    )  # fmt: skip
    content["Parameters"] = draw(parameter_sets())
    return content


@st.composite
def parameter_sets(draw: st.DrawFn) -> dict[str, Any]:
    chosen = parameters()
    content = st.fixed_dictionaries({
        "SpotShock": st.sampled_from([0.34, 0.82, 1, 1.045, 1.18, 4]),
        "VolShockDirection": st.sampled_from(["Up", "None", "Down", "LINEAR", "ABS"]),
        "DampeningFactor": st.sampled_from([0, 0.0545, 1, 2]),
    })  # fmt: skip
    chosen["Scenarios"] = draw(st.lists(content, min_size=2, max_size=5))
    edges: dict[str, dict[str, list[float]]] = {
        "VolShock": {"VOLRANGEUP": [0, 0.5, 3], "VOLRANGEDOWN": [0, 0.3, 5], "MIN_VOL_EVAL_SHOCKED": [0, 0.45, 2],
                     "SHORTTERMPOWER": [0, 0.3], "LONGTERMPOWER": [0, 0.13], "DTE_FLOOR": [0.5, 1, 400]},
        "SkewShock": {"LINEAR_SCALE_CAP": [0, 0.15, 2], "LINEAR_CBASE": [-3, -0.05, 1], "ABS_SCALE_CAP": [0, 0.15, 2],
                      "ABS_CBASE": [-3, -0.05, 1], "MIN_K_STAR": [0.01, 10], "MIN_WIDTH_SCALE": [0, 4],
                      "VOL_PARAM_STATIC": [0, 0.6], "VOL_PARAM_SCALE": [-2, -0.1, 2]},
        "Margin": {"BASE_STATIC_DISCOUNT": [0.95, 1.1], "BASE_STATIC_DISCOUNT_NEG": [0.9, 1.04, 4],
                   "SHORT_RATE_ADDSCALE": [0, 0.08], "LONG_RATE_MULTSCALE": [0, 1, 4], "MM_LOSS_FACTOR": [0.5, 0.8],
                   "IM_LOSS_FACTOR": [1, 1.3]},
        "BasisContingency": {"BASIS_CONT_ADD_FACTOR": [0, 0.5], "BASIS_CONT_MULT_FACTOR": [0, 2]},
        "OtherContingency": {"PEG_LOSS_FACTOR": [0, 2], "CONF_THRESHOLD": [0, 0.55, 1], "CONF_MARGIN": [0, 1, 20]},
    }  # fmt: skip
    for section, names in edges.items():
        for name, values in names.items():
            chosen[section][name] = draw(st.sampled_from(values))
    return chosen


@given(files())
@settings(max_examples=60, deadline=None)
def test_generated_portfolios(file: dict[str, Any]) -> None:
    assert_as_in_floats(file)


# === Every rule by a case of its own ===


def leg(**changes: object) -> dict[str, Any]:
    """One short call with its feed, changed."""
    scenario = {"Options": [option()], "OptionFeeds": [feed()], **changes}
    return vector(**scenario)


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("call", [0, 1])
def test_times_from_settlement_to_years(seconds: int, call: int) -> None:
    options = [option(seconds, strike, amount, call=call) for strike, amount in ((1_950, -2), (2_050, 1))]
    assert_as_in_floats(leg(Options=options, OptionFeeds=[feed(seconds)]))


@pytest.mark.parametrize("seconds", [30 * DAY, 30 * DAY + 1])
def test_the_short_term_power_is_for_thirty_days_and_less(seconds: int) -> None:
    file = leg(Options=[option(seconds)], OptionFeeds=[feed(seconds)])
    file["Parameters"]["VolShock"].update(DTE_FLOOR=400, MIN_VOL_EVAL_SHOCKED=0)
    found = assert_as_in_floats(file)
    power = 0.3 if seconds == 30 * DAY else 0.13
    assert found.options[0] is not None
    assert abs(found.options[0].vol_up_multiplier - 1 - 0.5 * (30 / 400) ** power) < 1e-12


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("amount", [-1, 1])
def test_strikes_far_beyond_the_wings(strike: float, amount: int) -> None:
    options = [option(strike=strike, amount=amount, call=call) for call in (0, 1)]
    found = assert_as_in_floats(leg(Options=options))
    wing = leg(Options=[option(strike=strike * 1.5)], OptionFeeds=[feed()])
    if strike in {0.01, 10**7}:  # the surface is cut there: further out the vol is the same
        assert evaluate(*read_vector(wing, "")).options[0].vol == found.options[0].vol  # type: ignore[union-attr]


@pytest.mark.parametrize("rate", [-1, -0.01, 0, 0.01, 1])
@pytest.mark.parametrize("amount", [-1, 1])
def test_rates_of_either_sign(rate: float, amount: int) -> None:
    found = assert_as_in_floats(leg(Options=[option(amount=amount)], OptionFeeds=[feed(Rate=rate)]))
    flat = evaluate(*read_vector(leg(Options=[option(amount=amount)], OptionFeeds=[feed(Rate=0)]), ""))
    assert (found == flat) == (rate <= 0)  # negative rates count as none


@pytest.mark.parametrize("name", ["ForwardConfidence", "RateConfidence", "OptionVolConfidences"])
@pytest.mark.parametrize("confidence", [0, 0.5499999, 0.55, 0.5500001, 1])
def test_confidence_of_each_feed_at_and_beside_the_threshold(name: str, confidence: float) -> None:
    found = assert_as_in_floats(leg(OptionFeeds=[{**feed(), name: confidence}]))
    assert (found.on_confidence > 0) == (confidence < 0.55)


@pytest.mark.parametrize("perpetuals", [0, 1, -1])
def test_a_perpetuals_confidence_counts_where_it_is_held(perpetuals: int) -> None:
    held = {"NumPerps": perpetuals, "PerpPrice": 2_000, "PerpConfidence": 0.2, "Collaterals": [collateral()]}
    found = assert_as_in_floats(leg(**held))
    assert found.on_confidence == abs(perpetuals) * 3_200 * 10**12  # of perpetual and option; collateral has its own


@pytest.mark.parametrize(("own", "spot", "cost"), [(0.2, 1, 3_200), (1, 0.2, 3_200), (0.55, 0.55, 0), (0, 0.2, 4_000)])
def test_a_collaterals_confidence_is_its_own_or_the_spots(own: float, spot: float, cost: int) -> None:
    found = assert_as_in_floats(vector(Collaterals=[collateral(Confidence=own)], SpotConfidence=spot))
    assert found.on_confidence == cost * 10**12


@pytest.mark.parametrize(("stable", "factor"), [(0.9, 1.16), (0.98, 1), (0.981, 1), (1.5, 1)])
def test_the_peg(stable: float, factor: float) -> None:
    found = assert_as_in_floats(leg(StablePrice=stable, Collaterals=[collateral()]))
    assert found.initial_factor == round(factor * 100) * 10**16
    assert found.maintenance_factor == 8 * 10**17


@pytest.mark.parametrize(
    ("amounts", "naked"),
    [((-1, 0), 1), ((-1, -2), 3), ((-1, 2), 0), ((-3, 1), 2), ((3, -1), 0), ((1, 1), 0), ((1, -3), 2)],
)
def test_naked_shorts_net_calls_and_puts_of_one_strike(amounts: tuple[int, int], naked: int) -> None:
    legs = [option(amount=amounts[0], call=1), option(amount=amounts[1], call=0)]
    found = assert_as_in_floats(leg(Options=legs))
    assert found.on_options.maintenance == naked * 6 * 10**12
    elsewhere = [*legs, option(60 * DAY, amount=9), option(strike=2_100, amount=9)]  # neither expiries nor strikes net
    found = assert_as_in_floats(leg(Options=elsewhere, OptionFeeds=[feed(), feed(60 * DAY)]))
    assert found.on_options.maintenance == naked * 6 * 10**12


def test_collaterals_cancel_risk_together_and_only_where_they_are_of_the_market() -> None:
    eth, lst = collateral(), collateral(Name="LST", Amount=0.5, Price=2_100)
    usd = collateral(Name="USD", Amount=5_000, Price=1.01, IsRiskCancelling=False)
    found = assert_as_in_floats(leg(Collaterals=[eth, lst, usd, collateral(Amount=0)]))
    without = assert_as_in_floats(leg(Collaterals=[usd]))
    moved = [a.pnl - b.pnl for a, b in zip(found.scenarios, without.scenarios, strict=True)]
    assert moved == [505 * 10**12, 0, -505 * 10**12, 0, 0]


@pytest.mark.parametrize("direction", ["LINEAR", "ABS"])
@pytest.mark.parametrize("strike", [1_000, 2_010, 4_000])
@pytest.mark.parametrize("spot", [1, 0.8])
def test_skews_on_both_wings(direction: str, strike: float, spot: float) -> None:
    file = leg(Options=[option(strike=strike, amount=2)], NumPerps=1, PerpPrice=2_000, PerpConfidence=1)
    file["Parameters"]["Scenarios"] = [
        {"SpotShock": spot, "VolShockDirection": direction, "DampeningFactor": 0.5},
        {"SpotShock": 1, "VolShockDirection": "None", "DampeningFactor": 1},
    ]
    assert_as_in_floats(file)


def test_no_vol_and_no_variance() -> None:
    still = feed(SVIparam=["0", "0", "0", "0", "0", 2_010, 1])
    legs = [option(strike=strike, amount=amount) for strike, amount in ((1_900, 1), (2_010, -1), (2_100, 1))]
    found = assert_as_in_floats(leg(Options=legs, OptionFeeds=[still]))
    assert found.options[2] is not None
    assert found.options[2].mark == 0


def test_cash_that_is_owed_and_sections_that_are_absent() -> None:
    file = {"Scenario": {"Cash": -320_000, "StablePrice": 1}, "Parameters": parameters()}
    assert assert_as_in_floats(file).initial == -320_000 * 10**12
    assert assert_as_in_floats({**leg(), "Result": None}).initial < 0
