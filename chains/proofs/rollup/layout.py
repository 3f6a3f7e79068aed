"""Where rollups' L1 contracts keep what a settlement depends on: recipes, by kind of contract and version.

Owns the layouts as data, with the snapshots of storage that the contracts' own repositories keep as their sources:
ethereum-optimism/optimism `packages/contracts-bedrock/snapshots/storageLayout` and OffchainLabs/nitro-contracts
`test/storage`, each at the commit that is named. Must not know what the words found there mean.

A layout is only right for the code that it was taken from. So a recipe pins each contract's code, and that of the
implementations behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from chains.proofs.slots import uint_word
from chains.types import Address, Hash32, ProxyRecipe, WordRecipe

IMPLEMENTATION: Final = Hash32(bytes.fromhex("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"))
"""EIP-1967: the slot in which a proxy names its implementation."""

SECOND_IMPLEMENTATION: Final = Hash32(bytes.fromhex("2b1dbce74324248c222f0ec2d5ed7bd323cfc425b336f0253c5ccfda7265546d"))
"""Where Arbitrum's rollup proxy names the logic for everybody but its admin."""


@dataclass(frozen=True, slots=True)
class PinnedContract:
    """A contract on L1 that has this code, and, where it is a proxy, these implementations behind it."""

    address: Address
    code_hash: Hash32
    proxies: tuple[ProxyRecipe, ...] = ()


# === OP stack ===


@dataclass(frozen=True, slots=True)
class RegistryLayout:
    """The guardian's say over games: in the AnchorStateRegistry, or before that in OptimismPortal2."""

    blacklist: Hash32
    """mapping(address game => bool)"""
    respected_type: WordRecipe
    retired_until: WordRecipe
    """Games that were made up to this time, in Unix seconds, do not count."""


@dataclass(frozen=True, slots=True)
class GameLayout:
    """A dispute game: what is in its storage, and what in the arguments that a clone has in its code.

    `arguments` is how many bytes those are; the claimed root is 32 bytes at `root_at`, the number of the rollup's block
    32 at `height_at`. `was_respected` is set by games that note whether their type was respected when they were made.

    Where `super_root_at` is set, the claimed root is that of several chains at one time, a super root, and its preimage
    begins there. How long that is, its hash tells; what else there is, is the factory's.
    """

    created_at: WordRecipe
    resolved_at: WordRecipe
    status: WordRecipe
    was_respected: WordRecipe | None
    arguments: int | None
    root_at: int
    height_at: int | None
    super_root_at: int | None = None


@dataclass(frozen=True, slots=True)
class GamesRecipe:
    """An OP-stack chain whose outputs are proposed by dispute games.

    `games` admits implementations by address: they are no proxies, so that their code cannot change. `delay`: seconds
    from a game's resolution until it counts (`DISPUTE_GAME_FINALITY_DELAY_SECONDS`, which is part of the code).
    """

    factory: PinnedContract
    game_list: Hash32
    """GameId[]: type, time and address of each game in one word."""
    registry: PinnedContract
    registry_layout: RegistryLayout
    games: Mapping[Address, GameLayout]
    delay: int


@dataclass(frozen=True, slots=True)
class OracleLayout:
    """An L2OutputOracle: a list of two words each, the root, and then its time below the block's number."""

    outputs: Hash32
    finalization_period: WordRecipe | None
    """Where it says how many seconds an output can be deleted for; None where that is part of its code."""


@dataclass(frozen=True, slots=True)
class OracleRecipe:
    """An OP-stack chain whose outputs are proposed to an oracle. They count after `delay` seconds at least."""

    oracle: PinnedContract
    layout: OracleLayout
    delay: int


# === Arbitrum ===


@dataclass(frozen=True, slots=True)
class AssertionsLayout:
    """BoLD: assertions by their hash. `status`, `created_block` and `first_child` are relative to the struct."""

    latest_confirmed: WordRecipe
    assertions: Hash32
    status: WordRecipe
    created_block: WordRecipe
    first_child: WordRecipe
    """The L1 block in which the first assertion that follows on it was made, 0 as long as there is none."""


@dataclass(frozen=True, slots=True)
class NodesLayout:
    """Before BoLD: nodes by their number. `confirm_data` and `created_block` are relative to the struct."""

    latest_confirmed: WordRecipe
    first_unresolved: WordRecipe
    latest_created: WordRecipe
    nodes: Hash32
    confirm_data: WordRecipe
    created_block: WordRecipe


