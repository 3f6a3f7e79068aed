from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from chains.errors import ConfigError, RetryError
from chains.evm.endpoint import Call, Endpoint, Limits, endpoint_names, open_session
from chains.evm.errors import (
    EndpointUnreachable,
    HttpFailure,
    MalformedAnswer,
    Oversized,
    ProofWindow,
    RateLimited,
    RpcFailure,
)
from node.testnet.ports import free_port

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
CALLS = (Call("a"), Call("b", (1,)))


@asynccontextmanager
async def serving(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Endpoint]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with open_session() as session:
            yield Endpoint(session, f"http://127.0.0.1:{runner.addresses[0][1]}/key", "here", limits)
    finally:
        await runner.cleanup()


def answering(change: Callable[[list[dict[str, object]]], object]) -> Handler:
    """Answers each call with its method's name, then lets `change` spoil it; bytes and strings go out as they are."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked = json.loads(await request.read())
        calls = asked if isinstance(asked, list) else [asked]
        good: list[dict[str, object]] = [{"jsonrpc": "2.0", "id": c["id"], "result": c["method"]} for c in calls]
        spoilt = change(good)
        if isinstance(spoilt, bytes):
            return web.Response(body=spoilt)
        return web.Response(text=spoilt if isinstance(spoilt, str) else json.dumps(spoilt))

    return handle


async def test_results_come_in_the_order_of_the_calls_whatever_the_answers() -> None:
    async with serving(answering(lambda good: good[::-1])) as endpoint:
        assert await endpoint.batch(CALLS) == ["a", "b"]


async def test_one_call_is_sent_plain() -> None:
    async with serving(answering(lambda good: good[0])) as endpoint:
        assert await endpoint.batch(CALLS[:1]) == ["a"]


async def test_null_is_a_result() -> None:
    async with serving(answering(lambda good: {**good[0], "result": None})) as endpoint:
        assert await endpoint.batch(CALLS[:1]) == [None]


@pytest.mark.parametrize(
    "change",
    [
        lambda good: good[:1],
        lambda good: [*good, good[0]],
        lambda good: [*good, {**good[0], "id": 99}],
        lambda good: [good[0], {**good[1], "id": good[0]["id"]}],
        lambda good: [good[0], {**good[1], "id": str(good[1]["id"])}],
        lambda good: [good[0], {**good[1], "id": True}],
        lambda good: [good[0], {**good[1], "id": [1]}],
        lambda good: [good[0], {"jsonrpc": "2.0", "id": good[1]["id"]}],
        lambda good: [good[0], "b"],
        lambda good: {},
        lambda good: "null",
        lambda good: "",
        lambda good: "<html>",
        lambda good: '{"id": NaN}',
        lambda good: "[" * 100_000,
        lambda good: b"\xff\xfe",
        lambda good: "1" * 5000,
    ],
)
async def test_what_does_not_answer_the_calls_is_malformed(
    change: Callable[[list[dict[str, object]]], object],
) -> None:
    async with serving(answering(change)) as endpoint:
        with pytest.raises(MalformedAnswer) as caught:
            await endpoint.batch(CALLS)
        assert "here" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": -32000, "message": "distance to target block exceeds maximum proof window"}, ProofWindow),
        ({"code": -32000, "message": "missing trie node abc (path ) state 0x12 is not available"}, ProofWindow),
        ({"code": -32000, "message": "historical state 0xab is not available"}, ProofWindow),
        ({"code": -32005, "message": "slow down"}, RateLimited),
        ({"code": 0, "message": "Your app has exceeded its compute units per second capacity"}, RateLimited),
        ({"code": -32603, "message": "Internal error"}, RpcFailure),
        ({"message": None}, RpcFailure),
        ("no", RpcFailure),
    ],
)
async def test_errors_are_told_apart(error: object, kind: type[RetryError]) -> None:
    async with serving(answering(lambda good: [good[0], {"id": good[1]["id"], "error": error}])) as endpoint:
        with pytest.raises(RetryError) as caught:
            await endpoint.batch(CALLS)
        assert type(caught.value) is kind


async def test_an_error_beside_a_result_is_an_error() -> None:
    async with serving(answering(lambda good: {**good[0], "error": {"code": 1, "message": "x"}})) as endpoint:
        with pytest.raises(RpcFailure):
            await endpoint.batch(CALLS[:1])


@pytest.mark.parametrize(("status", "kind"), [(500, HttpFailure), (404, HttpFailure), (204, HttpFailure)])
async def test_other_statuses_are_failures(status: int, kind: type[RetryError]) -> None:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    async with serving(handle) as endpoint:
        with pytest.raises(kind):
            await endpoint.batch(CALLS[:1])


async def test_a_redirect_is_not_followed() -> None:
    followed: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        followed.append(str(request.rel_url))
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with serving(handle) as endpoint:
        with pytest.raises(HttpFailure):
            await endpoint.batch(CALLS[:1])
    assert followed == ["/key"]


async def test_a_small_answer_that_unpacks_to_a_large_one_is_oversized() -> None:
    packed = gzip.compress(b'{"id":1,"result":"' + b"a" * 5_000_000 + b'"}')
    assert len(packed) < 10_000

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with serving(handle, Limits(answer_bytes=100_000)) as endpoint:
        with pytest.raises(Oversized):
            await endpoint.batch(CALLS[:1])


async def test_an_answer_of_exactly_the_limit_is_read() -> None:
    body = b'{"id":1,"result":"' + b"a" * 100_000 + b'"}'

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body)

    async with serving(handle, Limits(answer_bytes=len(body))) as endpoint:
        assert await endpoint.batch(CALLS[:1]) == ["a" * 100_000]
    async with serving(handle, Limits(answer_bytes=len(body) - 1)) as endpoint:
        with pytest.raises(Oversized):
            await endpoint.batch(CALLS[:1])


async def test_an_answer_that_announces_too_much_is_not_read() -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(1 << 40)})
        await response.prepare(request)
        await response.write(b" ")
        await asyncio.sleep(60)
        return response

    async with serving(handle, Limits(seconds=10.0)) as endpoint:
        with pytest.raises(Oversized):
            await endpoint.batch(CALLS[:1])


async def test_nobody_there_is_unreachable() -> None:
    async with open_session() as session:
        endpoint = Endpoint(session, f"http://127.0.0.1:{free_port()}", "nobody")
        with pytest.raises(EndpointUnreachable):
            await endpoint.batch(CALLS[:1])


def test_names_hold_no_credentials_and_are_distinct() -> None:
    urls = [
        "https://me:pw@rpc.example/v2/KEY",
        "http://127.0.0.1:8545",
        "http://127.0.0.1:8545",
        "https://b.example:1/",
    ]
    assert endpoint_names(urls) == ["rpc.example", "127.0.0.1:8545#1", "127.0.0.1:8545#2", "b.example:1"]


@pytest.mark.parametrize("url", ["", "ws://a", "file:///etc/passwd", "http://", "//a", "http://a:99999", "http://[::1"])
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        endpoint_names([url])
    assert "passwd" not in str(caught.value)


async def test_an_endpoint_is_sent_no_more_than_its_rate() -> None:
    asked = 0

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await answering(lambda good: good[0])(request)

    async with serving(handle, Limits(per_second=0.01)) as endpoint:
        await endpoint.batch(CALLS[:1])
        with pytest.raises(RateLimited, match="as often as it may be"):
            await endpoint.batch(CALLS[:1])
    assert asked == 1


async def test_requests_over_the_rate_wait_for_their_turn() -> None:
    async with serving(answering(lambda good: good[0]), Limits(per_second=20)) as endpoint:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(endpoint.batch(CALLS[:1]) for _ in range(24)))
        assert asyncio.get_running_loop().time() - started > 0.19, "twenty at once, and four at their turn"
