"""Any weather, any one kind of misbehaviour: nodes agree, and go on when the storm is over."""

import os

import pytest

from tests.simulation.byzantine import KINDS
from tests.simulation.world import Weather, World

SEEDS = int(os.environ.get("HYPOTHEC_SEEDS", "6"))
"""How many seeds the slow run tries for each size and misbehaviour."""
SIZES = [(4, 1), (5, 1), (6, 1), (7, 2)]
STORM = Weather(drop=0.1, duplicate=0.1, straggle=0.1, crash=0.005, partition=0.2, refuse=0.05)
STARVED = Weather(drop=0.02, straggle=0.05, starve=0.3)
HURRICANE = Weather(drop=0.3, duplicate=0.2, delay_ms=(1, 200), straggle=0.2, crash=0.02, partition=0.4, refuse=0.2)


def weather_the(storm: Weather, seed: int, n: int, f: int, kind: str | None, seconds: float = 6) -> World:
    faulty = {(seed + i) % n: KINDS[kind] for i in range(f)} if kind else {}
    world = World(seed, n, f, weather=storm, byzantine=dict(faulty))
    world.run(seconds)
    before = max(node.core.epoch for node in world.honest)
    assert world.settle(rounds=4, seconds=25), f"stuck at {world.floor}"
    # 2f faulty leaders in a row at most (f end one span and f begin the next), the epoch under way, the good
    # one, and one more where r_max ends it.
    assert max(node.core.epoch for node in world.honest) <= before + 2 * f + 3
    return world


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize(("n", "f"), SIZES)
def test_nodes_agree_in_a_storm_and_go_on_after_it(n: int, f: int, kind: str | None) -> None:
    weather_the(STORM, 11, n, f, kind)


@pytest.mark.parametrize("seed", range(12))
def test_nodes_agree_in_a_hurricane_and_go_on_after_it(seed: int) -> None:
    weather_the(HURRICANE, seed, 4, 1, [None, *KINDS][seed % (len(KINDS) + 1)])


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_what_one_node_alone_decided_is_never_contradicted(kind: str | None) -> None:
    weather_the(STARVED, 21, 4, 1, kind)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize(("n", "f"), SIZES)
def test_nodes_agree_under_many_seeds(n: int, f: int, kind: str | None) -> None:
    for seed in range(100, 100 + SEEDS):
        weather_the((STORM, HURRICANE, STARVED)[seed % 3], seed, n, f, kind)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_history(seed: int) -> None:
    one, two = (weather_the(STORM, seed, 4, 1, "two_faced", seconds=3) for _ in range(2))
    assert one.now == two.now
    assert one.decided == two.decided
    assert list(one.sent) == list(two.sent)
