# ruff: noqa: ARG002  # every fault has the parameters of the base class, whether it uses them or not
"""A proxy between an operator and the real API server, with TLS on both sides, which injects faults.

It runs in a thread of its own. Tests add and remove faults while the operator sends requests. `statuses` and the audit
log have the server's results of the operator's writes, whatever response the operator received.
"""

import asyncio
import json
import random
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from localcluster.cluster import Cluster

SEED = 5  # of the choice of affected requests, whose order depends on the machine
FORWARDED_HEADERS = ("Content-Type", "Date", "Retry-After")
POLL_SECONDS = 0.05  # between two checks whether a fault closes a watch


@dataclass(frozen=True)
class Call:
    """A request on its way to the API server."""

    verb: str  # the HTTP method, except for LIST and WATCH
    path: str
    resource: str
    body: bytes

    @property
    def is_write(self) -> bool:
        return self.verb not in ("GET", "LIST", "WATCH")

    @property
    def is_renewal(self) -> bool:
        return self.resource == "leases"


@dataclass(frozen=True)
class Response:
    """A response on its way to the operator."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Reset(Exception):  # noqa: N818  # an order to the proxy, not an error
    """Cut the connection."""


class Close(Exception):  # noqa: N818
    """End a watch as a server does."""


class Fault:
    """A fault, by default without an effect; `count` is the number of affected requests."""

    def __init__(self, share: float = 1.0) -> None:
        self.count = 0
        self._share, self._random = share, random.Random(SEED)  # noqa: S311  # no secret

    def is_spared(self) -> bool:
        """Return True for a request that the fault does not affect: all but a share of them."""
        return self._random.random() >= self._share

    async def before(self, call: Call) -> Response | None:
        """Return a response, or None to forward the request. May raise Reset or never return."""

    async def after(self, call: Call, response: Response) -> Response:
        """Return the response that replaces the server's. May raise Reset, or never return."""
        return response

    def event(self, call: Call, line: bytes) -> list[tuple[float, bytes]]:
        """Return the lines to forward for a watch's line, each with its delay in seconds. May raise Reset or Close."""
        return [(0.0, line)]

    def close(self, call: Call, age: float) -> bool:
        """Return True to close a watch of this age, in seconds."""
        return False

    def measurement(self) -> str:
        return f"affected {self.count} requests"


class Proxy:
    """The proxy, which `proxied` creates."""

    def __init__(self, cluster: Cluster) -> None:
        self.faults: list[Fault] = []
        self.statuses: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)  # by run: version and status
        self.calls: Counter[str] = Counter()
        self.url = ""
        self._cluster = cluster
        self._session: aiohttp.ClientSession

    @contextmanager
    def having(self, fault: Fault) -> Iterator[Fault]:
        """Inject a fault while the body runs."""
        self.faults.append(fault)
        try:
            yield fault
        finally:
            self.faults.remove(fault)

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        certificate, key = self._cluster._control_plane.authority.issue(
            "fault-proxy", "fault-proxy", names=["127.0.0.1"]
        )
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(certificate, key)
        connector = aiohttp.TCPConnector(
            limit=0, ssl=ssl.create_default_context(cafile=str(self._cluster.ca_certificate))
        )
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as self._session:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server)
            await site.start()
            self.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await stop.wait()
            await runner.cleanup()
        await asyncio.sleep(0.25)  # what TLS connections need to close: aiohttp's documentation, "Graceful Shutdown"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = _call(request, await request.read())
        self.calls[call.verb] += 1
        try:
            for fault in tuple(self.faults):
                if response := await fault.before(call):
                    return _response(response)
            return await self._forward(request, call)
        except Reset:
            if request.transport:
                request.transport.abort()
            return web.Response()
        except aiohttp.ClientError:  # the server does not respond
            if request.transport:
                request.transport.abort()
            return web.Response()

    async def _forward(self, request: web.Request, call: Call) -> web.StreamResponse:
        headers = {key: request.headers[key] for key in ("Authorization", "Content-Type") if key in request.headers}
        headers["Accept-Encoding"] = "identity"
        timeout = aiohttp.ClientTimeout(total=None)
        url = f"{self._cluster.server}{request.raw_path}"
        async with self._session.request(
            request.method, URL(url, encoded=True), data=call.body or None, headers=headers, timeout=timeout
        ) as upstream:
            if call.verb == "WATCH" and upstream.status == 200:
                return await self._stream(request, call, upstream)
            kept = {key: upstream.headers[key] for key in FORWARDED_HEADERS if key in upstream.headers}
            response = Response(upstream.status, await upstream.read(), kept)
        self._record_status(call, response)
        for fault in tuple(self.faults):
            response = await fault.after(call, response)
        return _response(response)

    def _record_status(self, call: Call, response: Response) -> None:
        if call.verb == "PATCH" and call.path.endswith("/status") and response.status == 200:
            body = json.loads(response.body)
            version = int(body["metadata"]["resourceVersion"])
            self.statuses[body["metadata"]["name"]].append((version, body.get("status", {})))

    async def _stream(self, request: web.Request, call: Call, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        began = time.monotonic()
        out: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        reading = asyncio.create_task(self._read(call, upstream, out))
        try:
            while True:
                if any(fault.close(call, time.monotonic() - began) for fault in tuple(self.faults)):
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        line = await out.get()
                        if isinstance(line, Close):
                            break
                        if isinstance(line, Exception):
                            raise line
                        await response.write(line)
        except ConnectionError:
            pass  # the operator has closed the connection
        finally:
            reading.cancel()
        return response

    async def _read(
        self, call: Call, upstream: aiohttp.ClientResponse, out: "asyncio.Queue[bytes | Exception]"
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for line in upstream.content:
                passed = [(0.0, line)]
                for fault in tuple(self.faults):
                    passed = [(delay + more, new) for delay, old in passed for more, new in fault.event(call, old)]
                for delay, new in passed:
                    if delay:
                        loop.call_later(delay, out.put_nowait, new)
                    else:
                        out.put_nowait(new)
            out.put_nowait(Close())
        except (Reset, Close) as order:
            out.put_nowait(order)
        except aiohttp.ClientError:
            out.put_nowait(Reset())


def _call(request: web.Request, body: bytes) -> Call:
    root, *parts = request.path.strip("/").split("/")
    parts = parts[1 if root == "api" else 2 :]  # after the version, or group and version
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    verb = request.method
    if verb == "GET" and len(parts) == 1:
        verb = "WATCH" if request.query.get("watch") == "true" else "LIST"
    return Call(verb, request.path, parts[0] if parts else "", body)


def _response(response: Response) -> web.Response:
    return web.Response(status=response.status, body=response.body, headers=response.headers)


def error_response(status: int, reason: str, message: str = "rejected by the fault proxy", **headers: str) -> Response:
    """Return a Status object as the API server sends it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    return Response(
        status, json.dumps(body | {"code": status}).encode(), {"Content-Type": "application/json"} | headers
    )


@contextmanager
def proxied(cluster: Cluster) -> Iterator[Proxy]:
    """Run a proxy in front of a cluster's API server."""
    proxy, ready = Proxy(cluster), threading.Event()
    stopping: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        stopping.append((asyncio.get_running_loop(), stop))
        await proxy.serve(ready, stop)

    thread = threading.Thread(target=asyncio.run, args=[serve()], name="fault-proxy")
    thread.start()
    assert ready.wait(120)
    try:
        yield proxy
    finally:
        loop, stop = stopping[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
