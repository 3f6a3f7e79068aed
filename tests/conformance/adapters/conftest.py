"""The adapters that have to pass: the simulated one, and the EVM one before a real node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.adapters.scripts import Evm, Script, Simulated
from tests.integration.evm.harness import Site, running_site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture(params=["simulated", "evm"])
def script(request: pytest.FixtureRequest) -> Iterator[Script]:
    if request.param == "simulated":
        yield Simulated()
        return
    site: Site = request.getfixturevalue("site")
    snapshot = site.chain.rpc("evm_snapshot")
    yield Evm(site)
    site.chain.rpc("evm_revert", snapshot)
