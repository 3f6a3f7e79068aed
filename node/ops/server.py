"""The operator's HTTP listener: /metrics, /livez, and /readyz which says why not. Must not know what makes it ready."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from chains.errors import ConfigError


@asynccontextmanager
async def serve_ops(
    address: str, registry: CollectorRegistry, not_ready: Callable[[], Sequence[str]]
) -> AsyncIterator[int]:
    """Serve on `host:port` for as long as the context lasts, and yield the port.

    `not_ready` gives the reasons why the node is not ready, none when it is. Raises ConfigError when it cannot listen.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        reasons = not_ready()
        return web.Response(text="".join(f"{line}\n" for line in reasons or ("ready",)), status=503 if reasons else 200)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", live), web.get("/readyz", ready)])
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, int(port))
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(f"free the metrics address: {error.strerror}", address=address) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
