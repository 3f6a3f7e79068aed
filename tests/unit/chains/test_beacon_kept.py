"""A light client's kept state: whatever is changed in the file, it is not believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chains.adapter import Beacon
from chains.errors import StaleError
from chains.evm.beacon.errors import StateNotKept, StateRefused
from chains.evm.beacon.kept import MAX_BYTES, StateFile
from chains.proofs.lightclient import store as rules
from chains.proofs.lightclient.config import Fork, Slot
from chains.proofs.lightclient.store import MAX_CHECKPOINT_AGE, Store
from chains.types import UnixSeconds
from tests.beacon import CHAIN, CONFIG, EPOCHS, digest

START = CONFIG.slots_per_epoch * EPOCHS[Fork.DENEB]
NOW = CONFIG.time(Slot(START + 8))


def held() -> Store:
    """With everything that a store can have, each part another one."""
    served = CHAIN.bootstrap(START)
    begun = rules.bootstrap(CONFIG, served.header.beacon.root(), served, NOW)
    following = rules.apply(CONFIG, begun, CHAIN.update(START + 4, START + 2, following=True), NOW)
    return rules.apply(CONFIG, following, CHAIN.update(START + 5), NOW)


HELD = held()


def beacon(folder: Path, seal: bytes = b"\1" * 32) -> Beacon:
    return Beacon(("http://a",), CONFIG, digest("checkpoint"), folder / "data" / "state.json", seal)


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    kept = StateFile(beacon(tmp_path))
    kept.save(HELD)
    return kept


def path(folder: Path) -> Path:
    return beacon(folder).state


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    """The place of every field, list entry and object."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*at, key)
        yield from leaves(entry, (*at, key))


def changed(value: Any) -> Any:  # noqa: ANN401 - JSON
    match value:
        case str() if value.startswith("0x"):
            return value[:-1] + f"{int(value[-1], 16) ^ 1:x}"
        case str() | int():
            return type(value)(int(value) + 1)
        case list():
            return value[::-1]
        case _:
            return None


def refuse(file: StateFile, place: object) -> None:
    try:
        file.load(NOW)
    except StateRefused:
        return
    pytest.fail(f"{place} is not bound")


def test_what_is_kept_comes_back_whole(file: StateFile, tmp_path: Path) -> None:
    assert file.load(NOW) == HELD
    assert HELD.next is not None
    assert HELD.optimistic != HELD.finalized
    later = rules.apply(CONFIG, HELD, CHAIN.update(START + 6, START + 4), NOW)
    file.save(later)
    assert StateFile(beacon(tmp_path)).load(NOW) == later
    assert [found.name for found in path(tmp_path).parent.iterdir()] == ["state.json"]


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert StateFile(beacon(tmp_path)).load(NOW) is None


def test_a_change_of_any_field_is_refused(file: StateFile, tmp_path: Path) -> None:
    whole = path(tmp_path).read_text()
    places = list(leaves(json.loads(whole)))
    assert len(places) > 80
    for place in places:
        for change in (changed, lambda _: None, lambda _: "0x"):
            content = json.loads(whole)
            inner = content
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = change(inner[place[-1]])
            path(tmp_path).write_text(json.dumps(content))
            refuse(file, place)
    path(tmp_path).write_text(whole)
    assert file.load(NOW) == HELD


def test_a_field_that_is_gone_is_refused(file: StateFile, tmp_path: Path) -> None:
    whole = path(tmp_path).read_text()
    for place in leaves(json.loads(whole)):
        content = json.loads(whole)
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        if inner.pop(place[-1]) == "0":
            continue  # what is not there before Deneb counts as zero
        path(tmp_path).write_text(json.dumps(content))
        refuse(file, place)


def test_a_store_that_another_secret_sealed_is_refused(tmp_path: Path) -> None:
    StateFile(beacon(tmp_path, b"\2" * 32)).save(HELD)
    with pytest.raises(StateRefused, match="seal is not that of this node"):
        StateFile(beacon(tmp_path)).load(NOW)


def test_one_that_was_begun_at_another_checkpoint_is_refused(file: StateFile, tmp_path: Path) -> None:
    with pytest.raises(StateRefused, match="another checkpoint"):
        StateFile(replace(beacon(tmp_path), checkpoint=digest("another"))).load(NOW)


def test_one_of_another_network_is_refused(file: StateFile, tmp_path: Path) -> None:
    other = replace(CONFIG, genesis_validators_root=digest("other"))
    with pytest.raises(StateRefused, match="seal"):
        StateFile(replace(beacon(tmp_path), network=other)).load(NOW)


def test_execution_blocks_are_proven_anew(file: StateFile) -> None:
    for name in ("finalized", "optimistic"):
        header = getattr(HELD, name)
        execution = replace(header.execution, block_hash=digest("another block"))
        file.save(replace(HELD, **{name: replace(header, execution=execution)}))
        with pytest.raises(StateRefused, match="does not prove the execution block"):
            file.load(NOW)


def test_one_that_is_too_old_is_stale(file: StateFile) -> None:
    time = CONFIG.time(HELD.finalized.beacon.slot)
    assert file.load(UnixSeconds(time + MAX_CHECKPOINT_AGE)) == HELD
    with pytest.raises(StaleError, match="too old"):
        file.load(UnixSeconds(time + MAX_CHECKPOINT_AGE + 1))


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000, b'{"version":1}', b" " * MAX_BYTES]
)
def test_garbage_is_refused(file: StateFile, tmp_path: Path, garbage: bytes) -> None:
    path(tmp_path).write_bytes(garbage)
    with pytest.raises(StateRefused):
        file.load(NOW)


def test_a_file_without_end_is_not_read_to_it(file: StateFile, tmp_path: Path) -> None:
    path(tmp_path).write_bytes(path(tmp_path).read_bytes() + b" " * MAX_BYTES)
    with pytest.raises(StateRefused, match="longer than"):
        file.load(NOW)


def test_an_interrupted_write_leaves_what_was_there(file: StateFile, tmp_path: Path) -> None:
    path(tmp_path).with_name("state.json.new").write_text("{")
    assert file.load(NOW) == HELD
    file.save(HELD)
    assert file.load(NOW) == HELD


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(StateNotKept):
        StateFile(beacon(tmp_path)).save(HELD)
    with pytest.raises(StateRefused, match="cannot be read"):
        StateFile(beacon(tmp_path)).load(NOW)
