"""`hypothec bench`: figures of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Measure.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure."""


@app.command()
def e2e(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False,
    skip_fresh: Annotated[bool, typer.Option("--skip-fresh", help="Do not clone, install and run anew.")] = False,
) -> None:
    """Measure a whole network: a testnet's time, rounds, deposits, a node's memory and processor time, gas."""
    from node.bench.e2e import run

    run(as_json=as_json, fresh=not skip_fresh)


@app.command()
def proofs(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False) -> None:
    """Measure chain proofs: against other libraries and bare hashing, following a vault, a sync committee's update."""
    from node.bench.proofs import run

    run(as_json=as_json)


@app.command()
def margin(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False) -> None:
    """Measure margin on one core: linear accounts, portfolios, a price tick; each beside its yardstick."""
    from node.bench.margin import run

    run(as_json=as_json)
