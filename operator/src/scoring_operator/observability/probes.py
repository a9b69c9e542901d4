"""The HTTP server of the probes and metrics: /healthz, /readyz, /metrics.

Every pod of the cluster may be able to connect. A connection therefore serves one request, with at most 8 KiB of
headers, and lasts at most 10 seconds. A further connection beyond 32 closes the oldest one, so connections that send
nothing cannot keep the kubelet out.
"""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scoring_operator.observability.metrics import Metrics

HealthCheck = Callable[[], str]
"""A function that returns a problem, or an empty text without one."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}

_log = logging.getLogger(__name__)

Page = Callable[[], tuple[int, str, bytes]]
"""A function that returns the status, the media type and the body of a response."""


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """The limits of the server; times are in seconds.

    Attributes:
        max_connections: The number of connections, above which the oldest one is closed.
        max_header_bytes: The size of the headers of a request.
        connection_timeout: The time after which a connection is closed.
        accept_retry_delay: The delay after an error of accept, such as too many open files.
        log_interval: The time between two log lines about errors of accept.
    """

    max_connections: int = 32
    max_header_bytes: int = 8192
    connection_timeout: float = 10.0
    accept_retry_delay: float = 1.0
    log_interval: float = 60.0


_DEFAULT_LIMITS = ProbeLimits()


@asynccontextmanager
async def serve_probes(
    port: int,
    metrics: Metrics,
    *,
    liveness: HealthCheck,
    readiness: HealthCheck,
    notes: HealthCheck = lambda: "",
    limits: ProbeLimits = _DEFAULT_LIMITS,
) -> AsyncIterator[None]:
    """Serve the endpoints while the body runs.

    Args:
        port: The port to listen on, on all addresses.
        metrics: The metrics of /metrics.
        liveness: The check of /healthz. After failures the kubelet restarts the container.
        readiness: The check of /readyz.
        notes: The problems that /readyz names although the process is ready.
        limits: The limits of the server.

    Raises:
        OSError: The port is already in use.
    """

    def health(problem: str, text: str = "") -> tuple[int, str, bytes]:
        return 503 if problem else 200, "text/plain; charset=utf-8", (problem or text or "ok").encode()

    server = _Server(
        {
            "/healthz": lambda: health(liveness()),
            "/readyz": lambda: health(readiness(), f"ok, except: {found}" if (found := notes()) else ""),
            "/metrics": lambda: (200, _METRICS_TYPE, metrics.render()),
        },
        limits,
    )
    with _listen(port) as listener:
        task = asyncio.create_task(server.accept(listener))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.close()


def _listen(port: int) -> socket.socket:
    """Return a listening socket for IPv6 and IPv4, or for IPv4 on a machine without IPv6."""
    if socket.has_dualstack_ipv6():
        listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        listener = socket.create_server(("", port))
    listener.setblocking(False)
    return listener


class _Server:
    """The connections of one listening socket.

    Args:
        pages: The pages by path.
        limits: The limits of the server.
    """

    def __init__(self, pages: Mapping[str, Page], limits: ProbeLimits) -> None:
        self._pages = pages
        self._limits = limits
        self._connections: dict[asyncio.Task[None], None] = {}  # in the order of their start

    async def accept(self, listener: socket.socket) -> None:
        """Accept connections until the task is cancelled."""
        next_log_at = 0.0
        while True:
            try:
                accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:
                if time.monotonic() >= next_log_at:
                    _log.warning("the port of the probes cannot accept connections: %s", error.strerror or error)
                    next_log_at = time.monotonic() + self._limits.log_interval
                await asyncio.sleep(self._limits.accept_retry_delay)
                continue
            if len(self._connections) >= self._limits.max_connections:
                oldest = next(iter(self._connections))
                oldest.cancel()
                await asyncio.gather(oldest, return_exceptions=True)
            task = asyncio.create_task(self._serve(accepted))
            self._connections[task] = None
            task.add_done_callback(self._connections.pop)

    async def close(self) -> None:
        """Close all connections."""
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, accepted: socket.socket) -> None:
        """Serve one request and close the connection."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=self._limits.max_header_bytes)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(self._limits.connection_timeout):
                transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted)
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                writer.write(await self._response(reader))
                writer.close()
                await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
            return
        finally:
            if transport:
                transport.abort()
            else:
                accepted.close()

    async def _response(self, reader: asyncio.StreamReader) -> bytes:
        """Read a request and return the bytes of its response."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _encode(431, "text/plain", b"the headers are too large\n")
        method, _, target = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = target.partition(" ")[0].partition("?")[0]
        if not path.startswith("/"):
            return _encode(400, "text/plain", b"this is not HTTP\n")
        if method not in ("GET", "HEAD"):
            return _encode(405, "text/plain", b"use GET\n")
        if path not in self._pages:
            return _encode(404, "text/plain", b"use /healthz, /readyz or /metrics\n")
        return _encode(*self._pages[path](), with_body=method == "GET")


def _encode(status: int, media_type: str, body: bytes, *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
