"""Many cores, one seed, no real clock: a virtual network and virtual disks that do their worst.

Owns time, the network's faults, crashes and restarts, and a toy application whose outcome is a hash chain. Checks the
safety properties at every step and raises `Violation` at the first that fails.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nacl.signing import SigningKey

from chains.errors import InputError
from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.consensus.protocol.config import MILLISECOND, SECOND, ConsensusConfig, Limits, Timing
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
    Start,
    TimerFired,
)
from node.consensus.protocol.journal import JournalState, decode_record, encode_record
from node.consensus.protocol.messages import Message, decode_message
from node.consensus.protocol.statements import SLOT_KINDS, Evidence, Kind, Slot, verify_evidence
from node.model.certificate import CommitCertificate, verify_certificate

CONFIG_DIGEST = Hash32(keccak(b"simulated network"))
GENESIS = Hash32(keccak(b"genesis"))

FAST = Timing(
    delta_progress=1 * SECOND,
    delta_round=50 * MILLISECOND,
    delta_grace=10 * MILLISECOND,
    delta_initial=500 * MILLISECOND,
    delta_resend=250 * MILLISECOND,
    r_max=20,
)


class Violation(AssertionError):
    """A property that must always hold did not."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network and the machines do to the nodes. Probabilities are per message or per batch of effects."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay_ms: tuple[float, float] = (0.5, 3.0)
    straggle: float = 0.0
    """Chance of a delay of up to 400 ms more, which reorders."""
    crash: float = 0.0
    partition: float = 0.0
    """Chance, each half second, of a split for up to two seconds."""
    refuse: float = 0.0
    """Chance that the application refuses to derive, or never answers."""
    starve: float = 0.0
    """Chance that the commits of an epoch and sequence number reach one node only, which is then unheard for a while.

    It decides what the others have only prepared, and cannot tell them.
    """


CALM = Weather()


class Key:
    """A signer for the core."""

    def __init__(self, index: int) -> None:
        self._key = SigningKey(keccak(b"node %d" % index))
        self.public = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


KEYS = [Key(index) for index in range(31)]


def make_config(n: int, f: int, timing: Timing = FAST) -> ConsensusConfig:
    keys = tuple(key.public for key in KEYS[:n])
    return ConsensusConfig(CONFIG_DIGEST, keys, f, Limits(max_observation=256, max_query=64), timing)


def is_valid(seq: int, payload: bytes) -> bool:
    return payload[:10] == b"ok" + seq.to_bytes(8, "big")


def validate(seq: int, observer: int, payload: bytes) -> None:
    if not is_valid(seq, payload):
        raise InputError("observe the round that was asked for", seq=seq, observer=observer)


def outcome_of(previous: Hash32, seq: int, observations: Attributed) -> Hash32:
    parts = b"".join(bytes([observer]) + keccak(payload) for observer, payload in observations)
    return keccak(previous + seq.to_bytes(8, "big") + parts)


@dataclass
class Disk:
    """What survives a crash: the journal by key, and the application's installed states with their certificates."""

    records: dict[str, bytes] = field(default_factory=dict)
    states: dict[int, Hash32] = field(default_factory=lambda: {0: GENESIS})
    certificates: dict[int, CommitCertificate] = field(default_factory=dict)
    lost: bool = False

    @property
    def installed(self) -> int:
        return max(self.states)

    def load(self, config: ConsensusConfig) -> JournalState:
        if self.lost:
            return JournalState.missing()
        return JournalState.replay(decode_record(raw, config) for raw in self.records.values())


