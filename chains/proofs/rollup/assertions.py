"""Assertions of Arbitrum chains with BoLD: what one says of the chain's block, and which follow on the confirmed one.

Owns the preimage (nitro-contracts 3, `RollupLib.assertionHash` and `AssertionStateLib.hash`) and the standing of an
assertion. Must not know whether one that is not confirmed is true: everybody who stakes can make one.

Nothing here rests on a search for events, which an endpoint can leave out of its answer. Storage names the newest
confirmed assertion, the L1 block in which each was made, and that in which the first one was made that follows on it;
all receipts of that block, checked against its root, have the event, and the assertion's hash binds what it tells.
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
from chains.proofs.rollup.layout import AssertionsRecipe
from chains.proofs.rollup.state import L1State, Needs, add_needs, member, pinned_needs
from chains.proofs.slots import mapping_slot, uint_word
from chains.types import Hash32, Height, WordRecipe

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


def assertion_needs(recipe: AssertionsRecipe, *hashes: Hash32) -> Needs:
    """What has to be proven to know the newest confirmed assertion, and all about these."""
    slots = {recipe.layout.latest_confirmed.slot}
    for each in hashes:
        base = mapping_slot(recipe.layout.assertions, each)
        words = (recipe.layout.status, recipe.layout.created_block, recipe.layout.first_child)
        slots |= {member(base, word).slot for word in words}
    return add_needs(pinned_needs(recipe.rollup), recipe.rollup.address, slots)


def latest_confirmed(recipe: AssertionsRecipe, state: L1State) -> Hash32:
    """The hash of the newest confirmed assertion."""
    state.check(recipe.rollup)
    return Hash32(state.word(recipe.rollup.address, recipe.layout.latest_confirmed).to_bytes(32, "big"))


def created_block(recipe: AssertionsRecipe, state: L1State, assertion: Hash32) -> Height:
    """The L1 block in which an assertion was made, and whose logs tell its preimage. Raises NoSuchClaim."""
    _status(recipe, state, assertion)
    return Height(_word(recipe, state, assertion, recipe.layout.created_block))


def first_child_block(recipe: AssertionsRecipe, state: L1State, assertion: Hash32) -> Height | None:
    """The L1 block in which the first assertion was made that follows on this one, None before. Raises NoSuchClaim."""
    _status(recipe, state, assertion)
    return Height(_word(recipe, state, assertion, recipe.layout.first_child)) or None


def asserted_block(recipe: AssertionsRecipe, state: L1State, assertion: Assertion) -> AssertedBlock:
    """The block that `assertion` ends in, and whether it is confirmed. Raises NoSuchClaim, or MachineStuck.

    No proof of the preimage is needed but its hash: under another, there is no such assertion. That of a rollup's very
    beginning may be of no block.
    """
    name = assertion.hash()
    confirmed = _status(recipe, state, name) == CONFIRMED
    if assertion.machine != FINISHED:
        raise MachineStuck("An assertion's machine did not finish", assertion=name, machine=assertion.machine)
    if not any(assertion.block_hash):
        raise NoSuchClaim("The assertion is of no block: nothing has been asserted yet", assertion=name)
    return AssertedBlock(
        assertion.block_hash,
        assertion.send_root,
        RollupFinality.CHALLENGE_PASSED if confirmed else RollupFinality.PROPOSED,
        f"assertion 0x{name.hex()}",
    )


def read_created(log: Log) -> Assertion:
    """The preimage that the event tells of the assertion that it names; ClaimMismatch if it is that of another."""
    words = [Hash32(log.data[at : at + 32]) for at in range(0, len(log.data), 32)]
    if len(log.topics) != 3 or log.topics[0] != CREATED or len(words) <= _INBOX or len(words[_INBOX]) != 32:
        raise MalformedProof("the event is not that of a new assertion", topics=len(log.topics), words=len(words))
    after = words[_AFTER_STATE : _AFTER_STATE + 6]
    batch, position, machine = (int.from_bytes(word, "big") for word in after[2:5])
    found = Assertion(log.topics[2], after[0], after[1], batch, position, machine, after[5], words[_INBOX])
    if found.hash() != log.topics[1]:
        raise ClaimMismatch("the event tells another assertion's preimage", claimed=found.hash(), proven=log.topics[1])
    return found


def _status(recipe: AssertionsRecipe, state: L1State, assertion: Hash32) -> int:
    state.check(recipe.rollup)
    status = _word(recipe, state, assertion, recipe.layout.status)
    if status not in (PENDING, CONFIRMED):
        raise NoSuchClaim("The rollup has no such assertion", rollup=recipe.rollup.address, assertion=assertion)
    return status


def _word(recipe: AssertionsRecipe, state: L1State, assertion: Hash32, word: WordRecipe) -> int:
    return state.word(recipe.rollup.address, member(mapping_slot(recipe.layout.assertions, assertion), word))
