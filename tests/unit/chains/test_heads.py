from __future__ import annotations

from collections.abc import Sequence

import pytest

from chains.errors import ConfigError, HeaderMismatch, QuorumError, RetryError
from chains.evm.disagreements import KEPT, Disagreements
from chains.evm.endpoint import Call, Endpoint
from chains.evm.errors import HttpFailure
from chains.evm.heads import TrustedHeads
from chains.evm.pool import EndpointPool, Quarantine
from chains.proofs.header import verify_header
from chains.types import ChainId, EndpointFault, Hash32, Height

ZERO = "0x" + "00" * 32


def block(height: int, fork: int = 0) -> dict[str, object]:
    """A header with a genuine hash; `fork` tells those of one height apart."""
    fields: dict[str, object] = dict.fromkeys(
        ("parentHash", "sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash", "hash"), ZERO
    )
    fields |= {"miner": "0x" + "00" * 20, "logsBloom": "0x" + "00" * 256, "nonce": "0x" + "00" * 8}
    fields |= {"difficulty": "0x0", "number": hex(height), "gasLimit": "0x0", "gasUsed": hex(fork)}
    fields |= {"timestamp": hex(height), "extraData": "0x"}
    with pytest.raises(HeaderMismatch) as caught:
        verify_header(fields)
    computed = caught.value.values["computed"]
    assert isinstance(computed, bytes)
    return {**fields, "hash": "0x" + computed.hex()}


