"""The anvil helper against the real anvil: it answers while the block runs and is gone after it."""

import asyncio

import aiohttp
import pytest

from node.testnet.ports import free_port
from tests.tools import AnvilFailed, anvil


async def test_two_chains_answer_with_their_own_ids() -> None:
    async with anvil(31_337) as one, anvil(31_338) as other:
        assert await _chain_id(one) == 31_337
        assert await _chain_id(other) == 31_338


async def test_it_listens_where_it_was_told() -> None:
    port = free_port()
    async with anvil(31_337, port=port) as url:
        assert url == f"http://127.0.0.1:{port}"


async def test_it_is_gone_when_the_block_is_left_by_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        async with anvil(31_337) as url:
            raise ZeroDivisionError
    with pytest.raises(aiohttp.ClientConnectorError):
        await _chain_id(url)


async def test_it_is_gone_when_the_block_is_cancelled() -> None:
    started = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        async with anvil(31_337) as url:
            started.set_result(url)
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    url = await started
    holder.cancel()
    await asyncio.wait([holder])
    with pytest.raises(aiohttp.ClientConnectorError):
        await _chain_id(url)


async def test_an_anvil_that_does_not_start_is_reported_with_what_it_printed() -> None:
    with pytest.raises(AnvilFailed, match="--no-such-option"):
        async with anvil(31_337, "--no-such-option"):
            pass


async def _chain_id(url: str) -> int:
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    async with aiohttp.ClientSession() as session, session.post(url, json=request) as response:
        answer: dict[str, str] = await response.json()
    return int(answer["result"], 16)
