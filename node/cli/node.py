"""`hypothec node`: make a node's store, and run the node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Run a node.", no_args_is_help=True)
Config = Annotated[Path, typer.Option("--config", help="The node's node.toml.", exists=True, dir_okay=False)]


@app.command()
def run(config: Config) -> None:
    """Run a node until SIGINT or SIGTERM. Its log, JSON lines, goes to standard output."""
    import asyncio
    import gc
    import signal

    from node.app import run_node
    from node.cli.logs import log_as_json
    from node.config import NodeConfig

    async def until_stopped() -> None:
        stop = asyncio.Event()
        for ending in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(ending, stop.set)
        await run_node(NodeConfig.load(config), stop)

    log_as_json()
    gc.freeze()  # half a million objects of libraries that live as long as the process: no collection need visit them
    asyncio.run(until_stopped())


@app.command()
def init(config: Config) -> None:
    """Make the store of a node whose keys are new, once: they must never have signed anything.

    A node that finds no store keeps silent until its peers have told it how far it got.
    """
    from node.app import STORE_FILE
    from node.config import NodeConfig
    from node.store.sqlite.store import initialise

    loaded = NodeConfig.load(config)
    path = loaded.path(loaded.file.data_dir) / STORE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    initialise(path, loaded.network.network_id)
    typer.echo(path)
