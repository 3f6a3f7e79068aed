"""Nodes that misbehave: an honest core whose words are twisted on the way out, under the node's own key."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from chains.proofs.keccak import keccak
from chains.types import Hash32
from node.consensus.protocol.certified import rank_of
from node.consensus.protocol.core import Core
from node.consensus.protocol.epochs import Epochs
from node.consensus.protocol.events import Event, MessageReceived
from node.consensus.protocol.messages import (
    Commit,
    EpochStart,
    EpochStartRequest,
    Message,
    Observation,
    Prepare,
    RankProof,
    RoundStart,
    decode_message,
    encode_message,
)
from node.consensus.protocol.proposal import Proposal, SignedObservation, observation_statement
from node.consensus.protocol.statements import Kind
from tests.simulation.world import CONFIG_DIGEST, KEYS, SimNode, World, outcome_of

_M = TypeVar("_M", bound=Message)


class Byzantine(SimNode):
    """Does as `twist` says with each message: what is sent to whom."""

    honest = False

    def sign(self, message: _M) -> _M:
        return replace(message, signature=KEYS[self.me].sign(message.statement.to_sign(CONFIG_DIGEST)))

    def send(self, message: Message, to: list[int]) -> None:
        self.send_raw(encode_message(self.sign(message)), to)

    def send_raw(self, raw: bytes, to: list[int]) -> None:
        for receiver in to:
            self.world.carry(self.me, receiver, raw)

    def transmit(self, raw: bytes, to: list[int]) -> None:
        self.twist(decode_message(raw, self.world.config), raw, to)

    def twist(self, message: Message, raw: bytes, to: list[int]) -> None:
        self.send_raw(raw, to)


class Silent(Byzantine):
    """Says nothing at all."""

    def twist(self, message: Message, raw: bytes, to: list[int]) -> None:
        pass


class Garbage(Byzantine):
    """Says what it has to say, and rubbish around it."""

    def twist(self, message: Message, raw: bytes, to: list[int]) -> None:
        dice = self.world.random
        flipped = bytearray(raw)
        flipped[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        rubbish = [bytes(flipped), raw[: dice.randrange(len(raw))], raw + b"\0", dice.randbytes(dice.randrange(300))]
        self.send_raw(dice.choice(rubbish), to)
        if dice.random() < 0.1:
            self.send_raw(bytes(self.world.config.max_message + 1), to)
        self.send_raw(raw, to)


class Selective(Byzantine):
    """Tells only some: the classic way to have one node decide and the others not know."""

    def twist(self, message: Message, raw: bytes, to: list[int]) -> None:
        chosen = [receiver for receiver in to if self.world.random.random() < 0.5]
        self.send_raw(raw, chosen)


class Replayer(Byzantine):
    """Sends old messages again, its own and other nodes' under its own name."""

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.heard: list[bytes] = []

    def handle(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self.heard = [*self.heard[-200:], event.raw]
        super().handle(event)

    def twist(self, message: Message, raw: bytes, to: list[int]) -> None:
        self.send_raw(raw, to)
        self.heard = [*self.heard[-200:], raw]
        for _ in range(2):
            self.send_raw(self.world.random.choice(self.heard), to)


class TwoFaced(Byzantine):
    """Two different statements for every slot: one to one half, the other to the other half, sometimes both to all.

    It is thorough: it derives and votes for both of its proposals, each towards the half that got it.
    """

    both_to_all = 0.3

    def __init__(self, world: World, me: int) -> None:
        super().__init__(world, me)
        self.other_proposals: dict[Hash32, Proposal] = {}

    def sides(self, message: Message) -> list[int]:
        """The nodes of the second half; the same ones all through a sequence number."""
        seq = message.statement.seq
        return [node for node in range(self.world.config.n) if keccak(bytes([node]) + seq.to_bytes(8, "big"))[0] & 1]

    def twist(self, message: Message, raw: bytes, to: list[int]) -> None:
        other = self.variant(message)
        if other is None:
            self.send_raw(raw, to)
            return
        if self.world.chance(self.both_to_all):
            self.send_raw(raw, to)
            self.send(other, to)
            return
        second = self.sides(message)
        self.send_raw(raw, [node for node in to if node not in second])
        self.send(other, [node for node in to if node in second])

    def variant(self, message: Message) -> Message | None:
        match message:
            case RoundStart() if self.world.chance(0.1):  # more often, and it would never get to propose
                return replace(message, query=b"another")
            case Observation():
                return replace(message, payload=message.payload + b"!")
            case Proposal():
                return self.other_proposal(message)
            case Prepare():
                return self.other_prepare(message)
            case Commit():
                return replace(message, outcome=self.other_outcome(message.seq) or keccak(message.outcome))
            case _:
                return None

    def other_proposal(self, proposal: Proposal) -> Proposal:
        def other(each: SignedObservation) -> SignedObservation:
            if each.observer != self.me:
                return each
            payload = each.payload + b"!"
            said = observation_statement(proposal.epoch, proposal.seq, proposal.query_digest, payload)
            return SignedObservation(self.me, payload, KEYS[self.me].sign(said.to_sign(CONFIG_DIGEST)))

        observations = tuple(other(each) for each in proposal.observations)
        made = self.sign(replace(proposal, observations=observations))
        self.other_proposals[made.statement.digest] = made
        return made

    def other_prepare(self, prepare: Prepare) -> Prepare:
        for digest, made in self.other_proposals.items():
            outcome = self.other_outcome(prepare.seq)
            if made.seq == prepare.seq and outcome:
                return replace(prepare, proposal_digest=digest, outcome=outcome, leader_signature=made.signature)
        return replace(prepare, outcome=keccak(prepare.outcome))

    def other_outcome(self, seq: int) -> Hash32 | None:
        previous = self.disk.states.get(seq - 1)
        for made in self.other_proposals.values():
            if made.seq == seq and previous:
                return outcome_of(previous, seq, made.attributed)
        return None


class Stingy(Byzantine):
    """Observes nonsense; as a leader, proposes fewer observations than it must, or its own nonsense among them."""

    def twist(self, message: Message, raw: bytes, to: list[int]) -> None:
        match message:
            case Observation():
                self.send(replace(message, payload=b"nonsense"), to)
            case Proposal():
                self.send(self.poor_proposal(message), to)
            case _:
                self.send_raw(raw, to)

    def poor_proposal(self, proposal: Proposal) -> Proposal:
        if self.world.chance(0.5):
            return replace(proposal, observations=proposal.observations[: self.world.config.f])
        said = observation_statement(proposal.epoch, proposal.seq, proposal.query_digest, b"nonsense")
        own = SignedObservation(self.me, b"nonsense", KEYS[self.me].sign(said.to_sign(CONFIG_DIGEST)))
        others = [each for each in proposal.observations if each.observer != self.me]
        return replace(proposal, observations=tuple(sorted([own, *others], key=lambda each: each.observer)))


class LyingEpochs(Epochs):
    """Pretends to have seen nothing; as the leader, shows the lowest requests it can, or builds on nothing at all."""

    liar: EpochLiar

    def await_start(self) -> None:
        prepared, decided = self._desk.prepared, self._desk.decided
        self._desk.prepared = self._desk.decided = None
        super().await_start()
        self._desk.prepared, self._desk.decided = prepared, decided

    def start(self) -> bool:
        desk = self._desk
        if not desk.epoch or desk.leader != desk.me or desk.position.open:
            return False
        entries = desk.inbox.at(desk.slot(Kind.EPOCH_START_REQUEST)).items()
        requests = [(node, entry.message) for node, entry in entries if isinstance(entry.message, EpochStartRequest)]
        if desk.notary.at(desk.slot(Kind.EPOCH_START)) or len(requests) < desk.config.quorum:
            return False
        requests.sort(key=lambda request: rank_of(request[1].highest))
        shown = sorted(requests[: desk.config.quorum], key=lambda request: request[0])
        is_false = self.liar.world.chance(0.5)
        highest = None if is_false else max((message.highest for _, message in shown), key=rank_of)
        proofs = tuple(RankProof(node, rank_of(message.highest), message.signature) for node, message in shown)
        desk.say(EpochStart(desk.epoch, proofs, highest))
        return True

    def _verify(self, start: EpochStart) -> None:
        pass


class EpochLiar(Byzantine):
    """Lies about what came before each epoch, and is otherwise of good conduct."""

    def make_core(self) -> Core:
        core = super().make_core()
        honest = core._epochs
        core._epochs = lying = LyingEpochs(core._desk, core._decide, core._pacemaker.on_timer)
        lying.liar = self
        swapped = {honest.start: lying.start, honest.open: lying.open}
        core._rules = tuple(swapped.get(rule, rule) for rule in core._rules)
        return core


KINDS: dict[str, type[Byzantine]] = {
    "silent": Silent,
    "garbage": Garbage,
    "selective": Selective,
    "replayer": Replayer,
    "two_faced": TwoFaced,
    "stingy": Stingy,
    "epoch_liar": EpochLiar,
}
