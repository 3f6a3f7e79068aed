from __future__ import annotations

import pytest

from tests.integration.contracts.harness import NATIVE, UNLIMITED, refused
from tests.integration.contracts.world import WINDOW, World


@pytest.fixture
def capped(world: World) -> World:
    """At most 100 of the token and 1000 of the coin leave in a window; the chain stands at the start of one."""
    world = world.with_vault({NATIVE: 1000, world.token.address: 100})
    world.allow(world.token)
    world.deposit(10_000)
    world.deposit_native(10_000)
    world.chain.pass_to(next_window(world))
    return world


def next_window(world: World) -> int:
    return (world.chain.now() // WINDOW + 1) * WINDOW


def leave(world: World, purpose: str, amount: int) -> None:
    world.chain.send(world.call(purpose, world.release(amount, nonce=world.nonce() + 1)))


def refused_at(world: World, purpose: str, amount: int, left: int) -> None:
    with refused(world.vault, "CapExceeded", token=world.token.address.lower(), wanted=amount, left=left):
        world.call(purpose, world.release(amount, nonce=world.nonce() + 1)).call()


def test_seizures_may_fill_the_cap(capped: World) -> None:
    leave(capped, "seizure", 60)
    refused_at(capped, "seizure", 41, left=40)
    leave(capped, "seizure", 40)
    refused_at(capped, "seizure", 1, left=0)
    refused_at(capped, "withdrawal", 1, left=0)


def test_owners_may_fill_half_of_it(capped: World) -> None:
    leave(capped, "withdrawal", 30)
    refused_at(capped, "withdrawal", 21, left=20)
    leave(capped, "withdrawal", 20)
    refused_at(capped, "withdrawal", 1, left=0)
    refused_at(capped, "seizure", 51, left=50)
    leave(capped, "seizure", 50)


def test_owners_get_no_more_than_what_seizures_left(capped: World) -> None:
    leave(capped, "seizure", 80)
    refused_at(capped, "withdrawal", 21, left=20)
    leave(capped, "withdrawal", 20)


def test_a_new_window_starts_afresh(capped: World) -> None:
    leave(capped, "withdrawal", 50)
    leave(capped, "seizure", 50)
    boundary = next_window(capped)
    capped.chain.at_time(boundary - 1)
    blocked = capped.call("seizure", capped.release(1, nonce=3))
    assert capped.chain.attempt(blocked)["status"] == 0
    capped.chain.at_time(boundary)
    capped.chain.send(blocked)
    assert capped.vault.functions.outflows(capped.token.address).call() == [boundary // WINDOW, 0, 1]
    leave(capped, "withdrawal", 50)


def test_tokens_are_counted_apart(capped: World) -> None:
    leave(capped, "seizure", 100)
    release = capped.release(((NATIVE, 1000),), nonce=2)
    capped.chain.send(capped.call("seizure", release))


def test_one_item_over_its_cap_stops_all(capped: World) -> None:
    release = capped.release(((NATIVE, 10), (capped.token.address, 101)))
    with refused(capped.vault, "CapExceeded", wanted=101, left=100):
        capped.call("seizure", release).call()
    assert capped.chain.attempt(capped.call("seizure", release))["status"] == 0
    assert (capped.booked(NATIVE), capped.nonce()) == (10_000, 0)
    assert capped.vault.functions.outflows(NATIVE).call() == [0, 0, 0]


def test_a_refused_release_may_wait_for_the_next_window(capped: World) -> None:
    leave(capped, "seizure", 100)
    waiting = capped.call("seizure", capped.release(100, nonce=2).but(expiry=next_window(capped)))
    assert capped.chain.attempt(waiting)["status"] == 0
    capped.chain.at_time(next_window(capped))
    capped.chain.send(waiting)


def test_the_largest_cap_does_not_overflow(world: World) -> None:
    world.chain.send(world.token.functions.mint(world.owner, 2**113))
    world.deposit(2**113)
    leave(world, "seizure", UNLIMITED)
    refused_at(world, "seizure", 1, left=0)
