"""How many rounds a deposit takes from being proven to being in the certified state.

From: the newest state at the moment when the 2f+1st node has proven a final block that holds the deposit.
To: the first certified state whose cut of that chain holds it.
The result is the difference of their sequence numbers, so a round that was already under way counts in full.

Both come from what nodes tell their operators, in one answer and so of one moment: the newest state with its certified
heights, and the height that the node itself has proven. Where the state moved on between the answer before the proof
and the one after it, the earlier state counts: the error is against us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chains.errors import RetryError
from chains.types import ChainId
from hypothec.v1 import operator_service_pb2 as pb
from node.testnet.errors import NotInTime
from node.testnet.nodes import Operator

_EVERY_S = 0.05
_WITHIN_S = 60.0


class Lag:
    """Follows one deposit, in block `height`: feed it each node's answers, in order."""

    def __init__(self, chain_id: ChainId, height: int, strong_quorum: int) -> None:
        self.chain_id = chain_id
        self.height = height
        self.strong_quorum = strong_quorum
        self._latest: dict[int, int] = {}
        self._held: dict[int, int] = {}
        self._certified: int | None = None

    def saw(self, status: pb.GetStatusResponse) -> None:
        """One node's answer."""
        chain = next((item for item in status.chains if item.chain_id == self.chain_id), None)
        if chain is None:
            return
        sequence = status.state.sequence
        if chain.proven_height >= self.height:
            self._held.setdefault(status.node, self._latest.get(status.node, sequence))
        self._latest[status.node] = sequence
        if chain.certified_height >= self.height:
            self._certified = min(sequence, self._certified if self._certified is not None else sequence)

    @property
    def rounds(self) -> int | None:
        """None until it is known."""
        if self._certified is None or len(self._held) < self.strong_quorum:
            return None
        proven = sorted(self._held.values())[self.strong_quorum - 1]
        return max(0, self._certified - proven)


async def measure(operators: Sequence[Operator], lags: Sequence[Lag]) -> list[int]:
    """Ask all nodes until every deposit is in a state; the rounds of each. Raises NotInTime."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            while True:
                answers = await asyncio.gather(*(_ask(operator) for operator in operators))
                for status in answers:
                    for lag in lags:
                        if status is not None:
                            lag.saw(status)
                found = [lag.rounds for lag in lags]
                done = [rounds for rounds in found if rounds is not None]
                if len(done) == len(lags):
                    return done
                await asyncio.sleep(_EVERY_S)
    except TimeoutError as error:
        raise NotInTime(f"waited {_WITHIN_S:g} s in vain for a certified state with every deposit") from error


async def _ask(operator: Operator) -> pb.GetStatusResponse | None:
    try:
        return await operator.status()
    except RetryError:
        return None
