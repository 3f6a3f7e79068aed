"""The transport under web3: what it bounds, and that giving up on one request costs no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from web3 import AsyncWeb3

from chains.errors import RetryError
from node.relay.endpoint import HttpProvider, Refused, asked

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def endpoint(handler: Handler) -> AsyncIterator[AsyncWeb3[HttpProvider]]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider = HttpProvider(f"http://127.0.0.1:{runner.addresses[0][1]}", request_s=2.0)
    try:
        yield AsyncWeb3(provider)
    finally:
        await provider.disconnect()
        await runner.cleanup()


def saying(body: bytes, status: int = 200) -> Handler:
    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=body, status=status, content_type="application/json")

    return answer


async def test_requests_that_are_given_up_do_not_hold_up_the_next() -> None:
    async with endpoint(saying(b'{"jsonrpc":"2.0","id":0,"result":"0x7"}')) as web3:
        for pause in range(40):
            given_up = [asyncio.ensure_future(web3.eth.block_number) for _ in range(4)]
            await asyncio.sleep(pause / 10_000)
            for task in given_up:
                task.cancel()
            await asyncio.gather(*given_up, return_exceptions=True)
        async with asyncio.timeout(5):
            assert await web3.eth.block_number == 7


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>", 200),
        (b"[]", 200),
        (b"[" * 200_000, 200),
        (b'{"jsonrpc":"2.0","id":0,"result":"' + b"0" * (5 << 20) + b'"}', 200),
        (b"{}", 500),
        (b'{"jsonrpc":"2.0","id":0,"result":"0x7"}', 429),
    ],
    ids=["not json", "no object", "nested", "oversized", "500", "429"],
)
async def test_an_answer_that_is_none_is_for_another_try(body: bytes, status: int) -> None:
    async with endpoint(saying(body, status)) as web3:
        with pytest.raises(RetryError):
            await asked(web3.eth.block_number)


async def test_what_the_endpoint_refuses_says_so() -> None:
    async with endpoint(saying(b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"no"}}')) as web3:
        with pytest.raises(Refused, match="no"):
            await asked(web3.eth.block_number)


async def test_an_endpoint_that_does_not_answer_in_time_is_for_another_try() -> None:
    async def silent(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async with endpoint(silent) as web3:
        with pytest.raises(RetryError):
            await asked(web3.eth.block_number)
