"""One JSON-RPC endpoint for sending: what web3 and the transport raise, as errors that say what to do.

Nothing that is read here is believed for more than the relayer's own housekeeping. Must not know jobs or the outbox.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import aiohttp
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError

from chains.errors import HypothecError, RetryError

_T = TypeVar("_T")


class Reverts(HypothecError):
    """The contract would refuse the call now: it was overtaken, or the chain's books changed."""

    reason = "CALL_REVERTS"
    status = "FAILED_PRECONDITION"


class NotMined(RetryError):
    """The transaction is in no block yet."""

    reason = "NOT_MINED"


class Refused(RetryError):
    """The endpoint answered with a JSON-RPC error."""

    reason = "ENDPOINT_REFUSED"


async def asked(answer: Awaitable[_T]) -> _T:
    """The answer. Raises Reverts, NotMined, Refused, or RetryError when the endpoint gave none."""
    try:
        return await answer
    except TransactionNotFound as error:
        raise NotMined("wait for the transaction to be mined") from error
    except ContractLogicError as error:
        raise Reverts(f"do not send what the contract would refuse: {error}", data=error.data) from error
    except Web3RPCError as error:
        raise Refused(f"send again later: {error}") from error
    except (Web3Exception, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RetryError(f"try the endpoint again: {error}") from error