class SimNode:
    """An honest node. Subclasses misbehave by overriding `transmit`."""

    honest = True

    def __init__(self, world: World, me: int) -> None:
        self.world = world
        self.me = me
        self.disk = Disk()
        self.alive = False
        self.life = 0
        self.core: Core
        self.epochs: list[int] = []
        self.faults: dict[str, int] = {}
        self.evidence: list[Evidence] = []

    def make_core(self) -> Core:
        world = self.world
        return Core(world.config, self.me, KEYS[self.me], self.disk.load(world.config), validate)

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.core = self.make_core()
        if self.disk.lost:
            self.disk.lost = False
            self.disk.records.clear()
        self.handle(Start(self.disk.installed, self.world.random.randbytes(16)))

    def crash(self) -> None:
        self.alive = False

    def handle(self, event: Event) -> None:
        if self.alive:
            self.carry_out(self.core.handle(event, self.world.now))

    def handle_in(self, life: int, event: Event) -> None:
        """What was asked for in an earlier life is of no interest."""
        if life == self.life:
            self.handle(event)

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """In order; a crash may come between any two."""
        world = self.world
        doomed = len(effects) > 1 and self.honest and world.chance(world.weather.crash)
        last = world.random.randrange(len(effects)) if doomed else len(effects)
        for effect in effects[:last]:
            self.execute(effect)
        if doomed:
            self.crash()
            world.later(world.random.uniform(50, 1500), self.start)

    def execute(self, effect: Effect) -> None:
        world, life = self.world, self.life
        match effect:
            case Persist(records):
                for record in records:
                    self.persist(record.key, encode_record(record))
            case Send(to, raw):
                self.transmit(raw, [to])
            case Broadcast(raw):
                self.transmit(raw, [node for node in range(world.config.n) if node != self.me])
            case SetTimer(name, at):
                world.at(at, lambda: self.handle_in(life, TimerFired(name)))
            case RequestObservation(epoch, seq, _):
                payload = b"ok" + seq.to_bytes(8, "big") + world.random.randbytes(8)
                answer = ObservationReady(epoch, seq, payload)
                world.later(world.random.uniform(0.1, 2), lambda: self.handle_in(life, answer))
            case DeriveOutcome():
                self.derive(effect)
            case Committed():
                self.commit(effect)
            case CatchUp(certificate, holders):
                world.check_decided(self, certificate)
                self.catch_up(certificate, holders)
            case EvidenceFound() | PeerFault() | EpochEntered():
                self.notice(effect)

    def commit(self, committed: Committed) -> None:
        self.world.check_committed(self, committed)
        seq = committed.seq
        if committed.outcome != outcome_of(self.disk.states[seq - 1], seq, committed.observations):
            raise Violation(f"node {self.me} committed at {seq} what does not derive from the observations")
        self.install(seq, committed.outcome, committed.certificate)

    def notice(self, effect: EvidenceFound | PeerFault | EpochEntered) -> None:
        match effect:
            case EvidenceFound(evidence):
                verify_evidence(self.world.config, Evidence.decode(evidence.encode()))
                if self.world.nodes[evidence.signer].honest:
                    raise Violation(f"evidence against the honest node {evidence.signer}: {evidence}")
                self.evidence.append(evidence)
            case PeerFault(_, error):
                self.faults[error.reason] = self.faults.get(error.reason, 0) + 1
            case EpochEntered(epoch, _):
                self.epochs.append(epoch)

    def persist(self, key: str, data: bytes) -> None:
        self.disk.records[key] = data

    def install(self, seq: int, outcome: Hash32, certificate: CommitCertificate) -> None:
        self.disk.states[seq] = outcome
        self.disk.certificates[seq] = certificate

    def derive(self, ask: DeriveOutcome) -> None:
        world, life = self.world, self.life
        previous = self.disk.states.get(ask.seq - 1)
        if previous is None:
            raise Violation(f"node {self.me} was asked to derive {ask.seq} without the state before it")
        answer: Event
        if world.chance(world.weather.refuse):
            if world.chance(0.3):
                return
            answer = OutcomeRefused(ask.epoch, ask.seq, ask.proposal_digest, "an input is missing")
        else:
            outcome = outcome_of(previous, ask.seq, ask.observations)
            answer = OutcomeReady(ask.epoch, ask.seq, ask.proposal_digest, outcome)
        world.later(world.random.uniform(0.1, 4), lambda: self.handle_in(life, answer))

    def catch_up(self, wanted: CommitCertificate, holders: tuple[int, ...]) -> None:
        world, life = self.world, self.life

        def fetch() -> None:
            if self.life != life or not self.alive:
                return
            holder = world.nodes[world.random.choice(holders)]
            seq = holder.disk.installed
            if not holder.alive or not holder.honest or seq < wanted.seq:
                return
            certificate = holder.disk.certificates[seq]
            verify_certificate(certificate, CONFIG_DIGEST, world.config.keys, world.config.f)
            if seq > self.disk.installed:
                self.install(seq, holder.disk.states[seq], certificate)
            self.handle(Installed(certificate))

        world.later(world.random.uniform(5, 40), fetch)

    def transmit(self, raw: bytes, to: list[int]) -> None:
        self.world.check_sent(self, raw)
        for receiver in to:
            self.world.carry(self.me, receiver, raw)


