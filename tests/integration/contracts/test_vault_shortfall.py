"""A vault that holds less of a token than its books say pays everybody alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from web3.contract import Contract

from chains.evm.contracts import Artifact
from tests.integration.contracts.digests import account_id
from tests.integration.contracts.harness import NATIVE, UNLIMITED, refused
from tests.integration.contracts.world import EXIT_DELAY, NETWORK, SALT, SILENCE, World


@pytest.fixture
def short(world: World, hostile: Mapping[str, Artifact]) -> tuple[World, Contract]:
    """900 in the books of one account, 100 in another's, and 700 of a token and of the coin there."""
    token = world.chain.deploy(hostile["BlacklistToken"])
    world = world.with_vault({token.address: UNLIMITED, NATIVE: UNLIMITED})
    world.fund(token)
    other = account_id(NETWORK, world.stranger, SALT)
    functions = world.vault.functions
    for account, amount in ((world.account, 900), (other, 100)):
        world.chain.send(functions.deposit(account, token.address, amount), sender=world.owner)
        world.chain.send(functions.depositNative(account), sender=world.owner, value=amount)
    world.chain.send(token.functions.burn(world.vault.address, 300))
    world.chain.rpc("anvil_setBalance", world.vault.address, hex(700))
    return world, token


@pytest.mark.parametrize("purpose", ["withdrawal", "seizure"])
def test_a_release_pays_pro_rata_and_leaves_the_others_what_they_had(
    short: tuple[World, Contract], purpose: str
) -> None:
    world, token = short
    coins = world.chain.coins(world.payee)
    release = world.release(((NATIVE, 601), (token.address, 601)))
    world.chain.send(world.call(purpose, release))
    assert world.held(world.payee, token) == 420  # 601 · 700 / 1000, rounded down
    assert world.chain.coins(world.payee) - coins == 420
    assert (world.booked(token.address), world.total(token.address)) == (299, 399)
    assert world.held(world.vault.address, token) == 280  # seven tenths of 399, and what was rounded
    assert world.nonce() == 1


def test_the_order_of_releases_gives_nobody_more(short: tuple[World, Contract]) -> None:
    world, token = short
    for nonce, amount in ((1, 300), (2, 300), (3, 300)):
        world.chain.send(world.call("withdrawal", world.release(((token.address, amount),), nonce=nonce)))
    assert world.held(world.payee, token) == 630
    assert world.held(world.vault.address, token) == 70  # the other account's hundred


@pytest.mark.parametrize("purpose", ["withdrawal", "seizure"])
def test_what_would_pay_less_than_it_must_leaves_everything_as_it_was(
    short: tuple[World, Contract], purpose: str
) -> None:
    world, token = short
    seen = world.release(()).but(items=((NATIVE, 601, 420), (token.address, 601, 420)))
    world.call(purpose, seen).call()
    world.chain.send(token.functions.burn(world.vault.address, 2))  # 601 · 698 / 1000 is 419.498
    with refused(world.vault, "ShortPayment", token=token.address.lower(), pays=419, minimum=420):
        world.call(purpose, seen).call()
    receipt = world.chain.attempt(world.call(purpose, seen), sender=world.stranger)
    assert (receipt["status"], world.nonce(), world.booked(), world.booked(NATIVE)) == (0, 0, 0, 900)
    world.chain.send(world.call(purpose, seen.but(items=((NATIVE, 601, 420), (token.address, 601, 419)))))
    assert (world.held(world.payee, token), world.nonce()) == (419, 1)


def test_nothing_that_others_do_makes_a_release_pay_less(short: tuple[World, Contract]) -> None:
    world, token = short
    waiting = world.release(()).but(nonce=3, items=((token.address, 601, 420),))  # signed when 7 of 10 were there
    world.chain.send(world.call("withdrawal", world.release(((token.address, 3),))))  # pays 2 and not 2.1
    world.deposit(7, token)
    world.chain.send(world.call("seizure", world.release(((token.address, 101),), nonce=2)))
    world.chain.send(world.call("seizure", waiting))
    assert world.nonce() == 3


def test_more_than_the_amount_is_never_paid_nor_can_be_demanded(world: World) -> None:
    world.deposit(100)
    with refused(world.vault, "ShortPayment", pays=40, minimum=41):
        world.call("seizure", world.release(()).but(items=((world.token.address, 40, 41),))).call()


def test_a_vault_that_is_made_whole_pays_in_full(short: tuple[World, Contract]) -> None:
    world, token = short
    world.chain.send(token.functions.mint(world.vault.address, 300))
    world.chain.send(world.call("seizure", world.release(((token.address, 900),))))
    assert world.held(world.payee, token) == 900


def test_a_surplus_is_nobodys(short: tuple[World, Contract]) -> None:
    world, token = short
    world.chain.send(token.functions.mint(world.vault.address, 1_000_000))
    world.chain.send(world.call("withdrawal", world.release(((token.address, 900),))))
    assert world.held(world.payee, token) == 900


def test_the_books_bound_a_release_as_ever(short: tuple[World, Contract]) -> None:
    world, token = short
    with refused(world.vault, "InsufficientBalance", held=900):
        world.call("withdrawal", world.release(((token.address, 901),))).call()


def test_an_exit_pays_pro_rata_too(short: tuple[World, Contract]) -> None:
    world, token = short
    world.chain.pass_to(world.chain.now() + SILENCE + 1)
    world.chain.send(world.vault.functions.requestExit(world.owner, SALT), sender=world.owner)
    world.chain.pass_to(world.chain.now() + EXIT_DELAY)
    call = world.vault.functions.executeExit(world.owner, SALT, token.address, 500, world.payee)
    world.chain.send(call, sender=world.owner)
    assert world.held(world.payee, token) == 350


def test_nothing_left_pays_nothing_and_takes_it_off_the_books(short: tuple[World, Contract]) -> None:
    world, token = short
    world.chain.send(token.functions.burn(world.vault.address, 700))
    with refused(world.vault, "ShortPayment", pays=0, minimum=1):
        world.call("seizure", world.release(()).but(items=((token.address, 900, 1),))).call()
    world.chain.send(world.call("withdrawal", world.release(((token.address, 900),))))
    assert (world.held(world.payee, token), world.booked(token.address)) == (0, 0)


def test_amounts_near_the_limit_of_a_word_do_not_overflow(world: World, hostile: Mapping[str, Artifact]) -> None:
    token = world.chain.deploy(hostile["BlacklistToken"])
    world = world.with_vault({token.address: UNLIMITED})
    world.allow(token)
    most = 2**255
    world.chain.send(token.functions.mint(world.owner, most))
    world.deposit(most, token)
    world.chain.send(token.functions.burn(world.vault.address, most // 2))
    release = replace(world.release(((token.address, UNLIMITED // 2),)))
    world.chain.send(world.call("withdrawal", release))
    assert world.held(world.payee, token) == UNLIMITED // 4