@dataclass(frozen=True, slots=True)
class AssertionsRecipe:
    """An Arbitrum chain with BoLD."""

    rollup: PinnedContract
    layout: AssertionsLayout


@dataclass(frozen=True, slots=True)
class NodesRecipe:
    """An Arbitrum chain before BoLD, which its owners may adopt or not; Arbitrum One and Nova did in February 2025."""

    rollup: PinnedContract
    layout: NodesLayout


RollupRecipe = GamesRecipe | OracleRecipe | AssertionsRecipe | NodesRecipe


def _at(slot: int, offset: int = 0, size: int = 32) -> WordRecipe:
    return WordRecipe(uint_word(slot), offset, size)


GAME_LIST: Final = uint_word(104)
"""`_disputeGameList` of DisputeGameFactory 1.x (DisputeGameFactory.json at 4e422bd9; `gameArgs` came after it)."""

REGISTRIES: Final[Mapping[str, RegistryLayout]] = MappingProxyType(
    {
        # OptimismPortal2 3.x, of op-contracts 1.4 to 3 (OptimismPortal2.json at 01f37413)
        "portal2": RegistryLayout(uint_word(58), _at(59, 0, 4), _at(59, 4, 8)),
        # AnchorStateRegistry 3.x, from op-contracts 4 on (AnchorStateRegistry.json at 0973cabb)
        "anchor-state-registry": RegistryLayout(uint_word(5), _at(6, 0, 4), _at(6, 4, 8)),
    }
)

# FaultDisputeGame.json at 0d221da6, and FaultDisputeGameV2.json at e86e6be8, which notes what was respected.
_CREATED, _RESOLVED, _STATUS = _at(0, 0, 8), _at(0, 8, 8), _at(0, 16, 1)

GAMES: Final[Mapping[str, GameLayout]] = MappingProxyType(
    {
        # creator (20), root claim, L1 head, number of the block
        "fault-1.0": GameLayout(_CREATED, _RESOLVED, _STATUS, None, 116, 20, 84),
        # the same, which notes what was respected
        "fault-1.4": GameLayout(_CREATED, _RESOLVED, _STATUS, _at(10, 0, 1), 116, 20, 84),
        # and then what was part of the code before: prestate, VM (20), registry (20), WETH (20), chain id
        "fault-2": GameLayout(_CREATED, _RESOLVED, _STATUS, _at(10, 0, 1), 240, 20, 84),
        # with the game's type (4) before the number
        "fault-2-typed": GameLayout(_CREATED, _RESOLVED, _STATUS, _at(10, 0, 1), 244, 20, 88),
        # OPSuccinctFaultDisputeGame 2.0 (succinctlabs/op-succinct), with the index of the parent (4) after the number
        "succinct": GameLayout(_CREATED, _RESOLVED, _STATUS, _at(9, 0, 1), 120, 20, 84),
        # SuperFaultDisputeGame.json at 949cc5a7; creator, root, L1 head, type, and then the super root's preimage
        "super-fault": GameLayout(_CREATED, _RESOLVED, _STATUS, _at(9, 0, 1), None, 20, None, 88),
        # SuperPermissionedDisputeGame 1.0: it is resolved when it is made, and only the guardian can strike it out
        "super-permissioned": GameLayout(_CREATED, _RESOLVED, _STATUS, _at(0, 17, 1), None, 20, None, 88),
    }
)

ORACLES: Final[Mapping[str, OracleLayout]] = MappingProxyType(
    {
        # up to L2OutputOracle 1.6 (L2OutputOracle.json at 4e476e04)
        "immutable": OracleLayout(uint_word(3), None),
        # from 1.7 on (`src/L1/L2OutputOracle.sol` at 04b4b341)
        "stored": OracleLayout(uint_word(3), _at(8)),
    }
)

BOLD: Final = AssertionsLayout(_at(116), uint_word(117), _at(0, 25, 1), _at(0, 16, 8), _at(0, 0, 8))
"""RollupCore of nitro-contracts 3 (RollupCore at 0644331b; the struct is `AssertionNode` in `Assertion.sol`).

Of an L1: on a chain that is Arbitrum itself, the numbers of blocks in it are those of another chain. What comes after
it, with message extraction, hashes assertions in another way: its code is another, and no recipe for it is here.
"""

NODES: Final = NodesLayout(_at(117, 0, 8), _at(117, 8, 8), _at(117, 16, 8), uint_word(118), _at(2), _at(4, 24, 8))
"""RollupCore of nitro-contracts 1 and 2 (RollupCore at 32af3b5e; the struct is `Node` in `src/rollup/Node.sol`)."""
