from __future__ import annotations

from collections.abc import Mapping

import pytest
from web3.exceptions import ContractLogicError
from web3.types import Wei

from chains.evm.contracts import Artifact, artifact
from tests.integration.contracts.harness import NATIVE, UNLIMITED, events, refused
from tests.integration.contracts.world import DAY, FUNDS, HOUR, NETWORK, World


def test_a_deposit_is_booked(world: World) -> None:
    receipt = world.deposit(100)
    world.deposit(20)
    assert (world.booked(), world.total(), world.held(world.vault.address)) == (120, 120, 120)
    (event,) = events(world.vault.events.Deposited(), receipt)
    expected = {"account": world.account, "token": world.token.address, "from": world.owner, "amount": 100}
    assert dict(event["args"]) == expected


def test_the_coin_is_booked(world: World) -> None:
    receipt = world.deposit_native(10**18)
    assert (world.booked(NATIVE), world.total(NATIVE)) == (10**18, 10**18)
    assert world.chain.coins(world.vault.address) == 10**18
    (event,) = events(world.vault.events.Deposited(), receipt)
    assert (event["args"]["token"], event["args"]["amount"]) == (NATIVE, 10**18)


def test_anyone_may_pay_in_for_an_account(world: World) -> None:
    call = world.vault.functions.depositNative(world.account)
    world.chain.send(call, sender=world.stranger, value=7)
    assert world.booked(NATIVE) == 7


def test_accounts_are_apart(world: World) -> None:
    world.deposit(100)
    other = bytes(31) + b"\1"
    world.chain.send(world.vault.functions.deposit(other, world.token.address, 5), sender=world.owner)
    assert (world.booked(), world.vault.functions.balances(other, world.token.address).call()) == (100, 5)
    assert world.total() == 105


def test_only_admitted_tokens(world: World) -> None:
    other = world.chain.deploy("TestToken", "Other", "OTH", 18)
    with refused(world.vault, "TokenNotAdmitted", token=other.address.lower()):
        world.vault.functions.deposit(world.account, other.address, 1).call()
    without_coin = world.with_vault({world.token.address: UNLIMITED})
    with refused(without_coin.vault, "TokenNotAdmitted", token=NATIVE):
        without_coin.vault.functions.depositNative(world.account).call({"value": Wei(1)})


def test_the_coin_needs_its_own_call(world: World) -> None:
    with refused(world.vault, "UseDepositNative"):
        world.vault.functions.deposit(world.account, NATIVE, 1).call({"from": world.owner})
    with refused(world.vault, "UseDepositNative"):
        world.vault.receive.call({"value": Wei(1)})


def test_nothing_is_no_deposit(world: World) -> None:
    with refused(world.vault, "NothingReceived"):
        world.vault.functions.deposit(world.account, world.token.address, 0).call({"from": world.owner})
    with refused(world.vault, "NothingReceived"):
        world.vault.functions.depositNative(world.account).call()


def test_without_funds_or_leave(world: World) -> None:
    for sender, amount in ((world.owner, FUNDS + 1), (world.stranger, 1)):
        with pytest.raises(ContractLogicError):
            world.vault.functions.deposit(world.account, world.token.address, amount).call({"from": sender})


def test_gifts_credit_nobody(world: World) -> None:
    world.deposit(100)
    world.chain.send(world.token.functions.transfer(world.vault.address, 50), sender=world.owner)
    world.chain.rpc("anvil_setBalance", world.vault.address, hex(10**18))
    assert (world.booked(), world.total(), world.total(NATIVE)) == (100, 100, 0)
    world.deposit(1)
    assert world.booked() == 101


def test_a_fee_is_not_credited(world: World, hostile: Mapping[str, Artifact]) -> None:
    token = world.chain.deploy(hostile["FeeToken"])
    world = world.with_vault({token.address: UNLIMITED})
    world.fund(token)
    world.deposit(1000, token)
    assert world.booked(token.address) == world.held(world.vault.address, token) == 990


def test_interest_paid_within_the_transfer_is_not_credited(world: World, hostile: Mapping[str, Artifact]) -> None:
    token = world.chain.deploy(hostile["FeeToken"])
    world = world.with_vault({token.address: UNLIMITED})
    world.fund(token)
    world.chain.send(token.functions.setRebasing(True))
    world.deposit(1000, token)
    assert world.held(world.vault.address, token) == 2000
    assert world.booked(token.address) == 1000


def test_a_token_that_only_pretends(world: World, hostile: Mapping[str, Artifact]) -> None:
    token = world.chain.deploy(hostile["BlacklistToken"])
    world = world.with_vault({token.address: UNLIMITED})
    world.fund(token)
    world.chain.send(token.functions.setPretending(True))
    with refused(world.vault, "NothingReceived", token=token.address.lower()):
        world.vault.functions.deposit(world.account, token.address, 5).call({"from": world.owner})


@pytest.mark.parametrize(
    ("position", "value", "name"),
    [
        (0, "stranger", "verifier"),
        (1, bytes(32), "networkId"),
        (2, [], "tokens"),
        (3, [1000], "tokens"),
        (3, [1000, 1], "caps"),
        (3, [1000, 2**112], "caps"),
        (4, 0, "window"),
        (5, 0, "silence"),
        (6, 0, "exitDelay"),
    ],
)
def test_parameters_are_checked(world: World, position: int, value: object, name: str) -> None:
    token = world.token.address
    arguments: list[object] = [world.verifier.address, NETWORK, [NATIVE, token], [1000, 1000], HOUR, DAY, DAY]
    arguments[position] = world.stranger if value == "stranger" else value
    with refused(world.vault, "BadParameter", name=name):
        construct(world, arguments)


def test_tokens_exist_and_are_distinct(world: World) -> None:
    token = world.token.address
    with refused(world.vault, "BadParameter", name="tokens"):
        construct(world, [world.verifier.address, NETWORK, [token, token], [9, 9], HOUR, DAY, DAY])
    with refused(world.vault, "TokenWithoutCode", token=world.stranger.lower()):
        construct(world, [world.verifier.address, NETWORK, [world.stranger], [9], HOUR, DAY, DAY])


def construct(world: World, arguments: list[object]) -> None:
    compiled = artifact("CollateralVault")
    factory = world.chain.web3.eth.contract(abi=compiled.abi, bytecode=compiled.bytecode)
    world.chain.web3.eth.call({"data": factory.constructor(*arguments).data_in_transaction})
