"""One node process of a testnet, and what it says of itself to its operator."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp

from chains.errors import RetryError
from hypothec.client.connection import Connection
from hypothec.v1 import operator_service_pb2 as pb
from hypothec.v1.operator_service_pb2_grpc import OperatorServiceStub
from node.testnet.errors import ProcessDied
from node.testnet.files import node_name
from node.testnet.ports import HOST, NodePorts
from node.testnet.processes import Child

_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class NodeHandle:
    """A node: its process, its files and where it listens."""

    index: int
    name: str
    config: Path
    ports: NodePorts
    process: Child

    @classmethod
    def at(cls, index: int, config: Path, ports: NodePorts, on_death: Callable[[ProcessDied], None]) -> NodeHandle:
        name = node_name(index)
        # -P: a folder `node` in the working folder must not hide ours.
        command = (sys.executable, "-P", "-m", "node.cli", "node", "run", "--config", config)
        return cls(index, name, config, ports, Child(name, command, config.parent / "log.jsonl", on_death))

    @property
    def running(self) -> bool:
        return self.process.running

    async def start(self) -> None:
        """Start it (again)."""
        await self.process.start()

    async def stop(self) -> None:
        """Let it finish."""
        await self.process.stop()

    async def kill(self) -> None:
        """SIGKILL: what it has not written down is lost."""
        await self.process.kill()

    # === Where ===

    @property
    def venues(self) -> str:
        return f"{HOST}:{self.ports.venues}"

    @property
    def owners(self) -> str:
        return f"{HOST}:{self.ports.owners}"

    @property
    def operator(self) -> str:
        return f"{HOST}:{self.ports.operator}"

    @property
    def metrics(self) -> str:
        return f"http://{HOST}:{self.ports.metrics}"

    # === What it says ===

    async def rounds(self) -> list[float]:
        """Durations of its latest rounds, milliseconds. Raises RetryError."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.metrics}/rounds") as response:
                return [float(item) for item in await response.json()]
        except aiohttp.ClientError as error:
            raise RetryError(f"ask again when the node answers: {error}", node=self.name) from error


class Operator:
    """The operator's connection to one node, for as long as `async with` lasts."""

    def __init__(self, node: NodeHandle) -> None:
        self._connection = Connection(node.operator, None, None, _DEADLINE_S)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        self._stub = OperatorServiceStub(self._connection.channel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._connection.__aexit__(None, None, None)

    async def status(self) -> pb.GetStatusResponse:
        """What the node does and why. Raises ServiceUnavailable while it is not there."""
        return await self._connection.call(self._stub.GetStatus, pb.GetStatusRequest())
