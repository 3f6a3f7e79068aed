"""One chain for all tests here, three proxies before it, and an adapter that asks them in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from chains.adapter import Endpoints
from chains.evm.adapter import EvmAdapter
from chains.evm.contracts import Artifact
from chains.evm.endpoint import Limits
from chains.evm.proxy import LyingProxy
from chains.types import ChainRecipe, EndpointFault
from tests.integration.evm.harness import Site, running_site
from tests.integration.evm.market import Market, compiled_assets, open_market


@pytest.fixture(scope="session")
def running() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    snapshot = running.chain.rpc("evm_snapshot")
    yield running
    running.chain.rpc("evm_revert", snapshot)


@dataclass
class Panel:
    """Three endpoints of one chain, each of which may be told to lie, and what the adapter said of them.

    The clock stands still, so that endpoints keep the order of configuration: the first is asked first.
    """

    site: Site
    proxies: list[LyingProxy]
    faults: list[EndpointFault] = field(default_factory=list)
    now: float = 100.0
    patience: float = 5.0

    @property
    def liar(self) -> LyingProxy:
        return self.proxies[0]

    @property
    def named(self) -> set[tuple[int, str]]:
        """The faults so far, by position of the endpoint and reason."""
        names = {proxy.url.removeprefix("http://"): index for index, proxy in enumerate(self.proxies)}
        return {(names[fault.endpoint], fault.reason) for fault in self.faults}

    def look_again(self) -> None:
        """Let enough time pass for the adapter to look for a new head."""
        self.now += 1.0

    @asynccontextmanager
    async def adapter(self, recipe: ChainRecipe | None = None) -> AsyncIterator[EvmAdapter]:
        adapter = EvmAdapter(
            recipe or self.site.recipe,
            Endpoints(tuple(proxy.url for proxy in self.proxies)),
            self.faults.append,
            limits=Limits(seconds=self.patience, answer_bytes=1 << 20),
            clock=lambda: self.now,
        )
        async with adapter:
            yield adapter


@pytest.fixture
async def panel(site: Site) -> AsyncIterator[Panel]:
    async with AsyncExitStack() as stack:
        yield Panel(site, [await stack.enter_async_context(LyingProxy(site.url)) for _ in range(3)])


@pytest.fixture(scope="session")
def compiled() -> Mapping[str, Artifact]:
    return compiled_assets()


@pytest.fixture
def market(panel: Panel, compiled: Mapping[str, Artifact]) -> Market:
    return open_market(panel, compiled)
