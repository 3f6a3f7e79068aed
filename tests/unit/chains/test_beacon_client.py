"""How the light client keeps up: what it asks of whom, what it makes of the answers, and what it tells."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chains.adapter import Beacon
from chains.evm.beacon import questions
from chains.evm.beacon.client import LightClient
from chains.evm.beacon.errors import CheckpointTooOld, StateNotKept
from chains.evm.endpoint import Endpoint
from chains.evm.errors import HttpFailure
from chains.evm.pool import EndpointPool
from chains.proofs.lightclient import write
from chains.proofs.lightclient.config import Fork, Slot
from chains.proofs.lightclient.containers import Update
from chains.proofs.lightclient.store import MAX_CHECKPOINT_AGE
from chains.types import ChainId, EndpointFault
from node.testnet.beacon.chain import KnownCommittees
from tests import beacon
from tests.beacon import CONFIG, EPOCHS, digest

CHAIN = replace(beacon.CHAIN, committees=KnownCommittees(CONFIG.committee_size))

PERIOD = CONFIG.slots_per_epoch * CONFIG.epochs_per_period
START = CONFIG.slots_per_epoch * EPOCHS[Fork.DENEB]
FIRST = START // PERIOD
ROOT = CHAIN.header(START).beacon.root()


class Node(Endpoint):
    """A beacon node at slot `newest`, two slots after what it calls final."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.newest = START + 3
        self.begins = START
        self.asked: list[str] = []
        self.paged: list[tuple[int, int]] = []
        self.twist: Callable[[Update], Update] = lambda update: update
        self.periods_withheld: frozenset[int] = frozenset()
        self.surplus = 0
        self.error: Exception | None = None

    async def get(self, path: str) -> object:
        await asyncio.sleep(0)
        name = path.removeprefix("/eth/v1/beacon/light_client/")
        self.asked.append(re.split(r"\W", name)[0])
        if self.error is not None:
            raise self.error
        if name.startswith("bootstrap"):
            assert name == f"bootstrap/0x{CHAIN.header(self.begins).beacon.root().hex()}"
            return write.bootstrap(CONFIG, CHAIN.bootstrap(self.begins))
        if match := re.fullmatch(r"updates\?start_period=(\d+)&count=(\d+)", name):
            first, count = int(match[1]), int(match[2])
            self.paged.append((first, count))
            return self._updates(first, count)
        final = self.newest - 2 if name == "finality_update" else None
        return self._written(CHAIN.update(self.newest, final))

    def _updates(self, first: int, count: int) -> list[Any]:
        found = []
        for period in range(first, first + count + self.surplus):
            attested = min(PERIOD * (period + 1) - 3, self.newest)
            if period in self.periods_withheld or attested - 2 < PERIOD * period:
                break
            found.append(self._written(CHAIN.update(attested, attested - 2, following=True)))
        return found

    def _written(self, update: Update) -> Any:  # noqa: ANN401 - JSON
        return write.update(CONFIG, self.twist(update))


