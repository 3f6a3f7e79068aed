"""Drives one consensus core: sockets, disk, clock and application on one side, the pure core on the other.

Owns the ports that it needs, and their order: one task runs the core and carries out its effects, and whatever the
core wants to be written is durable before anything that rests on it is sent. Must not know any rule of the protocol.

    async with ConsensusRuntime(config, me, signer, ports, installed=…) as runtime:
        …                                   # the transport calls runtime.receive(sender, raw) as messages come in
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, assert_never

from chains.errors import HypothecError, LimitError, PeerError
from chains.types import Hash32
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.core import Core
from node.consensus.protocol.effects import (
    Attributed,
    Broadcast,
    CatchUp,
    Committed,
    DeriveOutcome,
    Effect,
    EpochEntered,
    EvidenceFound,
    PeerFault,
    Persist,
    RequestObservation,
    Send,
    SetTimer,
)
from node.consensus.protocol.events import (
    Event,
    Installed,
    MessageReceived,
    ObservationReady,
    OutcomeReady,
    OutcomeRefused,
    QueryChanged,
    Start,
    TimerFired,
    TimerName,
)
from node.consensus.protocol.journal import JournalState, Record
from node.consensus.protocol.messages import NONCE_BYTES
from node.consensus.protocol.notary import Signer
from node.consensus.protocol.statements import Evidence
from node.model.certificate import CommitCertificate, verify_certificate

_WAITING_MESSAGES_A_PEER = 256
_EVENTS_A_BATCH = 32
_NANOSECONDS = 1e9


class Journal(Protocol):
    """Where the consensus records are kept. Losing it silences the node; forging it makes the node sign twice."""

    async def load(self) -> JournalState:
        """`JournalState.replay` of the records, in an intact journal.

        `JournalState.empty()` for one that was made with the network and never written to; `missing()` if there
        is none, or it was imported or restored.
        """
        ...

    async def append(self, records: Sequence[Record]) -> None:
        """Return when all would survive a loss of power. The latest record of each `key` is the one that counts."""
        ...


class Transport(Protocol):
    """To the peers. Neither call waits: queues are bounded, drop their oldest, and count what they dropped."""

    def send(self, to: int, raw: bytes) -> None: ...

    def broadcast(self, raw: bytes) -> None: ...


class Application(Protocol):
    """What is agreed on. Apart from `committed`, every call may take its time, and may be cancelled.

    A HypothecError from `observe`, `derive` or `catch_up` is reported to the monitor, and the network goes on without
    this node's part; any other exception stops the runtime.
    """

    def validate(self, seq: int, observer: int, payload: bytes) -> None:
        """Raise a HypothecError for an observation that no honest node would make. Pure; every honest node agrees."""
        ...

    async def observe(self, seq: int, query: bytes) -> bytes:
        """This node's inputs for `seq`, whose predecessor was committed or installed."""
        ...

    async def derive(self, seq: int, observations: Attributed) -> Hash32:
        """The digest of the outcome of `seq`; the same on every honest node.

        Several candidates of one `seq` may be asked for, also at once; keep them until one is committed.
        """
        ...

    async def committed(self, committed: Committed) -> None:
        """Install the outcome that `derive` gave.

        Called in order, and again after a crash that came before it was installed. Consensus waits for it: be quick.
        """
        ...

    async def catch_up(self, certificate: CommitCertificate, holders: Sequence[int]) -> CommitCertificate:
        """Fetch the outcome that `certificate` certifies, or a later one, from the holders or others.

        Check it, install it, and return the certificate of what was installed. Called again while there is need.
        """
        ...


class Clock(Protocol):
    """Monotonic time."""

    def now(self) -> int:
        """Nanoseconds since some instant."""
        ...


