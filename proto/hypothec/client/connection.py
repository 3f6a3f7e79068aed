"""A channel to one node's venue or owner listener: deadlines on every call, errors in our own words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

import grpc
from grpc import aio

from hypothec.client.errors import translated
from node.model.identity import TlsMaterial

_MAX_RECEIVED = 16 << 20
_Q = TypeVar("_Q")
_A = TypeVar("_A")


class Connection:
    """One channel, for as long as `async with` lasts.

    `tls` is the caller's material, or only the PEM bytes of the authority where no certificate is asked for, or None
    for the plain listener of a node's own machine. `server_name` is checked against the node's certificate instead of
    the host in `target`.
    """

    def __init__(self, target: str, tls: TlsMaterial | bytes | None, server_name: str | None, timeout_s: float) -> None:
        self._target = target
        self._tls = tls
        self._server_name = server_name
        self._timeout_s = timeout_s
        self._channel: aio.Channel | None = None

    async def __aenter__(self) -> Self:
        options: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", _MAX_RECEIVED),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]
        if self._server_name is not None:
            options.append(("grpc.ssl_target_name_override", self._server_name))
        if self._tls is None:
            self._channel = aio.insecure_channel(self._target, options=options)
        else:
            self._channel = aio.secure_channel(self._target, _credentials(self._tls), options=options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close()

    @property
    def channel(self) -> aio.Channel:
        """The open channel; using the client outside `async with` is a bug of the caller's."""
        if self._channel is None:
            raise RuntimeError("use the client inside `async with`")
        return self._channel

    async def call(self, method: aio.UnaryUnaryMultiCallable[_Q, _A], request: _Q) -> _A:
        """One unary call. Raises ServiceRefused or ServiceUnavailable."""
        try:
            return await method(request, timeout=self._timeout_s)
        except aio.AioRpcError as error:
            raise translated(error) from error

    async def stream(self, method: aio.UnaryStreamMultiCallable[_Q, _A], request: _Q) -> AsyncIterator[_A]:
        """One server stream, without a deadline. Raises ServiceRefused or ServiceUnavailable."""
        try:
            async for message in method(request):
                yield message
        except aio.AioRpcError as error:
            raise translated(error) from error


def _credentials(tls: TlsMaterial | bytes) -> grpc.ChannelCredentials:
    if isinstance(tls, bytes):
        return grpc.ssl_channel_credentials(tls)
    return grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate)
