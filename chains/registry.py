"""Which adapter speaks to which kind of chain: the one place where a new kind is entered.

Owns the mapping from a recipe's `kind` to a factory. Must not know what the adapters do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from chains.adapter import AdapterFactory, ChainAdapter, Endpoints, FaultSink
from chains.errors import ConfigError
from chains.evm.adapter import EvmAdapter
from chains.types import ChainRecipe


def _evm(recipe: ChainRecipe, endpoints: Endpoints, faults: FaultSink) -> ChainAdapter:
    return EvmAdapter(recipe, endpoints, faults)


KINDS: Mapping[str, AdapterFactory] = MappingProxyType({"evm": _evm})
"""What a node can follow. `simulated` chains need their scripts: add `chains.simulated.adapter.simulated(scripts)`."""


def open_adapter(
    recipe: ChainRecipe, endpoints: Endpoints, faults: FaultSink, kinds: Mapping[str, AdapterFactory] = KINDS
) -> ChainAdapter:
    """The adapter for `recipe`, to be entered with `async with`. Raises ConfigError for a kind that nobody knows."""
    factory = kinds.get(recipe.kind)
    if factory is None:
        raise ConfigError("No adapter for this kind of chain", kind=recipe.kind, known=", ".join(sorted(kinds)))
    return factory(recipe, endpoints, faults)
