"""Nodes of Arbitrum chains before BoLD: which wait, which is confirmed, and what each says of the chain's block.

Owns their standing and their preimage (nitro-contracts 1 and 2, `RollupLib.confirmHash`). Must not know whether one
that waits is true: whoever stakes can make one, and rivals wait side by side.

As with assertions, storage names the L1 block in which a node was made, and all receipts of that have the event.
"""

from __future__ import annotations

from typing import Final

from chains.errors import ClaimMismatch, MalformedProof
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.receipts import Log
from chains.proofs.rollup.assertions import AssertedBlock
from chains.proofs.rollup.errors import NoSuchClaim
from chains.proofs.rollup.layout import NodesRecipe
from chains.proofs.rollup.state import L1State, Needs, add_needs, member, pinned_needs
from chains.proofs.slots import mapping_slot, uint_word
from chains.types import Hash32, Height, WordRecipe

CREATED: Final = keccak(
    b"NodeCreated(uint64,bytes32,bytes32,bytes32,"
    b"(((bytes32[2],uint64[2]),uint8),((bytes32[2],uint64[2]),uint8),uint64),bytes32,bytes32,uint256)"
)
"""The event that tells what a node confirms."""

_BLOCK_HASH, _WORDS = 6, 15  # of the event's data


def node_needs(recipe: NodesRecipe, *numbers: int) -> Needs:
    """What has to be proven to know which nodes there are, and all about these."""
    layout = recipe.layout
    slots = {layout.latest_confirmed.slot, layout.first_unresolved.slot, layout.latest_created.slot}
    for number in numbers:
        base = mapping_slot(layout.nodes, uint_word(number))
        slots |= {member(base, layout.confirm_data).slot, member(base, layout.created_block).slot}
    return add_needs(pinned_needs(recipe.rollup), recipe.rollup.address, slots)


def standing(recipe: NodesRecipe, state: L1State) -> tuple[int, range]:
    """The number of the newest confirmed node, and those of the nodes that wait, newest first."""
    state.check(recipe.rollup)
    rollup, layout = recipe.rollup.address, recipe.layout
    newest, oldest = state.word(rollup, layout.latest_created), state.word(rollup, layout.first_unresolved)
    return state.word(rollup, layout.latest_confirmed), range(newest, oldest - 1, -1)


def confirm_data(recipe: NodesRecipe, state: L1State, number: int) -> Hash32:
    """What a node confirms, hashed; NoSuchClaim if there is no such node."""
    data = Hash32(_word(recipe, state, number, recipe.layout.confirm_data).to_bytes(32, "big"))
    if not any(data):
        raise NoSuchClaim("The rollup has no such node", rollup=recipe.rollup.address, node=number)
    return data


def created_block(recipe: NodesRecipe, state: L1State, number: int) -> Height:
    """The L1 block in which a node was made."""
    return Height(_word(recipe, state, number, recipe.layout.created_block))


def read_created(log: Log, wanted: Hash32) -> tuple[Hash32, Hash32]:
    """The block hash and the send root of which `wanted` is the hash, as the event tells them; else ClaimMismatch."""
    if len(log.topics) != 4 or log.topics[0] != CREATED or len(log.data) != 32 * _WORDS:
        raise MalformedProof("the event is not that of a new node", topics=len(log.topics), length=len(log.data))
    told = log.data[32 * _BLOCK_HASH : 32 * _BLOCK_HASH + 64]
    if (found := keccak(told)) != wanted:
        raise ClaimMismatch("the event tells the preimage of another node", claimed=found, proven=wanted)
    return Hash32(told[:32]), Hash32(told[32:])


def node_block(recipe: NodesRecipe, state: L1State, number: int, log: Log) -> AssertedBlock:
    """The standing of node `number` and its block, which the event `log` tells. Raises NoSuchClaim.

    Of the nodes below the newest confirmed one, some were rejected, and storage does not tell which: those are refused.
    """
    confirmed, waiting = standing(recipe, state)
    if number != confirmed and number not in waiting:
        raise NoSuchClaim(
            "A node is neither the newest confirmed nor one that waits",
            rollup=recipe.rollup.address,
            node=number,
            confirmed=confirmed,
        )
    block_hash, send_root = read_created(log, confirm_data(recipe, state, number))
    if not any(block_hash):
        raise NoSuchClaim("The node is of no block: nothing has been asserted yet", node=number)
    return AssertedBlock(
        block_hash,
        send_root,
        RollupFinality.CHALLENGE_PASSED if number == confirmed else RollupFinality.PROPOSED,
        f"node {number} of 0x{recipe.rollup.address.hex()}",
    )


def _word(recipe: NodesRecipe, state: L1State, number: int, word: WordRecipe) -> int:
    return state.word(recipe.rollup.address, member(mapping_slot(recipe.layout.nodes, uint_word(number)), word))
