"""The `hypothec` command. What a command needs is imported when it runs, so that `--help` is quick.

A command that fails says in one line what is wrong, where, and what to do: exit status 2 when it is the configuration
or the command line, 1 for everything else. A traceback means a bug of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from chains.errors import ConfigError, HypothecError
from node.cli import bench, keys, margin, margin_plan, node, policy, proof, query, testnet, verify

app = typer.Typer(
    name="hypothec",
    help="One signed margin state for collateral that stays on its own chains.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(testnet.app, name="testnet")
app.add_typer(node.app, name="node")
app.add_typer(keys.app, name="keys")
app.add_typer(query.app, name="query")
app.add_typer(policy.app, name="policy")
app.command("verify")(verify.verify)
app.add_typer(proof.app, name="proof")
app.add_typer(margin.app, name="margin")
margin.app.command("plan")(margin_plan.plan)
margin.app.command("what-if")(margin_plan.what_if)
app.add_typer(bench.app, name="bench")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(version("hypothec"))
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One signed margin state for collateral that stays on its own chains."""


def main() -> None:
    """Entry point of the console script."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without our letters is no reason to fail
    try:
        app(prog_name="hypothec")
    except (HypothecError, OSError, ExceptionGroup) as failed:
        errors = list(_leaves(failed))
        if not all(isinstance(error, (HypothecError, OSError)) for error in errors):
            raise
        for error in errors:
            typer.echo(f"hypothec: {_told(error)}", err=True)
        sys.exit(2 if all(isinstance(error, ConfigError) for error in errors) else 1)


def _leaves(error: Exception) -> Iterator[Exception]:
    """What failed; several tasks of a node may fail at once."""
    if isinstance(error, ExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    return str(error)
