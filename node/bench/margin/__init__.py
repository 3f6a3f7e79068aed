"""`hypothec bench margin`: how fast margin is computed, on one core, each figure beside its yardstick.

linear      accounts of eight positions at every threshold; health factors beside npm's @aave/math-utils; bytes that the
            engine keeps of a million accounts that are watched; by venue, accounts under its own rules
portfolio   portfolio.measure() -> dict: accounts with options over shared tables of scenarios, by profile
tick        one of 500 assets moves by 10 bp: from the price to every status of a million accounts

Processor time, medians. What is not installed gives None.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table

from node.bench.margin import linear, tick, venues

Figures: TypeAlias = "Mapping[str, Figures | float | None]"

ACCOUNTS = 1_000_000
TARGETS = {
    "linear accounts_per_s": "≥ 5,000,000",
    "linear vs_aave_math_utils": "> 1",
    "linear bytes_per_account": "< 300",
    **{f"linear models {name}": "≥ 1,000,000" for name in venues.VENUES},
    "tick ms": "< 10",
}


def run(*, as_json: bool) -> None:
    """Measure and print."""
    from node.bench.margin.portfolio import TARGETS as OF_PORTFOLIOS

    figures = measure()
    if as_json:
        print(json.dumps(as_told(figures)))  # noqa: T201 - one line for a machine
        return
    targets = TARGETS | {f"portfolio {name}": target for name, target in OF_PORTFOLIOS.items()}
    table = Table("figure", "measured", "wanted")
    for name, figure in flat(figures):
        table.add_row(name, "not installed" if figure is None else f"{figure:,}", targets.get(name, ""))
    Console().print(table)


def measure(accounts: int = ACCOUNTS) -> dict[str, Figures]:
    """All figures."""
    from node.bench.margin import portfolio  # not above: it runs itself as a program

    return {
        "linear": {**linear.measure(accounts), "models": venues.measure(min(accounts, venues.ACCOUNTS))},
        "portfolio": portfolio.measure(),
        "tick": tick.measure(accounts),
    }


def as_told(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures by name: of portfolios those of `hypothec`, the default, and of every profile also by its own."""
    profiles = figures["portfolio"]
    return {**figures, "portfolio": {**profiles["hypothec"], **profiles}, **profiles}


def flat(figures: Figures, prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Each figure with the words that lead to it."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", value
