"""The output oracle: what is in its list and out of the challenger's reach counts."""

from __future__ import annotations

import pytest

from chains.proofs.keccak import keccak
from chains.proofs.output_root import RollupFinality
from chains.proofs.rollup import errors, oracle
from chains.proofs.rollup.layout import ORACLES, OracleRecipe
from chains.proofs.rollup.state import Claim, item_slot
from chains.proofs.slots import member_slot, uint_word
from chains.types import Height, UnixSeconds, WordRecipe
from tests.unit.proofs.l1 import L1

ROOT, PROPOSED_AT, PERIOD = keccak(b"root"), 900_000, 3600


class Site:
    def __init__(self, version: str, delay: int = PERIOD) -> None:
        self.l1 = L1(time=PROPOSED_AT + PERIOD + 1)
        self.recipe = OracleRecipe(self.l1.proxy(0x10, b"oracle"), ORACLES[version], delay)
        self.write(0, 3)
        first = item_slot(uint_word(3), 2, 2)
        self.write(int.from_bytes(first, "big"), int.from_bytes(ROOT, "big"))
        self.l1.write(self.recipe.oracle.address, WordRecipe(member_slot(first, 1), 0, 16), PROPOSED_AT)
        self.l1.write(self.recipe.oracle.address, WordRecipe(member_slot(first, 1), 16, 16), 1234)
        self.count(3)

    def write(self, slot: int, value: int) -> None:
        self.l1.put(self.recipe.oracle.address, slot, value)

    def count(self, outputs: int) -> None:
        self.write(3, outputs)

    def claim(self, index: int = 2) -> Claim:
        state = self.l1.prove(oracle.oracle_needs(self.recipe, index))
        return oracle.output_claim(self.recipe, state, index)


@pytest.mark.parametrize("version", ORACLES)
def test_an_output_older_than_the_period_has_passed_its_challenge(version: str) -> None:
    site = Site(version)
    where = f"output 2 of 0x{site.recipe.oracle.address.hex()}"
    assert site.claim() == Claim(ROOT, Height(1234), RollupFinality.CHALLENGE_PASSED, UnixSeconds(PROPOSED_AT), where)
    site.l1.time -= 1
    assert site.claim() == Claim(
        ROOT, Height(1234), RollupFinality.PROPOSED, UnixSeconds(PROPOSED_AT), where, UnixSeconds(PROPOSED_AT + PERIOD)
    )


def test_the_longer_of_the_two_periods_holds() -> None:
    site = Site("stored")
    site.write(8, PERIOD + 10)
    assert site.claim().finality is RollupFinality.PROPOSED
    site.l1.time += 10
    assert site.claim().finality is RollupFinality.CHALLENGE_PASSED
    assert Site("stored", delay=PERIOD + 10).claim().finality is RollupFinality.PROPOSED


def test_an_output_that_was_deleted_does_not_count_though_its_words_are_still_there() -> None:
    site = Site("stored")
    site.count(2)
    with pytest.raises(errors.NoSuchClaim):
        site.claim()


def test_another_code_says_nothing() -> None:
    site = Site("stored")
    site.l1.code[site.recipe.oracle.address] = b"another"
    with pytest.raises(errors.ContractChanged):
        site.claim()