class Monitor(Protocol):
    """Who counts and keeps what consensus notices. None of the calls waits."""

    def peer_fault(self, peer: int, error: PeerError) -> None:
        """A peer's message was refused."""
        ...

    def evidence(self, evidence: Evidence) -> None:
        """A peer equivocated: keep it, it is good for third parties."""
        ...

    def epoch_entered(self, epoch: int, leader: int) -> None: ...

    def round_done(self, seq: int, nanoseconds: int) -> None:
        """From hearing of the round's start to its commit, on this node."""
        ...

    def dropped(self, peer: int) -> None:
        """A waiting message of this peer was dropped: it sends faster than this node works."""
        ...

    def application_failed(self, doing: str, error: HypothecError) -> None:
        """The application could not do its part."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What a runtime is connected to."""

    journal: Journal
    transport: Transport
    application: Application
    clock: Clock
    monitor: Monitor


class ConsensusRuntime:
    """One node's consensus, running for as long as its `async with`.

    `installed` is the highest sequence number whose outcome the application holds. An error that is nobody's to handle
    (a failing journal, a SlotConflict, a bug) cancels the body and is raised from the `async with`, in an
    ExceptionGroup.
    """

    def __init__(self, config: ConsensusConfig, me: int, signer: Signer, ports: Ports, *, installed: int) -> None:
        self._config = config
        self._me = me
        self._signer = signer
        self._ports = ports
        self._start = Start(installed, secrets.token_bytes(NONCE_BYTES))
        self._core: Core | None = None
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._timers: dict[TimerName, asyncio.TimerHandle] = {}
        self._own: deque[Event] = deque()
        self._waiting: dict[int, deque[bytes]] = {
            peer: deque(maxlen=_WAITING_MESSAGES_A_PEER) for peer in range(config.n) if peer != me
        }
        self._something = asyncio.Event()
        self._catching_up = False
        self._wanted: CatchUp | None = None
        self._round_began: tuple[int, int] = (0, 0)

    async def __aenter__(self) -> Self:
        state = await self._ports.journal.load()
        self._core = Core(self._config, self._me, self._signer, state, self._ports.application.validate)
        await self._tasks.__aenter__()
        self._spawn(self._run(self._core))
        self._post(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(kind, error, trace)

    @property
    def core(self) -> Core:
        """For looking only."""
        if self._core is None:
            raise HypothecError("enter the runtime before looking at its core")
        return self._core

    def receive(self, sender: int, raw: bytes) -> None:
        """A message from a peer that the transport authenticated. Never waits; a full queue loses its oldest.

        Raises HypothecError for a sender that is no peer of this network.
        """
        waiting = self._waiting.get(sender)
        if waiting is None:
            raise HypothecError("authenticate a peer of the network", sender=sender, nodes=self._config.n)
        if len(waiting) == _WAITING_MESSAGES_A_PEER:
            self._ports.monitor.dropped(sender)
        waiting.append(raw)
        self._something.set()

    def set_query(self, query: bytes) -> None:
        """The query of the rounds that this node leads from now on. Raises LimitError."""
        if len(query) > self._config.limits.max_query:
            raise LimitError("keep the query within its bound", length=len(query), bound=self._config.limits.max_query)
        self._post(QueryChanged(query))

    # === the owner of the core ===

    async def _run(self, core: Core) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while batch := self._next_batch():
                now = self._ports.clock.now()
                effects = [effect for event in batch for effect in core.handle(event, now)]
                await self._carry_out(effects)
                await asyncio.sleep(0)  # the transport, and whoever else shares the loop, get their turn

    def _next_batch(self) -> list[Event]:
        """Own events first, then one message of each peer in turn, so that nobody can crowd out the others."""
        batch: list[Event] = []
        while self._own and len(batch) < _EVENTS_A_BATCH:
            batch.append(self._own.popleft())
        pending = True
        while pending and len(batch) < _EVENTS_A_BATCH:
            pending = False
            for sender, waiting in self._waiting.items():
                if waiting:
                    batch.append(MessageReceived(sender, waiting.popleft()))
                    pending = True
        return batch

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        """One durable write for all that the batch wants written, then the rest in order.

        Writing earlier than the order of the list asks for is always allowed; sending earlier never is.
        """
        records = [record for effect in effects if isinstance(effect, Persist) for record in effect.records]
        if records:
            await self._ports.journal.append(records)
        for effect in effects:
            if isinstance(effect, Committed):
                await self._ports.application.committed(effect)
                self._report_round(effect.seq)
            else:
                self._execute(effect)

    def _execute(self, effect: Effect) -> None:
        ports = self._ports
        match effect:
            case Send(to, raw):
                ports.transport.send(to, raw)
            case Broadcast(raw):
                ports.transport.broadcast(raw)
            case SetTimer(name, at):
                self._set_timer(name, at)
            case RequestObservation():
                self._round_began = (effect.seq, ports.clock.now())
                self._spawn(self._observe(effect))
            case DeriveOutcome():
                self._spawn(self._derive(effect))
            case CatchUp():
                self._wanted = effect
                if not self._catching_up:
                    self._catching_up = True
                    self._spawn(self._catch_up())
            case EvidenceFound() | PeerFault() | EpochEntered():
                self._tell(effect)
            case Persist() | Committed():
                pass  # done by _carry_out
            case _:
                assert_never(effect)

    def _tell(self, effect: EvidenceFound | PeerFault | EpochEntered) -> None:
        monitor = self._ports.monitor
        match effect:
            case EvidenceFound(evidence):
                monitor.evidence(evidence)
            case PeerFault(peer, error):
                monitor.peer_fault(peer, error)
            case EpochEntered(epoch, leader):
                monitor.epoch_entered(epoch, leader)

    def _set_timer(self, name: TimerName, at: int) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        delay = max(0, at - self._ports.clock.now()) / _NANOSECONDS
        self._timers[name] = asyncio.get_running_loop().call_later(delay, self._fire, name, at)

    def _fire(self, name: TimerName, at: int) -> None:
        if self._ports.clock.now() < at:  # the loop's clock is not ours; early would be taken for stale
            self._set_timer(name, at)
        else:
            self._post(TimerFired(name))

    def _report_round(self, seq: int) -> None:
        began_seq, began = self._round_began
        if began_seq == seq:
            self._ports.monitor.round_done(seq, self._ports.clock.now() - began)

    # === the application's slow calls; each comes back as an event ===

    async def _observe(self, ask: RequestObservation) -> None:
        try:
            payload = await self._ports.application.observe(ask.seq, ask.query)
            bound = self._config.limits.max_observation
            if len(payload) > bound:
                raise LimitError("keep the observation within its bound", length=len(payload), bound=bound)
        except HypothecError as error:
            self._ports.monitor.application_failed("observe", error)
        else:
            self._post(ObservationReady(ask.epoch, ask.seq, payload))

    async def _derive(self, ask: DeriveOutcome) -> None:
        try:
            outcome = await self._ports.application.derive(ask.seq, ask.observations)
        except HypothecError as error:
            self._ports.monitor.application_failed("derive", error)
            self._post(OutcomeRefused(ask.epoch, ask.seq, ask.proposal_digest, error.reason))
        else:
            self._post(OutcomeReady(ask.epoch, ask.seq, ask.proposal_digest, outcome))

    async def _catch_up(self) -> None:
        """One at a time, each for the latest that is wanted."""
        config = self._config
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, None
                try:
                    got = await self._ports.application.catch_up(wanted.certificate, wanted.holders)
                    verify_certificate(got, config.config_digest, config.keys, config.f)
                except HypothecError as error:
                    self._ports.monitor.application_failed("catch up", error)
                else:
                    self._post(Installed(got))
        finally:
            self._catching_up = False

    # === tasks and events ===

    def _post(self, event: Event) -> None:
        self._own.append(event)
        self._something.set()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
