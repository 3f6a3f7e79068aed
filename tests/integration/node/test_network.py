"""Four whole nodes agree, answer, go on without one, and take it back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
from grpc import aio
from typer.testing import CliRunner

from hypothec.v1 import operator_service_pb2 as pb
from hypothec.v1 import owner_service_pb2, venue_service_pb2
from hypothec.v1.operator_service_pb2_grpc import OperatorServiceStub
from hypothec.v1.owner_service_pb2_grpc import OwnerServiceStub
from hypothec.v1.venue_service_pb2_grpc import VenueServiceStub
from node.cli import app
from node.model.requests import encode_request
from node.store.errors import StoreLocked
from tests import kit
from tests.integration.node.harness import Net, network_of_nodes, secret, until


async def status(net: Net, index: int) -> pb.GetStatusResponse:
    async with aio.insecure_channel(net.operator(index)) as channel:
        return await OperatorServiceStub(channel).GetStatus(pb.GetStatusRequest(), timeout=5, wait_for_ready=True)


async def margin_state(net: Net, index: int) -> venue_service_pb2.GetMarginStateResponse:
    async with aio.insecure_channel(net.operator(index)) as channel:
        request = venue_service_pb2.GetMarginStateRequest()
        return await VenueServiceStub(channel).GetMarginState(request, timeout=5)


async def reaches(net: Net, index: int, sequence: int) -> pb.GetStatusResponse:
    """The node's status once its newest state is at or after `sequence`."""
    return await eventually(lambda: status(net, index), lambda answer: answer.state.sequence >= sequence)


_T = TypeVar("_T")


async def eventually(ask: Callable[[], Awaitable[_T]], enough: Callable[[_T], bool], seconds: float = 20.0) -> _T:
    """Ask until the answer is good enough; fail with the last one when it never is."""
    limit = time.monotonic() + seconds
    while not enough(answer := await ask()):
        assert time.monotonic() < limit, f"it stayed at {answer}"
        await asyncio.sleep(0.05)
    return answer


async def test_four_nodes_agree_on_one_state(tmp_path: Path) -> None:
    async with network_of_nodes(tmp_path) as net:
        first = await reaches(net, 0, 5)
        hashes: dict[int, set[bytes]] = {}
        for _ in range(3):
            for index in range(4):
                answer = await margin_state(net, index)
                hashes.setdefault(answer.summary.sequence, set()).add(answer.summary.hash)
        assert all(len(found) == 1 for found in hashes.values())
        assert [peer.connected for peer in first.peers] == [True] * 3
        assert all(chain.certified_height > 0 for chain in (await reaches(net, 3, 10)).chains)


async def test_the_newest_state_is_a_metric(tmp_path: Path) -> None:
    async with network_of_nodes(tmp_path) as net, aiohttp.ClientSession() as session:
        first = await reaches(net, 0, 2)
        url = f"http://127.0.0.1:{net.places[0].ports['metrics']}/metrics"
        async with session.get(url) as response:
            lines = (await response.text()).splitlines()
        gauges = dict(line.split() for line in lines if line.startswith(("hypothec_state", "hypothec_clock")))
        assert float(gauges["hypothec_state_sequence"]) >= first.state.sequence
        assert abs(float(gauges["hypothec_state_time_seconds"]) - time.time()) < 30
        assert abs(float(gauges["hypothec_clock_offset_seconds"])) < 30


