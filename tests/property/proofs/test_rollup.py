"""Whatever stands on L1 or is served for it is read or refused, and never anything else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import ClaimMismatch, ProofError
from chains.proofs.receipts import Log
from chains.proofs.rollup import assertions, games
from chains.proofs.rollup.errors import UnknownGame
from chains.proofs.rollup.games import clone_code
from chains.proofs.rollup.layout import GAMES
from chains.types import Hash32
from tests.unit.proofs.l1 import address
from tests.unit.proofs.test_rollup_assertions import ASSERTION, created
from tests.unit.proofs.test_rollup_games import AT, CHAIN, HEIGHT, IMPLEMENTATION, ROOT, Site, arguments

SITES = {version: Site(version) for version in GAMES}
GAME = {version: site.listed() for version, site in SITES.items()}


@given(st.sampled_from(sorted(GAMES)), st.integers(0, 2**16), st.integers(1, 255))
@settings(deadline=None, max_examples=60)
def test_a_changed_byte_of_a_games_code_is_never_read_as_the_games(version: str, at: int, change: int) -> None:
    site = SITES[version]
    code = bytearray(site.code)
    code[at % len(code)] ^= change
    needs = games.game_needs(site.recipe, GAME[version])
    with pytest.raises(ClaimMismatch):
        games.game_claim(site.recipe, site.l1.prove(needs), GAME[version], bytes(code), CHAIN)


@given(st.sampled_from(sorted(GAMES)), st.binary(max_size=400))
@settings(deadline=None, max_examples=200)
def test_other_code_is_no_game(version: str, code: bytes) -> None:
    with pytest.raises(UnknownGame):
        games.read_clone(SITES[version].recipe, GAME[version], code, CHAIN)


@given(st.sampled_from(sorted(GAMES)), st.binary(max_size=300))
@settings(deadline=None, max_examples=200)
def test_a_clone_is_read_only_with_the_arguments_of_its_version(version: str, extra: bytes) -> None:
    site, true = SITES[version], arguments(version)
    for given_arguments in (extra, true + extra, extra + true):
        for implementation in (IMPLEMENTATION, address(0x61)):
            code = clone_code(implementation, given_arguments)
            with suppress(UnknownGame):
                layout, told = games.read_clone(site.recipe, GAME[version], code, CHAIN)
                assert implementation == IMPLEMENTATION
                assert layout.arguments in (None, len(given_arguments))
                of_several = layout.super_root_at is not None
                expected = games.Told(ROOT, None, AT) if of_several else games.Told(ROOT, HEIGHT)
                assert given_arguments != true or told == expected


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=4), st.binary(max_size=900))
@settings(deadline=None, max_examples=200)
def test_an_event_tells_the_assertion_or_nothing(topics: list[bytes], data: bytes) -> None:
    log = Log(address(1), tuple(Hash32(topic) for topic in topics), data)
    with pytest.raises(ProofError):
        assertions.read_created(log)


@given(st.integers(0, 2**16), st.integers(1, 255))
@settings(deadline=None, max_examples=100)
def test_a_changed_byte_of_the_event_changes_nothing_that_is_believed(at: int, change: int) -> None:
    log = created(ASSERTION)
    data = bytearray(log.data)
    data[at % len(data)] ^= change
    with suppress(ClaimMismatch):
        found = assertions.read_created(Log(log.address, log.topics, bytes(data)))
        assert found == ASSERTION
