"""The one port that a kubelet and Prometheus ask: /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from scoring_operator.observability.metrics import Metrics

Trouble = Callable[[], str]
"""Says what is wrong; empty where nothing is."""


@asynccontextmanager
async def probes(port: int, metrics: Metrics, *, alive: Trouble, ready: Trouble) -> AsyncIterator[None]:
    """Answer while the context lasts.

    Args:
        port: To listen on, on all addresses.
        metrics: What /metrics shows.
        alive: Where it names a trouble, /healthz fails and the kubelet will restart the container.
        ready: Where it names a trouble, /readyz fails.

    Raises:
        OSError: The port is taken.
    """

    def answer(trouble: str) -> web.Response:
        return web.Response(text=trouble or "ok", status=503 if trouble else 200)

    async def healthz(_request: web.Request) -> web.Response:
        return answer(alive())

    async def readyz(_request: web.Request) -> web.Response:
        return answer(ready())

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=port)
        await site.start()
        yield
    finally:
        await runner.cleanup()
