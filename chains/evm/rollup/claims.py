"""The claims about a rollup that stand on its L1, newest first: each proven under one trusted header of the L1.

Owns which questions that takes for each kind of rollup, and how far back it goes. Must not know the rollup itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

from chains.errors import HypothecError, RetryError
from chains.evm.endpoint import Endpoint
from chains.evm.errors import MissingLog
from chains.evm.finality import FinalHeads
from chains.evm.pool import EndpointPool
from chains.evm.questions import SLOTS_A_CALL, Contract, codes, headers_at, logs, proofs
from chains.evm.rollup.captured import Captures
from chains.proofs.eip1186 import VerifiedProof
from chains.proofs.header import Header
from chains.proofs.mpt import NodeStore
from chains.proofs.receipts import Log
from chains.proofs.rollup import assertions, games, nodes, oracle
from chains.proofs.rollup.assertions import AssertedBlock
from chains.proofs.rollup.errors import ContractChanged, NoSuchClaim, NotSettled, Unproven
from chains.proofs.rollup.games import Game
from chains.proofs.rollup.layout import AssertionsRecipe, GamesRecipe, NodesRecipe, OracleRecipe, RollupRecipe
from chains.proofs.rollup.state import Claim, L1State, Needs
from chains.proofs.slots import uint_word
from chains.types import Address, ChainId, Hash32, Height

MAX_CLAIMS = 1_024
"""Claims that are looked at, from the newest on; anybody who pays for it can add some that do not count."""

CLAIMS_A_LOOK = 16
"""Claims that are proven together."""

CHILDREN_A_LOOK = 64
"""Assertions that are added, at one look, to the line that follows on the confirmed one."""

_PRUNED = (RetryError,)
"""What endpoints are not blamed for when they are asked for the receipts of days ago: they need not keep them."""

NODES_KEPT = 4_096
CODES_KEPT = 1_024

Found = Claim | AssertedBlock | NotSettled
"""A claim that counts for something, or why one does not."""


class Claims:
    """The claims of one rollup on one L1, whose endpoints are `pool` and whose final headers `heads` gives."""

    def __init__(
        self, chain_id: ChainId, recipe: RollupRecipe, pool: EndpointPool, heads: FinalHeads, captures: Captures
    ) -> None:
        self._chain_id = chain_id
        self._recipe = recipe
        self._pool = pool
        self._heads = heads
        self._captures = captures
        self._store = NodeStore(NODES_KEPT)
        self._codes: OrderedDict[Hash32, bytes] = OrderedDict()

    def at(self, header: Header) -> AsyncGenerator[Found, None]:
        """All claims at the L1's final block `header`, newest first, at most MAX_CLAIMS.

        Of assertions, the line of first ones that follows on the confirmed one, and that.
        Raises ContractChanged, a RetryError, or a ProofError if every endpoint lies.
        """
        recipe = self._recipe
        if isinstance(recipe, GamesRecipe):
            return self._games(recipe, header)
        if isinstance(recipe, OracleRecipe):
            return self._outputs(recipe, header)
        if isinstance(recipe, AssertionsRecipe):
            return self._assertions(recipe, header)
        return self._nodes(recipe, header)

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
                    found: Found = games.game_claim(recipe, state, game, known[game.address], self._chain_id)
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

    async def _assertions(self, recipe: AssertionsRecipe, header: Header) -> AsyncGenerator[Found, None]:
        state = await self._prove(header, assertions.assertion_needs(recipe))
        line = [assertions.latest_confirmed(recipe, state)]
        try:
            await self._extend(recipe, header, line)
        except (NotSettled, RetryError) as error:  # that one does not need those that wait
            yield _unproven("what follows on an assertion", error)
        for run in newest_first(len(line)):
            names = [line[at] for at in run]
            state = await self._prove(header, assertions.assertion_needs(recipe, *names))
            for name in names:
                try:
                    assertion = await self._preimage(recipe, state, name)
                    found: Found = assertions.asserted_block(recipe, state, assertion)
                except NotSettled as error:
                    found = error
                except RetryError as error:
                    found = _unproven(f"assertion 0x{name.hex()}", error)
                yield found

    async def _extend(self, recipe: AssertionsRecipe, header: Header, line: list[Hash32]) -> None:
        """Add to `line` the first assertion that follows on its last one, the first that follows on that, and so on."""
        known = {log.topics[2]: log.topics[1] for log in reversed(self._captures.events())}
        while (child := known.get(line[-1])) is not None and len(line) < MAX_CLAIMS:
            line.append(child)
        for _ in range(CHILDREN_A_LOOK):
            parent = line[-1]
            state = await self._prove(header, assertions.assertion_needs(recipe, parent))
            try:
                height = assertions.first_child_block(recipe, state, parent)
            except NotSettled:  # the rollup's owner can undo those that wait
                self._captures.forget_event(parent)
                del line[1:]
                return
            if height is None or len(line) == MAX_CLAIMS:
                return
            line.append(await self._first_child(recipe, height, parent))

    async def _first_child(self, recipe: AssertionsRecipe, height: Height, parent: Hash32) -> Hash32:
        """Capture the first assertion that follows on `parent`, which was made in this L1 block; its name."""
        (header,) = await self._heads.at([height])
        (emitted,) = await self._pool.ask(partial(logs, headers=(header,)), _PRUNED)
        for log in emitted:
            if log.address == recipe.rollup.address and log.topics[::2] == (assertions.CREATED, parent):
                name = assertions.read_created(log).hash()
                self._captures.add_event(name, log)
                return name
        raise NoSuchClaim("The L1 block that the rollup names made no assertion", parent=parent, height=height)

    async def _preimage(self, recipe: AssertionsRecipe, state: L1State, name: Hash32) -> assertions.Assertion:
        height, topics = assertions.created_block(recipe, state, name), (assertions.CREATED, name)
        log = await self._event(name, recipe.rollup.address, height, topics, assertions.read_created)
        return assertions.read_created(log)

    # === Nodes ===

    async def _nodes(self, recipe: NodesRecipe, header: Header) -> AsyncGenerator[Found, None]:
        confirmed, waiting = nodes.standing(recipe, await self._prove(header, nodes.node_needs(recipe)))
        numbers = [*waiting[: MAX_CLAIMS - 1], confirmed]
        for start in range(0, len(numbers), CLAIMS_A_LOOK):
            run = numbers[start : start + CLAIMS_A_LOOK]
            state = await self._prove(header, nodes.node_needs(recipe, *run))
            for number in run:
                try:
                    data = nodes.confirm_data(recipe, state, number)
                    height, topics = nodes.created_block(recipe, state, number), (nodes.CREATED, uint_word(number))
                    read = partial(nodes.read_created, wanted=data)
                    log = await self._event(data, recipe.rollup.address, height, topics, read)
                    found: Found = nodes.node_block(recipe, state, number, log)
                except NotSettled as error:
                    found = error
                except RetryError as error:
                    found = _unproven(f"node {number}", error)
                yield found

    # === Events ===

    async def _event(
        self,
        name: Hash32,
        contract: Address,
        height: Height,
        topics: tuple[Hash32, ...],
        check: Callable[[Log], object],
    ) -> Log:
        """The event with these first topics that a contract emitted at `height`, captured under the hash `name`.

        Storage that is proven says that there is one, and `check` raises a ProofError unless it tells what the hash
        binds. So one honest endpoint is enough, whatever block the others have at that height.
        """

        async def emitted(endpoint: Endpoint) -> Log:
            (header,) = await headers_at(endpoint, [height])
            (found,) = await logs(endpoint, (header,))
            for log in found:
                if log.address == contract and log.topics[: len(topics)] == topics:
                    check(log)
                    return log
            raise MissingLog(f"{endpoint.name} lacks an event of what L1 says was made in the block", height=height)

        if (known := self._captures.event(name)) is not None:
            return known
        log = await self._pool.ask(emitted, _PRUNED)
        self._captures.add_event(name, log)
        return log

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


def _unproven(claim: str, error: HypothecError) -> Unproven:
    return Unproven("No endpoint of the L1 tells what was claimed", claim=claim, cause=error.reason)


def newest_first(count: int) -> list[range]:
    """The indices of a list of `count` claims, in runs that are proven together."""
    lowest = max(0, count - MAX_CLAIMS)
    return [
        range(top, max(lowest - 1, top - CLAIMS_A_LOOK), -1) for top in range(count - 1, lowest - 1, -CLAIMS_A_LOOK)
    ]
