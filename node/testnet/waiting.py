"""Waiting for something outside to become so, with a bound and a clear word when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from node.testnet.errors import NotInTime

_T = TypeVar("_T")
_CANCEL_EVERY_S = 1.0


async def until(
    question: Callable[[], Awaitable[_T | None]], what: str, *, within: float, every: float = 0.1, **values: object
) -> _T:
    """Ask until the answer is not None. Raises NotInTime after `within` seconds, with `what` ("for …") was waited."""
    try:
        async with asyncio.timeout(within):
            while True:
                answer = await question()
                if answer is not None:
                    return answer
                await asyncio.sleep(every)
    except TimeoutError as error:
        raise NotInTime(f"waited {within:g} s in vain {what}; --dir keeps the logs that tell why", **values) from error


async def end(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait until it is over. What it raises is not told.

    Again and again, as libraries (and `asyncio.wait_for` before Python 3.12) may swallow a cancellation.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_EVERY_S)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not complain that nobody did
