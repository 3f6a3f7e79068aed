"""The way out when the network has died: slow, and closed as soon as it lives."""

from __future__ import annotations

import pytest
from web3.contract.contract import ContractFunction
from web3.types import TxReceipt

from tests.integration.contracts.digests import account_id
from tests.integration.contracts.harness import NATIVE, UNLIMITED, events, refused
from tests.integration.contracts.world import EXIT_DELAY, HOUR, NETWORK, SALT, SILENCE, WINDOW, World


@pytest.fixture
def funded(world: World) -> World:
    """100 of the token and of the coin, and a state accepted just now."""
    world.deposit(100)
    world.deposit_native(100)
    world.accept(1, world.chain.now() * 1000)
    return world


@pytest.fixture
def silent(funded: World) -> World:
    """The same, the moment after which owners may ask."""
    funded.chain.pass_to(heard(funded) + SILENCE + 1)
    return funded


@pytest.fixture
def asked(silent: World) -> World:
    """The same, the request made and its delay over."""
    request(silent)
    silent.chain.pass_to(silent.chain.now() + EXIT_DELAY)
    return silent


def heard(world: World) -> int:
    return int(world.vault.functions.lastHeard().call())


def request(world: World) -> TxReceipt:
    return world.chain.send(world.vault.functions.requestExit(world.owner, SALT), sender=world.owner)


def leaving(world: World, amount: int, token: str | None = None) -> ContractFunction:
    return world.vault.functions.executeExit(world.owner, SALT, token or world.token.address, amount, world.payee)


def test_an_owner_gets_out(silent: World) -> None:
    asked_at = silent.chain.now() + 5
    silent.chain.at_time(asked_at)
    (told,) = events(silent.vault.events.ExitRequested(), request(silent))
    assert told["args"]["executableAt"] == asked_at + EXIT_DELAY
    silent.chain.at_time(asked_at + EXIT_DELAY)
    receipt = silent.chain.send(leaving(silent, 60), sender=silent.owner)
    (told,) = events(silent.vault.events.Exited(), receipt)
    expected = {"account": silent.account, "token": silent.token.address, "to": silent.payee, "amount": 60}
    assert dict(told["args"]) == expected
    before = silent.chain.coins(silent.payee)
    silent.chain.send(leaving(silent, 100, NATIVE), sender=silent.owner)
    assert (silent.booked(), silent.total(), silent.held(silent.payee)) == (40, 40, 60)
    assert (silent.booked(NATIVE), silent.total(NATIVE)) == (0, 0)
    assert silent.chain.coins(silent.payee) == before + 100


def test_not_while_the_network_is_heard(funded: World) -> None:
    last = heard(funded)
    funded.chain.at_time(last + SILENCE)
    call = funded.vault.functions.requestExit(funded.owner, SALT)
    assert funded.chain.attempt(call, sender=funded.owner)["status"] == 0
    with refused(funded.vault, "NotSilent", lastHeard=last, silentAfter=last + SILENCE):
        call.call({"from": funded.owner}, block_identifier="latest")
    funded.chain.at_time(last + SILENCE + 1)
    request(funded)


def test_silence_counts_from_deployment_before_the_first_state(world: World) -> None:
    deployed_at = world.vault.functions.deployedAt().call()
    assert heard(world) == deployed_at
    with refused(world.vault, "NotSilent", lastHeard=deployed_at):
        world.vault.functions.requestExit(world.owner, SALT).call({"from": world.owner})
    world.chain.pass_to(deployed_at + SILENCE + 1)
    request(world)


def test_not_before_the_delay_is_over(silent: World) -> None:
    request(silent)
    over = silent.chain.now() + EXIT_DELAY
    silent.chain.at_time(over - 1)
    assert silent.chain.attempt(leaving(silent, 1), sender=silent.owner)["status"] == 0
    with refused(silent.vault, "TooEarly", executableAt=over):
        leaving(silent, 1).call({"from": silent.owner})
    silent.chain.at_time(over)
    silent.chain.send(leaving(silent, 1), sender=silent.owner)


def test_not_without_a_request(silent: World) -> None:
    with refused(silent.vault, "NoExitRequest", account=silent.account):
        leaving(silent, 1).call({"from": silent.owner})


