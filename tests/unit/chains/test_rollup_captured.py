"""What a rollup's settlement keeps: whole after a restart, bounded, and not believed if anything in it was changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chains.adapter import Rollup
from chains.evm.rollup import captured
from chains.evm.rollup.captured import Captures, CapturesNotKept, CapturesRefused
from chains.proofs.keccak import keccak
from chains.proofs.receipts import Log
from chains.proofs.rollup.layout import ORACLES, OracleRecipe, PinnedContract
from chains.types import Address, ChainId, Cut, Hash32, Height, UnixSeconds
from tests.unit.chains.test_beacon_kept import changed, leaves

NOBODY = Address(b"\1" * 20)
ORACLE = OracleRecipe(PinnedContract(NOBODY, Hash32(bytes(32))), ORACLES["stored"], 0)
BLOCK, ROOT, NAME = keccak(b"block"), keccak(b"root"), keccak(b"name")
CUT = Cut(ChainId(10), Height(77), BLOCK, UnixSeconds(0))
EVENT = Log(NOBODY, (keccak(b"created"), NAME), b"what it tells")


def rollup(folder: Path) -> Rollup:
    return Rollup(ChainId(1), ("http://a",), 1, ORACLE, state=folder / "data" / "rollup.json", seal=b"\1" * 32)


def path(folder: Path) -> Path:
    return folder / "data" / "rollup.json"


@pytest.fixture
async def kept(tmp_path: Path) -> Captures:
    found = Captures(ChainId(10), rollup(tmp_path))
    found.add_storage_root(BLOCK, ROOT)
    found.add_event(NAME, EVENT)
    found.add_cut(CUT)
    await found.save()
    return found


async def again(folder: Path, chain_id: int = 10) -> Captures:
    found = Captures(ChainId(chain_id), rollup(folder))
    await found.load()
    return found


async def test_what_is_kept_comes_back_whole(kept: Captures, tmp_path: Path) -> None:
    found = await again(tmp_path)
    assert (found.storage_root(BLOCK), found.event(NAME), found.events()) == (ROOT, EVENT, (EVENT,))
    assert (found.storage_root(NAME), found.event(BLOCK)) == (None, None)
    assert [found.cut_above(Height(height)) for height in (77, 78)] == [(77, BLOCK), None]
    found.forget_event(NAME)
    await found.save()
    assert (await again(tmp_path)).events() == ()


async def test_without_a_file_there_is_nothing_and_nothing_new_is_not_written(tmp_path: Path) -> None:
    await (await again(tmp_path)).save()
    assert not path(tmp_path).exists()
    await Captures(ChainId(10), replace(rollup(tmp_path), state=None)).load()


async def test_a_change_of_any_field_is_refused_and_then_there_is_nothing(kept: Captures, tmp_path: Path) -> None:
    whole = path(tmp_path).read_text()
    places = list(leaves(json.loads(whole)))
    assert len(places) > 12
    for place in places:
        content = json.loads(whole)
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        if (other := changed(inner[place[-1]])) == inner[place[-1]]:
            continue  # a list of one, the other way round
        inner[place[-1]] = other
        path(tmp_path).write_text(json.dumps(content))
        found = Captures(ChainId(10), rollup(tmp_path))
        with pytest.raises(CapturesRefused):
            await found.load()
        assert (found.storage_root(BLOCK), found.events(), found.cut_above(Height(0))) == (None, (), None)
    path(tmp_path).write_text(whole)
    await again(tmp_path)


async def test_that_of_another_rollup_or_of_another_node_is_refused(kept: Captures, tmp_path: Path) -> None:
    with pytest.raises(CapturesRefused, match="seal"):
        await again(tmp_path, 11)
    with pytest.raises(CapturesRefused, match="seal"):
        await Captures(ChainId(10), replace(rollup(tmp_path), seal=b"\2" * 32)).load()


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"null", b"\xff", b'{"version":1}', b" " * captured.MAX_BYTES])
async def test_garbage_is_refused(kept: Captures, tmp_path: Path, garbage: bytes) -> None:
    path(tmp_path).write_bytes(garbage)
    with pytest.raises(CapturesRefused):
        await again(tmp_path)


async def test_it_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    found = Captures(ChainId(10), rollup(tmp_path))
    names = [keccak(at.to_bytes(4, "big")) for at in range(captured.MAX_ROOTS + 2)]
    for name in names:
        found.add_storage_root(name, ROOT)
        found.add_event(name, replace(EVENT, topics=(ROOT,) * 4, data=bytes(2048)))
    found.add_event(NAME, replace(EVENT, data=bytes(2049)))
    assert found.event(NAME) is None
    await found.save()
    restarted = await again(tmp_path)
    assert len(restarted.events()) == captured.MAX_EVENTS
    assert [restarted.storage_root(name) for name in (names[1], names[2])] == [None, ROOT]
    assert path(tmp_path).stat().st_size < captured.MAX_BYTES


async def test_cuts_are_kept_some_way_apart_and_the_lowest_one_above_is_found(tmp_path: Path) -> None:
    found = Captures(ChainId(10), rollup(tmp_path))
    apart = captured.CUT_SPACING
    for height in (5, 6, 4 + apart, 5 + apart, 3, 5 + 2 * apart):
        found.add_cut(replace(CUT, height=Height(height)))
    heights = [found.cut_above(Height(height)) for height in (0, 5, 6, 5 + apart, 6 + apart, 6 + 2 * apart)]
    assert [each and each[0] for each in heights] == [5, 5, 5 + apart, 5 + apart, 5 + 2 * apart, None]
    found.forget_cut(Height(5 + apart))
    assert found.cut_above(Height(6)) == (5 + 2 * apart, BLOCK)


async def test_where_nothing_can_be_written_it_says_so_and_tries_again(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    found = Captures(ChainId(10), rollup(tmp_path))
    found.add_event(NAME, EVENT)
    with pytest.raises(CapturesNotKept):
        await found.save()
    (tmp_path / "data").unlink()
    await found.save()
    assert (await again(tmp_path)).event(NAME) == EVENT
