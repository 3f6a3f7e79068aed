"""Payees and tokens that call back into the vault while it moves value."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from eth_utils.abi import function_signature_to_4byte_selector
from web3.contract import Contract

from chains.evm.contracts import Artifact
from tests.integration.contracts.harness import NATIVE, UNLIMITED, refused
from tests.integration.contracts.world import World

REENTRANT = function_signature_to_4byte_selector("ReentrancyGuardReentrantCall()")


@pytest.fixture
def attacker(world: World, hostile: Mapping[str, Artifact]) -> Contract:
    return world.chain.deploy(hostile["Attacker"])


def reentry(world: World, name: str, payee: str) -> str:
    """A call into the vault that would succeed at any other moment, or at least get past the guard."""
    follow_up = world.release(10, nonce=2).but(payee=payee)
    functions = world.vault.functions
    call = {
        "withdraw": world.call("withdrawal", follow_up),
        "seize": world.call("seizure", follow_up),
        "deposit": functions.deposit(world.account, world.token.address, 1),
        "depositNative": functions.depositNative(world.account),
        "executeExit": functions.executeExit(payee, bytes(32), NATIVE, 1, payee),
    }[name]
    data = call._encode_transaction_data()
    return str(data)


@pytest.mark.parametrize("name", ["withdraw", "seize", "deposit", "depositNative", "executeExit"])
def test_a_payee_cannot_reenter(world: World, attacker: Contract, name: str) -> None:
    world.deposit(100)
    world.deposit_native(100)
    data = reentry(world, name, attacker.address)
    world.chain.send(attacker.functions.prepare(world.vault.address, data, False))
    release = world.release(((NATIVE, 30),)).but(payee=attacker.address)
    world.chain.send(world.call("withdrawal", release))
    assert attacker.functions.called().call()
    assert not attacker.functions.succeeded().call()
    assert attacker.functions.answer().call() == REENTRANT
    assert (world.booked(NATIVE), world.booked(), world.nonce()) == (70, 100, 1)


def test_a_strict_payee_only_stops_itself(world: World, attacker: Contract) -> None:
    world.deposit(100)
    world.deposit_native(100)
    data = reentry(world, "withdraw", attacker.address)
    world.chain.send(attacker.functions.prepare(world.vault.address, data, True))
    release = world.release(((NATIVE, 30),)).but(payee=attacker.address)
    with refused(world.vault, "NativeTransferFailed"):
        world.call("withdrawal", release).call()
    assert (world.booked(NATIVE), world.nonce()) == (100, 0)


def test_books_are_right_when_the_payee_looks(world: World, attacker: Contract) -> None:
    world.deposit_native(100)
    looking = world.vault.functions.totals(NATIVE)._encode_transaction_data()
    world.chain.send(attacker.functions.prepare(world.vault.address, looking, True))
    world.chain.send(world.call("seizure", world.release(((NATIVE, 30),)).but(payee=attacker.address)))
    assert int.from_bytes(attacker.functions.answer().call(), "big") == 70


@pytest.fixture
def hooked(world: World, hostile: Mapping[str, Artifact], attacker: Contract) -> tuple[World, Contract]:
    """A world whose token calls both sides of a transfer, and the attacker holding 1000 of it."""
    token = world.chain.deploy(hostile["HookToken"])
    world = world.with_vault({token.address: UNLIMITED, NATIVE: UNLIMITED})
    world.fund(token)
    world.chain.send(token.functions.mint(attacker.address, 1000))
    approve = token.functions.approve(world.vault.address, 2**256 - 1)._encode_transaction_data()
    world.chain.send(attacker.functions.run(token.address, approve))
    return world, token


def test_one_payment_is_not_credited_twice(hooked: tuple[World, Contract], attacker: Contract) -> None:
    world, token = hooked
    deposit = world.vault.functions.deposit(world.account, token.address, 400)._encode_transaction_data()
    world.chain.send(attacker.functions.prepare(world.vault.address, deposit, False))
    world.chain.send(attacker.functions.run(world.vault.address, deposit))
    assert attacker.functions.called().call()
    assert attacker.functions.answer().call() == REENTRANT
    assert world.booked(token.address) == world.held(world.vault.address, token) == 400


def test_a_hook_at_the_payee_cannot_reenter(hooked: tuple[World, Contract], attacker: Contract) -> None:
    world, token = hooked
    world.deposit(100, token)
    release = world.release(((token.address, 30),)).but(payee=attacker.address)
    follow_up = world.call("seizure", release.but(nonce=2))._encode_transaction_data()
    world.chain.send(attacker.functions.prepare(world.vault.address, follow_up, False))
    world.chain.send(world.call("seizure", release))
    assert attacker.functions.answer().call() == REENTRANT
    assert (world.booked(token.address), world.nonce()) == (70, 1)
    world.chain.send(attacker.functions.run(world.vault.address, follow_up))
    assert (world.booked(token.address), world.nonce()) == (40, 2)


def test_the_guard_opens_again(world: World) -> None:
    world.deposit(100)
    world.chain.send(world.call("seizure", world.release(10)))
    world.chain.send(world.call("seizure", world.release(10, nonce=2)))
    assert world.booked() == 80
