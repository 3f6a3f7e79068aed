"""`hypothec margin`: portfolios in files under the margin models, offline."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from chains.errors import ConfigError

if TYPE_CHECKING:
    from node.margin.models.errors import PortfolioError
    from node.margin.models.profile import Evaluation, Level, Profile

app = typer.Typer(help="Evaluate portfolios in files under a margin model.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="Portfolio, market and parameters as JSON.", dir_okay=False)]
ProfileName = Annotated[str, typer.Option("--profile", help="A model; `hypothec margin profiles` lists them.")]
Stress = Annotated[bool, typer.Option("--stress", help="What would liquidate it, and what past events would do.")]
DEFAULT_PROFILE = "hypothec"
_USD = re.compile(r"-?\d+\.\d{12}")
"""Money as components have it: all digits, which only the JSON needs."""


@app.callback()
def _group() -> None:
    """Evaluate portfolios in files under a margin model.

    A file has `market`, `parameters` and one account (`cash`, `collateral`, `debts`, `perpetuals`, `futures`,
    `options`) or a list of `accounts`; node/margin/models/book.py says it all, and
    node/margin/models/hypothec what `hypothec`, the default, reads beside it. `derive-pm2` reads PMRM_2 test files as
    they are.
    """


@app.command()
def profiles() -> None:
    """List the models."""
    from node.margin.models.profiles import PROFILES

    width = max(map(len, PROFILES))
    for profile in PROFILES.values():
        typer.echo(f"{profile.name:{width}}  {profile.summary}")


@app.command()
def evaluate(
    file: File,
    profile: ProfileName = DEFAULT_PROFILE,
    *,
    stress: Stress = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every component, as JSON.")] = False,
) -> None:
    """Say how each account of a file stands under a model.

    Where the file says what it expects, `matches_vector` and `max_relative_error` tell how far every component is from
    it. Exit status 1 when it does not match, or an account cannot be evaluated.
    """
    from node.cli.shown import print_json, print_lines

    outcomes = _outcomes(profile, file, stress=stress, as_json=as_json)
    if as_json:
        shown = [_shown(each) for each in outcomes]
        print_json(shown[0] if len(shown) == 1 else {"profile": profile, "accounts": shown})
    else:
        for each in outcomes:
            print_lines(_summary(each))
    if any(_is_wrong(each) for each in outcomes):
        raise typer.Exit(1)


@app.command()
def explain(file: File, profile: ProfileName = DEFAULT_PROFILE, *, stress: Stress = False) -> None:
    """Say what each account's margin is made of, line by line."""
    from node.cli.shown import print_lines

    outcomes = _outcomes(profile, file, stress=stress)
    for place, each in enumerate(outcomes):
        print_lines([*([""] if place else []), *_explained(each)])
    if any(_is_wrong(each) for each in outcomes):
        raise typer.Exit(1)


def _outcomes(name: str, path: Path, *, stress: bool, as_json: bool = False) -> list[Evaluation | PortfolioError]:
    """What became of each account; for a file with one, its error is raised."""
    from node.margin.models.errors import PortfolioError
    from node.margin.models.profiles import evaluate_file

    profile = profile_named(name)
    if stress and profile.stress is None:
        raise ConfigError("the profile has no stress tests", profile=name)
    outcomes = list(evaluate_file(profile, parsed(path), path.stem, stress=stress))
    if len(outcomes) == 1 and isinstance(outcomes[0], PortfolioError):
        raise_only(outcomes[0], as_json=as_json)
    return outcomes


def raise_only(error: PortfolioError, *, as_json: bool) -> NoReturn:
    """Raise what is wrong with a file's one account; where JSON is asked for, that has it too."""
    from node.cli.shown import print_json

    if as_json:
        print_json({"account": error.account, "error": shown_error(error)})
    raise error


def profile_named(name: str) -> Profile:
    """The model of a name."""
    from node.margin.models.profiles import PROFILES

    if name not in PROFILES:
        raise ConfigError(f"there is no such profile; give one of {', '.join(PROFILES)}", profile=name)
    return PROFILES[name]


def parsed(path: Path) -> object:
    """What a file of JSON holds."""
    from node.cli.files import read_json

    return read_json(path, constant=float)  # a NaN is named by its field, where it is read


def _is_wrong(outcome: Evaluation | PortfolioError) -> bool:
    if isinstance(outcome, Exception):
        return True
    return outcome.comparison is not None and not outcome.comparison.matches


# === JSON ===


