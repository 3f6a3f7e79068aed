"""One testnet for all of these tests, and what failed ones want to show: the end of every log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.chaos.harness import Chaos, chaos_network

_LOG_LINES = 12
_running: list[Chaos] = []


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chaos]:
    async with chaos_network(Path(tmp_path_factory.mktemp("chaos")) / "net") as chaos:
        _running.append(chaos)
        yield chaos


@pytest_asyncio.fixture(loop_scope="session")
async def chaos(network: Chaos) -> AsyncIterator[Chaos]:
    """The network with all nodes in agreement, before and after."""
    await network.recovered()
    yield network
    await network.recovered()
    network.unharmed()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _running:
        for node in _running[0].net.nodes:
            tail = "\n".join(node.process.tail().splitlines()[-_LOG_LINES:])
            report.sections.append((f"the end of {node.name}'s log", tail))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for chaos in _running:
        for name, values in chaos.figures.items():
            terminalreporter.write_line(f"chaos: {name}: {values}")
