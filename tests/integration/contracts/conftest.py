"""One chain for all tests of the contracts; each test starts from the same snapshot of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from chains.evm.contracts import Artifact, build, parse_artifact
from tests.integration.contracts.harness import Chain, running_chain
from tests.integration.contracts.world import World


@pytest.fixture(scope="session")
def pristine() -> Iterator[Chain]:
    with running_chain() as chain:
        yield chain


@pytest.fixture(scope="session")
def deployed(pristine: Chain) -> World:
    return World.deploy(pristine)


@pytest.fixture
def world(deployed: World) -> Iterator[World]:
    snapshot = deployed.chain.rpc("evm_snapshot")
    yield deployed
    deployed.chain.rpc("evm_revert", snapshot)


@pytest.fixture(scope="session")
def hostile() -> Mapping[str, Artifact]:
    """Tokens and payees that misbehave."""
    source = Path(__file__).with_name("hostile.sol").read_text(encoding="utf-8")
    compiled = build.compile_sources({"hostile.sol": source})
    return {name: parse_artifact(json.dumps(raw)) for name, raw in compiled.items()}
