"""The one port that a kubelet and Prometheus ask: /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from scoring_operator.observability.metrics import Metrics

HealthCheck = Callable[[], str]
"""Says what is wrong; empty where nothing is."""


@asynccontextmanager
async def serve_probes(
    port: int, metrics: Metrics, *, liveness: HealthCheck, readiness: HealthCheck
) -> AsyncIterator[None]:
    """Answer while the context lasts.

    Args:
        port: To listen on, on all addresses.
        metrics: What /metrics shows.
        alive: Where it names a trouble, /healthz fails and the kubelet will restart the container.
        ready: Where it names a trouble, /readyz fails.

    Raises:
        OSError: The port is taken.
    """

    def respond(problem: str) -> web.Response:
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    async def healthz(_request: web.Request) -> web.Response:
        return respond(liveness())

    async def readyz(_request: web.Request) -> web.Response:
        return respond(readiness())

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

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
