"""The contract between the node and a chain. A new chain is one folder that implements it and one registry entry.

Raw endpoint data never crosses this line: what comes out has been verified to the assurance that it states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from chains.errors import HypothecError
from chains.proofs.lightclient.config import BeaconConfig
from chains.proofs.output_root import RollupFinality
from chains.proofs.rollup.layout import RollupRecipe
from chains.types import (
    Address,
    Assurance,
    ChainDelta,
    ChainId,
    ChainRecipe,
    Checkpoint,
    Cut,
    Disagreement,
    EndpointFault,
    EndpointStanding,
    FreeBalances,
    Hash32,
    Height,
    Quote,
)

FaultSink = Callable[[EndpointFault], None]
"""Called at once, from the adapter's task, for every endpoint that is caught lying, lagging or failing."""


@dataclass(frozen=True, slots=True)
class Beacon:
    """Where a light client asks, and all that it trusts: the network's constants and one block.

    `checkpoint` is the root of a recent finalized beacon block that the operator knows to be true. What is verified
    beyond it is kept in the file `state`, under a code that only the holder of the secret `seal` can make. A final
    block older than `max_age` seconds counts as behind.
    """

    urls: tuple[str, ...]
    network: BeaconConfig
    checkpoint: Hash32
    state: Path
    seal: bytes = field(repr=False)
    max_age: int = 2400


@dataclass(frozen=True, slots=True)
class Terms:
    """How one endpoint is used: HTTP requests a second at most, and its weight among those that answer as fast."""

    per_second: float = math.inf
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rollup:
    """Where the L1 of a rollup is asked, and which contracts there settle the rollup.

    `l1` is the open adapter that follows the L1 itself, if this node has one: its light client then says what is final
    there, and without `urls` its endpoints are asked as well. Otherwise `quorum` of `urls` must agree on the L1's final
    block. `silence`: seconds by which the rollup's newest final block may be older than the L1's before the sequencer
    counts as halted. L1 is looked at every `every` seconds. What no endpoint may serve any more when it is needed, is
    kept in the file `state`, under a code that only the holder of the secret `seal` can make.
    """

    chain_id: ChainId
    urls: tuple[str, ...]
    quorum: int
    contracts: RollupRecipe
    silence: int = 3600
    every: float = 60.0
    l1: ChainAdapter | None = None
    state: Path | None = None
    seal: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """A block of a rollup that L1 holds a claim about, how final that is, and which claim it is.

    `tied`: whether a cut that values were proven at descends from it, by parent hashes.
    """

    height: Height
    block_hash: Hash32
    finality: RollupFinality
    claim: str
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """What L1 has settled of a rollup as of its block `l1_height`; above that, there is the sequencer's word alone.

    How the L1's block is known is how all of this is: `l1_assurance`. `passed` is the newest block whose claim has
    passed its challenge, and `proposed` the newest that is claimed at all, None where there is none. `refused` says of
    claims since then why they do not count. `silent` is by how many seconds the rollup's newest final block is older
    than the L1's; too many, and the sequencer `halted`.
    """

    l1_height: Height
    l1_assurance: Assurance
    passed: Settled | None
    proposed: Settled | None
    refused: tuple[str, ...]
    silent: int
    halted: bool

    def above(self, height: Height) -> Settled | None:
        """What of the two says most about the rollup's block at `height`; None if there is the sequencer's word alone.

        The block is settled with it if that descends from it, as all of a rollup's final blocks do from each other.
        """
        both = (self.passed, self.proposed)
        return next((each for each in both if each is not None and height <= each.height), None)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a node asks about one chain: `urls`, of which `quorum` must agree on a final block that is not proven.

    `terms` by URL, for those that have any.
    """

    urls: tuple[str, ...]
    quorum: int = 2
    beacon: Beacon | None = None
    terms: Mapping[str, Terms] = field(default_factory=dict)
    rollup: Rollup | None = None


class DisputedError(HypothecError):
    """The chain is no longer what the recipe or the last cut says: code changed, or it forked below finality.

    No endpoint is to blame and trying again does not help: the chain becomes `DISPUTED` until policy or operators act.
    """

    reason = "DISPUTED"
    status = "FAILED_PRECONDITION"


class ChainAdapter(Protocol):
    """Verified view of one chain. Used by one task at a time; a lifetime is one `async with`."""

    @property
    def chain_id(self) -> ChainId: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def admit(self, recipe: ChainRecipe) -> None:
        """Follow `recipe` from now on (a policy was activated)."""

    async def final_cuts(self, after: Height, limit: int) -> tuple[Cut, ...]:
        """The newest final blocks above `after` whose height is a multiple of the recipe's stride, ascending.

        At most `limit` of them, none below the recipe's `from_height`.
        Empty when nothing new is final. Each is trusted as the adapter's assurance says.
        Raises RetryError when too few endpoints answer, QuorumError when they disagree.
        """

    async def delta(self, since: Checkpoint | None, to: Cut) -> ChainDelta:
        """Every change of the vault's books and links after `since` (None: from the vault's first block) up to `to`.

        With what there is of every token of the recipe at `to`; one that is another contract by now is disputed in it.

        Complete and proven, or it raises: RetryError (try later), ProofError (every endpoint failed verification),
        DisputedError (the recipe no longer holds: code changed, or the chain forked below `since`).
        """

    async def free_balances(self, cut: Cut, wallets: Sequence[Address]) -> Mapping[Address, FreeBalances]:
        """What each of `wallets` itself holds at `cut` of the recipe's free tokens, known as well as the delta to it.

        It depends on the cut, the wallets and the recipe alone. Raises as `delta`.
        """

    async def quotes(self) -> tuple[Quote, ...]:
        """The verified quote of each feed of the recipe at the newest final block that is trusted.

        Feeds that cannot be verified now, or hold no usable quote, are left out; the sink hears which and why.
        Raises as `final_cuts`.
        """

    def standings(self) -> tuple[EndpointStanding, ...]:
        """How each endpoint stands now, in the order of configuration. Asks nobody."""

    def disagreements(self) -> tuple[Disagreement, ...]:
        """The newest times that endpoints differed on a final block, oldest first; a bounded number. Asks nobody."""


@runtime_checkable
class Settles(Protocol):
    """What the adapter of a rollup may be beside a `ChainAdapter`."""

    @property
    def settlement(self) -> Settlement | None:
        """What L1 has settled, by the last look at it; None before the first, and for a chain that is no rollup."""


AdapterFactory = Callable[[ChainRecipe, Endpoints, FaultSink], ChainAdapter]
"""Makes an adapter that is not open yet: `async with` opens it. Raises ConfigError."""
