from __future__ import annotations

import pytest

from chains.adapter import Endpoints
from chains.errors import InputError, StaleError
from chains.simulated.adapter import SimulatedAdapter, simulated
from chains.simulated.endpoint import SimulatedChain
from chains.types import Address, ChainId, ChainRecipe, EndpointFault, Hash32, Height

CHAIN = ChainId(9)
RECIPE = ChainRecipe(
    CHAIN, "simulated", Address(bytes(20)), Hash32(bytes(32)), Address(bytes(20)), Height(1), 1, (), ()
)


def adapter(chain: SimulatedChain, faults: list[EndpointFault]) -> SimulatedAdapter:
    made = simulated({CHAIN: chain})(RECIPE, Endpoints(()), faults.append)
    assert isinstance(made, SimulatedAdapter)
    return made


async def test_a_halted_chain_has_no_new_blocks_until_it_goes_on() -> None:
    chain = SimulatedChain(CHAIN)
    chain.mine(3)
    chain.halt()
    chain.mine(5)
    assert [cut.height for cut in await adapter(chain, []).final_cuts(Height(0), 9)] == [1, 2, 3]
    chain.resume()
    chain.mine()
    assert chain.head.height == 4


async def test_final_lags_the_head() -> None:
    chain = SimulatedChain(CHAIN, lag=2, start=100, block_seconds=12)
    chain.mine(5)
    (cut,) = await adapter(chain, []).final_cuts(Height(0), 1)
    assert (cut.height, cut.time) == (3, 136)
    assert await adapter(SimulatedChain(CHAIN, lag=2), []).final_cuts(Height(0), 1) == ()


async def test_any_error_can_be_scripted() -> None:
    chain = SimulatedChain(CHAIN)
    chain.failing = StaleError("scripted")
    with pytest.raises(StaleError):
        await adapter(chain, []).final_cuts(Height(0), 1)


def test_a_fault_can_be_scripted() -> None:
    faults: list[EndpointFault] = []
    adapter(SimulatedChain(CHAIN), faults).accuse("somebody", "WRONG_VALUE", "said 2, is 1")
    assert faults == [EndpointFault(CHAIN, "somebody", "WRONG_VALUE", "said 2, is 1")]


def test_a_script_cannot_do_what_a_chain_cannot() -> None:
    chain = SimulatedChain(CHAIN)
    with pytest.raises(InputError):
        chain.fork(1)
    with pytest.raises(InputError):
        chain.release(RECIPE.vault_code_hash, Address(bytes(20)), 1)  # type: ignore[arg-type]


def test_a_fork_has_other_hashes_and_no_trace_of_what_it_replaced() -> None:
    chain = SimulatedChain(CHAIN)
    before = chain.mine(3)
    chain.fork(2)
    assert chain.head.height == before.height
    assert chain.head.block_hash != before.block_hash
