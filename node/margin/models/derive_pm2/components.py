"""A result under the names of the published test files, and how far it is from what they expect.

Must not know how anything is computed: it names, shows and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from node.margin.models.derive_pm2.evaluate import Result, ScenarioLine
from node.margin.models.derive_pm2.portfolio import Shock
from node.margin.models.fixed import PICO, WAD, Money, Wad
from node.margin.models.profile import Comparison, Shown

TOLERANCE = 1e-8
"""Relative to max(|expected|, 1)."""
REGULAR_RANGE = Wad(WAD // 5)
"""Moves of the spot within ±20 % are called regular and larger ones tails. It names scenarios and decides no margin."""
_ROWS = ("reg_losses", "tail_losses", "skew_losses")
_DIRECTION = {Shock.UP: 1, Shock.NONE: 0, Shock.DOWN: -1}


@dataclass(frozen=True, slots=True)
class Groups:
    """The scenarios of a result by what they are called."""

    regular: tuple[ScenarioLine, ...]
    tail: tuple[ScenarioLine, ...]
    skew: tuple[ScenarioLine, ...]

    @classmethod
    def of(cls, lines: tuple[ScenarioLine, ...]) -> Groups:
        """Skew by its shock, tails by the size of their move."""
        parallel = [line for line in lines if not line.scenario.shock.is_skew]
        return cls(
            tuple(line for line in parallel if abs(line.scenario.move) <= REGULAR_RANGE),
            tuple(line for line in parallel if abs(line.scenario.move) > REGULAR_RANGE),
            tuple(line for line in lines if line.scenario.shock.is_skew),
        )

    @classmethod
    def like(cls, expected: Mapping[str, object], lines: tuple[ScenarioLine, ...]) -> Groups:
        """As a file calls them: each row takes the next scenario with its label, where that makes the two lists one."""
        left, groups = list(lines), []
        for name in _ROWS:
            rows = expected.get(name)
            found = [_take(left, row) for row in rows] if isinstance(rows, list) else []
            groups.append(tuple(line for line in found if line is not None))
            if len(groups[-1]) < len(found):
                return cls.of(lines)
        return cls.of(lines) if left else cls(*groups)


def _take(lines: list[ScenarioLine], row: object) -> ScenarioLine | None:
    """The first line that a file's row is of, taken off the list."""
    for line in lines:
        if isinstance(row, list) and _is(_row(line)[:-1], row[:-1]):
            lines.remove(line)
            return line
    return None


def components(result: Result, groups: Groups | None = None) -> dict[str, Shown]:
    """Every component, in USD and plain ratios, under its name in the test files. Contingencies are negative there."""
    groups = groups or Groups.of(result.scenarios)
    perpetual, option, base = result.on_perpetual, result.on_options, result.on_collateral
    named = {"regular": groups.regular, "tail": groups.tail, "skew": groups.skew}
    worst_of = {name: _worst_pnl(lines) for name, lines in named.items()}
    worst_of["fwd_contingency"] = result.basis_contingency
    return {
        "worst_reg_loss": _usd(worst_of["regular"]),
        "worst_tail_loss": _usd(worst_of["tail"]),
        "worst_skew_loss": _usd(worst_of["skew"]),
        "reg_losses": [_row(line) for line in groups.regular],
        "tail_losses": [_row(line) for line in groups.tail],
        "skew_losses": [_row(line) for line in groups.skew],
        "worst_reg_scenario": _label(_worst(groups.regular))[:2] if groups.regular else None,
        "worst_tail_scenario": _label(_worst(groups.tail)) if groups.tail else None,
        "worst_skew_scenario": _worst(groups.skew).scenario.shock.value if groups.skew else None,
        "worst_all_scenarios": min(worst_of, key=lambda name: worst_of[name]),
        "ForwardContingency": _usd(result.basis_contingency),
        "Cash": _usd(result.cash),
        "PortfolioMTM": _usd(result.equity),
        "OptionMTM": _usd(result.option_value),
        "OptionMTMPerExpiry": [_usd(line.value) for line in result.expiries],
        "OptionMTMPerExpiryDiscounted": [_usd(line.discounted) for line in result.expiries],
        "CollateralMTM": _usd(result.collateral_value),
        "PerpMTM": _usd(result.perpetual_pnl),
        "UnrealisedPerpPNL": _usd(result.perpetual_pnl),
        "UnrealisedFunding": _usd(result.perpetual_funding),
        "discount_factors": [[_ratio(line.long_discount), _ratio(line.short_discount)] for line in result.expiries],
        "MMLossFactor": _ratio(result.maintenance_factor),
        "IMLossFactor": _ratio(result.initial_factor),
        "im_loss_factor": _ratio(result.initial_factor),
        "MMPerpCont": _required(perpetual.maintenance),
        "IMPerpCont": _required(perpetual.initial),
        "IMPerpContNormal": _required(perpetual.maintenance + perpetual.initial),
        "MMOptionCont": _required(option.maintenance),
        "IMOptionCont": _required(option.initial),
        "IMOptionContNormal": _required(option.maintenance + option.initial),
        "MMBaseCont": _required(base.maintenance),
        "IMBaseCont": _required(base.initial),
        "IMBaseContNormal": _required(base.maintenance + base.initial),
        "OracleCont": _required(result.on_confidence),
        "VolShockUpMultiplier": [line.vol_up_multiplier if line else None for line in result.options],
        "VolShockDownMultiplier": [line.vol_down_multiplier if line else None for line in result.options],
        "VolShockUpEvaluated": [line.vol_up if line else None for line in result.options],
        "VolShockDownEvaluated": [line.vol_down if line else None for line in result.options],
        "IM": _usd(result.initial),
        "MM": _usd(result.maintenance),
        "IMHand": _usd(result.initial),
        "MMHand": _usd(result.maintenance),
    }


