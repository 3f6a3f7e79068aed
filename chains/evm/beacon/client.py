"""What the light client of one chain believes, and how it keeps up with the beacon chain.

Owns the order of the protocol's steps: begin at the kept store or the checkpoint, learn the committee of each period up
to now, then the newest updates, once a slot. Every update is verified as it comes in, and only then held, whoever
served it; an endpoint whose update does not hold is reported, and the next one is asked. Must not know what its final
block is good for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chains.adapter import Beacon, FaultSink
from chains.errors import HypothecError, ProofError, ProofIncomplete, RetryError, StaleError
from chains.evm.beacon import questions
from chains.evm.beacon.errors import CheckpointTooOld, LowParticipation, NoFinality
from chains.evm.beacon.kept import StateFile
from chains.evm.endpoint import Endpoint, endpoint_names
from chains.evm.errors import StaleHead, fault_reason
from chains.evm.pool import EndpointPool
from chains.proofs.lightclient import store as rules
from chains.proofs.lightclient.config import Slot
from chains.proofs.lightclient.containers import Update
from chains.proofs.lightclient.store import MAX_CHECKPOINT_AGE, Store
from chains.types import ChainId, EndpointFault, Hash32, Height, UnixSeconds

NAME = "light client"
"""What faults call it that no endpoint is to blame for."""

_LAG_EPOCHS = 2
_DAY = 24 * 3600


def node_names(urls: Sequence[str]) -> list[str]:
    """What faults call the beacon nodes at `urls`. Raises ConfigError as `endpoint_names`."""
    return [f"beacon {name}" for name in endpoint_names(urls)]


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """The execution block that a finalized beacon block names, proven; its `number` is not told from Gloas on.

    `time` is when the beacon block's slot began.
    """

    hash: Hash32
    number: Height | None
    time: UnixSeconds


class LightClient:
    """The sync-committee light client of one chain. `run` is its one task; `now` gives seconds since 1970."""

    def __init__(
        self, chain_id: ChainId, beacon: Beacon, pool: EndpointPool, faults: FaultSink, now: Callable[[], float]
    ) -> None:
        self._chain_id = chain_id
        self._config = beacon.network
        self._checkpoint = beacon.checkpoint
        self._file = StateFile(beacon)
        self._pool = pool
        self._faults = faults
        self._now = now
        self._store: Store | None = None
        self._kept: Store | None = None
        self._final: FinalBlock | None = None
        self._too_old: CheckpointTooOld | None = None
        self._told = ""
        self._looked = asyncio.Event()

    @property
    def final(self) -> FinalBlock | None:
        """The newest final block that is proven; None before there is any."""
        return self._final

    @property
    def store(self) -> Store | None:
        """All that is believed; None before anything is."""
        return self._store

    async def looked(self) -> None:
        """Wait until it has looked once, successfully or not."""
        await self._looked.wait()

    async def run(self) -> None:
        """Look once a slot, for ever. Errors end nothing, whatever they are: without a light client there is a quorum.

        What endpoints answer goes through much code, and what breaks it must not cost the node.
        """
        while True:
            try:
                await self.look()
                self._told = ""
            except (RetryError, ProofError):
                pass  # the pool has told whose it is
            except Exception as error:  # noqa: BLE001 - see above
                self._tell(error)
            await asyncio.sleep(self._config.seconds_per_slot)

    async def look(self) -> None:
        """Begin if nothing is held yet, and catch up with the beacon chain as far as endpoints let it.

        Raises CheckpointTooOld or StateNotKept; and what no endpoint let begin, as the pool does.
        """
        try:
            if self._store is None or self._age(self._store) > MAX_CHECKPOINT_AGE:
                self._hold(await self._begin())
            await self._learn_committees()
            await self._learn_newest()
            await self._keep()
        finally:
            self._looked.set()

    # === Beginning ===

    async def _begin(self) -> Store:
        if self._too_old is not None:
            raise self._too_old
        try:
            kept = await asyncio.to_thread(self._file.load, self._unix())
        except (ProofError, StaleError) as error:
            self._tell(error)
        else:
            if kept is not None:
                self._kept = kept
                return kept
        begun = await self._pool.ask(self._bootstrap)
        if (age := self._age(begun)) > MAX_CHECKPOINT_AGE:
            self._too_old = CheckpointTooOld(
                f"The checkpoint is {age / _DAY:.1f} days old, and more than {MAX_CHECKPOINT_AGE / _DAY:.0f} are not"
                " safe: name the root of a newer finalized beacon block, from a source that you trust",
                checkpoint=self._checkpoint,
                age=age,
                bound=MAX_CHECKPOINT_AGE,
            )
            raise self._too_old
        return begun

    async def _bootstrap(self, endpoint: Endpoint) -> Store:
        served = await questions.bootstrap(endpoint, self._checkpoint)
        # How old the checkpoint is, is no endpoint's fault: its age is looked at by the caller.
        return rules.bootstrap(self._config, self._checkpoint, served, self._config.time(served.header.beacon.slot))

    # === Catching up ===

    async def _learn_committees(self) -> None:
        """Every committee up to the one that signs now."""
        while self._unknown_periods():
            before = self._store
            try:
                await self._pool.ask(self._take_updates, (NoFinality,))
            except NoFinality as error:
                self._tell(error)
                return
            except (RetryError, ProofError):
                return  # the pool has told why; for the newest updates, what is known may do
            if self._store is before:
                return  # the update of a period that is not over may be yet to come

    def _unknown_periods(self) -> range:
        """The periods whose updates are wanted: of each, it tells who signs in the next one."""
        held = self._held()
        period, current = self._config.period(held.finalized.beacon.slot), self._current_period()
        return range(period, current + 1) if held.next is None else range(period + 1, current)

    async def _take_updates(self, endpoint: Endpoint) -> None:
        wanted, before = self._unknown_periods(), self._held()
        updates = await questions.updates(endpoint, wanted.start, min(len(wanted), questions.UPDATES_A_REQUEST))
        for update in updates:
            self._take(update)
            await asyncio.sleep(0)  # a committee's keys take tens of milliseconds; let others have a turn
        held = self._held()
        if (held.finalized, held.next) != (before.finalized, before.next) or wanted.start >= self._current_period():
            return
        if any(self._leaves_open(update, wanted.start) for update in updates):
            raise NoFinality(
                "Nothing became final in a whole period, and its next committee is not known for certain; if it stays"
                " so, name the root of a newer finalized beacon block as the checkpoint",
                period=wanted.start,
            )
        raise StaleHead(f"{endpoint.name} has no update for a period that is over", period=wanted.start)

    def _leaves_open(self, update: Update, period: int) -> bool:
        """Whether an update that holds is of `period`, and calls nothing of it final."""
        final = update.finalized_header
        of_period = self._config.period(update.attested_header.beacon.slot) == period
        return of_period and (final is None or self._config.period(final.beacon.slot) < period)

    async def _learn_newest(self) -> None:
        good, aside = self._pool.ranked()
        told = await self._pool.ask_all(good or aside, self._take_newest)
        lowest = self._held().finalized.beacon.slot - _LAG_EPOCHS * self._config.slots_per_epoch
        for endpoint, slot in told.items():
            if slot < lowest:
                self._pool.report(endpoint, StaleHead(f"{endpoint.name} stays behind", final=slot, expected=lowest))

    async def _take_newest(self, endpoint: Endpoint) -> Slot:
        """Take what `endpoint` has; the slot that it calls final."""
        finality = await questions.finality_update(endpoint)
        self._take(finality)
        self._take(await questions.optimistic_update(endpoint))
        return finality.finalized_header.beacon.slot if finality.finalized_header is not None else Slot(0)

    def _take(self, update: Update) -> None:
        """Hold what `update` proves, if it brings anything. Raises LowParticipation, or ProofError if it does not hold.

        Nothing is said of one that is known already, or whose committee is to be learned first.
        """
        participants = update.sync_aggregate.participants()
        if participants * 3 < self._config.committee_size * 2:
            raise LowParticipation(
                "Under two thirds of the committee signed", participants=participants, slot=update.signature_slot
            )
        held = self._held()
        try:
            taken = rules.apply(self._config, held, update, self._unix())
        except (StaleError, ProofIncomplete):
            return
        if taken != held:
            self._hold(taken)

    # === What is held ===

    def _held(self) -> Store:
        assert self._store is not None  # noqa: S101 - nothing is asked before it has begun
        return self._store

    def _hold(self, store: Store) -> None:
        if self._store is None or store.finalized is not self._store.finalized:
            header = store.finalized
            block_hash = rules.execution_block_hash(self._config, header)
            number = None if header.execution is None else header.execution.block_number
            time = self._config.time(header.beacon.slot)
            self._final = None if block_hash is None else FinalBlock(block_hash, number, time)
        self._store = store

    async def _keep(self) -> None:
        """Write down what is new, but for the optimistic header: it is soon another one."""
        held, kept = self._held(), self._kept
        if kept is None or held.finalized is not kept.finalized or held.next is not kept.next:
            await asyncio.to_thread(self._file.save, held)
            self._kept = held

    def _age(self, store: Store) -> int:
        return self._unix() - self._config.time(store.finalized.beacon.slot)

    def _unix(self) -> UnixSeconds:
        return UnixSeconds(int(self._now()))

    def _current_period(self) -> int:
        elapsed = max(0, self._unix() - self._config.genesis_time)
        return self._config.period(Slot(elapsed // self._config.seconds_per_slot))

    def _tell(self, error: Exception) -> None:
        """Tell the sink, but not the same thing with every look."""
        reason = fault_reason(error) if isinstance(error, HypothecError) else HypothecError.reason
        if reason != self._told:
            self._told = reason
            self._faults(EndpointFault(self._chain_id, NAME, reason, str(error) or repr(error)))
