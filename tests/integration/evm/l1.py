"""An L1 with the contracts of a rollup whose chain is another anvil, and what follows it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from web3.contract import Contract

from chains.adapter import Rollup
from chains.evm.contracts import Artifact, build, parse_artifact
from chains.evm.endpoint import Endpoint, endpoint_names, open_session
from chains.evm.finality import FinalitySource
from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool
from chains.evm.rollup.settlement import SettlementFollower
from chains.proofs.header import Header, verify_header
from chains.proofs.keccak import keccak
from chains.proofs.output_root import Output, told_storage_root
from chains.proofs.rollup.layout import (
    BOLD,
    GAME_LIST,
    GAMES,
    IMPLEMENTATION,
    NODES,
    ORACLES,
    REGISTRIES,
    AssertionsRecipe,
    GamesRecipe,
    NodesRecipe,
    OracleRecipe,
    PinnedContract,
    RollupRecipe,
)
from chains.types import ChainId, EndpointFault, Hash32, ProxyRecipe
from tests.integration.contracts.harness import Chain, events
from tests.integration.evm.harness import FINALITY, raw_address
from tests.tools import anvil

L1_ID, L2_ID = ChainId(900), ChainId(901)
TYPE, SUPER_TYPE, OTHER_TYPE = 8, 9, 255
DELAY = 3600
SEAL = b"\7" * 32
_GAME_ARGUMENTS = bytes(32) + bytes(60) + (901).to_bytes(32, "big")


@cache
def compiled() -> Mapping[str, Artifact]:
    source = Path(__file__).with_name("rollups.sol").read_text(encoding="utf-8")
    built = build.compile_sources({"rollups.sol": source})
    return {name: parse_artifact(json.dumps(raw)) for name, raw in built.items()}


@contextmanager
def running(chain_id: ChainId, *arguments: str) -> Iterator[tuple[str, Chain]]:
    """An anvil whose final block is two behind its head."""
    with asyncio.Runner() as runner:
        process = anvil(chain_id, "--slots-in-an-epoch", "1", *arguments)
        url = runner.run(process.__aenter__())
        try:
            yield url, Chain.at(url)
        finally:
            runner.run(process.__aexit__(None, None, None))


@dataclass
class Layers:
    """A rollup `l2` and its contracts on `l1`; blocks are mined by hand, and clocks are those of the blocks."""

    l1_url: str
    l1: Chain
    l2_url: str
    l2: Chain
    registry: Contract = field(init=False)
    factory: Contract = field(init=False)
    oracle: Contract = field(init=False)
    arbitrum: Contract = field(init=False)
    classic: Contract = field(init=False)
    super_game: Contract = field(init=False)
    pins: dict[str, PinnedContract] = field(default_factory=dict)
    games: dict[str, Contract] = field(default_factory=dict)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.registry = self._behind_proxy("Registry")
        self.factory = self._behind_proxy("GameFactory")
        self.oracle = self._plain("OutputOracle")
        self.arbitrum = self._behind_proxy("ArbitrumRollup")
        self.l1.send(self.arbitrum.functions.begin())
        self.classic = self._behind_proxy("ClassicRollup")
        self.l1.send(self.registry.functions.respect(TYPE))
        for game_type in (TYPE, OTHER_TYPE):
            game = self.l1.deploy(compiled()["DisputeGame"], game_type, self.registry.address)
            self.games[str(game_type)] = game
            self.l1.send(self.factory.functions.setImplementation(game_type, game.address, _GAME_ARGUMENTS))
        self.super_game = self.l1.deploy(compiled()["SuperGame"], SUPER_TYPE, self.registry.address)
        self.l1.send(self.factory.functions.setImplementation(SUPER_TYPE, self.super_game.address, bytes(124)))
        self.l2.rpc("anvil_mine", hex(20))
        self.settle()

    @property
    def by_games(self) -> RollupRecipe:
        admitted = {raw_address(game): GAMES["fault-2"] for game in self.games.values()}
        admitted[raw_address(self.super_game)] = GAMES["super-fault"]
        factory, registry = self.pins["GameFactory"], self.pins["Registry"]
        return GamesRecipe(factory, GAME_LIST, registry, REGISTRIES["anchor-state-registry"], admitted, DELAY)

    @property
    def by_oracle(self) -> RollupRecipe:
        return OracleRecipe(self.pins["OutputOracle"], ORACLES["stored"], DELAY)

    @property
    def by_assertions(self) -> RollupRecipe:
        return AssertionsRecipe(self.pins["ArbitrumRollup"], BOLD)

    @property
    def by_nodes(self) -> RollupRecipe:
        return NodesRecipe(self.pins["ClassicRollup"], NODES)

    # === Hands ===

    def header(self, height: int) -> Header:
        return verify_header(dict(self.l2.rpc("eth_getBlockByNumber", hex(height), False)))

    def root(self, height: int) -> Hash32:
        """The output root of a block of the rollup, after Isthmus."""
        header = self.header(height)
        storage_root = told_storage_root(header)
        assert storage_root is not None
        return Output(header.state_root, storage_root, header.hash).root()

    def play(self, height: int, root: bytes | None = None, game_type: int = TYPE) -> Contract:
        """Post a game, which says the truth unless a root is given."""
        return self._create(game_type, root if root is not None else self.root(height), height.to_bytes(32, "big"))

    def play_of_several(self, time: int, root: bytes) -> Contract:
        """Post a game of a super root, in which this chain has this output root."""
        parts = ((7, keccak(b"another chain's")), (L2_ID, root))
        preimage = b"\1" + time.to_bytes(8, "big") + b"".join(chain.to_bytes(32, "big") + part for chain, part in parts)
        return self._create(SUPER_TYPE, keccak(preimage), SUPER_TYPE.to_bytes(4, "big") + preimage)

    def _create(self, game_type: int, claim: bytes, extra: bytes) -> Contract:
        receipt = self.l1.send(self.factory.functions.create(game_type, claim, extra))
        (event,) = events(self.factory.events.DisputeGameCreated(), receipt)
        game: Contract = self.l1.web3.eth.contract(
            address=event["args"]["disputeProxy"], abi=compiled()["DisputeGame"].abi
        )
        return game

    def assert_block(self, block_hash: bytes, parent: bytes | None = None) -> Hash32:
        """Make an assertion that ends in this block, on the confirmed one or another; its name."""
        on = self.arbitrum.functions.latestConfirmed().call() if parent is None else parent
        receipt = self.l1.send(self.arbitrum.functions.create(on, block_hash, keccak(b"sends")))
        (event,) = events(self.arbitrum.events.AssertionCreated(), receipt)
        return Hash32(bytes(event["args"]["assertionHash"]))

    def resolve(self, game: Contract, *, defended: bool = True) -> None:
        self.l1.send(game.functions.resolve(defended))

    def pass_delay(self) -> None:
        """Let so much time go by, on both chains, that what is resolved counts."""
        for chain in (self.l1, self.l2):
            chain.pass_to(max(self.l1.now(), self.l2.now()) + DELAY + 10)
        self.settle()

    def settle(self) -> None:
        """Mine until all that happened is final, on both chains."""
        for chain in (self.l1, self.l2):
            chain.rpc("anvil_mine", hex(FINALITY))
        self.look_again()

    def look_again(self) -> None:
        """Let enough time pass for new heads to be looked for."""
        self.now += 1.0

    # === What follows ===

    @asynccontextmanager
    async def following(
        self,
        recipe: RollupRecipe,
        *,
        l1_urls: tuple[str, ...] | None = None,
        l2_urls: tuple[str, ...] | None = None,
        faults: list[EndpointFault] | None = None,
        state: Path | None = None,
    ) -> AsyncIterator[SettlementFollower]:
        sink = faults if faults is not None else []
        rollup = Rollup(L1_ID, l1_urls or (self.l1_url,), 1, recipe, state=state, seal=SEAL)
        async with open_session() as session:

            def side(chain_id: ChainId, urls: tuple[str, ...]) -> tuple[EndpointPool, TrustedHeads]:
                names = endpoint_names(urls)
                ends = [Endpoint(session, url, name) for url, name in zip(urls, names, strict=True)]
                pool = EndpointPool(chain_id, ends, sink.append, self._clock)
                return pool, TrustedHeads(chain_id, pool, len(ends) // 2 + 1, self._clock)

            pool, heads = side(L1_ID, rollup.urls)
            l1 = FinalitySource(L1_ID, pool, lambda: heads, sink.append, self._clock).heads()
            l2 = side(ChainId(self.l2.chain_id), l2_urls or (self.l2_url,))
            yield SettlementFollower(ChainId(self.l2.chain_id), rollup, (pool, l1), l2, sink.append)

    def _clock(self) -> float:
        return self.now  # it stands still, so that endpoints are asked in the order that they are given in

    # === Deployment ===

    def _plain(self, name: str) -> Contract:
        contract = self.l1.deploy(compiled()[name])
        self.pins[name] = PinnedContract(raw_address(contract), self._code_hash(contract))
        return contract

    def _behind_proxy(self, name: str) -> Contract:
        logic = self.l1.deploy(compiled()[name])
        proxy = self.l1.deploy(compiled()["Proxy"], logic.address)
        behind = ProxyRecipe(IMPLEMENTATION, raw_address(logic), self._code_hash(logic))
        self.pins[name] = PinnedContract(raw_address(proxy), self._code_hash(proxy), (behind,))
        return self.l1.web3.eth.contract(address=proxy.address, abi=compiled()[name].abi)

    def _code_hash(self, contract: Contract) -> Hash32:
        return keccak(bytes(self.l1.web3.eth.get_code(contract.address)))
