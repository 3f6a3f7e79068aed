"""Nodes that know the same fact by different means agree on it, and on how well the network knows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.types import Assurance
from node.consensus.outcome.observation import Observation
from node.consensus.outcome.transition import derive
from tests import kit
from tests.kit import ETHER, ONE, Owner
from tests.unit.outcome.chain import Chain

ATTESTED, PROVEN = Assurance.ATTESTED, Assurance.PROVEN


def known_by(seen: Observation, grade: Assurance) -> Observation:
    """What is seen by a node that knows all of it by `grade`."""
    return replace(
        seen,
        chains=tuple(replace(each, vote=each.vote and replace(each.vote, assurance=grade)) for each in seen.chains),
        quotes=tuple(replace(quote, assurance=grade) for quote in seen.quotes),
    )


@pytest.mark.parametrize(
    ("grades", "certified"),
    [
        ((PROVEN,) * 4, PROVEN),
        ((ATTESTED,) * 4, ATTESTED),
        ((PROVEN, PROVEN, ATTESTED, ATTESTED), ATTESTED),
        ((PROVEN, PROVEN, PROVEN, ATTESTED), PROVEN),
        ((PROVEN, ATTESTED, ATTESTED, ATTESTED), ATTESTED),
        ((PROVEN, PROVEN, PROVEN, Assurance.REPORTED), PROVEN),
    ],
    ids=lambda value: "".join(grade.name[0] for grade in value) if isinstance(value, tuple) else value.name,
)
def test_one_liar_neither_raises_nor_lowers_it_and_the_root_does_not_depend_on_it(
    chain: Chain, grades: tuple[Assurance, ...], certified: Assurance
) -> None:
    owner = Owner()
    book = kit.book(kit.cut(ONE, 5), {owner.account: ETHER})
    chain.world.add_book(book)
    for _ in range(2):
        chain.world.time_ms += 1000
        seen = chain.observations()[0]
        mixed = {node: known_by(seen, grade) for node, grade in enumerate(grades)}
        chain.state = derive(chain.state, mixed, chain.network, chain.world)
    state = chain.state.header.chain(ONE)
    assert state.root == book.holdings.root
    assert state.assurance is certified
    assert chain.state.frame.prices["ETH"].assurance is certified
