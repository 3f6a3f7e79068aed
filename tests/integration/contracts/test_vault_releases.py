from __future__ import annotations

from collections.abc import Mapping

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chains.evm.contracts import Artifact
from tests.integration.contracts.digests import Release
from tests.integration.contracts.harness import NATIVE, UNLIMITED, events, refused
from tests.integration.contracts.world import World

PURPOSES = ("withdrawal", "seizure")
both = pytest.mark.parametrize("purpose", PURPOSES)


def mixed(world: World) -> tuple[tuple[str, int], ...]:
    return ((NATIVE, 30), (world.token.address, 40))


@both
def test_a_release_pays_all_its_items(world: World, purpose: str) -> None:
    world.deposit(100)
    world.deposit_native(100)
    before = world.chain.coins(world.payee)
    release = world.release(mixed(world))
    receipt = world.chain.send(world.call(purpose, release))
    assert (world.booked(), world.booked(NATIVE), world.nonce()) == (60, 70, 1)
    assert (world.total(), world.total(NATIVE)) == (60, 70)
    assert world.held(world.payee) == 40
    assert world.chain.coins(world.payee) == before + 30
    kind = world.vault.events.Withdrawn() if purpose == "withdrawal" else world.vault.events.Seized()
    told = [dict(event["args"]) for event in events(kind, receipt)]
    common = {"account": world.account, "payee": world.payee, "nonce": 1, "referenceId": release.reference}
    assert told == [common | {"token": token, "amount": amount} for token, amount, _ in release.items]


@both
def test_anyone_may_submit(world: World, purpose: str) -> None:
    world.deposit(100)
    world.chain.send(world.call(purpose, world.release(40)), sender=world.stranger)
    assert (world.held(world.payee), world.held(world.stranger)) == (40, 0)


def test_an_account_can_be_emptied(world: World) -> None:
    world.deposit(100)
    world.chain.send(world.call("seizure", world.release(100)))
    assert (world.booked(), world.total(), world.held(world.vault.address)) == (0, 0, 0)


def test_sixteen_items(world: World) -> None:
    tokens = [world.chain.deploy("TestToken", f"T{index}", "T", 18) for index in range(16)]
    world = world.with_vault({token.address: UNLIMITED for token in tokens})
    for token in tokens:
        world.fund(token)
        world.deposit(10, token)
    items = tuple(sorted(((token.address, 3) for token in tokens), key=lambda item: int(item[0], 16)))
    world.chain.send(world.call("seizure", world.release(items)))
    assert all(world.held(world.payee, token) == 3 for token in tokens)


@both
@pytest.mark.parametrize("count", [0, 3, 4, 6, 7])
def test_exactly_a_quorum(world: World, purpose: str, count: int) -> None:
    world.deposit(100)
    release = world.release(40)
    digest = release.digest(purpose, world.committee.config, world.chain.chain_id, world.vault.address)
    signatures = world.committee.sign(digest, range(count))
    with refused(world.verifier, "WrongSignatureCount", given=count, required=5):
        world.call(purpose, release, signatures).call()


@both
@pytest.mark.parametrize(
    "field", ["account", "payee", "amount", "minimum", "token", "reference", "sequence", "header", "expiry"]
)
def test_every_field_is_signed(world: World, purpose: str, field: str) -> None:
    world.deposit(100)
    world.deposit_native(100)
    release = world.release(40)
    signatures = world.sign(purpose, release)
    altered = {
        "account": release.but(account=keccak(b"other")),
        "payee": release.but(payee=world.stranger),
        "amount": release.but(items=((world.token.address, 41, 0),)),
        "minimum": release.but(items=((world.token.address, 40, 1),)),
        "token": release.but(items=((NATIVE, 40, 0),)),
        "reference": release.but(reference=bytes(32)),
        "sequence": release.but(sequence=42),
        "header": release.but(header_hash=bytes(32)),
        "expiry": release.but(expiry=release.expiry + 1),
    }[field]
    with refused(world.verifier, "WrongSigner", index=0):
        world.call(purpose, altered, signatures).call()


