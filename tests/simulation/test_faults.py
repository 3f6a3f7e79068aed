"""Single faults with a known end: who leads after a leader stops, who speaks after a restart, who is convicted."""

import pytest

from node.consensus.protocol.config import MILLISECOND, SECOND, Timing
from node.consensus.protocol.statements import SLOT_KINDS
from tests.simulation.byzantine import EpochLiar, Selective, Silent, Stingy, TwoFaced
from tests.simulation.world import CALM, Disk, SimNode, Weather, World

BACK_TO_BACK = Timing(
    delta_progress=1 * SECOND,
    delta_round=0,
    delta_grace=10 * MILLISECOND,
    delta_initial=500 * MILLISECOND,
    delta_resend=250 * MILLISECOND,
    r_max=1000,
)


def first_leader(world: World) -> int:
    return world.config.leader(1)


def statements_of(world: World, node: int) -> int:
    return sum(1 for signer, _ in world.signed if signer == node)


def test_calm_nodes_commit_a_round_each_delta_round() -> None:
    world = World(1)
    world.run(5.2)
    assert 95 <= world.floor <= 104
    assert all(not node.faults for node in world.nodes)


def test_leadership_rotates_after_r_max_rounds() -> None:
    world = World(1)
    world.run(5.2)
    assert {world.config.leader(epoch) for epoch in world.nodes[0].epochs[:4]} == {0, 1, 2, 3}


def test_rounds_follow_back_to_back_when_delta_round_is_zero() -> None:
    world = World(1, timing=BACK_TO_BACK)
    assert world.run(2.5, lambda: world.floor >= 100)


def test_a_leader_that_stops_is_replaced() -> None:
    world = World(2)
    assert world.run(2, lambda: world.floor >= 3)
    stopped = world.nodes[world.nodes[0].core.epoch and first_leader(world)]
    stopped.crash()
    others = [node for node in world.nodes if node is not stopped]
    goal = world.ceiling + 10
    assert world.run(6, lambda: min(node.disk.installed for node in others) >= goal)
    assert all(node.core.epoch > 1 for node in others)


def test_a_silent_leader_is_replaced_at_the_start() -> None:
    leader = first_leader(World(0))
    world = World(3, byzantine={leader: Silent})
    assert world.run(5, lambda: world.floor >= 10)


@pytest.mark.parametrize("down_ms", [1, 50, 3000])
def test_a_restarted_node_resumes_at_once(down_ms: int) -> None:
    world = World(4)
    assert world.run(2, lambda: world.floor >= 5)
    node = world.nodes[2]
    node.crash()
    world.later(down_ms, node.start)
    world.run(down_ms / 1000)
    goal = world.ceiling + 4
    assert world.run(1.5, lambda: node.disk.installed >= goal)
    before = statements_of(world, 2)
    world.run(0.5)
    assert statements_of(world, 2) > before
    assert not node.core.silent


@pytest.mark.parametrize("seed", range(6))
def test_all_nodes_killed_at_once_lose_nothing_and_go_on(seed: int) -> None:
    world = World(seed)
    assert world.run(5, lambda: world.floor >= 4 + seed)
    world.run(0.001 * (seed * 7))
    decided = dict(world.decided)
    for node in world.nodes:
        node.crash()
        world.later(100, node.start)
    goal = world.ceiling + 5
    assert world.run(8, lambda: world.floor >= goal)
    assert decided.items() <= world.decided.items()


@pytest.mark.parametrize("seed", range(8))
def test_a_crash_between_any_two_effects_does_no_harm(seed: int) -> None:
    world = World(seed, weather=Weather(crash=0.1))
    world.run(8)
    assert sum(node.life for node in world.nodes) > 12
    assert world.settle(rounds=5, seconds=15)


