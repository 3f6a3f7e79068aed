"""The market of the demo: prices that are posted on every chain, and posted again before they go stale.

`run` is the one task; `set` may be called at any time. Must not know who reads the feeds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from chains.errors import HypothecError
from node.testnet.deployment import FIRST_ANSWERS, PRICE_DECIMALS, Deployment

REFRESH_S = 5.0
_RETRY_S = 1.0
_ONE: int = 10**PRICE_DECIMALS
"""What a feed answers for one dollar."""


class Feeds:
    """The price of each asset in USD, and an index of volatility, on all chains alike.

    What is in `frozen` is not posted again by `run`.
    """

    def __init__(self, deployments: Sequence[Deployment]) -> None:
        self._deployments = deployments
        self._answers = dict(FIRST_ANSWERS)
        self.frozen: set[str] = set()
        self._posting = {(item.chain_id, asset): asyncio.Lock() for item in deployments for asset in item.feeds}

    def price(self, asset: str) -> int:
        """In USD."""
        return self._answers[asset] // _ONE

    async def set(self, asset: str, usd: int) -> None:
        """Change a price; returns when every chain has it. Raises TransactionFailed, NotInTime."""
        self._answers[asset] = usd * _ONE
        await asyncio.gather(*(self._post(item, asset) for item in self._deployments))

    async def post_all(self) -> None:
        """Post every price as it is now. Raises TransactionFailed, NotInTime."""
        await asyncio.gather(*(self._post(item, asset) for item in self._deployments for asset in item.feeds))

    async def run(self) -> None:
        """Keep the prices fresh, for ever. A chain that does not answer is tried again, and holds up no other."""
        async with asyncio.TaskGroup() as group:
            for item in self._deployments:
                group.create_task(self._keep_fresh(item))

    async def _keep_fresh(self, item: Deployment) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await asyncio.gather(*(self._post(item, asset) for asset in item.feeds if asset not in self.frozen))
            except (HypothecError, OSError):
                await asyncio.sleep(_RETRY_S)

    async def _post(self, item: Deployment, asset: str) -> None:
        async with self._posting[item.chain_id, asset]:  # else an older price could be mined last
            await item.oracle.send(item.feeds[asset].functions.post(self._answers[asset], int(time.time())))
