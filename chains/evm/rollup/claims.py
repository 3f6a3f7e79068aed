"""The claims about a rollup that stand on its L1, newest first: each proven under one trusted header of the L1.

Owns which questions that takes for each kind of rollup, and how far back it goes. Must not know the rollup itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool
from chains.evm.questions import SLOTS_A_CALL, Contract, codes, logs, proofs
from chains.proofs.eip1186 import VerifiedProof
from chains.proofs.header import Header
from chains.proofs.mpt import NodeStore
from chains.proofs.rollup import assertions, games, oracle
from chains.proofs.rollup.assertions import AssertedBlock
from chains.proofs.rollup.errors import ContractChanged, NotSettled
from chains.proofs.rollup.games import Game
from chains.proofs.rollup.layout import AssertionsRecipe, GamesRecipe, OracleRecipe, RollupRecipe
from chains.proofs.rollup.state import Claim, L1State, Needs
from chains.types import Address, Hash32

MAX_CLAIMS = 1_024
"""Claims that are looked at, from the newest on; anybody who pays for it can add some that do not count."""

CLAIMS_A_LOOK = 16
"""Claims that are proven together."""

NODES_KEPT = 4_096
CODES_KEPT = 1_024

Found = Claim | AssertedBlock | NotSettled
"""A claim that counts for something, or why one does not."""


class Claims:
    """The claims of one rollup on one L1, whose final headers `heads` gives."""

    def __init__(self, recipe: RollupRecipe, pool: EndpointPool, heads: TrustedHeads) -> None:
        self._recipe = recipe
        self._pool = pool
        self._heads = heads
        self._store = NodeStore(NODES_KEPT)
        self._codes: OrderedDict[Hash32, bytes] = OrderedDict()
        self._assertion: assertions.Assertion | None = None

    def at(self, header: Header) -> AsyncGenerator[Found, None]:
        """All claims at the L1's block `header`, newest first, at most MAX_CLAIMS. Of assertions, the confirmed one.

        Raises ContractChanged, a RetryError, or a ProofError if every endpoint lies.
        """
        recipe = self._recipe
        if isinstance(recipe, GamesRecipe):
            return self._games(recipe, header)
        if isinstance(recipe, OracleRecipe):
            return self._outputs(recipe, header)
        return self._confirmed(recipe, header)

    # === Games ===

    async def _games(self, recipe: GamesRecipe, header: Header) -> AsyncGenerator[Found, None]:
        count = games.game_count(recipe, await self._prove(header, games.list_needs(recipe)))
        for indices in newest_first(count):
            state = await self._prove(header, games.list_needs(recipe, *indices))
            listed = [games.listed_game(recipe, state, index) for index in indices]
            state = await self._prove(header, games.game_needs(recipe, *listed))
            known = await self._codes_of(header, state, listed)
            for game in listed:
                try:
                    found: Found = games.game_claim(recipe, state, game, known[game.address])
                except ContractChanged:
                    raise  # that is about all of them
                except NotSettled as error:
                    found = error
                yield found

    async def _codes_of(self, header: Header, state: L1State, listed: Sequence[Game]) -> dict[Address, bytes]:
        """The code of each game; a clone's never changes, so it is asked for once."""
        hashes = {game.address: state.code_hash(game.address) for game in listed}
        missing = {game: code_hash for game, code_hash in hashes.items() if code_hash not in self._codes}
        if missing:
            found = await self._pool.ask(partial(codes, header=header, contracts=missing))
            self._codes.update((missing[game], code) for game, code in found.items())
        known = {game: self._codes[code_hash] for game, code_hash in hashes.items()}
        while len(self._codes) > CODES_KEPT:
            self._codes.popitem(last=False)
        return known

    # === Oracle ===

    async def _outputs(self, recipe: OracleRecipe, header: Header) -> AsyncGenerator[Found, None]:
        count = oracle.output_count(recipe, await self._prove(header, oracle.oracle_needs(recipe)))
        for indices in newest_first(count):
            state = await self._prove(header, oracle.oracle_needs(recipe, *indices))
            for index in indices:
                yield oracle.output_claim(recipe, state, index)

    # === Assertions ===

    async def _confirmed(self, recipe: AssertionsRecipe, header: Header) -> AsyncGenerator[Found, None]:
        state = await self._prove(header, assertions.assertion_needs(recipe))
        newest = assertions.latest_confirmed(recipe, state)
        state = await self._prove(header, assertions.assertion_needs(recipe, newest))
        if self._assertion is None or self._assertion.hash() != newest:
            self._assertion = await self._preimage(recipe, state, newest)
        try:
            found: Found = assertions.asserted_block(recipe, state, self._assertion)
        except NotSettled as error:
            found = error
        yield found

    async def _preimage(self, recipe: AssertionsRecipe, state: L1State, wanted: Hash32) -> assertions.Assertion:
        """The preimage of an assertion's hash, from the logs of the block in which it was made."""
        (header,) = await self._heads.at([assertions.created_block(recipe, state, wanted)])
        (emitted,) = await self._pool.ask(partial(logs, headers=(header,)))
        for log in emitted:
            if log.address == recipe.rollup.address and log.topics[:2] == (assertions.CREATED, wanted):
                return assertions.read_created(log, wanted)
        raise NotSettled(
            "The L1 block that the rollup names did not make the assertion", assertion=wanted, height=header.number
        )

    # === Proofs ===

    async def _prove(self, header: Header, needs: Needs) -> L1State:
        proven: dict[Address, VerifiedProof] = {}
        contracts = [Contract(contract, tuple(sorted(slots))) for contract, slots in needs.items()]
        for contract in contracts:
            assert len(contract.slots) <= SLOTS_A_CALL  # noqa: S101 - 16 claims are at most 33 slots of one contract
        answers = await self._pool.ask(partial(proofs, header=header, contracts=contracts, store=self._store))
        for contract, answer in zip(contracts, answers, strict=True):
            proven[contract.address] = VerifiedProof(contract.address, answer.account, answer.slots)
        return L1State(header.number, header.timestamp, proven)


def newest_first(count: int) -> list[range]:
    """The indices of a list of `count` claims, in runs that are proven together."""
    lowest = max(0, count - MAX_CLAIMS)
    return [
        range(top, max(lowest - 1, top - CLAIMS_A_LOOK), -1) for top in range(count - 1, lowest - 1, -CLAIMS_A_LOOK)
    ]
