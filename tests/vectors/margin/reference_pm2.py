"""PMRM_2 a second time: plain floats from the published formulas, over files as they are. Shares no code with ours."""

from __future__ import annotations

from math import erfc, exp, log, sqrt
from typing import Any

File = dict[str, Any]
YEAR = 365 * 86_400.0


def normal(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2))


def black(forward: float, strike: float, years: float, vol: float, discount: float, call: bool) -> float:
    deviation = vol * sqrt(years)
    if deviation == 0:
        return discount * max(0.0, forward - strike if call else strike - forward)
    if forward == 0:
        return 0.0 if call else discount * strike
    upper = log(forward / strike) / deviation + deviation / 2
    lower = upper - deviation
    if call:
        return discount * max(0.0, forward * normal(upper) - strike * normal(lower))
    return discount * max(0.0, strike * normal(-lower) - forward * normal(-upper))


def surface_vol(strike: float, parameters: list[Any]) -> float:
    a, b, rho, m, sigma, forward, tau = map(float, parameters)
    bound = 4 * sqrt(a + b * sigma)
    k = min(max(log(strike / forward), -bound), bound)
    variance = a + b * (rho * (k - m) + sqrt((k - m) ** 2 + sigma**2))
    return sqrt(min(variance, 20.0) / tau)


def shocked_vol(vol: float, option: File, feed: File, direction: str, given: File) -> float:
    shock: dict[str, float] = given["VolShock"]
    skew: dict[str, float] = given["SkewShock"]
    seconds: float = option["Expiry"]
    days = max(seconds / 86_400, shock["DTE_FLOOR"], 1 / 86_400)
    multiple: float = (30 / days) ** (shock["SHORTTERMPOWER"] if seconds <= 30 * 86_400 else shock["LONGTERMPOWER"])
    if direction == "Up":
        return max(shock["MIN_VOL_EVAL_SHOCKED"], vol * (1 + shock["VOLRANGEUP"] * multiple))
    if direction == "Down":
        return vol * max(0.0, 1 - shock["VOLRANGEDOWN"] * multiple)
    if direction == "None":
        return vol
    root = sqrt(seconds / YEAR)
    cap = skew[f"{direction}_CBASE"] * root + skew[f"{direction}_SCALE_CAP"]
    width = root * skew["MIN_WIDTH_SCALE"] * (skew["VOL_PARAM_STATIC"] + skew["VOL_PARAM_SCALE"] * root)
    k = log(option["Strike"] / feed["Forward"])
    k = abs(k) if direction == "ABS" else k
    at_k = k * cap / max(skew["MIN_K_STAR"], width)
    skewed: float = vol * max(0.0, 1 + (min(cap, at_k) if k >= 0 else max(-cap, at_k)))
    return skewed


def expiry_value(options: list[File], feed: File, spot: float, direction: str, given: File) -> float:
    seconds, forward = feed["FeedExpiry"], feed["Forward"]
    still_open = forward * min(1.0, seconds / 1_800)  # the rest is fixed already
    moved = forward if direction in {"LINEAR", "ABS"} else still_open * spot + (forward - still_open)
    years = seconds / YEAR
    discount = exp(-max(feed["Rate"], 0) * years)
    total = 0.0
    for option in options:
        vol = shocked_vol(surface_vol(option["Strike"], feed["SVIparam"]), option, feed, direction, given)
        total += option["Amount"] * black(moved, option["Strike"], years, vol, discount, bool(option["IsCall"]))
    return total