def _usd(money: int) -> float:
    return money / PICO


def _required(money: int) -> float:
    return -money / PICO if money else 0.0


def _ratio(number: int) -> float:
    return number / WAD


def _worst(lines: tuple[ScenarioLine, ...]) -> ScenarioLine:
    return min(lines, key=lambda line: line.pnl)


def _worst_pnl(lines: tuple[ScenarioLine, ...]) -> Money:
    return min((line.pnl for line in lines), default=Money(0))


def _row(line: ScenarioLine) -> list[Shown]:
    scenario = line.scenario
    if scenario.shock.is_skew:
        return [scenario.shock.value, _usd(line.pnl)]
    return [_ratio(scenario.move), _DIRECTION[scenario.shock], _usd(line.pnl)]


def _label(line: ScenarioLine) -> list[Shown]:
    scenario = line.scenario
    if scenario.shock.is_skew:
        return [scenario.shock.value]
    return [_ratio(scenario.move), _DIRECTION[scenario.shock], _ratio(scenario.dampening)]


# === Comparison ===


def compare(result: Result, expected: Mapping[str, object]) -> Comparison:
    """Every component of a file's `Result` against ours.

    The name of a worst scenario is right when that scenario is as bad as our worst: between equals the choice is free.
    """
    groups = Groups.like(expected, result.scenarios)
    ours: dict[str, Shown] = components(result, groups)
    errors: dict[str, float] = {}
    for name, theirs in expected.items():
        if name in _NAMED_WORST:
            error = _named_worst_error(name, theirs, result, groups)
        else:
            error = _error(ours[name], theirs) if name in ours else None
        if error is not None:
            errors[name] = error
    return Comparison(errors, tuple(name for name in expected if name not in errors), TOLERANCE)


_NAMED_WORST = frozenset({"worst_reg_scenario", "worst_tail_scenario", "worst_skew_scenario", "worst_all_scenarios"})


def _named_worst_error(name: str, label: object, result: Result, groups: Groups) -> float | None:
    if name == "worst_all_scenarios":
        by_name = {
            "regular": groups.regular,
            "tail": groups.tail,
            "skew": groups.skew,
        }
        if not isinstance(label, str) or label not in {*by_name, "fwd_contingency"}:
            return None
        named = _worst_pnl(by_name[label]) if label in by_name else result.basis_contingency
        return _distance(named / PICO, min(result.worst, 0) / PICO)
    lines = {
        "worst_reg_scenario": groups.regular,
        "worst_tail_scenario": groups.tail,
        "worst_skew_scenario": groups.skew,
    }[name]
    wanted = label if isinstance(label, list) else [label]
    found = [line.pnl for line in lines if _is(_label(line)[: len(wanted)], wanted)]
    if not found:
        return 0.0 if not lines else None
    return _distance(min(found) / PICO, _worst_pnl(lines) / PICO)


def _is(label: list[Shown], wanted: list[object]) -> bool:
    error = _error(label, wanted)
    return error is not None and error <= TOLERANCE


def _error(got: Shown, expected: object) -> float | None:
    """The relative error, the largest of a list's; None if they are not of one shape."""
    if isinstance(expected, list) or isinstance(got, list):
        if not isinstance(expected, list) or not isinstance(got, list) or len(got) != len(expected):
            return None
        errors = [_error(ours, theirs) for ours, theirs in zip(got, expected, strict=True)]
        return None if None in errors else max((error for error in errors if error is not None), default=0.0)
    if isinstance(got, str) or got is None:
        return 0.0 if got == expected else None
    number = _number(expected)
    return _distance(float(got), number) if number is not None and isinstance(got, int | float) else None


def _distance(got: float, expected: float) -> float:
    return abs(got - expected) / max(abs(expected), 1.0)


def _number(content: object) -> float | None:
    if isinstance(content, bool) or not isinstance(content, int | float | str):
        return None
    try:
        number = float(content)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