@pytest.mark.parametrize("keeps_state", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_a_node_that_lost_its_journal_keeps_silent_until_the_network_is_beyond_it(seed: int, keeps_state: bool) -> None:
    world = World(seed)
    assert world.run(3, lambda: world.floor >= 6)
    node = world.nodes[1]
    node.crash()
    kept = node.disk
    node.disk = Disk(states=kept.states, certificates=kept.certificates) if keeps_state else Disk()
    node.disk.lost = True
    reported, before = world.ceiling, statements_of(world, 1)
    world.later(20, node.start)
    world.run(0.05)
    assert node.core.silent
    assert world.run(2, lambda: not node.core.silent)
    assert node.core.installed >= reported + 2
    assert statements_of(world, 1) == before
    assert world.run(2, lambda: statements_of(world, 1) > before)
    # What was silent once is an intact journal now.
    node.crash()
    node.start()
    assert not node.core.silent


def test_a_node_that_lost_its_journal_stays_silent_without_enough_reports() -> None:
    world = World(5)
    assert world.run(3, lambda: world.floor >= 6)
    lost, down = world.nodes[1], world.nodes[2]
    down.crash()
    lost.crash()
    lost.disk = Disk(lost=True)
    world.later(20, lost.start)
    before = statements_of(world, 1)
    world.run(5)
    assert lost.core.silent
    # A restart does not make the new journal an intact one.
    lost.crash()
    lost.start()
    world.run(5)
    assert lost.core.silent
    assert statements_of(world, 1) == before
    down.start()
    assert world.run(8, lambda: world.floor >= 12)


@pytest.mark.parametrize("keeps_state", [True, False])
def test_an_old_copy_of_a_journal_is_not_taken_for_an_intact_one(keeps_state: bool) -> None:
    world = World(6)
    assert world.run(3, lambda: world.floor >= 3)
    node = world.nodes[1]
    backup = dict(node.disk.records)
    states, certificates = dict(node.disk.states), dict(node.disk.certificates)
    assert world.run(3, lambda: world.floor >= 12)
    node.crash()
    node.disk.records = backup
    if not keeps_state:
        node.disk.states, node.disk.certificates = states, certificates
    world.later(10, node.start)
    world.run(0.03)
    assert node.core.silent
    assert world.run(3, lambda: not node.core.silent)


def test_no_node_speaks_when_all_journals_are_lost() -> None:
    world = World(7)
    for node in world.nodes:
        node.disk.lost = True
    world.run(5)
    assert world.floor == 0
    assert not world.signed


def test_a_node_that_cannot_derive_catches_up_from_peers() -> None:
    class Blind(SimNode):
        def derive(self, ask: object) -> None:
            pass

    world = World(8, byzantine={3: Blind})
    assert world.nodes[3].honest
    assert world.run(6, lambda: world.floor >= 10)


@pytest.mark.parametrize("seed", range(3))
def test_two_faces_are_seen_by_every_honest_node(seed: int) -> None:
    world = World(seed, byzantine={seed: TwoFaced})
    world.run(6)
    assert all(node.evidence for node in world.honest)
    assert {evidence.signer for node in world.honest for evidence in node.evidence} == {seed}
    assert {evidence.first.statement.kind for node in world.honest for evidence in node.evidence} <= SLOT_KINDS


def test_nobody_is_convicted_in_a_storm() -> None:
    world = World(9, weather=Weather(drop=0.1, duplicate=0.3, straggle=0.3, crash=0.02))
    world.run(5)
    assert not any(node.evidence for node in world.nodes)


@pytest.mark.parametrize("seed", range(3))
def test_a_leader_that_proposes_too_little_or_nonsense_gets_nothing_committed(seed: int) -> None:
    world = World(seed, byzantine={first_leader(World(0)): Stingy})
    assert world.run(8, lambda: world.floor >= 25)
    assert any("CONSENSUS_PROPOSAL_REFUSED" in node.faults for node in world.honest)


def test_what_was_prepared_is_proposed_again() -> None:
    """Drop every commit for a while: the next leader is bound to what was prepared."""

    class NoCommits(World):
        muted = True

        def carry(self, sender: int, receiver: int, raw: bytes) -> None:
            if not (self.muted and raw[1] == 8 and self.ceiling >= 3):
                super().carry(sender, receiver, raw)

    def prepared_at(node: SimNode) -> int:
        prepared = node.core._desk.prepared
        return prepared.seq if prepared else 0

    world = NoCommits(10)
    world.run(0.1)
    assert world.run(3, lambda: min(map(prepared_at, world.nodes)) == 4)
    prepared = world.nodes[0].core._desk.prepared
    assert prepared is not None
    world.run(1.5)
    assert world.floor == 3
    world.muted = False
    assert world.run(4, lambda: world.floor >= 6)
    assert world.decided[4] == prepared.outcome
    certificate = world.nodes[0].disk.certificates[4]
    assert certificate.epoch > prepared.epoch


@pytest.mark.parametrize("seed", range(2))
def test_an_epoch_liar_that_leads_most_epochs_does_no_harm(seed: int) -> None:
    hasty = Timing(
        delta_progress=300 * MILLISECOND,
        delta_round=10 * MILLISECOND,
        delta_grace=2 * MILLISECOND,
        delta_initial=150 * MILLISECOND,
        delta_resend=100 * MILLISECOND,
        r_max=2,
    )
    world = World(seed, byzantine={seed: EpochLiar}, timing=hasty, weather=Weather(drop=0.05, straggle=0.02))
    world.run(4)
    assert world.settle(rounds=5, seconds=10)


def test_a_node_that_is_told_nothing_follows_all_the_same() -> None:
    world = World(11, byzantine={0: Selective}, weather=CALM)
    assert world.run(10, lambda: world.floor >= 30)


@pytest.mark.parametrize("seed", range(6))
def test_a_node_that_loses_its_journal_in_every_crash_never_contradicts_itself(seed: int) -> None:
    class Lossy(SimNode):
        def crash(self) -> None:
            super().crash()
            kept = self.disk if seed % 2 else Disk()
            self.disk = Disk(states=kept.states, certificates=kept.certificates, lost=True)

    world = World(seed, byzantine={seed % 4: Lossy}, weather=Weather(drop=0.05, straggle=0.1, starve=0.1))
    lossy = world.nodes[seed % 4]
    for crash in range(1000, 6000, 1300):
        world.later(crash + 50 * seed, lossy.crash)
        world.later(crash + 50 * seed + 100, lossy.start)
    world.run(6)
    assert lossy.life == 5
    assert world.settle(rounds=5, seconds=20)
