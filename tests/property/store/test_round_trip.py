"""Any run of states, saved one after the other, comes back equal, whoever saved what before."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from node.attestation.statements import Statement
from node.model.certificate import CommitCertificate
from node.model.digests import Release, ReleaseKind
from node.model.state import State
from node.store.ports import CertifiedHeader
from node.store.sqlite.statements import decode_statement, encode_statement
from node.store.sqlite.store import initialise, open_store
from tests.kit import NETWORK_ID
from tests.property.model import strategies as values


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[State, bool]]:
    """States in order, each with whether the store is opened anew before it is saved."""
    sequences = sorted(draw(st.sets(values.stored.filter(bool), min_size=1, max_size=4)))
    return [(draw(values.states(sequence)), draw(st.booleans())) for sequence in sequences]


def certified(state: State) -> CommitCertificate:
    header = state.header
    return CommitCertificate(header.config_digest, 1, header.sequence, header.hash(), 1, (bytes(64),))


async def save_all(path: Path, run: list[tuple[State, bool]], observations: tuple[tuple[int, bytes], ...]) -> None:
    remaining = list(run)
    while remaining:
        async with open_store(path, NETWORK_ID) as store:
            await store.states.save(remaining[0][0], certified(remaining[0][0]), observations)
            del remaining[0]
            while remaining and not remaining[0][1]:
                await store.states.save(remaining[0][0], certified(remaining[0][0]), observations)
                del remaining[0]


async def load(path: Path) -> tuple[State, CertifiedHeader] | None:
    async with open_store(path, NETWORK_ID) as store:
        return await store.states.load()


@given(runs(), values.some(st.tuples(values.u8, st.binary(max_size=9))))
@settings(max_examples=30)
def test_the_last_of_any_run_of_states_is_loaded_as_it_was(
    run: list[tuple[State, bool]], observations: tuple[tuple[int, bytes], ...]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "node.db"
        initialise(path, NETWORK_ID)
        asyncio.run(save_all(path, run, observations))
        loaded = asyncio.run(load(path))
    last = run[-1][0]
    assert loaded is not None
    found, header = loaded
    assert header == CertifiedHeader(last.header, certified(last), observations)
    assert (found.header, found.control) == (last.header, last.control)
    assert dict(found.frame.prices) == dict(last.frame.prices)
    assert {name: list(book) for name, book in found.maps()} == {name: list(book) for name, book in last.maps()}


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    sequence, purpose, chain_id = draw(values.u64), draw(values.name), draw(values.chain_id)
    contract, account, quorum = draw(values.address), draw(values.account_id), draw(values.u8)
    release = None
    if draw(st.booleans()):
        release = Release(
            draw(st.sampled_from(ReleaseKind)),
            chain_id,
            contract,
            account,
            draw(values.u64),
            draw(values.address),
            draw(values.some(values.release_items)),
            draw(values.hash32),
            sequence,
            draw(values.hash32),
            draw(values.u64),
        )
    return Statement(sequence, purpose, chain_id, contract, account, draw(values.hash32), quorum, release)


@given(statements())
def test_any_statement_is_stored_as_it_is(statement: Statement) -> None:
    assert decode_statement(encode_statement(statement)) == statement
