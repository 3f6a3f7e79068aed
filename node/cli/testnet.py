"""`hypothec testnet`: a whole network on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="A whole network on this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A whole network on this machine."""


@app.command()
def up(  # noqa: PLR0913 - each is an option of the command
    *,
    nodes: Annotated[int, typer.Option(min=1, max=31, help="Nodes; (nodes - 1) / 3 may fail.")] = 4,
    chains: Annotated[int, typer.Option(min=1, max=8, help="Chains.")] = 2,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Keep keys, configuration and logs in this new folder.")
    ] = None,
    base_port: Annotated[
        int | None, typer.Option(min=0, max=65_000, help="First of the ports; 0 takes free ones.")
    ] = None,
    round_ms: Annotated[int, typer.Option(min=0, max=10_000, help="From one round's start to the next.")] = 500,
    light_client: Annotated[
        bool,
        typer.Option("--light-client", help="Prove what is final, by the light clients of simulated beacon chains."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object on one line.")] = False,
    exit_when_done: Annotated[bool, typer.Option("--exit-when-done", help="End after the liquidation.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say every step with its time; no live table.")] = False,
) -> None:
    """Start chains and nodes, secure an account on every chain, let the price fall, watch the liquidation.

    Without --exit-when-done it goes on until Ctrl-C.
    """
    from node.testnet.network import Options
    from node.testnet.ports import DEFAULT_BASE
    from node.testnet.up import Output, run

    base = DEFAULT_BASE if base_port is None else base_port
    options = Options(
        nodes=nodes,
        chains=chains,
        directory=directory,
        base_port=base,
        round_ms=round_ms,
        light_client=light_client,
    )
    raise typer.Exit(run(options, Output(as_json=as_json, verbose=verbose), stay=not exit_when_done))
