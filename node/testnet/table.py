"""The live table: nodes, chains and the account's health, as of the last look.

Owns what is looked at, how often, and how it is shown. A node that does not answer is shown as down.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chains.errors import HypothecError
from hypothec.client import AccountAnswer
from hypothec.v1 import operator_service_pb2 as pb
from hypothec.v1 import state_pb2
from node.model.health import HealthStatus
from node.testnet.deployment import ASSETS
from node.testnet.network import Testnet
from node.testnet.nodes import NodeHandle, Operator
from node.testnet.outcome import Percentiles
from node.testnet.people import USD

_EVERY_S = 1.0
_RECENT_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class NodeLook:
    """What one node said last; `status` is None when it did not answer."""

    name: str
    status: pb.GetStatusResponse | None
    rounds: Percentiles | None


class LiveTable:
    """Looks at the network once a second in `run`; rich renders it as often as it likes."""

    _COLOURS: ClassVar = {
        HealthStatus.HEALTHY: "green",
        HealthStatus.MARGIN_CALL: "yellow",
        HealthStatus.UNKNOWN: "magenta",
        HealthStatus.LIQUIDATABLE: "red",
        HealthStatus.INSOLVENT: "bold red",
    }

    def __init__(self, net: Testnet) -> None:
        self._net = net
        self._nodes: tuple[NodeLook, ...] = ()
        self._heads: dict[int, int] = {}
        self._answer: AccountAnswer | None = None

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._nodes = tuple(
                await asyncio.gather(
                    *(
                        _look(node, operator)
                        for node, operator in zip(self._net.nodes, self._net.operators, strict=True)
                    )
                )
            )
            try:
                self._heads = {chain.chain_id: await chain.height() for chain in self._net.chains}
                self._answer = await self._net.venue.health(self._net.owner.account)
            except (HypothecError, OSError):
                self._answer = None  # the nodes' rows say why
            await asyncio.sleep(_EVERY_S)

    def __rich__(self) -> RenderableType:
        return Group(self._nodes_table(), self._chains_table(), self._account_line())

    def _nodes_table(self) -> Table:
        table = Table("node", "state", "epoch", "", "round p50", "p99", "peers", "to look at", box=None, padding=(0, 2))
        for index, look in enumerate(self._nodes):
            status = look.status
            if status is None:
                table.add_row(look.name, "down", style="red")
                continue
            rounds = (f"{look.rounds.p50:.0f} ms", f"{look.rounds.p99:.0f} ms") if look.rounds else ("", "")
            connected = sum(peer.connected for peer in status.peers)
            table.add_row(
                look.name,
                str(status.state.sequence),
                str(status.epoch),
                "leader" if status.leader == index else "",
                *rounds,
                f"{connected}/{len(status.peers)}",
                status.advice[0] if status.advice else "",
            )
        return table

    def _chains_table(self) -> Table:
        table = Table("chain", "head", "certified", "age", "status", "endpoints", box=None, padding=(0, 2))
        best = max(
            (look.status for look in self._nodes if look.status is not None),
            key=lambda status: int(status.state.sequence),
            default=None,
        )
        for cut in best.state.chains if best is not None else ():
            following = next((chain for chain in best.chains if chain.chain_id == cut.chain_id), None) if best else None
            endpoints = following.endpoints if following is not None else ()
            table.add_row(
                str(cut.chain_id),
                str(self._heads.get(cut.chain_id, "")),
                str(cut.height),
                f"{cut.age_ms / 1000:.1f} s",
                state_pb2.ChainStatus.Name(cut.status).removeprefix("CHAIN_STATUS_").lower(),
                f"{sum(endpoint.trusted for endpoint in endpoints)}/{len(endpoints)}",
            )
        return table

    def _account_line(self) -> Text:
        prices = ", ".join(f"{asset.id} ${self._net.feeds.price(asset.id):,}" for asset in ASSETS)
        line = Text(f"  feeds: {prices}   account ")
        if self._answer is None:
            return line.append("unknown to whoever answers", style="dim")
        health = self._answer.health
        line.append(health.status.name.replace("_", " ").lower(), style=self._COLOURS[health.status])
        low, high = (end / USD for end in (health.maintenance_excess.low, health.maintenance_excess.high))
        return line.append(f"   maintenance excess [${low:,.0f}, ${high:,.0f}] {' '.join(health.reasons)}")


async def _look(node: NodeHandle, operator: Operator) -> NodeLook:
    if not node.running:
        return NodeLook(node.name, None, None)
    try:
        status, rounds = await asyncio.gather(operator.status(), node.rounds())
    except HypothecError:
        return NodeLook(node.name, None, None)
    return NodeLook(node.name, status, Percentiles.of(rounds[-_RECENT_ROUNDS:]))
