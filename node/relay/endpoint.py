"""One JSON-RPC endpoint for sending: what web3 and the transport raise, as errors that say what to do.

Nothing that is read here is believed for more than the relayer's own housekeeping. Must not know jobs or the outbox.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

import aiohttp
from web3.exceptions import BadResponseFormat, ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from chains import strict_json
from chains.errors import HypothecError, RetryError

_MAX_ANSWER = 4 << 20
_T = TypeVar("_T")


class Reverts(HypothecError):
    """The contract would refuse the call now: it was overtaken, or the chain's books changed."""

    reason = "CALL_REVERTS"
    status = "FAILED_PRECONDITION"

    def __init__(self, error: ContractLogicError) -> None:
        super().__init__(f"do not send what the contract would refuse: {error}")
        text = error.data if isinstance(error.data, str) else ""
        self.data = bytes.fromhex(text[2:]) if re.fullmatch("0x([0-9a-fA-F]{2})*", text) else b""
        """What the contract gave as its reason; nothing where the endpoint did not pass it on."""


class NotMined(RetryError):
    """The transaction is in no block yet."""

    reason = "NOT_MINED"


class Refused(RetryError):
    """The endpoint answered with a JSON-RPC error."""

    reason = "ENDPOINT_REFUSED"


class HttpProvider(AsyncJSONBaseProvider):
    """web3's way to one endpoint, over one HTTP session, each answer bounded in time, size and nesting.

    Not web3's own `AsyncHTTPProvider`: that takes a lock in a thread for every request, and a request that is cancelled
    meanwhile never gives it back. Later requests then wait for ever, and so does the end of the process.
    """

    def __init__(self, url: str, request_s: float = 10.0) -> None:
        super().__init__()
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=request_s)
        self._session: aiohttp.ClientSession | None = None

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 - as web3 has it
        """One call; raises what `asked` translates."""
        if self._session is None:  # a session needs a running loop
            self._session = aiohttp.ClientSession(timeout=self._timeout, raise_for_status=True)
        body = self.encode_rpc_request(method, params)
        async with self._session.post(self._url, data=body, headers={"Content-Type": "application/json"}) as response:
            raw = bytearray()
            async for chunk in response.content.iter_any():
                raw += chunk
                if len(raw) > _MAX_ANSWER:
                    raise BadResponseFormat(f"an answer of more than {_MAX_ANSWER} bytes")
        try:
            answer = strict_json.parse(bytes(raw))
        except ValueError as error:
            raise BadResponseFormat(f"an answer that is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise BadResponseFormat("an answer that is no JSON object")
        return cast("RPCResponse", answer)

    async def disconnect(self) -> None:
        """Close the session; another request opens a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def asked(answer: Awaitable[_T]) -> _T:
    """The answer. Raises Reverts, NotMined, Refused, or RetryError when the endpoint gave none."""
    try:
        return await answer
    except TransactionNotFound as error:
        raise NotMined("wait for the transaction to be mined") from error
    except ContractLogicError as error:
        raise Reverts(error) from error
    except Web3RPCError as error:
        raise Refused(f"send again later: {error}") from error
    except (Web3Exception, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RetryError(f"try the endpoint again: {error}") from error
