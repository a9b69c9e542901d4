"""The HTTP server of the probes and metrics: /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from scoring_operator.observability.metrics import Metrics

HealthCheck = Callable[[], str]
"""A function that returns a problem, or an empty text without one."""


@asynccontextmanager
async def serve_probes(
    port: int, metrics: Metrics, *, liveness: HealthCheck, readiness: HealthCheck
) -> AsyncIterator[None]:
    """Serve the endpoints while the body runs.

    Args:
        port: The port to listen on, on all addresses.
        metrics: The metrics of /metrics.
        liveness: The check of /healthz. After failures the kubelet restarts the container.
        readiness: The check of /readyz.

    Raises:
        OSError: The port is already in use.
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