@pytest.mark.parametrize("when", ["before the request would be", "during the delay", "after the delay"])
def test_a_fresh_state_closes_it(silent: World, when: str) -> None:
    if when != "before the request would be":
        request(silent)
    if when == "after the delay":
        silent.chain.pass_to(silent.chain.now() + EXIT_DELAY)
        leaving(silent, 1).call({"from": silent.owner})
    silent.accept(2, silent.chain.now() * 1000)
    calls = (leaving(silent, 1),)
    if when == "before the request would be":
        calls = (silent.vault.functions.requestExit(silent.owner, SALT),)
    silent.chain.pass_to(silent.chain.now() + EXIT_DELAY)
    for call in calls:
        with refused(silent.vault, "NotSilent"):
            call.call({"from": silent.owner})


def test_a_voided_request_stays_void_and_another_can_be_made(asked: World) -> None:
    asked.accept(2, asked.chain.now() * 1000)
    asked.chain.pass_to(heard(asked) + SILENCE + 1)
    with refused(asked.vault, "NotSilent"):
        leaving(asked, 1).call({"from": asked.owner})
    request(asked)
    with refused(asked.vault, "TooEarly"):
        leaving(asked, 1).call({"from": asked.owner})
    asked.chain.pass_to(asked.chain.now() + EXIT_DELAY)
    asked.chain.send(leaving(asked, 1), sender=asked.owner)


def test_hoarded_states_do_not_keep_owners_in(funded: World) -> None:
    """Signed while the network lived, submitted one by one after it died."""
    died = heard(funded)
    hoard = [funded.accept_call(2 + index, died * 1000 + 1 + index) for index in range(3)]
    funded.chain.pass_to(died + SILENCE + 1)
    funded.chain.send(hoard[0])
    assert heard(funded) == died
    request(funded)
    funded.chain.send(hoard[1])
    funded.chain.pass_to(funded.chain.now() + EXIT_DELAY)
    funded.chain.send(hoard[2])
    funded.chain.send(leaving(funded, 100), sender=funded.owner)


def test_a_state_from_the_future_is_heard_when_it_comes(funded: World) -> None:
    funded.accept(2, (funded.chain.now() + HOUR // 2) * 1000)
    assert heard(funded) == funded.chain.now()


@pytest.mark.parametrize("who", ["stranger", "payee"])
def test_only_the_owner(asked: World, who: str) -> None:
    sender = getattr(asked, who)
    for call in (asked.vault.functions.requestExit(asked.owner, SALT), leaving(asked, 1)):
        with refused(asked.vault, "NotOwner", sender=sender.lower(), owner=asked.owner.lower()):
            call.call({"from": sender})
    own = asked.vault.functions.executeExit(sender, SALT, asked.token.address, 1, sender)
    with refused(asked.vault, "NoExitRequest", account=account_id(NETWORK, sender, SALT)):
        own.call({"from": sender})


def test_only_what_the_account_holds(asked: World) -> None:
    with refused(asked.vault, "InsufficientBalance", wanted=101, held=100):
        leaving(asked, 101).call({"from": asked.owner})
    with refused(asked.vault, "ZeroAmount"):
        leaving(asked, 0).call({"from": asked.owner})
    for payee in (NATIVE, asked.vault.address):
        call = asked.vault.functions.executeExit(asked.owner, SALT, asked.token.address, 1, payee)
        with refused(asked.vault, "BadPayee"):
            call.call({"from": asked.owner})


def test_caps_apply(world: World) -> None:
    world = world.with_vault({NATIVE: UNLIMITED, world.token.address: 100})
    world.allow(world.token)
    world.deposit(500)
    world.chain.pass_to(heard(world) + SILENCE + 1)
    request(world)
    world.chain.pass_to((world.chain.now() + EXIT_DELAY) // WINDOW * WINDOW + WINDOW)
    world.chain.send(leaving(world, 50), sender=world.owner)
    with refused(world.vault, "CapExceeded", wanted=1, left=0):
        leaving(world, 1).call({"from": world.owner})


def test_the_nonce_counts_attestations_only(asked: World) -> None:
    """One issued before the silence, if it has not expired, and the exit share what the account holds."""
    pending = asked.release(70).but(expiry=asked.chain.now() + HOUR)
    asked.chain.send(leaving(asked, 60), sender=asked.owner)
    assert asked.nonce() == 0
    with refused(asked.vault, "InsufficientBalance", wanted=70, held=40):
        asked.call("seizure", pending).call()
    asked.chain.send(asked.call("seizure", pending.but(items=((asked.token.address, 40, 0),))))
    assert (asked.booked(), asked.nonce(), asked.held(asked.vault.address)) == (0, 1, 0)
