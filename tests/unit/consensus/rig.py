"""One core by hand: the test plays the peers, signs for them, and looks at the effects."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.consensus.protocol.certified import Prepared, rank_of
from node.consensus.protocol.config import ConsensusConfig
from node.consensus.protocol.core import Core
from node.consensus.protocol.effects import Broadcast, Effect, PeerFault, Persist, Send
from node.consensus.protocol.events import Event, MessageReceived, Start
from node.consensus.protocol.journal import JournalState, Record
from node.consensus.protocol.messages import (
    Commit,
    EpochStart,
    EpochStartRequest,
    Message,
    NewEpochWish,
    Observation,
    RankProof,
    RoundStart,
    decode_message,
    encode_message,
)
from node.consensus.protocol.proposal import Proposal, SignedObservation, prepare_statement
from node.model.certificate import CommitCertificate
from tests.simulation.world import CONFIG_DIGEST, KEYS, make_config, validate

_M = TypeVar("_M", bound=Message)
_E = TypeVar("_E", bound=Effect)

QUERY = b"what is the state of things"
NONCE = bytes(16)


def sign(node: int, message: _M) -> _M:
    return replace(message, signature=KEYS[node].sign(message.statement.to_sign(CONFIG_DIGEST)))


def commit_certificate(epoch: int, seq: int, outcome: Hash32, nodes: tuple[int, ...] = (0, 1, 2)) -> CommitCertificate:
    signatures = {node: sign(node, Commit(epoch, seq, outcome)).signature for node in nodes}
    return CommitCertificate.assemble(CONFIG_DIGEST, epoch, seq, outcome, signatures, len(nodes))


def payload_for(seq: int, extra: bytes = b"") -> bytes:
    return b"ok" + seq.to_bytes(8, "big") + extra


def observation(node: int, epoch: int, seq: int, payload: bytes | None = None) -> Observation:
    chosen = payload_for(seq, bytes([node])) if payload is None else payload
    return sign(node, Observation(epoch, seq, keccak(QUERY), chosen))


def proposal(leader: int, epoch: int, seq: int, observations: list[Observation], observers: list[int]) -> Proposal:
    signed = [
        SignedObservation(observer, each.payload, each.signature)
        for observer, each in zip(observers, observations, strict=True)
    ]
    return sign(leader, Proposal(epoch, seq, keccak(QUERY), tuple(signed)))


def good_proposal(leader: int, epoch: int, seq: int, observers: tuple[int, ...] = (0, 1, 2)) -> Proposal:
    return proposal(leader, epoch, seq, [observation(o, epoch, seq) for o in observers], list(observers))


def prepared_of(made: Proposal, epoch: int, outcome: Hash32, parent: CommitCertificate | None) -> Prepared:
    said = prepare_statement(epoch, made.seq, made.statement.digest, outcome).to_sign(CONFIG_DIGEST)
    return Prepared.assemble(epoch, outcome, {node: KEYS[node].sign(said) for node in (0, 1, 2)}, made, parent)


def epoch_start(leader: int, epoch: int, highest: CommitCertificate | Prepared | None = None) -> EpochStart:
    requests = {node: sign(node, EpochStartRequest(epoch, highest)) for node in (0, 1, 2)}
    proofs = tuple(RankProof(node, rank_of(each.highest), each.signature) for node, each in requests.items())
    return sign(leader, EpochStart(epoch, proofs, highest))


class Rig:
    """Node `me` of four, with the test in the place of everything around it."""

    def __init__(self, me: int | None = None, state: JournalState | None = None, *, lead: bool = False) -> None:
        self.config: ConsensusConfig = make_config(4, 1)
        self.leader = self.config.leader(1)
        if me is None:
            me = self.leader if lead else (self.leader + 1) % 4
        self.me = me
        self.peers = [node for node in range(4) if node != me]
        self.now = 0
        self.core = Core(self.config, me, KEYS[me], state or JournalState.empty(), validate)
        self.effects: list[Effect] = []
        self.journal: list[Record] = []

    def handle(self, event: Event, after: int = 0) -> list[Effect]:
        self.now += after
        self.effects = self.core.handle(event, self.now)
        for effect in self.effects:
            if isinstance(effect, Persist):
                self.journal.extend(effect.records)
        return self.effects

    def hear(self, sender: int, message: Message) -> list[Effect]:
        return self.handle(MessageReceived(sender, encode_message(message)))

    def start(self, installed: int = 0) -> Rig:
        self.handle(Start(installed, NONCE))
        return self

    def enter(self, epoch: int = 1) -> Rig:
        for peer in self.peers:
            self.hear(peer, sign(peer, NewEpochWish(epoch)))
        assert self.core.epoch == epoch
        return self

    def opened(self) -> Rig:
        """A follower in the first epoch, of which the leader has proved that it builds on nothing."""
        self.start().enter()
        self.hear(self.leader, epoch_start(self.leader, 1))
        return self

    def round_started(self, seq: int = 1) -> Rig:
        self.opened()
        self.hear(self.leader, sign(self.leader, RoundStart(1, seq, None, QUERY)))
        return self

    def found(self, kind: type[_E]) -> list[_E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def said(self) -> list[Message]:
        """The messages among the last effects."""
        raws = [effect.raw for effect in self.effects if isinstance(effect, Send | Broadcast)]
        return [decode_message(raw, self.config) for raw in raws]

    def reasons(self) -> list[tuple[int, str]]:
        return [(effect.peer, effect.error.reason) for effect in self.found(PeerFault)]