@both
def test_the_nonce_is_signed(world: World, purpose: str) -> None:
    world.deposit(100)
    first = world.release(40)
    world.chain.send(world.call(purpose, first))
    with refused(world.verifier, "WrongSigner", index=0):
        world.call(purpose, first.but(nonce=2), world.sign(purpose, first)).call()


@pytest.mark.parametrize("what", ["chain", "vault", "config", "purpose"])
def test_a_signature_for_elsewhere(world: World, what: str) -> None:
    world.deposit(100)
    release = world.release(40)
    config = keccak(b"other") if what == "config" else world.committee.config
    chain_id = world.chain.chain_id + (what == "chain")
    vault = world.token.address if what == "vault" else world.vault.address
    purpose = "withdrawal" if what == "purpose" else "seizure"
    digest = release.digest(purpose, config, chain_id, vault)
    with refused(world.verifier, "WrongSigner", index=0):
        world.call("seizure", release, world.committee.sign(digest, range(5))).call()


def test_a_sibling_vault_does_not_take_it(world: World) -> None:
    world.deposit(100)
    sibling = world.with_vault({world.token.address: UNLIMITED})
    sibling.allow(world.token)
    sibling.deposit(100)
    release = world.release(40)
    with refused(world.verifier, "WrongSigner", index=0):
        sibling.call("seizure", release, world.sign("seizure", release)).call()


@both
def test_it_executes_once(world: World, purpose: str) -> None:
    world.deposit(100)
    release = world.release(40)
    world.chain.send(world.call(purpose, release))
    for again in PURPOSES:
        with refused(world.vault, "WrongNonce", given=1, expected=2):
            world.call(again, release).call()


def test_nonces_do_not_jump(world: World) -> None:
    world.deposit(100)
    for nonce in (0, 2, 2**64 - 1):
        with refused(world.vault, "WrongNonce", account=world.account, given=nonce, expected=1):
            world.call("seizure", world.release(40, nonce=nonce)).call()


def test_of_two_with_one_nonce_one_executes(world: World) -> None:
    world.deposit(100)
    withdrawal = world.call("withdrawal", world.release(40))
    seizure = world.call("seizure", world.release(90))
    world.chain.send(seizure)
    with refused(world.vault, "WrongNonce"):
        withdrawal.call()
    world.chain.send(world.call("withdrawal", world.release(10, nonce=2)))
    assert (world.booked(), world.nonce()) == (0, 2)


@both
def test_it_expires(world: World, purpose: str) -> None:
    world.deposit(100)
    release = world.release(40)
    snapshot = world.chain.rpc("evm_snapshot")
    world.chain.at_time(release.expiry)
    world.chain.send(world.call(purpose, release))
    world.chain.rpc("evm_revert", snapshot)
    world.chain.at_time(release.expiry + 1)
    assert world.chain.attempt(world.call(purpose, release))["status"] == 0
    with refused(world.vault, "Expired", expiry=release.expiry):
        world.call(purpose, release).call()


