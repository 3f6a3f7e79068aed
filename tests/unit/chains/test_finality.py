"""PROVEN or ATTESTED: which final header is given out, and as what."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest

from chains.errors import HeaderMismatch, QuorumError, RetryError
from chains.evm import finality
from chains.evm.beacon.client import FinalBlock
from chains.evm.disagreements import Disagreements
from chains.evm.endpoint import Call, Endpoint
from chains.evm.errors import HttpFailure
from chains.evm.finality import FinalitySource
from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool
from chains.proofs.header import verify_header
from chains.types import Assurance, ChainId, EndpointFault, Hash32, Height, UnixSeconds

ZERO = "0x" + "00" * 32
MAX_AGE = 100
FORK_AT = 40


@cache
def block(height: int, fork: int = 0) -> dict[str, object]:
    """A header that is linked to the one before it; forks part at FORK_AT."""
    fork = fork if height >= FORK_AT else 0
    fields: dict[str, object] = dict.fromkeys(
        ("sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash", "hash"), ZERO
    )
    fields |= {"miner": "0x" + "00" * 20, "logsBloom": "0x" + "00" * 256, "nonce": "0x" + "00" * 8}
    fields |= {"difficulty": "0x0", "number": hex(height), "gasLimit": "0x0", "gasUsed": hex(fork)}
    fields |= {"timestamp": hex(height), "extraData": "0x"}
    fields["parentHash"] = block(height - 1, fork)["hash"] if height else ZERO
    with pytest.raises(HeaderMismatch) as caught:
        verify_header(fields)
    computed = caught.value.values["computed"]
    assert isinstance(computed, bytes)
    return {**fields, "hash": "0x" + computed.hex()}


for height in range(0, 500, 100):  # so that recursion stays shallow
    block(height)


def hash_of(height: int, fork: int = 0) -> Hash32:
    return Hash32(bytes.fromhex(str(block(height, fork)["hash"])[2:]))


class Node(Endpoint):
    """An endpoint on one fork that says `final` is final; it may not know any block by its hash."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.final = 60
        self.fork = 0
        self.down = False
        self.withholds = False
        self.served = 0

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        if self.down:
            raise HttpFailure("down")
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> object:
        asked = str(call.params[0]) if call.params else ""
        if call.method == "eth_chainId":
            return "0x7"
        if call.method == "eth_getBlockByHash":
            known = (block(height, self.fork) for height in range(self.final + 1))
            return None if self.withholds else next((found for found in known if found["hash"] == asked), None)
        self.served += 1
        return block(self.final if asked == "finalized" else int(asked, 16), self.fork)


class Light:
    """A light client that has already decided."""

    def __init__(self) -> None:
        self.final: FinalBlock | None = None

    async def looked(self) -> None: ...


class Rig:
    def __init__(self) -> None:
        self.clock = 0.0
        self.now = 1000.0
        self.faults: list[EndpointFault] = []
        self.nodes = [Node(name) for name in "abc"]
        self.light = Light()
        pool = EndpointPool(ChainId(7), self.nodes, self.faults.append, self._time)
        self.record = Disagreements(self._time)
        source = FinalitySource(
            ChainId(7),
            pool,
            lambda: TrustedHeads(ChainId(7), pool, 2, self._time, record=self.record),
            self.faults.append,
            lambda: self.now,
            self.light,  # type: ignore[arg-type]
            MAX_AGE,
        )
        self.heads = source.heads()

    def _time(self) -> float:
        self.clock += 1e6  # nobody is set aside for long
        return self.clock

    def prove(self, height: int, fork: int = 0, *, age: int = 0, number: bool = True) -> None:
        time = UnixSeconds(int(self.now) - age)
        self.light.final = FinalBlock(hash_of(height, fork), Height(height) if number else None, time)

    def all(self, **values: object) -> None:
        for node in self.nodes:
            for name, value in values.items():
                setattr(node, name, value)

    async def head(self) -> tuple[int, Assurance]:
        header = await self.heads.head()
        return header.number, self.heads.assurance(header)

    async def at(self, *heights: int) -> list[Assurance]:
        headers = await self.heads.at([Height(height) for height in heights])
        assert [header.number for header in headers] == list(heights)
        return [self.heads.assurance(header) for header in headers]

    @property
    def named(self) -> set[str]:
        return {fault.reason for fault in self.faults}


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_without_a_proven_block_a_quorum_attests(rig: Rig) -> None:
    assert await rig.head() == (60, Assurance.ATTESTED)
    assert await rig.at(3, 60) == [Assurance.ATTESTED] * 2


async def test_what_is_proven_leads_and_the_quorum_is_not_asked(rig: Rig) -> None:
    rig.prove(50)
    assert await rig.head() == (50, Assurance.PROVEN)
    assert [node.served for node in rig.nodes] == [0, 0, 0]


async def test_ancestors_are_proven_by_parent_hashes_and_what_is_beyond_is_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finality, "HEADERS_A_REQUEST", 7)
    rig.prove(50)
    proven, attested = Assurance.PROVEN, Assurance.ATTESTED
    assert await rig.at(0, 20, 21, 50, 55) == [proven] * 4 + [attested]
    assert await rig.at(21, 13, 20) == [proven] * 3
    with pytest.raises(RetryError, match="not final yet"):
        await rig.at(61)


