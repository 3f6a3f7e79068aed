"""The light client before a server that gives what mainnet's beacon nodes gave, byte for byte, over real HTTP.

The answers are of the shape that the Beacon API prescribes: `version` and `data`, numbers as decimal strings, updates
as an array. Metadata that other nodes add beside them changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chains.adapter import Beacon
from chains.evm.beacon.client import LightClient
from chains.evm.beacon.questions import LIMITS
from chains.evm.endpoint import Endpoint, open_session
from chains.evm.pool import EndpointPool
from chains.proofs.lightclient.config import MAINNET, Slot
from chains.types import ChainId, EndpointFault
from tests.shared import shared
from tests.vectors.proofs import beacon

BOOTSTRAP, UPDATES, FINALITY, _ = beacon.helios()
FIRST = MAINNET.period(BOOTSTRAP.header.beacon.slot)
FINAL = 7109344
Twist = Callable[[Any], Any]


def raw(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((shared("vectors/proofs/lightclient") / f"helios_mainnet_capella/{name}.json").read_text())


@asynccontextmanager
async def serving(twist: Twist) -> AsyncIterator[str]:
    """A beacon node that holds the vectors; `twist` is what it makes of each object in an answer."""
    root = BOOTSTRAP.header.beacon.root().hex()
    asked_for: list[str] = []

    def answer(request: web.Request, body: Any) -> web.Response:  # noqa: ANN401 - JSON
        asked_for.append(request.headers["Accept"])
        return web.json_response(body, headers={"Eth-Consensus-Version": "capella"})

    async def bootstrap(request: web.Request) -> web.Response:
        assert request.match_info["root"] == f"0x{root}"
        return answer(request, twist(raw("bootstrap")))

    async def updates(request: web.Request) -> web.Response:
        start, count = int(request.query["start_period"]) - FIRST, int(request.query["count"])
        return answer(request, [twist(update) for update in raw("updates")[start : start + count]])

    async def newest(request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2].removesuffix("_update")
        return answer(request, twist(raw(name)))

    application, path = web.Application(), "/eth/v1/beacon/light_client"
    application.add_routes(
        [
            web.get(path + "/bootstrap/{root}", bootstrap),
            web.get(path + "/updates", updates),
            web.get(path + "/finality_update", newest),
            web.get(path + "/optimistic_update", newest),
        ]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        assert set(asked_for) == {"application/json"}
    finally:
        await runner.cleanup()


async def followed(folder: Path, twist: Twist = lambda found: found) -> tuple[int | None, list[EndpointFault]]:
    """The slot that is final after one look, and what the node was caught at."""
    faults: list[EndpointFault] = []
    now = float(MAINNET.time(Slot(FINALITY.signature_slot + 1)))
    async with serving(twist) as url, open_session() as session:
        pool = EndpointPool(ChainId(1), [Endpoint(session, url, "beacon", LIMITS)], faults.append, lambda: 0.0)
        source = Beacon((url,), MAINNET, BOOTSTRAP.header.beacon.root(), folder / "state.json", b"\1" * 32)
        client = LightClient(ChainId(1), source, pool, faults.append, lambda: now)
        await client.look()
    return None if client.store is None else client.store.finalized.beacon.slot, faults


async def test_mainnet_is_followed_from_a_checkpoint_to_its_newest_final_block(tmp_path: Path) -> None:
    assert await followed(tmp_path) == (FINAL, [])


async def test_what_nodes_add_beside_the_data_changes_nothing(tmp_path: Path) -> None:
    def twist(found: Any) -> Any:  # noqa: ANN401 - JSON
        return {"execution_optimistic": False, "finalized": True, "meta": {"source": "x"}, **found}

    assert await followed(tmp_path, twist) == (FINAL, [])


@pytest.mark.parametrize("version", ["altair", "CAPELLA", "fulu"])
async def test_which_known_fork_an_answer_names_changes_nothing(tmp_path: Path, version: str) -> None:
    assert await followed(tmp_path, lambda found: found | {"version": version}) == (FINAL, [])
