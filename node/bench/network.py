"""Figures of a running network: durations of rounds, what an idle node costs, how soon deposits count.

Owns how long is measured and from where. Every figure is of nodes as separate processes, with mutual TLS and journals
that are synced, and the two real chains beside them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from chains.errors import ConfigError
from node.testnet.deployment import BTC, ETH
from node.testnet.lag import Lag, measure
from node.testnet.network import Options, Testnet
from node.testnet.outcome import Percentiles

SETTLE_S = 5.0
"""What a start leaves behind is not measured."""
IDLE_S = 30.0
BACK_TO_BACK_ROUNDS = 300
DEPOSITS = 3
_ONCE_A_SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class IdleFigures:
    """Of nodes that make one state a second and are asked nothing; the worst node counts."""

    rss_mb: float
    core_pct: float
    rounds: Percentiles | None
    deposit_rounds: tuple[int, ...]


def require_psutil() -> None:
    """Raises ConfigError without it: it is no dependency of a node."""
    if find_spec("psutil") is None:
        raise ConfigError("psutil is missing, which measures processes: pip install psutil")


async def idle(nodes: int = 4) -> IdleFigures:
    """Measure at one round a second for IDLE_S, then how many rounds deposits take."""
    import psutil

    async with Testnet.start(Options(nodes=nodes, round_ms=_ONCE_A_SECOND_MS)) as net:
        await asyncio.sleep(SETTLE_S)
        processes = [psutil.Process(node.process.pid) for node in net.nodes]
        first = await _counts(net)
        before = [sum(process.cpu_times()[:2]) for process in processes]
        await net.guard(asyncio.sleep(IDLE_S))
        used = [sum(process.cpu_times()[:2]) - start for process, start in zip(processes, before, strict=True)]
        rss = max(process.memory_info().rss for process in processes)
        rounds = await _since(net, first)
        deposits = [await net.guard(_deposit(net, number)) for number in range(DEPOSITS)]
        return IdleFigures(
            round(rss / 1e6, 1), round(100 * max(used) / IDLE_S, 1), Percentiles.of(rounds), tuple(deposits)
        )


async def back_to_back(nodes: int = 4) -> Percentiles | None:
    """Durations of at least BACK_TO_BACK_ROUNDS rounds, each started when the one before is committed."""
    async with Testnet.start(Options(nodes=nodes, round_ms=0)) as net:
        await asyncio.sleep(SETTLE_S)
        first = await _counts(net)
        while min(len(rounds) - start for rounds, start in zip(await _rounds(net), first, strict=True)) < (
            BACK_TO_BACK_ROUNDS
        ):
            await net.guard(asyncio.sleep(1.0))
        return Percentiles.of(await _since(net, first))


async def _deposit(net: Testnet, number: int) -> int:
    item, asset = net.deployments[number % len(net.deployments)], (ETH, BTC)[number % 2]
    height = await net.owner.deposit(item, asset, 10**asset.token_decimals)
    [rounds] = await measure(net.operators, [Lag(item.chain_id, height, net.network.strong_quorum)])
    return rounds


async def _rounds(net: Testnet) -> Sequence[list[float]]:
    return await asyncio.gather(*(node.rounds() for node in net.nodes))


async def _counts(net: Testnet) -> list[int]:
    return [len(rounds) for rounds in await _rounds(net)]


async def _since(net: Testnet, first: Sequence[int]) -> list[float]:
    return [duration for rounds, start in zip(await _rounds(net), first, strict=True) for duration in rounds[start:]]