async def test_a_deposit_and_a_link_become_part_of_the_state(tmp_path: Path) -> None:
    owner = kit.Owner()
    async with network_of_nodes(tmp_path) as net:
        await reaches(net, 0, 2)
        net.chains[kit.ONE].deposit(owner.account, kit.TOKEN, kit.ETHER)
        request = encode_request(owner.link())
        async with aio.insecure_channel(net.operator(1)) as channel:
            stub = OwnerServiceStub(channel)
            answer = await stub.SubmitLink(owner_service_pb2.SubmitLinkRequest(request=request), timeout=5)
            decided = owner_service_pb2.GetDecisionRequest(account=owner.account, request=answer.digest)
            await eventually(
                lambda: stub.GetDecision(decided, timeout=5),
                lambda found: found.status == owner_service_pb2.DECISION_STATUS_GRANTED,
            )
            asked = owner_service_pb2.GetAccountHealthRequest(account=owner.account)
            health = await eventually(
                lambda: stub.GetAccountHealth(asked, timeout=5),
                lambda found: bool(found.answer.accounts[0].health.holdings),
            )
        assert [line.amount for line in health.answer.accounts[0].health.holdings] == [str(kit.ETHER)]


async def test_three_nodes_go_on_without_the_fourth_which_catches_up(tmp_path: Path) -> None:
    async with network_of_nodes(tmp_path) as net:
        await reaches(net, 0, 3)
        await net.stop(2)
        away = await reaches(net, 0, 0)
        later = await reaches(net, 0, away.state.sequence + 10)
        await net.start(2)
        back = await reaches(net, 2, later.state.sequence + 3)
        assert not [line for line in back.advice if "state" in line]


async def test_a_network_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    async with network_of_nodes(tmp_path) as net:
        await reaches(net, 0, 5)
        for index in range(4):
            await net.stop(index)
        for index in range(4):
            await net.start(index)
        assert (await reaches(net, 1, 10)).state.sequence >= 10


async def test_a_leader_that_stops_is_replaced(tmp_path: Path) -> None:
    async with network_of_nodes(tmp_path) as net:
        before = await reaches(net, 0, 3)
        await net.stop(before.leader)
        witness = next(index for index in range(4) if index != before.leader)
        stopped = await reaches(net, witness, 0)
        after = await reaches(net, witness, stopped.state.sequence + 10)
        assert after.leader != before.leader
        assert after.epoch > before.epoch


async def test_two_processes_cannot_share_one_store(tmp_path: Path) -> None:
    async with network_of_nodes(tmp_path) as net:
        await reaches(net, 0, 1)
        stopped = net.running[0]
        await net.start(0)
        second = net.running[0][1]
        await until(second.done)
        assert isinstance(second.exception(), StoreLocked)
        net.running[0] = stopped


async def test_a_new_policy_is_signed_handed_in_and_takes_over_its_time(tmp_path: Path) -> None:
    text = {"policy_timelock = 60": "policy_timelock = 0", "initial_bps = 1000": "initial_bps = 1500"}
    file = tmp_path / "policy-2.toml"
    file.write_bytes(kit.policy(2, text).body)
    common = [str(file), "--network", str(tmp_path / "network.toml"), "--activates-at", str(int(time.time()) + 4)]
    async with network_of_nodes(tmp_path) as net:
        signatures: list[str] = []
        for name in ("policy a", "policy b"):
            secret(tmp_path / name, kit.key(name).secret)
            signed = CliRunner().invoke(app, ["policy", "sign", *common, "--key", str(tmp_path / name)])
            assert signed.exit_code == 0, signed.output
            signatures += ["--signature", signed.output.strip()]
        before = (await reaches(net, 0, 2)).state.policy_hash
        alone = ["policy", "submit", *common, *signatures[:2], "--node", net.operator(0)]
        refused = await asyncio.to_thread(CliRunner().invoke, app, alone)
        assert refused.exit_code != 0
        both = ["policy", "submit", *common, *signatures, "--node", net.operator(0)]
        taken = await asyncio.to_thread(CliRunner().invoke, app, both)
        assert taken.exit_code == 0, taken.output
        after = await eventually(lambda: status(net, 3), lambda answer: answer.state.policy_hash != before)
        assert after.state.policy_hash == kit.policy(2, text).hash
        later = await reaches(net, 2, after.state.sequence + 3)
        assert later.state.policy_hash == kit.policy(2, text).hash
