"""One HTTP endpoint: sends JSON-RPC calls or gets JSON, reads bounded answers, parses strictly, names what went wrong.

Owns the transport and its limits. Must not know what an answer means, whether it is true, or who else there is.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp

from chains import strict_json
from chains.errors import ConfigError, RetryError
from chains.evm.errors import (
    EndpointTimeout,
    EndpointUnreachable,
    HttpFailure,
    MalformedAnswer,
    Oversized,
    ProofWindow,
    RateLimited,
    RpcFailure,
)

_READ = 1 << 16
_SHOWN = 120
_TOO_MANY_REQUESTS = 429

# How clients say that the state of an old block is gone; each phrase is from the source or the issues of one of reth,
# geth (path scheme), geth (hash scheme), erigon, besu, nethermind.
_WINDOW_PHRASES = (
    "proof window",
    "historical state",
    "missing trie node",
    "pruned",
    "state is not available",
    "state unavailable",
    "no state available",
    "proofs are available only",
)
_RATE_PHRASES = ("rate limit", "too many requests", "compute units", "quota", "request limit")
_RATE_CODES = (-32005, 429)

_JSON_BODY = {"Content-Type": "application/json"}
_JSON_WANTED = {"Accept": "application/json"}
"""Beacon nodes have SSZ as well, and give what is asked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """One JSON-RPC call; `params` must be serialisable by `json`."""

    method: str
    params: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one HTTP exchange: seconds until the answer is complete, and bytes of it, decompressed.

    `per_second`: requests that the endpoint is sent, a second's worth of them at once.
    """

    seconds: float = 5.0
    answer_bytes: int = 32 << 20
    per_second: float = math.inf


class Endpoint:
    """One endpoint of one chain. `name` is what faults and logs call it; URLs often hold credentials."""

    def __init__(self, session: aiohttp.ClientSession, url: str, name: str, limits: Limits | None = None) -> None:
        self.name = name
        self._session = session
        self._url = url
        self._limits = limits or Limits()
        self._timeout = aiohttp.ClientTimeout(total=self._limits.seconds)
        self._ids = count(1)
        self._due = 0.0

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        """The `result` of each call, in order, over one HTTP request. One failed call fails the batch.

        Raises a RetryError that names the failure.
        """
        ids = [next(self._ids) for _ in calls]
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}
            for number, call in zip(ids, calls, strict=True)
        ]
        # A batch of one is sent plain: every server speaks that.
        body = json.dumps(requests[0] if len(requests) == 1 else requests, separators=(",", ":")).encode()
        answer = self._parse(await self._exchange("POST", "", body))
        if not isinstance(answer, list):
            answer = [answer]
        by_id: dict[object, object] = {}
        for item in answer:
            if not isinstance(item, dict):
                self._malformed("a response is not an object")
            if "error" in item and item["error"] is not None:
                self._refused(item["error"])
            if "result" not in item:
                self._malformed("a response has neither result nor error")
            number = item.get("id")
            if type(number) is not int or number in by_id:
                self._malformed("a response has no id of its own")
            by_id[number] = item["result"]
        if by_id.keys() != set(ids):
            self._malformed("the responses are not those of the requests")
        return [by_id[number] for number in ids]

    async def get(self, path: str) -> object:
        """The JSON at `path`, which begins with a slash, below the endpoint's URL. Raises as `batch`."""
        return self._parse(await self._exchange("GET", path, None))

    async def _turn(self) -> None:
        """Wait until another request is within the rate. Raises RateLimited where that is too long to wait for."""
        interval = 1.0 / self._limits.per_second
        now = asyncio.get_running_loop().time()
        due = max(self._due, now) + interval
        wait = due - now - max(1.0, interval)
        if wait > self._limits.seconds:
            raise RateLimited(f"{self.name} is asked as often as it may be", endpoint=self.name, wait=round(wait, 1))
        self._due = due
        if wait > 0:
            await asyncio.sleep(wait)

    async def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        await self._turn()
        try:
            async with self._session.request(
                method,
                self._url.rstrip("/") + path if path else self._url,
                data=body,
                headers=_JSON_BODY if body is not None else _JSON_WANTED,
                timeout=self._timeout,
                # SECURITY: a redirect would let an endpoint aim our requests at the operator's own network.
                allow_redirects=False,
            ) as response:
                if response.status == _TOO_MANY_REQUESTS:
                    raise RateLimited(f"{self.name} asks for fewer requests", endpoint=self.name)
                if response.status != 200:
                    raise HttpFailure(f"{self.name} did not answer 200", endpoint=self.name, status=response.status)
                return await self._read(response)
        except TimeoutError as error:
            raise EndpointTimeout(
                f"{self.name} did not answer in time", endpoint=self.name, seconds=self._limits.seconds
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise EndpointUnreachable(
                f"{self.name} cannot be reached, or hung up", endpoint=self.name, cause=type(error).__name__
            ) from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) > self._limits.answer_bytes:
            self._oversized(response)
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_chunked(_READ):
            size += len(chunk)
            if size > self._limits.answer_bytes:
                self._oversized(response)
            chunks.append(chunk)
        return b"".join(chunks)

    def _parse(self, body: bytes) -> object:
        try:
            return strict_json.parse(body)
        except ValueError as error:
            raise MalformedAnswer(
                f"{self.name} answered something that is not JSON", endpoint=self.name, answer=body[:_SHOWN]
            ) from error

    def _oversized(self, response: aiohttp.ClientResponse) -> NoReturn:
        response.close()  # the rest is not worth reading, so the connection cannot be used again
        raise Oversized(
            f"{self.name} answers more than is allowed", endpoint=self.name, limit=self._limits.answer_bytes
        )

    def _malformed(self, what: str) -> NoReturn:
        raise MalformedAnswer(f"{self.name}: {what}", endpoint=self.name)

    def _refused(self, error: object) -> NoReturn:
        message, code = "", None
        if isinstance(error, dict):
            message, code = str(error.get("message", ""))[:_SHOWN], error.get("code")
        lower = message.lower()
        kind: type[RetryError] = RpcFailure
        if code in _RATE_CODES or any(phrase in lower for phrase in _RATE_PHRASES):
            kind = RateLimited
        elif any(phrase in lower for phrase in _WINDOW_PHRASES):
            kind = ProofWindow
        raise kind(f"{self.name} refused the call", endpoint=self.name, code=code, answer=message)


def endpoint_names(urls: Sequence[str]) -> list[str]:
    """A name for each URL: its host and port, numbered where that is not unique. Paths often hold API keys.

    Raises ConfigError for a URL that is not http or https.
    """
    places = [_place(url) for url in urls]
    return [
        place if places.count(place) == 1 else f"{place}#{places[:index].count(place) + 1}"
        for index, place in enumerate(places)
    ]


def _place(url: str) -> str:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("An endpoint's URL does not parse", cause=str(error)) from error
    if scheme not in ("http", "https") or not host:
        raise ConfigError("An endpoint needs an http or https URL", scheme=scheme or "none", host=host or "none")
    return host if port is None else f"{host}:{port}"


def open_session() -> aiohttp.ClientSession:
    """HTTP for the endpoints of one chain: keeps connections; no cookies, no proxies from the environment."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit_per_host=4), trust_env=False
    )
