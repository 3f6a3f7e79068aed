"""The Beacon API of a simulated beacon chain over a real execution node, which lies on demand.

Owns the light client's four questions and the ways in which a beacon node can deceive or fail. Must not know who asks.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from enum import Enum
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from chains.errors import RetryError
from chains.evm.proxy import flood, truncate
from chains.proofs.lightclient import write
from chains.proofs.lightclient.config import BeaconConfig, Fork, ForkVersion, Slot
from chains.proofs.lightclient.containers import Update
from chains.types import Hash32, Height, UnixSeconds
from node.testnet.beacon.blocks import Blocks
from node.testnet.beacon.chain import BeaconChain, KnownCommittees, digest

MAX_UPDATES = 128
_LONGEST_HANG = 3600.0
_PATH = "/eth/v1/beacon/light_client"


class BeaconLie(Enum):
    """What a `BeaconServer` does to its answers; each value says it in words."""

    BAD_SIGNATURE = "gives a signature over something else"
    FEW_SIGNERS = "gives what less than two thirds of the committee signed"
    WRONG_FORK = "gives a signature under the version of another fork"
    WRONG_COMMITTEE = "gives what another committee signed"
    WRONG_BRANCH = "gives another branch for the final header"
    FORGED_BLOCK = "names another execution block in its final header"
    OTHER_CHECKPOINT = "begins at another block than it is asked for"
    STALE = "stops moving"
    FORKED = "is on a fork with other blocks, which less than two thirds of the committee follow"
    NEWER_FORK = "says that its data is of a fork that nobody knows yet"
    UNWRAPPED = "gives its data without their version"
    RATE_LIMITED = "answers HTTP 429"
    NOT_FOUND = "answers HTTP 404"
    HTTP_500 = "answers HTTP 500"
    NOT_JSON = "answers something that is not JSON"
    TRUNCATED = "ends its answer in the middle"
    OVERSIZED = "answers without end"
    HANG = "does not answer"


def simulated_network(height: Height, time: UnixSeconds, newest: Fork = Fork.ELECTRA) -> BeaconConfig:
    """A network of the minimal preset's committees with a slot a second, on which `newest` has always been in force.

    Its genesis leaves each block up to `height`, which was mined at `time`, the slot of its number.
    """
    genesis_time = UnixSeconds(time - height)
    return BeaconConfig(
        name="simulated",
        genesis_time=genesis_time,
        genesis_validators_root=digest("validators", genesis_time),
        genesis_version=b"\0\0\0\1",
        forks=tuple(ForkVersion(fork, 0, bytes((fork, 0, 0, 1))) for fork in Fork if fork <= newest),
        seconds_per_slot=1,
        slots_per_epoch=8,
        epochs_per_period=8,
        committee_size=32,
    )


class BeaconServer:
    """An HTTP server; `async with` runs it. Honest until `lie` is set, which may be at any time.

    `upstream` is the URL of the execution node; blocks up to height `numbered` have the slots of their numbers. `port`
    0 takes a free one; then `url` says where it is. `requests` counts them by the last part of their path.
    """

    def __init__(
        self, upstream: str, config: BeaconConfig, numbered: Height, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.config = config
        self.requests: Counter[str] = Counter()
        self.url = ""
        self._upstream = upstream
        self._numbered = numbered
        self._host = host
        self._port = port
        self._lie: BeaconLie | None = None
        self._frozen: tuple[Slot, Slot] | None = None
        self._begun: dict[str, Slot] = {}
        self._session: aiohttp.ClientSession
        self._runner: web.AppRunner
        self._blocks: Blocks
        self._chain: BeaconChain

    @property
    def lie(self) -> BeaconLie | None:
        """What it does to answers now; None is the truth."""
        return self._lie

    @lie.setter
    def lie(self, lie: BeaconLie | None) -> None:
        self._lie = lie
        self._frozen = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self._blocks = Blocks(self._session, self._upstream, self.config, self._numbered)
        self._chain = BeaconChain(self.config, self._blocks.payload, KnownCommittees(self.config.committee_size))
        application = web.Application(middlewares=[self._distorted])
        application.add_routes(
            [
                web.get(f"{_PATH}/bootstrap/{{root}}", self._bootstrap),
                web.get(f"{_PATH}/updates", self._updates),
                web.get(f"{_PATH}/finality_update", self._finality_update),
                web.get(f"{_PATH}/optimistic_update", self._optimistic_update),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    @property
    def time(self) -> UnixSeconds:
        """When the newest slot begins. Ahead of the clock where many blocks were mined in a second."""
        return self.config.time(self._blocks.newest)

    async def checkpoint(self) -> Hash32:
        """The root of a beacon block that is final now, to begin at."""
        await self._blocks.look()
        slot = self._blocks.final
        root = self._chain.header(slot).beacon.root()
        self._begun[root.hex()] = slot
        return root

    # === Answers ===

    async def _bootstrap(self, request: web.Request) -> web.Response:
        slot = self._begun.get(request.match_info["root"].removeprefix("0x"))
        if slot is None:
            raise web.HTTPNotFound
        if self._lie is BeaconLie.OTHER_CHECKPOINT:
            slot = Slot(slot + 1)
        return web.json_response(write.bootstrap(self.config, self._chain.bootstrap(slot)))

    async def _updates(self, request: web.Request) -> web.Response:
        first, count = (int(request.query[name]) for name in ("start_period", "count"))
        newest, final = await self._slots()
        slots = self.config.slots_per_epoch * self.config.epochs_per_period
        answers: list[Any] = []
        for period in range(first, first + min(count, MAX_UPDATES)):
            attested = min(Slot(slots * (period + 1) - 2), newest)
            proven = min(attested, final)
            if proven < slots * period:
                break
            answers.append(self._told(attested, proven, following=True))
        return web.json_response(answers)

    async def _finality_update(self, _: web.Request) -> web.Response:
        newest, final = await self._slots()
        return web.json_response(self._told(newest, final))

    async def _optimistic_update(self, _: web.Request) -> web.Response:
        newest, _final = await self._slots()
        return web.json_response(self._told(newest, None))

    async def _slots(self) -> tuple[Slot, Slot]:
        """The newest slot, and the newest final one."""
        try:
            await self._blocks.look()
        except RetryError as error:
            raise web.HTTPServiceUnavailable from error
        slots = (self._blocks.newest, self._blocks.final)
        if self._lie is BeaconLie.STALE:
            slots = self._frozen = self._frozen or slots
        return slots

    def _told(self, attested: Slot, final: Slot | None, *, following: bool = False) -> Any:  # noqa: ANN401 - JSON
        update = self._chain.update(attested, final, following=following)
        told = write.update(self.config, self._distort(update))
        match self._lie:
            case BeaconLie.NEWER_FORK:
                return told | {"version": "heze"}
            case BeaconLie.UNWRAPPED:
                return told["data"]
            case _:
                return told

    # === Lies ===

    def _distort(self, update: Update) -> Update:
        chain, final = self._chain, update.finalized_header
        match self._lie:
            case BeaconLie.BAD_SIGNATURE:
                forged = chain.committees.sign(0, [0], digest("something else"))
                return replace(update, sync_aggregate=replace(update.sync_aggregate, signature=forged))
            case BeaconLie.FEW_SIGNERS:
                return chain.signed(update, absent=self.config.committee_size // 3 + 1)
            case BeaconLie.WRONG_FORK:
                return chain.signed(update, version=self.config.genesis_version)
            case BeaconLie.WRONG_COMMITTEE:
                strangers = KnownCommittees(self.config.committee_size, "strangers")
                return replace(chain, committees=strangers).signed(update)
            case BeaconLie.FORKED if final is not None:
                fork = replace(chain, execution=lambda slot: replace(chain.execution(slot), block_hash=digest("fork")))
                attested, absent = update.attested_header.beacon.slot, self.config.committee_size // 2
                following = update.next_sync_committee is not None
                return fork.update(attested, final.beacon.slot, following=following, absent=absent)
            case BeaconLie.WRONG_BRANCH if final is not None:
                return replace(update, finality_branch=update.finality_branch[::-1])
            case BeaconLie.FORGED_BLOCK if final is not None and final.execution is not None:
                forged_block = replace(final.execution, block_hash=digest("another block"))
                return replace(update, finalized_header=replace(final, execution=forged_block))
            case _:
                return update

    @web.middleware
    async def _distorted(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's
        self.requests[request.path.removeprefix(_PATH).split("/")[1]] += 1
        match self._lie:
            case BeaconLie.NOT_FOUND:
                return web.json_response({"code": 404, "message": "not found"}, status=404)
            case BeaconLie.RATE_LIMITED:
                return web.json_response({"code": 429, "message": "too many requests"}, status=429)
            case BeaconLie.HTTP_500:
                return web.json_response({"code": 500, "message": "internal error"}, status=500)
            case BeaconLie.NOT_JSON:
                return web.Response(text="<html>It works!</html>")
            case BeaconLie.HANG:
                await asyncio.sleep(_LONGEST_HANG)
            case BeaconLie.OVERSIZED:
                return await flood(request)
            case _:
                pass
        answer: web.Response = await handler(request)
        if self._lie is BeaconLie.TRUNCATED:
            return await truncate(request, json.dumps(answer.text).encode())
        return answer