class Rig:
    """A light client before some nodes. Time is that of `slot`."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.nodes = [Node(name) for name in names or ("a",)]
        self.faults: list[EndpointFault] = []
        self.clock = 0.0
        self.slot = START + 4
        self.pool = EndpointPool(ChainId(1), self.nodes, self.faults.append, lambda: self.clock)
        self.beacon = Beacon(("http://a",), CONFIG, ROOT, folder / "state.json", b"\1" * 32)
        self.client = self.another()

    @property
    def node(self) -> Node:
        return self.nodes[0]

    @property
    def named(self) -> list[tuple[str, str]]:
        return [(fault.endpoint, fault.reason) for fault in self.faults]

    @property
    def final(self) -> int:
        assert self.client.store is not None
        return self.client.store.finalized.beacon.slot

    def another(self) -> LightClient:
        return LightClient(
            ChainId(1), self.beacon, self.pool, self.faults.append, lambda: float(CONFIG.time(Slot(self.slot)))
        )

    def go_to(self, slot: int) -> None:
        """All nodes, and the clock, are at `slot`."""
        self.slot = slot + 1
        for node in self.nodes:
            node.newest = slot

    async def look(self) -> None:
        """Once nobody is set aside."""
        self.clock += 1e6
        await self.client.look()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> Rig:
    return Rig(tmp_path, "a", "b")


async def test_it_begins_at_the_checkpoint_and_takes_the_newest(rig: Rig) -> None:
    assert not rig.client.final
    await rig.look()
    assert rig.final == START + 1
    assert rig.client.store is not None
    assert rig.client.store.optimistic.beacon.slot == START + 3
    assert rig.client.final is not None
    assert rig.client.final.hash == digest("block", START + 1)
    assert rig.client.final.number == START + 1
    assert rig.client.final.time == CONFIG.time(Slot(START + 1))
    assert rig.node.asked == ["bootstrap", "updates", "finality_update", "optimistic_update"]
    assert not rig.faults


async def test_a_look_that_finds_nothing_new_blames_nobody(rig: Rig) -> None:
    for _ in range(3):
        await rig.look()
    assert rig.final == START + 1
    assert rig.node.asked.count("updates") == 1, "the next committee is known"
    assert not rig.faults


async def test_one_that_is_a_few_slots_behind_is_not_blamed(two: Rig) -> None:
    two.go_to(START + 4)
    two.nodes[1].newest = START + 1  # attests no later than what is final at the other
    two.node.newest, two.slot = START + 5, START + 6
    for _ in range(2):
        await two.look()
    assert two.final == START + 3
    assert not two.faults


async def test_many_periods_are_asked_for_in_pages(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "UPDATES_A_REQUEST", 4)
    rig.go_to(START + 18 * PERIOD + 4)  # through Electra, Fulu and Gloas
    await rig.look()
    assert rig.final == rig.node.newest - 2
    assert [count for _, count in rig.node.paged[:4]] == [4] * 4
    assert [first for first, _ in rig.node.paged[:4]] == [FIRST, FIRST + 4, FIRST + 8, FIRST + 12]
    assert rig.client.final is not None
    assert rig.client.final.hash == digest("block", rig.final - 1)
    assert rig.client.final.number is None, "not told from Gloas on"
    assert not rig.faults


async def test_the_next_committee_may_be_told_late_in_its_period(rig: Rig) -> None:
    rig.node.periods_withheld = frozenset({FIRST})
    await rig.look()
    assert rig.client.store is not None
    assert rig.client.store.next is None
    assert not rig.faults
    rig.node.periods_withheld = frozenset()
    await rig.look()
    assert rig.client.store.next is not None


async def test_but_not_after_it(two: Rig) -> None:
    await two.look()
    two.go_to(START + 2 * PERIOD + 4)
    two.node.periods_withheld = frozenset({FIRST + 1})
    await two.look()
    assert two.final == two.node.newest - 2
    assert two.named == [("a", "STALE_HEAD")]


async def test_what_a_committee_signed_that_is_still_unknown_is_no_lie(rig: Rig) -> None:
    rig.node.periods_withheld = frozenset({FIRST})
    await rig.look()
    rig.go_to(START + PERIOD + 3)
    await rig.look()
    assert rig.final == START + 1
    assert rig.named == [("a", "STALE_HEAD")], "for what it did not tell"


async def test_what_holds_is_kept_of_an_answer_that_does_not(two: Rig) -> None:
    two.go_to(START + 6 * PERIOD + 4)

    def twist(update: Update) -> Update:
        return CHAIN.signed(update, version=b"none") if update.signature_slot > START + 3 * PERIOD else update

    two.node.twist = twist
    await two.look()
    assert two.final == two.node.newest - 2
    assert two.nodes[1].paged[0][0] == FIRST + 3, "the other goes on where the first stopped to be right"
    assert set(two.named) == {("a", "BAD_PROOF")}


async def test_too_few_signatures_are_no_lie(rig: Rig) -> None:
    await rig.look()
    rig.go_to(START + 5)
    rig.node.twist = lambda update: CHAIN.signed(update, absent=3)
    await rig.look()
    assert rig.final == START + 1
    assert rig.named == [("a", "LOW_PARTICIPATION")]
    rig.clock += 2.0  # as long as a failure sets it aside; a lie would for half a minute
    assert rig.pool.ranked()[0] == rig.nodes


async def test_a_signature_of_the_future_is_a_lie(rig: Rig) -> None:
    rig.node.newest = START + 7
    await rig.look()
    assert rig.final == START
    assert set(rig.named) == {("a", "BAD_PROOF")}
    assert "future" in rig.faults[0].detail


async def test_more_updates_than_were_asked_for_are_not_read(rig: Rig) -> None:
    rig.go_to(START + 3 * PERIOD + 4)
    rig.slot -= PERIOD  # it asks for one less than there is
    rig.node.surplus = 1
    await rig.look()
    assert rig.final == START
    assert rig.named[0] == ("a", "OVERSIZED")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        1.5,
        {},
        {"data": {}},
        {"version": "electra"},
        {"version": 5, "data": {}},
        {"version": "electra", "data": []},
        {"version": "electra", "data": {"attested_header": 1}},
        {"version": "electra", "data": {"header": {"beacon": {}}}},
    ],
)
async def test_answers_of_another_form_are_refused(rig: Rig, answer: object) -> None:
    await rig.look()
    held = rig.client.store

    async def get(path: str) -> object:
        return answer

    rig.node.get = get  # type: ignore[method-assign]
    await rig.look()
    assert rig.client.store == held
    assert rig.named == [("a", "MALFORMED_ANSWER")]


async def test_data_of_a_fork_that_is_not_known_yet_is_no_lie(rig: Rig) -> None:
    await rig.look()
    rig.go_to(START + 5)
    written = rig.node._written
    rig.node._written = lambda update: written(update) | {"version": "heze"}  # type: ignore[method-assign]
    await rig.look()
    assert rig.final == START + 1
    assert rig.named == [("a", "UNKNOWN_FORK")]
    rig.clock += 2.0  # as long as a failure sets it aside
    assert rig.pool.ranked()[0] == rig.nodes


# === Without finality ===


def without_finality(rig: Rig, *periods: int) -> None:
    """In these periods nothing became final: their best updates tell a committee, and no final header."""

    def twist(update: Update) -> Update:
        attested = update.attested_header.beacon.slot
        if attested // PERIOD not in periods:
            return update
        following = update.next_sync_committee is not None
        return CHAIN.update(attested, START + 1 if update.finalized_header is not None else None, following=following)

    for node in rig.nodes:
        node.twist = twist


async def test_a_period_without_finality_is_not_passed_and_no_endpoint_is_blamed(two: Rig) -> None:
    """What the specification would force, an attested header in the place of a final one, is never final here."""
    await two.look()
    final = two.client.final
    without_finality(two, FIRST + 1)
    two.go_to(START + 2 * PERIOD + 4)  # by now it is final again
    for _ in range(3):
        await two.look()
    assert two.client.final == final
    assert set(two.named) == {("light client", "NO_FINALITY")}
    assert "name the root of a newer finalized beacon block" in two.faults[0].detail
    newer = START + 2 * PERIOD
    two.beacon = replace(two.beacon, checkpoint=CHAIN.header(newer).beacon.root())
    for node in two.nodes:
        node.begins = newer
    two.client = two.another()
    await two.look()
    assert two.final == two.node.newest - 2, "and with that it goes on"


async def test_finality_that_is_late_within_its_period_is_waited_for(rig: Rig) -> None:
    await rig.look()
    without_finality(rig, FIRST + 1)
    rig.go_to(START + PERIOD + 3)
    await rig.look()
    assert rig.final == START + 1
    without_finality(rig)
    rig.go_to(START + PERIOD + 4)
    await rig.look()
    assert rig.final == START + PERIOD + 2
    assert not rig.faults


# === Beginning ===


async def test_a_checkpoint_that_is_too_old_is_refused_with_its_age_and_asked_for_once(rig: Rig) -> None:
    days = (MAX_CHECKPOINT_AGE + 36 * 3600) / (24 * 3600)
    rig.slot = START + (MAX_CHECKPOINT_AGE + 36 * 3600) // CONFIG.seconds_per_slot
    for _ in range(3):
        with pytest.raises(CheckpointTooOld, match=f"{days:.1f} days old.*name the root of a newer"):
            await rig.look()
    assert rig.node.asked == ["bootstrap"]
    assert rig.client.final is None
    assert not rig.faults, "no endpoint is to blame"


async def test_just_young_enough_is_not_too_old(rig: Rig) -> None:
    rig.slot = START + MAX_CHECKPOINT_AGE // CONFIG.seconds_per_slot
    await rig.look()
    assert rig.client.final is not None


async def test_a_client_that_slept_too_long_does_not_go_on(rig: Rig) -> None:
    await rig.look()
    final = rig.client.final
    rig.go_to(START + MAX_CHECKPOINT_AGE // CONFIG.seconds_per_slot + PERIOD)
    with pytest.raises(CheckpointTooOld):
        await rig.look()
    assert rig.client.final == final, "what was proven is still true"
    assert rig.named == [("light client", "STALE")]


async def test_a_restart_resumes_at_what_was_kept(rig: Rig) -> None:
    await rig.look()
    held = rig.client.store
    rig.client = rig.another()
    await rig.look()
    assert rig.client.store == held
    assert rig.node.asked.count("bootstrap") == 1


async def test_a_kept_state_that_was_changed_is_named_and_the_checkpoint_serves(rig: Rig) -> None:
    await rig.look()
    text = rig.beacon.state.read_text()
    rig.beacon.state.write_text(text.replace('"slot":"', '"slot":"1', 1))
    rig.client = rig.another()
    await rig.look()
    assert rig.final == START + 1
    assert rig.node.asked.count("bootstrap") == 2
    assert rig.named == [("light client", "STATE_REFUSED")]
    assert rig.beacon.state.read_text() == text


async def test_what_is_verified_stays_held_when_it_cannot_be_kept(rig: Rig) -> None:
    rig.beacon = replace(rig.beacon, state=rig.beacon.state / "below" / "a file")
    rig.beacon.state.parent.parent.write_text("")
    rig.client = rig.another()
    with pytest.raises(StateNotKept):
        await rig.look()
    assert rig.client.final is not None


# === Its task ===


async def run_until(rig: Rig, done: Callable[[], bool]) -> None:
    task = asyncio.create_task(rig.client.run())
    try:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110 - nobody tells when
                await asyncio.sleep(0.001)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


async def test_it_looks_for_ever_whatever_breaks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(0 if seconds < 1 else 0.001))
    rig.node.error = ZeroDivisionError("a bug")
    await run_until(rig, lambda: len(rig.node.asked) > 3)
    assert rig.named == [("light client", "INTERNAL")], "told once"
    rig.node.error = HttpFailure("404")
    await run_until(rig, lambda: ("a", "HTTP_ERROR") in rig.named)
    rig.node.error = None
    rig.clock += 1e6
    await run_until(rig, lambda: rig.client.final is not None)
    await rig.client.looked()
