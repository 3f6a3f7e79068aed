"""Assertions of Arbitrum chains: what a confirmed one says of the chain's block.

Owns the preimages (nitro-contracts `RollupLib.assertionHash` and `AssertionStateLib.hash`, before BoLD
`RollupLib.confirmHash`) and which assertions are confirmed. Must not know whether one that is not is true: everybody
who stakes can make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chains.errors import ClaimMismatch, MalformedProof
from chains.proofs.header import Header
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.receipts import Log
from chains.proofs.rollup.errors import AnotherRoot, MachineStuck, NoSuchClaim
from chains.proofs.rollup.layout import AssertionsRecipe, NodesRecipe
from chains.proofs.rollup.state import L1State, Needs, add_needs, member, pinned_needs
from chains.proofs.slots import mapping_slot, uint_word
from chains.types import Hash32, Height

PENDING, CONFIRMED = 1, 2
FINISHED = 1
"""The machine came to the end of a block."""

CREATED: Final = keccak(
    b"AssertionCreated(bytes32,bytes32,((bytes32,bytes32,(bytes32,uint256,address,uint64,uint64)),"
    b"((bytes32[2],uint64[2]),uint8,bytes32),((bytes32[2],uint64[2]),uint8,bytes32)),"
    b"bytes32,uint256,bytes32,uint256,address,uint64)"
)
"""The event that tells an assertion's preimage."""

_AFTER_STATE, _INBOX = 13, 19  # words of the event's data


@dataclass(frozen=True, slots=True)
class Assertion:
    """The preimage of an assertion's hash: what its chain's state is after it."""

    parent: Hash32
    block_hash: Hash32
    send_root: Hash32
    batch: int
    position: int
    machine: int
    history_root: Hash32
    inbox: Hash32
    """The accumulator of the inbox up to `batch`."""

    def hash(self) -> Hash32:
        """The name of the assertion."""
        words = (uint_word(self.batch), uint_word(self.position), uint_word(self.machine), self.history_root)
        after = keccak(b"".join((self.block_hash, self.send_root, *words)))
        return keccak(self.parent + after + self.inbox)


@dataclass(frozen=True, slots=True)
class AssertedBlock:
    """The rollup's block that L1 holds an assertion of, and how final that is."""

    block_hash: Hash32
    send_root: Hash32
    finality: RollupFinality
    where: str

    def check(self, header: Header) -> None:
        """Raise AnotherRoot unless `header` is this block. What it sends to L1 is in its extra data, under its hash."""
        if header.hash != self.block_hash:
            raise AnotherRoot(
                "An assertion is of another block than the rollup has",
                asserted=self.block_hash,
                block=header.hash,
                height=header.number,
            )


# === BoLD ===


def assertion_needs(recipe: AssertionsRecipe, *hashes: Hash32) -> Needs:
    """What has to be proven to know the newest confirmed assertion, and the standing of these."""
    slots = {recipe.layout.latest_confirmed.slot}
    for each in hashes:
        base = mapping_slot(recipe.layout.assertions, each)
        slots |= {member(base, recipe.layout.status).slot, member(base, recipe.layout.created_block).slot}
    return add_needs(pinned_needs(recipe.rollup), recipe.rollup.address, slots)


def latest_confirmed(recipe: AssertionsRecipe, state: L1State) -> Hash32:
    """The hash of the newest confirmed assertion."""
    state.check(recipe.rollup)
    return Hash32(state.word(recipe.rollup.address, recipe.layout.latest_confirmed).to_bytes(32, "big"))


def created_block(recipe: AssertionsRecipe, state: L1State, assertion: Hash32) -> Height:
    """The L1 block in which an assertion was made, and whose logs tell its preimage. Raises NoSuchClaim."""
    _status(recipe, state, assertion)
    word = member(mapping_slot(recipe.layout.assertions, assertion), recipe.layout.created_block)
    return Height(state.word(recipe.rollup.address, word))


