from __future__ import annotations

from dataclasses import replace

import pytest

from chains.adapter import Endpoints
from chains.errors import ConfigError
from chains.evm.adapter import EvmAdapter
from chains.registry import KINDS, open_adapter
from chains.simulated.adapter import SimulatedAdapter, simulated
from chains.simulated.endpoint import SimulatedChain
from chains.types import Address, ChainId, ChainRecipe, Hash32, Height

RECIPE = ChainRecipe(ChainId(5), "evm", Address(bytes(20)), Hash32(bytes(32)), Address(bytes(20)), Height(1), 1, (), ())
THREE = Endpoints(("http://a", "http://b", "http://c"))


def test_an_evm_recipe_gets_the_evm_adapter() -> None:
    assert isinstance(open_adapter(RECIPE, THREE, lambda fault: None), EvmAdapter)


def test_scripts_are_one_more_kind() -> None:
    chain = SimulatedChain(ChainId(5))
    kinds = {**KINDS, "simulated": simulated({ChainId(5): chain})}
    recipe = replace(RECIPE, kind="simulated")
    assert isinstance(open_adapter(recipe, Endpoints(()), lambda fault: None, kinds), SimulatedAdapter)
    with pytest.raises(ConfigError):
        open_adapter(replace(recipe, chain_id=ChainId(6)), Endpoints(()), lambda fault: None, kinds)


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigError) as caught:
        open_adapter(replace(RECIPE, kind="dogecoin"), THREE, lambda fault: None)
    assert caught.value.values == {"kind": "dogecoin", "known": "evm"}


@pytest.mark.parametrize(
    "endpoints",
    [
        Endpoints(()),
        Endpoints(("ftp://a",)),
        Endpoints(("a:8545",)),
        Endpoints(("http://a", "http://b", "http://c", "http://d"), quorum=2),
        Endpoints(("http://a",), quorum=2),
        Endpoints(("http://a",), quorum=0),
    ],
    ids=["none", "scheme", "no scheme", "no majority", "more than there are", "zero"],
)
async def test_endpoints_that_cannot_be_trusted_are_a_configuration_error(endpoints: Endpoints) -> None:
    with pytest.raises(ConfigError):
        async with open_adapter(RECIPE, endpoints, lambda fault: None):
            pass