class TestItems:
    def refusal(self, world: World, items: tuple[tuple[str, int], ...]) -> Release:
        world.deposit(100)
        world.deposit_native(100)
        return world.release(items)

    def test_they_ascend(self, world: World) -> None:
        token = world.token.address
        release = self.refusal(world, ((token, 40), (NATIVE, 30)))
        with refused(world.vault, "ItemsNotAscending", token=NATIVE, previous=token.lower()):
            world.call("seizure", release).call()

    def test_they_are_distinct(self, world: World) -> None:
        token = world.token.address
        with refused(world.vault, "ItemsNotAscending"):
            world.call("withdrawal", self.refusal(world, ((token, 40), (token, 30)))).call()

    @pytest.mark.parametrize("count", [0, 17])
    def test_one_to_sixteen(self, world: World, count: int) -> None:
        items = tuple((to_checksum_address(f"0x{index:040x}"), 1) for index in range(count))
        for purpose in PURPOSES:
            with refused(world.vault, "BadItemCount", given=count):
                world.call(purpose, self.refusal(world, items)).call()

    def test_none_is_zero(self, world: World) -> None:
        with refused(world.vault, "ZeroAmount", token=world.token.address.lower()):
            world.call("seizure", self.refusal(world, ((NATIVE, 1), (world.token.address, 0)))).call()

    def test_all_are_held_or_nothing_moves(self, world: World) -> None:
        release = self.refusal(world, ((NATIVE, 30), (world.token.address, 101)))
        with refused(world.vault, "InsufficientBalance", wanted=101, held=100, account=world.account):
            world.call("seizure", release).call()
        assert world.chain.attempt(world.call("seizure", release))["status"] == 0
        assert (world.booked(NATIVE), world.booked(), world.nonce()) == (100, 100, 0)

    def test_others_collateral_is_out_of_reach(self, world: World) -> None:
        other = keccak(b"other")
        world.chain.send(world.vault.functions.deposit(other, world.token.address, 50), sender=world.owner)
        with refused(world.vault, "InsufficientBalance", wanted=101, held=100):
            world.call("withdrawal", self.refusal(world, ((world.token.address, 101),))).call()


@both
def test_the_payee_is_somebody_else(world: World, purpose: str) -> None:
    world.deposit(100)
    for payee in (NATIVE, world.vault.address):
        with refused(world.vault, "BadPayee", payee=payee.lower()):
            world.call(purpose, world.release(40).but(payee=payee)).call()


class TestPayees:
    def test_a_blacklisted_payee_voids_all_of_it(self, world: World, hostile: Mapping[str, Artifact]) -> None:
        token = world.chain.deploy(hostile["BlacklistToken"])
        world = world.with_vault({NATIVE: UNLIMITED, token.address: UNLIMITED})
        world.fund(token)
        world.deposit(100, token)
        world.deposit_native(100)
        world.chain.send(token.functions.setBlacklisted(world.payee, True))
        release = world.release(((NATIVE, 1), (token.address, 40)))
        before = world.chain.coins(world.payee)
        with refused(token, "Blacklisted", account=world.payee.lower()):
            world.call("seizure", release).call()
        assert world.chain.attempt(world.call("seizure", release))["status"] == 0
        assert (world.booked(token.address), world.booked(NATIVE), world.nonce()) == (100, 100, 0)
        assert world.chain.coins(world.payee) == before
        world.chain.send(token.functions.setBlacklisted(world.payee, False))
        world.chain.send(world.call("seizure", release))
        assert (world.held(world.payee, token), world.nonce()) == (40, 1)

    def test_a_payee_that_takes_no_coin(self, world: World, hostile: Mapping[str, Artifact]) -> None:
        refuser = world.chain.deploy(hostile["Refuser"])
        world.deposit_native(100)
        release = world.release(((NATIVE, 30),)).but(payee=refuser.address)
        with refused(world.vault, "NativeTransferFailed", payee=refuser.address.lower(), amount=30):
            world.call("seizure", release).call()
        assert world.nonce() == 0

    def test_a_payee_that_answers_too_much(self, world: World, hostile: Mapping[str, Artifact]) -> None:
        bomb = world.chain.deploy(hostile["ReturnBomb"])
        world.deposit_native(100)
        release = world.release(((NATIVE, 30),)).but(payee=bomb.address)
        # A megabyte costs its maker 2.2 million gas, and would cost the vault as much to copy.
        receipt = world.chain.send(world.call("seizure", release))
        assert receipt["gasUsed"] < 2_500_000

    def test_a_fee_on_the_way_out_is_the_payees(self, world: World, hostile: Mapping[str, Artifact]) -> None:
        token = world.chain.deploy(hostile["FeeToken"])
        world = world.with_vault({token.address: UNLIMITED})
        world.fund(token)
        world.deposit(10_000, token)
        world.chain.send(world.call("seizure", world.release(((token.address, 1000),))))
        assert world.held(world.payee, token) == 990
        assert world.booked(token.address) == world.held(world.vault.address, token) == 8900
