"""Arbitrum's assertions: only the confirmed count, and only for their very block."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode

from chains.errors import ClaimMismatch, MalformedProof
from chains.proofs.header import verify_header
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.receipts import Log
from chains.proofs.rollup import assertions, errors
from chains.proofs.rollup.assertions import Assertion
from chains.proofs.rollup.layout import BOLD, AssertionsRecipe
from chains.proofs.rollup.state import L1State, member
from chains.proofs.slots import mapping_slot
from chains.types import Hash32, WordRecipe
from tests.unit.proofs.chain import block, hexed
from tests.unit.proofs.l1 import L1

SEND_ROOT = keccak(b"sends")
HEADER = verify_header(block(extraData=hexed(SEND_ROOT)))
OTHER = verify_header(block(extraData=hexed(SEND_ROOT), number="0x65"))
ASSERTION = Assertion(keccak(b"parent"), HEADER.hash, SEND_ROOT, 7, 3, 1, keccak(b"history"), keccak(b"inbox"))
_STATE = "((bytes32[2],uint64[2]),uint8,bytes32)"
_INPUTS = f"((bytes32,bytes32,(bytes32,uint256,address,uint64,uint64)),{_STATE},{_STATE})"


def abi_hash(item: Assertion) -> Hash32:
    """The assertion's hash as the contract computes it, through another encoder."""
    after = (((item.block_hash, item.send_root), (item.batch, item.position)), item.machine, item.history_root)
    return keccak(item.parent + keccak(encode([_STATE], [after])) + item.inbox)


def created(item: Assertion) -> Log:
    """The event of an assertion's creation."""
    zero, no_one = bytes(32), "0x" + "00" * 20
    before = ((zero, zero), (1, 2)), 1, zero
    after = (((item.block_hash, item.send_root), (item.batch, item.position)), item.machine, item.history_root)
    data = encode(
        [_INPUTS, "bytes32", "uint256", "bytes32", "uint256", "address", "uint64"],
        [((zero, zero, (zero, 5, no_one, 6, 8)), before, after), item.inbox, 9, zero, 1, no_one, 45818],
    )
    return Log(L1().deploy(1, b""), (assertions.CREATED, item.hash(), item.parent), data)


def test_the_hash_is_the_contracts() -> None:
    assert ASSERTION.hash() == abi_hash(ASSERTION)
    # The topic of every such event of Arbitrum One.
    assert assertions.CREATED.hex() == "901c3aee23cf4478825462caaab375c606ab83516060388344f0650340753630"


def test_the_event_tells_the_preimage_and_cannot_tell_another() -> None:
    log = created(ASSERTION)
    assert assertions.read_created(log) == ASSERTION
    other = created(replace(ASSERTION, block_hash=keccak(b"lie")))
    for topics in ((assertions.CREATED, other.topics[1], log.topics[2]), (*log.topics[:2], keccak(b"parent's"))):
        with pytest.raises(ClaimMismatch):
            assertions.read_created(replace(log, topics=topics))
    for data in (log.data[:-320], log.data[: 19 * 32 + 5], b""):
        with pytest.raises(MalformedProof):
            assertions.read_created(replace(log, data=data))
    for topics in (log.topics[:2], (keccak(b"another event"), *log.topics[1:])):
        with pytest.raises(MalformedProof):
            assertions.read_created(replace(log, topics=topics))


class Bold:
    """A rollup of this generation that holds one assertion, with a status."""

    def __init__(self, status: int = assertions.CONFIRMED, item: Assertion = ASSERTION) -> None:
        self.l1 = L1()
        self.item = item
        self.recipe = AssertionsRecipe(self.l1.proxy(0x10, b"rollup"), BOLD)
        base = mapping_slot(BOLD.assertions, item.hash())
        self.write(member(base, BOLD.status), status)
        self.write(member(base, BOLD.created_block), 4242)
        self.write(member(base, BOLD.first_child), 4343)
        self.write(BOLD.latest_confirmed, int.from_bytes(item.hash(), "big"))

    def write(self, word: WordRecipe, value: int) -> None:
        self.l1.write(self.recipe.rollup.address, word, value)

    def state(self, item: Assertion) -> L1State:
        return self.l1.prove(assertions.assertion_needs(self.recipe, item.hash()))

    def block(self, item: Assertion = ASSERTION) -> assertions.AssertedBlock:
        return assertions.asserted_block(self.recipe, self.state(item), item)


def test_a_confirmed_assertion_has_passed_its_challenge() -> None:
    site = Bold()
    found = site.block()
    assert found.finality is RollupFinality.CHALLENGE_PASSED
    found.check(HEADER)
    state = site.state(ASSERTION)
    assert assertions.latest_confirmed(site.recipe, state) == ASSERTION.hash()
    assert assertions.created_block(site.recipe, state, ASSERTION.hash()) == 4242
    assert assertions.first_child_block(site.recipe, state, ASSERTION.hash()) == 4343


def test_the_newest_has_none_that_follows_on_it() -> None:
    site = Bold()
    site.write(member(mapping_slot(BOLD.assertions, ASSERTION.hash()), BOLD.first_child), 0)
    assert assertions.first_child_block(site.recipe, site.state(ASSERTION), ASSERTION.hash()) is None
    unknown = replace(ASSERTION, batch=8)
    with pytest.raises(errors.NoSuchClaim):
        assertions.first_child_block(site.recipe, site.state(unknown), unknown.hash())


def test_that_of_the_very_beginning_is_of_no_block() -> None:
    item = replace(ASSERTION, block_hash=Hash32(bytes(32)))
    with pytest.raises(errors.NoSuchClaim, match="nothing has been asserted"):
        Bold(item=item).block(item)


def test_one_that_waits_is_proposed() -> None:
    assert Bold(assertions.PENDING).block().finality is RollupFinality.PROPOSED


@pytest.mark.parametrize(
    "changes",
    [
        {"parent": keccak(b"x")},
        {"block_hash": OTHER.hash},
        {"send_root": keccak(b"x")},
        {"batch": 8},
        {"position": 4},
        {"machine": 2},
        {"history_root": keccak(b"x")},
        {"inbox": keccak(b"x")},
    ],
)
def test_another_preimage_is_another_assertion_which_nobody_made(changes: dict[str, Hash32 | int]) -> None:
    with pytest.raises(errors.NoSuchClaim):
        Bold().block(replace(ASSERTION, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("machine", [0, 2, 3])
def test_a_machine_that_did_not_finish_ends_in_no_block(machine: int) -> None:
    item = replace(ASSERTION, machine=machine)
    with pytest.raises(errors.MachineStuck):
        Bold(item=item).block(item)


@pytest.mark.parametrize("status", [0, 3])
def test_a_status_without_meaning_is_none(status: int) -> None:
    with pytest.raises(errors.NoSuchClaim):
        Bold(status).block()


def test_it_is_of_its_very_block() -> None:
    with pytest.raises(errors.AnotherRoot):
        Bold().block().check(OTHER)


def test_an_upgraded_rollup_says_nothing() -> None:
    site = Bold()
    site.l1.code[site.recipe.rollup.address] = b"another"
    with pytest.raises(errors.ContractChanged):
        site.block()
