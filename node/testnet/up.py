"""`hypothec testnet up`: a testnet and its story, told on a terminal, and ended by whatever ends it.

Owns signals, progress and output. Progress goes to stdout, or with JSON, which has stdout for itself, to stderr.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from node.testnet.network import Options, Say, Testnet
from node.testnet.outcome import Outcome
from node.testnet.story import Story
from node.testnet.table import LiveTable

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Output:
    """How to tell it: the outcome as JSON or in words, and whether a live table is wanted where there is a terminal."""

    as_json: bool = False
    verbose: bool = False


def run(options: Options, output: Output, *, stay: bool) -> int:
    """Run it all; the exit status: 128 + the signal's number if one came before the story was told."""
    return asyncio.run(_until_ended(options, output, stay=stay))


async def _until_ended(options: Options, output: Output, *, stay: bool) -> int:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()
    ended_by: list[signal.Signals] = []
    work = asyncio.ensure_future(_tell(options, output, told, stay=stay))

    def end(how: signal.Signals) -> None:
        if not ended_by:  # impatience does not make the clean-up any shorter
            ended_by.append(how)
            work.cancel()

    for ending in _ENDINGS:
        if ending is not signal.SIGHUP or signal.getsignal(ending) is not signal.SIG_IGN:  # nohup means it
            loop.add_signal_handler(ending, end, ending)
    try:
        await work
    except asyncio.CancelledError:
        if not ended_by:
            raise
    return 128 + ended_by[0] if ended_by and not told.done() else 0


async def _tell(options: Options, output: Output, told: asyncio.Future[None], *, stay: bool) -> None:
    console = Console(stderr=output.as_json, highlight=False)
    started = time.monotonic()

    def say(line: str) -> None:
        console.print(Text.assemble((f"{time.monotonic() - started:6.1f} ", "dim"), line), soft_wrap=True)

    async with Testnet.start(options, say) as net, AsyncExitStack() as shown:
        if console.is_terminal and not output.verbose:
            await _show_table(shown, net, console)
        outcome = await net.guard(Story(net, say).run())
        _print(outcome, output, say, round(time.monotonic() - started, 1))
        told.set_result(None)
        if stay:
            _hint(net, say)
            await net.guard(asyncio.Event().wait())


async def _show_table(shown: AsyncExitStack, net: Testnet, console: Console) -> None:
    table = LiveTable(net)
    looking = asyncio.create_task(table.run(), name="live table")
    shown.callback(looking.cancel)
    shown.enter_context(Live(table, console=console, refresh_per_second=2))


def _print(outcome: Outcome, output: Output, say: Say, seconds: float) -> None:
    if output.as_json:
        typer.echo(outcome.as_json(seconds))
        return
    rounds = outcome.rounds
    if rounds is not None:
        say(f"rounds: median {rounds.p50:.0f} ms, p99 {rounds.p99:.0f} ms, of {rounds.count}")
    say(f"liquidated on {len(outcome.seizures)} chains, {seconds:.0f} s after the start")


def _hint(net: Testnet, say: Say) -> None:
    node = net.nodes[0]
    account, network = f"0x{net.owner.account.hex()}", net.folder.network_file
    say("the network stays up until Ctrl-C; ask it:")
    say(f"  hypothec query health {account} --node {node.operator} --network {network}")