class World:
    """`n` nodes, of which those in `byzantine` (index → class) misbehave, under a weather that may change."""

    def __init__(
        self,
        seed: int,
        n: int = 4,
        f: int = 1,
        *,
        weather: Weather = CALM,
        byzantine: dict[int, type[SimNode]] | None = None,
        node_class: type[SimNode] = SimNode,
        timing: Timing = FAST,
    ) -> None:
        self.random = random.Random(seed)
        self.config = make_config(n, f, timing)
        self.weather = weather
        self.now = 0
        self.decided: dict[int, Hash32] = {}
        self.signed: dict[tuple[int, Slot], bytes] = {}
        self.sent: dict[bytes, Message] = {}
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._sides: list[int] | None = None
        self._lucky: dict[bytes, int | None] = {}
        self._unheard: dict[int, int] = {}
        classes = byzantine or {}
        self.nodes: list[SimNode] = [classes.get(me, node_class)(self, me) for me in range(n)]
        for node in self.nodes:
            self.later(self.random.uniform(0, 20), node.start)
        self.later(500, self._partition)

    @property
    def honest(self) -> list[SimNode]:
        return [node for node in self.nodes if node.honest]

    # === time ===

    def at(self, when: int, action: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, action))

    def later(self, milliseconds: float, action: Callable[[], object]) -> None:
        self.at(self.now + int(milliseconds * MILLISECOND), action)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Whether `until` came true within so many virtual seconds (without it: True)."""
        end = self.now + int(seconds * SECOND)
        while self._queue and self._queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self._queue)
            action()
            if until is not None and until():
                return True
        self.now = end
        return until is None

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    # === network ===

    def carry(self, sender: int, receiver: int, raw: bytes) -> None:
        weather = self.weather
        if self._sides is not None and self._sides[sender] != self._sides[receiver]:
            return
        if self.chance(weather.drop) or (weather.starve and self._starves(sender, receiver, raw)):
            return
        for _ in range(2 if self.chance(weather.duplicate) else 1):
            delay = self.random.uniform(*weather.delay_ms)
            if self.chance(weather.straggle):
                delay += self.random.uniform(0, 400)
            self.later(delay, lambda: self.nodes[receiver].handle(MessageReceived(sender, raw)))

    def _starves(self, sender: int, receiver: int, raw: bytes) -> bool:
        is_commit, slot = raw[1:2] == bytes([Kind.COMMIT]), raw[2:18]
        if is_commit and slot not in self._lucky:
            self._lucky[slot] = None
            if self.chance(self.weather.starve):
                lucky = self._lucky[slot] = self.random.choice(self.honest).me
                self._unheard[lucky] = self.now + 1500 * MILLISECOND
        if is_commit and self._lucky[slot] is not None:
            return receiver != self._lucky[slot]
        return self._unheard.get(sender, 0) > self.now

    def _partition(self) -> None:
        if self._sides is None and self.chance(self.weather.partition):
            self._sides = [self.random.randrange(2) for _ in self.nodes]
            self.later(self.random.uniform(200, 2000), self._heal)
        self.later(500, self._partition)

    def _heal(self) -> None:
        self._sides = None

    # === properties ===

    def check_sent(self, node: SimNode, raw: bytes) -> None:
        """No honest node ever signs two different things for one slot, across its restarts."""
        if not node.honest or raw in self.sent:
            return
        message = self.sent[raw] = decode_message(raw, self.config)
        statement = message.statement
        if statement.kind not in SLOT_KINDS:
            return
        first = self.signed.setdefault((node.me, statement.slot), statement.digest)
        if first != statement.digest:
            raise Violation(f"node {node.me} signed twice in {statement.slot}")

    def check_decided(self, node: SimNode, certificate: CommitCertificate) -> None:
        """Agreement: one outcome a sequence number, among honest nodes."""
        verify_certificate(certificate, CONFIG_DIGEST, self.config.keys, self.config.f)
        first = self.decided.setdefault(certificate.seq, certificate.outcome_digest)
        if first != certificate.outcome_digest:
            raise Violation(f"node {node.me} holds another outcome at {certificate.seq}")

    def check_committed(self, node: SimNode, committed: Committed) -> None:
        """Validity: what is committed derives from at least 2f+1 valid observations of different nodes."""
        if not node.honest:
            return
        if committed.outcome != committed.certificate.outcome_digest or committed.seq != committed.certificate.seq:
            raise Violation(f"node {node.me} committed something else than was certified at {committed.seq}")
        self.check_decided(node, committed.certificate)
        observers = [observer for observer, _ in committed.observations]
        if len(set(observers)) < self.config.observation_quorum or observers != sorted(set(observers)):
            raise Violation(f"node {node.me} committed on the observations of {observers}")
        for observer, payload in committed.observations:
            if not is_valid(committed.seq, payload):
                raise Violation(f"node {node.me} committed on the invalid observation of {observer}")

    # === asking ===

    @property
    def floor(self) -> int:
        """What every honest node has installed."""
        return min(node.disk.installed for node in self.honest)

    @property
    def ceiling(self) -> int:
        """What some honest node has installed."""
        return max(node.disk.installed for node in self.honest)

    def settle(self, rounds: int, seconds: float) -> bool:
        """Make the weather calm; whether every honest node then gets `rounds` beyond the highest within `seconds`."""
        self.weather = CALM
        self._heal()
        goal = self.ceiling + rounds
        return self.run(seconds, lambda: self.floor >= goal)
