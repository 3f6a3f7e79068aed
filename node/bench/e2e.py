"""`hypothec bench e2e`: all figures of a whole network, as a table or as one JSON object.

fresh_s, installed_s       from the command to its end: a new clone with every download, and this installation
round_ms                   back to back; round_ms_at_1_per_s of a network that makes one state a second
deposit_to_state_rounds    the worst of all deposits (see testnet.lag)
node                       of the worst node at one round a second: resident memory, processor time
gas                        by number of signatures
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from node.bench import gas, network, runs
from node.testnet.outcome import Percentiles

TARGETS = {
    "fresh_s": "< 300",
    "installed_s": "< 60",
    "round_ms p50": "< 50",
    "round_ms p99": "< 250",
    "deposit_to_state_rounds": "<= 3",
    "node rss_mb": "< 200",
    "node idle_core_pct": "< 10",
}


def run(*, as_json: bool, fresh: bool) -> None:
    """Measure and print. Raises ConfigError, RunFailed, and what a testnet raises."""
    console = Console(stderr=as_json, highlight=False)
    figures = _measured(console, fresh=fresh)
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        _print(figures, console)


def _measured(console: Console, *, fresh: bool) -> dict[str, Any]:
    network.require_psutil()
    console.print("gas by number of signatures …")
    table = asyncio.run(gas.measure())
    console.print("the testnet, as installed …")
    installed = runs.installed()
    console.print("rounds back to back …")
    rounds = asyncio.run(network.back_to_back())
    console.print(f"nodes at one round a second, for {network.IDLE_S:g} s, and deposits …")
    idle = asyncio.run(network.idle())
    figures: dict[str, Any] = {"fresh_s": None}
    root = runs.checkout()
    if not fresh:
        figures["fresh_reason"] = "skipped"
    elif root is None:
        figures["fresh_reason"] = "not in a git checkout"
    else:
        console.print("a fresh clone with every download …")
        figures["fresh_s"] = runs.fresh(root).seconds
    return figures | {
        "installed_s": installed.seconds,
        "round_ms": _json(rounds),
        "rounds": rounds.count if rounds is not None else 0,
        "round_ms_at_1_per_s": _json(idle.rounds),
        "deposit_to_state_rounds": max(*idle.deposit_rounds, installed.outcome["deposit_to_state_rounds"]),
        "node": {"rss_mb": idle.rss_mb, "idle_core_pct": idle.core_pct},
        "gas": table.as_json(),
        "cores": os.cpu_count(),
    }


def _json(percentiles: Percentiles | None) -> dict[str, float | int] | None:
    return percentiles.as_json() if percentiles is not None else None


def _print(figures: dict[str, Any], console: Console) -> None:
    flat = {"fresh_s": figures["fresh_s"] or figures.get("fresh_reason"), "installed_s": figures["installed_s"]}
    flat |= {f"round_ms {name}": value for name, value in (figures["round_ms"] or {}).items()}
    flat |= {f"round_ms {name}, one a second": value for name, value in (figures["round_ms_at_1_per_s"] or {}).items()}
    flat["deposit_to_state_rounds"] = figures["deposit_to_state_rounds"]
    flat |= {f"node {name}": value for name, value in figures["node"].items()}
    shown = Table("figure", "measured", "wanted")
    for name, value in flat.items():
        shown.add_row(name, str(value), TARGETS.get(name, ""))
    console.print(shown)
    table = Table("signatures", "accepted state", "seizure", "Scribe poke (published)")
    for count in sorted({*gas.SIGNATURES, *gas.SCRIBE_POKE}):
        state, seizure = (figures["gas"][name].get(str(count)) for name in ("state", "seizure"))
        poke = gas.SCRIBE_POKE.get(count)
        table.add_row(str(count), *("" if used is None else f"{used:,}" for used in (state, seizure, poke)))
    console.print(table)
