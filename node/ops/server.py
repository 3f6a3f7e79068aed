"""The operator's HTTP listener: /metrics, /livez, /rounds, and /readyz which says why not.

Must not know what makes a node ready.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from chains.errors import ConfigError


@asynccontextmanager
async def serve_ops(
    address: str,
    registry: CollectorRegistry,
    not_ready: Callable[[], Sequence[str]],
    rounds: Callable[[], Sequence[float]],
) -> AsyncIterator[int]:
    """Serve on `host:port` for as long as the context lasts, and yield the port.

    `not_ready` gives the reasons why the node is not ready, none when it is; `rounds` the durations of recent rounds in
    milliseconds, oldest first. Raises ConfigError when it cannot listen.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        reasons = not_ready()
        return web.Response(text="".join(f"{line}\n" for line in reasons or ("ready",)), status=503 if reasons else 200)

    async def recent(_: web.Request) -> web.Response:
        return web.json_response([round(duration, 3) for duration in rounds()])

    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", metrics),
            web.get("/livez", live),
            web.get("/readyz", ready),
            web.get("/rounds", recent),
        ]
    )
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
