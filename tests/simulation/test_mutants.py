"""The simulator turns red when the protocol is broken: one rule taken away at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from node.consensus.protocol import certified, config, messages, recovery, rounds
from node.consensus.protocol.config import MILLISECOND, Timing
from node.consensus.protocol.epochs import Epochs
from node.consensus.protocol.messages import EpochStart, Prepare
from node.consensus.protocol.notary import Notary
from node.consensus.protocol.proposal import Proposal
from node.consensus.protocol.rounds import Rounds
from node.consensus.protocol.statements import Kind
from node.model import certificate
from tests.simulation.byzantine import EpochLiar, Stingy, TwoFaced
from tests.simulation.world import Disk, SimNode, Violation, Weather, World

SEEDS = range(40)
HASTY = Timing(
    delta_progress=300 * MILLISECOND,
    delta_round=10 * MILLISECOND,
    delta_grace=2 * MILLISECOND,
    delta_initial=150 * MILLISECOND,
    delta_resend=100 * MILLISECOND,
    r_max=3,
)
STARVED = Weather(drop=0.02, starve=0.3)

Patch = pytest.MonkeyPatch


def goes_red(make: Callable[[int], World], seconds: float = 4) -> str:
    """What the first seed that shows the fault says."""
    for seed in SEEDS:
        try:
            make(seed).run(seconds)
        except Violation as violation:
            return str(violation)
    pytest.fail(f"no seed of {SEEDS} shows the fault")


@pytest.fixture
def patch() -> Iterator[Patch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_a_quorum_that_is_one_too_small(patch: Patch) -> None:
    def too_small(n: int, f: int) -> int:
        return (n + f) // 2

    patch.setattr(config, "quorum_of", too_small)
    patch.setattr(certificate, "quorum_of", too_small)
    leader = World(0).config.leader(1)
    assert "another outcome" in goes_red(lambda seed: World(seed, byzantine={leader: TwoFaced}))


def test_a_journal_that_is_not_written(patch: Patch) -> None:
    class Careless(SimNode):
        def persist(self, key: str, data: bytes) -> None:
            if not key.startswith("signed"):
                super().persist(key, data)

    said = goes_red(lambda seed: World(seed, weather=Weather(drop=0.1, crash=0.1), node_class=Careless))
    assert "signed twice" in said


def test_a_journal_that_is_written_too_late() -> None:
    class Late(SimNode):
        def carry_out(self, effects: object) -> None:
            assert isinstance(effects, list)
            super().carry_out(sorted(effects, key=lambda effect: type(effect).__name__ == "Persist"))

    said = goes_red(lambda seed: World(seed, weather=Weather(drop=0.1, crash=0.2), node_class=Late))
    assert "signed twice" in said


def test_a_notary_that_signs_again(patch: Patch) -> None:
    sign, at = Notary.sign, Notary.at

    def forgetful(self: Notary, message: messages.Message, now: int) -> object:
        self._issued.pop(message.statement.slot, None)
        return sign(self, message, now)

    patch.setattr(Notary, "sign", forgetful)
    patch.setattr(Notary, "at", lambda self, slot: None if slot.kind is Kind.OBSERVATION else at(self, slot))
    assert "signed twice" in goes_red(lambda seed: World(seed, weather=Weather(drop=0.1, crash=0.1)))


def test_a_prepare_without_recomputation(patch: Patch) -> None:
    def trusting(self: Rounds) -> bool:
        desk = self._desk
        if desk.silent or not desk.is_free or desk.notary.at(desk.slot(Kind.PREPARE)):
            return False
        proposal = desk.inbox.get(desk.leader, desk.slot(Kind.PROPOSAL))
        for entry in desk.inbox.at(desk.slot(Kind.PREPARE)).values():
            if isinstance(entry.message, Prepare) and proposal and isinstance(proposal.message, Proposal):
                self._vote(proposal.message, proposal.statement.digest, entry.message.outcome)
                return True
        return False

    prepare = Rounds.prepare
    patch.setattr(Rounds, "prepare", lambda self: trusting(self) or prepare(self))

    class Inventor(TwoFaced):
        both_to_all = 0.0

        def sides(self, message: messages.Message) -> list[int]:
            return [] if isinstance(message, Proposal) else list(range(self.world.config.n))

        def other_proposal(self, proposal: Proposal) -> Proposal:
            return proposal

    # What nobody derived is never committed from a derivation: nodes catch up to it, or are stuck.
    leader = World(0).config.leader(1)

    def stuck(seed: int) -> bool:
        world = World(seed, byzantine={leader: Inventor})
        world.run(4)
        return any(
            outcome not in node.disk.states.values() for outcome in world.decided.values() for node in world.honest
        )

    assert any(stuck(seed) for seed in range(5))


def test_a_proposal_that_nobody_examines(patch: Patch) -> None:
    patch.setattr(Rounds, "_verify_proposal", lambda self, proposal: None)
    leader = World(0).config.leader(1)
    goes_red(lambda seed: World(seed, byzantine={leader: Stingy}))


def test_an_application_that_validates_nothing(patch: Patch) -> None:
    patch.setattr(Rounds, "_check", lambda self, seq, observer, payload: None)
    leader = World(0).config.leader(1)
    assert "invalid observation" in goes_red(lambda seed: World(seed, byzantine={leader: Stingy}))


def test_an_epoch_start_that_nobody_checks(patch: Patch) -> None:
    def unchecked(self: Epochs, start: EpochStart) -> None:
        certified.verify_certified(start.highest, self._desk.config)

    patch.setattr(Epochs, "_verify", unchecked)
    said = goes_red(lambda seed: World(seed, byzantine={seed % 4: EpochLiar}, timing=HASTY, weather=STARVED), 8)
    assert "another outcome" in said


def test_a_leader_that_is_not_bound_to_what_was_prepared(patch: Patch) -> None:
    def free(self: Epochs, highest: certified.Certified) -> None:
        build_on(self, highest)
        position = self._desk.position
        position.bound_to, position.first_seq = None, min(position.first_seq, self._desk.seq)

    build_on = Epochs._build_on
    patch.setattr(Epochs, "_build_on", free)
    said = goes_red(lambda seed: World(seed, timing=HASTY, weather=STARVED), 8)
    assert "another outcome" in said


def test_epochs_that_do_not_ask_for_what_was_prepared(patch: Patch) -> None:
    def amnesiac(self: Epochs) -> None:
        self._desk.prepared = None
        await_start(self)

    await_start = Epochs.await_start
    patch.setattr(Epochs, "await_start", amnesiac)
    said = goes_red(lambda seed: World(seed, timing=HASTY, weather=STARVED), 8)
    assert "another outcome" in said


def test_a_lost_journal_that_is_taken_for_an_empty_one(patch: Patch) -> None:
    class Lossy(SimNode):
        def crash(self) -> None:
            super().crash()
            self.disk = Disk(states=self.disk.states, certificates=self.disk.certificates)

    patch.setattr(recovery.Recovery, "begin", lambda self, nonce: setattr(self._desk.notary, "silent", False))
    weather = Weather(drop=0.1, crash=0.05)
    assert "signed twice" in goes_red(lambda seed: World(seed, weather=weather, node_class=Lossy))


@pytest.mark.parametrize("rule", ["certify", "commit"])
def test_the_rules_are_all_needed(patch: Patch, rule: str) -> None:
    patch.setattr(rounds.Rounds, rule, lambda self: False)
    world = World(1)
    world.run(3)
    assert world.floor == 0
