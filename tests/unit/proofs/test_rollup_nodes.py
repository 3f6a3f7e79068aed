"""Arbitrum's nodes before BoLD: the newest confirmed and those that wait, each for its very block."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode

from chains.errors import ClaimMismatch, MalformedProof
from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.receipts import Log
from chains.proofs.rollup import errors, nodes
from chains.proofs.rollup.assertions import AssertedBlock
from chains.proofs.rollup.layout import NODES, NodesRecipe
from chains.proofs.rollup.state import L1State, member
from chains.proofs.slots import mapping_slot, uint_word
from chains.types import Hash32
from tests.unit.proofs.l1 import L1

BLOCK, SENDS = keccak(b"block"), keccak(b"sends")
PASSED, PROPOSED = RollupFinality.CHALLENGE_PASSED, RollupFinality.PROPOSED


def created(block_hash: Hash32 = BLOCK, number: int = 5) -> Log:
    """The event of a node's creation, through another encoder."""
    state, zero = "((bytes32[2],uint64[2]),uint8)", bytes(32)
    before, after = (((zero, zero), (0, 0)), 1), (((block_hash, SENDS), (7, 3)), 1)
    data = encode(
        ["bytes32", f"({state},{state},uint64)", "bytes32", "bytes32", "uint256"],
        [zero, (before, after, 9), zero, zero, 11],
    )
    return Log(L1().deploy(1, b""), (nodes.CREATED, uint_word(number), keccak(b"parent"), keccak(b"node")), data)


class Site:
    """Of nodes that are all of one block, 5 is the newest confirmed, and 6 and 7 wait."""

    def __init__(self) -> None:
        self.l1 = L1()
        self.recipe = NodesRecipe(self.l1.proxy(0x10, b"rollup"), NODES)
        words = ((NODES.latest_confirmed, 5), (NODES.first_unresolved, 6), (NODES.latest_created, 7))
        for word, value in words:
            self.l1.write(self.recipe.rollup.address, word, value)
        for number in range(4, 9):
            base = mapping_slot(NODES.nodes, uint_word(number))
            data = int.from_bytes(keccak(BLOCK + SENDS), "big")
            self.l1.write(self.recipe.rollup.address, member(base, NODES.confirm_data), data)
            self.l1.write(self.recipe.rollup.address, member(base, NODES.created_block), 4242 + number)

    def state(self, *numbers: int) -> L1State:
        return self.l1.prove(nodes.node_needs(self.recipe, *numbers))

    def block(self, number: int, log: Log | None = None) -> AssertedBlock:
        return nodes.node_block(self.recipe, self.state(number), number, log or created())


def test_the_topic_is_that_of_every_such_event_of_arbitrum_one() -> None:
    assert nodes.CREATED.hex() == "4f4caa9e67fb994e349dd35d1ad0ce23053d4323f83ce11dc817b5435031d096"


@pytest.mark.parametrize(("number", "finality"), [(5, PASSED), (6, PROPOSED), (7, PROPOSED)])
def test_the_newest_confirmed_node_counts_and_those_after_it_are_proposed(
    number: int, finality: RollupFinality
) -> None:
    site = Site()
    found = site.block(number)
    assert (found.finality, found.block_hash, found.send_root) == (finality, BLOCK, SENDS)
    state = site.state(number)
    assert nodes.standing(site.recipe, state) == (5, range(7, 5, -1))
    assert nodes.created_block(site.recipe, state, number) == 4242 + number


@pytest.mark.parametrize("number", [4, 8])
def test_nodes_that_may_have_been_rejected_or_do_not_exist_do_not_count(number: int) -> None:
    with pytest.raises(errors.NoSuchClaim):
        Site().block(number)


def test_the_event_tells_the_preimage_and_cannot_tell_another() -> None:
    with pytest.raises(ClaimMismatch):
        Site().block(5, created(keccak(b"another block")))
    log = created()
    spoilt = (
        replace(log, data=log.data[:-32]),
        replace(log, data=log.data + bytes(32)),
        replace(log, data=b""),
        replace(log, topics=log.topics[:3]),
        replace(log, topics=(keccak(b"another event"), *log.topics[1:])),
    )
    for each in spoilt:
        with pytest.raises(MalformedProof):
            Site().block(5, each)


def test_a_rollup_that_has_asserted_nothing_yet_is_of_no_block() -> None:
    site = Site()
    base = mapping_slot(NODES.nodes, uint_word(5))
    word = member(base, NODES.confirm_data)
    site.l1.write(site.recipe.rollup.address, word, int.from_bytes(keccak(bytes(32) + SENDS), "big"))
    with pytest.raises(errors.NoSuchClaim, match="nothing has been asserted"):
        site.block(5, created(Hash32(bytes(32))))
    site.l1.write(site.recipe.rollup.address, word, 0)
    with pytest.raises(errors.NoSuchClaim, match="no such node"):
        site.block(5)


def test_an_upgraded_rollup_says_nothing() -> None:
    site = Site()
    site.l1.code[site.recipe.rollup.address] = b"another"
    with pytest.raises(errors.ContractChanged):
        site.block(5)
