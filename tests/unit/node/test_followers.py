"""How chains are opened: an L1 before its rollups, whose view of it rests on the L1's own adapter.

And each where the stored state left it: with the wallets that were being watched.
"""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest

from chains.adapter import ChainAdapter, Endpoints, FaultSink
from chains.simulated.endpoint import SimulatedChain
from chains.types import ChainId, ChainRecipe
from node.app import _open_followers
from node.config import NodeConfig
from node.consensus.outcome.transition import genesis
from tests.kit import ONE
from tests.shared import REPOSITORY
from tests.unit.ingest.test_follower import ALICE
from tests.unit.ingest.test_watched import OURS, WATCHING, Counting, agreed

SEAL = b"\1" * 32


class Adapter:
    """What is opened, and with which endpoints."""

    def __init__(self, chain_id: ChainId, endpoints: Endpoints) -> None:
        self.chain_id = chain_id
        self.endpoints = endpoints
        self.is_open = False

    async def __aenter__(self) -> Self:
        l1 = self.endpoints.rollup.l1 if self.endpoints.rollup is not None else None
        assert l1 is None or cast("Adapter", l1).is_open, "it has what its rollups need of it"
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    """The example, all of its parts in force, its chains in the other order."""
    folder = Path(shutil.copytree(REPOSITORY / "deploy" / "example", tmp_path / "node"))
    path = folder / "node.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.removeprefix("#") if line[:2] != "# " else line for line in lines))
    loaded = NodeConfig.load(path)
    chains = tuple(reversed(loaded.file.chains))
    assert [chain.id for chain in chains] == [10, 1]
    return replace(loaded, file=loaded.file.model_copy(update={"chains": chains}))


async def opened(config: NodeConfig, *chains: int) -> dict[ChainId, Adapter]:
    """By chain, what the node opens if its policy has these."""
    made: dict[ChainId, Adapter] = {}

    def factory(recipe: ChainRecipe, endpoints: Endpoints, _: FaultSink) -> ChainAdapter:
        made[recipe.chain_id] = Adapter(recipe.chain_id, endpoints)
        return cast("ChainAdapter", made[recipe.chain_id])

    recipes = {chain_id: config.policy.recipe_by_chain[ChainId(chain_id)] for chain_id in chains}
    policy: Any = SimpleNamespace(recipe_by_chain=recipes)
    parts: Any = SimpleNamespace(policy=lambda _: policy, endpoint_fault=lambda _: None)
    state = genesis(config.network, config.policy)
    async with AsyncExitStack() as stack:
        followers = await _open_followers(stack, config, SEAL, {"evm": factory}, parts, state, parts, parts)
        assert set(followers) == set(chains)
    return made


async def test_a_rollup_rests_on_the_adapter_of_its_l1_and_keeps_its_captures(config: NodeConfig) -> None:
    made = await opened(config, 1, 10)
    assert list(made) == [1, 10]
    rollup = made[ChainId(10)].endpoints.rollup
    assert rollup is not None
    assert rollup.l1 is cast("object", made[ChainId(1)])
    assert (rollup.state, rollup.seal) == (config.path("data") / "rollup-10.json", SEAL)
    l1 = made[ChainId(1)].endpoints
    assert l1.rollup is None
    assert l1.beacon is not None
    assert (l1.beacon.state, l1.beacon.seal) == (config.path("data") / "light-client-1.json", SEAL)


async def test_an_l1_that_the_policy_does_not_have_is_not_followed(config: NodeConfig) -> None:
    rollup = (await opened(config, 10))[ChainId(10)].endpoints.rollup
    assert rollup is not None
    assert rollup.l1 is None


async def test_a_chain_is_followed_with_the_wallets_that_the_stored_state_has_watched(config: NodeConfig) -> None:
    """Else the first cuts after a start tell of none, and have to be amended while the others vote."""
    chain = SimulatedChain(ONE)
    policy: Any = SimpleNamespace(recipe_by_chain={ONE: WATCHING})
    parts: Any = SimpleNamespace(policy=lambda _: policy, endpoint_fault=lambda _: None)
    ours = ((ALICE, OURS),)
    state = replace(genesis(config.network, config.policy), control=agreed(ours))
    kinds = {WATCHING.kind: lambda recipe, _, __: Counting(chain, recipe)}
    async with AsyncExitStack() as stack:
        follower = (await _open_followers(stack, config, SEAL, kinds, parts, state, parts, parts))[ONE]
        at = chain.mine()
        await follower.poll()
    assert follower.vote(at, ours) is not None
    assert follower.vote(at) is None