def evaluate(file: File) -> dict[str, Any]:  # noqa: PLR0915 - one formula after the other
    """MM, IM and everything that they are made of; contingencies ≥ 0."""
    held, given = file["Scenario"], file["Parameters"]
    factors, other, basis = given["Margin"], given["OtherContingency"], given["BasisContingency"]
    stable, cash = held["StablePrice"], held.get("Cash", 0)
    spot, spot_confidence = held.get("SpotPrice", 0), held.get("SpotConfidence", 1)
    perpetuals = held.get("NumPerps", 0)
    collaterals = [each for each in held.get("Collaterals", []) if each["Amount"]]
    options = [each for each in held.get("Options", []) if each["Amount"]]
    by_expiry = [
        (feed, [each for each in options if each["Expiry"] == feed["FeedExpiry"]])
        for feed in held.get("OptionFeeds", [])
    ]
    by_expiry = [(feed, of_expiry) for feed, of_expiry in by_expiry if of_expiry]
    market = min(spot_confidence, held["PerpConfidence"]) if perpetuals else spot_confidence

    def charged(confidence: float, notional: float) -> float:
        return (1 - confidence) * other["CONF_MARGIN"] * notional if confidence < other["CONF_THRESHOLD"] else 0.0

    value, confidence, forward_contingency, naked = 0.0, 0.0, 0.0, 0.0
    scenarios = [0.0] * len(given["Scenarios"])
    for feed, of_expiry in by_expiry:
        years = feed["FeedExpiry"] / YEAR
        rate = max(feed["Rate"], 0)
        current = expiry_value(of_expiry, feed, 1.0, "None", given)
        value += current
        at_up = expiry_value(of_expiry, feed, basis["SCENARIO_SPOT_UP"], "None", given)
        at_down = expiry_value(of_expiry, feed, basis["SCENARIO_SPOT_DOWN"], "None", given)
        scale = basis["BASIS_CONT_ADD_FACTOR"] + basis["BASIS_CONT_MULT_FACTOR"] * years
        forward_contingency += min(at_up - current, at_down - current, 0) * scale
        long = factors["BASE_STATIC_DISCOUNT"] * exp(
            -years * (rate * factors["LONG_RATE_MULTSCALE"] + factors["LONG_RATE_ADDSCALE"])
        )
        short = min(
            factors["BASE_STATIC_DISCOUNT_NEG"]
            / exp(-years * (rate * factors["SHORT_RATE_MULTSCALE"] + factors["SHORT_RATE_ADDSCALE"])),
            1 / exp(-rate * years),
        )
        for place, scenario in enumerate(given["Scenarios"]):
            direction = scenario["VolShockDirection"]
            shocked = expiry_value(of_expiry, feed, scenario["SpotShock"], direction, given)
            pnl = shocked * (long if shocked >= 0 else short) - current
            scenarios[place] += -abs(pnl) if direction in {"LINEAR", "ABS"} else pnl
        amounts: dict[float, float] = {}
        for option in of_expiry:
            amounts[option["Strike"]] = amounts.get(option["Strike"], 0) + option["Amount"]
        naked += sum(max(0.0, -amount) for amount in amounts.values())
        least = min(market, feed["ForwardConfidence"], feed["RateConfidence"], feed["OptionVolConfidences"])
        confidence += charged(least, sum(abs(option["Amount"]) for option in of_expiry) * spot)

    collateral_value, of_maintenance, of_initial, cancelling = 0.0, 0.0, 0.0, 0.0
    for each in collaterals:
        worth = each["Amount"] * each["Price"] / stable
        collateral_value += worth
        of_maintenance += worth * each["MMHaircut"]
        of_initial += worth * each["IMHaircut"]
        cancelling += worth if each["IsRiskCancelling"] else 0
        confidence += charged(min(each["Confidence"], spot_confidence), worth)
    if perpetuals:
        confidence += charged(market, abs(perpetuals) * spot)

    linear = cancelling + (perpetuals * held["PerpPrice"] if perpetuals else 0)
    scenarios = [
        (pnl + linear * (scenario["SpotShock"] - 1)) * scenario["DampeningFactor"]
        for pnl, scenario in zip(scenarios, given["Scenarios"], strict=True)
    ]
    unsettled = held.get("UnrealisedPerpPNL", 0) + held.get("UnrealisedFunding", 0) if perpetuals else 0
    equity = cash + collateral_value + value + unsettled
    worst = min(forward_contingency, *scenarios)
    notional = abs(perpetuals) * spot
    maintenance = notional * other["MM_PERP_PERCENT"] + naked * spot * other["MM_OPTION_PERCENT"] + of_maintenance
    initial = notional * other["IM_PERP_PERCENT"] + naked * spot * other["IM_OPTION_PERCENT"] + of_initial + confidence
    factor = factors["IM_LOSS_FACTOR"] + max(0, other["PEG_LOSS_THRESHOLD"] - stable) * other["PEG_LOSS_FACTOR"]
    return {
        "scenarios": scenarios,
        "basis": forward_contingency,
        "equity": equity,
        "confidence": confidence,
        "naked": naked,
        "MM": worst * factors["MM_LOSS_FACTOR"] - maintenance + equity,
        "IM": worst * factor - maintenance - initial + equity,
        "scale": gross_scale(by_expiry, given, abs(linear) + collateral_value + abs(cash)),
    }


def gross_scale(by_expiry: list[tuple[File, list[File]]], given: File, beside: float) -> float:
    """What the sums are differences of: errors are relative to it and not to what is left of them."""
    largest: float = max((scenario["SpotShock"] for scenario in given["Scenarios"]), default=1.0) + 1
    gross: float = sum(
        float(abs(option["Amount"])) * (feed["Forward"] * largest + option["Strike"])
        for feed, options in by_expiry
        for option in options
    )
    return beside * largest + gross