def asserted_block(recipe: AssertionsRecipe, state: L1State, assertion: Assertion) -> AssertedBlock:
    """The block that `assertion` ends in, and whether it is confirmed. Raises NoSuchClaim, or MachineStuck.

    No proof of the preimage is needed but its hash: under another, there is no such assertion.
    """
    name = assertion.hash()
    confirmed = _status(recipe, state, name) == CONFIRMED
    if assertion.machine != FINISHED:
        raise MachineStuck("An assertion's machine did not finish", assertion=name, machine=assertion.machine)
    return AssertedBlock(
        assertion.block_hash,
        assertion.send_root,
        RollupFinality.CHALLENGE_PASSED if confirmed else RollupFinality.PROPOSED,
        f"assertion 0x{name.hex()}",
    )


def read_created(log: Log, wanted: Hash32) -> Assertion:
    """The preimage of the assertion `wanted`, as the event tells it; ClaimMismatch if it is that of another."""
    words = [Hash32(log.data[at : at + 32]) for at in range(0, len(log.data), 32)]
    if len(log.topics) != 3 or len(words) <= _INBOX or len(words[_INBOX]) != 32:
        raise MalformedProof("the event is not that of a new assertion", topics=len(log.topics), words=len(words))
    after = words[_AFTER_STATE : _AFTER_STATE + 6]
    batch, position, machine = (int.from_bytes(word, "big") for word in after[2:5])
    found = Assertion(log.topics[2], after[0], after[1], batch, position, machine, after[5], words[_INBOX])
    if found.hash() != wanted:
        raise ClaimMismatch("the event tells the preimage of another assertion", claimed=found.hash(), proven=wanted)
    return found


def _status(recipe: AssertionsRecipe, state: L1State, assertion: Hash32) -> int:
    state.check(recipe.rollup)
    word = member(mapping_slot(recipe.layout.assertions, assertion), recipe.layout.status)
    status = state.word(recipe.rollup.address, word)
    if status not in (PENDING, CONFIRMED):
        raise NoSuchClaim("The rollup has no such assertion", rollup=recipe.rollup.address, assertion=assertion)
    return status


# === Before BoLD ===


def node_needs(recipe: NodesRecipe, number: int) -> Needs:
    """What has to be proven to know the standing of a node and what it confirms."""
    layout = recipe.layout
    data = member(mapping_slot(layout.nodes, uint_word(number)), layout.confirm_data)
    slots = {layout.latest_confirmed.slot, layout.first_unresolved.slot, layout.latest_created.slot, data.slot}
    return add_needs(pinned_needs(recipe.rollup), recipe.rollup.address, slots)


def node_block(recipe: NodesRecipe, state: L1State, number: int, header: Header) -> AssertedBlock:
    """The standing of node `number`, if it is about the rollup's block `header`. Raises NoSuchClaim, or AnotherRoot.

    Of the nodes below the newest confirmed one, some were rejected, and storage does not tell which: those are refused.
    """
    state.check(recipe.rollup)
    rollup, layout = recipe.rollup.address, recipe.layout
    confirmed = state.word(rollup, layout.latest_confirmed)
    pending = range(state.word(rollup, layout.first_unresolved), state.word(rollup, layout.latest_created) + 1)
    if number != confirmed and number not in pending:
        raise NoSuchClaim(
            "A node is neither the newest confirmed nor one that waits", rollup=rollup, node=number, confirmed=confirmed
        )
    word = member(mapping_slot(layout.nodes, uint_word(number)), layout.confirm_data)
    data = state.word(rollup, word).to_bytes(32, "big")
    if keccak(header.hash + header.extra_data) != data:
        raise AnotherRoot("A node is of another block than the rollup has", node=number, block=header.hash)
    return AssertedBlock(
        header.hash,
        Hash32(header.extra_data),
        RollupFinality.CHALLENGE_PASSED if number == confirmed else RollupFinality.PROPOSED,
        f"node {number}",
    )
