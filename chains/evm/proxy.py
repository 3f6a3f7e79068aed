"""A JSON-RPC proxy that lies on demand, for testnets and tests: never part of a node.

Owns the ways in which a real endpoint can deceive or fail, applied to a real node's answers. Must not know who asks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from chains.errors import HeaderMismatch
from chains.proofs.header import verify_header

_MAX_REQUEST = 1 << 20
_FLOOD = 1 << 16
_LONGEST_HANG = 3600.0
_NO_TRANSACTIONS = False

Json = Any  # what json.loads gives: a proxy passes on what it does not understand


class Lie(Enum):
    """What a `LyingProxy` does to answers; each value says it in words."""

    ALTERED_VALUE = "claims another storage value (or balance) beside a genuine proof"
    ALTERED_PROOF = "flips one bit in the last node of a proof"
    ALTERED_HEADER = "changes a header's state root and keeps its hash"
    FORGED_HEADER = "changes a header's state root and gives it the hash that fits"
    FORGED_ANCESTOR = "forges headers like that, but only below its finalized block"
    OTHER_BLOCK = "serves the genuine data of the parent block"
    STALE_HEAD = "stops moving its finalized block"
    MISSING_LOG = "leaves out one log"
    MISSING_RECEIPT = "leaves out one receipt"
    PRUNED = "has no receipts any more"
    WRONG_CHAIN = "has another chain id"
    UNKNOWN_BLOCK = "knows no block and no proof"
    PROOF_WINDOW = "has no state for proofs any more"
    RPC_ERROR = "answers every call with an error"
    HTTP_500 = "answers HTTP 500"
    RATE_LIMITED = "answers HTTP 429"
    NOT_JSON = "answers something that is not JSON"
    TRUNCATED = "ends its answer in the middle"
    OVERSIZED = "answers without end"
    HANG = "does not answer"


class LyingProxy:
    """An HTTP server before `upstream`; `async with` runs it. Honest until `lie` is set, which may be at any time.

    `port` 0 takes a free one; then `url` says where it is. `requests` counts HTTP requests and `calls` the methods.
    """

    def __init__(self, upstream: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.requests = 0
        self.calls: dict[str, int] = {}
        self.url = ""
        self._upstream = upstream
        self._host = host
        self._port = port
        self._lie: Lie | None = None
        self._frozen: str | None = None
        self._session: aiohttp.ClientSession
        self._runner: web.ServerRunner

    @property
    def lie(self) -> Lie | None:
        """What it does to answers now; None is the truth."""
        return self._lie

    @lie.setter
    def lie(self, lie: Lie | None) -> None:
        self._lie = lie
        self._frozen = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        body = await request.content.read(_MAX_REQUEST)
        match self._lie:
            case Lie.HTTP_500:
                return web.Response(status=500, text="Internal Server Error")
            case Lie.RATE_LIMITED:
                return web.Response(status=429, text="Too Many Requests")
            case Lie.NOT_JSON:
                return web.Response(text="<html>It works!</html>")
            case Lie.HANG:
                await asyncio.sleep(_LONGEST_HANG)
            case Lie.OVERSIZED:
                return await flood(request)
            case _:
                pass
        answer = await self._answer(body)
        if self._lie is Lie.TRUNCATED:
            return await truncate(request, answer)
        return web.Response(body=answer, content_type="application/json")

    async def _answer(self, body: bytes) -> bytes:
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        for call in calls:
            self.calls[call["method"]] = self.calls.get(call["method"], 0) + 1
        raw = await self._forward(body)
        if self._lie is None:
            return raw
        answer = json.loads(raw)
        for call, item in zip(calls, answer if isinstance(answer, list) else [answer], strict=True):
            await self._distort(call["method"], call["params"], item)
        return json.dumps(answer).encode()

    async def _forward(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._upstream, data=body, headers=headers) as response:
            return await response.read()

    async def _call(self, method: str, *params: Json) -> Json:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        return json.loads(await self._forward(body)).get("result")

    async def _distort(self, method: str, params: Json, item: Json) -> None:
        """Make `item`, the true answer to one call, a lie if the lie is about such calls."""
        match self._lie, method:
            case Lie.RPC_ERROR, _:
                _refuse(item, "internal error")
            case Lie.PROOF_WINDOW, "eth_getProof":
                _refuse(item, "distance to target block exceeds maximum proof window")
            case (
                Lie.UNKNOWN_BLOCK,
                "eth_getBlockByNumber" | "eth_getBlockByHash" | "eth_getProof" | "eth_getBlockReceipts",
            ):
                item["result"] = None
            case Lie.PRUNED, "eth_getBlockReceipts":
                item["result"] = None
            case (Lie.STALE_HEAD | Lie.OTHER_BLOCK) as lie, _:
                if (other := await self._instead(lie, method, params, item["result"])) is not None:
                    item["result"] = other
            case Lie.FORGED_ANCESTOR, "eth_getBlockByNumber" if params[0] != "finalized":
                _forge_header(item["result"])
            case _:
                if (distortion := _DISTORTIONS.get((self._lie, method))) is not None:
                    item["result"] = distortion(item["result"]) or item["result"]

    async def _instead(self, lie: Lie, method: str, params: Json, truth: Json) -> Json:
        """What is true, but of another block; None where the lie is not about such calls."""
        match lie, method:
            case Lie.STALE_HEAD, "eth_getBlockByNumber" if params[0] == "finalized":
                self._frozen = self._frozen or truth["number"]
                return await self._call(method, self._frozen, _NO_TRANSACTIONS)
            case Lie.OTHER_BLOCK, "eth_getProof":
                return await self._call(method, *params[:2], await self._parent(params[2]["blockHash"]))
            case Lie.OTHER_BLOCK, "eth_getBlockReceipts":
                return await self._call(method, await self._parent(params[0]))
            case Lie.OTHER_BLOCK, "eth_getBlockByNumber" if params[0] != "finalized":
                return await self._call(method, hex(int(params[0], 16) - 1), _NO_TRANSACTIONS)
        return None

    async def _parent(self, block_hash: str) -> str:
        block = await self._call("eth_getBlockByHash", block_hash, _NO_TRANSACTIONS)
        return str(block["parentHash"])


async def flood(request: web.BaseRequest) -> web.StreamResponse:
    """An answer without end."""
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b" " * _FLOOD)
    except ConnectionError:  # the other side has had enough
        return response


async def truncate(request: web.BaseRequest, answer: bytes) -> web.StreamResponse:
    """The first half of `answer`, and then nobody there any more."""
    response = web.StreamResponse(headers={"Content-Length": str(len(answer))})
    await response.prepare(request)
    await response.write(answer[: len(answer) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _refuse(item: Json, message: str) -> None:
    item.pop("result", None)
    item["error"] = {"code": -32000, "message": message}


def _alter_header(block: Json) -> None:
    block["stateRoot"] = _flipped(block["stateRoot"])


def _forge_header(block: Json) -> None:
    _alter_header(block)
    try:
        verify_header(block)
    except HeaderMismatch as error:  # which says what hash would fit
        block["hash"] = "0x" + error.values["computed"].hex()  # type: ignore[attr-defined]


def _other_id(chain_id: Json) -> Json:
    return hex(int(chain_id, 16) + 1)


def _alter_value(proof: Json) -> None:
    claim, field = (proof["storageProof"][-1], "value") if proof["storageProof"] else (proof, "balance")
    claim[field] = hex(int(claim[field], 16) + 1)


def _alter_proof(proof: Json) -> None:
    slots = [slot["proof"] for slot in proof["storageProof"] if slot["proof"]]
    nodes = slots[-1] if slots else proof["accountProof"]
    nodes[-1] = _flipped(nodes[-1])


def _drop_log(receipts: Json) -> None:
    for receipt in receipts:
        if receipt["logs"]:
            receipt["logs"].pop()
            return


def _drop_receipt(receipts: Json) -> None:
    if receipts:
        receipts.pop()


def _flipped(data: str) -> str:
    return data[:-1] + f"{int(data[-1], 16) ^ 1:x}"


_DISTORTIONS: dict[tuple[Lie | None, str], Callable[[Json], Json | None]] = {
    (Lie.WRONG_CHAIN, "eth_chainId"): _other_id,
    (Lie.ALTERED_HEADER, "eth_getBlockByNumber"): _alter_header,
    (Lie.ALTERED_HEADER, "eth_getBlockByHash"): _alter_header,
    (Lie.FORGED_HEADER, "eth_getBlockByNumber"): _forge_header,
    (Lie.FORGED_HEADER, "eth_getBlockByHash"): _forge_header,
    (Lie.ALTERED_VALUE, "eth_getProof"): _alter_value,
    (Lie.ALTERED_PROOF, "eth_getProof"): _alter_proof,
    (Lie.MISSING_LOG, "eth_getBlockReceipts"): _drop_log,
    (Lie.MISSING_RECEIPT, "eth_getBlockReceipts"): _drop_receipt,
}
"""What changes one result, in place or by another in its stead."""
