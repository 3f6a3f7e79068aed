"""A running testnet: everything that there is, from start to end, as one `async with`.

Owns the order in which things start and stop, and notices when something ends by itself. Must not know the story.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chains.errors import ConfigError, RetryError
from chains.types import ChainId
from node.model.network import Network
from node.testnet.beacon.start import LocalBeacon, run_beacon
from node.testnet.chain import LocalChain, Wallet, anvil_command, run_chain
from node.testnet.deployment import Deployment, deploy
from node.testnet.errors import ProcessDied
from node.testnet.feeds import Feeds
from node.testnet.files import NetworkFolder, NodeSecrets, key_address, new_network
from node.testnet.nodes import NodeHandle, Operator
from node.testnet.people import Owner, Venue
from node.testnet.ports import Ports
from node.testnet.processes import Child
from node.testnet.tools import find_anvil
from node.testnet.waiting import end, until

FIRST_CHAIN_ID = 31_001
_READY_S = 60.0
_T = TypeVar("_T")
Say = Callable[[str], None]
"""Where progress is told, a line each."""


@dataclass(frozen=True, slots=True)
class Options:
    """What testnet to start. `directory` is kept, and must be new; without one there is a temporary folder."""

    nodes: int = 4
    chains: int = 2
    directory: Path | None = None
    base_port: int = 0
    round_ms: int = 500
    light_client: bool = False
    """Put a simulated beacon chain over each chain, and let nodes prove by it what is final."""


@dataclass(frozen=True, slots=True, repr=False)
class _Funded:
    """The owner's key, and its wallet on each chain."""

    key: bytes
    wallets: dict[ChainId, Wallet]


class Testnet:
    """All parts of a running testnet; made by `Testnet.start`. Nodes may be killed, stopped and started again."""

    __test__ = False  # to pytest, a name that begins with Test is a test

    def __init__(self, options: Options, folder: NetworkFolder, network: Network) -> None:
        self.options = options
        self.folder = folder
        self.network = network
        self.deployments: tuple[Deployment, ...] = ()
        self.beacons: tuple[LocalBeacon, ...] = ()
        self.nodes: tuple[NodeHandle, ...] = ()
        self.operators: tuple[Operator, ...] = ()
        self.feeds: Feeds
        self.owner: Owner
        self.venue: Venue
        self._death: asyncio.Future[ProcessDied] = asyncio.get_running_loop().create_future()

    @property
    def chains(self) -> tuple[LocalChain, ...]:
        return tuple(item.chain for item in self.deployments)

    @classmethod
    @asynccontextmanager
    async def start(cls, options: Options, say: Say = lambda _: None) -> AsyncIterator[Testnet]:
        """A network whose nodes have agreed on a first state; all of it is gone when the block is left.

        Raises ToolMissing, PortTaken, ConfigError, ProcessDied or NotInTime.
        """
        binary = find_anvil()
        ports = Ports.plan(options.chains, options.nodes, options.base_port)
        keys = [NodeSecrets.new() for _ in range(options.nodes)]
        with _folder(options.directory) as path:
            net = cls(options, NetworkFolder(path), new_network(keys, options.round_ms))
            async with AsyncExitStack() as opened:
                chains = [await net._start_chain(opened, binary, index, ports) for index in range(options.chains)]
                say(f"{len(chains)} chains run: " + ", ".join(str(chain.chain_id) for chain in chains))
                owner = await net.guard(net._deploy(opened, chains, keys))
                say("contracts deployed, first prices posted")
                if options.light_client:
                    await net._start_beacons(opened)
                await net._start_nodes(opened, keys, ports, owner)
                say(f"{options.nodes} nodes started; files in {path}")
                await net.guard(net._ready(say))
                yield net

    async def guard(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do `work`, unless a process ends by itself before it is done: raises ProcessDied."""
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, self._death}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._death.done() and not task.done():
                raise self._death.result()
            return await task
        finally:
            await end(task)

    def _died(self, error: ProcessDied) -> None:
        if not self._death.done():
            self._death.set_result(error)

    # === Starting ===

    async def _start_chain(self, opened: AsyncExitStack, binary: Path, index: int, ports: Ports) -> LocalChain:
        chain_id, at = ChainId(FIRST_CHAIN_ID + index), ports.chains[index]
        log = self.folder.folder / f"chain-{chain_id}.log"
        process = Child(f"chain {chain_id}", anvil_command(binary, chain_id, at), log, self._died)
        return await opened.enter_async_context(run_chain(process.name, chain_id, at, process))

    async def _deploy(self, opened: AsyncExitStack, chains: list[LocalChain], keys: list[NodeSecrets]) -> _Funded:
        owner = secrets.token_bytes(32)
        wallets = {chain.chain_id: await chain.wallet(owner) for chain in chains}
        self.deployments = tuple(await asyncio.gather(*(deploy(chain, self.network) for chain in chains)))
        await asyncio.gather(*(chain.fund(*(key.relay_address for key in keys)) for chain in chains))
        self.feeds = Feeds(self.deployments)
        await self.feeds.post_all()
        await asyncio.gather(*(chain.begin_time() for chain in chains))
        posting = asyncio.create_task(self.feeds.run(), name="feeds")
        opened.push_async_callback(end, posting)
        return _Funded(owner, wallets)

    async def _start_beacons(self, opened: AsyncExitStack) -> None:
        self.beacons = tuple([await opened.enter_async_context(run_beacon(chain)) for chain in self.chains])

    async def _start_nodes(
        self, opened: AsyncExitStack, keys: list[NodeSecrets], ports: Ports, funded: _Funded
    ) -> None:
        venue = secrets.token_bytes(32)
        self.folder.write_network(self.network)
        self.folder.write_policy(self.deployments, key_address(venue))
        tls = self.folder.write_people()
        configs = [
            self.folder.write_node(index, key, ports.nodes, self.chains, self.network, self.beacons)
            for index, key in enumerate(keys)
        ]
        self.nodes = tuple(
            NodeHandle.at(index, config, ports.nodes[index], self._died) for index, config in enumerate(configs)
        )
        opened.push_async_callback(self._stop_nodes)
        for node in self.nodes:
            await node.start()
        self.operators = tuple([await opened.enter_async_context(Operator(node)) for node in self.nodes])
        self.owner = await opened.enter_async_context(
            Owner(funded.key, self.network, self.nodes, funded.wallets, tls.authority)
        )
        self.venue = await opened.enter_async_context(Venue(venue, self.network, self.nodes, tls))

    async def _ready(self, say: Say) -> None:
        async def wait(index: int) -> None:
            async def sequence() -> int | None:
                try:
                    status = await self.operators[index].status()
                except RetryError:
                    return None
                return status.state.sequence or None

            name = self.nodes[index].name
            await until(sequence, f"for the first state at {name}", within=_READY_S, every=0.25)
            say(f"{name} is ready")

        await asyncio.gather(*(wait(index) for index in range(len(self.nodes))))

    async def _stop_nodes(self) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))


@contextmanager
def _folder(directory: Path | None) -> Iterator[Path]:
    if directory is None:
        path = Path(tempfile.mkdtemp(prefix="hypothec-"))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ConfigError("choose a folder that is new or empty", dir=directory)
    except OSError as error:
        raise ConfigError(f"choose another folder: {error.strerror}", dir=directory) from error
    yield directory.resolve()
