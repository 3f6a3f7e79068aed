"""Nodes derive slots and never ask for them: what they derive must be where the value lies."""

from __future__ import annotations

from eth_utils.crypto import keccak

from chains.evm.contracts import Artifact, StorageVariable, artifact
from tests.integration.contracts.digests import word
from tests.integration.contracts.harness import NATIVE, UNLIMITED, events
from tests.integration.contracts.test_vault_exit import heard, request
from tests.integration.contracts.world import SILENCE, WINDOW, World


def mapped(key: int | str | bytes, slot: int) -> int:
    return int.from_bytes(keccak((key if isinstance(key, bytes) else word(key)) + word(slot)), "big")


def members(variable: StorageVariable) -> list[tuple[str, int, int, int]]:
    return [(member.label, member.slot, member.offset, member.size) for member in variable.members]


def test_the_vault_keeps_its_books_where_nodes_look(world: World) -> None:
    world.deposit(100)
    world.deposit_native(50)
    world.chain.pass_to((world.chain.now() // WINDOW + 1) * WINDOW)  # both releases fall into one window
    world.chain.send(world.call("seizure", world.release(30)))
    world.chain.send(world.call("withdrawal", world.release(7, nonce=2)))

    def stored(slot: int) -> int:
        return world.chain.storage(world.vault, slot)

    token, account = world.token.address, world.account
    assert stored(mapped(token, mapped(account, 0))) == world.booked() == 63
    assert stored(mapped(NATIVE, mapped(account, 0))) == world.booked(NATIVE) == 50
    assert stored(mapped(account, 1)) == world.nonce() == 2
    assert stored(mapped(token, 2)) == world.total() == 63
    assert stored(mapped(token, 3)) == UNLIMITED
    assert stored(mapped(token, 4)) == world.chain.now() // WINDOW | 7 << 32 | 37 << 144
    world.chain.pass_to(heard(world) + SILENCE + 1)
    request(world)
    assert stored(mapped(account, 5)) == world.chain.now()


def test_the_vault_keeps_links_where_nodes_look(world: World) -> None:
    functions, slot = world.vault.functions, mapped(world.stranger, mapped(world.account, 6))
    for joins in (True, True, False):
        receipt = world.chain.send(functions.setLink(world.account, joins), sender=world.stranger)
        assert world.chain.storage(world.vault, slot) == int(joins)
        assert functions.links(world.account, world.stranger).call() is joins
        (told,) = events(world.vault.events.LinkSet(), receipt)
        assert dict(told["args"]) == {"account": world.account, "wallet": world.stranger, "joins": joins}
    assert not functions.links(world.account, world.owner).call()


def test_the_compiler_agrees_with_the_vaults_description() -> None:
    layout = [(variable.label, variable.slot, variable.offset, variable.type) for variable in vault().storage]
    assert layout == [
        ("balances", 0, 0, "mapping(bytes32 => mapping(address => uint256))"),
        ("nonces", 1, 0, "mapping(bytes32 => uint64)"),
        ("totals", 2, 0, "mapping(address => uint256)"),
        ("caps", 3, 0, "mapping(address => uint256)"),
        ("outflows", 4, 0, "mapping(address => struct CollateralVault.Outflow)"),
        ("exitRequests", 5, 0, "mapping(bytes32 => uint64)"),
        ("links", 6, 0, "mapping(bytes32 => mapping(address => bool))"),
    ]
    assert members(vault().storage[4]) == [("window", 0, 0, 4), ("byOwners", 0, 4, 14), ("total", 0, 18, 14)]


def test_the_compiler_agrees_with_the_verifiers_description() -> None:
    signer_set, accepted, header, used = artifact("StateVerifier").storage
    assert [signer_set.slot, accepted.slot, header.slot, used.slot] == [0, 1, 2, 3]
    assert members(signer_set) == [("code", 0, 0, 20), ("count", 0, 20, 1), ("f", 0, 21, 1)]
    assert members(accepted) == [("sequence", 0, 0, 8), ("timeMs", 0, 8, 8), ("acceptedAt", 0, 16, 8)]
    assert header.type == "bytes32"


def test_the_compiler_agrees_with_the_feeds_description() -> None:
    latest, quotes, description = artifact("PriceFeed").storage
    assert [latest.slot, quotes.slot, description.slot] == [0, 1, 2]
    assert members(latest) == members(quotes)
    assert members(latest) == [("answer", 0, 0, 16), ("updatedAt", 0, 16, 8), ("roundId", 0, 24, 8)]


def test_the_code_of_an_instance_can_be_foretold(world: World) -> None:
    functions = world.vault.functions
    immutables = {
        "verifier": int(world.verifier.address, 16),
        "networkId": int.from_bytes(functions.networkId().call(), "big"),
        "window": WINDOW,
        "silence": SILENCE,
        "exitDelay": functions.exitDelay().call(),
        "deployedAt": functions.deployedAt().call(),
    }
    code = bytes(world.chain.web3.eth.get_code(world.vault.address))
    assert vault().instance_code(immutables) == code
    assert vault().instance_code(immutables | {"window": WINDOW + 1}) != code
    assert bytes(world.chain.web3.eth.get_code(world.verifier.address)) == artifact("StateVerifier").runtime


def vault() -> Artifact:
    return artifact("CollateralVault")
