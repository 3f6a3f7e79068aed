"""A network whose nodes follow a beacon chain: what it certifies is proven, and attested while the beacon node lies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hypothec.v1 import state_pb2
from node.testnet.beacon.server import BeaconLie
from node.testnet.network import Options, Testnet
from node.testnet.waiting import until


def certified_as(net: Testnet, assurance: state_pb2.Assurance.ValueType) -> Callable[[], Awaitable[bool | None]]:
    async def question() -> bool | None:
        state = (await net.operators[0].status()).state
        return True if {chain.assurance for chain in state.chains} == {assurance} else None

    return question


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_network_certifies_what_light_clients_prove(tmp_path: Path) -> None:
    options = Options(directory=tmp_path / "net", chains=1, light_client=True)
    async with Testnet.start(options) as net:
        proven, attested = state_pb2.ASSURANCE_PROVEN, state_pb2.ASSURANCE_ATTESTED
        await until(certified_as(net, proven), "for a cut that is proven", within=60)
        for beacon in net.beacons:
            beacon.server.lie = BeaconLie.BAD_SIGNATURE
        await until(certified_as(net, attested), "for the quorum to stand in", within=100)
        for beacon in net.beacons:
            beacon.server.lie = None
        await until(certified_as(net, proven), "for the light clients to be back", within=30)
