"""The HTTP server of the probes."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from localcluster.allocation import free_port
from scoring_operator.observability.metrics import Metrics
from scoring_operator.observability.probes import ProbeLimits, serve_probes

DEFAULT_LIMITS = ProbeLimits()


def test_limits_of_the_probes_have_these_defaults() -> None:
    assert ProbeLimits() == ProbeLimits(
        max_connections=32, max_header_bytes=8192, connection_timeout=10, accept_retry_delay=1, log_interval=60
    )


async def test_probes_respond_with_the_problem_or_ok() -> None:
    problems = {"alive": "", "ready": "not listed yet"}
    metrics = Metrics()
    port = free_port()
    serving = serve_probes(port, metrics, liveness=lambda: problems["alive"], readiness=lambda: problems["ready"])
    async with serving, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert await ask("/healthz") == (200, "ok")
        assert await ask("/readyz") == (503, "not listed yet")
        problems |= {"alive": "the watch is dead", "ready": ""}
        assert await ask("/healthz") == (503, "the watch is dead")
        assert await ask("/readyz") == (200, "ok")
        assert "fleetscore_lease_held" in (await ask("/metrics"))[1]


@asynccontextmanager
async def served(limits: ProbeLimits = DEFAULT_LIMITS) -> AsyncIterator[int]:
    port = free_port()
    async with serve_probes(port, Metrics(), liveness=lambda: "", readiness=lambda: "", limits=limits):
        yield port


async def send(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 120)
    finally:
        writer.close()


async def status_of(port: int, request: bytes) -> bytes:
    return (await send(port, request)).partition(b"\r\n")[0]


async def test_ready_process_names_what_does_not_work() -> None:
    port = free_port()
    serving = serve_probes(
        port, Metrics(), liveness=lambda: "", readiness=lambda: "", notes=lambda: "namespace b: Forbidden"
    )
    async with serving:
        response = await send(port, b"GET /readyz HTTP/1.1\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 200 OK")
    assert response.endswith(b"\r\n\r\nok, except: namespace b: Forbidden")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz?verbose HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /debug HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 9000, b"HTTP/1.1 431 Request Header Fields Too Large"),
        (b"GET /healthz HTTP/1.1\r\n", b""),
    ],
    ids=["query", "head", "unknown", "post", "tls", "large", "cut"],
)
async def test_request_has_one_status_and_the_connection_is_closed(request_bytes: bytes, status: bytes) -> None:
    # Only the connection that gets no response ends at the limit.
    async with served(ProbeLimits(connection_timeout=120 if status else 0.2)) as port:
        assert await status_of(port, request_bytes) == status


async def test_idle_connections_do_not_keep_a_probe_out_and_are_closed() -> None:
    async with served() as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        assert await status_of(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b"HTTP/1.1 200 OK"
        for reader, _ in idle[:160]:
            assert await asyncio.wait_for(reader.read(), 120) == b""
        for _, writer in idle:
            writer.close()


async def test_reader_of_metrics_that_does_not_read_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, limits = Metrics(), ProbeLimits(connection_timeout=0.2)
    monkeypatch.setattr(metrics, "render", lambda: bytes(64 * 2**20))
    port = free_port()
    async with serve_probes(port, metrics, liveness=lambda: "", readiness=lambda: "", limits=limits):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read_late(reader)
        writer.close()


async def read_late(reader: asyncio.StreamReader) -> None:
    """Read the response to the end after a pause, which begins when the server has begun to send it."""
    await reader.readexactly(1)
    await asyncio.sleep(0.5)
    await reader.readexactly(64 * 2**20)


async def test_failing_accept_is_logged_once_and_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop, failures = asyncio.get_running_loop(), 5
    accept = loop.sock_accept

    async def fail_at_first(listener: socket.socket) -> object:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", fail_at_first)
    async with served(ProbeLimits(accept_retry_delay=0.01)) as port:
        assert await status_of(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b"HTTP/1.1 200 OK"
    assert failures < 0
    assert [record.getMessage() for record in caplog.records] == [
        "the port of the probes cannot accept connections: Too many open files"
    ]
