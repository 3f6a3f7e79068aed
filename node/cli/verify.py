"""`hypothec verify`: check a saved answer, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    file: Annotated[Path, typer.Argument(help="An answer saved by `hypothec query … --save`.", dir_okay=False)],
    network: Annotated[Path, typer.Option("--network", help="The network's network.toml.", dir_okay=False)],
) -> None:
    """Check a saved answer offline: who certified it, that every leaf is under its root, every figure again.

    Prints what it proves as JSON. How old it is, is for you to judge: see time_ms.
    """
    from chains.errors import ConfigError, InputError
    from hypothec.client.saved import load_answer
    from node.cli.shown import print_json, shown_answer
    from node.config import load_network

    trusted = load_network(network)
    try:
        saved = load_answer(file)
    except ConfigError as error:  # of the policy in the file: nobody's configuration here
        raise InputError(f"refuse the answer's policy: {error.message}", file=file) from error
    print_json(shown_answer(saved.verify(trusted)))
