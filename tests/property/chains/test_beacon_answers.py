"""Whatever stands anywhere in a beacon node's answers, the light client goes on, and holds nothing but the truth."""

from __future__ import annotations

import asyncio
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import ProofError, RetryError
from chains.proofs.lightclient import read
from chains.proofs.lightclient.store import Store
from tests.unit.chains.test_beacon_client import START, Rig
from tests.unit.chains.test_beacon_kept import changed, leaves

ASKED = ("bootstrap", "updates", "finality_update", "optimistic_update")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-1, 1 << 70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0x", "0x00", "0x" + "00" * 32, "0x" + "c0" + "00" * 47, "0x" + "ff" * 96, "1" * 80])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["data", "beacon", "slot"]), inner),
    max_leaves=6,
)


def followed(twisted: str, twist: Any = lambda answer: answer) -> Store | None:  # noqa: ANN401 - JSON
    """What is held after a look at a node whose answers to `twisted` are so, and whether there is anything."""

    async def run(folder: Path) -> Store | None:
        rig = Rig(folder)
        honest = rig.node.get

        async def get(path: str) -> object:
            answer = await honest(path)
            return twist(deepcopy(answer)) if twisted in path else answer

        rig.node.get = get  # type: ignore[method-assign]
        try:
            await rig.look()
        except (ProofError, RetryError):
            assert twisted == "bootstrap"
        return rig.client.store

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(Path(folder)))


def at(value: Any, place: tuple[Any, ...]) -> Any:  # noqa: ANN401 - JSON
    for key in place:
        value = value[key]
    return value


def recorded() -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for name in ASKED:

        def keep(answer: Any, name: str = name) -> Any:  # noqa: ANN401 - JSON
            return answers.setdefault(name, answer)

        followed(name, keep)
    return answers


ANSWERS = recorded()
PLACES = {name: [*leaves(answer)] for name, answer in ANSWERS.items()}
VALUES = [at(ANSWERS[name], place) for name, places in PLACES.items() for place in places]
"""What is genuine elsewhere."""
TRUTH = followed("nothing")
UPDATES = [
    read.update(answer) for name in ASKED[1:] for answer in (ANSWERS[name] if name == "updates" else [ANSWERS[name]])
]
GENUINE = {
    read.bootstrap(ANSWERS["bootstrap"]).header,
    *(update.attested_header for update in UPDATES),
    *(update.finalized_header for update in UPDATES),
}


def is_true(held: Store | None) -> bool:
    """Whether all that is held is of the chain itself; nothing may be."""
    if held is None:
        return True
    assert TRUTH is not None
    headers = {held.finalized, held.optimistic} <= GENUINE
    return headers and held.current == TRUTH.current and held.next in (None, TRUTH.next)


@settings(max_examples=150)
@given(data=st.data())
def test_what_a_beacon_node_answers_breaks_nothing_and_proves_nothing_else(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(ASKED))
    place = data.draw(st.sampled_from(PLACES[name]))
    other = data.draw(ANYTHING | st.sampled_from(VALUES) | st.integers(START, START + 8).map(str))

    def twist(answer: Any) -> Any:  # noqa: ANN401 - JSON
        at(answer, place[:-1])[place[-1]] = other
        return answer

    assert is_true(followed(name, twist))


@pytest.mark.parametrize("name", ASKED)
def test_no_field_can_be_another(name: str) -> None:
    for place in PLACES[name]:
        if place[-1] == "version":
            continue  # nobody reads it

        def twist(answer: Any, place: tuple[Any, ...] = place) -> Any:  # noqa: ANN401 - JSON
            inner = at(answer, place[:-1])
            inner[place[-1]] = changed(inner[place[-1]])
            return answer

        assert is_true(followed(name, twist)), place