class Node(Endpoint):
    """An endpoint that says `final` is final, on a fork of its own from `forks_at` on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.final = 10
        self.forks_at = 1 << 60
        self.fork = 0
        self.down = False
        self.offset = 0
        self.requests = 0

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        self.requests += 1
        if self.down:
            raise HttpFailure("down")
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> object:
        if call.method == "eth_chainId":
            return "0x7"
        asked = call.params[0]
        height = self.final if asked == "finalized" else int(str(asked), 16) + self.offset
        return block(height, self.fork if height >= self.forks_at else 0)


class Council:
    def __init__(self, nodes: int = 3, quorum: int = 2) -> None:
        self.now = 0.0
        self.faults: list[EndpointFault] = []
        self.nodes = [Node(name) for name in "abcdefg"[:nodes]]
        pool = EndpointPool(ChainId(7), self.nodes, self.faults.append, lambda: self.now, Quarantine())
        self.record = Disagreements(lambda: 1000 + self.now)
        self.pool = pool
        self.heads = TrustedHeads(ChainId(7), pool, quorum, lambda: self.now, patience=10.0, record=self.record)

    async def head(self) -> int:
        self.now += 1.0
        return (await self.heads.head()).number

    def set_final(self, *heights: int) -> None:
        for node, height in zip(self.nodes, heights, strict=True):
            node.final = height

    @property
    def named(self) -> list[tuple[str, str]]:
        return [(fault.endpoint, fault.reason) for fault in self.faults]


@pytest.mark.parametrize(
    ("heights", "trusted"), [((10, 10, 10), 10), ((9, 10, 11), 10), ((5, 10, 10), 10), ((9, 9, 99), 9), ((1, 2, 3), 2)]
)
async def test_the_head_is_what_a_quorum_calls_final(heights: tuple[int, int, int], trusted: int) -> None:
    council = Council()
    council.set_final(*heights)
    assert await council.head() == trusted
    assert not council.faults


async def test_equal_heads_cost_one_request_each_and_are_not_looked_for_twice_in_a_blink() -> None:
    council = Council()
    await council.head()
    assert (await council.heads.head()).number == 10
    assert [node.requests for node in council.nodes] == [1, 1, 1]
    assert await council.head() == 10
    assert [node.requests for node in council.nodes] == [2, 2, 2]


async def test_the_head_never_falls() -> None:
    council = Council()
    assert await council.head() == 10
    council.set_final(4, 4, 10)
    assert await council.head() == 10


async def test_one_that_differs_is_named_and_outvoted() -> None:
    council = Council()
    council.nodes[0].forks_at, council.nodes[0].fork = 5, 1
    head = (await council.heads.head()).hash
    assert head.hex() == str(block(10)["hash"])[2:]
    assert council.named == [("a", "DISAGREES")]


async def test_all_different_is_no_quorum_and_says_who_said_what() -> None:
    council = Council()
    for fork, node in enumerate(council.nodes):
        node.forks_at, node.fork = 5, fork
    with pytest.raises(QuorumError) as caught:
        await council.heads.head()
    assert caught.value.values["b has"] == bytes.fromhex(str(block(10, 1)["hash"])[2:])
    assert not council.faults, "who is wrong cannot be told"


async def test_too_few_answers_is_an_error_to_retry() -> None:
    council = Council()
    council.nodes[0].down = council.nodes[1].down = True
    with pytest.raises(RetryError) as caught:
        await council.head()
    assert not isinstance(caught.value, QuorumError)
    council.nodes[0].down = False  # set aside, but needed
    assert await council.head() == 10


async def test_one_that_is_down_is_not_asked_when_the_others_suffice() -> None:
    council = Council()
    for _ in range(4):
        council.nodes[0].down = True
        await council.head()
    assert council.nodes[0].requests == 3  # at 1 s, at 2 s when its second was over, and at 4 s


async def test_an_endpoint_may_lag_for_a_while_and_is_then_named() -> None:
    council = Council()
    await council.head()
    council.set_final(10, 20, 20)
    assert await council.head() == 20
    council.now += 8.0
    await council.head()
    assert not council.faults
    council.now += 2.0
    await council.head()
    assert council.named == [("a", "STALE_HEAD")]


async def test_one_that_follows_a_little_behind_is_never_named() -> None:
    council = Council()
    for height in range(10, 60):
        council.set_final(height, height + 1, height + 1)
        await council.head()
    assert not council.faults


async def test_older_headers_are_trusted_by_the_same_quorum_and_kept() -> None:
    council = Council()
    council.nodes[1].forks_at, council.nodes[1].fork = 4, 1
    await council.head()
    headers = await council.heads.at([Height(3), Height(4)])
    assert [header.number for header in headers] == [3, 4]
    assert headers[1].hash.hex() == str(block(4)["hash"])[2:]
    before = [node.requests for node in council.nodes]
    assert await council.heads.at([Height(4), Height(3)]) == headers[::-1]
    assert [node.requests for node in council.nodes] == before
    council.heads.forget(Height(4))
    await council.heads.at([Height(4)])
    assert [node.requests for node in council.nodes] != before


async def test_those_that_are_not_there_yet_are_not_asked() -> None:
    council = Council()
    council.set_final(5, 10, 10)
    await council.head()
    await council.heads.at([Height(8)])
    assert [node.requests for node in council.nodes] == [1, 2, 2]
    assert not council.faults


async def test_one_that_serves_another_height_than_it_was_asked_for_is_named() -> None:
    council = Council()
    await council.head()
    council.nodes[2].offset = -1
    (header,) = await council.heads.at([Height(5)])
    assert header.number == 5
    assert council.named == [("c", "WRONG_BLOCK")]


async def test_what_is_not_final_is_not_served() -> None:
    council = Council()
    with pytest.raises(RetryError):
        await council.heads.at([Height(11)])


async def test_more_heights_than_are_kept_come_back_whole() -> None:
    council = Council()
    council.set_final(500, 500, 500)
    heights = [Height(height) for height in range(1, 200)]
    assert [header.number for header in await council.heads.at(heights)] == heights


@pytest.mark.parametrize(("nodes", "quorum"), [(1, 1), (3, 2), (3, 3), (4, 3), (5, 3)])
def test_a_majority_is_a_quorum(nodes: int, quorum: int) -> None:
    Council(nodes, quorum)


@pytest.mark.parametrize(("nodes", "quorum"), [(3, 1), (4, 2), (2, 1), (3, 4), (3, 0), (3, -1)])
def test_less_is_not(nodes: int, quorum: int) -> None:
    with pytest.raises(ConfigError):
        Council(nodes, quorum)


# === What is told of the endpoints ===


def said(height: int, *forks: int) -> tuple[tuple[str, Hash32], ...]:
    """What `a`, `b` and so on have at `height`, by fork."""
    hashes = (Hash32(bytes.fromhex(str(block(height, fork)["hash"])[2:])) for fork in forks)
    return tuple(zip("abc", hashes, strict=False))


async def test_each_endpoint_stands_where_it_says_and_so_far_behind_the_agreed_head() -> None:
    council = Council()
    council.set_final(7, 10, 12)
    await council.head()
    assert [(each.name, each.height, each.lag) for each in council.pool.standings()] == [
        ("a", 7, 3),
        ("b", 10, 0),
        ("c", 12, 0),
    ]
    assert [each.name for each in council.pool.ranked()[0]] == ["b", "c", "a"], "what lags is asked last"
    council.nodes[0].final = 12
    await council.head()
    assert [each.name for each in council.pool.ranked()[0]] == ["a", "c", "b"]


async def test_who_said_what_is_kept_when_a_quorum_exists_anyway_and_once() -> None:
    council = Council()
    council.nodes[0].forks_at, council.nodes[0].fork = 5, 1
    for _ in range(3):
        await council.head()
        council.now += 1000.0  # whoever differs is asked again
    (found,) = council.record.kept()
    assert (found.height, found.said, found.agreed, found.at) == (10, said(10, 1, 0, 0), dict(said(10, 0))["a"], 1001)


async def test_who_said_what_is_kept_without_a_quorum() -> None:
    council = Council()
    for fork, node in enumerate(council.nodes):
        node.forks_at, node.fork = 5, fork
    with pytest.raises(QuorumError):
        await council.head()
    (found,) = council.record.kept()
    assert (found.said, found.agreed) == (said(10, 0, 1, 2), None)


async def test_endpoints_that_agree_leave_no_record() -> None:
    council = Council()
    council.set_final(9, 10, 11)
    await council.head()
    assert council.record.kept() == ()


def test_the_record_is_bounded_and_keeps_the_newest() -> None:
    record = Disagreements(lambda: 0.0)
    for height in range(KEPT + 5):
        record.note(Height(height), dict(said(height, 0, 1)), None)
    assert [found.height for found in record.kept()] == list(range(5, KEPT + 5))