async def test_one_who_serves_another_ancestor_is_named(rig: Rig) -> None:
    rig.prove(50)
    await rig.head()
    rig.nodes[1].fork = 1  # the fastest so far
    (header,) = await rig.heads.at([Height(45)])
    assert header.hash == hash_of(45)
    assert [(fault.endpoint, fault.reason) for fault in rig.faults] == [("b", "WRONG_BLOCK")]


async def test_far_below_a_quorum_has_to_do(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finality, "MAX_DESCENT", 10)
    rig.prove(50)
    assert await rig.at(39, 40) == [Assurance.ATTESTED, Assurance.PROVEN]


async def test_what_was_below_another_block_is_asked_for_again(rig: Rig) -> None:
    rig.prove(50)
    (before,) = await rig.heads.at([Height(45)])
    rig.all(fork=1)
    rig.prove(52, 1)
    (after,) = await rig.heads.at([Height(45)])
    assert (before.hash, after.hash) == (hash_of(45), hash_of(45, 1))
    assert rig.heads.assurance(before) is Assurance.PROVEN, "two thirds of a committee signed for both"


async def test_memory_is_bounded_and_forgetting_says_less(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finality, "_KEPT", 4)
    monkeypatch.setattr(finality, "_KEPT_HASHES", 6)
    rig.prove(50)
    headers = await rig.heads.at([Height(height) for height in range(50)])
    assert [header.number for header in headers] == list(range(50))
    before = sum(node.served for node in rig.nodes)
    assert await rig.at(49, 50) == [Assurance.PROVEN] * 2
    assert sum(node.served for node in rig.nodes) == before
    assert await rig.at(5) == [Assurance.PROVEN]
    assert sum(node.served for node in rig.nodes) == before + 42, "all from 46 down"
    known = [rig.heads.assurance(header) for header in headers]
    assert known.count(Assurance.PROVEN) <= 6
    assert await rig.at(49, 50) == [Assurance.PROVEN] * 2


# === Behind ===


async def test_behind_means_old_and_overtaken(rig: Rig) -> None:
    rig.prove(50, age=MAX_AGE)
    assert await rig.head() == (50, Assurance.PROVEN), "old enough only beyond the bound"
    rig.now += 1
    assert await rig.head() == (60, Assurance.ATTESTED)
    assert rig.named == {"LIGHT_CLIENT_BEHIND"}
    assert await rig.at(50, 60) == [Assurance.PROVEN, Assurance.ATTESTED]
    await rig.head()
    assert len(rig.faults) == 1, "told once"
    rig.prove(60)
    assert await rig.head() == (60, Assurance.PROVEN)


async def test_when_nothing_newer_is_final_old_is_not_behind(rig: Rig) -> None:
    rig.prove(60, age=10 * MAX_AGE)
    assert await rig.head() == (60, Assurance.PROVEN)
    rig.all(final=30, withholds=True)
    assert await rig.head() == (60, Assurance.PROVEN)
    assert "LIGHT_CLIENT_BEHIND" not in rig.named


async def test_without_a_quorum_the_proven_block_stays(rig: Rig) -> None:
    rig.prove(50)
    await rig.head()
    rig.now += 10 * MAX_AGE
    rig.all(down=True)
    assert await rig.head() == (50, Assurance.PROVEN)


async def test_a_quorum_that_denies_it_does_not_lead_away(rig: Rig) -> None:
    rig.prove(50)
    await rig.head()
    rig.now += 10 * MAX_AGE
    rig.all(fork=1, final=99)
    assert await rig.head() == (50, Assurance.PROVEN)
    with pytest.raises(QuorumError, match="denies the final block"):
        await rig.at(70)
    (found,) = rig.record.kept()
    assert found.height == 50
    assert found.said == (("light client", hash_of(50)), ("quorum", hash_of(50, fork=1)))
    assert found.agreed == hash_of(50)


async def test_if_nobody_serves_the_proven_block_the_last_one_stays(rig: Rig) -> None:
    rig.prove(50)
    await rig.head()
    rig.prove(55)
    rig.all(withholds=True)
    assert await rig.head() == (50, Assurance.PROVEN)
    assert rig.named == {"UNKNOWN_BLOCK"}
    rig.all(withholds=False)
    assert await rig.head() == (55, Assurance.PROVEN)


@pytest.mark.parametrize("lying", [False, True])
async def test_if_nobody_ever_served_one_a_quorum_attests_unless_it_denies_it(rig: Rig, lying: bool) -> None:
    rig.prove(50)
    rig.all(withholds=True, fork=int(lying))
    if lying:
        with pytest.raises(QuorumError, match="denies the final block"):
            await rig.head()
    else:
        assert await rig.head() == (60, Assurance.ATTESTED)
        rig.all(final=45)  # behind the proven block: no contradiction
        assert (await rig.head())[1] is Assurance.ATTESTED


async def test_from_gloas_on_its_number_is_that_of_its_header(rig: Rig) -> None:
    rig.prove(50, number=False)
    assert await rig.head() == (50, Assurance.PROVEN)
    rig.now += 10 * MAX_AGE
    rig.all(fork=1, final=99)
    assert await rig.head() == (50, Assurance.PROVEN)