def _shown(outcome: Evaluation | PortfolioError) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        return {"account": outcome.account, "error": shown_error(outcome)}
    shown: dict[str, Any] = {"account": outcome.account, "profile": outcome.profile, "status": outcome.status}
    if outcome.comparison is not None:
        shown["matches_vector"] = outcome.comparison.matches
        shown["max_relative_error"] = outcome.comparison.max_relative_error
        shown["unmatched"] = list(outcome.comparison.unmatched)
        shown["relative_errors"] = dict(outcome.comparison.errors)
    shown["levels"] = {level.threshold.name: _shown_level(level) for level in outcome.levels}
    shown["components"] = dict(outcome.components)
    return shown


def shown_error(error: PortfolioError) -> dict[str, str]:
    """What is wrong with an account, and where."""
    return {
        "reason": error.reason,
        "message": error.message,
        **{name: str(value) for name, value in error.values.items()},
    }


def _shown_level(level: Level) -> dict[str, Any]:
    from node.cli.shown import usd

    return {
        "equity_usd": usd(level.equity),
        "requirement_usd": usd(level.requirement),
        "excess_usd": usd(level.excess),
        "ratio": None if level.ratio is None else level.ratio / 10**18,
        "lines": [
            {
                "component": line.component,
                "instrument": line.instrument,
                "side": line.side.value,
                "amount_usd": usd(line.amount),
            }
            for line in level.lines
        ],
    }


# === Text ===


def _summary(outcome: Evaluation | PortfolioError) -> list[str]:
    if isinstance(outcome, Exception):
        return [f"{outcome.account}: cannot be evaluated: {outcome}"]
    lines = [f"{outcome.account}: {outcome.status} ({outcome.profile})"]
    lines += [f"  {_level_line(level)}" for level in outcome.levels]
    lines += [f"  {note}" for note in outcome.notes]
    if outcome.comparison is not None:
        lines.append(f"  matches_vector: {str(outcome.comparison.matches).lower()}")
        lines.append(f"  max_relative_error: {outcome.comparison.max_relative_error:.3g}")
        lines += [f"  cannot be compared: {name}" for name in outcome.comparison.unmatched]
    return lines


def _level_line(level: Level) -> str:
    ratio = "" if level.ratio is None else f", ratio {level.ratio / 10**18:.4f}"
    return (
        f"{level.threshold.name:12} excess {dollars(level.excess)}"
        f" = equity {dollars(level.equity)} − requirement {dollars(level.requirement)}{ratio}"
    )


def _explained(outcome: Evaluation | PortfolioError) -> list[str]:
    lines = _summary(outcome)
    if isinstance(outcome, Exception):
        return lines
    for level in outcome.levels:
        below = "below zero, where anything is required," if level.threshold.if_required else "below zero"
        lines += ["", f"{level.threshold.name}: {below} the account is {level.threshold.unmet}"]
        for line in level.lines:
            sign = "+" if line.side.value == "equity" else "−"
            lines.append(f"  {sign} {dollars(line.amount):>24}  {line.component} {line.instrument}".rstrip())
        lines.append(f"  = {dollars(level.excess):>24}  excess")
    if outcome.components:
        lines += ["", "components"]
        for name, value in outcome.components.items():
            lines += _component(name, value, 1)
    return lines


def _component(name: str, value: Any, depth: int) -> list[str]:  # noqa: ANN401 - anything that JSON has
    """A component, and what is in it below it."""
    indent = "  " * depth
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return [line for place, each in enumerate(value) for line in _component(f"{name} {place + 1}", each, depth)]
    if isinstance(value, list) and value and all(isinstance(each, list) for each in value):
        return [f"{indent}{name}", *(f"{indent}  {'  '.join(map(_short, each))}" for each in value)]
    if not isinstance(value, dict) or not value:
        return [f"{indent}{name:30} {_short(value) if value not in ({}, [], None) else 'none'}"]
    if set(value) == {"low", "high"}:
        return [f"{indent}{name:30} {_short(value['low'])} to {_short(value['high'])}"]
    return [f"{indent}{name}", *(line for key, each in value.items() for line in _component(key, each, depth + 1))]


def dollars(amount: int) -> str:
    """1e-12 USD to the cent, for people."""
    return f"{amount / 10**12:,.2f}"


def _short(value: Any) -> str:  # noqa: ANN401 - anything that JSON has
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1_000 else f"{value:,.2f}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    if isinstance(value, str) and _USD.fullmatch(value):
        return f"{Decimal(value):,.2f}"
    return str(value)
